"""The classroom editions: made from the committed notebooks, graded, shown on a projector."""

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

from helpers.exercises import Exercise
from tools.editions import teacher as teachers
from tools.editions.__main__ import build
from tools.editions.lesson import CHECK, IMPORT, committed, exercises_of, with_cells
from tools.editions.slides import FORMULA, deck, figures, is_figure, presented
from tools.editions.student import student
from tools.editions.teacher import teacher, timetable, timings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

LEARNER = committed()
each = pytest.mark.parametrize("name", LEARNER)


def lesson(edition) -> list[tuple[str, str]]:
    """Return the cells of an edition that are the learner's as well, with their ids."""
    return [
        (cell["id"], cell.source)
        for cell in edition.cells
        if not cell["id"].startswith("edition-")
    ]


def original(name: str) -> list[tuple[str, str]]:
    return [(cell["id"], cell.source) for cell in committed(name)[name].cells]


def exercises(name: str) -> list[Exercise]:
    return list(exercises_of(LEARNER[name]).values())


# In step with the source


@each
def test_every_exercise_is_found(name):
    text = (ROOT / "notebooks" / "text" / f"{name}.py").read_text(encoding="utf-8")
    headings = re.findall(r"(?m)^# ### Exercise (\d+) ·", text)
    assert [exercise.number for exercise in exercises(name)] == list(map(int, headings))
    assert {exercise.notebook for exercise in exercises(name)} == {name}


@each
def test_the_editions_hold_the_lesson_cell_for_cell(name):
    assert lesson(teacher(LEARNER[name], name)) == original(name)
    forgotten = re.compile(r"\s`exercises\.\w+\.solution\(\)` shows a right answer\.")
    expected = [(id, forgotten.sub("", source)) for id, source in original(name)]
    assert lesson(student(LEARNER[name])) == expected


def test_a_changed_lesson_changes_every_edition():
    book = with_cells(LEARNER["09_schedules"], {})
    _, check, *_ = exercises_of(book)
    book.cells[2].source += "\nchanged = 'in the lesson'"
    book.cells[check - 1].source += "\n# changed stub"
    for edition in (
        student(book),
        student(book, with_solutions=True),
        teacher(book, "09_schedules"),
    ):
        text = "\n".join(source for _, source in lesson(edition))
        assert "changed = 'in the lesson'" in text
        assert "# changed stub" in text


@each
def test_every_edition_is_a_valid_notebook_and_building_again_changes_nothing(name):
    for make in (
        student,
        lambda book: student(book, with_solutions=True),
        lambda book: teacher(book, name),
    ):
        edition = make(LEARNER[name])
        nbformat.validate(edition)
        assert len({cell["id"] for cell in edition.cells}) == len(edition.cells)
        assert nbformat.writes(edition) == nbformat.writes(make(LEARNER[name]))


# Student


@each
def test_the_student_edition_holds_no_solution(name):
    book = student(LEARNER[name])
    text = nbformat.writes(book)
    assert "SOLUTION" not in text
    assert ".solution()" not in text
    assert not [cell for cell in book.cells if cell.get("outputs")]
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    stubs = {
        cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in book.cells
    }
    for exercise in exercises(name):
        body = exercise.source().split("\n", 1)[-1]
        stub = stubs[f"answer-{exercise.number}"]
        written = [line for line in body.splitlines() if line.strip() and line not in stub]
        assert written
        assert "\n".join(written) not in code, "a lesson shows the reference of an exercise"


@each
def test_a_solution_needs_only_what_the_cells_above_it_bind(name):
    for check, exercise in exercises_of(LEARNER[name]).items():
        bound = set()
        for cell in LEARNER[name].cells[:check]:
            if cell.cell_type == "code":
                bound |= names_bound(cell.source)
        assert names_needed(exercise.source()) <= bound


