"""Judging classifiers: macro F1, evaluation, comparisons over seeds, and the two files a run leaves behind."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def macro_f1(labels: Iterable[int], predictions: Iterable[int], num_classes: int) -> float:
    """Return the plain mean of the classes' F1 scores, the competition's measure. Explained in notebook 10.

    A class that has photos but is never predicted counts 0. A class with neither photos nor
    predictions has no F1 (0 / 0) and is left out of the mean.

    Parameters
    ----------
    labels
        True classes, integers in [0, num_classes), shape (n,).
    predictions
        Predicted classes, likewise.
    num_classes
        Number of classes.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        For no labels, unequal lengths, or a class that is no integer in [0, num_classes).
    """
    return float(np.nanmean(f1_per_class(labels, predictions, num_classes)))


def f1_per_class(
    labels: Iterable[int], predictions: Iterable[int], num_classes: int
) -> np.ndarray:
    """Return each class's F1, shape (num_classes,), float; NaN where a class has neither photos nor predictions.

    F1 is the harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN). Parameters and
    errors as for `macro_f1`.
    """
    from sklearn.metrics import f1_score

    labels, predictions = _pairs(labels, predictions, num_classes)
    return f1_score(
        labels, predictions, labels=range(num_classes), average=None, zero_division=np.nan
    )


def confusion(
    labels: Iterable[int], predictions: Iterable[int], num_classes: int
) -> np.ndarray:
    """Count how often each true class (row) was predicted as each class (column). Explained in notebooks 02 and 10.

    Returns integers of shape (num_classes, num_classes). Parameters and errors as for
    `macro_f1`.
    """
    from sklearn.metrics import confusion_matrix

    labels, predictions = _pairs(labels, predictions, num_classes)
    return confusion_matrix(labels, predictions, labels=range(num_classes))


@dataclass(frozen=True)
class Evaluation:
    """What a model did on a labelled dataset of n images and k classes, in the dataset's order.

    Attributes
    ----------
    labels
        True classes, int64, shape (n,).
    probabilities
        The model's probabilities, float32, shape (n, k).
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def num_classes(self) -> int:
        """The number of classes, k."""
        return self.probabilities.shape[1]

    @property
    def predictions(self) -> np.ndarray:
        """The most probable class of each image, int64, shape (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """The share of images predicted right, in [0, 1]."""
        return float(np.mean(self.predictions == self.labels))

    @property
    def macro_f1(self) -> float:
        """The mean of the classes' F1 (see `macro_f1`), in [0, 1]."""
        return macro_f1(self.labels, self.predictions, self.num_classes)

    @property
    def per_class_f1(self) -> np.ndarray:
        """Each class's F1, shape (k,); NaN where a class has neither images nor predictions."""
        return f1_per_class(self.labels, self.predictions, self.num_classes)

    @property
    def confusion(self) -> np.ndarray:
        """Counts, shape (k, k): the row is the true class, the column the predicted one."""
        return confusion(self.labels, self.predictions, self.num_classes)

    @property
    def worst_mistakes(self) -> np.ndarray:
        """Positions of the wrong predictions in the dataset, the most confident first."""
        wrong = np.flatnonzero(self.predictions != self.labels)
        confidence = self.probabilities[wrong].max(axis=1)
        return wrong[np.argsort(-confidence, kind="stable")]

    def __str__(self) -> str:
        return (
            f"macro F1 {self.macro_f1:.3f}, accuracy {self.accuracy:.3f} on {len(self.labels)} "
            "images"
        )


def evaluate(
    model: keras.Model, dataset: tf.data.Dataset, *, mirror: bool = False
) -> Evaluation:
    """Run a classifier over a labelled dataset. Explained in notebook 10.

    Images and labels are read in one pass: a second pass over a shuffled dataset would come in
    another order.

    Parameters
    ----------
    model
        A classifier that gives logits or probabilities.
    dataset
        Finite and batched: images, and labels as class numbers (batch,) or one-hot rows (batch,
        k).
    mirror
        As in `predict`.

    Raises
    ------
    ValueError
        For a dataset that is empty, endless, not batched or has no labels.
    """
    probabilities, labels = predict(model, dataset, mirror=mirror)
    if labels.dtype.kind not in "iuf":
        raise ValueError(
            f"The dataset's second part holds {labels.dtype}, no labels; for unlabelled "
            "images use predict."
        )
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    return Evaluation(_classes(labels, probabilities.shape[1], "labels"), probabilities)


