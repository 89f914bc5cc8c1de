"""Make the classroom editions of the course from its notebooks: dist/student, nbgrader, teacher and slides.

python -m tools.editions [10]      all editions, of all notebooks or of one
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import html
import importlib.util
import io
import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import runtime
from helpers.exercises import Exercise

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
DISCUSSION = FOLDER.parent / "docs" / "discussion.md"
CHECK = re.compile(r"exercises\.(\w+)\.check\((\w+)\)")
HEADING = re.compile(r"(?m)^#{2,3} (.+)$")
FORMULA = re.compile(r"`[^`]*`|\$\$?([^$]+)\$\$?")
PREDICT = re.compile(r"\b[Pp]redict")
LIST = re.compile(r"[-*|>] |\d+\. ")
PNG = "image/png"
LINES = 16  # of code that a slide has room for

# nbgrader puts its own stub where a solution was; the learner's stub is in the cell already.
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "tf-vision-course"
c.ClearSolutions.code_stub = {"python": ""}
c.Execute.timeout = 600
"""

CLOSED = """import os

os.environ["COURSE_EDITION"] = "student"  # solution() shows nothing here; hint() does"""

HAND_IN = """## Hand in

Run all cells, save, and hand in this file: your answers are in it. Under each exercise the last cell shows the points
it would get, `1.0` or `0.0`."""


@dataclass(frozen=True)
class Place:
    """An exercise in its notebook: the module's name, the variable's, and the positions of answer and check."""

    module: str
    variable: str
    answer: int
    check: int

    @property
    def exercise(self) -> Exercise:
        return getattr(
            importlib.import_module(f"helpers.exercises.{self.module}"), self.variable
        )


def committed(only: str = "") -> dict[str, nbformat.NotebookNode]:
    """Return the learners' notebooks as committed, by name: the one source of all editions."""
    found = {
        path.stem: nbformat.read(path, as_version=4)
        for path in sorted(FOLDER.glob(f"{only}*.ipynb"))
    }
    if not found:
        raise SystemExit(f"No notebook starts with {only!r}; see {FOLDER}.")
    return found


def places(book: nbformat.NotebookNode) -> list[Place]:
    """Return where the exercises of a notebook are."""
    source = "\n".join(cell.source for cell in book.cells)
    module = re.search(r"from helpers\.exercises import (\w+) as exercises", source)[1]
    checks = [(k, CHECK.fullmatch(cell.source.strip())) for k, cell in enumerate(book.cells)]
    return [Place(module, found[1], k - 1, k) for k, found in checks if found]


def with_cells(book: nbformat.NotebookNode, added: dict[int, list]) -> nbformat.NotebookNode:
    """Return a copy of a notebook with cells added behind those at the given positions; -1 is the beginning."""
    copy = deepcopy(book)
    copy.cells = list(added.get(-1, []))
    for k, cell in enumerate(deepcopy(book.cells)):
        copy.cells += [cell, *added.get(k, [])]
    for number, cell in enumerate(cell for cells in added.values() for cell in cells):
        cell["id"] = f"edition-{number}"  # from its place: building twice gives the same file
    return copy


# For the class: student and nbgrader


