"""What the built notebook 09 shows is true: its schedules end with their runs."""

import math

import keras
import numpy as np
import pytest
from lessons import values

from helpers import schedules


def planned(name):
    """Return a schedule as the notebook builds it, and the steps of the run it is for."""
    names = ["STEPS_PER_EPOCH", "EPOCHS", "RUN", "MyCosine", name]
    per_epoch, epochs, run, _, schedule = values(
        "09", names, keras=keras, math=math, schedules=schedules
    )
    if name == "good":
        return schedule, run * 32
    return schedule, epochs * per_epoch


@pytest.mark.parametrize("name", ["cosine", "mine", "kerass", "good"])
def test_a_schedule_ends_with_its_run_and_not_before(name):
    schedule, run = planned(name)
    assert schedule.warmup_steps + schedule.decay_steps == run
    peak = float(schedule(schedule.warmup_steps))
    late = float(schedule(int(0.95 * run)))
    assert 0.001 * peak < late < 0.02 * peak
    assert float(schedule(run)) == pytest.approx(0, abs=1e-9)


def test_the_rates_an_optimizer_uses_are_the_curve_that_is_drawn():
    schedule, run = planned("good")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    recorder = schedules.RecordLearningRate()
    model.fit(np.ones((run, 2)), np.ones(run), batch_size=1, verbose=0, callbacks=[recorder])
    np.testing.assert_allclose(recorder.rates, schedules.sample(schedule, run), rtol=1e-5)
