"""All exercises of all notebooks, found by discovery.

Those of one notebook: ``pytest tests/helpers/exercises -k ex08``.
"""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from lessons import code_cells
from outcomes import FILE, identity, known, outcome
from small_exercise import said

from helpers import exercises
from helpers.checking.engine import Exercise
from tools import exercise_table

ROOT = Path(__file__).resolve().parents[3]
MODULES = exercises.modules()
ALL = [exercise for found in MODULES.values() for exercise in found]
OUTCOMES = json.loads(FILE.read_text(encoding="utf-8"))
WRONG = [(exercise, case) for exercise in ALL for case in exercise.misconceptions]
each_module = pytest.mark.parametrize("name", MODULES)
each = pytest.mark.parametrize("exercise", ALL, ids=lambda e: f"ex{e.notebook}-{e.number}")
each_wrong = pytest.mark.parametrize(
    ("exercise", "case"),
    WRONG,
    ids=[f"ex{e.notebook}-{e.number}-{case.name}" for e, case in WRONG],
)


def agreed(exercise, name: str) -> list[str]:
    """What every supported version says to an answer; made by ``python tests/outcomes.py``."""
    return OUTCOMES[identity(exercise)][name]


@each
def test_the_reference_passes(exercise):
    verdict = exercise.judge(exercise.reference)
    assert verdict.text.startswith(f"Exercise {exercise.number}: right")
    assert outcome(verdict) == agreed(exercise, f"right: {exercise.name}")


@each
def test_right_answers_written_differently_pass(exercise, capsys):
    if exercise.choices:
        assert exercise.judge(exercise.reference.lower()).kind == "right"
        return
    assert exercise.alternatives, "add a right answer that is written differently"
    for case in exercise.alternatives:
        verdict = exercise.judge(case.answer)
        assert verdict.text.startswith(f"Exercise {exercise.number}: right"), case.name
        assert outcome(verdict) == agreed(exercise, f"also right: {case.name}")


@each_wrong
@pytest.mark.slow
def test_a_misconception_is_told_apart_and_gets_its_own_sentence(
    exercise, case, capsys, monkeypatch
):
    """From the reference, and from the others: the first that looks alike is taken."""
    verdict = exercise.judge(case.answer)
    monkeypatch.setattr(exercise, "judge", lambda answer: verdict)
    printed = said(capsys, exercise, case.answer)
    assert (verdict.kind, verdict.misconception) == ("misconception", case.name), verdict.text
    assert outcome(verdict) == agreed(exercise, f"wrong: {case.name}")
    assert printed.startswith(f"Exercise {exercise.number}: ")
    assert case.sentence in printed


@pytest.mark.slow
def test_the_agreed_outcomes_are_those_of_the_known_answers():
    there = {name: set(cases) for name, cases in OUTCOMES.items()}
    assert there == {identity(e): set(known(e)) for e in ALL}, (
        "python tests/outcomes.py, then read what changed"
    )
    assert all(len(known(e)) == 1 + len(e.alternatives) + len(e.misconceptions) for e in ALL), (
        "a name for each"
    )


