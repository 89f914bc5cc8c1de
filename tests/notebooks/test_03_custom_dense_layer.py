"""What notebook 03 claims: Keras' own bits, masks, saving, noise only in training.

The classes are taken from the lesson's text, so that what is tested is what is taught.
"""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessons import definitions

few = settings(max_examples=15, deadline=None, derandomize=True)
CustomDense = definitions("03", "CustomDense")["CustomDense"]
GaussianNoise = definitions("03", "GaussianNoise")["GaussianNoise"]
X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 40)


def assert_same(arrays, others):
    assert len(arrays) == len(others)
    for one, other in zip(arrays, others):
        np.testing.assert_array_equal(one, other)


@few
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    units=st.integers(1, 6),
    activation=st.sampled_from([None, "relu", "tanh"]),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
)
def test_the_dense_layer_and_keras_give_the_same_bits(shape, units, activation, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    outputs = []
    for dense in (CustomDense, keras.layers.Dense):
        keras.utils.set_random_seed(1)
        layer = dense(units, activation, dtype=dtype)
        outputs.append(layer(x).numpy())
    np.testing.assert_array_equal(*outputs)
    assert outputs[0].dtype == layer.compute_dtype


def trained(dense):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), dense(8, "relu"), dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return model


def test_the_dense_layer_trains_as_keras_own():
    ours, theirs = trained(CustomDense), trained(keras.layers.Dense)
    assert_same(ours.get_weights(), theirs.get_weights())


def test_a_saved_model_is_loaded_in_safe_mode_and_goes_on_alike(tmp_path):
    inputs = keras.Input((6,))
    x = GaussianNoise(0.2, seed=9)(inputs)
    x = CustomDense(5, "relu", name="hidden", dtype="mixed_float16")(x)
    model = keras.Model(inputs, CustomDense(1, trainable=False)(x))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_same(again.get_weights(), model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    noise, hidden, last = again.layers[1:]
    assert (noise.stddev, noise.seed) == (0.2, 9)
    assert (hidden.name, hidden.dtype_policy.name) == ("hidden", "mixed_float16")
    assert not last.trainable
    configs = [layer.get_config() for layer in model.layers]
    assert [layer.get_config() for layer in again.layers] == configs


def test_the_mask_is_passed_on():
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(9, 3, mask_zero=True)(tokens)
    steps = CustomDense(2)(embedded)
    mean = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(steps))
    short, padded = mean(np.array([[5, 2]])), mean(np.array([[5, 2, 0, 0]]))
    np.testing.assert_allclose(short, padded, rtol=1e-6)


def test_call_alone_leaves_a_functional_model_without_weights():
    layer, symbol = CustomDense(10), keras.Input((4,))
    assert keras.Model(symbol, layer(symbol)).count_params() == 50
    assert keras.Model(symbol, layer.call(symbol)).count_params() == 0


@few
@given(stddev=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_the_noise_is_keras_own_and_off_outside_training(stddev, seed):
    x = np.ones((3, 4), "float32")
    ours, theirs = GaussianNoise(stddev, seed), keras.layers.GaussianNoise(stddev, seed)
    first = ours(x, training=True).numpy()
    np.testing.assert_array_equal(first, theirs(x, training=True))
    second = ours(x, training=True).numpy()
    np.testing.assert_array_equal(second, theirs(x, training=True))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(ours(x), x)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_the_noise_acts_in_fit_and_not_in_predict():
    model = keras.Sequential([keras.Input((6,)), GaussianNoise(1.0, seed=0)])
    model.compile(loss="mse")
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)
    assert model.evaluate(X, X, verbose=0) == 0
    assert model.fit(X, X, verbose=0).history["loss"][0] == pytest.approx(1.0, abs=0.3)
