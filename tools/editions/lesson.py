"""What all editions are made from: the committed notebooks, their exercises, their sections."""

from __future__ import annotations

import importlib
import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.exercises import Exercise

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
IMPORT = re.compile(r"from (helpers\.exercises) import (\w+) as exercises")
CHECK = re.compile(r"exercises\.(\w+)\.check\(\w+\)")


def committed(only: str = "") -> dict[str, NotebookNode]:
    """Return the notebooks as committed, by name, or those whose name starts with `only`."""
    paths = sorted(FOLDER.glob(f"{only}*.ipynb"))
    if not paths:
        raise SystemExit(f"No notebook starts with {only!r}; see {FOLDER}.")
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def exercises_of(book: NotebookNode) -> dict[int, Exercise]:
    """Return a notebook's exercises by the position of the cell that checks the one above."""
    found = {}
    module = None
    for position, cell in enumerate(book.cells):
        imported = IMPORT.search(cell.source)
        if imported:
            module = importlib.import_module(".".join(imported.groups()))
        check = CHECK.fullmatch(cell.source.strip())
        if check:
            found[position] = getattr(module, check[1])
    return found


@dataclass
class Step:
    """A text, the code below it if there is some, and the heading both stand under."""

    heading: str
    opens: bool  # whether it is the first under its heading
    text: str = ""
    code: NotebookNode | None = None


def steps(book: NotebookNode) -> list[Step]:
    """Return a notebook as steps, in order."""
    found: list[Step] = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"(?m)^(?=#{1,3} )", cell.source):
                add_text(found, part)
        else:
            if found[-1].code:
                found.append(Step(found[-1].heading, opens=False))
            found[-1].code = cell
    return found


def add_text(found: list[Step], part: str) -> None:
    """Add a text that may begin with a heading; a heading alone waits for its text."""
    if part.startswith("#"):
        heading, _, part = part.partition("\n")
        found.append(Step(heading, opens=True))
    text = part.strip()
    if text:
        last = found[-1]
        if last.text or last.code:
            last = Step(last.heading, opens=False)
            found.append(last)
        last.text = text


def with_cells(book: NotebookNode, added: dict[int, list[NotebookNode]]) -> NotebookNode:
    """Return a copy of a notebook with cells added behind those at the given positions."""
    edition = deepcopy(book)
    for position in sorted(added, reverse=True):
        for number, cell in enumerate(added[position]):
            cell.id = f"edition-{position}-{number}"  # building twice gives the same file
        edition.cells[position + 1 : position + 1] = added[position]
    return edition
