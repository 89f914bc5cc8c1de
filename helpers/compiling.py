"""Compiling with XLA where it is there, and the same operations uncompiled where it is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


@functools.cache
def xla_works() -> bool:
    """Whether this TensorFlow can compile with XLA here: tried once, on one addition."""
    import tensorflow as tf

    def compile_and_run() -> bool:
        try:
            return (
                int(tf.function(lambda number: number + 1, jit_compile=True)(tf.constant(1)))
                == 2
            )
        except (tf.errors.OpError, NotImplementedError, ValueError):
            return False

    # The first call may come while a pipeline is traced, where nothing runs at once. A thread
    # of its own is eager.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(compile_and_run).result()


def compiled(function: Callable) -> Callable:
    """Run `function` compiled with XLA, or as it stands where XLA is missing. The plain one is `.__wrapped__`."""

    @functools.cache
    def build() -> Callable:
        import tensorflow as tf

        return tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)

    @functools.wraps(function)
    def call(*args):
        return build()(*args) if xla_works() else function(*args)

    return call


def as_written(function: Callable) -> Callable:
    """Keep AutoGraph from rewriting a function that holds nothing to rewrite: it is traced faster as it stands."""

    @functools.wraps(function)
    def call(*args, **options):
        import tensorflow as tf

        return tf.autograph.experimental.do_not_convert(function)(*args, **options)

    return call


def like(result: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Return the result, with what is known of the given tensor's shape: a compiled function may have forgotten it."""
    result.set_shape(given.shape)
    return result
