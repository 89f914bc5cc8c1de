"""Learning-rate schedules: two that save and load, and what plots and records the real ones.

A schedule is an object that the optimizer calls with the number of the step. A figure takes its
curve from the same object (`sample`), and `RecordLearningRate` writes down what the optimizer
used. Notebook 09 explains all of this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from helpers.checks import check_count, check_number


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule made of plain numbers, which it keeps as attributes and saves.

    It is called with a step of any numeric dtype or an array of them, and gives float32 rates.
    """

    def __init__(self, **numbers: float):
        for name, number in numbers.items():
            setattr(self, name, number)
        self._numbers = numbers

    def get_config(self) -> dict:
        """Return the numbers that make the same schedule again."""
        return dict(self._numbers)


@keras.saving.register_keras_serializable(package="helpers")
class WarmupCosine(Schedule):
    """Linear warm-up to a peak, then half a cosine down to 0, and 0 ever after.

    The rate in step s is max_lr s / warmup_steps during the warm-up, and then
    max_lr (1 + cos(pi (s - warmup_steps) / decay_steps)) / 2, as in Loshchilov and Hutter 2017,
    https://arxiv.org/abs/1608.03983, equation 5, without restarts. Keras' own is
    `CosineDecay(0.0, decay_steps, warmup_target=max_lr, warmup_steps=warmup_steps)`. Explained
    in notebook 09.

    Parameters
    ----------
    max_lr
        Rate at the end of the warm-up; above 0.
    warmup_steps
        Steps of the warm-up; 0 for none.
    decay_steps
        Steps of the cosine, at least 1, the warm-up *not* included.

    Raises
    ------
    TypeError, ValueError
        For a number out of its range, or steps that are not whole.
    """

    def __init__(
        self,
        max_lr: float,
        warmup_steps: int,
        decay_steps: int,
    ):
        super().__init__(
            max_lr=check_number("max_lr", max_lr, 0, above=True),
            warmup_steps=check_count("warmup_steps", warmup_steps, 0),
            decay_steps=check_count("decay_steps", decay_steps, 1),
        )

    def __call__(self, step):
        step = ops.cast(step, "float32")
        passed = ops.clip(step - self.warmup_steps, 0.0, self.decay_steps)
        angle = math.pi * passed / self.decay_steps
        rate = self.max_lr * 0.5 * (1 + ops.cos(angle))
        if self.warmup_steps == 0:
            return rate
        # The decay is 1 during the warm-up, and the ramp is 1 afterwards.
        return rate * ops.minimum(step / self.warmup_steps, 1.0)


@keras.saving.register_keras_serializable(package="helpers")
class RampSustainDecay(Schedule):
    """Linear ramp to a peak, a plateau, then exponential decay towards a floor.

    After the plateau the rate is min_lr + (max_lr - min_lr) decay_rate^(passed / decay_steps),
    where `passed` counts the steps since the plateau's end. Steps may be epochs; for the same
    curve per training step multiply every number of steps by the steps of one epoch. Explained
    in notebook 09.

    Parameters
    ----------
    start_lr
        Rate in step 0; at least 0. Above `max_lr` the "ramp-up" goes down: a common mistake.
    max_lr
        Rate at the end of the ramp; above 0.
    min_lr
        Rate that the decay approaches, in [0, max_lr].
    rampup_steps, sustain_steps
        Steps of the ramp and of the plateau; 0 for none.
    decay_rate
        What remains of the distance to the floor after `decay_steps` steps, in (0, 1].
    decay_steps
        At least 1.

    Raises
    ------
    TypeError, ValueError
        For a number out of its range, or steps that are not whole.
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
        if min_lr > max_lr:
            raise ValueError(f"min_lr must be at most max_lr; {min_lr} is above {max_lr}")

    def __call__(self, step):
        step = ops.cast(step, "float32")
        plateau_end = self.rampup_steps + self.sustain_steps
        passed = ops.maximum(step - plateau_end, 0.0)
        left = ops.power(self.decay_rate, passed / self.decay_steps)
        decay = self.min_lr + (self.max_lr - self.min_lr) * left
        if self.rampup_steps == 0:
            return decay
        risen = step / self.rampup_steps
        ramp = self.start_lr + (self.max_lr - self.start_lr) * risen
        return ops.where(risen < 1, ramp, decay)


def per_epoch(schedule: Callable) -> Callable:
    """Turn a schedule that counts epochs into a function for Keras' `LearningRateScheduler`.

    Keras calls such a function with the epoch *and the current rate*. A common mistake is a
    function whose second parameter is something else, and silently receives that rate. This one
    ignores it. Explained in notebook 09.
    """

    def rate(epoch: int, current_lr: float | None = None) -> float:
        return float(schedule(epoch))

    return rate


def sample(schedule: Callable, steps: int | Sequence[int]) -> np.ndarray:
    """Return a schedule's rates, computed by the object that the optimizer gets.

    Explained in notebook 09.

    Parameters
    ----------
    schedule
        One of this module, one of Keras', or a function of one step.
    steps
        The steps, or how many: `sample(schedule, 100)` is for steps 0 to 99.

    Returns
    -------
    np.ndarray
        float32, one rate for each step.
    """
    if np.ndim(steps) == 0:
        steps = range(steps)
    steps = np.asarray(steps)
    if isinstance(schedule, Schedule):
        return ops.convert_to_numpy(schedule(steps))
    rates = [float(schedule(step)) for step in steps]
    return np.array(rates, "float32")


class RecordLearningRate(keras.callbacks.Callback):
    """Record the rate that the optimizer uses in each training step. Explained in notebook 09.

    The rate is read just before the step: afterwards the optimizer has counted it, and a
    schedule would give the rate of the next. With `compile(steps_per_execution=n)` Keras calls
    back once in n steps, and so it is recorded.

    Attributes
    ----------
    steps, rates
        The optimizer's own count and its rate, one int and one float for each recorded step of
        the latest `fit`.
    """

    def on_train_begin(self, logs=None):
        """Start anew."""
        self.steps = []
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        """Record the step to come."""
        optimizer = self.model.optimizer
        # A variable that is mirrored on several devices becomes a number only through NumPy.
        step = ops.convert_to_numpy(optimizer.iterations)
        rate = ops.convert_to_numpy(optimizer.learning_rate)
        self.steps.append(int(step))
        self.rates.append(float(rate))
