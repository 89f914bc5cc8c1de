"""Scores by hand, one pass over a dataset, paired comparisons, and files refused when wrong."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import models, training

LABELS = [0, 0, 0, 1, 1, 2]
GUESSES = [0, 0, 1, 1, 2, 2]


class Stub(keras.Model):
    """Gives back the first pixels of each image as its outputs."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def call(self, images):
        return images[:, 0, : self.classes, 0]


def dataset(outputs, labels, batch_size=2):
    """Images whose first pixels are `outputs`, so that `Stub` predicts just these."""
    outputs = np.asarray(outputs, "float32")
    return tf.data.Dataset.from_tensor_slices((outputs[:, None, :, None], labels)).batch(
        batch_size
    )


# --- scores ---------------------------------------------------------------------------


def test_macro_f1_by_hand():
    # class 0: TP 2, FN 1; class 1: TP 1, FP 1, FN 1; class 2: TP 1, FP 1
    assert training.macro_f1(LABELS, GUESSES) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)


def test_class_without_images_and_predictions_is_left_out():
    assert training.macro_f1([0, 0, 4], [0, 0, 4]) == 1


def test_class_that_is_never_predicted_counts_zero():
    assert training.macro_f1([0, 1], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)


def test_class_that_is_only_predicted_counts_zero():
    assert training.macro_f1([0, 0], [0, 1]) == pytest.approx((2 / 3 + 0) / 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_scores_agree_with_their_definitions(pairs):
    labels, guesses = np.array(pairs).T
    result = training.Evaluation(labels, np.eye(4, dtype="float32")[guesses])
    counts = result.confusion
    assert counts.sum() == len(pairs)
    rows, columns, hits = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    occurs = rows + columns > 0
    by_hand = 2 * hits[occurs] / (rows + columns)[occurs]
    np.testing.assert_allclose(result.per_class_f1[occurs], by_hand)
    assert np.isnan(result.per_class_f1[~occurs]).all()
    assert result.macro_f1 == training.macro_f1(labels, guesses)
    assert result.macro_f1 == pytest.approx(by_hand.mean())
    assert result.accuracy == pytest.approx(hits.sum() / len(pairs))


@pytest.mark.parametrize(
    ("labels", "guesses", "words"),
    [
        ([], [], "empty"),
        ([0, 1], [0], r"numbers of samples: \[2, 1\]"),
    ],
)
def test_macro_f1_refuses_what_it_cannot_score(labels, guesses, words):
    with pytest.raises(ValueError, match=words):
        training.macro_f1(labels, guesses)


# --- evaluate and predict -------------------------------------------------------------

PROBABILITIES = [
    [0.7, 0.2, 0.1],
    [0.1, 0.8, 0.1],
    [0.05, 0.05, 0.9],
    [0.3, 0.3, 0.4],
    [0.6, 0.3, 0.1],
]
TRUTH = [0, 0, 1, 2, 1]


def test_evaluation_by_hand():
    result = training.evaluate(Stub(3), dataset(PROBABILITIES, TRUTH))
    np.testing.assert_array_equal(result.labels, TRUTH)
    np.testing.assert_array_equal(result.predictions, [0, 1, 2, 2, 0])
    np.testing.assert_allclose(result.probabilities, PROBABILITIES, rtol=1e-6)
    assert result.accuracy == pytest.approx(2 / 5)
    np.testing.assert_allclose(result.per_class_f1, [2 / 4, 0, 2 / 3])
    assert result.macro_f1 == pytest.approx((2 / 4 + 2 / 3) / 3)
    np.testing.assert_array_equal(result.confusion, [[1, 1, 0], [1, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(result.worst_mistakes, [2, 1, 4])  # 0.9, 0.8, 0.6 sure
    assert str(result) == "macro F1 0.389, accuracy 0.400 on 5 images"


def test_logits_go_through_a_softmax():
    logits = np.log(PROBABILITIES) + 3
    result = training.evaluate(Stub(3), dataset(logits, TRUTH))
    np.testing.assert_allclose(result.probabilities, PROBABILITIES, rtol=1e-5)
    huge = training.predict(Stub(2), dataset([[1000.0, 0.0], [-1000.0, 1000.0]], [0, 1]))[0]
    np.testing.assert_allclose(huge, [[1, 0], [0, 1]])


def test_one_hot_labels_are_the_same():
    one_hot = np.eye(3, dtype="float32")[TRUTH]
    np.testing.assert_array_equal(
        training.evaluate(Stub(3), dataset(PROBABILITIES, one_hot)).labels, TRUTH
    )


def test_a_shuffled_dataset_keeps_labels_with_their_images():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    shuffled = dataset(np.eye(3)[labels], labels, batch_size=60).unbatch().shuffle(60).batch(7)
    assert shuffled.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert training.evaluate(Stub(3), shuffled).accuracy == 1


def test_mirror_takes_the_mean_of_two_looks():
    model = models.small_cnn(3, 16)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), "uint8")
    dataset = tf.data.Dataset.from_tensor_slices((images, [0, 1, 2, 0, 1])).batch(2)
    flipped = tf.data.Dataset.from_tensor_slices((images[:, :, ::-1], [0, 1, 2, 0, 1])).batch(2)
    plain, mirrored = training.predict(model, dataset)[0], training.predict(model, flipped)[0]
    assert np.abs(plain - mirrored).max() > 1e-3
    both, labels = training.predict(model, dataset, mirror=True)
    np.testing.assert_allclose(both, (plain + mirrored) / 2, atol=1e-6)
    assert both.dtype == np.float32
    assert labels.tolist() == [0, 1, 2, 0, 1]
    np.testing.assert_array_equal(
        training.evaluate(model, dataset, mirror=True).probabilities, both
    )


def test_predict_keeps_the_ids_of_test_images():
    ids = [b"a", b"b", b"c", b"d", b"e"]
    probabilities, kept = training.predict(Stub(3), dataset(PROBABILITIES, ids))
    assert kept.tolist() == ids
    np.testing.assert_allclose(probabilities, PROBABILITIES, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.take(0), "empty"),
        (lambda d: d.repeat(), "never ends"),
        (lambda d: d.map(lambda x, y: (x, tf.strings.as_string(y))), "labels are object"),
        (lambda d: d.map(lambda x, y: (x, y + 1)), "integers from 0 to 2"),
    ],
)
def test_evaluate_refuses_what_it_cannot_score(change, words):
    with pytest.raises(ValueError, match=words):
        training.evaluate(Stub(3), change(dataset(PROBABILITIES, TRUTH)))


