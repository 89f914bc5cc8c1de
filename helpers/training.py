"""Judging classifiers: macro F1, evaluation, comparisons over seeds, results of a run."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def macro_f1(labels: Sequence[int], predictions: Sequence[int]) -> float:
    """Return the plain mean of the classes' F1 scores, the competition's measure, in [0, 1].

    F1 is the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN). A class that has
    images but is never predicted counts 0; one with neither images nor predictions has no F1
    and is left out of the mean. Explained in notebook 10.

    Raises
    ------
    ValueError
        For no labels, or unequal numbers of labels and predictions.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro"))


@dataclass(frozen=True)
class Evaluation:
    """What a model did on a labelled dataset of n images and k classes, in the dataset's order.

    Attributes
    ----------
    labels
        True classes, integers, shape (n,).
    probabilities
        The model's probabilities, float32, shape (n, k).
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The most probable class of each image, int64, shape (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """The proportion of images predicted right, in [0, 1]."""
        return float(np.mean(self.predictions == self.labels))

    @property
    def macro_f1(self) -> float:
        """The mean of the classes' F1, as in the function `macro_f1`."""
        return macro_f1(self.labels, self.predictions)

    @property
    def per_class_f1(self) -> np.ndarray:
        """Each class's F1, float, shape (k,); NaN without images and predictions."""
        from sklearn.metrics import f1_score

        classes = range(self.probabilities.shape[1])
        return f1_score(
            self.labels, self.predictions, labels=classes, average=None, zero_division=np.nan
        )

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int, shape (k, k); rows are true classes, columns predicted ones."""
        from sklearn.metrics import confusion_matrix

        classes = range(self.probabilities.shape[1])
        return confusion_matrix(self.labels, self.predictions, labels=classes)

    @property
    def worst_mistakes(self) -> np.ndarray:
        """Positions of the wrong predictions in the dataset, the most confident first."""
        wrong = np.flatnonzero(self.predictions != self.labels)
        confidence = self.probabilities[wrong].max(axis=1)
        return wrong[np.argsort(-confidence, kind="stable")]

    def __str__(self) -> str:
        scores = f"macro F1 {self.macro_f1:.3f}, accuracy {self.accuracy:.3f}"
        return f"{scores} on {len(self.labels)} images"


def evaluate(
    model: keras.Model, dataset: tf.data.Dataset, *, mirror: bool = False
) -> Evaluation:
    """Run a classifier over a labelled dataset. Explained in notebook 10.

    Parameters
    ----------
    model, mirror
        As in `predict`.
    dataset
        As in `predict`; the labels are class numbers (batch,) or one-hot rows (batch, k).

    Raises
    ------
    ValueError
        As in `predict`, and for a dataset whose second part is no labels.
    """
    probabilities, labels = predict(model, dataset, mirror=mirror)
    num_classes = probabilities.shape[1]
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    if labels.dtype.kind not in "iu" or max(labels) >= num_classes:
        raise ValueError(
            f"The labels are {labels.dtype}, {labels[:5]} ...; evaluate takes one-hot rows or "
            f"integers from 0 to {num_classes - 1}. For images without labels use predict."
        )
    return Evaluation(labels, probabilities)


def predict(
    model: keras.Model, dataset: tf.data.Dataset, *, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Run a classifier over batches of (images, labels), or of (images, ids).

    Both are read in one pass: a second pass over a shuffled dataset would come in another
    order. Explained in notebook 10.

    Parameters
    ----------
    model
        A classifier that gives logits or probabilities. Outputs that are no probabilities (some
        row has a negative number or does not sum to 1) are taken as logits and go through a
        softmax.
    dataset
        Finite and batched; its length need not be known.
    mirror
        Show every image a second time, left and right swapped, and take the mean of both
        probabilities: for subjects that look as natural in a mirror.

    Returns
    -------
    tuple
        Probabilities, float32 (n, k); and the labels or ids, shape (n, ...), in the same order.

    Raises
    ------
    ValueError
        For a dataset that is empty or endless.
    """
    import keras
    import tensorflow as tf

    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("The dataset never ends; evaluate it without repeat().")
    outputs = []
    labels = []
    for images, label in dataset:
        images = images.numpy()  # Keras on JAX takes no TensorFlow tensor here
        looks = [images]
        if mirror:
            looks.append(images[:, :, ::-1])
        # TensorFlow warns where many models in a row are traced, as `model.predict` would do.
        outputs.append([model(look, training=False) for look in looks])
        labels.append(label.numpy())
    if not labels:
        raise ValueError("The dataset is empty: there is nothing to predict.")
    looks = np.concatenate(outputs, axis=1, dtype="float32")
    sum_to_one = np.allclose(looks.sum(axis=2), 1, atol=1e-3)
    if looks.min() < 0 or not sum_to_one:
        looks = keras.ops.convert_to_numpy(keras.ops.softmax(looks))
    return looks.mean(axis=0), np.concatenate(labels)


