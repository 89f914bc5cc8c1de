"""Notebook 07: what its exercises accept and say to a wrong answer, and claims that its cells do not assert."""

import ast
import contextlib
import inspect
import io
import re
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from lessons import code_cells

from helpers import augment, models

ROOT = Path(__file__).resolve().parent.parent
CELLS = code_cells("07_augmentation")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), "uint8")


def imports():
    """Return the names that the notebook imports."""
    names = {"__name__": "lesson"}
    for node in (node for source in CELLS[1:] for node in ast.parse(source).body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), "imports", "exec"), names)
    return names


def check(number, answer=""):
    """Run a stub, then an answer in its place, then what follows up to the check; return what is printed."""
    names = imports() | {"front": augment.keras_stack(), "images": IMAGES}
    stub = [place for place, source in enumerate(CELLS) if "# your code" in source][number - 1]
    last = next(place for place, source in enumerate(CELLS) if f"Exercise {number}: right" in source)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in (CELLS[stub], textwrap.dedent(answer), *CELLS[stub + 1 : last + 1]):
            exec(compile(source, f"exercise {number}", "exec"), names)
    return printed.getvalue()


CROP = """
def crop_and_flip(image, size, seed):
    window = {window}
    return {mirrored}
"""
WINDOW = "tf.image.stateless_random_crop(image, (size, size, 3), seed)"
MIRRORED = "tf.image.stateless_random_flip_left_right(window, seed)"
DROP = """
def drop(x, rate, chance, training):
    return {value}
"""
JUDGE = """
def judge(base, remedy):
    (a, b), (c, d) = np.transpose(base), np.transpose(remedy)
    return {value}
"""


def only(value, off="layer(images, training=False)"):
    """Return an answer to exercise 1 that reads `on` and `off`, whether a value changed."""
    return f"""
    def only_in_training(layer, images):
        on, off = (bool(np.any(out != images)) for out in (layer(images, training=True), {off}))
        return {value}
    """


def pipeline(stages):
    """Return an answer to exercise 3."""
    return f"training_pipeline = lambda examples, step, batch_size: examples.{stages}"


# Exercise, a right answer; the second ones are written unlike anything in the lesson.
RIGHT = [
    (1, only("on and not off")),
    (
        1,
        """
        def only_in_training(layer, images):
            found = augment.changed(layer, images)
            return found.training > 0 == found.inference
        """,
    ),
    (2, CROP.format(window=WINDOW, mirrored=MIRRORED)),
    (
        2,
        """
        def crop_and_flip(image, size, seed):
            top, left, coin = tf.random.stateless_uniform((3,), seed).numpy()
            top, left = (int(share * (side - size + 1)) for share, side in zip((top, left), image.shape))
            columns = range(left, left + size)
            return tf.gather(image[top : top + size], columns[::-1] if coin < 0.5 else columns, axis=1)
        """,
    ),
    (3, pipeline("cache().shuffle(12).batch(batch_size).map(step).prefetch(tf.data.AUTOTUNE)")),
    (
        3,
        pipeline("batch(3).cache().unbatch().shuffle(99).batch(batch_size, drop_remainder=True).map(step).prefetch(1)"),
    ),
    (4, DROP.format(value="np.where(chance < rate, 0, x / (1 - rate)) if training else x")),
    (4, DROP.format(value="x * ((chance >= rate) / (1 - rate)) ** training")),
    (5, JUDGE.format(value="np.mean((a - b) - (c - d)), np.sum(d > b)")),
    (
        5,
        """
        def judge(base, remedy):
            pairs = list(zip(base, remedy))
            shrunk = sum((seen - new) - (seen_2 - new_2) for (seen, new), (seen_2, new_2) in pairs)
            return shrunk / len(pairs), len([1 for before, after in pairs if after[1] > before[1]])
        """,
    ),
]

