"""A small exercise, for the tests of what judges exercises."""

import numpy as np

from helpers.checking.engine import Exercise


def double(numbers):
    return 2 * numbers  # each of them


def observe_double(answer):
    numbers = np.array([1.0, 2.0, 3.0])
    yield "three numbers", answer(numbers)
    yield "the numbers you were given", numbers


def small(observe=observe_double, reference=double, **options) -> Exercise:
    exercise = Exercise(
        "00_test", 7, "Double", "double", reference, observe, ("Think.", "Add."), **options
    )
    exercise.wrong("Squares grow faster.")(lambda numbers: numbers**2)
    return exercise


def forever(numbers):
    while True:
        numbers = numbers + 1


def said(capsys, exercise, answer) -> str:
    """Return what a check shows."""
    capsys.readouterr()
    exercise.check(answer)
    return capsys.readouterr().out
