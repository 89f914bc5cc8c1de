"""Functions compiled with XLA where that works, and run as they stand where it does not."""

import numpy as np
import tensorflow as tf

from helpers import compiling


@compiling.compiled
def doubled(numbers):
    return 2 * numbers


def test_a_compiled_function_gives_what_the_plain_one_gives(monkeypatch):
    compiled = doubled(tf.constant([1.0, 2.0])).numpy()
    monkeypatch.setattr(compiling, "xla_works", lambda: False)
    np.testing.assert_array_equal(doubled(tf.constant([1.0, 2.0])).numpy(), compiled)
    np.testing.assert_array_equal(compiled, [2, 4])


def test_xla_works_here():
    assert compiling.xla_works()


def test_autograph_leaves_a_function_alone():
    @compiling.without_autograph
    def add_if_positive(number):
        try:
            return number + 1 if number > 0 else number
        except tf.errors.OperatorNotAllowedInGraphError:
            return tf.constant(-1)

    assert tf.function(add_if_positive)(tf.constant(5)).numpy() == -1
