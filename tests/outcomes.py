"""What the exercises say to every answer they know.

``python tests/outcomes.py`` writes it to outcomes.json. Every supported version of Python,
TensorFlow and Keras has to say the same; helpers/exercises/test_exercises.py compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from helpers import exercises
from helpers.checking.engine import Case, Exercise, Verdict

FILE = Path(__file__).with_suffix(".json")


def known(exercise: Exercise) -> dict[str, Case]:
    """Return the answers that an exercise knows, by a name of their own."""
    groups = {
        "right": [exercise.reference_case],
        "also right": exercise.alternatives,
        "wrong": exercise.misconceptions,
    }
    found = {}
    for group, cases in groups.items():
        for case in cases:
            found[f"{group}: {case.name}"] = case
    return found


def outcome(verdict: Verdict) -> list[str]:
    """Return what was said, without an error's own words and the line it was raised in.

    Those belong to a version.
    """
    text = re.sub(r"(Error|Exception)( in line )\d+(.*?`)?: .*", r"\1\2N: ...", verdict.text)
    text = re.sub(r"(cannot be used like this: \w+: ).*", r"\1...", text)
    return [verdict.kind, verdict.misconception, text]


def identity(exercise: Exercise) -> str:
    """Return an exercise's place in the file."""
    return f"{exercise.notebook}-{exercise.number}"


def table() -> dict[str, dict[str, list[str]]]:
    """Return the outcome of every known answer of every exercise."""
    outcomes = {}
    for found in exercises.modules().values():
        for exercise in found:
            outcomes[identity(exercise)] = {
                name: outcome(exercise.judge(case.answer))
                for name, case in known(exercise).items()
            }
    return outcomes


if __name__ == "__main__":
    FILE.write_text(json.dumps(table(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
