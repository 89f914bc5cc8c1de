"""Claims of notebook 07 that its cells do not assert."""

import ast
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from lessons import code_cells

from helpers import augment, models

ROOT = Path(__file__).resolve().parents[2]
CELLS = code_cells("07_augmentation")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), "uint8")


def imports():
    """Return the names that the notebook imports."""
    names = {"__name__": "lesson"}
    for node in (node for source in CELLS[1:] for node in ast.parse(source).body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), "imports", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("layer", "default"),
    [("RandomFlip", True), ("RandomRotation", True), ("RandomZoom", True), ("Dropout", False)],
)
def test_a_plain_call_means_training_for_augmentation_and_inference_for_dropout(layer, default):
    assert (
        inspect.signature(getattr(keras.layers, layer).call).parameters["training"].default
        is default
    )


def test_a_tenth_of_a_turn_is_36_degrees_counter_clockwise():
    # No sharp edge, no doubt.
    smooth = tf.image.resize(tf.cast(IMAGES[:1, :4, :4], tf.float32), (40, 40))
    turned = keras.layers.RandomRotation((0.1, 0.1))(smooth, training=True)
    wanted = augment.warp(smooth, augment.affine(40, 40, angle=np.deg2rad(36)))
    middle = np.s_[:, 10:30, 10:30]
    np.testing.assert_allclose(turned[middle], wanted[middle], atol=1)


def test_evaluate_and_predict_turn_the_augmentation_off():
    turn = keras.layers.RandomRotation(0.1)
    network = models.small_cnn(3, 16, augmentation=turn, dropout=0.5)
    network.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    off = network(IMAGES, training=False)
    np.testing.assert_allclose(network.predict(IMAGES, verbose=0), off, atol=1e-5)
    wanted = network.loss(np.zeros(4), off)
    assert np.isclose(network.evaluate(IMAGES, np.zeros(4), verbose=0), wanted, atol=1e-5)


def test_flips_of_tf_image_are_drawn_for_each_picture_of_a_batch():
    copies = tf.stack([IMAGES[0]] * 32)
    for flipped in (
        tf.image.stateless_random_flip_left_right(copies, seed=(1, 2)),
        tf.image.random_flip_left_right(copies),
    ):
        assert 5 < sum(np.array_equal(one, IMAGES[0]) for one in flipped) < 27


def test_fit_too_sees_the_same_variants_in_every_epoch_under_a_global_seed():
    keras.utils.set_random_seed(0)
    seen = []

    def remember(image):
        seen.append(image.numpy())
        return 0.0

    pictures = tf.data.Dataset.from_tensor_slices(IMAGES).map(tf.image.random_flip_left_right)
    targets = pictures.map(
        lambda image: (
            tf.ones(1),
            tf.ensure_shape(tf.py_function(remember, [image], tf.float32), []),
        )
    )
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(targets.batch(4), epochs=3, verbose=0, shuffle=False)
    first, second, third = np.reshape(seen, (3, *IMAGES.shape))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(second, third)


def test_load_img_and_the_training_pictures_differ_in_two_defaults():
    load, folder = (
        inspect.signature(function).parameters
        for function in (keras.utils.load_img, keras.utils.image_dataset_from_directory)
    )
    assert load["interpolation"].default == "nearest"
    assert load["keep_aspect_ratio"].default is False
    assert folder["interpolation"].default == "bilinear"


def test_the_long_run_of_the_data_card_is_quoted_as_it_stands():
    card = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    alone, both = (
        float(re.search(rf"\| flowers, {row}, \d+ epochs \|[^|]*\| (0\.\d+)", card)[1])
        for row in ("CNN from scratch", "the same with augmentation and dropout")
    )
    prose = " ".join(
        (ROOT / "notebooks" / "text" / "07_augmentation.py").read_text(encoding="utf-8").split()
    )
    assert f"{alone:.2f} without, {both:.2f} with augmentation and dropout" in prose
