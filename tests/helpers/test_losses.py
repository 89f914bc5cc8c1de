"""Huber as a function, a loss and a metric: equal to Keras' own, streaming, saved with its delta, refusing misfits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.losses import HuberLoss, HuberMetric, huber

some = settings(max_examples=40, deadline=None, derandomize=True)
deltas = st.floats(0.01, 10)
numbers = st.floats(-20, 20, width=32)
batches = hnp.array_shapes(min_dims=2, max_dims=4, max_side=4).flatmap(
    lambda shape: st.tuples(*[hnp.arrays("float32", shape, elements=numbers)] * 2)
)


def equal(ours, theirs):
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs)
    )


# --- function ---------------------------------------------------------------------------------------------------------


@some
@given(batch=batches, delta=deltas, dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_function_equals_keras_and_the_formula(batch, delta, dtype):
    y_true, y_pred = batch[0].astype(dtype), batch[1].astype(dtype)
    loss = huber(y_true, y_pred, delta)
    equal(loss, keras.losses.huber(y_true, y_pred, delta))
    if dtype == "float64":
        e = np.abs(y_true - y_pred)
        np.testing.assert_allclose(
            loss, np.where(e <= delta, e**2 / 2, delta * (e - delta / 2)).mean(-1), atol=1e-9
        )


@some
@given(batch=batches, delta=deltas)
def test_gradient_is_the_error_clipped_to_delta(batch, delta):
    y_true, y_pred = (tf.constant(part, tf.float64) for part in batch)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        total = tf.reduce_sum(huber(y_true, y_pred, delta)) * batch[0].shape[-1]
    np.testing.assert_allclose(
        tape.gradient(total, y_pred), np.clip(y_pred - y_true, -delta, delta), atol=1e-9
    )


def test_whole_numbers_are_computed_in_float():
    np.testing.assert_allclose(huber([[0, 0], [3, 0]], [[1, 0], [0, 0]]), [0.25, 1.25])


def test_labels_and_predictions_may_differ_by_a_last_axis_of_one():
    flat, column = np.array([0.0, 2.0, 5.0], "float32"), np.zeros((3, 1), "float32")
    np.testing.assert_allclose(huber(flat, column), [0.0, 1.5, 4.5])
    np.testing.assert_allclose(huber(column, flat), [0.0, 1.5, 4.5])
    sequence = np.ones((2, 4, 1), "float32")
    equal(
        huber(sequence, sequence[..., 0] * 3),
        keras.losses.huber(sequence, sequence[..., 0] * 3),
    )
    assert huber(sequence, sequence[..., 0]).shape == (2,)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3, 2)), ((3, 1), (3, 2)), ((4, 2), (3, 2)), ((2,), (2, 3, 1)), ((), ())],
)
def test_shapes_that_would_broadcast_are_refused(a, b):
    for y_true, y_pred in ((a, b), (b, a)):
        with pytest.raises(
            ValueError, match=r"y_true has shape .* and y_pred .* equal but for a last axis"
        ):
            huber(np.zeros(y_true, "float32"), np.zeros(y_pred, "float32"))


def test_a_batch_of_unknown_size_is_accepted():
    @tf.function(input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec([3, 2])])
    def graph(y_true, y_pred):
        return huber(y_true, y_pred)

    np.testing.assert_allclose(graph(tf.zeros((3, 2)), tf.ones((3, 2))), [0.5] * 3)


@pytest.mark.parametrize("make", [lambda d: huber([[0.0]], [[0.0]], d), HuberLoss, HuberMetric])
def test_delta_must_be_a_finite_number_above_zero(make):
    for delta in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="delta must be finite, above 0"):
            make(delta)
    with pytest.raises(TypeError, match="plain number"):
        make("wide")


# --- class ------------------------------------------------------------------------------------------------------------


@some
@given(
    batch=batches,
    delta=deltas,
    reduction=st.sampled_from(["sum_over_batch_size", "sum", "none", None]),
    weighted=st.booleans(),
    dtype=st.sampled_from([None, "float64", "float16"]),
)
def test_loss_equals_keras_with_every_reduction_weight_and_dtype(
    batch, delta, reduction, weighted, dtype
):
    settings = {"delta": delta, "reduction": reduction, "dtype": dtype}
    per_sample = (-1,) + (1,) * (batch[0].ndim - 2)
    weights = np.linspace(0, 2, len(batch[0])).reshape(per_sample) if weighted else None
    equal(
        HuberLoss(**settings)(*batch, weights), keras.losses.Huber(**settings)(*batch, weights)
    )


def test_loss_refuses_an_unknown_reduction():
    with pytest.raises(ValueError, match="reduction"):
        HuberLoss(reduction="median")


# --- metric -----------------------------------------------------------------------------------------------------------


def reference(delta, dtype=None):
    return keras.metrics.MeanMetricWrapper(keras.losses.huber, "huber", dtype, delta=delta)


@some
@given(batch=batches, delta=deltas, cut=st.integers(0, 4), weighted=st.booleans())
def test_metric_streams_to_the_value_of_all_samples_at_once(batch, delta, cut, weighted):
    """Any cut into batches gives the mean over all samples, which is also the loss."""
    y_true, y_pred = batch
    weights = np.linspace(0.5, 2, len(y_true)) if weighted else None
    metric, known = HuberMetric(delta), reference(delta)
    for part in (slice(None, cut), slice(cut, None)):
        if len(y_true[part]):
            for one in (metric, known):
                one.update_state(
                    y_true[part], y_pred[part], None if weights is None else weights[part]
                )
    equal(metric.result(), known.result())
    samples = huber(y_true, y_pred, delta).numpy().reshape(len(y_true), -1).mean(axis=1)
    np.testing.assert_allclose(
        metric.result(), np.average(samples, weights=weights), rtol=1e-5, atol=1e-6
    )


def test_reset_state_forgets():
    metric = HuberMetric()
    metric.update_state([[0.0]], [[3.0]])
    assert float(metric.result()) == 2.5
    metric.reset_state()
    assert float(metric.result()) == 0
    assert [float(v) for v in metric.variables] == [0, 0]
    metric.update_state([[0.0]], [[1.0]])
    assert float(metric.result()) == 0.5
    with pytest.raises(AttributeError):
        metric.reset_states()


def test_metric_keeps_the_dtype_it_was_given():
    metric = HuberMetric(2.0, dtype="float64")
    metric.update_state([[0.0]], [[0.1]])
    assert metric.result().dtype == tf.float64
    assert [v.dtype for v in metric.variables] == ["float64", "float64"]


def test_masked_steps_do_not_count():
    def model():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None,), dtype="int32")
        return keras.Model(
            inputs, keras.layers.Dense(1)(keras.layers.Embedding(10, 4, mask_zero=True)(inputs))
        )

    tokens, y = np.array([[3, 1, 0, 0], [2, 5, 7, 0]]), np.full((2, 4, 1), 5.0, "float32")
    scores = []
    for loss, metric in (
        (HuberLoss(0.5), HuberMetric(0.5)),
        (keras.losses.Huber(0.5), reference(0.5)),
    ):
        one = model()
        one.compile(loss=loss, metrics=[metric])
        scores.append(one.evaluate(tokens, y, verbose=0))
    assert scores[0] == scores[1]
    everything = model()
    assert scores[0][0] != pytest.approx(
        float(HuberLoss(0.5)(y, everything(tokens).numpy())), rel=1e-3
    )


# --- in a model -------------------------------------------------------------------------------------------------------


def compiled(loss, metric):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    model.compile("adam", loss, metrics=[metric])
    return model


X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = 5 * X[:, :1]


@pytest.mark.parametrize("loss", [huber, HuberLoss(0.7)])
def test_a_compiled_model_trains_as_with_keras_and_is_saved_with_its_delta(tmp_path, loss):
    theirs = keras.losses.huber if loss is huber else keras.losses.Huber(0.7)
    ours, known = compiled(loss, HuberMetric(0.3)), compiled(theirs, reference(0.3))
    kept, known_kept = (
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history for model in (ours, known)
    )
    assert kept == known_kept
    ours.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.evaluate(X, Y, verbose=0) == ours.evaluate(X, Y, verbose=0)
    assert (
        again.fit(X, Y, batch_size=8, verbose=0).history
        == ours.fit(X, Y, batch_size=8, verbose=0).history
    )
    if loss is not huber:
        assert again.loss.delta == 0.7


def test_the_function_is_registered_beside_keras_own_of_the_same_name():
    assert keras.saving.get_registered_name(huber) == "helpers>huber"


def test_configs_make_the_same_objects_again():
    loss = HuberLoss(2.5, reduction="sum", name="h", dtype="float64")
    again = HuberLoss.from_config(loss.get_config())
    assert (again.delta, again.reduction, again.name, again.dtype) == (
        2.5,
        "sum",
        "h",
        "float64",
    )
    metric = HuberMetric(2.5, name="m", dtype="float64")
    back = HuberMetric.from_config(metric.get_config())
    assert (back.delta, back.name, back.dtype) == (2.5, "m", "float64")
    back.update_state([[0.0]], [[10.0]])
    assert float(back.result()) == 2.5 * (10 - 1.25)