def predict(
    model: keras.Model, dataset: tf.data.Dataset, *, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Run a classifier over batches of (images, something) and keep the something: labels, or the ids of test images.

    Parameters
    ----------
    model
        A classifier that gives logits or probabilities. Outputs that are no probabilities (some
        row has a negative number or does not sum to 1) are taken as logits and go through a
        softmax.
    dataset
        Finite and batched.
    mirror
        Show every image a second time, left and right swapped, and take the mean of both
        probabilities: for subjects that look as natural in a mirror.

    Returns
    -------
    tuple
        Probabilities, float32 (n, k); and the second parts of the dataset, shape (n, ...), in
        the same order.

    Raises
    ------
    ValueError
        For a dataset that is empty, endless, not batched or not made of pairs.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[0].shape.rank != 4:
        raise ValueError(
            f"The dataset gives {spec}; it must give pairs of batches: images (batch, "
            "height, width, 3), labels."
        )
    if dataset.cardinality() == -1:  # tf.data.INFINITE_CARDINALITY
        raise ValueError("The dataset never ends; evaluate it without repeat().")
    looks, seconds = ([], []) if mirror else ([],), []
    for images, second in dataset:
        images = images.numpy()  # Keras on JAX takes no TensorFlow tensor here
        for outputs, view in zip(looks, (images, images[:, :, ::-1])):
            outputs.append(model.predict_on_batch(view))
        seconds.append(second.numpy())
    if not seconds:
        raise ValueError("The dataset is empty: there is nothing to predict.")
    return np.mean(
        [_as_probabilities(np.concatenate(outputs)) for outputs in looks], axis=0
    ), np.concatenate(seconds)


def _pairs(
    labels: Iterable[int], predictions: Iterable[int], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    labels, predictions = (
        _classes(labels, num_classes, "labels"),
        _classes(predictions, num_classes, "predictions"),
    )
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels were given for {len(predictions)} predictions.")
    return labels, predictions


def _classes(values: Iterable[int], num_classes: int, what: str) -> np.ndarray:
    """Return class numbers as int64, shape (n,), or raise ValueError."""
    values = np.asarray(values if hasattr(values, "__array__") else list(values))
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise ValueError(
            f"{what} has shape {values.shape} and dtype {values.dtype}; give class numbers, "
            "integers, in one row."
        )
    if values.min() < 0 or values.max() >= num_classes:
        raise ValueError(
            f"{what} runs from {values.min()} to {values.max()}; classes run from 0 to "
            f"{num_classes - 1}."
        )
    return values.astype("int64")


def _as_probabilities(outputs: np.ndarray) -> np.ndarray:
    outputs = outputs.astype("float32")
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _spread(scores: np.ndarray) -> np.ndarray:
    """Return the sample standard deviation along the last axis; NaN where there is one score only."""
    return (
        scores.std(axis=-1, ddof=1)
        if scores.shape[-1] > 1
        else np.full(scores.shape[:-1], np.nan)
    )


@dataclass(frozen=True)
class Ablation:
    """Scores of a base and its variants over the same seeds; printing it gives a table.

    Attributes
    ----------
    names
        The base first, then the changes.
    seeds
        The seeds, in the order of the columns of `scores`.
    scores
        Float, shape (names, seeds).
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean over the seeds, shape (names,)."""
        return self.scores.mean(axis=1)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the seeds (n - 1), shape (names,); NaN for a single seed."""
        return _spread(self.scores)

    @property
    def differences(self) -> np.ndarray:
        """Score minus the base's score with the same seed, shape (names, seeds); the base's row is 0."""
        return self.scores - self.scores[0]

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{'':{width}}   mean  spread   change  spread   better"]
        for row, name in enumerate(self.names):
            line = f"{name:{width}}  {self.mean[row]:5.3f}  {_decimals(self.spread[row])}"
            if row:
                change = self.differences[row]
                wins = f"{(change > 0).sum()} of {len(self.seeds)}"
                line += f"   {change.mean():+.3f}  {_decimals(_spread(change))}   {wins}"
            lines.append(line)
        return "\n".join(lines)


def _decimals(number: float) -> str:
    return "    -" if math.isnan(number) else f"{number:5.3f}"


def ablation(
    run: Callable[..., float],
    base: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
) -> Ablation:
    """Compare a base with variants that differ in one setting each, over several seeds. Explained in notebook 10.

    All variants see the same seeds, so their differences to the base are paired: the luck of a
    split or of the first weights cancels. A progress bar counts the runs.

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
        One or more different integers. With fewer than three there is little to conclude.

    Raises
    ------
    ValueError
        For a variant that changes no setting, several, or one the base does not have; for no or
        repeated seeds; for a score that is not a finite number.
    """
    import keras
    from tqdm.auto import tqdm

    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds is {seeds!r}; give one or more different integers.")
    for name, change in changes.items():
        if len(change) != 1 or name == "base":
            raise ValueError(
                f"variant {name!r} is {dict(change)!r}; change one setting of the base, "
                "under a name but 'base'."
            )
        ((setting, value),) = change.items()
        if setting not in base or base[setting] == value:
            raise ValueError(
                f"variant {name!r} sets {setting}={value!r}; it must differ from the base, "
                f"{dict(base)!r}."
            )
    variants = {"base": {}, **changes}
    scores = np.empty((len(variants), len(seeds)))
    with tqdm(total=scores.size, desc="ablation", unit="run") as bar:
        # Seed by seed, not variant by variant: a run that is stopped early has compared all
        # variants.
        for column, seed in enumerate(seeds):
            for row, (name, change) in enumerate(variants.items()):
                keras.utils.set_random_seed(seed)
                score = float(run(seed=seed, **{**base, **change}))
                if not math.isfinite(score):
                    raise ValueError(
                        f"variant {name!r} scored {score} with seed {seed}; a score is a "
                        "finite number."
                    )
                scores[row, column] = score
                bar.update()
    return Ablation(tuple(variants), tuple(seeds), scores)


def write_results(
    file: str | Path, evaluation: Evaluation, class_names: Sequence[str], **about: Any
) -> Path:
    """Write macro F1, accuracy and each class's F1 as JSON, with what the run was about. Explained in notebook 10.

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

    Raises
    ------
    ValueError
        If the number of names is not the number of classes.
    """
    if len(class_names) != evaluation.num_classes:
        raise ValueError(
            f"{len(class_names)} class names were given for {evaluation.num_classes} classes."
        )
    per_class = {
        name: None if math.isnan(f1) else round(float(f1), 4)
        for name, f1 in zip(class_names, evaluation.per_class_f1, strict=True)
    }
    results = {
        "macro_f1": round(evaluation.macro_f1, 4),
        "accuracy": round(evaluation.accuracy, 4),
        "per_class_f1": per_class,
        **about,
    }
    file = Path(file)
    file.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return file


def write_submission(
    file: str | Path, ids: Iterable[str | bytes], predictions: Iterable[int], num_classes: int
) -> Path:
    """Write the competition's ``id,label`` file, checked before it is written. Explained in notebook 10.

    Parameters
    ----------
    file
        The file to write, usually ``submission.csv`` in the output folder.
    ids
        The test images' ids, str or UTF-8 bytes, each once.
    predictions
        The predicted classes in the same order, integers in [0, num_classes).
    num_classes
        Number of classes.

    Raises
    ------
    ValueError
        For no ids, an empty or repeated id, unequal lengths, or a class that is no integer in
        [0, num_classes).
    """
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in ids]
    predictions = _classes(predictions, num_classes, "predictions")
    if len(names) != len(predictions):
        raise ValueError(f"{len(names)} ids were given for {len(predictions)} predictions.")
    if len(set(names)) != len(names) or "" in names:
        raise ValueError(
            "ids must be given once each, and none may be empty: the competition refuses "
            "such a file."
        )
    rows = [("id", "label"), *zip(names, predictions.tolist(), strict=True)]
    file = Path(file)
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)
    return file
