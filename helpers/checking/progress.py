"""Progress, kept in one small file in the course's output folder and nowhere else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from helpers.checking import display
from helpers.runtime import output_folder, replacing

Noted = dict[str, dict[str, dict[str, Any]]]  # facts by notebook and number


def note(notebook: str, number: int, **facts: Any) -> None:
    """Note facts about one exercise: tried, right, hints, solution.

    A disk that fails or is read-only is no error.
    """
    noted = load()
    exercises = noted.setdefault(notebook, {})
    exercises.setdefault(str(number), {}).update(facts)
    text = json.dumps(noted, indent=1, sort_keys=True)
    with contextlib.suppress(OSError), replacing(_file()) as partial:
        partial.write_text(text, encoding="utf-8")


def load() -> Noted:
    """Return what was noted, by notebook and number.

    A missing or damaged file counts as empty.
    """
    try:
        noted = json.loads(_file().read_text(encoding="utf-8"))
        for exercises in noted.values():  # anything but dicts in dicts is damage
            for facts in exercises.values():
                facts.keys()
    except (OSError, ValueError, AttributeError):
        return {}
    return noted


def progress() -> None:
    """Show a short table of the exercises that were tried."""
    display.progress(load())


def _file() -> Path:
    return output_folder() / "exercises.json"
