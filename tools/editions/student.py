"""For the class: the edition to be handed out and handed in, with the metadata of nbgrader."""

from __future__ import annotations

import re
from collections import defaultdict
from copy import deepcopy

from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from tools.editions.lesson import IMPORT, exercises_of, with_cells

CLOSED = """import os

os.environ["COURSE_EDITION"] = "student"  # solution() shows nothing here; hint() does"""
HAND_IN = """## Hand in

Run all cells, save, and hand in this file: your answers are in it. Under each exercise the \
last cell shows the points
it would get, `1.0` or `0.0`."""
ON_SOLUTIONS = re.compile(r"\s`exercises\.\w+\.solution\(\)` shows a right answer\.")


def student(book: NotebookNode, with_solutions: bool = False) -> NotebookNode:
    """Return the edition: nothing was run, answers earn points, solution() shows nothing.

    `with_solutions` is for the instructor: ``nbgrader generate_assignment`` makes the other of
    it.
    """
    edition = deepcopy(book)
    ClearOutputPreprocessor().preprocess(edition, {})
    for cell in edition.cells:
        cell.source = ON_SOLUTIONS.sub("", cell.source)
    closed = new_code_cell(CLOSED)
    mark(closed, "edition")
    setup = [cell.cell_type for cell in book.cells].index("code")
    added = defaultdict(list)
    added[setup - 1].append(closed)
    for position, exercise in exercises_of(book).items():
        answer = edition.cells[position - 1]
        mark(answer, f"answer-{exercise.number}", is_answer=True)
        if with_solutions:
            solution = ["", "### BEGIN SOLUTION", exercise.source(), "### END SOLUTION"]
            answer.source += "\n".join(solution)
        points = new_code_cell(points_source(book, position))
        mark(points, f"points-{exercise.number}", points=1)
        added[position].append(points)
    added[len(book.cells) - 1].append(new_markdown_cell(HAND_IN))
    return with_cells(edition, added)


def points_source(book: NotebookNode, position: int) -> str:
    """Return the code whose value is the points of the answer that a cell checks."""
    source = "\n".join(cell.source for cell in book.cells)
    points = book.cells[position].source.replace(".check(", ".points(")
    return f"{IMPORT.search(source)[0]}\n\n{points}"


def mark(cell: NotebookNode, name: str, is_answer: bool = False, points: int = 0) -> None:
    """Tell nbgrader what a cell is: an answer, the points of one, or a cell to be kept."""
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": name,
        "task": False,
        "grade": points > 0,
        "solution": is_answer,
        "locked": not is_answer,
    }
    if points:
        cell.metadata["nbgrader"]["points"] = points
