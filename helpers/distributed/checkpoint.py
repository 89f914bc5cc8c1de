"""A training run on disk: one file, always whole. Explained in notebook 11."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers import runtime

if TYPE_CHECKING:
    from keras import Variable

Values = list[np.ndarray]


def load(file: Path | None) -> tuple[int, int, Values]:
    """Return the epoch and step to go on with, and all values; at first 0, 0 and none."""
    if file is None or not file.exists():
        return 0, 0, []
    with np.load(file) as stored:
        values = [stored[name] for name in stored.files]
    epoch, step = values.pop(0).tolist()
    return epoch, step, values


def restore(file: Path, variables: list[Variable], values: Values) -> None:
    """Put the variables back as they were saved in the file."""
    shapes = [tuple(variable.shape) for variable in variables]
    found = [value.shape for value in values]
    if found != shapes:
        raise ValueError(
            f"{file} is the checkpoint of another model. Delete it, or name another file."
        )
    for variable, value in zip(variables, values):
        variable.assign(value)


def save(file: Path, epoch: int, step: int, values: Values) -> None:
    """Write the epoch and step to go on with, and all values, or leave the file as it is."""
    with (
        runtime.replacing(file) as partial,
        partial.open("wb") as stream,
    ):
        np.savez(stream, [epoch, step], *values)
        stream.flush()
        os.fsync(stream.fileno())  # on the disk, before the old file is gone