def test_in_the_student_edition_solution_keeps_its_secret(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_OUTPUT", str(tmp_path))
    monkeypatch.setenv("COURSE_EDITION", "")
    exercise = exercises("09_schedules")[0]
    exercise.solution()
    assert capsys.readouterr().out.startswith("def plan(")
    edition = student(LEARNER["09_schedules"])
    first = next(cell.source for cell in edition.cells if cell.cell_type == "code")
    exec(first, {})
    exercise.solution()
    told = "Exercise 1: the student edition keeps the solutions. hint() helps on.\n"
    assert capsys.readouterr().out == told
    monkeypatch.setattr(exercise, "hints_given", len(exercise.hints))
    exercise.hint()
    assert "solution()" not in capsys.readouterr().out


# Teacher


@each
def test_the_teachers_edition_shows_a_solution_and_the_wrong_turns_behind_each_check(name):
    book = LEARNER[name]
    edition = teacher(book, name)
    ids = [cell["id"] for cell in edition.cells]
    for position, exercise in exercises_of(book).items():
        check = ids.index(book.cells[position]["id"])
        turns, solution = edition.cells[check + 1 : check + 3]
        assert solution.source == f"# One right answer\n{exercise.source()}"
        for case in exercise.misconceptions:
            assert f"- **{case.name}**: {case.sentence}" in turns.source


@each
def test_the_teachers_edition_asks_every_question_and_keeps_the_outputs(name):
    edition = teacher(LEARNER[name], name)
    prose = [cell.source for cell in edition.cells if cell.cell_type == "markdown"]
    spoken = "\n".join(text.replace("> ", "").replace("\n>", "\n") for text in prose)
    page = (ROOT / "docs" / "discussion.md").read_text(encoding="utf-8")
    _, _, behind = page.partition(f"\n## {name}\n")
    for line in behind.partition("\n## ")[0].splitlines():
        assert line.startswith("### ") or line in spoken
    kept = [cell for cell in edition.cells if not cell["id"].startswith("edition-")]
    outputs = [cell.get("outputs") for cell in kept]
    assert outputs == [cell.get("outputs") for cell in LEARNER[name].cells]


@each
def test_the_sections_minutes_add_up_to_what_the_notebook_says(name):
    minutes = timings(LEARNER[name])
    reading, doing = zip(*minutes.values())
    first = " ".join(LEARNER[name].cells[0].source.split())
    stated = f"**Time** {sum(reading):.0f} minutes to read, {sum(doing):.0f} for the exercises"
    assert stated in first
    assert len(reading) > 4
    assert min(reading) > 0
    rows = re.findall(r"(?m)^\| (.+?) \| ", timetable(LEARNER[name]))
    prose = "\n".join(cell.source for cell in LEARNER[name].cells)
    headings = re.findall(r"(?m)^## (.+)$", prose)
    assert rows[:2] == ["section", "Beginning"]
    asides = {"For reference", "References"}
    assert rows[2:-1] == [heading for heading in headings if heading not in asides]


def test_prompts_for_a_section_that_is_gone_are_an_error(tmp_path, monkeypatch):
    page = tmp_path / "discussion.md"
    page.write_text("# Questions\n\n## 09_schedules\n\n### 99 · Gone\n\n- Why?\n")
    monkeypatch.setattr(teachers, "DISCUSSION", page)
    with pytest.raises(ValueError, match="99 · Gone"):
        teacher(LEARNER["09_schedules"], "09_schedules")


# Slides


def page_of(name: str) -> BeautifulSoup:
    return BeautifulSoup(presented(deck(LEARNER[name]), name), "html.parser")


@each
def test_the_slides_hold_every_figure_with_its_alt_text_and_fetch_nothing(name):
    page = page_of(name)
    outputs = [output for cell in LEARNER[name].cells for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if is_figure(output)]
    shown = page.select("section section img.figure")
    alt_texts = [output.metadata["image/png"]["alt"] for output in drawn]
    assert [image["alt"] for image in shown] == alt_texts
    pictures = ["".join(output.data["image/png"].split()) for output in drawn]
    assert ["".join(image["src"].partition(",")[2].split()) for image in shown] == pictures
    assert not page.select("link, iframe, script[src]")
    for image in page.select("img"):
        assert image["src"].startswith("data:")
        assert image["alt"]
    styles = "".join(style.get_text() for style in page.select("style"))
    assert not re.search(r"@import|url\((?!data:|#)", styles)


@each
def test_the_slides_open_each_section_but_the_references(name):
    cells = deck(LEARNER[name]).cells
    kinds = [cell.metadata.slideshow.slide_type for cell in cells]
    assert set(kinds) == {"slide", "subslide", "-", "notes"}
    opened = [
        cell.source.partition("\n")[0] for cell, kind in zip(cells, kinds) if kind == "slide"
    ]
    prose = "\n".join(cell.source for cell in LEARNER[name].cells)
    assert opened[1:] == re.findall(r"(?m)^## .+$", prose)[:-1]


@each
def test_the_slides_lose_no_word(name):
    said = "\n".join(cell.source for cell in deck(LEARNER[name]).cells)
    for cell in LEARNER[name].cells:
        if cell.cell_type == "markdown":
            for paragraph in re.split(r"\n\s*\n", cell.source):
                has_formula = FORMULA.search(re.sub(r"`[^`]*`", "", paragraph))
                if not has_formula:
                    assert all(line in said for line in paragraph.splitlines()), paragraph


@each
def test_the_slides_show_pictures_before_the_code_that_drew_them(name):
    cells = deck(LEARNER[name]).cells
    lesson_began = False  # before the first section there is the setup, which is not shown
    for cell in LEARNER[name].cells:
        lesson_began = lesson_began or "\n## " in f"\n{cell.source}"
        is_check = CHECK.fullmatch(cell.source.strip())
        if lesson_began and cell.cell_type == "code" and not is_check:
            (code, *_) = [
                place
                for place, shown in enumerate(cells)
                if shown.source == cell.source or f"\n{cell.source}\n" in shown.source
            ]
            before = "".join(shown.source for shown in cells[:code])
            assert all(figure in before for figure in figures(cell))


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "08_cutmix" else pytest.mark.long) for n in LEARNER],
)
def test_on_a_projector_every_slide_fits_and_nothing_is_fetched(name, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    file = tmp_path / f"{name}.slides.html"
    file.write_text(presented(deck(LEARNER[name]), name), encoding="utf-8")
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
    for (let node = part; node !== slide; node = node.parentElement) {
      zoom *= +(node.style.zoom || 1);
    }
    return parseFloat(getComputedStyle(part).fontSize) * zoom;
  };
  const shown = (query) => parts.flatMap((part) => [...part.querySelectorAll(query)]);
  return {
    bottom: Math.max(...boxes.map((box) => box.bottom)),
    right: Math.max(...boxes.map((box) => box.right)),
    text: parts.map((part) => part.innerText).join("").trim(),
    code: Math.min(99, ...shown("pre").map(letters)),
    body: Math.min(99, ...shown("p, li").map(letters)),
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
    """Build a notebook's editions, let nbgrader make what students would get, return that."""
    build({name: LEARNER[name]}, folder)
    nbgrader(folder / "nbgrader", "generate_assignment", name, "--create")
    return nbformat.read(folder / "nbgrader" / "release" / name / f"{name}.ipynb", as_version=4)


def marked(
    name: str, folder: Path, submissions: dict[str, dict[str, str]]
) -> dict[str, dict[str, float]]:
    """Hand in student editions with answers, have nbgrader mark them; return their points."""
    from nbgrader.api import Gradebook

    for learner, given in submissions.items():
        book = nbformat.read(folder / "student" / f"{name}.ipynb", as_version=4)
        for cell in book.cells:
            cell.source = given.get(
                cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source
            )
        file = folder / "nbgrader" / "submitted" / learner / name / f"{name}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(book, file)
    nbgrader(folder / "nbgrader", "autograde", name, "--create")
    with Gradebook(f"sqlite:///{folder / 'nbgrader' / 'gradebook.db'}") as book:
        return {
            learner: {
                grade.name: grade.auto_score
                for grade in book.find_submission_notebook(name, name, learner).grades
            }
            for learner in submissions
        }


ROUNDED_DOWN = """
def plan(images, batch_size, epochs, warmup_epochs):
    steps = images // batch_size
    return warmup_epochs * steps, (epochs - warmup_epochs) * steps
"""


def given(name: str, kind: str) -> dict[str, str]:
    """Return right answers, or known wrong ones, by the cell they are written into."""
    book = LEARNER[name]
    imports = IMPORT.search("\n".join(cell.source for cell in book.cells))[0]
    cells = {}
    for position, exercise in exercises_of(book).items():
        source = exercise.source()
        if kind == "wrong":
            variable = CHECK.fullmatch(book.cells[position].source.strip())[1]
            answer = f"exercises.{variable}.misconceptions[0].answer"
            source = f"{imports}\n{exercise.name} = {answer}"
        cells[f"answer-{exercise.number}"] = source
    return cells


def expected(name: str, right: bool) -> dict[str, float]:
    names = [f"points-{exercise.number}" for exercise in exercises(name)]
    return dict.fromkeys(names, float(right))


def error_free(folder: Path, name: str, learner: str) -> bool:
    run = nbformat.read(
        folder / "nbgrader" / "autograded" / learner / name / f"{name}.ipynb", as_version=4
    )
    return "error" not in {
        output.output_type for cell in run.cells for output in cell.get("outputs", [])
    }


def test_nbgrader_releases_the_student_edition_and_marks_it(tmp_path, monkeypatch):
    """A notebook up to its first exercise; who wrote nothing can run all cells."""
    name = "09_schedules"
    book = with_cells(LEARNER[name], {})
    first, *_ = exercises_of(book)
    book.cells = book.cells[: first + 1]
    monkeypatch.setitem(LEARNER, name, book)
    # Its questions are about the whole notebook, and so are its minutes.
    monkeypatch.setattr(teachers, "discussion", lambda page, name: {})
    release = released(name, tmp_path)
    edition = nbformat.read(tmp_path / "student" / f"{name}.ipynb", as_version=4)
    assert [cell.source.rstrip() for cell in release.cells] == [
        cell.source.rstrip() for cell in edition.cells
    ]
    submissions = {
        "right": given(name, "right"),
        "wrong": {"answer-1": ROUNDED_DOWN},
        "untouched": {},
    }
    assert marked(name, tmp_path, submissions) == {
        "right": {"points-1": 1.0},
        "wrong": {"points-1": 0.0},
        "untouched": {"points-1": 0.0},
    }
    assert all(error_free(tmp_path, name, learner) for learner in submissions)


@pytest.mark.long
@each
def test_nbgrader_marks_whole_notebooks(name, tmp_path):
    """All exercises right; every other one wrong, the rest untouched."""
    released(name, tmp_path)
    some = dict(list(given(name, "wrong").items())[::2])
    submissions = {"right": given(name, "right"), "other": some}
    points = marked(name, tmp_path, submissions)
    assert points == {"right": expected(name, True), "other": expected(name, False)}
    assert all(error_free(tmp_path, name, learner) for learner in submissions)
