"""The one affine transform against three Keras layers in a row, and TensorFlow's transform.

All turn, zoom and mirror the same batch at random. Every function runs in turn, many times;
ratios of medians within one run hold on a busy machine, and those of processor time best. Also:
that the fast transform is right.
"""

from functools import partial

# First: it quiets TensorFlow.
from timing import (
    Table,
    arguments,
    claim,
    interleaved,
    report,
)

# isort: split
import keras
import numpy as np
import tensorflow as tf

from helpers.augment import RandomAffine, warp

SEED = tf.constant([7, 11])
AUGMENTATION = RandomAffine(rotation=0.1, zoom=0.1)


def own_transform(images):
    """The same random maps through TensorFlow's own operation."""
    count, height, width, _ = images.shape
    maps = AUGMENTATION.sample(images, SEED)
    rows = tf.reshape(maps, [count, 6])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([rows, tf.zeros([count, 2])], axis=1),
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def layer_in_training(layer):
    return lambda images: layer(images, training=True)


def compare(images, repeats):
    stack = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.1),
            keras.layers.RandomZoom(0.1),
        ]
    )
    functions = {
        "copy": lambda images: tf.raw_ops.DeepCopy(x=images),
        "one affine": lambda images: AUGMENTATION.change(images, SEED),
        "three Keras layers": layer_in_training(stack),
        "TensorFlow's transform": own_transform,
    }
    for layer in stack.layers:
        name = f"keras.layers.{type(layer).__name__}"
        functions[name] = layer_in_training(layer)
    calls = {}
    for name, function in functions.items():
        graph = tf.function(function, autograph=False)
        calls[name] = partial(graph, images)
    return interleaved(calls, repeats)


def main():
    options = arguments(__doc__.splitlines()[0])
    keras.utils.set_random_seed(0)
    table = Table()
    claims = []
    rng = np.random.default_rng(0)
    for dtype in ("float32", "uint8"):
        for count in options.batch:
            shape = (count, options.size, options.size, 3)
            images = tf.cast(rng.integers(0, 256, shape), dtype)
            timings = compare(images, options.repeats)
            what = f"{count} x {options.size} x {options.size} x 3, {dtype}"
            table.show(f"one image of {what}", timings, "one affine", per=count)
            ratio = timings["three Keras layers"].wall / timings["one affine"].wall
            text = f"{what}: three Keras layers / one affine"
            claims.append(claim(text, ratio, at_least=8))

    images = tf.cast(images, "float32")
    ours = warp(images, AUGMENTATION.sample(images, SEED))
    error = float(tf.reduce_max(tf.abs(ours - own_transform(images))))
    text = "worst difference from TensorFlow's transform, of noise in 0 ... 255"
    print(f"\n{text}: {error:.1e}")
    row = {
        "group": "error",
        "name": "one affine",
        "error": error,
    }
    table.rows.append(row)
    claims.append(claim(text, error, at_most=0.05))
    report(table.rows, options, claims)


if __name__ == "__main__":
    main()
