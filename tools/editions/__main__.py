"""Make the classroom editions: dist/student, dist/nbgrader, dist/teacher and dist/slides.

python -m tools.editions [10]      all editions, of all notebooks or of one
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.runtime import start
from tools.editions.lesson import FOLDER, committed
from tools.editions.slides import deck, presented
from tools.editions.student import student
from tools.editions.teacher import teacher

# nbgrader puts its own stub where a solution was; the learner's stub is in the cell already.
NBGRADER_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "tf-vision-course"
c.ClearSolutions.code_stub = {"python": ""}
c.Execute.timeout = 600
"""


def build(books: dict[str, NotebookNode], dist: Path) -> None:
    """Write all editions of some notebooks, given by name, under a folder."""
    for name, book in books.items():
        file = f"{name}.ipynb"
        write(student(book), dist / "student" / file)
        instructors = student(book, with_solutions=True)
        write(instructors, dist / "nbgrader" / "source" / name / file)
        write(teacher(book, name), dist / "teacher" / file)
        slides = dist / "slides" / f"{name}.slides.html"
        slides.parent.mkdir(exist_ok=True)
        slides.write_text(presented(deck(book), name), encoding="utf-8")
        print(name)
    config = dist / "nbgrader" / "nbgrader_config.py"
    config.write_text(NBGRADER_CONFIG, encoding="utf-8")


def write(edition: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(edition, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "only", nargs="?", default="", help="a notebook's number or the start of its name"
    )
    books = committed(parser.parse_args().only)
    start()  # exercises import TensorFlow: this way it is silent
    build(books, FOLDER.parent / "dist")


if __name__ == "__main__":
    main()
