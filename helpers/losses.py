"""The Huber loss three ways: a function, a loss that can be configured, a metric that streams. Notebook 04 builds them.

For an error e the loss is e**2 / 2 where |e| <= delta and delta (|e| - delta / 2) beyond (Huber
1964, "Robust estimation of a location parameter", https://doi.org/10.1214/aoms/1177703732): a
parabola near zero, a straight line far out, so that one wild label cannot pull the whole model.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from helpers.checks import check_number


@keras.saving.register_keras_serializable(package="helpers")
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Return the Huber loss of each sample, the mean over the last axis. Explained in notebook 04.

    Equal to ``keras.losses.huber`` bit for bit, but shapes that do not fit are refused instead
    of broadcast, and whole numbers are computed in float.

    Parameters
    ----------
    y_true, y_pred
        Labels and predictions, shape ``(batch, ..., values)``. One of them may lack a last axis
        of size 1.
    delta
        Size of the error where the parabola becomes a line; above 0, in the units of the
        labels.

    Returns
    -------
    tensor
        Shape ``(batch, ...)``, 0 or more, in the dtype of `y_pred` (Keras' float dtype if that
        is no float).

    Raises
    ------
    TypeError, ValueError
        `delta` is no finite number above 0, or the two shapes do not fit.
    """
    delta = check_number("delta", delta, 0, above=True)
    y_pred = ops.convert_to_tensor(y_pred)
    if not keras.backend.is_float_dtype(y_pred.dtype):
        y_pred = ops.cast(y_pred, keras.config.floatx())
    y_true, y_pred = _aligned(ops.convert_to_tensor(y_true, y_pred.dtype), y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    delta = ops.convert_to_tensor(delta, y_pred.dtype)
    # Both branches are computed everywhere; `where` picks one for each number, and its gradient
    # with it.
    return ops.mean(
        ops.where(
            size <= delta, 0.5 * ops.square(error), delta * size - 0.5 * ops.square(delta)
        ),
        axis=-1,
    )


@keras.saving.register_keras_serializable(package="helpers")
class HuberLoss(keras.losses.Loss):
    """The Huber loss for ``compile(loss=...)``, with its `delta` saved in the model. Explained in notebook 04.

    Equal to ``keras.losses.Huber``. Sample weights, masks and the reduction are those of every
    Keras loss.

    Parameters
    ----------
    delta
        Size of the error where the parabola becomes a line; above 0.
    reduction
        ``"sum_over_batch_size"`` (the mean over the samples), ``"sum"``, ``"none"`` or another
        that Keras knows.
    name
        Name of the loss.
    dtype
        Dtype of the computation; None is Keras' float dtype, under mixed precision, too.

    Raises
    ------
    TypeError, ValueError
        `delta` is no finite number above 0, the reduction is unknown or, when called, the
        shapes do not fit.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.delta = check_number("delta", delta, 0, above=True)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample; Keras weighs and reduces it."""
        return huber(y_true, y_pred, self.delta)

    def get_config(self) -> dict[str, Any]:
        """All that ``from_config`` needs to make this loss again."""
        return {**super().get_config(), "delta": self.delta, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="helpers")
class HuberMetric(keras.metrics.MeanMetricWrapper):
    """The mean Huber loss of all samples since the last ``reset_state()``. Explained in notebook 04.

    A streaming metric: ``update_state`` adds a batch to two numbers, ``total`` and ``count``,
    and ``result`` divides them, so that batches of different sizes count by their samples.
    Sample weights and masks weigh both numbers.

    Parameters
    ----------
    delta
        Size of the error where the parabola becomes a line; above 0.
    name
        Name of the metric, the key in ``History.history``.
    dtype
        Dtype of the sums; None is Keras' float dtype.

    Raises
    ------
    TypeError, ValueError
        `delta` is no finite number above 0 or, when updated, the shapes do not fit.
    """

    def __init__(self, delta: float = 1.0, name: str = "huber", dtype: Any = None):
        self.delta = check_number("delta", delta, 0, above=True)
        super().__init__(huber, name=name, dtype=dtype, delta=self.delta)

    def get_config(self) -> dict[str, Any]:
        """All that ``from_config`` needs to make this metric again, without its state."""
        return {"delta": self.delta, "name": self.name, "dtype": self.dtype}


def _aligned(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return both in the same shape, or say that they do not fit."""
    given = f"y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}"
    ranks = {len(y_true.shape), len(y_pred.shape)}
    if len(ranks) == 2:
        # A model's output (batch, 1) beside labels (batch,) would broadcast to (batch, batch).
        rank = max(2, min(ranks))
        y_true, y_pred = _with_rank(y_true, rank), _with_rank(y_pred, rank)
    sizes = list(zip(y_true.shape, y_pred.shape))
    if (
        len(y_true.shape) != len(y_pred.shape)
        or not sizes
        or any(a != b and None not in (a, b) for a, b in sizes)
    ):
        raise ValueError(
            f"{given}; both must be (batch, ..., values), equal but for a last axis of size 1."
        )
    return y_true, y_pred


def _with_rank(x: Any, rank: int) -> Any:
    """Add a last axis of size 1, or drop one, if that gives the rank."""
    if len(x.shape) == rank - 1:
        return ops.expand_dims(x, -1)
    return ops.squeeze(x, -1) if len(x.shape) == rank + 1 and x.shape[-1] == 1 else x
