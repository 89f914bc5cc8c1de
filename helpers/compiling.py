"""Compile with XLA where it is available, and run the same operations uncompiled elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Callable


@functools.cache
def xla_works() -> bool:
    """Return whether this TensorFlow can compile with XLA, found out once, by trying it."""
    import tensorflow as tf

    # The first call may come while a pipeline is traced: this steps out to where code runs.
    with tf.init_scope():
        try:
            tf.function(tf.abs, jit_compile=True)(1.0)
        except tf.errors.OpError:
            return False
    return True


def compiled(function: Callable) -> Callable:
    """Compile a function of tensors with XLA, or leave it as it is where XLA is missing."""

    @functools.cache
    def compile_once():
        import tensorflow as tf

        return tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)

    def call(*tensors):
        if xla_works():
            return compile_once()(*tensors)
        return function(*tensors)

    return call


def without_autograph(function: Callable) -> Callable:
    """Keep AutoGraph from rewriting a function that needs no rewriting: tracing is faster."""

    @functools.wraps(function)
    def call(*args, **options):
        import tensorflow as tf

        return tf.autograph.experimental.do_not_convert(function)(*args, **options)

    return call
