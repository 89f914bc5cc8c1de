"""CutMix: where each pixel came from, what the labels say, and the same everywhere."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import compiling, seeding
from helpers.cutmix import (
    CutMix,
    boxes_at,
    cutmix,
    mix_labels,
    partners,
    paste,
    pasted_share,
    random_numbers,
    sample_centres,
    sample_lambda,
)

DTYPES = ("uint8", "float16", "bfloat16", "float32", "float64")


@pytest.fixture
def without_xla(monkeypatch):
    monkeypatch.setattr(compiling, "xla_works", lambda: False)


def numbered(batch, height, width, channels=3, dtype="uint8"):
    """Images filled with their own number, and one-hot labels that say it."""
    images = np.broadcast_to(
        np.arange(batch).reshape(-1, 1, 1, 1), (batch, height, width, channels)
    )
    return tf.cast(images, dtype), tf.one_hot(np.arange(batch), batch)


def photos(batch=6, height=21, width=34, channels=3, dtype="uint8", classes=5, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (batch, height, width, channels))
    images = images if dtype == "uint8" else images * rng.uniform(0.5, 1, images.shape)
    return tf.cast(images, dtype), tf.one_hot(rng.integers(0, classes, batch), classes)


def equal(one, other):
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other))


def test_a_worked_example():
    """800x800 and lambda 0.3118: ratio 0.82958, 663x663 about (131, 554), clipped."""
    lam = 0.3117929697036743
    assert boxes_at([lam], [131], [554], 800, 800).numpy().tolist() == [[0, 223, 463, 800]]
    assert float(pasted_share([[0, 223, 462, 800]], 800, 800)[0]) == 462 * 577 / 640000
    labels = mix_labels(tf.one_hot([0, 4], 6), [0.3, 0.3], [1, 0])
    np.testing.assert_allclose(labels[0], [0.7, 0, 0, 0, 0.3, 0], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_steps_one_by_one_give_what_cutmix_gives(dtype):
    images, labels = photos(dtype=dtype)
    seed = (3, 4)
    numbers = random_numbers(6, seed)
    lam = sample_lambda(numbers, alpha=0.7, probability=0.8)
    row, column = sample_centres(numbers, 21, 34)
    boxes = boxes_at(lam, row, column, 21, 34)
    partner = partners(numbers)
    share = pasted_share(boxes, 21, 34)
    by_hand = paste(images, boxes, partner), mix_labels(labels, share, partner)
    assert equal(by_hand, cutmix(images, labels, seed, alpha=0.7, probability=0.8))


def test_every_step_takes_numbers_of_its_own_from_one_table():
    numbers = random_numbers(50, (1, 2))
    assert np.array_equal(partners(numbers), np.argsort(numbers.order))
    row, column = sample_centres(numbers, 20, 30)
    assert np.array_equal(row, np.floor(numbers.row * 20))
    assert np.array_equal(column, np.floor(numbers.column * 30))
    left_alone = sample_lambda(numbers, probability=0.4) == 1
    assert np.array_equal(left_alone, numbers.coin >= 0.4)
    for one in range(6):
        for other in range(one):
            assert abs(np.corrcoef(numbers[one], numbers[other])[0, 1]) < 0.5


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_any_seed_draws_the_same_under_xla(dtype):
    under_xla = tf.function(lambda seed: seeding.uniform(seed, [50]), jit_compile=True)
    limits = np.iinfo(dtype)
    for seed in ([1, 2], [-1, 2], [3, -4], [limits.min, limits.max]):
        pair = tf.constant(seed, dtype)
        assert np.array_equal(under_xla(pair), seeding.uniform(pair, [50]))


def test_a_seed_keeps_giving_what_it_gave():
    """The figures and texts of the lessons hold for these very numbers."""
    lam = sample_lambda(random_numbers(4, (1, 2)), alpha=0.3)
    np.testing.assert_allclose(lam, [0.99727607, 0.98590565, 0.50305825, 0.99983358], 1e-6)
    _, labels = cutmix(*numbered(4, 9, 7), (1, 7), alpha=0.7)
    pixels = [[63, 0, 0, 0], [0, 43, 20, 0], [0, 0, 57, 6], [0, 6, 0, 57]]
    np.testing.assert_allclose(labels * 63, pixels, atol=1e-4)
    _, labels = cutmix(*numbered(4, 9, 7), (-5, 7), probability=0.5)
    pixels = [[63, 0, 0, 0], [9, 54, 0, 0], [0, 0, 63, 0], [0, 0, 12, 51]]
    np.testing.assert_allclose(labels * 63, pixels, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 6),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    channels=st.integers(1, 4),
    dtype=st.sampled_from(DTYPES),
    seed=st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 99)),
    alpha=st.sampled_from([1e-3, 0.2, 1.0, 5.0]),
)
def test_each_pixel_has_one_source_and_labels_weigh_pixels(
    batch, height, width, channels, dtype, seed, alpha
):
    images, labels = numbered(batch, height, width, channels, dtype)
    # No compiling for every size; see the test of equality.
    works = compiling.xla_works
    compiling.xla_works = lambda: False
    try:
        mixed, soft = cutmix(images, labels, seed, alpha=alpha)
    finally:
        compiling.xla_works = works
    mixed = tf.cast(mixed, tf.int64).numpy()
    counted = np.stack(
        [(mixed == number).mean(axis=(1, 2, 3)) for number in range(batch)], axis=1
    )
    np.testing.assert_allclose(soft, counted, atol=1e-7)
    for i in range(batch):
        others = set(np.unique(mixed[i])) - {i}
        assert len(others) <= 1
        inside = mixed[i, :, :, 0] != i  # the other's pixels make one full rectangle
        assert inside.sum() == inside.any(1).sum() * inside.any(0).sum()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (7, 13), (2, 5)])
def test_compiled_labels_weigh_pixels(height, width):
    images, labels = numbered(8, height, width)
    mixed, soft = cutmix(images, labels, (5, 6))
    counted = np.stack(
        [(mixed.numpy() == number).mean(axis=(1, 2, 3)) for number in range(8)], axis=1
    )
    assert (counted.max(axis=1) < 1).any()
    np.testing.assert_allclose(soft, counted, atol=1e-7)


def test_paste_is_slicing():
    images, _ = photos(3)
    boxes, partner = [[2, 3, 9, 30], [0, 0, 21, 34], [5, 5, 5, 9]], [2, 0, 1]
    expected = images.numpy().copy()
    for i, (top, left, bottom, right) in enumerate(boxes):
        expected[i, top:bottom, left:right] = images[partner[i], top:bottom, left:right]
    assert np.array_equal(paste(images, boxes, partner), expected)


def test_channels_may_differ():
    """An image is pasted whole: all of its channels, each from its own."""
    images, _ = photos(2, channels=5)
    pasted = paste(images, [[0, 1, 2, 3], [0, 0, 0, 0]], [1, 0])
    assert np.array_equal(pasted[0, :2, 1:3], images[1, :2, 1:3])
    assert np.array_equal(pasted[0, 2:], images[0, 2:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_eagerly_in_a_graph_in_a_pipeline_and_compiled(dtype):
    images, labels = photos(dtype=dtype)
    seed = tf.constant([3, 4])
    expected = cutmix(images, labels, seed, alpha=0.7, probability=0.8)

    def step(images, labels, seed=seed):
        return cutmix(images, labels, seed, alpha=0.7, probability=0.8)

    unknown = [
        tf.TensorSpec([None] * 4, dtype),
        tf.TensorSpec([None, None]),
        tf.TensorSpec([2], tf.int32),
    ]
    assert equal(expected, tf.function(step)(images, labels, seed))
    assert equal(expected, tf.function(step, input_signature=unknown)(images, labels, seed))
    assert equal(expected, tf.function(step, jit_compile=True)(images, labels, seed))
    pipeline = tf.data.Dataset.from_tensor_slices((images, labels)).batch(len(images)).map(step)
    assert equal(expected, next(iter(pipeline)))
    assert not np.array_equal(expected[0], images)


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_xla_the_bits_are_the_same(dtype, monkeypatch):
    for size in [(9, 21, 34), (1, 5, 4)]:
        images, labels = photos(*size, dtype=dtype)
        compiled = cutmix(images, labels, (1, 2), alpha=0.4)
        with monkeypatch.context() as patch:
            patch.setattr(compiling, "xla_works", lambda: False)
            plain = cutmix(images, labels, (1, 2), alpha=0.4)
        assert equal(compiled, plain)


def test_the_fallback_is_chosen_by_itself(monkeypatch):
    assert compiling.xla_works()
    ordinary = tf.function

    def without_compiler(function, jit_compile=None, **options):
        if jit_compile:
            raise tf.errors.UnimplementedError(None, None, "no compiler here")
        return ordinary(function, **options)

    monkeypatch.setattr(tf, "function", without_compiler)
    compiling.xla_works.cache_clear()
    try:
        assert not compiling.xla_works()
        assert compiling.compiled(lambda number: number + 1)(1) == 2
        assert cutmix(*photos(), (1, 2))[0].shape == photos()[0].shape
    finally:
        monkeypatch.undo()
        compiling.xla_works.cache_clear()


def test_known_shapes_stay_known():
    @tf.function(
        input_signature=[tf.TensorSpec([None, 8, 9, 3], tf.uint8), tf.TensorSpec([None, 4])]
    )
    def step(images, labels):
        mixed = cutmix(images, labels, (0, 0))
        assert mixed[0].shape.as_list() == [None, 8, 9, 3]
        assert mixed[1].shape.as_list() == [None, 4]
        return mixed

    for batch in (4, 1, 3):
        assert step(*photos(batch, 8, 9, classes=4))[0].shape == (batch, 8, 9, 3)


def test_probability(without_xla):
    images, labels = photos(dtype="float32")
    assert equal((images, labels), cutmix(images, labels, (1, 2), probability=0.0))
    images, labels = numbered(400, 8, 8, 1, "float32")
    mixed, _ = cutmix(images, labels, (1, 2), alpha=5.0, probability=0.3)
    share = np.mean(np.any(mixed.numpy() != images.numpy(), axis=(1, 2, 3)))
    assert 0.2 < share < 0.4


def test_same_seed_same_batch(without_xla):
    images, labels = photos()
    first = cutmix(images, labels, (1, 2))
    assert equal(first, cutmix(images, labels, np.array([1, 2])))
    for other in [(1, 3), (2, 2), (2, 1)]:
        assert not np.array_equal(first[0], cutmix(images, labels, other)[0])


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0, 2.0, 8.0, 300.0])
def test_lambda_is_beta_distributed(alpha):
    lam = sample_lambda(random_numbers(20_000, (7, 11)), alpha).numpy().astype("float64")
    assert ((lam >= 0) & (lam <= 1)).all()
    # Away from the ends, where a float cannot hold the smallest draws.
    inner = np.linspace(0.01, 0.99, 41)
    observed = np.searchsorted(np.sort(lam), inner) / len(lam)
    # Kolmogorov: P(distance > 1.95 / sqrt(n)) is below 0.001.
    assert np.abs(observed - scipy.stats.beta(alpha, alpha).cdf(inner)).max() < 1.95 / np.sqrt(
        len(lam)
    )


def test_a_bad_alpha_is_refused_by_the_step_too():
    with pytest.raises(ValueError, match="alpha"):
        sample_lambda(random_numbers(4, (1, 2)), alpha=0)


def test_a_tiny_alpha_keeps_one_image_or_the_other():
    numbers = random_numbers(20_000, (1, 2))
    lam = sample_lambda(numbers, 1e-4).numpy()
    assert ((lam > 0.01) & (lam < 0.99)).mean() < 0.004
    assert 0.48 < (lam > 0.5).mean() < 0.52
    assert np.isfinite(sample_lambda(numbers, 1e-300)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_soft_labels_keep_their_sum_and_dtype(dtype):
    images, _ = photos()
    soft = np.random.default_rng(1).dirichlet(np.ones(5), len(images))
    _, mixed = cutmix(images, tf.cast(soft, dtype), (1, 2))
    assert mixed.dtype.name == dtype
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(np.sum(np.asarray(mixed, "float64"), axis=1), 1, atol=tolerance)


def test_gradients_reach_the_images_that_were_used():
    images, labels = photos(dtype="float32")
    source = tf.Variable(images)
    with tf.GradientTape() as tape:
        mixed, _ = cutmix(source, labels, (1, 2))
        total = tf.reduce_sum(mixed * tf.range(1.0, 7.0)[:, None, None, None])
    gradient = tape.gradient(total, source)
    # Every output pixel is one pixel, or shares of two: each hands on all of its weight.
    np.testing.assert_allclose(tf.reduce_sum(gradient), 21 * 21 * 34 * 3, rtol=1e-5)
    own = np.broadcast_to(np.arange(1, 7).reshape(-1, 1, 1, 1), gradient.shape)
    assert not np.allclose(gradient, own)


def test_centres_lie_all_over_the_image():
    row, column = sample_centres(random_numbers(4000, (1, 2)), 80, 160)
    for places, size in ((row.numpy(), 80), (column.numpy(), 160)):
        assert (places.min(), places.max()) == (0, size - 1)
        assert scipy.stats.kstest((places + 0.5) / size, "uniform").statistic < 0.04


def test_lambda_one_pastes_nothing_and_zero_fills_from_the_middle():
    top, left, bottom, right = boxes_at([1.0, 0.0], [4, 4], [4, 4], 9, 9).numpy().T
    assert ((bottom - top) * (right - left)).tolist() == [0, 81]


def test_partners_are_a_permutation():
    order = partners(random_numbers(50, (1, 2))).numpy()
    assert sorted(order) == list(range(50))
    own = []
    for seed in range(200):
        order = partners(random_numbers(6, (seed, 0))).numpy()
        own.append(np.sum(order == np.arange(6)))
    assert 0.7 < np.mean(own) < 1.3


def epochs(dataset, count=2):
    return [[labels.numpy().tobytes() for _, labels in dataset] for _ in range(count)]


@pytest.mark.slow
def test_a_pipeline_is_mixed_anew_in_each_batch_and_epoch_and_again_the_same():
    dataset = tf.data.Dataset.from_tensors(photos(8)).repeat(5)
    for build in (
        lambda step: dataset.map(step),
        lambda step: step.apply(dataset),
        lambda step: step.apply(dataset, num_parallel_calls=4),
    ):
        seen = epochs(build(CutMix(seed=3)))
        assert len(set(seen[0] + seen[1])) == 10
        assert seen == epochs(build(CutMix(seed=3)))
        assert seen != epochs(build(CutMix(seed=4)))


@pytest.mark.slow
def test_an_object_takes_its_options_and_the_last_small_batch():
    dataset = tf.data.Dataset.from_tensor_slices(photos(10)).batch(4)
    step = CutMix(alpha=0.3, probability=0.5, seed=1)
    shapes = [(images.shape[0], images.dtype) for images, _ in dataset.map(step)]
    assert shapes == [(4, tf.uint8), (4, tf.uint8), (2, tf.uint8)]
    alone = cutmix(*photos(), (1, 2), alpha=0.3, probability=0.5)
    assert equal(step.transform((1, 2), *photos()), alone)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": tf.constant([0, 1, 2])}, TypeError, "one_hot"),
        ({"labels": tf.constant([0.0, 1.0, 2.0])}, ValueError, "batch, classes"),
        ({"labels": tf.zeros([2, 5])}, ValueError, "one batch"),
        ({"images": tf.zeros([3, 8, 8], tf.uint8)}, ValueError, "Dataset.batch"),
        ({"images": tf.zeros([3, 8, 8, 1], tf.int32)}, TypeError, "uint8"),
        ({"alpha": 0}, ValueError, "alpha"),
        ({"alpha": -1.0}, ValueError, "alpha"),
        ({"alpha": float("nan")}, ValueError, "alpha"),
        ({"alpha": "one"}, TypeError, "alpha"),
        ({"probability": 1.5}, ValueError, "probability"),
        ({"probability": -0.1}, ValueError, "probability"),
        ({"seed": 3}, ValueError, "pair"),
        ({"seed": (0.5, 1.0)}, ValueError, "pair"),
    ],
)
def test_bad_input_is_refused_at_once(change, error, words):
    given = {
        "images": tf.zeros([3, 8, 8, 1], tf.uint8),
        "labels": tf.zeros([3, 5]),
        "seed": (1, 2),
        **change,
    }
    with pytest.raises(error, match=words):
        cutmix(**given)
    images, labels = given.pop("images"), given.pop("labels")
    with pytest.raises(error, match=words):
        tf.function(lambda images, labels: cutmix(images, labels, **given))(images, labels)


def test_bad_options_are_refused_when_the_object_is_made():
    with pytest.raises(ValueError, match="alpha"):
        CutMix(alpha=0)
    with pytest.raises(ValueError, match="probability"):
        CutMix(probability=2)
    with pytest.raises(TypeError, match="integer"):
        CutMix(seed=0.5)


@pytest.mark.slow
def test_the_first_use_in_a_process_may_be_inside_a_pipeline():
    """Whether XLA works is found out at the first call, and `Dataset.map` may be tracing it."""
    code = """
import tensorflow as tf
from helpers.cutmix import CutMix
batch = tf.zeros([4, 8, 8, 3], tf.uint8), tf.one_hot([0, 1, 2, 3], 4)
images, labels = next(iter(CutMix(seed=1).apply(tf.data.Dataset.from_tensors(batch))))
assert images.shape == (4, 8, 8, 3)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
