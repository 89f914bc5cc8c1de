"""Augmentation: the affine map against TensorFlow's own, what is random, and when it acts."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import compiling
from helpers.augment import (
    RandomAffine,
    RandomCrop,
    affine,
    random_crop,
    warp,
)


def noise(batch=5, height=31, width=45, channels=3, dtype="uint8"):
    """The hardest image for an interpolation: no two neighbours alike."""
    return tf.cast(
        np.random.default_rng(0).integers(0, 256, (batch, height, width, channels)), dtype
    )


def reference(images, affines):
    rows = tf.concat([tf.reshape(affines, [-1, 6]), tf.zeros([len(affines), 2])], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=rows,
        output_shape=images.shape[1:3],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def difference(one, other):
    return float(np.abs(np.asarray(one, "float64") - np.asarray(other, "float64")).max())


@pytest.mark.parametrize(
    ("dtype", "rounding"), [("uint8", 0.51), ("float16", 0.07), ("float32", 0.01)]
)
def test_warp_equals_tensorflows_own_transform(dtype, rounding):
    images = noise(dtype=dtype)
    wild = RandomAffine(rotation=0.5, zoom=0.9, shift=1.0).sample(images, (1, 2))
    tame = RandomAffine(rotation=0.1, zoom=0.1).sample(images, (3, 4))
    for affines in (wild, tame):
        assert difference(warp(images, affines), reference(images, affines)) <= rounding


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 999),
    shift=st.floats(0, 1),
)
def test_warp_of_any_size(height, width, seed, shift):
    images = noise(2, height, width, 2, "float32")
    affines = RandomAffine(rotation=0.5, zoom=0.5, shift=shift).sample(images, (seed, 0))
    works = compiling.xla_works
    compiling.xla_works = lambda: False
    try:
        warped = warp(images, affines)
    finally:
        compiling.xla_works = works
    assert difference(warped, reference(images, affines)) <= 0.01


def test_without_xla_the_result_is_the_same(monkeypatch):
    images = noise(dtype="float32")
    affines = RandomAffine(rotation=0.5, zoom=0.5, shift=0.5).sample(images, (1, 2))
    compiled = warp(images, affines)
    monkeypatch.setattr(compiling, "xla_works", lambda: False)
    assert difference(warp(images, affines), compiled) < 0.01


def test_each_part_of_an_affine_map_does_what_its_name_says():
    images = noise(2, 16, 16)
    assert np.array_equal(warp(images, affine(16, 16)), images)
    assert np.array_equal(warp(images, affine(16, 16, mirror_x=True)), images[:, :, ::-1])
    turned = warp(images, affine(16, 16, angle=math.pi / 2))
    assert np.array_equal(turned, tf.image.rot90(images))
    moved = warp(images, affine(16, 16, shift_y=3, shift_x=-2))
    assert np.array_equal(moved[:, 3:, :-2], images[:, :-3, 2:])
    assert np.array_equal(moved[:, :3], moved[:, 5:2:-1]), "outside is the mirror image"


@pytest.mark.parametrize(
    "argument", ["angle", "zoom", "shift_y", "shift_x", "mirror_x", "all of them"]
)
def test_an_argument_of_affine_may_be_one_number_for_each_image(argument):
    each = {
        "angle": [0.1, 0.2, 0.3],
        "zoom": [0.8, 0.9, 1.2],
        "shift_y": [1.0, 2.0, 3.0],
        "shift_x": [3.0, 2.0, 1.0],
        "mirror_x": [True, False, True],
    }
    if argument.startswith("shift"):
        each = {"shift_y": each["shift_y"], "shift_x": each["shift_x"]}
    elif argument in each:
        each = {argument: each[argument]}
    maps = affine(9, 7, **each)
    for i in range(3):
        alone = affine(9, 7, **{name: values[i] for name, values in each.items()})
        np.testing.assert_allclose(maps[i], alone[0], atol=1e-6)


def test_zoom_above_one_shows_more():
    dot = np.zeros((1, 21, 21, 1), "float32")
    dot[0, 10, 18] = 1
    farther = warp(dot, affine(21, 21, zoom=2.0)).numpy()[0, :, :, 0]
    assert np.unravel_index(farther.argmax(), farther.shape) == (10, 14)
    nearer = warp(dot, affine(21, 21, zoom=0.5)).numpy()
    assert nearer.sum() == 0


def test_one_map_is_the_four_in_a_row():
    """The matrices multiply: unshift, unzoom, unturn, unmirror."""
    whole = {
        "angle": 0.3,
        "zoom": 1.2,
        "shift_y": 2.0,
        "shift_x": -3.0,
        "mirror_x": True,
    }
    parts = [
        {"mirror_x": True},
        {"angle": 0.3},
        {"zoom": 1.2},
        {"shift_y": 2.0, "shift_x": -3.0},
    ]

    def square(options):
        return np.vstack([affine(20, 30, **options)[0], [0, 0, 1]])

    product = np.eye(3)
    for part in parts:
        product = product @ square(part)
    np.testing.assert_allclose(square(whole), product, atol=1e-4)


def test_samples_stay_in_their_ranges():
    images = np.zeros((2000, 10, 20, 1))
    maps = RandomAffine(rotation=0.1, zoom=0.2, shift=0.3).sample(images, (1, 2)).numpy()
    linear, start = maps[:, :, :2], maps[:, :, 2:]
    zoom = np.hypot(linear[:, 1, 0], linear[:, 1, 1])
    assert 0.8 <= zoom.min() < 0.82
    assert 1.18 < zoom.max() <= 1.2
    angle = np.arctan2(linear[:, 1, 0], linear[:, 1, 1])
    assert 0.6 < np.abs(angle).max() <= 0.2 * math.pi + 1e-6
    middle = np.array([[9.5], [4.5]])
    across, down = np.abs(np.linalg.solve(linear, middle - start) - middle)[:, :, 0].T
    assert 5.8 < across.max() <= 6 + 1e-3
    assert 2.9 < down.max() <= 3 + 1e-3
    mirrored = np.linalg.det(linear) < 0
    assert 0.45 < mirrored.mean() < 0.55


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float32", "float64"])
def test_the_same_eagerly_in_a_graph_in_a_pipeline_and_compiled(dtype):
    images = noise(dtype=dtype)
    rounding = {"uint8": 1, "float16": 0.2, "bfloat16": 1, "float32": 0.01, "float64": 0.01}[
        dtype
    ]
    affine_map = RandomAffine(shift=0.1)
    expected = affine_map.change(images, (1, 2))
    assert (expected.dtype, expected.shape) == (images.dtype, images.shape)

    def step(images):
        return affine_map.change(images, (1, 2))

    unknown = [tf.TensorSpec([None] * 4, dtype)]
    assert np.array_equal(tf.function(step)(images), expected)
    assert np.array_equal(tf.function(step, input_signature=unknown)(images), expected)
    assert np.array_equal(next(iter(tf.data.Dataset.from_tensors(images).map(step))), expected)
    assert difference(tf.function(step, jit_compile=True)(images), expected) <= rounding
    assert difference(affine_map.change(images, (1, 3)), expected) > 20


def test_each_image_gets_a_map_of_its_own():
    same = tf.repeat(noise(1), 8, axis=0)
    for augmented in (RandomAffine().change(same, (1, 2)), random_crop(same, 20, 20, (1, 2))):
        assert len({image.numpy().tobytes() for image in augmented}) >= 3


def test_random_crops_are_windows_from_everywhere():
    height, width = 9, 11
    images = tf.repeat(tf.reshape(tf.range(height * width), [1, height, width, 1]), 500, axis=0)
    crops = random_crop(tf.cast(images, tf.uint8), 7, 6, (1, 2)).numpy()
    corners = crops[:, 0, 0, 0]
    assert {(corner // width, corner % width) for corner in corners.tolist()} == {
        (y, x) for y in range(3) for x in range(6)
    }
    window = np.arange(7)[:, None] * width + np.arange(6)
    assert np.array_equal(crops[:, :, :, 0], corners[:, None, None] + window)


def test_a_crop_that_does_nothing_is_refused():
    for size in [(31, 45), (32, 20), (20, 46)]:
        with pytest.raises(ValueError, match="cannot be random"):
            random_crop(noise(), *size, (1, 2))


def epochs(dataset):
    return [[images.numpy().tobytes() for images, _ in dataset] for _ in range(2)]


@pytest.mark.slow
def test_a_pipeline_is_augmented_anew_in_each_batch_and_epoch_and_again_the_same():
    labels = tf.range(5)
    dataset = tf.data.Dataset.from_tensors((noise(), labels)).repeat(3)
    for build in (
        lambda step: dataset.map(step),
        lambda step: step.apply(dataset, num_parallel_calls=4),
    ):
        for step in (RandomAffine, lambda seed: RandomCrop(20, 30, seed)):
            seen = epochs(build(step(seed=3)))
            assert len(set(seen[0] + seen[1])) == 6
            assert seen == epochs(build(step(seed=3)))
            assert seen != epochs(build(step(seed=4)))
    for images, untouched in dataset.map(RandomAffine()):
        assert np.array_equal(untouched, labels)
        assert images.shape == noise().shape
    alone = next(iter(tf.data.Dataset.from_tensors(noise()).map(RandomAffine())))
    assert alone.shape == noise().shape
    for images, untouched in dataset.map(RandomCrop(20, 30)):
        assert np.array_equal(untouched, labels)
        assert images.shape == (5, 20, 30, 3)


@pytest.mark.slow
def test_gradients_reach_the_pixels():
    images = tf.Variable(noise(2, 8, 9, dtype="float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(warp(images, RandomAffine().sample(images, (1, 2))))
    # Each pixel of the result is a weighted mean of four.
    np.testing.assert_allclose(
        tf.reduce_sum(tape.gradient(total, images)), 2 * 8 * 9 * 3, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"rotation": 0.7}, ValueError, "rotation"),
        ({"rotation": -0.1}, ValueError, "rotation"),
        ({"zoom": 1.0}, ValueError, "zoom"),
        ({"shift": float("nan")}, ValueError, "shift"),
        ({"shift": "far"}, TypeError, "shift"),
    ],
)
def test_bad_options_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        RandomAffine(**change)


def test_bad_images_are_refused():
    with pytest.raises(ValueError, match=r"Dataset\.batch"):
        RandomAffine().change(noise()[0], (1, 2))
    with pytest.raises(TypeError, match="uint8"):
        random_crop(tf.cast(noise(), tf.int32), 8, 8, (1, 2))
    with pytest.raises(ValueError, match="pair"):
        RandomAffine().change(noise(), 7)
