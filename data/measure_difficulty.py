"""Measure how hard the bundled sets are: prints the table of the data card.

Three seeds of every way to learn, the flowers at 96x96. `--seeds 1` gives a quick look.
"""

from __future__ import annotations

import argparse
import gzip
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.ensemble import RandomForestClassifier

from helpers.models import small_backbone

FOLDER = Path(__file__).parent
RECORDS = FOLDER / "flowers" / "tfrecords-jpeg-192x192"
SIZE = 96
CLASSES = 5

# Pictures and classes of one split, uint8 and int.
Split = tuple[np.ndarray, np.ndarray]


def read(split: str) -> Split:
    """All flowers of a split at 96x96, and their classes."""
    files = sorted(map(str, (RECORDS / split).glob("*.tfrec")))
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "class": tf.io.FixedLenFeature([], tf.int64),
    }
    images = []
    classes = []
    for record in tf.data.TFRecordDataset(files):
        fields = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(fields["image"], channels=3)
        images.append(halved(image.numpy()))
        classes.append(int(fields["class"]))
    return np.stack(images), np.array(classes)


def halved(image: np.ndarray) -> np.ndarray:
    """The means of every four pixels, rounded, uint8."""
    blocks = image.reshape(SIZE, 2, SIZE, 2, 3)
    means = blocks.mean((1, 3), dtype=np.float32)
    return np.round(means).astype(np.uint8)


def read_fashion(split: str) -> Split:
    """Pictures and classes of a split of the fashion set."""
    images = read_idx(f"{split}-images-idx3-ubyte.gz", header=16)
    classes = read_idx(f"{split}-labels-idx1-ubyte.gz", header=8)
    return images.reshape(-1, 28, 28), classes


def read_idx(name: str, header: int) -> np.ndarray:
    """The bytes of an IDX file after its header."""
    packed = (FOLDER / "fashion" / name).read_bytes()
    content = gzip.decompress(packed)
    return np.frombuffer(content, np.uint8, offset=header)


def colours(images: np.ndarray) -> np.ndarray:
    """Shares of the 64 coarse colours in each picture, and nothing about where they are."""
    coarse = (images // 64).astype(int)
    codes = coarse @ [16, 4, 1]
    shares = [np.bincount(code.ravel(), minlength=64) / code.size for code in codes]
    return np.stack(shares)


def augmentation() -> keras.Sequential:
    """Flip, rotation by up to 36 degrees, zoom by up to 20 %."""
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.2),
        ]
    )


def cnn(augment: bool) -> keras.Model:
    """The three-block network of notebooks 06 and 07."""
    blocks = []
    for width in (16, 32, 64):
        conv = layers.Conv2D(width, 3, padding="same", activation="relu")
        blocks += [conv, layers.MaxPooling2D()]
    front = []
    middle = []
    if augment:
        front = [augmentation()]
        middle = [layers.Dropout(0.2)]
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *front,
            layers.Rescaling(1 / 255),
            *blocks,
            *middle,
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(CLASSES),
        ]
    )


def transfer(weights: Path) -> tuple[keras.Model, keras.Model]:
    """The bundled backbone, frozen, under average pooling and one dense layer."""
    backbone = small_backbone((SIZE, SIZE, 3), weights=weights)
    backbone.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = augmentation()(inputs)
    x = backbone(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    logits = layers.Dense(CLASSES)(x)
    return keras.Model(inputs, logits), backbone


def dense() -> keras.Model:
    """The network of notebook 02, for the fashion set; it gives logits."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dense(30, activation="relu"),
            layers.Dense(10),
        ]
    )


def fit(
    model: keras.Model,
    rate: float,
    epochs: int,
    train: Split,
    test: Split,
) -> tuple[float, float]:
    """Train; return the accuracy on the training pictures as they are, and on the others."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(*train, batch_size=32, epochs=epochs, verbose=0)
    _, train_accuracy = model.evaluate(*train, verbose=0)
    _, test_accuracy = model.evaluate(*test, verbose=0)
    return train_accuracy, test_accuracy


def forest(seed: int, train: Split, test: Split) -> tuple[float, float]:
    """Accuracies of a random forest that sees the histogram of colours alone."""
    train_images, train_classes = train
    test_images, test_classes = test
    train_colours = colours(train_images)
    test_colours = colours(test_images)
    model = RandomForestClassifier(300, random_state=seed)
    model.fit(train_colours, train_classes)
    return (
        model.score(train_colours, train_classes),
        model.score(test_colours, test_classes),
    )


def measure(
    seed: int,
    flowers: tuple[Split, Split],
    fashion: tuple[Split, Split],
    weights: Path,
) -> dict[str, tuple[float, float]]:
    """Train and test accuracy of every way to learn, for one seed."""
    keras.utils.set_random_seed(seed)
    rows = {}
    name = "flowers, CNN from scratch, 20 epochs"
    rows[name] = fit(cnn(augment=False), 1e-3, 20, *flowers)
    name = "flowers, the same with augmentation and dropout, 40 epochs"
    rows[name] = fit(cnn(augment=True), 1e-3, 40, *flowers)
    model, backbone = transfer(weights)
    name = "flowers, bundled backbone frozen, 20 epochs"
    rows[name] = fit(model, 3e-3, 20, *flowers)
    backbone.trainable = True
    name = "flowers, then fine-tuned, 10 epochs"
    rows[name] = fit(model, 3e-4, 10, *flowers)
    name = "flowers, random forest on colours alone"
    rows[name] = forest(seed, *flowers)
    name = "fashion, dense 784-100-30-10, 10 epochs"
    rows[name] = fit(dense(), 1e-3, 10, *fashion)
    return rows


def span(accuracies: np.ndarray) -> str:
    """Mean, lowest and highest of one column over the seeds."""
    lowest = accuracies.min()
    highest = accuracies.max()
    return f"{accuracies.mean():.3f} ({lowest:.3f}-{highest:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many runs (default: 3)")
    parser.add_argument(
        "--weights",
        type=Path,
        default=FOLDER / "backbone.weights.h5",
        help="of the backbone (default: %(default)s)",
    )
    options = parser.parse_args()
    flowers = (read("train"), read("val"))
    fashion = (read_fashion("train"), read_fashion("t10k"))
    runs = []
    for seed in range(options.seeds):
        runs.append(measure(seed, flowers, fashion, options.weights))

    title = f"mean (lowest-highest) of {options.seeds} seeds"
    print(f"| {title} | train accuracy | accuracy on held-back pictures |")
    print("|---|---|---|")
    for name in runs[0]:
        results = np.array([run[name] for run in runs])
        train, test = results.T
        print(f"| {name} | {span(train)} | {span(test)} |")


if __name__ == "__main__":
    main()