# --- ablation -------------------------------------------------------------------------


def scripted(seed, rate, smoothing):
    return 0.8 + seed / 100 + (0.02 if smoothing else 0) + (rate - 1) * (seed - 1) / 100


BASE = {"rate": 1.0, "smoothing": True}
CHANGES = {"no smoothing": {"smoothing": False}, "higher rate": {"rate": 2.0}}


def test_ablation_by_hand():
    result = training.ablation(scripted, BASE, CHANGES, seeds=(0, 1, 2))
    assert result.names == ("base", "no smoothing", "higher rate")
    np.testing.assert_allclose(
        result.scores, [[0.82, 0.83, 0.84], [0.80, 0.81, 0.82], [0.81, 0.83, 0.85]]
    )
    np.testing.assert_allclose(
        result.differences, [[0] * 3, [-0.02] * 3, [-0.01, 0, 0.01]], atol=1e-12
    )


def test_ablation_prints_a_table():
    lines = str(training.ablation(scripted, BASE, CHANGES, seeds=(0, 1, 2))).splitlines()
    assert lines[0].split() == ["mean", "spread", "change", "spread", "better"]
    assert lines[1].split() == ["base", "0.830", "0.010"]
    assert lines[2].split()[2:] == ["0.810", "0.010", "-0.020", "0.000", "0", "of", "3"]
    assert lines[3].split()[2:] == ["0.830", "0.020", "+0.000", "0.010", "1", "of", "3"]


def test_every_variant_starts_from_the_same_seed():
    drawn = []

    def run(seed, **settings):
        drawn.append((seed, np.random.rand(), float(tf.random.uniform([]))))
        return 0.5

    training.ablation(run, BASE, CHANGES, seeds=(3, 5))
    assert len(drawn) == 6
    assert len(set(drawn)) == 2


@pytest.mark.parametrize(
    "change", [{"rate": 2.0, "smoothing": False}, {}, {"rates": 2.0}], ids=str
)
def test_ablation_refuses_unfair_comparisons(change):
    with pytest.raises(ValueError, match=r"'other' is .*; change one setting of the base"):
        training.ablation(scripted, BASE, {"other": change}, seeds=[0, 1])


# --- files ----------------------------------------------------------------------------


def test_results_hold_the_scores_and_what_the_run_was_about(tmp_path):
    result = training.evaluate(Stub(4), dataset(np.eye(4)[[0, 1, 2]], [0, 1, 1]))
    file = training.write_results(
        tmp_path / "results.json",
        result,
        ["a", "b", "c", "d"],
        data_source="bundled",
        seed=3,
        seconds=1.5,
    )
    assert json.loads(file.read_text()) == {
        "macro_f1": 0.5556,
        "accuracy": 0.6667,
        "per_class_f1": {"a": 1.0, "b": 0.6667, "c": 0.0, "d": None},
        "data_source": "bundled",
        "seed": 3,
        "seconds": 1.5,
    }


def test_results_want_a_name_for_each_class(tmp_path):
    result = training.evaluate(Stub(3), dataset(PROBABILITIES, TRUTH))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        training.write_results(tmp_path / "results.json", result, ["a", "b"])
