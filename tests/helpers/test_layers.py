"""The hand-written layers equal Keras' own bit for bit, survive saving, pass masks on, and refuse what does not fit."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.layers import CustomDense, CustomGaussianNoise

LAYERS = [(CustomDense, keras.layers.Dense), (CustomGaussianNoise, keras.layers.GaussianNoise)]
some = settings(max_examples=25, deadline=None, derandomize=True)
shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)
options = st.fixed_dictionaries(
    {
        "units": st.integers(1, 6),
        "activation": st.sampled_from([None, "relu", "gelu", "tanh"]),
        "use_bias": st.booleans(),
        "bias_initializer": st.sampled_from(["zeros", "ones"]),
        "dtype": st.sampled_from(["float32", "float64", "mixed_float16", "mixed_bfloat16"]),
    }
)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def outputs_and_gradients(layer, x):
    with tf.GradientTape() as tape:
        outputs = layer(x)
        loss = keras.ops.sum(keras.ops.cast(outputs, "float32") ** 2)
    return [outputs, *tape.gradient(loss, layer.trainable_variables)]


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
        )


# --- dense ------------------------------------------------------------------------------------------------------------


@some
@given(shape=shapes, options=options)
def test_dense_equals_keras_bit_for_bit_under_the_same_weights(shape, options):
    x = numbers(shape)
    ours, theirs = CustomDense(**options), keras.layers.Dense(**options)
    theirs(x)
    ours.build(shape)
    ours.set_weights(theirs.get_weights())
    same(outputs_and_gradients(ours, x), outputs_and_gradients(theirs, x))
    assert ours.compute_dtype == theirs.compute_dtype
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    assert (
        ours.compute_output_shape(shape)
        == tuple(ours(x).shape)
        == (*shape[:-1], options["units"])
    )


def test_the_same_seed_draws_the_same_weights_and_trains_to_the_same_ones():
    x, y = numbers((32, 5)), numbers((32, 1), seed=1)

    def trained(dense):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [
                keras.Input((5,)),
                dense(
                    8,
                    "relu",
                    kernel_regularizer="l2",
                    bias_regularizer="l1",
                    kernel_constraint="max_norm",
                ),
                dense(
                    1,
                    activity_regularizer="l2",
                    kernel_initializer="he_normal",
                    bias_constraint="non_neg",
                ),
            ]
        )
        first = model.get_weights()
        model.compile("adam", "mse")
        history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
        return [*first, *model.get_weights(), np.array(history["loss"])]

    same(trained(CustomDense), trained(keras.layers.Dense))


def test_dense_works_in_every_kind_of_model_and_with_sizes_still_unknown():
    lazy = keras.Sequential([CustomDense(4, "relu"), CustomDense(2)])
    assert not lazy.built
    assert lazy(numbers((3, 5))).shape == (3, 2)
    assert lazy.count_params() == (5 * 4 + 4) + (4 * 2 + 2)
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, CustomDense(2)(inputs))
    assert model.output_shape == (None, None, 2)
    for steps in (1, 4):
        assert model(numbers((2, steps, 5))).shape == (2, steps, 2)


def test_whole_numbers_go_in_as_they_do_with_keras():
    x = np.arange(12, dtype="uint8").reshape(3, 4)
    ours, theirs = CustomDense(2), keras.layers.Dense(2)
    theirs(x)
    ours(x)
    ours.set_weights(theirs.get_weights())
    same([ours(x)], [theirs(x)])


@pytest.mark.parametrize(
    ("units", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_dense_refuses_units_that_are_no_size(units, error):
    with pytest.raises(error, match="units is"):
        CustomDense(units)
    assert CustomDense(np.int64(3)).units == 3


def test_dense_refuses_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match="last axis must be known"):
        CustomDense(2).build((None, None))
    layer = CustomDense(2)
    with pytest.raises(ValueError, match="min_ndim=2"):
        layer(numbers((3,)))
    layer(numbers((3, 4)))
    with pytest.raises(ValueError, match="axis -1"):
        layer(numbers((3, 5)))


@keras.saving.register_keras_serializable(package="test_layers")
def squashed(x):
    return x / (1 + keras.ops.abs(x))


@some
@given(options=options, name=st.sampled_from(["a", "b"]), trainable=st.booleans())
def test_a_config_holds_all_that_was_asked_for(options, name, trainable):
    asked = {
        **options,
        "activation": squashed,
        "kernel_regularizer": keras.regularizers.L1L2(0.1, 0.2),
        "bias_regularizer": keras.regularizers.L1(0.3),
        "activity_regularizer": keras.regularizers.L2(0.4),
        "kernel_constraint": keras.constraints.MaxNorm(2.0),
        "bias_constraint": keras.constraints.NonNeg(),
        "kernel_initializer": keras.initializers.HeNormal(seed=5),
    }
    layer = CustomDense(**asked, name=name, trainable=trainable)
    again = CustomDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.name, again.trainable, again.dtype_policy.name) == (
        name,
        trainable,
        options["dtype"],
    )
    assert again.activation is squashed
    for part in [
        key
        for key in asked
        if key.endswith(("regularizer", "constraint", "kernel_initializer"))
    ]:
        assert type(getattr(again, part)) is type(asked[part]), part
        assert getattr(again, part).get_config() == asked[part].get_config(), part
    again.build((None, 3)), layer.build((None, 3))
    same(again.get_weights(), layer.get_weights())


# --- noise ------------------------------------------------------------------------------------------------------------


@some
@given(
    shape=shapes,
    stddev=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
)
def test_noise_equals_keras_with_the_same_seed_and_is_off_outside_training(
    shape, stddev, seed, dtype
):
    x = numbers(shape)
    ours = CustomGaussianNoise(stddev, seed, dtype=dtype)
    theirs = keras.layers.GaussianNoise(stddev, seed, dtype=dtype)
    for _ in range(
        2
    ):  # the second call draws anew, and so does the second call of Keras' layer
        same([ours(x, training=True)], [theirs(x, training=True)])
    quiet = ours(x, training=False)
    same([quiet, ours(x)], [theirs(x, training=False), quiet])
    assert ours.compute_output_shape(shape) == shape


def test_noise_has_the_asked_size_and_is_new_in_every_call():
    layer, zeros = CustomGaussianNoise(0.5, seed=1), np.zeros((100, 100), "float32")
    first, second = (keras.ops.convert_to_numpy(layer(zeros, training=True)) for _ in range(2))
    assert abs(first.mean()) < 0.02
    assert first.std() == pytest.approx(0.5, abs=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_noise_gives_the_same_dtype_with_and_without():
    x = np.arange(6, dtype="uint8").reshape(2, 3)
    layer = CustomGaussianNoise(0.1)
    assert layer(x, training=True).dtype == layer(x, training=False).dtype == tf.float32
    np.testing.assert_array_equal(layer(x), x)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_noise_acts_in_fit_and_not_in_predict():
    model = keras.Sequential([keras.Input((4,)), CustomGaussianNoise(1.0, seed=0)])
    model.compile(loss="mse")
    x = numbers((64, 4))
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    assert model.evaluate(x, x, verbose=0) == 0
    assert model.fit(x, x, verbose=0).history["loss"][0] == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(
    ("stddev", "error"), [(-0.1, ValueError), (float("nan"), ValueError), ("much", TypeError)]
)
def test_noise_refuses_a_size_that_is_none(stddev, error):
    with pytest.raises(error, match="stddev must be"):
        CustomGaussianNoise(stddev)


# --- both -------------------------------------------------------------------------------------------------------------


def masked_mean(dense, noise):
    """A model whose output depends on the mask: the mean over the steps that are not padding."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = noise(0.5, seed=0)(dense(3, "tanh", bias_initializer="ones")(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))