def student(book: nbformat.NotebookNode, solved: bool = False) -> nbformat.NotebookNode:
    """Return the edition to be handed out: nothing was run, answers earn points, solution() shows nothing.

    Its metadata are nbgrader's. With `solved` it is the instructor's: `nbgrader
    generate_assignment` makes the other of it.
    """
    setup = next(k for k, cell in enumerate(book.cells) if cell.cell_type == "code")
    locked = {"grade": False, "solution": False, "locked": True}
    added = {setup - 1: [graded(new_code_cell(CLOSED), "edition", **locked)]}
    for place in places(book):
        code = f"from helpers.exercises import {place.module} as exercises\n\n"
        answer = CHECK.fullmatch(book.cells[place.check].source.strip())[2]
        cell = new_code_cell(code + f"exercises.{place.variable}.points({answer})")
        name = f"points-{place.exercise.number}"
        added[place.check] = [
            graded(cell, name, grade=True, solution=False, locked=True, points=1)
        ]
    added.setdefault(len(book.cells) - 1, []).append(new_markdown_cell(HAND_IN))
    copy = deepcopy(book)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.source = re.sub(
            r"\s`exercises\.\w+\.solution\(\)` shows a right answer\.", "", cell.source
        )
    for place in places(book):
        cell = copy.cells[place.answer]
        graded(
            cell, f"answer-{place.exercise.number}", grade=False, solution=True, locked=False
        )
        if solved:
            cell.source += f"\n### BEGIN SOLUTION\n{place.exercise.source()}\n### END SOLUTION"
    return with_cells(copy, added)


def graded(cell: nbformat.NotebookNode, name: str, **metadata) -> nbformat.NotebookNode:
    """Give a cell what nbgrader wants to know about it."""
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": name,
        "task": False,
        **metadata,
    }
    return cell


# For the teacher


