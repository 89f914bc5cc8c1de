"""Learning-rate schedules, per step and per epoch, and what it takes to plot and to record the real ones.

A schedule here is an object: the optimizer calls it with the number of the step. The curve in a
figure comes from calling the same object (`sample`), and `RecordLearningRate` writes down what
the optimizer used. See notebook 09.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from helpers.checks import check_count, check_number


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that takes steps of any numeric kind, one or an array of them, and saves its plain numbers.

    A subclass calls `super().__init__(**numbers)` and gives `rate(step)`.
    """

    def __init__(self, **numbers: float | int):
        for name, number in numbers.items():
            setattr(self, name, number)
        self._numbers = numbers

    def __call__(self, step: Any) -> Any:
        return ops.maximum(self.rate(step), 0.0)

    def get_config(self) -> dict[str, float | int]:
        """The numbers the schedule was made from."""
        return dict(self._numbers)


@keras.saving.register_keras_serializable(package="helpers")
class WarmupCosine(Schedule):
    """Linear warm-up to a peak, then half a cosine down to 0, and 0 from then on.

    In step s: max_lr s / warmup_steps in the warm-up, then max_lr (1 + cos(pi (s -
    warmup_steps) / decay_steps)) / 2 (Loshchilov and Hutter 2017,
    https://arxiv.org/abs/1608.03983, equation 5, without restarts). Equal to Keras'
    `CosineDecay(0.0, decay_steps, warmup_target=max_lr, warmup_steps=warmup_steps)`. See
    notebook 09.

    Parameters
    ----------
    max_lr
        Rate at the end of the warm-up; above 0.
    warmup_steps
        Steps of the warm-up; 0 for none.
    decay_steps
        Steps of the cosine, the warm-up *not* included: the rate reaches 0 after warmup_steps +
        decay_steps.

    Raises
    ------
    TypeError, ValueError
        A rate that is not a finite number above 0, or steps that are not whole numbers in
        range.
    """

    def __init__(self, max_lr: float, warmup_steps: int, decay_steps: int):
        super().__init__(
            max_lr=check_number("max_lr", max_lr, 0, above=True),
            warmup_steps=check_count("warmup_steps", warmup_steps, 0),
            decay_steps=check_count("decay_steps", decay_steps, 1),
        )

    def rate(self, step: Any) -> Any:
        """Rate in the given step, float32."""
        rising = _steps_since(step, 0, self.warmup_steps) / max(self.warmup_steps, 1)
        falling = _steps_since(step, self.warmup_steps, self.decay_steps) / self.decay_steps
        cosine = 0.5 * (1 + ops.cos(math.pi * falling))
        # One of the two factors is 1 at any step: they meet at the peak.
        return self.max_lr * cosine * (rising if self.warmup_steps else 1.0)


@keras.saving.register_keras_serializable(package="helpers")
class RampSustainDecay(Schedule):
    """Linear ramp from a first rate to the peak, a plateau, then exponential decay towards a floor.

    After the plateau: min_lr + (max_lr - min_lr) decay_rate^((s - rampup_steps - sustain_steps)
    / decay_steps). With `decay_steps=1` and steps counted in epochs this is the notes' formula;
    `decay_steps=steps_per_epoch` (and rampup_steps, sustain_steps times as many) gives the same
    curve per step. See notebook 09.

    Parameters
    ----------
    start_lr
        Rate in step 0; at least 0. Above `max_lr` the "ramp-up" goes down, as it did in the
        notes.
    max_lr
        Rate at the end of the ramp; above 0.
    min_lr
        Rate that the decay approaches, in [0, max_lr].
    rampup_steps, sustain_steps
        Steps of the ramp and of the plateau; 0 for none.
    decay_rate
        Factor in (0, 1] on what is left above the floor, once in every `decay_steps` steps.
    decay_steps
        At least 1.

    Raises
    ------
    TypeError, ValueError
        A number that is not finite, or out of its range.
    """

    def __init__(
        self,
        start_lr: float,
        max_lr: float,
        min_lr: float,
        rampup_steps: int,
        sustain_steps: int,
        decay_rate: float,
        decay_steps: int = 1,
    ):
        super().__init__(
            start_lr=check_number("start_lr", start_lr, 0),
            max_lr=check_number("max_lr", max_lr, 0, above=True),
            min_lr=check_number("min_lr", min_lr, 0),
            rampup_steps=check_count("rampup_steps", rampup_steps, 0),
            sustain_steps=check_count("sustain_steps", sustain_steps, 0),
            decay_rate=check_number("decay_rate", decay_rate, 0, 1, above=True),
            decay_steps=check_count("decay_steps", decay_steps, 1),
        )
        if self.min_lr > self.max_lr:
            raise ValueError(
                f"min_lr must be at most max_lr; got min_lr={min_lr!r} and max_lr={max_lr!r}"
            )

    def rate(self, step: Any) -> Any:
        """Rate in the given step, float32."""
        risen = _steps_since(step, 0, self.rampup_steps) / max(self.rampup_steps, 1)
        decayed = _steps_since(step, self.rampup_steps + self.sustain_steps) / self.decay_steps
        ramp = self.start_lr + (self.max_lr - self.start_lr) * risen
        decay = self.min_lr + (self.max_lr - self.min_lr) * ops.power(self.decay_rate, decayed)
        return ops.where(risen < 1, ramp, decay) if self.rampup_steps else decay


