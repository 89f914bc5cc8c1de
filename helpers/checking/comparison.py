"""Plain values: copies of what an answer returned, that can be compared and put into few words."""

from __future__ import annotations

from typing import Any

import numpy as np

FEW = 12  # numbers shown of an array or a tuple


def plain(value: Any) -> Any:
    """Copy a value into numbers, text, arrays, and tuples and dicts of these; of other things only the type remains."""
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    for method in ("to_list", "as_list"):  # a ragged tensor, a shape
        if hasattr(value, method):
            return plain(getattr(value, method)())
    if hasattr(value, "as_numpy_dtype") or isinstance(value, np.dtype):
        return value.name
    if not hasattr(value, "__array__"):
        return f"a thing of type {type(value).__name__}"
    array = np.array(value)
    return plain(array.tolist()) if array.dtype == object else array


def same(one: Any, other: Any, rtol: float, atol: float) -> bool:
    """Tell whether two plain values are equal: floats nearly, the rest exactly, a tuple and an array of its shape."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key], rtol, atol) for key in one
        )
    if isinstance(one, tuple) or isinstance(other, tuple):
        rows = all(
            isinstance(v, tuple) or (isinstance(v, np.ndarray) and v.ndim > 0)
            for v in (one, other)
        )
        return (
            rows
            and len(one) == len(other)
            and all(same(a, b, rtol, atol) for a, b in zip(one, other))
        )
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return one.shape == other.shape and np.allclose(other, one, rtol, atol, equal_nan=True)
    return np.array_equal(one, other)


def difference(expected: Any, got: Any, rtol: float, atol: float) -> str:
    """Say how two plain values differ: by their shapes, by the first place in large arrays, or as a whole."""
    place = ""
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        if expected.shape != got.shape:
            return f"expected shape {expected.shape}, got shape {got.shape}"
        if expected.size > FEW:
            first = next(
                i
                for i in np.ndindex(expected.shape)
                if not same(expected[i], got[i], rtol, atol)
            )
            place, expected, got = f" at {list(first)}", expected[first], got[first]
    for digits in (4, 8, 17):
        texts = shown(expected, digits), shown(got, digits)
        if texts[0] != texts[1]:
            break
    return "expected{} {}, got {}".format(place, *texts)


def shown(value: Any, digits: int = 4) -> str:
    """Put a plain value into few words."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key}: {shown(item, digits)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, tuple | np.ndarray) and np.ndim(
        value if isinstance(value, np.ndarray) else [0]
    ):
        if isinstance(value, np.ndarray) and value.size > FEW:
            return f"an array of shape {value.shape}"
        left, right = "[]" if isinstance(value, np.ndarray) else "()"
        some = [shown(item, digits) for item in value[:FEW]] + ["..."] * (len(value) > FEW)
        return left + ", ".join(some) + right
    value = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return f"{value:.{digits}g}" if isinstance(value, float) else repr(value)
