"""What the built notebook 09 shows is true: on schedules, kinds of steps and used rates."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from keras.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule
from lessons import code_cells, names_bound, run_cells, values

from helpers import schedules

NOTEBOOK = "09_schedules"
SCOPE = {
    "CosineDecay": CosineDecay,
    "ExponentialDecay": ExponentialDecay,
    "LearningRateSchedule": LearningRateSchedule,
    "keras": keras,
    "math": math,
    "ops": ops,
    "schedules": schedules,
}


def names_of(wanted: str) -> dict:
    """Run the last cell that binds a name, and the cells that it needs."""
    cells = code_cells(NOTEBOOK)
    last = max(place for place, source in enumerate(cells) if wanted in names_bound(source))
    return run_cells(cells, last)[0]


def planned(name):
    """Return a schedule as the notebook builds it, and the steps of the run it is for."""
    names = ["STEPS_PER_EPOCH", "EPOCHS", "WARMUP", "DECAY", "RUN", "MyCosine", name]
    per_epoch, epochs, _, _, run, _, schedule = values("09", names, **SCOPE)
    if name == "good":
        return schedule, run * 32
    return schedule, epochs * per_epoch


@pytest.mark.parametrize("name", ["cosine", "mine", "keras_cosine", "good"])
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


@pytest.fixture(scope="module")
def lesson():
    """The names left by the cell that runs the six settings."""
    return names_of("as_used")


def test_all_six_settings_begin_at_the_optimizers_rate_and_agree_after_the_ramp(lesson):
    assert len(lesson["TRIED"]) == 6
    for setting, typed, used in zip(lesson["TRIED"], lesson["as_typed"], lesson["as_used"]):
        start, peak, _, rampup, _, _ = setting
        assert typed[0] == start
        assert used[0] == pytest.approx(0.001)
        np.testing.assert_allclose(used[rampup:], typed[rampup:], rtol=1e-5)
        # Each epoch ramps again from the current rate: the distance to the peak shrinks.
        for epoch in range(1, min(rampup, 12)):
            distance = (peak - used[epoch - 1]) * (1 - epoch / rampup)
            assert peak - used[epoch] == pytest.approx(distance, rel=1e-4)


def test_the_mended_rules_give_the_rates_as_typed(lesson):
    mended = names_of("mended")
    typed = [mended["mended"](epoch, 0.001) for epoch in range(6)]
    used = mended["used_rates"](mended["mended"], epochs=6)
    np.testing.assert_allclose(used, typed, rtol=1e-5)


def test_the_two_rules_agree_where_an_epoch_begins_and_on_the_plateau():
    names = names_of("equal")
    steps, per_epoch = names["all_steps"], names["PER_EPOCH"]
    begins = steps % per_epoch == 0
    plateau = (steps >= 4 * per_epoch) & (steps < 6 * per_epoch)
    np.testing.assert_array_equal(names["equal"], begins | plateau)


@pytest.mark.parametrize(
    ("step", "kind", "works"),
    [
        (5, "variable", True),
        (5, "tensor", False),
        (50, "variable", False),
        (50, "tensor", False),
        (5, "int", True),
        (50, "int", True),
    ],
)
def test_which_branch_of_the_mistaken_schedule_fails_for_which_step(step, kind, works):
    schedule = names_of("MistakenCosine")["MistakenCosine"](0.001, 10, 90)
    value = step
    if kind == "variable":
        value = keras.Variable(step, dtype="int64")
    if kind == "tensor":
        value = ops.convert_to_tensor(step, "int64")
    if works:
        assert 0 < float(schedule(value)) < 0.001
    else:
        with pytest.raises(TypeError):
            schedule(value)
