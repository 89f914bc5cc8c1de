"""The teachers' texts speak of notebooks, sections and figures that exist."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest

from tools.editions.lesson import steps
from tools.editions.teacher import discussion

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted((ROOT / "notebooks" / "text").glob("*.py"))
NAMES = [text.stem for text in TEXTS]


@cache
def headings(text: Path) -> set[str]:
    """Return the section headings of a notebook's text, levels two and three."""
    cells = jupytext.read(text, fmt="py:percent").cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return set(re.findall(r"^###? (.+)$", prose, re.M))


DISCUSSION = ROOT / "docs" / "discussion.md"


def questions(notebook: str) -> dict[str, list[str]]:
    """Return the questions for the room, with what to listen for, by their section."""
    found = {}
    for section, text in discussion(DISCUSSION, notebook).items():
        found[section] = re.split(r"(?m)^- ", text.replace("\n  ", "\n"))[1:]
    return found


def test_every_notebook_has_questions_and_no_other():
    headings = re.findall(r"(?m)^## (.+)$", DISCUSSION.read_text(encoding="utf-8"))
    assert headings == NAMES


@pytest.mark.parametrize("notebook", NAMES)
def test_questions_stand_under_sections_that_exist_and_say_what_to_listen_for(notebook):
    sections = questions(notebook)
    assert set(sections) <= headings(ROOT / "notebooks" / "text" / f"{notebook}.py")
    assert all(sections.values()), "a section without a question"
    asked_in_all = [question for section in sections.values() for question in section]
    assert 3 <= len(asked_in_all) <= 6
    for question in asked_in_all:
        asked, _, listen = question.partition("\nListen for: ")
        assert asked.endswith("?"), question
        assert len(listen) > 40, question


@pytest.mark.parametrize("notebook", NAMES)
def test_figures_in_questions_are_those_of_the_notebook(notebook):
    book = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4)
    outputs = [
        output.get("text", "") for cell in book.cells for output in cell.get("outputs", [])
    ]
    shown = "\n".join([cell.source for cell in book.cells] + outputs)
    for section in questions(notebook).values():
        for figure in re.findall(r"\d+\.\d\d+", "\n".join(section)):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}", shown), (
                f"{figure} is in docs/discussion.md and no longer in {notebook}: change the "
                "question with the notebook"
            )


TEACHING = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")


def plans() -> dict[str, tuple[int, list[list[str]]]]:
    """Return the teaching plans: heading -> minutes there are, rows of the table."""
    found, minutes = {}, 0
    for line in TEACHING.splitlines():
        if heading := re.match(r"##+ (.+)", line):
            title, length = heading[1], re.search(r"\((\d+) minutes", heading[1])
            minutes = int(length[1]) if length else minutes if line.startswith("###") else 0
        elif minutes and re.match(r"\| \d", line):
            found.setdefault(title, (minutes, []))[1].append(
                [cell.strip() for cell in line.strip("|").split("|")]
            )
    return found


def text_of(number: str) -> Path:
    return next(text for text in TEXTS if text.stem.startswith(number))


@cache
def words(text: Path) -> dict[str, int]:
    """Return how many words stand in each section of a notebook's text, exercises aside."""
    found = Counter()
    section = ""
    for step in steps(jupytext.read(text, fmt="py:percent")):
        if step.opens and step.heading.startswith("## "):
            section = step.heading.removeprefix("## ")
        if not step.heading.startswith("### Exercise"):
            found[section] += len(step.text.split())
            if step.code:
                found[section] += len(step.code.source.split())
    for aside in ("", "For reference", "Summary", "References"):
        del found[aside]
    return found


def reading_and_exercises(text: Path) -> tuple[int, int]:
    """Return the minutes that the first cell of a notebook states."""
    stated = re.search(r"(\d+) minutes to read, (\d+) for", text.read_text("utf-8"))
    return int(stated[1]), int(stated[2])


def stated_minutes(text: Path, sections: list[str]) -> float:
    """Return the minutes a notebook states for some of its sections and exercises."""
    reading, doing = reading_and_exercises(text)
    per_word = reading / words(text).total()
    per_exercise = doing / sum(name.startswith("Exercise ") for name in headings(text))
    minutes = 0
    for name in sections:
        is_exercise = name.startswith("Exercise ")
        minutes += per_exercise if is_exercise else words(text)[name] * per_word
    return minutes


@pytest.mark.parametrize("text", TEXTS, ids=NAMES)
def test_the_readme_states_the_minutes_of_the_notebook(text):
    reading, doing = reading_and_exercises(text)
    row = rf"{text.stem}\.ipynb\) \|[^|]+\| {reading} \+ {doing} \|"
    assert re.search(row, (ROOT / "README.md").read_text("utf-8"))


def test_there_is_a_plan_for_an_hour_half_a_day_and_two_days():
    assert list(plans()) == [
        "One hour (60 minutes)",
        "Half a day (210 minutes)",
        "Day 1",
        "Day 2",
    ]


@pytest.mark.parametrize("plan", plans())
def test_a_plan_fits_into_its_time(plan):
    minutes, rows = plans()[plan]
    assert 0.95 * minutes <= sum(int(row[0]) for row in rows) <= minutes


@pytest.mark.parametrize("plan", plans())
def test_a_plan_names_sections_that_exist_and_gives_them_the_time_they_state(plan):
    for minutes, number, sections, _ in plans()[plan][1]:
        if number:
            text, names = text_of(number), sections.split("; ")
            assert set(names) <= headings(text), set(names) - headings(text)
            needed = stated_minutes(text, names)
            assert int(minutes) >= needed, (
                f"{sections}: {minutes} minutes, and {text.stem} states {needed:.1f}"
            )


def test_other_sections_the_guide_names_exist():
    paragraph = (
        TEACHING.split("Other hours that stand alone:")[1].split("\n\n")[0].replace("\n", " ")
    )
    named = [
        (part[:2], re.findall(r"\*([^*]+)\*", part))
        for part in paragraph.split("notebook ")[1:]
    ]
    assert len(named) >= 3
    for number, sections in named:
        assert sections
        assert set(sections) <= headings(text_of(number))


@pytest.mark.parametrize("page", ["docs/teaching.md", "docs/discussion.md", "README.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "//" not in target:
            assert not path or (ROOT / page).parent.joinpath(path).exists(), target
        if anchor and not path:
            titles = re.findall(r"^#+ (.+)$", text, re.M)
            assert anchor in {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
            }, target


@pytest.mark.parametrize("page", ["docs/teaching.md", "README.md"])
def test_commands_and_settings_that_are_named_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.S))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {
        name
        for line in re.findall(r"^([a-z][a-z -]*):", makefile, re.M)
        for name in line.split()
    }
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)", code)) <= targets
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "helpers").rglob("*.py")
    )
    for setting in re.findall(r"\bCOURSE_[A-Z]+", code):
        assert f'"{setting}"' in source, setting
    for option in re.findall(r"(?<![\w-])(--keras-cache|FOR|ONLY|GPU)\b", code):
        assert option in makefile, option


def test_messages_in_the_table_of_troubles_are_those_that_are_shown():
    for message, shown_by in {
        "The course's helpers are not installed here": TEXTS[0],
        "not attempted yet": ROOT / "helpers" / "checking" / "engine.py",
    }.items():
        assert message in TEACHING
        assert message in shown_by.read_text(encoding="utf-8")