@dataclass(frozen=True)
class Ablation:
    """Scores of a base and its variants over the same seeds; printing it gives a table.

    The table's spreads are standard deviations over the seeds (divisor n - 1).

    Attributes
    ----------
    names
        The base first, then the changes.
    scores
        Float, shape (names, seeds).
    """

    names: tuple[str, ...]
    scores: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """Score minus the base's score with the same seed, (names, seeds); the base's are 0."""
        return self.scores - self.scores[0]

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = [" " * width + "    mean  spread   change  spread   better"]
        for name, scores, change in zip(self.names, self.scores, self.differences):
            line = name.ljust(width) + _mean_and_spread(scores)
            if name != "base":
                better = sum(change > 0)
                line += _mean_and_spread(change, sign="+") + f"   {better} of {len(change)}"
            lines.append(line)
        return "\n".join(lines)


def _mean_and_spread(values, sign=""):
    return f"   {values.mean():{sign}.3f}   {values.std(ddof=1):.3f}"


def ablation(
    run: Callable[..., float],
    base: dict,
    changes: dict[str, dict],
    seeds: Sequence[int],
) -> Ablation:
    """Compare a base with variants that differ in one setting each, over several seeds.

    All variants see the same seeds, so their differences to the base are paired: the luck of a
    split or of the first weights cancels. A progress bar counts the runs. Explained in
    notebook 10.

    Parameters
    ----------
    run
        Called as ``run(seed=seed, **settings)`` after Python, NumPy and TensorFlow were given
        the seed; trains and returns a score, the higher the better.
    base
        The settings of the base.
    changes
        Name of each variant, and the one setting it changes, such as ``{"no smoothing":
        {"smoothing": 0.0}}``.
    seeds
        Two or more integers. With fewer than three there is little to conclude.

    Raises
    ------
    ValueError
        For a variant that changes no setting, several, or one that the base does not have.
    """
    import keras
    from tqdm.auto import tqdm

    variants = {"base": base}
    for name, change in changes.items():
        if len(change) != 1 or not base.keys() >= change.keys():
            raise ValueError(
                f"variant {name!r} is {change!r}; change one setting of the base, {base!r}."
            )
        variants[name] = base | change
    scores = []
    runs = list(itertools.product(variants.values(), seeds))
    for settings, seed in tqdm(runs, desc="ablation", unit="run"):
        keras.utils.set_random_seed(seed)
        score = run(seed=seed, **settings)
        scores.append(score)
    table = np.reshape(scores, (len(variants), -1))
    return Ablation(tuple(variants), table)


def write_results(
    file: Path,
    evaluation: Evaluation,
    class_names: Sequence[str],
    **about: str | float | None,
) -> Path:
    """Write macro F1, accuracy and each class's F1 as JSON, with what the run was about.

    Explained in notebook 10.

    Parameters
    ----------
    file
        The file to write, usually ``results.json`` in the output folder.
    evaluation
        From `evaluate`.
    class_names
        The names, in the order of the classes.
    about
        More entries, each a string, number or None: ``data_source``, ``backbone``, ``profile``,
        ``seconds``, ``seed``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the number of names is not the number of classes.
    """
    per_class = {}
    for name, score in zip(class_names, evaluation.per_class_f1, strict=True):
        per_class[name] = round(float(score), 4)
        if math.isnan(score):
            per_class[name] = None  # JSON knows no NaN
    results = {
        "macro_f1": round(evaluation.macro_f1, 4),
        "accuracy": round(evaluation.accuracy, 4),
        "per_class_f1": per_class,
        **about,
    }
    text = json.dumps(results, indent=2, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
    return file
