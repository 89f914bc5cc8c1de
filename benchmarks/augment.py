"""The one affine transform against three Keras layers in a row, and against TensorFlow's own transform.

All turn, zoom and mirror the same batch at random. Every function runs in turn, many times;
ratios of medians within one run hold on a busy machine, and those of processor time best. Also:
that the fast transform is right.
"""

from timing import Table, arguments, claim, interleaved, report  # first: it quiets TensorFlow

# isort: split
import keras
import numpy as np
import tensorflow as tf

from helpers.augment import keras_stack, random_affine, random_flip, sample_affines, warp

SEED = tf.constant([7, 11])


def own_transform(images, seed=SEED):
    """The same random maps through TensorFlow's own operation."""
    count, height, width, _ = images.shape
    rows = tf.reshape(sample_affines(count, height, width, seed), [count, 6])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.concat([rows, tf.zeros([count, 2])], axis=1), output_shape=[height, width],
        interpolation="BILINEAR", fill_mode="REFLECT", fill_value=0.0,
    )  # fmt: skip


def compare(images, repeats):
    stack = keras_stack()
    functions = {
        "copy": lambda images: tf.raw_ops.DeepCopy(x=images),
        "one affine": lambda images: random_affine(images, SEED),
        "three Keras layers": lambda images: stack(images, training=True),
        "TensorFlow's transform": own_transform,
        "random flip by tf.where": lambda images: random_flip(images, SEED),
    }
    for layer in stack.layers:
        functions[f"keras.layers.{type(layer).__name__}"] = lambda images, layer=layer: layer(
            images, training=True
        )
    graphs = {
        name: tf.function(function, autograph=False) for name, function in functions.items()
    }
    return interleaved(
        {name: lambda graph=graph: graph(images) for name, graph in graphs.items()}, repeats
    )


def main():
    options = arguments(__doc__.splitlines()[0])
    keras.utils.set_random_seed(0)
    table, claims = Table(), []
    rng = np.random.default_rng(0)
    for dtype in ("float32", "uint8"):
        for count in options.batch:
            images = tf.constant(
                rng.integers(0, 256, (count, options.size, options.size, 3)).astype(dtype)
            )
            timings = compare(images, options.repeats)
            what = f"{count} x {options.size} x {options.size} x 3, {dtype}"
            table.show(f"one image of {what}", timings, "one affine", per=count)
            ratio = timings["three Keras layers"].wall / timings["one affine"].wall
            claims.append(claim(f"{what}: three Keras layers / one affine", ratio, at_least=8))
    maps = sample_affines(count, options.size, options.size, SEED)
    images = tf.cast(images, tf.float32)
    error = float(tf.reduce_max(tf.abs(warp(images, maps) - own_transform(images))))
    print(f"\nworst difference from TensorFlow's transform, of noise in 0 ... 255: {error:.1e}")
    table.rows.append({"group": "error", "name": "one affine", "error": error})
    claims.append(
        claim("worst difference from TensorFlow's transform, in 255", error, at_most=0.05)
    )
    report(table.rows, options, claims)


if __name__ == "__main__":
    main()
