"""Checks of arguments: what passes comes back, what does not is named with what is accepted."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from helpers import checks


@given(st.floats(0.25, 4))
def test_a_number_in_the_range_comes_back_as_a_float(number):
    assert checks.check_number("rate", number, 0.25, 4) == number
    assert checks.check_number("rate", np.float64(number), 0.25, 4) == number


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (0, ValueError, "rate must be finite, above 0 and at most 1; got 0"),
        (1.5, ValueError, "above 0 and at most 1; got 1.5"),
        (math.nan, ValueError, "finite"),
        ("much", TypeError, "rate must be a plain number, got 'much'"),
        (None, TypeError, "plain number"),
    ],
)
def test_another_number_is_refused(value, error, words):
    with pytest.raises(error, match=words):
        checks.check_number("rate", value, 0, 1, above=True)


def test_the_lower_end_belongs_to_the_range_unless_above_is_asked_for():
    assert checks.check_number("rate", 0, 0) == 0
    with pytest.raises(ValueError, match="finite, at least 0; got inf"):
        checks.check_number("rate", math.inf, 0)


def test_a_count_is_a_whole_number():
    assert checks.check_count("epochs", 3.0, 1) == 3
    with pytest.raises(TypeError, match=r"whole number, got 2\.5"):
        checks.check_count("epochs", 2.5, 1)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        checks.check_count("epochs", 0, 1)


def test_a_batch_has_as_many_labels_as_images():
    images, labels = checks.check_batch(np.zeros((2, 4, 4, 3), "uint8"), np.eye(2))
    assert images.dtype == tf.uint8
    assert labels.dtype == tf.float64
    with pytest.raises(ValueError, match="of one batch"):
        checks.check_batch(np.zeros((3, 4, 4, 3), "uint8"), np.eye(2))