@each
def test_there_are_enough_misconceptions_and_hints(exercise):
    if exercise.choices:
        assert {case.answer for case in exercise.misconceptions} == set(exercise.choices) - {
            exercise.reference
        }
    else:
        assert len(exercise.misconceptions) >= 3
    assert len(exercise.hints) >= 2
    texts = [*exercise.hints, *(case.sentence for case in exercise.misconceptions)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert 30 <= len(text) <= 250, text
        assert text[-1] in ".?!`", text
    names = [case.name for case in exercise.misconceptions]
    assert len(set(names)) == len(names)
    assert all(names)


@each_wrong
@pytest.mark.slow
def test_a_message_does_not_show_the_reference(exercise, case, monkeypatch):
    monkeypatch.setattr(exercise, "misconceptions", [])
    texts = case.sentence, exercise.judge(case.answer).text
    assert texts[1].count("expected") <= 1
    if callable(exercise.reference):
        lines = [
            line.strip() for line in inspect.getsource(exercise.reference).splitlines()[1:]
        ]
        for text in texts:
            assert not [line for line in lines if len(line) > 15 and line in text]
    elif not exercise.choices:
        assert not [text for text in texts if repr(exercise.reference) in text]


@each
@pytest.mark.slow
def test_observations_depend_on_no_earlier_answer_and_not_on_tensorflows_seed(exercise):
    before = exercise.observe_answer(exercise.reference)
    for case in exercise.misconceptions:
        exercise.observe_answer(case.answer)
    tf.random.set_seed(2)
    assert exercise.equal(before, exercise.observe_answer(exercise.reference)), (
        "make the inputs anew inside observe"
    )


def test_no_module_of_exercises_imports_another():
    for name in MODULES:
        source = (ROOT / "helpers" / "exercises" / f"{name}.py").read_text(encoding="utf-8")
        assert "helpers.exercises" not in source


@each
@pytest.mark.slow
def test_a_check_takes_less_than_two_seconds(exercise):
    """The slowest check: the first of a process, that has to look at all known wrong answers.

    Seconds of the processor: what else the machine is doing matters little. A machine on which
    a million additions take Python more than 0.04 s gets as much longer.
    """
    exercise.judge(exercise.misconceptions[-1].answer)
    for case in (exercise.reference_case, *exercise.misconceptions):
        case.observations = None
    began = time.process_time()
    exercise.judge(exercise.misconceptions[-1].answer)
    took = time.process_time() - began
    began = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    slowness = (time.process_time() - began) / 0.04
    assert took < 2 * max(1, slowness)


# The notebooks they belong to


def prose(notebook: str) -> str:
    text = (ROOT / "notebooks" / "text" / f"{notebook}.py").read_text(encoding="utf-8")
    return "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))


def objectives(notebook: str) -> list[str]:
    lines = prose(notebook).split("You will be able to\n")[1].split("\n\n")[0]
    return [
        " ".join(item.split()).strip(",. ")
        for item in re.split(r"(?m)^- ", lines)
        if item.strip()
    ]


def stub_of(exercise: Exercise) -> str:
    """Return the cell before the check."""
    cells = code_cells(exercise.notebook)
    (place,) = [
        k for k, cell in enumerate(cells) if re.search(rf"\.check\({exercise.name}\)", cell)
    ]
    return cells[place - 1]


@each_module
def test_a_notebook_has_four_exercises_or_more_and_every_objective_is_met(name):
    found = MODULES[name]
    (notebook,) = {exercise.notebook for exercise in found}
    assert name == f"ex{notebook}"
    assert len(found) >= 4
    assert sorted({exercise.objective for exercise in found}) == sorted(objectives(notebook))


@each_module
def test_headings_and_checks_in_the_notebook_are_the_modules_own(name):
    found = MODULES[name]
    headings = re.findall(r"(?m)^### Exercise (\d+) · (.*)$", prose(found[0].notebook))
    assert headings == [(str(exercise.number), exercise.title) for exercise in found]
    module = importlib.import_module(f"helpers.exercises.{name}")
    source = "\n".join(code_cells(found[0].notebook))
    assert f"from helpers.exercises import {name} as exercises" in source
    checks = re.findall(r"exercises\.(\w+)\.check\((\w+)\)", source)
    assert [(getattr(module, variable), answer) for variable, answer in checks] == [
        (e, e.name) for e in found
    ]
    assert ".hint()" in prose(found[0].notebook)
    assert ".solution()" in prose(found[0].notebook)


@each
def test_the_stub_has_the_references_signature_and_is_not_attempted(exercise, capsys):
    names = {"__name__": "lesson"}
    for cell in code_cells(exercise.notebook)[1:]:
        for node in ast.parse(cell).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), "imports", "exec"), names)
    exec(compile(stub_of(exercise), "stub", "exec"), names)
    stub, reference = names[exercise.name], exercise.reference
    assert said(capsys, exercise, stub) == f"Exercise {exercise.number}: not attempted yet\n"
    if callable(reference):
        assert "# your code" in stub_of(exercise)
        assert inspect.isclass(stub) == inspect.isclass(reference)
        assert str(inspect.signature(stub)) == str(inspect.signature(reference))


@each
def test_the_solution_is_what_passes(exercise, capsys):
    """What solution() prints is code that passes when it is put into the notebook."""
    exercise.solution()
    source = capsys.readouterr().out
    names = dict(vars(sys.modules[exercise.observe.__module__])) | {"__name__": "lesson"}
    exec(compile(source, "solution", "exec"), names)
    assert exercise.judge(names[exercise.name]).kind == "right"


def test_the_table_in_the_docs_is_current():
    committed = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
    assert committed == exercise_table.table(), (
        "python -m tools.exercise_table > docs/exercises.md"
    )
    assert committed.count("\n| 08_cutmix |") == 5


def test_importing_the_package_is_cheap():
    code = (
        "import sys, helpers.exercises; print('tensorflow' in sys.modules, 'keras' in "
        "sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]
