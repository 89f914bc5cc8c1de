"""Progress, kept in one small file in the course's output folder and nowhere else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from helpers.runtime import output_folder


def note(notebook: str, number: int, **facts: Any) -> None:
    """Note facts about one exercise: tried, right, hints, solution. A disk that fails or is read-only is no error."""
    with contextlib.suppress(OSError):
        file, kept = _file(), load()
        entry = kept.setdefault(notebook, {}).setdefault(str(number), {})
        # Right once is right for good.
        entry.update({name: value for name, value in facts.items() if name != "right" or value})
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(kept, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(file)


def load() -> dict[str, dict[str, dict[str, Any]]]:
    """Return what was noted, by notebook and number; nothing if the file is missing or damaged."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    sound = isinstance(kept, dict) and all(
        isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values())
        for entries in kept.values()
    )
    return kept if sound else {}


def progress() -> None:
    """Print a short table of the exercises that were tried."""
    rows = [
        f"{notebook:30} {number:>8}   {'right' if entry.get('right') else 'not yet':8} "
        f"{entry.get('hints', 0):>6}"
        for notebook, entries in sorted(load().items())
        for number, entry in sorted(entries.items())
    ]
    print(
        f"{'notebook':30} exercise   {'result':8} {'hints':>6}",
        *(rows or ["nothing tried yet"]),
        sep="\n",
    )


def _file() -> Path:
    return output_folder() / "exercises.json"
