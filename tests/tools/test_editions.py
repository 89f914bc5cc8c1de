"""The classroom editions: all made from the committed notebooks, graded by nbgrader itself, shown by reveal.js."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from lessons import names_bound, names_needed
from test_browser import CHROMIUM, FLAGS

from tools import editions

ROOT = Path(__file__).resolve().parents[2]

LEARNER = editions.committed()
each = pytest.mark.parametrize("name", LEARNER)


def lesson(edition) -> list[tuple[str, str]]:
    """Return the cells of an edition that are the learner's as well, by the ids they have in both."""
    return [
        (cell["id"], cell.source)
        for cell in edition.cells
        if not cell["id"].startswith("edition-")
    ]


def original(name: str) -> list[tuple[str, str]]:
    return [(cell["id"], cell.source) for cell in editions.committed(name)[name].cells]


def answers(name: str) -> dict[str, editions.Place]:
    """Return a notebook's exercises by the name of the cell that nbgrader marks."""
    return {
        f"points-{place.exercise.number}": place for place in editions.places(LEARNER[name])
    }


# In step with the source


@each
def test_every_exercise_is_found(name):
    text = (ROOT / "notebooks" / "text" / f"{name}.py").read_text(encoding="utf-8")
    numbers = [place.exercise.number for place in editions.places(LEARNER[name])]
    assert numbers == [
        int(number) for number in re.findall(r"(?m)^# ### Exercise (\d+) ·", text)
    ]
    assert {place.exercise.notebook for place in editions.places(LEARNER[name])} == {name}


@each
def test_the_editions_hold_the_lesson_cell_for_cell(name):
    assert lesson(editions.teacher(LEARNER[name], name)) == original(name)
    without = " `exercises.*.solution()` shows a right answer."
    expected = [
        (id, re.sub(r"`exercises\.\w+\.solution", "`exercises.*.solution", s))
        for id, s in original(name)
    ]
    expected = [
        (id, source.replace(without, "").replace(without.replace(" ", "\n", 1), ""))
        for id, source in expected
    ]
    assert lesson(editions.student(LEARNER[name])) == expected


def test_a_changed_lesson_changes_every_edition():
    book = editions.with_cells(LEARNER["09_schedules"], {})
    place = editions.places(book)[1]
    book.cells[2].source += "\nchanged = 'in the lesson'"
    book.cells[place.answer].source += "\n# changed stub"
    for edition in (
        editions.student(book),
        editions.student(book, solved=True),
        editions.teacher(book, "09_schedules"),
    ):
        text = "\n".join(source for _, source in lesson(edition))
        assert "changed = 'in the lesson'" in text
        assert "# changed stub" in text


@each
def test_every_edition_is_a_valid_notebook_and_building_again_changes_nothing(name):
    for make in (
        editions.student,
        lambda b: editions.student(b, solved=True),
        lambda b: editions.teacher(b, name),
    ):
        edition = make(LEARNER[name])
        nbformat.validate(edition)
        assert len({cell["id"] for cell in edition.cells}) == len(edition.cells)
        assert nbformat.writes(edition) == nbformat.writes(make(LEARNER[name]))


# Student


@each
def test_the_student_edition_holds_no_solution(name):
    book = editions.student(LEARNER[name])
    text = nbformat.writes(book)
    assert "SOLUTION" not in text
    assert ".solution()" not in text
    assert not [cell for cell in book.cells if cell.get("outputs")]
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    for place in editions.places(LEARNER[name]):
        body = place.exercise.source().split("\n", 1)[-1]
        stub = book.cells[[c.metadata.get("nbgrader", {}).get("grade_id") for c in book.cells].index(
            f"answer-{place.exercise.number}")].source  # fmt: skip
        written = [line for line in body.splitlines() if line.strip() and line not in stub]
        assert written
        assert "\n".join(written) not in code, "a lesson shows the reference of an exercise"


@each
def test_a_solution_needs_only_what_the_cells_above_it_bind(name):
    for place in editions.places(LEARNER[name]):
        above = [
            cell.source
            for cell in LEARNER[name].cells[: place.answer + 1]
            if cell.cell_type == "code"
        ]
        assert names_needed(place.exercise.source()) <= {
            bound for source in above for bound in names_bound(source)
        }


