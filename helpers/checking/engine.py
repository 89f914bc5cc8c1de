"""Exercises as data, and what is said about an answer.

An exercise knows a right answer, how to look at any answer (`observe`), and the wrong answers
that learners give. An answer is judged by what is seen, never by how it is written: seen like
the reference, it is right; seen like a known mistake, the learner reads the sentence that
helps; else the first thing that differs is named.
"""

from __future__ import annotations

import dis
import inspect
import linecache
import math
import os
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.checking import progress, sandbox
from helpers.checking.comparison import difference, plain, same, shown

MEMORY = 2**30  # bytes that an answer may take
PRINTED = 5  # lines shown of what an answer printed
_PATHS = sysconfig.get_paths()
# Code from these places is not the learner's.
LIBRARIES = (
    *(_PATHS[name] for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)


@dataclass
class Seen:
    """What was observed of an answer: named values, and the error that ended the observing, if any."""

    values: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    message: str = ""
    printed: str = ""
    whole: bool = True  # False where observing ended early


@dataclass
class Case:
    """An answer that the exercise knows. `sentence` is for the learner who gave it."""

    name: str
    answer: Any
    sentence: str = ""
    seen: Seen | None = None


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
        these. It makes its inputs anew in each call.
    hints
        From vague to plain; two or more.
    name
        The learner's name for the answer; the reference's own unless given.
    praise
        A sentence added to "right".
    otherwise
        Said of a wrong answer that is no known one, instead of what was expected: for numbers
        and choices, where that would give the answer away.
    rtol, atol
        How far floats may be off. Whole numbers, text and shapes must be equal; a dtype matters
        where `observe` yields it as a value.
    seconds
        Time after which an answer is stopped, as `sandbox.run` counts it.
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
    atol: float = 1e-5
    seconds: float = 10.0
    choices: tuple[str, ...] = ()
    misconceptions: list[Case] = field(default_factory=list)
    alternatives: list[Case] = field(default_factory=list)
    hints_given: int = 0
    known: Case = field(init=False)

    def __post_init__(self):
        self.name = self.name or self.reference.__name__
        self.known = Case(self.name, self.reference)

    def wrong(self, sentence: str, name: str = "") -> Callable[[Any], Any]:
        """Decorate a wrong answer: `sentence` says what the learner probably thought and what to look at."""
        return self._adder(self.misconceptions, sentence, name)

    def right(self, answer: Any) -> Any:
        """Decorate a right answer written differently; the tests try it."""
        return self._adder(self.alternatives)(answer)

    def _adder(self, cases: list[Case], sentence: str = "", name: str = ""):
        def add(answer):
            cases.append(
                Case(
                    name or getattr(answer, "__name__", "").replace("_", " "), answer, sentence
                )
            )
            return answer

        return add

    def check(self, answer: Any) -> None:
        """Print what is to be said of an answer, and note it in the progress file."""
        verdict = self.judge(answer)
        print(verdict.text)
        if verdict.printed:
            lines = verdict.printed.splitlines()
            print(
                "Your code printed:",
                *lines[:PRINTED],
                *["..."] * (len(lines) > PRINTED),
                sep="\n  ",
            )
        if verdict.kind != "untried":
            progress.note(self.notebook, self.number, tried=True, right=verdict.kind == "right")

    def judge(self, answer: Any) -> Verdict:
        """Say what an answer is, without printing."""
        start = f"Exercise {self.number}: "
        if is_stub(answer):
            return Verdict("untried", start + "not attempted yet")
        if callable(self.reference) and not callable(answer):
            found = f"{shown(plain(answer))} is not a function or a class."
            return Verdict(
                "error",
                f"{start}{found} Hand over {self.name} itself, with no brackets behind it.",
            )
        expected = self.seen_of(self.known)  # first and without limits: it wakes TensorFlow up
        seen = self.observed(answer, limited=True)
        if self.same(expected, seen):
            return Verdict(
                "right", f"{start}right{self.praise and '. ' + self.praise}", "", seen.printed
            )
        for case in self.misconceptions:
            if self.same(self.seen_of(case, seen), seen):
                text = start + seen.message + "\n" * bool(seen.message) + case.sentence
                return Verdict("misconception", text, case.name, seen.printed)
        if seen.kind:
            return Verdict("error", start + seen.message, "", seen.printed)
        return Verdict(
            "wrong",
            start + (self.otherwise or self._difference(expected, seen)),
            "",
            seen.printed,
        )

    def points(self, answer: Any) -> float:
        """Return 1.0 for a right answer, else 0.0: the value of a cell that nbgrader marks."""
        return float(self.judge(answer).kind == "right")

    def hint(self) -> None:
        """Print the next hint."""
        if self.hints_given == len(self.hints):
            more = (
                "Show your teacher how far you are."
                if closed()
                else f"`{self.name}` is shown by solution()."
            )
            print(f"Exercise {self.number}: no more hints. {more}")
            return
        self.hints_given += 1
        print(
            f"Hint {self.hints_given} of {len(self.hints)}: {self.hints[self.hints_given - 1]}"
        )
        progress.note(self.notebook, self.number, hints=self.hints_given)

    def solution(self) -> None:
        """Print one right answer; in the student edition only say that it is kept."""
        if closed():
            print(
                f"Exercise {self.number}: the student edition keeps the solutions. hint() "
                "helps on."
            )
            return
        progress.note(self.notebook, self.number, solution=True)
        print(self.source())

    def source(self) -> str:
        """Return the source of one right answer."""
        source = (
            inspect.getsource(self.reference)
            if callable(self.reference)
            else f"{self.name} = {self.reference!r}"
        )
        return textwrap.dedent(source).rstrip()

    def observed(
        self, answer: Any, *, limited: bool = False, until: Seen | None = None
    ) -> Seen:
        """Observe an answer under sandbox, or only until it differs; values are copies, the error is put in words."""
        values: dict[str, Any] = {}
        differs = False

        def work():
            nonlocal differs
            for name, value in self.observe(answer):
                if name in values:
                    raise ValueError(f"two observations are named {name!r}")
                values[name] = plain(value)
                differs = until is not None and not same(
                    values[name], until.values.get(name), self.rtol, self.atol
                )
                if differs:
                    break

        run = sandbox.run(work, *((self.seconds, MEMORY) if limited else (math.inf, None)))
        error = in_words(run, self.seconds) if run.error is not None else ("", "")
        # A copy: a run that could not be stopped may still add to its values.
        return Seen(dict(values), *error, run.printed, not differs)

    def seen_of(self, case: Case, until: Seen | None = None) -> Seen:
        """Observe a known answer, once in a process; only until it differs from another is quicker, and not kept."""
        seen = case.seen or self.observed(case.answer, until=until)
        case.seen = seen if seen.whole else None
        return seen

    def same(self, one: Seen, other: Seen) -> bool:
        """Tell whether two answers look alike: the same values under the same names, the same kind of error."""
        return one.kind == other.kind and same(one.values, other.values, self.rtol, self.atol)

    def _difference(self, expected: Seen, seen: Seen) -> str:
        for name in {**expected.values, **seen.values}:
            value, got = expected.values.get(name), seen.values.get(name)
            if not same(value, got, self.rtol, self.atol):
                forgot = " Is a `return` missing?" if got is None else ""
                return (
                    f"not yet. Look at {name}: "
                    f"{difference(value, got, self.rtol, self.atol)}.{forgot}"
                )
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
    """Make an exercise whose answer is one of a few words; `wrong` explains each wrong choice."""
    choices = tuple(sorted([right, *wrong]))
    found = Exercise(
        *(notebook, number, title, objective, right, lambda answer: [("your choice", str(answer).strip().lower())]),
        hints, name, because, f"set {name} to one of {', '.join(map(repr, choices))}.", choices=choices,
    )  # fmt: skip
    for choice, sentence in wrong.items():
        found.wrong(sentence, f"chose {choice}")(choice)
    return found


def closed() -> bool:
    """Tell whether this is the student edition, where `solution` shows nothing.

    That keeps honest people honest, no more: whoever reads the installed package finds every
    reference. For an exam, write tasks of your own.
    """
    return os.environ.get("COURSE_EDITION", "").strip().lower() == "student"


def is_stub(answer: Any) -> bool:
    """Tell whether an answer is as the notebook came: `...`, None, or code that does nothing but return these.

    A class is a stub if all its methods are; its `__init__` may have been given.
    """
    if isinstance(answer, type):
        members = {
            name: m
            for name, m in vars(answer).items()
            if callable(m) or not name.startswith("__")
        }
        others = [member for name, member in members.items() if name != "__init__"]
        return all(is_stub(member) for member in others or members.values())
    if not inspect.isfunction(answer):
        return answer is None or answer is ...
    steps = [
        step for step in dis.get_instructions(answer) if step.opname not in ("RESUME", "NOP")
    ]
    idle = all(step.opname in ("LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") for step in steps)
    return idle and all(step.argval in (None, ...) for step in steps if "CONST" in step.opname)


def in_words(run: sandbox.Run, seconds: float) -> tuple[str, str]:
    """Return the kind of error that ended a run, and a kind sentence about it."""
    error, restart = (
        run.error,
        " It could not be stopped: restart the kernel." if run.stuck else "",
    )
    kind = type(error).__name__
    if isinstance(error, sandbox.OutOfTime):
        long = f"stopped: it ran for more than {seconds:g} s."
        return kind, f"{long} Is there a loop that never ends? What should end it?{restart}"
    if isinstance(error, sandbox.OutOfMemory | MemoryError) or kind == "ResourceExhaustedError":
        asked = f"stopped: it asked for more than {MEMORY / 2**30:g} GB of memory."
        return "OutOfMemory", f"{asked} Which shape is larger than you meant?{restart}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = frame.f_code.co_filename
        if not file.startswith(LIBRARIES) and "__autograph_generated" not in file:
            source = linecache.getline(file, line).strip()
            return kind, f"{kind} in line {line}{source and f', `{source}`'}: {_gist(error)}"
    return kind, f"what you handed over cannot be used like this: {kind}: {_gist(error)}"


def _gist(error: BaseException) -> str:
    """Return the line of an error's message that says something, without the marks TensorFlow and Keras put in."""
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\} ?| \[Op:\w+\]( name: ?)?", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    wrapped = len(lines) > 1 and re.match(r"in user code:|Exception encountered", lines[0])
    line = lines[-1 if "user code" in lines[0] else 1] if wrapped else lines[0]
    return textwrap.shorten(line, 200, placeholder=" ...")