# Exercise, a wrong answer as a learner gives it, words of the message that helps.
WRONG = [
    (1, only("on"), "mirrors in the exam"),
    (1, only("not off"), "no augmentation"),
    (1, only("on and not off", off="layer(images)"), "plain call"),
    (1, only("off and not on"), "mix up the modes"),
    *[
        (2, CROP.format(**{"window": WINDOW, "mirrored": MIRRORED} | changed), helps)
        for changed, helps in [
            ({"window": "image"}, r"should be \(12, 12, 3\)"),
            ({"window": "tf.image.random_crop(image, (size, size, 3))"}, "the same seed"),
            ({"mirrored": "tf.image.random_flip_left_right(window)"}, "the same seed"),
            ({"mirrored": "tf.image.stateless_random_flip_up_down(window, seed)"}, "upside down"),
            ({"window": "tf.image.resize(image, (size, size))"}, "do not resize"),
            ({"mirrored": "tf.image.flip_left_right(window)"}, "60 of 60"),
            ({"mirrored": "window"}, "0 of 60"),
            ({"window": "image[4 : 4 + size, 4 : 4 + size]"}, "only 1 different places"),
            ({"window": "image[4 : 4 + size, (k := seed[1] % 8) : k + size]"}, "only 8 different places"),
            ({"window": WINDOW.replace("image,", "tf.cast(image, tf.int32),")}, "dtype"),
        ]
    ],
    *[
        (3, pipeline(stages), helps)
        for stages, helps in [
            ("cache().shuffle(12).map(step).batch(batch_size)", "rank .3.: it wants batches"),
            ("cache().shuffle(12).map(step)", "rank .3.: it wants batches"),
            ("cache().shuffle(12).batch(6).map(step)", "batches of batch_size"),
            ("cache().shuffle(12).batch(batch_size).map(step).take(2)", "every picture once"),
            ("cache().shuffle(12).batch(batch_size).map(lambda x, y: (step(x, y)[0], y[::-1]))", "came apart"),
            ("shuffle(12).batch(batch_size).map(step)", "read 36 times"),
            ("shuffle(12).batch(batch_size).map(step).cache()", "augment after the cache"),
            ("shuffle(12).cache().batch(batch_size).map(step)", "after the cache"),
            ("cache().batch(batch_size).map(step)", "shuffle, and after"),
        ]
    ],
    *[
        (4, DROP.format(value=value), helps)
        for value, helps in [
            ("np.multiply(x, chance >= rate, out=x) / (1 - rate)", "changed x itself"),
            ("np.where(chance < rate, 0, x) if training else x * (1 - rate)", "make up for the dropped"),
            ("np.where(chance < rate, 0, x / rate) if training else x", "not by the rate"),
            ("np.where(chance > rate, 0, x / (1 - rate)) if training else x", "you dropped the others"),
            ("np.where(chance < rate, 0, x / (1 - rate))", "nothing is dropped"),
            ("np.where(training & (chance < rate), 0, x / (1 - rate))", "nothing scaled"),
            ("np.where(chance < rate, 0, x * 1.25) if training else x", "two are dropped and two doubled"),
            ("np.where(chance < rate, 0, x * 1.5) if training else x", r"expected \[\[0, 2.5"),
        ]
    ],
    *[
        (5, JUDGE.format(value=value), helps)
        for value, helps in [
            ("np.mean((c - d) - (a - b)), np.sum(d > b)", "should be positive"),
            ("np.sum((a - b) - (c - d)), np.sum(d > b)", "divide by the number"),
            ("np.mean(a - c), np.sum(d > b)", "mean 0.257"),
            ("np.mean((a - b) - (c - d)), np.sum(d >= b)", "not better"),
            ("np.mean((a - b) - (c - d)), int(d.mean() > b.mean())", "seed by seed"),
            ("np.mean((a - b) - (c - d)), np.sum(c - d < a - b) - 1", "never better"),
        ]
    ],
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_a_right_answer_passes(number, answer):
    assert f"Exercise {number}: right" in check(number, answer)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_an_untouched_stub_is_not_attempted(number):
    said = check(number)
    assert f"Exercise {number}: not attempted yet" in said
    assert f"Exercise {number}: right" not in said


@pytest.mark.parametrize(("number", "answer", "helps"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, helps):
    with pytest.raises(AssertionError, match=helps):
        check(number, answer)


# --- claims of the prose ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "default"),
    [("RandomFlip", True), ("RandomRotation", True), ("RandomZoom", True), ("Dropout", False)],
)
def test_a_plain_call_means_training_for_augmentation_and_inference_for_dropout(layer, default):
    assert inspect.signature(getattr(keras.layers, layer).call).parameters["training"].default is default


def test_a_tenth_of_a_turn_is_36_degrees_counter_clockwise():
    smooth = tf.image.resize(tf.cast(IMAGES[:1, :4, :4], tf.float32), (40, 40))  # no sharp edge, no doubt
    turned = keras.layers.RandomRotation((0.1, 0.1))(smooth, training=True)
    wanted = augment.warp(smooth, augment.affine(40, 40, angle=np.deg2rad(36)))
    middle = np.s_[:, 10:30, 10:30]
    np.testing.assert_allclose(turned[middle], wanted[middle], atol=1)


def test_evaluate_and_predict_turn_the_augmentation_off():
    network = models.small_cnn(3, 16, augmentation=augment.keras_stack(), dropout=0.5)
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
        lambda image: (tf.ones(1), tf.ensure_shape(tf.py_function(remember, [image], tf.float32), []))
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
    prose = " ".join((ROOT / "notebooks" / "text" / "07_augmentation.py").read_text(encoding="utf-8").split())
    assert f"{alone:.2f} without, {both:.2f} with augmentation and dropout" in prose


def test_the_lessons_layers_are_those_of_helpers():
    (cell,) = (source for source in CELLS if source.startswith("front = "))
    names = imports() | {"images": IMAGES, "labels": [0], "names": ["daisy"]}
    exec(compile(cell, "cell", "exec"), names)
    theirs = augment.keras_stack(rotation=0.1, zoom=0.2)
    told = ("mode", "factor", "height_factor", "width_factor", "fill_mode")
    pairs = list(zip(names["front"].layers, theirs.layers, strict=True))
    assert [type(mine) for mine, _ in pairs] == [type(other) for _, other in pairs]
    for mine, other in pairs:
        assert {key: mine.get_config().get(key) for key in told} == {key: other.get_config().get(key) for key in told}
