"""Build and run the course: the text in notebooks/text is the source, notebooks/*.ipynb are built from it.

python -m tools.notebooks sync         update cells and outputs' places from the text, execute
nothing python -m tools.notebooks build [10]   sync, execute in the quick profile on bundled
data, store the outputs python -m tools.notebooks run [10]     execute copies in this
environment, print progress and a summary table
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import jupytext
import nbformat
import psutil
from jupytext.combine import combine_inputs_with_outputs
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from helpers.runtime import output_folder

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def texts(only: str = "") -> list[Path]:
    """Return the text sources in course order, or those whose name starts with ``only``."""
    found = sorted((FOLDER / "text").glob(f"{only}*.py"))
    if not found:
        raise SystemExit(f"No notebook starts with {only!r}; see {FOLDER / 'text'}.")
    return found


def notebook_path(text: Path) -> Path:
    """Return the notebook built from a text source."""
    return FOLDER / f"{text.stem}.ipynb"


def updated(text: Path) -> nbformat.NotebookNode:
    """Return the notebook of a text source, with ids and outputs of unchanged cells kept from the built one."""
    book = jupytext.read(text)
    old = notebook_path(text)
    if old.exists():
        book = combine_inputs_with_outputs(book, nbformat.read(old, as_version=4))
    # A new cell's id comes from its place, so that building twice gives the same file.
    taken: set[str] = set()
    known = {c["id"] for c in nbformat.read(old, as_version=4).cells} if old.exists() else set()
    for number, cell in enumerate(book.cells):
        if cell.get("id") not in known or cell["id"] in taken:
            cell["id"] = next(
                f"c{n:03d}" for n in range(number, 10_000) if f"c{n:03d}" not in known | taken
            )
        taken.add(cell["id"])
        cell["metadata"] = {
            k: v for k, v in cell["metadata"].items() if k in ("tags", "slideshow")
        }
    book.metadata = nbformat.from_dict(METADATA)
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def resident(pid: int) -> int:
    """Return the bytes that a process and all that it started occupy; 0 if it is gone."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now
                total += one.memory_info().rss
    return total


class PeakMemory(threading.Thread):
    """The largest resident memory of a kernel and the processes it starts, sampled five times a second."""

    def __init__(self, client: NotebookClient):
        super().__init__(daemon=True)
        self.client, self.peak, self.over = client, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            pid = getattr(getattr(self.client.km, "provisioner", None), "pid", None)
            if pid:  # else it has not started yet, or is just gone
                self.peak = max(self.peak, resident(pid))


def execute(
    book: nbformat.NotebookNode, name: str, timed: bool = False
) -> tuple[float, int, str]:
    """Execute a notebook in place; return seconds, peak memory in bytes, and ``""`` or the error's text.

    ``timed`` writes each cell's times into its metadata, for whoever looks for the slow one.
    """
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    codes = sum(c.cell_type == "code" for c in book.cells)
    bar = tqdm(total=codes, desc=name, unit="cell", file=sys.stderr, leave=False, disable=None)
    client = NotebookClient(
        book,
        timeout=None,
        kernel_name="python3",
        record_timing=timed,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(FOLDER)}},
        on_cell_executed=lambda cell, **_: bar.update(cell.cell_type == "code"),
    )
    memory = PeakMemory(client)
    began, error = time.monotonic(), ""
    memory.start()
    try:
        client.execute()
    except CellExecutionError as failure:
        error = str(failure)
    finally:
        memory.over.set()
        bar.close()
    return time.monotonic() - began, memory.peak, error


def save(book: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook through a temporary file, so that an interrupted build leaves the old one whole."""
    partial = path.with_suffix(".partial")
    nbformat.write(book, partial)
    partial.replace(path)


def sync(only: str) -> int:
    for text in texts(only):
        save(updated(text), notebook_path(text))
    return 0


def build(only: str) -> int:
    # Stored outputs are the quick profile's on bundled data, on a CPU: the same everywhere.
    for name in ("COURSE_OUTPUT", "COURSE_DOWNLOAD", "MPLBACKEND"):
        os.environ.pop(name, None)
    os.environ.update(COURSE_PROFILE="quick", COURSE_DATA="bundled", CUDA_VISIBLE_DEVICES="-1")
    # ipykernel stores the C++ log with the outputs unless it believes it is under test, as it
    # will be under nbval.
    os.environ["PYTEST_CURRENT_TEST"] = "build"
    failed = 0
    for text in texts(only):
        book = updated(text)
        seconds, memory, error = execute(book, text.stem)
        print(f"{text.stem:32} {seconds:6.1f} s {memory / 2**30:5.2f} GB", error)
        if error:
            failed += 1
        else:
            # The kernel had written its own version into it.
            book.metadata = nbformat.from_dict(METADATA)
            for cell in book.cells:
                for output in cell.get("outputs", []):
                    if "image/png" in output.get(
                        "data", {}
                    ):  # an explorer's view lives only as long as its kernel
                        output.data.pop("application/vnd.jupyter.widget-view+json", None)
            save(book, notebook_path(text))
    return failed


def run(only: str) -> int:
    folder = output_folder("executed")
    rows, failed = [], 0
    for text in texts(only):
        book = nbformat.read(notebook_path(text), as_version=4)
        print(f"{text.stem} ...", flush=True)
        seconds, memory, error = execute(book, text.stem, timed=True)
        nbformat.write(book, folder / notebook_path(text).name)
        codes = sum(c.cell_type == "code" for c in book.cells)
        rows.append(
            f"{text.stem:32} {codes:5} {seconds:8.1f} {memory / 2**30:8.2f}  "
            f"{'FAILED' if error else 'ok'}"
        )
        if error:
            failed += 1
            print(error, file=sys.stderr)
    print(
        f"\n{'notebook':32} {'cells':>5} {'seconds':>8} {'peak GB':>8}  result", *rows, sep="\n"
    )
    print(
        f"\n{len(rows) - failed} of {len(rows)} notebooks ran to the end; executed copies "
        f"and results: {folder.parent}"
    )
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("sync", "build", "run"))
    parser.add_argument(
        "only", nargs="?", default="", help="a notebook's number or the start of its name"
    )
    arguments = parser.parse_args()
    sys.exit(
        bool({"sync": sync, "build": build, "run": run}[arguments.command](arguments.only))
    )
