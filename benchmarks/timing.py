"""Timing for a busy machine: interleaved repeats, medians, and ratios within one run."""

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
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# A large result is handed back to Linux when it is freed, and the next call pays for 77 MB of
# fresh zeroed pages: several times what mixing costs, whoever mixes. Told to keep its memory,
# the allocator lets the work be seen. glibc reads this at its start, so a benchmark starts
# itself once more. (Set GLIBC_TUNABLES to measure without.)
KEEP_MEMORY = ":".join(
    [
        "glibc.malloc.mmap_max=0",
        "glibc.malloc.trim_threshold=8589934592",
        "glibc.malloc.arena_max=1",
    ]
)
started_here = Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent
if sys.platform == "linux" and started_here and "GLIBC_TUNABLES" not in os.environ:
    os.environ["GLIBC_TUNABLES"] = KEEP_MEMORY
    os.execv(sys.executable, [sys.executable, *sys.argv])


class Timing(NamedTuple):
    """Seconds of one call: on the clock, and of the processor, all threads together."""

    wall: float
    cpu: float


def timed(function: Callable) -> Timing:
    """Time one call."""
    wall = time.perf_counter()
    cpu = time.process_time()
    function()
    return Timing(
        wall=time.perf_counter() - wall,
        cpu=time.process_time() - cpu,
    )


def median(timings: list[Timing]) -> Timing:
    """Return the median of each kind of time."""
    return Timing(
        wall=statistics.median(timing.wall for timing in timings),
        cpu=statistics.median(timing.cpu for timing in timings),
    )


def interleaved(
    functions: dict[str, Callable],
    repeats: int,
) -> dict[str, Timing]:
    """Medians of each function: called once to warm up, then in turn, so that a slow moment
    hits all alike.

    Each round has an order of its own: what one call leaves in the caches is not always the
    same neighbour's gain.
    """
    for function in functions.values():
        function()
    timings = {name: [] for name in functions}
    order = list(functions)
    shuffler = random.Random(0)
    for _ in range(repeats):
        shuffler.shuffle(order)
        for name in order:
            timings[name].append(timed(functions[name]))
    return {name: median(values) for name, values in timings.items()}


class Table:
    """Rows of a benchmark: printed as they come, kept for the file."""

    def __init__(self):
        self.rows: list[dict] = []

    def show(
        self,
        title: str,
        timings: dict[str, Timing],
        against: str,
        per: int = 1,
    ) -> None:
        """Print and keep one group; times are divided by `per`, ratios are to `against`."""
        print(f"\n{title}")
        print(f"  {'':32s}{'wall, ms':>10s}{'cpu, ms':>10s}   ratios to {against}")
        base = timings[against]
        for name, timing in timings.items():
            row = {
                "group": title,
                "name": name,
                "wall": timing.wall / per,
                "cpu": timing.cpu / per,
                "wall_ratio": timing.wall / base.wall,
                "cpu_ratio": timing.cpu / base.cpu,
            }
            times = f"{row['wall'] * 1e3:10.2f}{row['cpu'] * 1e3:10.2f}"
            ratios = f"{row['wall_ratio']:9.2f}{row['cpu_ratio']:9.2f}"
            print(f"  {name:32s}{times}{ratios}")
            self.rows.append(row)


def arguments(description: str) -> argparse.Namespace:
    """Read the options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the same figures there",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=21,
        help="calls of each function (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=int,
        default=224,
        help="height and width of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        default=[32, 128],
        help="batch sizes (default: 32 128)",
    )
    return parser.parse_args()


def claim(
    text: str,
    value: float,
    at_most: float | None = None,
    at_least: float | None = None,
) -> dict:
    """One claim, and whether the measured value bears it out."""
    if at_most is not None:
        reached = value <= at_most
        wanted = f"at most {at_most:g}"
    else:
        reached = value >= at_least
        wanted = f"at least {at_least:g}"
    return {
        "claim": text,
        "value": value,
        "wanted": wanted,
        "reached": bool(reached),
    }


def report(
    rows: list[dict],
    options: argparse.Namespace,
    claims: list[dict],
) -> None:
    """Print the claims, each with what was reached, and write all to `--json FILE`."""
    import keras
    import tensorflow as tf

    machine = {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "memory kept": os.environ.get("GLIBC_TUNABLES") == KEEP_MEMORY,
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine.items()))
    for each in claims:
        verdict = "reached" if each["reached"] else "NOT reached"
        found = f"{each['claim']}: {each['value']:.3g}"
        print(f"{verdict:12s} {found} (wanted: {each['wanted']})")
    if options.json:
        figures = {
            "machine": machine,
            "rows": rows,
            "claims": claims,
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
