"""Timing that bears a busy machine: interleaved repeats, medians, and ratios within one run."""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# A large result is handed back to Linux when it is freed, and the next call pays for 77 MB of
# fresh zeroed pages: several times what mixing costs, whoever mixes. Told to keep its memory,
# the allocator lets the work be seen. glibc reads this at its start, so a benchmark starts
# itself once more. (Set GLIBC_TUNABLES to measure without.)
KEEP_MEMORY = (
    "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592:glibc.malloc.arena_max=1"
)
if (
    sys.platform == "linux"
    and "GLIBC_TUNABLES" not in os.environ
    and Path(sys.argv[0]).resolve().parent == Path(__file__).parent
):
    os.environ["GLIBC_TUNABLES"] = KEEP_MEMORY
    os.execv(sys.executable, [sys.executable, *sys.argv])


class Timing(NamedTuple):
    """Seconds of one call: on the clock, and of the processor, all threads together."""

    wall: float
    cpu: float


def timed(function: Callable) -> Timing:
    """Time one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(functions: dict[str, Callable], repeats: int) -> dict[str, Timing]:
    """Medians of each function: called once to warm up, then in turn, so that a slow moment hits all alike.

    Each round has an order of its own: what one call leaves in the caches is not always the
    same neighbour's gain.
    """
    for function in functions.values():
        function()
    timings: dict[str, list[Timing]] = {name: [] for name in functions}
    order, deck = list(functions), random.Random(0)
    for _ in range(repeats):
        deck.shuffle(order)
        for name in order:
            timings[name].append(timed(functions[name]))
    return {
        name: Timing(*map(statistics.median, zip(*values))) for name, values in timings.items()
    }


class Table:
    """Rows of a benchmark: printed as they come, kept for the file."""

    def __init__(self):
        self.rows: list[dict] = []

    def show(self, title: str, timings: dict[str, Timing], against: str, per: int = 1) -> None:
        """Print and keep one group; times are divided by `per`, ratios are to the row `against`."""
        print(f"\n{title}\n  {'':32s}{'wall, ms':>10s}{'cpu, ms':>10s}   ratios to {against}")
        base = timings[against]
        for name, (wall, cpu) in timings.items():
            ratios = {"wall_ratio": wall / base.wall, "cpu_ratio": cpu / base.cpu}
            print(
                "  "
                f"{name:32s}{wall / per * 1e3:10.2f}{cpu / per * 1e3:10.2f}{ratios['wall_ratio']:9.2f}",
                end="",
            )
            print(f"{ratios['cpu_ratio']:9.2f}")
            self.rows.append(
                {"group": title, "name": name, "wall": wall / per, "cpu": cpu / per, **ratios}
            )


def arguments(description: str) -> argparse.Namespace:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the same figures there"
    )
    parser.add_argument(
        "--repeats", type=int, default=21, help="calls of each function (default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=224,
        help="height and width of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[32, 128], help="batch sizes (default: 32 128)"
    )
    return parser.parse_args()


def report(rows: list[dict], options: argparse.Namespace, claims: list[dict]) -> None:
    """Print the rows and the claims, each with what was reached, and write them to `--json FILE`."""
    import keras
    import tensorflow as tf

    machine = {
        "tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version(),
        "cpus": os.cpu_count(), "memory kept": os.environ.get("GLIBC_TUNABLES") == KEEP_MEMORY,
        "load": [round(load, 1) for load in os.getloadavg()],
    }  # fmt: skip
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine.items()))
    for claim in claims:
        verdict = "reached" if claim["reached"] else "NOT reached"
        print(
            f"{verdict:12s} {claim['claim']}: {claim['value']:.3g} (wanted: {claim['wanted']})"
        )
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine, "rows": rows, "claims": claims}, indent=1) + "\n"
        )


def claim(
    text: str, value: float, at_most: float | None = None, at_least: float | None = None
) -> dict:
    """One claim, and whether the measured value bears it out."""
    reached = value <= at_most if at_most is not None else value >= at_least
    wanted = f"at most {at_most:g}" if at_most is not None else f"at least {at_least:g}"
    return {"claim": text, "value": value, "wanted": wanted, "reached": bool(reached)}
