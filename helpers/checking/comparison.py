"""Plain copies of what an answer gave, that can be compared and put into few words."""

from __future__ import annotations

import numpy as np

MOST_SHOWN = 12  # numbers of an array or a tuple
ATOL = 1e-5  # how far floats near 0 may be off
SIMPLE = (type(None), str, bytes, int, float)


def plain(value):
    """Copy a value into numbers, text, arrays, and tuples and dicts of these.

    Of other things only the type remains, as text.
    """
    if isinstance(value, SIMPLE):
        return value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if hasattr(value, "to_list"):  # a ragged tensor
        return plain(value.to_list())
    if hasattr(value, "as_list"):  # a shape
        return plain(value.as_list())
    if hasattr(value, "as_numpy_dtype") or isinstance(value, np.dtype):
        return value.name
    if not hasattr(value, "__array__"):
        return f"a thing of type {type(value).__name__}"
    array = np.array(value)
    if array.dtype == object:  # strings of TensorFlow
        return plain(array.tolist())
    return array


def equal(one, other, rtol: float) -> bool:
    """Tell whether two plain values are equal: floats nearly, the rest exactly.

    A tuple and an array of its shape and numbers are equal.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return False
        return all(equal(one[key], other[key], rtol) for key in one)
    if isinstance(one, tuple) or isinstance(other, tuple):
        if not _is_row(one) or not _is_row(other):
            return False
        if len(one) != len(other):
            return False
        return all(equal(a, b, rtol) for a, b in zip(one, other))
    one = np.asarray(one)
    other = np.asarray(other)
    both_floats = one.dtype.kind == other.dtype.kind == "f"
    if both_floats and one.shape == other.shape:
        return np.allclose(other, one, rtol, ATOL, equal_nan=True)
    return np.array_equal(one, other)


def _is_row(value):
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, tuple)


def difference(expected, got, rtol: float) -> str:
    """Say how two plain values differ.

    Arrays differ by their shapes, or, if they are large, at the first place; all else as a
    whole. As many digits are shown as it takes to see the difference.
    """
    place = ""
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        if expected.shape != got.shape:
            return f"expected shape {expected.shape}, got shape {got.shape}"
        if expected.size > MOST_SHOWN:
            index = _first_difference(expected, got, rtol)
            place = f" at {list(index)}"
            expected = expected[index]
            got = got[index]
    for digits in (4, 8, 17):
        wanted = in_words(expected, digits)
        found = in_words(got, digits)
        if wanted != found:
            break
    return f"expected{place} {wanted}, got {found}"


def _first_difference(expected, got, rtol):
    for index in np.ndindex(expected.shape):
        if not equal(expected[index], got[index], rtol):
            return index
    raise ValueError("the two arrays are equal")


def in_words(value, digits: int = 4) -> str:
    """Put a plain value into few words."""
    if isinstance(value, dict):
        items = []
        for key, item in value.items():
            items.append(f"{key}: {in_words(item, digits)}")
        text = ", ".join(items)
        return f"{{{text}}}"
    if isinstance(value, np.ndarray) and value.size > MOST_SHOWN:
        return f"an array of shape {value.shape}"
    if _is_row(value):
        items = [in_words(item, digits) for item in value[:MOST_SHOWN]]
        if len(value) > MOST_SHOWN:
            items.append("...")
        text = ", ".join(items)
        if isinstance(value, tuple):
            return f"({text})"
        return f"[{text}]"
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return repr(value)
