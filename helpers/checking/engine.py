"""What an exercise is, and what is said of an answer.

An exercise knows a right answer, how to look at any answer (`observe`), and the wrong answers
that learners give. An answer is judged by what is observed, never by how it is written: if that
is the same as of the reference, it is right; if it is the same as of a misconception, the
learner reads the sentence that helps; else the first thing that differs is named.
"""

from __future__ import annotations

import dis
import inspect
import math
import os
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from helpers.checking import comparison, display, errors, progress, sandbox

MEMORY = 2**30  # bytes that an answer may take


@dataclass
class Observations:
    """What was observed of an answer: named values, and the error that ended the observing."""

    values: dict[str, Any] = field(default_factory=dict)
    error: str = ""  # its kind
    message: str = ""
    printed: str = ""
    complete: bool = True


@dataclass
class Case:
    """An answer that the exercise knows. `sentence` is for the learner who gave it."""

    name: str
    answer: Any
    sentence: str = ""
    observations: Observations | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer; `kind` is untried, right, misconception, error or wrong."""

    kind: str
    text: str
    misconception: str = ""
    printed: str = ""


@dataclass(eq=False)
class Exercise:
    """One exercise of a notebook.

    Parameters
    ----------
    notebook, number, title
        Such as "08_cutmix", 1, "The box": the notebook's heading is ``### Exercise 1 · The
        box``.
    objective
        The objective it serves: a line of the list in the notebook's first cell, letter for
        letter.
    reference
        A right answer. `solution` shows its source, so it is written as a learner would in the
        notebook.
    observe
        ``observe(answer)`` yields pairs (name, value). The name is read as "expected of
        <name>"; the value may be a number, text, array, tensor, None, or tuples and dicts of
        these. It makes its inputs anew in each call, and does not depend on TensorFlow's
        global seed.
    hints
        From vague to plain; two or more.
    name
        The learner's name for the answer; the reference's own unless given.
    praise
        A sentence added to "right".
    otherwise
        Said of a wrong answer that is no known one, instead of what was expected: for numbers
        and choices, where that would give the answer away.
    rtol
        How far floats may be off, relative to the reference's. Whole numbers, text and shapes
        must be equal; a dtype matters where `observe` yields it as a value.
    seconds
        Time after which an answer is stopped, as `sandbox.run` counts it.
    choices
        The words to choose from, of a `quiz`.
    """

    notebook: str
    number: int
    title: str
    objective: str
    reference: Any
    observe: Callable[[Any], Iterable[tuple[str, Any]]]
    hints: tuple[str, ...]
    name: str = ""
    praise: str = ""
    otherwise: str = ""
    rtol: float = 1e-4
    seconds: float = 10.0
    choices: tuple[str, ...] = ()
    misconceptions: list[Case] = field(default_factory=list)
    alternatives: list[Case] = field(default_factory=list)
    hints_given: int = 0

    def __post_init__(self):
        if not self.name:
            self.name = self.reference.__name__
        self.reference_case = Case(self.name, self.reference)

    def wrong(self, sentence: str, name: str = "") -> Callable[[Any], Any]:
        """Decorate a wrong answer.

        `sentence` says what the learner probably thought and what to look at; `name` is the
        answer's own unless given.
        """

        def add(answer):
            case = Case(name or _words(answer), answer, sentence)
            self.misconceptions.append(case)
            return answer

        return add

    def right(self, answer):
        """Decorate a right answer written differently; the tests try it."""
        self.alternatives.append(Case(_words(answer), answer))
        return answer

    def check(self, answer) -> None:
        """Show what is to be said of an answer, and note it in the progress file."""
        verdict = self.judge(answer)
        display.verdict(verdict.text, verdict.printed)
        if verdict.kind == "right":
            progress.note(self.notebook, self.number, tried=True, right=True)
        elif verdict.kind != "untried":
            progress.note(self.notebook, self.number, tried=True)

    def judge(self, answer) -> Verdict:
        """Say what an answer is, without showing it."""
        if is_stub(answer):
            return self._verdict("untried", "not attempted yet")
        if callable(self.reference) and not callable(answer):
            given = comparison.in_words(comparison.plain(answer))
            advice = f"Hand over {self.name} itself, with no brackets behind it."
            return self._verdict("error", f"{given} is not a function or a class. {advice}")
        # The reference comes first and without limits: it wakes TensorFlow up.
        expected = self.observations_of(self.reference_case)
        found = self.observe_answer(answer, limited=True)
        if self.equal(expected, found):
            text = f"right. {self.praise}" if self.praise else "right"
            return self._verdict("right", text, found)
        for case in self.misconceptions:
            wrong = self.observations_of(case, until_unlike=found)
            if self.equal(wrong, found):
                text = case.sentence
                if found.message:
                    text = f"{found.message}\n{text}"
                return self._verdict("misconception", text, found, case.name)
        if found.error:
            return self._verdict("error", found.message, found)
        text = self.otherwise or self._difference(expected, found)
        return self._verdict("wrong", text, found)

    def _verdict(self, kind, text, found=None, misconception=""):
        text = f"Exercise {self.number}: {text}"
        printed = found.printed if found else ""
        return Verdict(kind, text, misconception, printed)

    def points(self, answer) -> float:
        """Return 1.0 for a right answer, else 0.0: the value of a cell that nbgrader marks."""
        return float(self.judge(answer).kind == "right")

    def hint(self) -> None:
        """Show the next hint."""
        number_of_hints = len(self.hints)
        if self.hints_given < number_of_hints:
            text = self.hints[self.hints_given]
            self.hints_given += 1
            display.hint(f"Hint {self.hints_given} of {number_of_hints}: {text}")
            progress.note(self.notebook, self.number, hints=self.hints_given)
            return
        advice = f"`{self.name}` is shown by solution()."
        if is_student_edition():
            advice = "Show your teacher how far you are."
        display.hint(f"Exercise {self.number}: no more hints. {advice}")

    def solution(self) -> None:
        """Show one right answer; in the student edition only say that it is kept."""
        if is_student_edition():
            text = "the student edition keeps the solutions. hint() helps on."
            display.solution(f"Exercise {self.number}: {text}")
            return
        progress.note(self.notebook, self.number, solution=True)
        display.solution(self.source())

    def source(self) -> str:
        """Return the source of one right answer."""
        if not callable(self.reference):
            return f"{self.name} = {self.reference!r}"
        source = inspect.getsource(self.reference)
        return textwrap.dedent(source).rstrip()

    def observe_answer(
        self, answer, *, limited: bool = False, until_unlike: Observations | None = None
    ) -> Observations:
        """Observe an answer in the sandbox.

        Values are copies, an error is put into words. With `until_unlike`, observing ends at
        the first value that differs from those.
        """
        values: dict[str, Any] = {}
        complete = True

        def work():
            nonlocal complete
            for name, value in self.observe(answer):
                if name in values:
                    raise ValueError(f"two observations are named {name!r}")
                values[name] = comparison.plain(value)
                if until_unlike is None:
                    continue
                other = until_unlike.values.get(name)
                if not self._same(values[name], other):
                    complete = False
                    return

        if limited:
            run = sandbox.run(work, self.seconds, MEMORY)
        else:
            run = sandbox.run(work, math.inf)
        # A copy: a run that could not be stopped may still add to its values.
        found = Observations(dict(values), printed=run.printed, complete=complete)
        if run.error is not None:
            found.error = errors.kind_of(run.error)
            found.message = errors.in_words(run.error, self.seconds, MEMORY)
        if run.stuck:
            found.message += " It could not be stopped: restart the kernel."
        return found

    def observations_of(
        self, case: Case, until_unlike: Observations | None = None
    ) -> Observations:
        """Observe a known answer, once in a process.

        With `until_unlike` that is quicker, and kept only where observing came to its end.
        """
        if case.observations is not None:
            return case.observations
        found = self.observe_answer(case.answer, until_unlike=until_unlike)
        if found.complete:
            case.observations = found
        return found

    def equal(self, one: Observations, other: Observations) -> bool:
        """Tell whether two answers look alike: equal values, the same kind of error."""
        if one.error != other.error:
            return False
        return self._same(one.values, other.values)

    def _same(self, one, other):
        return comparison.equal(one, other, self.rtol)

    def _difference(self, expected, found):
        gave_something = False
        for name in expected.values | found.values:
            wanted = expected.values.get(name)
            got = found.values.get(name)
            gave_something = gave_something or got is not None
            if self._same(wanted, got):
                continue
            words = comparison.difference(wanted, got, self.rtol)
            question = "" if gave_something else " Is a `return` missing?"
            return f"not yet. Look at {name}: {words}.{question}"
        return "not yet. It does not give everything that was asked for."


def quiz(
    notebook: str,
    number: int,
    title: str,
    objective: str,
    name: str,
    right: str,
    because: str,
    wrong: dict[str, str],
    hints: tuple[str, ...],
) -> Exercise:
    """Make an exercise whose answer is one of a few words; `wrong` explains the others."""
    choices = tuple(sorted([right, *wrong]))
    listed = ", ".join(map(repr, choices))

    def observe(answer):
        yield "your choice", str(answer).strip().lower()

    exercise = Exercise(
        notebook=notebook,
        number=number,
        title=title,
        objective=objective,
        reference=right,
        observe=observe,
        hints=hints,
        name=name,
        praise=because,
        otherwise=f"set {name} to one of {listed}.",
        choices=choices,
    )
    for choice, sentence in wrong.items():
        exercise.wrong(sentence, f"chose {choice}")(choice)
    return exercise


def is_student_edition() -> bool:
    """Tell whether this is the student edition, where `solution` shows nothing.

    That keeps honest people honest, no more: whoever reads the installed package finds every
    reference. For an exam, write tasks of your own.
    """
    edition = os.environ.get("COURSE_EDITION", "")
    return edition.strip().lower() == "student"


def is_stub(answer) -> bool:
    """Tell whether an answer is as the notebook came.

    That is `...`, None, a function that does nothing but return these, or a class whose methods
    are all stubs; its ``__init__`` may have been given.
    """
    if isinstance(answer, type):
        return _is_stub_class(answer)
    if inspect.isfunction(answer):
        return _is_stub_function(answer)
    return answer is None or answer is ...


def _is_stub_class(answer):
    members = {
        name: member
        for name, member in vars(answer).items()
        if callable(member) or not name.startswith("__")
    }
    init = members.pop("__init__", None)
    if not members:
        return is_stub(init)
    return all(is_stub(member) for member in members.values())


def _is_stub_function(answer):
    for step in dis.get_instructions(answer):
        if step.opname in ("LOAD_CONST", "RETURN_CONST"):
            if step.argval not in (None, ...):
                return False
        elif step.opname not in ("RESUME", "NOP", "RETURN_VALUE"):
            return False
    return True


def _words(answer):
    """Return the name of a function as words."""
    return getattr(answer, "__name__", "").replace("_", " ")
