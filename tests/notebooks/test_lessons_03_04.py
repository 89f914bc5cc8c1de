"""What notebooks 03 and 04 claim, without running them: their classes and their loop agree with helpers and with Keras.

The classes and functions are taken from the notebooks' text, so that what is tested is what is
taught.
"""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from helpers import layers, losses

TEXT = Path(__file__).resolve().parents[2] / "notebooks" / "text"
few = settings(max_examples=15, deadline=None, derandomize=True)


def lesson(notebook, *names):
    """Return the last definition of each name in a notebook's text, executed by itself."""
    (path,) = TEXT.glob(f"{notebook}_*.py")
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
            found[node.name] = node
    assert set(found) == set(names), f"{path.name} no longer defines {set(names) - set(found)}"
    scope = {"keras": keras, "ops": ops, "tf": tf, "np": np}
    for name in names:
        exec(compile(ast.Module([found[name]], []), str(path), "exec"), scope)
    return scope


CustomDense, GaussianNoise = (
    lesson("03", name)[name] for name in ("CustomDense", "GaussianNoise")
)
lesson_04 = lesson("04", "huber", "HuberLoss", "HuberMetric", "train_step")


def same(arrays, others):
    assert len(arrays) == len(others)
    for one, other in zip(arrays, others):
        np.testing.assert_array_equal(one, other)


# --- 03 ---------------------------------------------------------------------------------------------------------------


@few
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    units=st.integers(1, 6),
    activation=st.sampled_from([None, "relu", "tanh"]),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
)
def test_the_lessons_dense_its_twin_and_keras_give_the_same_bits(
    shape, units, activation, dtype
):
    x, outputs = np.random.default_rng(0).normal(size=shape).astype("float32"), []
    for dense in (CustomDense, layers.CustomDense, keras.layers.Dense):
        keras.utils.set_random_seed(1)
        outputs.append(dense(units, activation, dtype=dtype)(x).numpy())
    same(outputs[:2], outputs[1:])


def test_the_lessons_dense_trains_like_its_twin(tmp_path):
    rng, weights = np.random.default_rng(0), []
    x, y = rng.normal(size=(40, 6)).astype("float32"), rng.integers(0, 3, 40)
    for dense in (CustomDense, layers.CustomDense):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((6,)), dense(8, "relu"), dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
        model.save(tmp_path / "model.keras")
        same(keras.saving.load_model(tmp_path / "model.keras").get_weights(), weights[-1])
    same(*weights)


@few
@given(stddev=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_the_lessons_noise_its_twin_and_keras_draw_the_same(stddev, seed):
    x = np.ones((3, 4), "float32")
    draws = [
        kind(stddev, seed=seed)(x, training=True).numpy()
        for kind in (GaussianNoise, layers.CustomGaussianNoise, keras.layers.GaussianNoise)
    ]
    same(draws[:2], draws[1:])
    assert not np.array_equal(draws[0], x)
    same([GaussianNoise(stddev)(x)], [x])


def test_call_alone_leaves_a_functional_model_without_weights():
    layer, symbol = CustomDense(10), keras.Input((4,))
    assert keras.Model(symbol, layer(symbol)).count_params() == 50
    assert keras.Model(symbol, layer.call(symbol)).count_params() == 0


# --- 04 ---------------------------------------------------------------------------------------------------------------


@few
@given(
    batch=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 4), min_size=n, max_size=n)
    ),
    delta=st.floats(0.1, 5),
)
def test_the_lessons_huber_agrees_with_its_twins(batch, delta):
    numbers = np.array(batch, "float32")
    y_true, y_pred = numbers[:, :2], numbers[:, 2:]
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(
        lesson_04["huber"](y_true, y_pred, delta), losses.huber(y_true, y_pred, delta), **close
    )
    weights = np.linspace(0.5, 1, len(batch)).astype("float32")
    ours, twin = lesson_04["HuberLoss"](delta), losses.HuberLoss(delta)
    np.testing.assert_allclose(
        ours(y_true, y_pred, weights), twin(y_true, y_pred, weights), **close
    )
    ours, twin = lesson_04["HuberMetric"](delta), losses.HuberMetric(delta)
    for metric in (ours, twin):
        metric.update_state(y_true, y_pred, weights)
        metric.update_state(y_true[:1], y_pred[:1])
    np.testing.assert_allclose(ours.result(), twin.result(), **close)


X = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 60)
CROSS_ENTROPY = lesson_04["cross_entropy"] = keras.losses.SparseCategoricalCrossentropy(
    from_logits=True
)


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)  # the last one has 12


def model_with_everything_that_differs_in_training():
    keras.utils.set_random_seed(3)
    parts = [
        keras.layers.Dense(12, "relu", kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
    ]
    return keras.Sequential(
        [keras.Input((8,)), *parts, keras.layers.Dropout(0.4), keras.layers.Dense(3)]
    )


class WeightsAfterEachStep(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.get_weights())


def weights_by_hand(train_step, epochs=2):
    model, optimizer, seen = (
        model_with_everything_that_differs_in_training(),
        keras.optimizers.Adam(0.01),
        [],
    )
    optimizer.build(model.trainable_variables)
    for _ in range(epochs):
        for x, y in batches():
            train_step(model, optimizer, x, y)
            seen.append(model.get_weights())
    return seen


@pytest.fixture(scope="module")
def weights_of_fit():
    model, recorder = model_with_everything_that_differs_in_training(), WeightsAfterEachStep()
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY)
    model.fit(batches(), epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert len(recorder.seen) == 8
    return recorder.seen


def farthest(runs, others):
    return [
        max(np.abs(a - b).max() for a, b in zip(one, other))
        for one, other in zip(runs, others, strict=True)
    ]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_loop_by_hand_equals_fit_step_for_step(weights_of_fit, compiled):
    step = lesson_04["train_step"]
    assert (
        max(farthest(weights_by_hand(tf.function(step) if compiled else step), weights_of_fit))
        < 1e-5
    )


@pytest.mark.parametrize("forgotten", ["training=True", " + sum(model.losses)"])
def test_what_the_lesson_warns_of_leads_elsewhere_from_the_first_step(
    weights_of_fit, forgotten
):
    text = next(TEXT.glob("04_*.py")).read_text(encoding="utf-8")
    (source,) = (
        ast.unparse(n) for n in ast.parse(text).body if getattr(n, "name", "") == "train_step"
    )
    assert forgotten in source
    scope = {"tf": tf, "cross_entropy": CROSS_ENTROPY}
    exec(
        source.replace(forgotten, "training=False" if forgotten.startswith("training") else ""),
        scope,
    )
    assert min(farthest(weights_by_hand(scope["train_step"]), weights_of_fit)) > 1e-4


def test_the_old_name_of_reset_state_is_gone():
    assert not hasattr(keras.metrics.Metric, "reset_states")
