"""Schedules: against Keras and formulas, at joins and ends, resumed, and in the optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.schedules import (
    RampSustainDecay,
    RecordLearningRate,
    WarmupCosine,
    per_epoch,
    sample,
)

SETTINGS = [  # start, min, max, ramp-up, sustain, decay
    (0.1, 0.001, 0.05, 3, 0, 0.8),
    (0.1, 0.01, 0.05, 3, 0, 0.8),
    (0.05, 0.001, 0.01, 5, 0, 0.5),
    (0.05, 0.001, 0.01, 6, 0, 0.5),
    (0.1, 0.001, 0.05, 7, 0, 0.5),
    (0.001, 0.0001, 0.01, 30, 0, 0.8),
    (0.001, 0.0001, 0.01, 4, 6, 0.8),
]
STEPS_PER_EPOCH = 14034 // 32


def by_formula(epoch, start, low, high, ramp, sustain, decay):
    """The curve of RampSustainDecay once an epoch, in plain Python."""
    if epoch < ramp:
        return start + (high - start) * epoch / ramp
    return low + (high - low) * decay ** max(epoch - ramp - sustain, 0)


def ramp_sustain_decay(start, low, high, ramp, sustain, decay):
    return RampSustainDecay(start, high, low, ramp, sustain, decay)


def small_fit(rate, callbacks=(), epochs=1, model=None, **options):
    """Five steps an epoch of a one-weight model."""
    if model is None:
        model = keras.Sequential(
            [
                keras.Input((1,)),
                keras.layers.Dense(1, use_bias=False, kernel_initializer="ones"),
            ]
        )
        model.compile(keras.optimizers.SGD(rate), "mse", **options)
    data = tf.data.Dataset.from_tensors((tf.ones([4, 1]), tf.zeros([4, 1]))).repeat(5)
    model.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=list(callbacks))
    return model


@pytest.mark.parametrize("warmup", [0, 1, 3 * STEPS_PER_EPOCH])
def test_warmup_cosine_is_the_one_of_keras(warmup):
    decay = 100 * STEPS_PER_EPOCH
    ours = WarmupCosine(0.001, warmup, decay)
    if warmup:
        theirs = keras.optimizers.schedules.CosineDecay(
            0.0, decay, warmup_target=0.001, warmup_steps=warmup
        )
    else:
        theirs = keras.optimizers.schedules.CosineDecay(0.001, decay)
    steps = [
        0,
        1,
        2,
        700,
        warmup,
        warmup + 1,
        decay // 2,
        decay,
        warmup + decay - 1,
        warmup + decay,
        warmup + 2 * decay,
    ]
    np.testing.assert_allclose(sample(ours, steps), sample(theirs, steps), atol=1e-9)


def test_warmup_cosine_is_its_formula_until_the_end():
    warmup, decay = 3 * STEPS_PER_EPOCH, 100 * STEPS_PER_EPOCH
    steps = np.arange(0, warmup + decay + 1, 97)
    formula = np.where(
        steps < warmup,
        0.001 / warmup * steps,
        0.0005 * (1 + np.cos(np.pi * (steps - warmup) / decay)),
    )
    np.testing.assert_allclose(
        sample(WarmupCosine(0.001, warmup, decay), steps), formula, atol=2e-9
    )
    # Afterwards the formula climbs again; a schedule must not.
    later = sample(
        WarmupCosine(0.001, warmup, decay), [warmup + decay, warmup + 2 * decay, 10**9]
    )
    assert later.tolist() == [0, 0, 0]


@pytest.mark.parametrize("setting", SETTINGS)
def test_ramp_sustain_decay_is_its_formula(setting):
    schedule = ramp_sustain_decay(*setting)
    expected = [by_formula(epoch, *setting) for epoch in range(50)]
    np.testing.assert_allclose(sample(schedule, 50), expected, rtol=1e-5)
    np.testing.assert_allclose(
        [per_epoch(schedule)(epoch) for epoch in range(50)], expected, rtol=1e-5
    )


def test_the_same_curve_per_epoch_and_per_step():
    epochs = RampSustainDecay(1e-4, 1e-2, 1e-3, 3, 2, 0.8)
    steps = RampSustainDecay(1e-4, 1e-2, 1e-3, 3 * 40, 2 * 40, 0.8, decay_steps=40)
    np.testing.assert_allclose(sample(steps, range(0, 800, 40)), sample(epochs, 20), rtol=1e-5)


def test_the_joins_of_ramp_sustain_decay():
    schedule = RampSustainDecay(0.0, 1.0, 0.1, 4, 3, 0.5)
    np.testing.assert_allclose(
        sample(schedule, 10), [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0.55, 0.325], rtol=1e-6
    )
    assert float(schedule(10_000)) == np.float32(0.1)


rates = st.floats(1e-7, 10)
lengths = st.integers(0, 10_000)


@settings(max_examples=40, deadline=None)
@given(max_lr=rates, warmup=lengths, decay=st.integers(1, 10_000))
def test_warmup_cosine_never_jumps_nor_turns_negative(max_lr, warmup, decay):
    schedule = WarmupCosine(max_lr, warmup, decay)
    around = [0, warmup, warmup + decay, warmup + 2 * decay]
    steps = np.unique([s for join in around for s in range(max(join - 3, 0), join + 4)])
    values = sample(schedule, steps).astype("float64")
    assert (values >= 0).all()
    assert values.max() <= max_lr * (1 + 1e-6)
    slope = max_lr * max(1 / max(warmup, 1), np.pi / 2 / decay)
    assert (
        np.abs(np.diff(values)) <= slope * np.diff(steps) * (1 + 1e-4) + max_lr * 1e-6
    ).all()
    assert float(schedule(warmup)) == pytest.approx(max_lr)
    assert float(schedule(warmup + decay)) == 0


@settings(max_examples=40, deadline=None)
@given(
    start=st.floats(0, 10),
    max_lr=rates,
    low=st.floats(0, 1),
    ramp=lengths,
    sustain=lengths,
    decay=st.floats(0.01, 1),
    every=st.integers(1, 500),
)
def test_ramp_sustain_decay_never_jumps_nor_leaves_its_range(
    start, max_lr, low, ramp, sustain, decay, every
):
    schedule = RampSustainDecay(start, max_lr, low * max_lr, ramp, sustain, decay, every)
    joins = [0, ramp, ramp + sustain, ramp + sustain + 40 * every]
    steps = np.unique([s for join in joins for s in range(max(join - 3, 0), join + 4)])
    values = sample(schedule, steps).astype("float64")
    top = max(max_lr, start if ramp else 0)
    assert (values >= min(low * max_lr, start if ramp else max_lr) - top * 1e-6).all()
    assert values.max() <= top * (1 + 1e-6)
    slope = max(abs(max_lr - start) / max(ramp, 1), max_lr * (1 - decay ** (1 / every)))
    assert (np.abs(np.diff(values)) <= slope * np.diff(steps) * (1 + 1e-3) + top * 1e-5).all()
    assert float(schedule(ramp + sustain)) == pytest.approx(max_lr)


@pytest.mark.parametrize(
    "schedule", [WarmupCosine(0.1, 10, 40), RampSustainDecay(0.01, 0.1, 0.001, 6, 4, 0.7)]
)
def test_any_numeric_step(schedule):
    expected = float(sample(schedule, [7])[0])
    kinds = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    kinds += ["float16", "bfloat16", "float32", "float64"]
    steps = [
        7,
        7.0,
        np.int64(7),
        np.float32(7),
        tf.Variable(7, dtype=tf.int64),
        keras.Variable(7, dtype="int64"),
    ]
    for step in [*steps, *(tf.cast(7, kind) for kind in kinds)]:
        rate = schedule(step)
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        assert float(rate) == pytest.approx(expected)
    for wrap in (tf.function, lambda function: tf.function(function, jit_compile=True)):
        assert float(wrap(schedule)(tf.constant(7, tf.int64))) == pytest.approx(expected)
    assert schedule(tf.range(5)).shape == (5,)


@pytest.mark.parametrize(
    "schedule",
    [
        WarmupCosine(0.1, 4, 9),
        WarmupCosine(1, 0, 9),
        RampSustainDecay(0.1, 0.05, 0.001, 3, 1, 0.8, 2),
    ],
)
def test_config_is_plain_numbers_and_rebuilds_the_schedule(schedule):
    config = schedule.get_config()
    assert {type(number) for number in config.values()} <= {int, float}
    again = type(schedule).from_config(config)
    assert again.get_config() == config
    assert np.array_equal(sample(again, 20), sample(schedule, 20))


@pytest.mark.parametrize(
    "schedule",
    [WarmupCosine(0.1, 4, 9), RampSustainDecay(0.01, 0.1, 0.001, 3, 2, 0.8)],
)
def test_a_saved_model_goes_on_at_the_right_step(schedule, tmp_path):
    record = RecordLearningRate()
    small_fit(schedule, [record], epochs=2)
    whole = record.rates
    model = small_fit(schedule, [record])
    half = record.rates
    model.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras", safe_mode=True)
    small_fit(None, [record], model=loaded)
    assert record.steps == [5, 6, 7, 8, 9]
    assert half + record.rates == whole == sample(schedule, 10).tolist()


def test_the_recorded_rate_is_the_one_used():
    """With this model one SGD step takes w to w - rate * 2 w: the weights tell the rate."""
    weights = [1.0]

    class Weights(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights.append(float(self.model.get_weights()[0].item()))

    record = RecordLearningRate()
    small_fit(WarmupCosine(0.2, 3, 8), [record, Weights()], epochs=2)
    used = (1 - np.array(weights[1:]) / np.array(weights[:-1])) / 2
    np.testing.assert_allclose(record.rates, used, atol=1e-6)
    assert record.steps == list(range(10))


def test_recording_follows_the_per_epoch_callback():
    schedule = RampSustainDecay(0.01, 0.1, 0.001, 2, 0, 0.5)
    record = RecordLearningRate()
    scheduler = keras.callbacks.LearningRateScheduler(per_epoch(schedule))
    small_fit(0.5, [scheduler, record], epochs=4)
    np.testing.assert_allclose(record.rates, np.repeat(sample(schedule, 4), 5), rtol=1e-6)


def test_recording_with_several_steps_per_execution():
    record = RecordLearningRate()
    schedule = WarmupCosine(0.2, 3, 8)
    small_fit(schedule, [record], steps_per_execution=2)
    assert record.steps == [0, 2, 4]
    assert record.rates == sample(schedule, [0, 2, 4]).tolist()


def test_a_per_epoch_function_ignores_the_current_rate():
    rate = per_epoch(RampSustainDecay(0.01, 0.1, 0.001, 2, 0, 0.5))
    assert isinstance(rate(1, 0.7), float)
    assert rate(1, 0.7) == rate(1) == pytest.approx(0.055)


def test_sample_takes_any_schedule():
    staircase = keras.optimizers.schedules.ExponentialDecay(
        1e-4, STEPS_PER_EPOCH * 30, 0.1, staircase=True
    )
    steps = [0, STEPS_PER_EPOCH * 30 - 1, STEPS_PER_EPOCH * 30, STEPS_PER_EPOCH * 60]
    np.testing.assert_allclose(sample(staircase, steps), [1e-4, 1e-4, 1e-5, 1e-6], rtol=1e-5)
    np.testing.assert_allclose(sample(lambda step: step / 2, 4), [0, 0.5, 1, 1.5])
    assert sample(WarmupCosine(0.1, 3, 4), 5).shape == (5,)


GOOD = {
    WarmupCosine: {"max_lr": 0.1, "warmup_steps": 3, "decay_steps": 4},
    RampSustainDecay: {
        "start_lr": 0.01,
        "max_lr": 0.1,
        "min_lr": 0.001,
        "rampup_steps": 3,
        "sustain_steps": 1,
        "decay_rate": 0.5,
    },
}


@pytest.mark.parametrize(
    ("kind", "change", "error"),
    [
        (WarmupCosine, {"max_lr": 0}, ValueError),
        (WarmupCosine, {"max_lr": -0.1}, ValueError),
        (WarmupCosine, {"max_lr": float("nan")}, ValueError),
        (WarmupCosine, {"max_lr": "fast"}, TypeError),
        (WarmupCosine, {"warmup_steps": -1}, ValueError),
        (WarmupCosine, {"warmup_steps": 2.5}, TypeError),
        (WarmupCosine, {"decay_steps": 0}, ValueError),
        (WarmupCosine, {"decay_steps": float("inf")}, ValueError),
        (RampSustainDecay, {"start_lr": -1}, ValueError),
        (RampSustainDecay, {"max_lr": float("inf")}, ValueError),
        (RampSustainDecay, {"min_lr": 0.2}, ValueError),
        (RampSustainDecay, {"decay_rate": 0}, ValueError),
        (RampSustainDecay, {"decay_rate": 1.1}, ValueError),
        (RampSustainDecay, {"sustain_steps": -3}, ValueError),
        (RampSustainDecay, {"decay_steps": 0}, ValueError),
    ],
)
def test_bad_numbers_are_refused_by_name(kind, change, error):
    with pytest.raises(error, match=next(iter(change))):
        kind(**{**GOOD[kind], **change})
