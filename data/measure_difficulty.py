"""Measure how hard the bundled sets are: prints the table of the data card.

Run with no arguments: three seeds of every way to learn, the flowers at 96x96. `--seeds 1`
gives a quick look.
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
SIZE = 96
CLASSES = 5
IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of a split at 96x96, uint8, and their classes."""
    files = sorted(
        map(str, (FOLDER / "flowers" / "tfrecords-jpeg-192x192" / split).glob("*.tfrec"))
    )
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "class": tf.io.FixedLenFeature([], tf.int64),
    }
    images, classes = [], []
    for record in tf.data.TFRecordDataset(files):
        fields = tf.io.parse_single_example(record, features)
        image = tf.cast(tf.io.decode_jpeg(fields["image"], channels=3), tf.float32)
        image = tf.reduce_mean(tf.reshape(image, (SIZE, 2, SIZE, 2, 3)), (1, 3))
        images.append(tf.cast(tf.round(image), tf.uint8).numpy())
        classes.append(int(fields["class"]))
    return np.stack(images), np.array(classes)


def read_fashion(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and classes of a split of the fashion set."""
    images, classes = (
        gzip.decompress((FOLDER / "fashion" / f"{split}-{end}.gz").read_bytes()) for end in IDX
    )
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(
        classes, np.uint8, offset=8
    )


def colours(images: np.ndarray) -> np.ndarray:
    """Shares of the 64 coarse colours in each picture, and nothing about where they are."""
    coarse = (images // 64).astype(int) @ [16, 4, 1]
    return np.stack([np.bincount(image.ravel(), minlength=64) / image.size for image in coarse])


def augmentation() -> keras.Sequential:
    """Flip, rotation by up to 36 degrees, zoom by up to 20 %."""
    return keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.2)]
    )


def cnn(augment: bool) -> keras.Model:
    """The three-block network of notebooks 06 and 07."""
    blocks = [
        part
        for width in (16, 32, 64)
        for part in (
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        )
    ]
    front = [augmentation()] if augment else []
    middle = [layers.Dropout(0.2)] if augment else []
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(CLASSES)]
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *front,
            layers.Rescaling(1 / 255),
            *blocks,
            *middle,
            *head,
        ]
    )


def transfer(weights: Path) -> tuple[keras.Model, keras.Model]:
    """The bundled backbone, frozen, under average pooling and one dense layer."""
    backbone = small_backbone((SIZE, SIZE, 3), weights=weights)
    backbone.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = backbone(augmentation()(inputs), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x)), backbone


def fit(model: keras.Model, rate: float, epochs: int, data: tuple) -> tuple[float, float]:
    """Train; return the accuracy on the training pictures as they are, and on those held back."""
    (x, y), (x_val, y_val) = data
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return tuple(model.evaluate(*split, verbose=0)[1] for split in ((x, y), (x_val, y_val)))


def measure(
    seed: int, data: tuple, fashion: tuple, weights: Path
) -> dict[str, tuple[float, float]]:
    """Train and test accuracy of every way to learn, for one seed."""
    keras.utils.set_random_seed(seed)
    rows = {"flowers, CNN from scratch, 20 epochs": fit(cnn(False), 1e-3, 20, data)}
    rows["flowers, the same with augmentation and dropout, 40 epochs"] = fit(
        cnn(True), 1e-3, 40, data
    )
    model, backbone = transfer(weights)
    rows["flowers, bundled backbone frozen, 20 epochs"] = fit(model, 3e-3, 20, data)
    backbone.trainable = True
    rows["flowers, then fine-tuned, 10 epochs"] = fit(model, 3e-4, 10, data)
    forest = RandomForestClassifier(300, random_state=seed).fit(colours(data[0][0]), data[0][1])
    rows["flowers, random forest on colours alone"] = tuple(
        forest.score(colours(x), y) for x, y in data
    )
    dense = [
        layers.Dense(100, activation="relu"),
        layers.Dense(30, activation="relu"),
        layers.Dense(10),
    ]
    front = [keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten()]
    rows["fashion, dense 784-100-30-10, 10 epochs"] = fit(
        keras.Sequential(front + dense), 1e-3, 10, fashion
    )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights", type=Path, default=FOLDER / "backbone.weights.h5")
    options = parser.parse_args()
    data, fashion = (read("train"), read("val")), (read_fashion("train"), read_fashion("t10k"))
    runs = [measure(seed, data, fashion, options.weights) for seed in range(options.seeds)]
    print(
        f"| mean (lowest-highest) of {options.seeds} seeds | train accuracy | accuracy on "
        "held-back pictures |"
    )
    print("|---|---|---|")
    for name in runs[0]:
        columns = np.array([run[name] for run in runs]).T
        print(
            f"| {name} | "
            + " | ".join(f"{c.mean():.3f} ({c.min():.3f}-{c.max():.3f})" for c in columns)
            + " |"
        )


if __name__ == "__main__":
    main()