def per_epoch(schedule: Callable[[Any], Any], steps_per_epoch: int = 1) -> Callable[..., float]:
    """Make of a schedule a function of the epoch, for `keras.callbacks.LearningRateScheduler`.

    Keras calls such a function with the epoch *and the current rate*. The notes' function took
    the second for its `start_lr`; this one has a place for it, and ignores it. See notebook 09.

    Parameters
    ----------
    schedule
        Called with the first step of the epoch.
    steps_per_epoch
        1 if the schedule counts epochs, else the number of batches in one.
    """
    steps_per_epoch = check_count("steps_per_epoch", steps_per_epoch, 1)

    def rate(epoch: int, current_lr: float | None = None) -> float:
        return float(schedule(epoch * steps_per_epoch))

    return rate


def sample(schedule: Callable[[Any], Any], steps: int | Sequence[int]) -> np.ndarray:
    """Rates of a schedule, for plotting: computed by the object that the optimizer gets.

    Parameters
    ----------
    schedule
        One of this module, one of Keras', or a function of one step.
    steps
        The steps, or their number: `sample(schedule, 100)` is for steps 0 ... 99.

    Returns
    -------
    np.ndarray
        [steps] float32.
    """
    steps = (
        np.arange(check_count("steps", steps, 1)) if np.ndim(steps) == 0 else np.asarray(steps)
    )
    if isinstance(schedule, Schedule):
        return ops.convert_to_numpy(schedule(steps))
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        # Keras' own take one step at a time, and a loop in a graph is a hundred times faster
        # than one in Python.
        if keras.backend.backend() != "tensorflow":
            return ops.convert_to_numpy(
                ops.vectorized_map(lambda step: ops.cast(schedule(step), "float32"), steps)
            )
        import tensorflow as tf

        def rate(step):
            return tf.cast(schedule(step), tf.float32)

        return tf.function(
            lambda: tf.map_fn(rate, steps, fn_output_signature=tf.float32)
        )().numpy()
    return np.array([float(schedule(step)) for step in steps], "float32")


class RecordLearningRate(keras.callbacks.Callback):
    """Record the rate that the optimizer uses in each training step. See notebook 09.

    The rate is read just before the step: afterwards the optimizer has counted it, and a
    schedule would give the rate of the next. With `compile(steps_per_execution=n)` Keras calls
    back once in n steps, and so it is recorded.

    Attributes
    ----------
    steps, rates
        Lists of ints and floats, one per recorded step of the latest `fit`: the optimizer's own
        count, and its rate.
    """

    def __init__(self):
        super().__init__()
        self.steps: list[int] = []
        self.rates: list[float] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start anew."""
        self.steps, self.rates = [], []

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Record the step to come."""
        optimizer = self.model.optimizer
        # By way of NumPy: a variable that is mirrored on several devices makes no Python
        # number.
        self.steps.append(int(keras.ops.convert_to_numpy(optimizer.iterations)))
        self.rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))


def _steps_since(step: Any, start: int, limit: int | None = None) -> Any:
    """Steps from `start` on, float32, in [0, limit]; whole steps are subtracted as such, exactly however many."""
    step = ops.convert_to_tensor(step)
    whole = keras.backend.is_int_dtype(step.dtype)
    # JAX has no wider one, unless told to.
    widest = "int32" if keras.backend.backend() == "jax" else "int64"
    passed = ops.maximum(ops.cast(step, widest if whole else "float32") - start, 0)
    passed = passed if limit is None else ops.minimum(passed, limit)
    return ops.cast(passed, "float32")