def test_masks_are_passed_on():
    tokens = np.array([[3, 1, 0, 0], [2, 5, 7, 0]])
    ours, theirs = (
        masked_mean(CustomDense, CustomGaussianNoise),
        masked_mean(*(theirs for _, theirs in LAYERS)),
    )
    for training in (False, True):
        same([ours(tokens, training=training)], [theirs(tokens, training=training)])
    np.testing.assert_allclose(ours(tokens)[0], ours(tokens[:1, :2])[0], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_saved_model_is_loaded_in_safe_mode_and_goes_on_alike(tmp_path, dtype):
    inputs = keras.Input((6, 4))
    x = CustomGaussianNoise(0.2, seed=9, dtype=dtype)(inputs)
    x = CustomDense(5, "relu", kernel_regularizer="l2", dtype=dtype, name="hidden")(x)
    model = keras.Model(inputs, CustomDense(1, use_bias=False, dtype=dtype)(x))
    model(numbers((2, 6, 4)), training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = numbers((3, 6, 4))
    same([again(x), *again.losses], [model(x), *model.losses])
    same(again.get_weights(), model.get_weights())
    assert again.get_layer("hidden").dtype_policy.name == dtype
    assert (again.layers[1].stddev, again.layers[1].seed) == (0.2, 9)
    assert [one.get_config() for one in again.layers] == [
        one.get_config() for one in model.layers
    ]


ON_JAX = """
import keras, numpy as np
from helpers.layers import CustomDense, CustomGaussianNoise
from helpers.losses import HuberLoss, HuberMetric, huber
assert keras.backend.backend() == "jax"
x = np.linspace(-2, 2, 24).reshape(2, 3, 4).astype("float32")
ours, theirs = CustomDense(5, "tanh"), keras.layers.Dense(5, "tanh")
ours.build(x.shape), theirs.build(x.shape)
ours.set_weights(theirs.get_weights())
assert np.array_equal(ours(x), theirs(x))
noise, known = CustomGaussianNoise(0.5, seed=1), keras.layers.GaussianNoise(0.5, seed=1)
assert np.array_equal(noise(x, training=True), known(x, training=True))
assert np.array_equal(huber(x, 2 * x, 0.7), keras.losses.huber(x, 2 * x, 0.7))
assert np.allclose(HuberLoss(0.7)(x, 2 * x), keras.losses.Huber(0.7)(x, 2 * x))
metric = HuberMetric(0.7)
metric.update_state(x, 2 * x)
assert np.allclose(metric.result(), HuberLoss(0.7)(x, 2 * x))
"""


def test_layers_and_losses_run_on_another_backend_of_keras():
    pytest.importorskip("jax", reason="JAX is not installed; the course runs without it")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    result = subprocess.run(
        [sys.executable, "-c", ON_JAX],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
