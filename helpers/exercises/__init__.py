"""The exercises of the notebooks: one module for each, named after it, found by `modules`.

A notebook imports its own module and hands answers over::

    from helpers.exercises import ex08_cutmix as exercises

    exercises.box.check(box_at)

Importing this package is cheap. A notebook's module imports TensorFlow at its top, as the
notebook has done before it, so that the source that `solution` shows reads as it would in the
notebook.
"""

from __future__ import annotations

import importlib
import pkgutil

from helpers.checking.engine import Exercise, Verdict, quiz
from helpers.checking.progress import progress

__all__ = ["Exercise", "Verdict", "modules", "progress", "quiz"]


def modules() -> dict[str, list[Exercise]]:
    """Return the exercises of every notebook, by the name of their module, in order."""
    found = {}
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    for name in names:
        module = importlib.import_module(f"{__name__}.{name}")
        exercises = [value for value in vars(module).values() if isinstance(value, Exercise)]
        exercises.sort(key=lambda exercise: exercise.number)
        found[name] = exercises
    return found
