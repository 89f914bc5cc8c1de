"""Train the bundled backbone to tell drawn things apart, none of them a flower.

Run with no arguments to write `backbone.weights.h5` beside this file. The pictures come from
`things.py`, which holds the pretext task; they are drawn once, kept in memory and never
written.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from things import SIZE, THINGS, draw

CROP = 64
PER_CLASS = 200
EPOCHS = 40
SEED = 11


def picture(index: int) -> np.ndarray:
    """Picture number `index` of the pretext set; its class is `index` modulo the number of things."""
    return draw(index % len(THINGS), np.random.default_rng([SEED, index]))


def main(path: Path = Path(__file__).parent / "backbone.weights.h5") -> None:
    """Draw the pretext set, train on it, and write the weights of the backbone."""
    count = PER_CLASS * len(THINGS)
    with ProcessPoolExecutor() as pool:
        images = np.stack(list(pool.map(picture, range(count), chunksize=16)))
    classes = np.arange(count) % len(THINGS)

    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import keras
    import tensorflow as tf

    from helpers.models import small_backbone

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    held = count // 10

    def varied(image, label):
        return tf.image.random_flip_left_right(
            tf.image.random_crop(image, (CROP, CROP, 3), seed=1), seed=2
        ), label

    train = tf.data.Dataset.from_tensor_slices((images[held:], classes[held:])).shuffle(
        count, seed=SEED
    )
    train = train.map(varied).batch(32, drop_remainder=True).prefetch(2)
    margin = (SIZE - CROP) // 2
    test = images[:held, margin : margin + CROP, margin : margin + CROP], classes[:held]
    backbone = small_backbone((CROP, CROP, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(backbone.output)
    outputs = keras.layers.Dense(len(THINGS))(keras.layers.Dropout(0.1)(outputs))
    model = keras.Model(backbone.input, outputs)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, EPOCHS * len(train) - 100, warmup_target=2e-3, warmup_steps=100, alpha=0.01
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train, epochs=EPOCHS, validation_data=test, verbose=2)
    backbone.save_weights(path)


if __name__ == "__main__":
    main()
