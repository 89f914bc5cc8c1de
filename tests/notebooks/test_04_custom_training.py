"""Notebook 04: its Huber loss and metric agree with Keras' own, and its loop with `fit`.

The classes and functions are taken from the lesson's text, so that what is tested is what is
taught.
"""

import ast

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lessons import TEXT, definitions

few = settings(max_examples=15, deadline=None, derandomize=True)
lesson = definitions("04", "huber", "HuberLoss", "HuberMetric", "train_step")
huber, HuberLoss, HuberMetric = lesson["huber"], lesson["HuberLoss"], lesson["HuberMetric"]
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

deltas = st.floats(0.1, 5)
numbers = st.floats(-9, 9, width=32)
batches_of_two = hnp.array_shapes(min_dims=2, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(*[hnp.arrays("float32", shape, elements=numbers)] * 2)
)


def keras_metric(delta):
    return keras.metrics.MeanMetricWrapper(keras.losses.huber, delta=delta)


@few
@given(batch=batches_of_two, delta=deltas)
def test_the_function_is_keras_own_and_its_gradient_is_the_clipped_error(batch, delta):
    y_true, y_pred = (tf.constant(part) for part in batch)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        loss = huber(y_true, y_pred, delta)
        total = tf.reduce_sum(loss) * batch[0].shape[-1]
    np.testing.assert_allclose(loss, keras.losses.huber(y_true, y_pred, delta), **CLOSE)
    clipped = np.clip(y_pred - y_true, -delta, delta)
    np.testing.assert_allclose(tape.gradient(total, y_pred), clipped, **CLOSE)


@few
@given(
    batch=batches_of_two,
    delta=deltas,
    reduction=st.sampled_from(["sum_over_batch_size", "sum", "none"]),
    weighted=st.booleans(),
)
def test_the_loss_is_keras_own_with_weights_and_reductions(batch, delta, reduction, weighted):
    weights = None
    if weighted:
        weights = np.linspace(0, 2, len(batch[0]), dtype="float32")
        weights = weights.reshape((-1,) + (1,) * (batch[0].ndim - 2))
    ours = HuberLoss(delta, reduction=reduction)
    theirs = keras.losses.Huber(delta, reduction=reduction)
    np.testing.assert_allclose(ours(*batch, weights), theirs(*batch, weights), **CLOSE)
    again = HuberLoss.from_config(ours.get_config())
    assert (again.delta, again.reduction, again.name) == (delta, reduction, "huber_loss")


@few
@given(batch=batches_of_two, delta=deltas, cut=st.integers(0, 4))
def test_the_metric_streams_to_the_value_of_all_samples_at_once(batch, delta, cut):
    y_true, y_pred = batch
    ours, theirs = HuberMetric(delta), keras_metric(delta)
    for _ in range(2):  # the second time from zero again
        ours.reset_state()
        theirs.reset_state()
        for part in (slice(None, cut), slice(cut, None)):
            if len(y_true[part]):
                ours.update_state(y_true[part], y_pred[part])
                theirs.update_state(y_true[part], y_pred[part])
        np.testing.assert_allclose(ours.result(), theirs.result(), **CLOSE)
        mean = np.mean(huber(y_true, y_pred, delta))
        np.testing.assert_allclose(ours.result(), mean, **CLOSE)


@pytest.mark.parametrize("weights", [[0.0, 1.0, 3.0], [[0.0], [1.0], [3.0]], 2.0])
def test_the_metric_weighs_samples_as_keras_does(weights):
    y_true, y_pred = np.zeros((3, 2), "float32"), np.arange(6, dtype="float32").reshape(3, 2)
    ours, theirs = HuberMetric(), keras_metric(1.0)
    for metric in (ours, theirs):
        metric.update_state(y_true, y_pred, np.array(weights, "float32"))
    np.testing.assert_allclose(ours.result(), theirs.result(), **CLOSE)


X = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 60)


def test_a_saved_model_comes_back_with_its_deltas(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", HuberLoss(0.7), metrics=[HuberMetric(0.3)])
    values = 5 * X[:, :1]
    model.fit(X, values, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.loss.delta == 0.7
    scores = again.evaluate(X, values, verbose=0)
    assert scores == model.evaluate(X, values, verbose=0)
    model.compile(loss=keras.losses.Huber(0.7), metrics=[keras_metric(0.3)])
    np.testing.assert_allclose(scores, model.evaluate(X, values, verbose=0), **CLOSE)


CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
lesson["cross_entropy"] = CROSS_ENTROPY


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)  # the last one has 12


def model_with_everything_that_differs_in_training():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(12, "relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(3),
        ]
    )


class WeightsAfterEachStep(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


def weights_by_hand(train_step, epochs=2):
    model = model_with_everything_that_differs_in_training()
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    weights = []
    for _ in range(epochs):
        for x, y in batches():
            train_step(model, optimizer, x, y)
            weights.append(model.get_weights())
    return weights


@pytest.fixture(scope="module")
def weights_of_fit():
    model, recorder = model_with_everything_that_differs_in_training(), WeightsAfterEachStep()
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY)
    model.fit(batches(), epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert len(recorder.weights) == 8
    return recorder.weights


def largest_differences(runs, others):
    """Return the largest difference between two runs' weights after each step."""
    largest = []
    for one, other in zip(runs, others, strict=True):
        largest.append(max(np.abs(a - b).max() for a, b in zip(one, other)))
    return largest


@pytest.mark.parametrize("compiled", [False, True])
def test_the_loop_by_hand_equals_fit_step_for_step(weights_of_fit, compiled):
    step = lesson["train_step"]
    if compiled:
        step = tf.function(step)
    assert max(largest_differences(weights_by_hand(step), weights_of_fit)) < 1e-5


@pytest.mark.parametrize(
    ("forgotten", "instead"),
    [("training=True", "training=False"), (" + sum(model.losses)", "")],
)
def test_what_the_lesson_warns_of_leads_elsewhere_from_the_first_step(
    weights_of_fit, forgotten, instead
):
    text = next(TEXT.glob("04_*.py")).read_text(encoding="utf-8")
    (source,) = (
        ast.unparse(node)
        for node in ast.parse(text).body
        if getattr(node, "name", "") == "train_step"
    )
    assert forgotten in source
    scope = {"tf": tf, "cross_entropy": CROSS_ENTROPY}
    exec(source.replace(forgotten, instead), scope)
    wrong = weights_by_hand(scope["train_step"])
    assert min(largest_differences(wrong, weights_of_fit)) > 1e-4


def test_the_old_name_of_reset_state_is_gone():
    assert not hasattr(keras.metrics.Metric, "reset_states")
