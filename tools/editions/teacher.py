"""For the teacher: minutes, questions for the room, common wrong turns and solutions."""

from __future__ import annotations

import re
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from helpers.exercises import Exercise
from tools.editions.lesson import FOLDER, exercises_of, steps, with_cells

DISCUSSION = FOLDER.parent / "docs" / "discussion.md"
HEADING = re.compile(r"(?m)^#{2,3} (.+)$")
TIME = re.compile(
    r"\*\*Time\*\*\s+(\d+)\s+minutes\s+to\s+read,\s+(\d+)\s+for\s+the\s+exercises"
)
TABLE = """**Minutes**, by the length of the sections and the number of their exercises

| section | read | exercises |
|---|---|---|"""


def teacher(book: NotebookNode, name: str) -> NotebookNode:
    """Return the edition: the lesson as it was run, with notes for the teacher between.

    Raises
    ------
    ValueError
        If docs/discussion.md has questions for sections that the notebook does not have.
    """
    added = defaultdict(list)
    added[0].append(note(timetable(book)))
    questions = discussion(DISCUSSION, name)
    for position, cell in enumerate(book.cells):
        for heading in HEADING.findall(cell.source):
            if heading in questions:
                asked = questions.pop(heading)
                text = f"**Ask the room**, before the next cell is run\n\n{asked}"
                added[position].append(note(text))
    if questions:
        gone = ", ".join(questions)
        raise ValueError(f"{DISCUSSION.name} names sections that {name} has not: {gone}.")
    for position, exercise in exercises_of(book).items():
        added[position].append(note(wrong_turns(exercise)))
        added[position].append(right_answer(exercise))
    return with_cells(book, added)


def note(text: str) -> NotebookNode:
    """Return a cell for the teacher: a quotation, to be told from the lesson's own text."""
    quoted = textwrap.indent(text, "> ", lambda line: True)
    quoted = re.sub(r"(?m) +$", "", quoted)
    return new_markdown_cell(quoted, metadata={"tags": ["teacher"]})


def wrong_turns(exercise: Exercise) -> str:
    head = (
        f"**Common wrong turns** · Exercise {exercise.number}, and what the check says to each"
    )
    lines = [head, ""]
    for case in exercise.misconceptions:
        lines.append(f"- **{case.name}**: {case.sentence}")
    return "\n".join(lines)


def right_answer(exercise: Exercise) -> NotebookNode:
    source = f"# One right answer\n{exercise.source()}"
    return new_code_cell(source, metadata={"tags": ["teacher"]})


def timings(book: NotebookNode) -> dict[str, tuple[float, float]]:
    """Return the minutes to read each section, by its heading, and those for its exercises.

    The notebook's first cell says how long the whole takes. Reading is shared out by the words
    of text and code, the exercises' minutes by their number. What is for reference takes none.
    """
    stated = TIME.search(book.cells[0].source)
    reading = int(stated[1])
    doing = int(stated[2])
    words = Counter()
    exercises = Counter()
    section = "Beginning"
    for step in steps(book):
        if step.opens and step.heading.startswith("## "):
            section = step.heading.removeprefix("## ")
        if step.opens and step.heading.startswith("### Exercise"):
            exercises[section] += 1
        words[section] += len(step.text.split())
        if step.code:
            words[section] += len(step.code.source.split())
    for aside in ("For reference", "References"):
        words.pop(aside, None)
    per_word = reading / words.total()
    per_exercise = doing / max(exercises.total(), 1)
    return {
        name: (count * per_word, exercises[name] * per_exercise)
        for name, count in words.items()
    }


def timetable(book: NotebookNode) -> str:
    """Return the minutes of each section as a table."""
    minutes = timings(book)
    rows = []
    for name, (reading, doing) in minutes.items():
        exercises = f"{doing:.0f}" if doing else ""
        rows.append(f"| {name} | {reading:.0f} | {exercises} |")
    reading, doing = map(sum, zip(*minutes.values()))
    total = f"| **in all** | {reading:.0f} | {doing:.0f} |"
    return "\n".join([TABLE, *rows, total])


def discussion(page: Path, name: str) -> dict[str, str]:
    """Return a notebook's questions for the room, by the heading they belong to."""
    text = page.read_text(encoding="utf-8")
    _, _, behind = text.partition(f"\n## {name}\n")
    questions = behind.partition("\n## ")[0]
    found = {}
    for part in re.split(r"(?m)^### ", questions)[1:]:
        heading, _, asked = part.partition("\n")
        found[heading] = asked.strip()
    return found
