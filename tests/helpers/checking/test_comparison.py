"""Plain values, compared and put into words."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.checking.comparison import difference, equal, plain


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        (1.0, 1.00001, True),
        (1.0, 1.001, False),
        (81_840, 81_841, False),
        (81_840, 81_840.0, True),
        (np.float32(0.1), 0.1, True),
        (float("nan"), np.nan, True),
        ((1, 2, 3), np.array([1, 2, 3]), True),
        ((1, 2, 3), [1, 2, 3], True),
        ((1, 2, 3), np.array([[1, 2, 3]]), False),
        (np.ones(3), np.ones((3, 1)), False),
        (np.ones((1, 3)), np.ones(3), False),
        ((1, (2.0, 3)), (1, (2.000001, 3)), True),
        ((1, (2.0, 3)), (1, 2.0), False),
        (tf.constant([1, 2]), np.array([1, 2], "uint8"), True),
        (tf.constant([1, 2]), None, False),
        (tf.constant([1, 2]), 1, False),
        (None, None, True),
        ("a", "b", False),
        ("1", 1, False),
        (tf.constant(["a", "b"]), (b"a", b"b"), True),
        (tf.ragged.constant([[1], [2, 3]]), [[1], [2, 3]], True),
        (tf.float32, "float32", True),
        (np.dtype("uint8"), tf.uint8, True),
        (tf.TensorShape([2, None]), (2, None), True),
        ({"a": 1.0}, {"a": 1.0000001}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        (tf.Variable(3.0), 3.0, True),
        (print, len, True),
        (print, "print", False),
    ],
)
def test_which_values_are_equal(one, other, are_equal):
    for first, second in ((one, other), (other, one)):
        assert equal(plain(first), plain(second), 1e-4) is are_equal


def test_a_value_is_a_copy():
    variable, array = tf.Variable([1.0]), np.zeros(2)
    kept = plain((variable, array))
    variable.assign([5.0])
    array[0] = 5
    assert (kept[0].item(), kept[1].tolist()) == (1.0, [0.0, 0.0])


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        (np.ones((2, 3)), np.ones(6), "expected shape (2, 3), got shape (6,)"),
        (np.zeros(20), np.eye(20)[3], "expected at [3] 0, got 1"),
        (0.5, 0.5001, "expected 0.5, got 0.5001"),
        (1.0, 1.00012, "expected 1, got 1.00012"),
        (np.zeros(20), None, "expected an array of shape (20,), got None"),
        (3, "three", "expected 3, got 'three'"),
        ({"a": (1, 2.5)}, {"a": (1, 3.5)}, "expected {a: (1, 2.5)}, got {a: (1, 3.5)}"),
    ],
)
def test_a_difference_in_words(expected, got, words):
    assert difference(expected, got, 1e-5) == words