def teacher(book: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Return the edition with timings, discussion prompts, and behind each exercise wrong turns and a solution."""
    minutes, prompts = timings(book), discussion(name)
    added: dict[int, list] = {0: [note(timetable(minutes))]}
    for k, cell in enumerate(book.cells):
        for heading in HEADING.findall(cell.source) if cell.cell_type == "markdown" else []:
            if heading in prompts:
                added.setdefault(k, []).append(
                    note(
                        "**Ask the room**, before the next cell is "
                        f"run\n\n{prompts.pop(heading)}"
                    )
                )
    if prompts:
        raise ValueError(
            f"{DISCUSSION.name} names sections that {name} has not: {', '.join(prompts)}."
        )
    for place in places(book):
        turns = [
            f"- **{case.name}**: {case.sentence}" for case in place.exercise.misconceptions
        ]
        head = (
            f"**Common wrong turns** · Exercise {place.exercise.number}, and what the check "
            "says to each"
        )
        solution = new_code_cell(
            f"# One right answer\n{place.exercise.source()}", metadata={"tags": ["teacher"]}
        )
        added.setdefault(place.check, []).extend(
            [note("\n".join([head, "", *turns])), solution]
        )
    return with_cells(book, added)


def note(text: str) -> nbformat.NotebookNode:
    """Return a cell for the teacher: a quotation, so that it is told from the lesson's own text."""
    quoted = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    return new_markdown_cell(quoted, metadata={"tags": ["teacher"]})


def timings(book: nbformat.NotebookNode) -> dict[str, tuple[float, float]]:
    """Return minutes to read and minutes for the exercises of each section (``##``), by its heading.

    The notebook's first cell says how long the whole takes. Reading is shared out by the words
    of text and code, exercises by their number.
    """
    first = " ".join(book.cells[0].source.split())
    reading, doing = map(
        int,
        re.search(
            r"\*\*Time\*\* (\d+) minutes to read, (\d+) for the exercises", first
        ).groups(),
    )
    words, exercises, section = {}, {}, "Beginning"
    for cell in book.cells:
        for part in (
            re.split(r"(?m)^(?=## )", cell.source)
            if cell.cell_type == "markdown"
            else [cell.source]
        ):
            if cell.cell_type == "markdown" and part.startswith("## "):
                section = part.splitlines()[0][3:]
            words[section] = words.get(section, 0) + len(re.findall(r"\w+", part))
            exercises[section] = exercises.get(section, 0) + len(
                re.findall(r"(?m)^### Exercise \d", part)
            )
    words.pop("References", None)
    total, number = sum(words.values()), sum(exercises.values())
    return {
        name: (reading * words[name] / total, doing * exercises[name] / number)
        for name in words
    }


def timetable(minutes: dict[str, tuple[float, float]]) -> str:
    rows = [
        f"| {name} | {read:.0f} | {f'{do:.0f}' if do else ''} |"
        for name, (read, do) in minutes.items()
    ]
    total = (
        f"| **in all** | {sum(r for r, _ in minutes.values()):.0f} | "
        f"{sum(d for _, d in minutes.values()):.0f} |"
    )
    head = [
        "**Minutes**, shared out by the length of the sections and the number of their "
        "exercises",
        "",
    ]
    return "\n".join([*head, "| section | read | exercises |", "|---|---|---|", *rows, total])


def discussion(name: str) -> dict[str, str]:
    """Return a notebook's discussion prompts by the heading of the section they belong to."""
    parts = re.split(r"(?m)^## (\S+)\s*$", DISCUSSION.read_text(encoding="utf-8"))
    found = dict(zip(parts[1::2], parts[2::2])).get(name, "")
    sections = re.split(r"(?m)^### (.+?)\s*$", found)
    return {heading: text.strip() for heading, text in zip(sections[1::2], sections[2::2])}


# For the projector: slides


def slides(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a deck: a notebook whose slide metadata nbconvert turns into slides.

    Figures come first, large and alone, the section's heading with them; only a text that asks
    for a prediction comes before. On the next slide is the text, its first paragraph and its
    lists, with the code and what it printed. Other paragraphs and long code are speaker notes.
    """
    deck = new_notebook(metadata=book.metadata)
    for heading, steps in sections(book):
        level = heading.index(" ")
        if heading == "## References":
            deck.cells += [slide("\n\n".join([heading, *(text for text, _ in steps)]), "notes")]
            continue
        for k, (text, code) in enumerate(steps):
            if level == 1:
                code = None  # the setup
            whole = level == 1 or heading.startswith("### Exercise")
            deck.cells += of_step("" if k else f"{heading}\n\n", *shared_out(text, whole), code)
            if not k and level < 3:
                opening = next(
                    cell for cell in reversed(deck.cells) if cell.source.startswith(heading)
                )
                opening.metadata = slide_type("slide")
    for k, cell in enumerate(deck.cells):
        cell["id"] = f"slide-{k}"
    return deck


def sections(book: nbformat.NotebookNode) -> list[tuple[str, list]]:
    """Return pairs of a heading and its steps: pairs of a text and the code cell below it, either may be missing."""
    found: list[tuple[str, list]] = []
    for cell in book.cells:
        if cell.cell_type == "code":
            waiting = found[-1][1] and found[-1][1][-1][1] is None
            text = found[-1][1].pop()[0] if waiting else ""
            found[-1][1].append((text, cell))
            continue
        for part in re.split(r"(?m)^(?=#{1,3} )", cell.source):
            if part.startswith("#"):
                heading, _, part = part.partition("\n")
                found.append((heading, [("", None)]))
            if part.strip():
                found[-1][1].append((part.strip(), None))
    return [
        (heading, [step for step in steps if step != ("", None)] or steps)
        for heading, steps in found
    ]


def of_step(
    heading: str, shown: str, spoken: str, code: nbformat.NotebookNode | None
) -> list[nbformat.NotebookNode]:
    """Return the slides of a text and the code below it."""
    drawn = figures(code) if code else []
    if drawn and not PREDICT.search(shown):
        parts, joined = [heading + drawn[0], *drawn[1:], shown], bool(shown)
    else:
        parts, joined = [heading + shown, *drawn], not drawn and bool(heading + shown)
    cells = [slide(part, "subslide") for part in parts if part]
    cells += [slide(spoken, "notes")] * bool(spoken)
    if code and not CHECK.fullmatch(code.source.strip()):
        printed = [output for output in code.outputs if PNG not in output.get("data", {})]
        short = code.source.count("\n") < LINES
        lines = short * (code.source.count("\n") + 1) + sum(
            str(output.get("text", "")).count("\n") for output in printed
        )
        metadata = slide_type("-" if joined and lines <= LINES else "subslide")
        if short or printed:
            cells.append(
                new_code_cell(code.source if short else "", outputs=printed, metadata=metadata)
            )
        if not short:
            cells.append(slide(f"```python\n{code.source}\n```", "notes"))
    return cells


def shared_out(text: str, whole: bool = False) -> tuple[str, str]:
    """Return what of a text is shown, its formulas drawn as pictures, and what is left to the speaker."""
    blocks = re.split(r"\n\s*\n", text)
    shown = [
        ".hint()" not in block
        and (whole or not k or bool(LIST.match(block) or PREDICT.search(block)))
        for k, block in enumerate(blocks)
    ]
    both = [
        [block for block, yes in zip(blocks, shown) if yes == wanted]
        for wanted in (True, False)
    ]
    return FORMULA.sub(
        lambda m: formula(m[1]) if m[1] else m[0], "\n\n".join(both[0])
    ), "\n\n".join(both[1])


def formula(tex: str) -> str:
    """Return a formula as a picture inside the text, as MathJax would have to be fetched."""
    from matplotlib import mathtext, rc_context
    from matplotlib.font_manager import FontProperties

    file, points = io.StringIO(), 10
    with rc_context({"svg.hashsalt": "slides", "mathtext.fontset": "cm"}):
        below = mathtext.math_to_image(
            f"${tex}$".replace("\n", " "), file, FontProperties(size=points), 72, "svg"
        )
    svg = re.sub(r"(?s)<metadata>.*?</metadata>", "", file.getvalue())
    height = float(re.search(r'height="([\d.]+)pt"', svg)[1])
    style = f"height:{height / points:.2f}em;vertical-align:-{below / points:.2f}em"
    return (
        f'<img src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" '
        f'style="{style}" alt="{tex}">'
    )


def figures(cell: nbformat.NotebookNode) -> list[str]:
    """Return the figures that a code cell drew, as HTML with their alt text."""
    found = [output for output in cell.outputs if PNG in output.get("data", {})]
    return [
        f'<img class="figure" src="data:{PNG};base64,{"".join(output.data[PNG].split())}" '
        f'alt="{html.escape(output.metadata[PNG]["alt"])}">'
        for output in found
    ]


def slide(text: str, kind: str) -> nbformat.NotebookNode:
    return new_markdown_cell(text, metadata=slide_type(kind))


def slide_type(kind: str) -> dict:
    return {"slideshow": {"slide_type": kind}}


def presented(deck: nbformat.NotebookNode, name: str) -> str:
    """Return a deck as one HTML file that needs no network: the `slides` extra brings reveal.js."""
    from nbconvert import SlidesExporter

    reveal = (
        Path(importlib.util.find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
    )
    exporter = SlidesExporter(
        template_name="slides",
        extra_template_basedirs=[str(Path(__file__).parent)],
        extra_template_paths=[str(reveal)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(deck, {"metadata": {"name": name}})[0]


def build(only: str, dist: Path) -> None:
    """Write all editions of the notebooks whose names start with `only` under a folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        runtime.start()  # the exercises import TensorFlow: this way it is silent
    books = committed(only)
    (dist / "slides").mkdir(parents=True, exist_ok=True)
    for name, book in books.items():
        for path, edition in {
            f"student/{name}": student(book),
            f"nbgrader/source/{name}/{name}": student(book, solved=True),
            f"teacher/{name}": teacher(book, name),
        }.items():
            file = dist / f"{path}.ipynb"
            file.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(edition, file)
        (dist / "slides" / f"{name}.slides.html").write_text(
            presented(slides(book), name), encoding="utf-8"
        )
        print(name)
    (dist / "nbgrader" / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "only", nargs="?", default="", help="a notebook's number or the start of its name"
    )
    build(parser.parse_args().only, FOLDER.parent / "dist")
