"""A training run on disk: one file, always whole. Explained in notebook 11."""

from __future__ import annotations

import numpy as np

from helpers import runtime


def load(file):
    """Return the epoch and step to go on with, and all values; at first 0, 0 and none."""
    if not file or not file.exists():
        return 0, 0, []
    with np.load(file) as stored:
        place, *values = stored.values()
    epoch, step = place.tolist()
    return epoch, step, values


def restore(file, variables, values):
    """Put the variables back as they were saved in the file."""
    shapes = [tuple(variable.shape) for variable in variables]
    found = [value.shape for value in values]
    if found != shapes:
        raise ValueError(
            f"{file} is the checkpoint of another model. Delete it, or name another file."
        )
    for variable, value in zip(variables, values):
        variable.assign(value)


def save(file, epoch, step, values):
    """Write the epoch and step to go on with, and all values, or leave the file as it is."""
    with (
        runtime.replacing(file) as partial,
        partial.open("wb") as stream,
    ):
        np.savez(stream, [epoch, step], *values)