def test_in_the_student_edition_solution_keeps_its_secret(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path))
    monkeypatch.setenv("COURSE_EDITION", "")
    exercise = answers("09_schedules")["points-1"].exercise
    exercise.solution()
    assert capsys.readouterr().out.startswith("def plan(")
    cells = [
        cell
        for cell in editions.student(LEARNER["09_schedules"]).cells
        if cell.cell_type == "code"
    ]
    exec(cells[0].source, {})
    exercise.solution()
    assert (
        capsys.readouterr().out
        == "Exercise 1: the student edition keeps the solutions. hint() helps on.\n"
    )
    monkeypatch.setattr(exercise, "hints_given", len(exercise.hints))
    exercise.hint()
    assert "solution()" not in capsys.readouterr().out


# Teacher


@each
def test_the_teachers_edition_holds_solutions_wrong_turns_prompts_and_outputs(name):
    edition = editions.teacher(LEARNER[name], name)
    prose = [cell.source for cell in edition.cells if cell.cell_type == "markdown"]
    spoken = "\n".join(text.replace("> ", "").replace("\n>", "\n") for text in prose)
    code = [cell.source for cell in edition.cells if cell.cell_type == "code"]
    for place in editions.places(LEARNER[name]):
        check = [cell["id"] for cell in edition.cells].index(
            LEARNER[name].cells[place.check]["id"]
        )
        assert (
            edition.cells[check + 2].source == f"# One right answer\n{place.exercise.source()}"
        )
        for case in place.exercise.misconceptions:
            assert f"- **{case.name}**: {case.sentence}" in edition.cells[check + 1].source
    prompts = (
        (ROOT / "docs" / "discussion.md")
        .read_text(encoding="utf-8")
        .partition(f"\n## {name}\n")[2]
    )
    for line in prompts.partition("\n## ")[0].splitlines():
        assert line.startswith("### ") or line in spoken
    assert [
        cell.get("outputs") for cell in edition.cells if not cell["id"].startswith("edition-")
    ] == [cell.get("outputs") for cell in LEARNER[name].cells]
    assert len(code) == len([c for c in LEARNER[name].cells if c.cell_type == "code"]) + len(
        answers(name)
    )


@each
def test_the_sections_minutes_add_up_to_what_the_notebook_says(name):
    reading, doing = zip(*editions.timings(LEARNER[name]).values())
    first = " ".join(LEARNER[name].cells[0].source.split())
    assert (
        f"**Time** {sum(reading):.0f} minutes to read, {sum(doing):.0f} for the exercises"
        in first
    )
    assert len(reading) > 4
    assert min(reading) > 0
    table = editions.timetable(editions.timings(LEARNER[name]))
    headings = re.findall(
        r"(?m)^## (.+)$", "\n".join(cell.source for cell in LEARNER[name].cells)
    )
    assert [
        row.split(" | ")[0] for row in re.findall(r"(?m)^\| (.+)$", table)[2:-1]
    ] == headings[:-1]


def test_prompts_for_a_section_that_is_gone_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(editions, "DISCUSSION", tmp_path / "discussion.md")
    editions.DISCUSSION.write_text(
        "## 09_schedules\n\n### 99 · Gone\n\n- Why?\n  Listen for: nothing.\n"
    )
    with pytest.raises(ValueError, match="99 · Gone"):
        editions.teacher(LEARNER["09_schedules"], "09_schedules")


# Slides


def deck_of(name: str) -> BeautifulSoup:
    return BeautifulSoup(
        editions.presented(editions.slides(LEARNER[name]), name), "html.parser"
    )


@each
def test_the_slides_hold_every_figure_with_its_alt_text_and_fetch_nothing(name):
    deck = deck_of(name)
    outputs = [output for cell in LEARNER[name].cells for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if "image/png" in output.get("data", {})]
    shown = deck.select("section section img.figure")
    assert [image["alt"] for image in shown] == [
        output.metadata["image/png"]["alt"] for output in drawn
    ]
    assert [image["src"].partition(",")[2] for image in shown] == [
        "".join(output.data["image/png"].split()) for output in drawn
    ]
    assert not deck.select("link, iframe, script[src]")
    assert all(
        image["src"].startswith("data:") and image["alt"] for image in deck.select("img")
    )
    styles = "".join(style.get_text() for style in deck.select("style"))
    assert not re.search(r"@import|url\((?!data:|#)", styles)


