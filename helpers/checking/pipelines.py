"""What exercises on input pipelines observe: epochs, and what is made ahead.

The functions that count calls are slow on purpose and must not be waited for by their own
pipeline: their datasets are made from ``tf.numpy_function(..., stateful=False)``. Stateful ones
are not run ahead where operations are deterministic, as they are in the quick profile.
"""

from __future__ import annotations

import time

import tensorflow as tf


def without_optimizations(dataset):
    """Return the dataset without what TensorFlow would add by itself; it also starts faster."""
    options = tf.data.Options()
    optimization = options.experimental_optimization
    optimization.apply_default_optimizations = False
    optimization.inject_prefetch = False
    # The thread of autotune may hold up whoever drops the iterator, for minutes.
    options.autotune.enabled = False
    return dataset.with_options(options)


def three_epochs(batches):
    """Cut the batches of three epochs into three lists; what is left over joins the last."""
    batches = list(batches)
    length = len(batches) // 3
    first = batches[:length]
    second = batches[length : 2 * length]
    third = batches[2 * length :]
    return first, second, third


def grows_beyond(made, count, seconds):
    """Tell whether the list `made` gets longer than `count` within so many seconds."""
    end = time.monotonic() + seconds
    while len(made) <= count and time.monotonic() < end:
        time.sleep(0.005)
    return len(made) > count


def runs_ahead(made, count):
    """Tell whether the list `made` gets longer than `count` while nobody asks for more.

    How long to wait is measured by another pipeline, one that surely runs ahead: a clock would
    judge how busy the machine is.
    """
    if grows_beyond(made, count, 0.2):
        return True
    known = []

    def note(number):
        known.append(number)
        return number

    numbers = tf.data.Dataset.range(2)
    noted = numbers.map(
        lambda number: tf.numpy_function(note, [number], tf.int64, stateful=False)
    )
    iterator = iter(without_optimizations(noted.prefetch(1)))
    next(iterator)
    grows_beyond(known, 1, 10)
    list(iterator)  # one dropped while it waits for Python's lock could never end
    return grows_beyond(made, count, 0.1)
