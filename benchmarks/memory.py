"""Measure the memory a learner takes: the server at rest, each kernel at its highest.

Every notebook of the course runs once in the quick profile on the bundled data, in a fresh
kernel. Counted is the resident memory of the process and of all that it started, sampled five
times a second; the files of a library that several kernels share on one machine are counted in
each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import requests

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from lab import lab  # noqa: E402

from tools.notebooks import execute, resident_memory  # noqa: E402

QUICK = {"COURSE_PROFILE": "quick", "COURSE_DATA": "bundled", "CUDA_VISIBLE_DEVICES": "-1"}


def server_at_rest(seconds: float = 10) -> int:
    """Start JupyterLab, ask it for the course's folder, wait; return the bytes it occupies."""
    with lab(NOTEBOOKS) as (url, token, pid):
        for path in ("lab", "api/contents"):
            requests.get(f"{url}/{path}?token={token}", timeout=10).raise_for_status()
        time.sleep(seconds)
        return resident_memory(pid)


def highest_of(notebook: Path) -> int:
    """Run a notebook in a fresh kernel; return the highest number of bytes it occupied."""
    execution = execute(nbformat.read(notebook, as_version=4))
    if execution.error:
        raise RuntimeError(f"{notebook.stem}: {execution.error}")
    return execution.peak_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "only",
        nargs="*",
        default=[""],
        help="a notebook's number or the start of its name; all of them",
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    notebooks = [
        path for only in options.only for path in sorted(NOTEBOOKS.glob(f"{only}*.ipynb"))
    ]
    if not notebooks:
        parser.error(f"no notebook starts with {options.only!r}; see {NOTEBOOKS}")
    found = {}

    def note(name: str, taken: int) -> None:
        found[name] = taken
        print(f"{name:32} {taken / 1e6:6.0f}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(QUICK, COURSE_OUTPUT=folder)
        print(f"{'':32} {'MB':>6}")
        note("server at rest", server_at_rest())
        for path in notebooks:
            note(path.stem, highest_of(path))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