@each
def test_the_slides_lose_no_word_and_show_pictures_before_code(name):
    deck = editions.slides(LEARNER[name]).cells
    kinds = {cell.metadata.slideshow.slide_type for cell in deck}
    assert kinds == {"slide", "subslide", "-", "notes"}
    titles = re.findall(r"(?m)^## .+$", "\n".join(cell.source for cell in LEARNER[name].cells))
    opened = [
        cell.source.partition("\n")[0]
        for cell in deck
        if cell.metadata.slideshow.slide_type == "slide"
    ]
    assert opened[1:] == titles[:-1], "a slide for each section but the references"
    said = [cell.source for cell in deck]
    setup = True
    for cell in LEARNER[name].cells:
        setup = setup and not (
            cell.cell_type == "markdown" and re.search(r"(?m)^## ", cell.source)
        )
        if cell.cell_type == "markdown":
            for paragraph in re.split(r"\n\s*\n", cell.source):
                if not editions.FORMULA.search(re.sub(r"`[^`]*`", "", paragraph)):
                    assert all(
                        any(line in text for text in said) for line in paragraph.splitlines()
                    ), paragraph
        elif not setup and not editions.CHECK.fullmatch(cell.source.strip()):
            code = next(
                k
                for k, text in enumerate(said)
                if cell.source == text or f"\n{cell.source}\n" in text
            )
            for figure in editions.figures(cell):
                assert next(k for k, text in enumerate(said) if figure in text) < code


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "08_cutmix" else pytest.mark.long) for n in LEARNER],
)
def test_on_a_projector_every_slide_fits_and_nothing_is_fetched(name, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    file = tmp_path / f"{name}.slides.html"
    file.write_text(editions.presented(editions.slides(LEARNER[name]), name), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        slides = [page.evaluate(SIZES)]
        while not page.evaluate("Reveal.isLastSlide()"):
            page.evaluate("Reveal.next()")
            slides.append(page.evaluate(SIZES))
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert not errors
    assert len(slides) > 20
    for slide in slides:
        assert slide["text"] or slide["figures"], "an empty slide"
        assert slide["bottom"] <= 720, slide
        assert slide["right"] <= 1280, slide
        assert slide["code"] >= 14, f"code too small to be read: {slide}"
        assert slide["body"] >= 20, f"text too small to be read: {slide}"
        assert all(size > 0.35 for size in slide["figures"]), f"a small figure: {slide}"


# What is seen of the slide on show: where its parts end, the size of its letters in pixels, its
# figures' share of it.
SIZES = """(() => {
  const slide = Reveal.getCurrentSlide(), scale = Reveal.getScale();
  const parts = [...slide.children].filter((part) => !part.matches("aside"));
  const boxes = parts.flatMap((part) => [part, ...part.querySelectorAll("pre, p, li, img")])
    .map((part) => part.getBoundingClientRect());
  const letters = (part) => {
    let zoom = scale;
    for (let node = part; node !== slide; node = node.parentElement) zoom *= +(node.style.zoom || 1);
    return parseFloat(getComputedStyle(part).fontSize) * zoom;
  };
  const shown = (query) => parts.flatMap((part) => [...part.querySelectorAll(query)]);
  return {
    bottom: Math.max(...boxes.map((box) => box.bottom)), right: Math.max(...boxes.map((box) => box.right)),
    text: parts.map((part) => part.innerText).join("").trim(),
    code: Math.min(99, ...shown("pre").map(letters)), body: Math.min(99, ...shown("p, li").map(letters)),
    figures: shown("img.figure").map((image) => image.getBoundingClientRect())
      .map((box) => (box.width * box.height) / (1280 * 720)),
  };
})()"""


# nbgrader


@pytest.fixture(autouse=True)
def _commands_of_this_environment(monkeypatch):
    """nbgrader calls alembic by its name."""
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )


def nbgrader(folder: Path, *command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "nbgrader", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def released(name: str, folder: Path) -> nbformat.NotebookNode:
    """Build one notebook's editions, let nbgrader make the assignment of it, return what students would get."""
    editions.build(name, folder)
    nbgrader(folder / "nbgrader", "generate_assignment", name, "--create")
    return nbformat.read(folder / "nbgrader" / "release" / name / f"{name}.ipynb", as_version=4)


def marked(
    name: str, folder: Path, submissions: dict[str, dict[str, str]]
) -> dict[str, dict[str, float]]:
    """Hand in a student edition with answers put in, have nbgrader mark it; return the points of every exercise."""
    from nbgrader.api import Gradebook

    for student, given in submissions.items():
        book = nbformat.read(folder / "student" / f"{name}.ipynb", as_version=4)
        for cell in book.cells:
            cell.source = given.get(
                cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source
            )
        file = folder / "nbgrader" / "submitted" / student / name / f"{name}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(book, file)
    nbgrader(folder / "nbgrader", "autograde", name, "--create")
    with Gradebook(f"sqlite:///{folder / 'nbgrader' / 'gradebook.db'}") as book:
        return {
            student: {
                grade.name: grade.auto_score
                for grade in book.find_submission_notebook(name, name, student).grades
            }
            for student in submissions
        }


ROUNDED_DOWN = """
def plan(images, batch_size, epochs, warmup_epochs):
    steps = images // batch_size
    return warmup_epochs * steps, (epochs - warmup_epochs) * steps
"""


def given(name: str, kind: str) -> dict[str, str]:
    """Return right answers, or known wrong ones, by the cell they are written into."""
    cells = {}
    for place in answers(name).values():
        exercise = place.exercise
        wrong = (
            f"from helpers.exercises import {place.module} as known\n{exercise.name} = "
            f"known.{place.variable}"
        )
        source = exercise.source() if kind == "right" else f"{wrong}.misconceptions[0].answer"
        cells[f"answer-{exercise.number}"] = source
    return cells


def expected(name: str, right: bool) -> dict[str, float]:
    return dict.fromkeys(answers(name), float(right))


def error_free(folder: Path, name: str, student: str) -> bool:
    run = nbformat.read(
        folder / "nbgrader" / "autograded" / student / name / f"{name}.ipynb", as_version=4
    )
    return "error" not in {
        output.output_type for cell in run.cells for output in cell.get("outputs", [])
    }


def test_nbgrader_releases_the_student_edition_and_marks_it(tmp_path, monkeypatch):
    """The beginning of a notebook, up to its first exercise; a learner who wrote nothing can run all cells."""
    name = "09_schedules"
    book = editions.with_cells(LEARNER[name], {})
    book.cells = book.cells[: editions.places(book)[0].check + 1]
    monkeypatch.setitem(LEARNER, name, book)
    # Its questions are about the whole notebook.
    monkeypatch.setattr(editions, "DISCUSSION", tmp_path / "none.md")
    editions.DISCUSSION.touch()
    monkeypatch.setattr(editions, "committed", lambda only: {name: book})
    release = released(name, tmp_path)
    student = nbformat.read(tmp_path / "student" / f"{name}.ipynb", as_version=4)
    assert [cell.source.rstrip() for cell in release.cells] == [
        cell.source.rstrip() for cell in student.cells
    ]
    submissions = {
        "right": given(name, "right"),
        "wrong": {"answer-1": ROUNDED_DOWN},
        "untouched": {},
    }
    assert marked(name, tmp_path, submissions) == {
        "right": {"points-1": 1.0}, "wrong": {"points-1": 0.0}, "untouched": {"points-1": 0.0}
    }  # fmt: skip
    assert all(error_free(tmp_path, name, student) for student in submissions)


@pytest.mark.long
@each
def test_nbgrader_marks_whole_notebooks(name, tmp_path):
    """All exercises right; every other one wrong, the rest untouched."""
    released(name, tmp_path)
    some = dict(list(given(name, "wrong").items())[::2])
    submissions = {"right": given(name, "right"), "other": some}
    points = marked(name, tmp_path, submissions)
    assert points == {"right": expected(name, True), "other": expected(name, False)}
    assert all(error_free(tmp_path, name, student) for student in submissions)
