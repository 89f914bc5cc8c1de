"""Train the bundled backbone to tell drawn things apart, none of them a flower.

Without arguments it writes `backbone.weights.h5` beside this file. The pictures come from
`things.py`, which holds the pretext task; they are drawn once, kept in memory and never
written.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from things import SIZE, THINGS, draw

FOLDER = Path(__file__).parent
CROP = 64
MARGIN = (SIZE - CROP) // 2
COUNT = 200 * len(THINGS)
HELD_BACK = COUNT // 10
BATCH = 32
EPOCHS = 40
SEED = 11


def picture(index: int) -> np.ndarray:
    """Picture number `index` of the pretext set, uint8 (72, 72, 3).

    Its class is `index` modulo the number of things.
    """
    label = index % len(THINGS)
    return draw(label, np.random.default_rng([SEED, index]))


def draw_all() -> np.ndarray:
    """Every picture of the pretext set, uint8 (6400, 72, 72, 3)."""
    with ProcessPoolExecutor() as pool:
        pictures = pool.map(picture, range(COUNT), chunksize=16)
        return np.stack(list(pictures))


def training_set(images: np.ndarray, classes: np.ndarray):
    """Batches of random crops, mirrored half of the time."""
    import tensorflow as tf

    def varied(image, label):
        image = tf.image.random_crop(image, (CROP, CROP, 3), seed=1)
        image = tf.image.random_flip_left_right(image, seed=2)
        return image, label

    dataset = tf.data.Dataset.from_tensor_slices((images, classes))
    dataset = dataset.shuffle(COUNT, seed=SEED)
    dataset = dataset.map(varied)
    dataset = dataset.batch(BATCH, drop_remainder=True)
    return dataset.prefetch(2)


def classifier(backbone):
    """The backbone under average pooling, dropout and one dense layer; gives logits."""
    from keras import Model, layers

    # In this order: every layer takes the next seed when it is made.
    pool = layers.GlobalAveragePooling2D()
    dense = layers.Dense(len(THINGS))
    dropout = layers.Dropout(0.1)
    logits = dense(dropout(pool(backbone.output)))
    return Model(backbone.input, logits)


def train(images: np.ndarray, classes: np.ndarray):
    """Train a backbone on all pictures but those held back, and return it."""
    import keras
    import tensorflow as tf

    from helpers.models import small_backbone

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    dataset = training_set(images[HELD_BACK:], classes[HELD_BACK:])
    middle = slice(MARGIN, MARGIN + CROP)
    held_back = (
        images[:HELD_BACK, middle, middle],
        classes[:HELD_BACK],
    )
    backbone = small_backbone((CROP, CROP, 3))
    model = classifier(backbone)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-4,
        decay_steps=EPOCHS * len(dataset) - 100,
        warmup_target=2e-3,
        warmup_steps=100,
        alpha=0.01,
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        dataset,
        epochs=EPOCHS,
        validation_data=held_back,
        verbose=2,
    )
    return backbone


def main(folder: Path = FOLDER) -> None:
    """Draw the pretext set, train on it, and write the weights of the backbone."""
    # First the pictures: a forked process must not inherit the threads of TensorFlow.
    images = draw_all()
    classes = np.arange(COUNT) % len(THINGS)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    backbone = train(images, classes)
    folder.mkdir(parents=True, exist_ok=True)
    backbone.save_weights(folder / "backbone.weights.h5")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=FOLDER,
        help="where to write (default: %(default)s)",
    )
    main(parser.parse_args().folder)
