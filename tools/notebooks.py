"""Build and run the course: notebooks/*.ipynb are built from their source, notebooks/text/*.py.

python -m tools.notebooks sync         take over changes of the text, execute nothing
python -m tools.notebooks build [10]   sync, execute in the quick profile, store the outputs
python -m tools.notebooks run [10]     execute copies in this environment, print a summary
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import psutil
from jupytext.combine import combine_inputs_with_outputs
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from tqdm import tqdm

from helpers.checking.sandbox import memory_taken
from helpers.runtime import output_folder, replacing

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
CELL_METADATA = {"tags", "slideshow"}
# Stored outputs are the same everywhere: of the quick profile, on bundled data, on a CPU.
BUILD_ENVIRONMENT = {
    "COURSE_PROFILE": "quick",
    "COURSE_DATA": "bundled",
    "CUDA_VISIBLE_DEVICES": "-1",
    # ipykernel stores the C++ log with the outputs, unless it believes it is under test.
    "PYTEST_CURRENT_TEST": "build",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HEAD = f"{'notebook':32} {'seconds':>8} {'peak GB':>8}  result"


def texts(only: str = "") -> list[Path]:
    """Return the text sources in course order, or those whose name starts with `only`."""
    found = sorted((FOLDER / "text").glob(f"{only}*.py"))
    if not found:
        raise SystemExit(f"No notebook starts with {only!r}; see {FOLDER / 'text'}.")
    return found


def notebook_path(text: Path) -> Path:
    """Return the notebook built from a text source."""
    return FOLDER / f"{text.stem}.ipynb"


def updated(text: Path) -> NotebookNode:
    """Return the notebook of a text source, with the outputs of the built one."""
    book = jupytext.read(text)
    built = notebook_path(text)
    if built.exists():
        book = combine_inputs_with_outputs(book, nbformat.read(built, as_version=4))
    for number, cell in enumerate(book.cells):
        cell.id = f"c{number:03d}"  # by its place, so that building twice gives the same file
        kept = CELL_METADATA & set(cell.metadata)
        cell.metadata = {key: cell.metadata[key] for key in sorted(kept)}
    return nbformat.v4.new_notebook(cells=book.cells, metadata=METADATA)


def save(book: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all: an interrupted build leaves the old one."""
    with replacing(path) as partial:
        nbformat.write(book, partial)


def resident_memory(pid: int) -> int:
    """Return the bytes that a process and all that it started occupy; 0 if it is gone."""
    total = 0
    try:
        total += memory_taken(pid=pid)
        for child in psutil.Process(pid).children():
            total += resident_memory(child.pid)
    except psutil.NoSuchProcess:  # it ended just now
        pass
    return total


class PeakMemory(threading.Thread):
    """The most memory that kernels started here occupy, sampled five times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            taken = 0
            for kernel in psutil.Process().children():
                taken += resident_memory(kernel.pid)
            self.peak = max(self.peak, taken)

    def __enter__(self) -> PeakMemory:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()


@dataclass(frozen=True)
class Execution:
    """What an execution took (seconds, bytes), and its error in words, if there was one."""

    seconds: float
    peak_memory: int
    error: str

    def row(self, name: str) -> str:
        """Return the line about this execution for the summary."""
        result = "FAILED" if self.error else "ok"
        gigabytes = self.peak_memory / 2**30
        return f"{name:32} {self.seconds:8.1f} {gigabytes:8.2f}  {result}"


def execute(book: NotebookNode) -> Execution:
    """Execute a notebook in place, up to its first error, in a kernel that ends with it."""
    ClearOutputPreprocessor().preprocess(book, {})
    client = NotebookClient(
        book,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(FOLDER)}},
    )
    began = time.monotonic()
    # Not client.execute(): it takes Ctrl-C for a kernel that died.
    with PeakMemory() as memory, client.setup_kernel():
        error = execute_cells(client)
    return Execution(time.monotonic() - began, memory.peak, error)


def execute_cells(client: NotebookClient) -> str:
    """Execute a notebook's cells in order; return the first error in words, or nothing."""
    cells = tqdm(client.nb.cells, unit="cell", leave=False, disable=None)
    for index, cell in enumerate(cells):
        try:
            client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
        except CellExecutionError as error:
            message = f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            message = "The kernel died. Is there enough memory?"
        else:
            continue
        beginning = cell.source.splitlines()[:3]
        code = textwrap.indent("\n".join(beginning), "    ")
        first_line, *_ = message.splitlines()
        return f"Cell {index} failed:\n{code}\n{first_line}"
    return ""


def sync(only: str) -> int:
    """Take over changes of the text; return the number of failures, which is 0."""
    for text in texts(only):
        save(updated(text), notebook_path(text))
    return 0


def build(only: str) -> int:
    """Execute notebooks and store their outputs; return how many failed and were not stored."""
    for name in ("COURSE_OUTPUT", "COURSE_DOWNLOAD", "MPLBACKEND"):
        os.environ.pop(name, None)
    os.environ.update(BUILD_ENVIRONMENT)
    failed = 0
    print(HEAD)
    for text in texts(only):
        book = updated(text)
        execution = execute(book)
        print(execution.row(text.stem), flush=True)
        if execution.error:
            failed += 1
            print(execution.error, file=sys.stderr)
        else:
            drop_widget_views(book)
            save(book, notebook_path(text))
    return failed


def drop_widget_views(book: NotebookNode) -> None:
    """Leave of an explorer its picture: its view lives only as long as its kernel."""
    for cell in book.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data.pop(WIDGET_VIEW, None)


def run(only: str) -> int:
    """Execute copies, print progress and a summary; return how many failed."""
    folder = output_folder("executed")
    rows = []
    failed = 0
    for text in texts(only):
        print(f"{text.stem} ...", flush=True)
        book = nbformat.read(notebook_path(text), as_version=4)
        execution = execute(book)
        nbformat.write(book, folder / f"{text.stem}.ipynb")
        rows.append(execution.row(text.stem))
        if execution.error:
            failed += 1
            print(execution.error, file=sys.stderr)
    print("", HEAD, *rows, "", sep="\n")
    print(f"{len(rows) - failed} of {len(rows)} notebooks ran to the end.")
    print(f"Executed copies and results: {folder.parent}")
    return failed


def main() -> int:
    """Run ``python -m tools.notebooks``; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"sync": sync, "build": build, "run": run}
    parser.add_argument("command", choices=commands)
    parser.add_argument(
        "only", nargs="?", default="", help="a notebook's number or the start of its name"
    )
    arguments = parser.parse_args()
    try:
        failed = commands[arguments.command](arguments.only)
    except KeyboardInterrupt:
        return 130
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
