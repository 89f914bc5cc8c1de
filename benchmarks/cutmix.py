"""CutMix against its peers: a batch in a graph and in `tf.data`, tracing, and label errors.

Peers: a plain copy of the batch (no mixing can be faster), a loop over the batch with slices
and concatenation, and `keras.layers.CutMix`. Every function of a group runs in turn, many
times. Ratios of medians are what counts: they hold on a busy machine, and those of processor
time best.
"""

import math
from functools import partial

# First: it quiets TensorFlow.
from timing import (
    Table,
    arguments,
    claim,
    interleaved,
    median,
    report,
    timed,
)

# isort: split
import keras
import numpy as np
import tensorflow as tf

from helpers.cutmix import CutMix, cutmix

CLASSES = 10
SEED = tf.constant([7, 11])


def batch_of(count, size, dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 3))
    labels = rng.integers(0, CLASSES, count)
    return tf.cast(images, dtype), tf.one_hot(labels, CLASSES)


def copy(images, labels):
    return tf.raw_ops.DeepCopy(x=images), labels


def ours(images, labels):
    return cutmix(images, labels, SEED)


def ours_then_cast(images, labels):
    images, labels = ours(images, labels)
    return tf.cast(images, "float32") / 255, labels


def span(size, ratio):
    """The first row or column of a random box, and the one after its last."""
    half = tf.cast(size * ratio, "int32") // 2
    centre = tf.random.uniform(
        [],
        maxval=size,
        dtype="int32",
    )
    first = tf.maximum(centre - half, 0)
    last = tf.minimum(centre + half, size)
    return first, last


def loop(images, labels):
    """One image after the other, unrolled into the graph."""
    count, height, width, _ = images.shape
    mixed_images = []
    mixed_labels = []
    for own in range(count):
        other = tf.random.uniform(
            [],
            maxval=count,
            dtype="int32",
        )
        ratio = tf.sqrt(1 - tf.random.uniform([]))
        top, bottom = span(height, ratio)
        left, right = span(width, ratio)
        band = tf.concat(
            [
                images[own, top:bottom, :left],
                images[other, top:bottom, left:right],
                images[own, top:bottom, right:],
            ],
            axis=1,
        )
        rows = tf.concat(
            [
                images[own, :top],
                band,
                images[own, bottom:],
            ],
            axis=0,
        )
        area = tf.cast((right - left) * (bottom - top), "float32")
        share = area / (width * height)
        mixed_images.append(tf.ensure_shape(rows, images.shape[1:]))
        mixed_labels.append((1 - share) * labels[own] + share * labels[other])
    return tf.stack(mixed_images), tf.stack(mixed_labels)


def keras_layer():
    layer = keras.layers.CutMix(seed=7)

    def mix(images, labels):
        batch = {"images": images, "labels": labels}
        mixed = layer(batch, training=True)
        return mixed["images"], mixed["labels"]

    return mix


def label_error(mix, size=33, count=16, rounds=5):
    """Worst difference between a label's weight and the share of pixels from that image."""
    numbers = tf.range(count, dtype="float32")
    images = tf.broadcast_to(numbers[:, None, None, None], [count, size, size, 3])
    worst = 0.0
    for _ in range(rounds):
        mixed, labels = mix(images, tf.eye(count))
        sources = np.round(mixed)
        for number in range(count):
            counted = np.mean(sources == number, axis=(1, 2, 3))
            errors = np.abs(labels[:, number] - counted)
            worst = max(worst, float(errors.max()))
    return worst


def label_errors():
    random = tf.random.Generator.from_seed(1)

    def ours_anew(images, labels):
        return cutmix(images, labels, random.uniform_full_int([2], "int32"))

    peers = {
        "ours": ours_anew,
        "loop": loop,
        "keras.layers.CutMix": keras_layer(),
    }
    return {name: label_error(mix) for name, mix in peers.items()}


def trace(function, count, size, dtype):
    """Time tracing at three sizes that are new: what has been traced once is kept."""
    timings = []
    for more in (1, 2, 3):
        images = tf.TensorSpec([count, size + more, size + more, 3], dtype)
        labels = tf.TensorSpec([count, CLASSES])
        graph = tf.function(function)
        timings.append(timed(partial(graph.get_concrete_function, images, labels)))
    return median(timings)


def in_graph(count, size, dtype, repeats):
    """Time tracing, the first call, and then a batch in a graph."""
    images, labels = batch_of(count, size, dtype)
    functions = {
        "copy": copy,
        "ours": ours,
        "ours, then cast to [0, 1]": ours_then_cast,
        "loop": loop,
        "keras.layers.CutMix": keras_layer(),
    }
    tracing = {}
    first = {}
    calls = {}
    for name, function in functions.items():
        tracing[name] = trace(function, count, size, dtype)
        graph = tf.function(function)
        calls[name] = partial(graph, images, labels)
        first[name] = timed(calls[name])
    return interleaved(calls, repeats), tracing, first


def in_pipeline(count, size, dtype, repeats):
    """Time a batch from a `tf.data` pipeline, and a new epoch of it up to its first batch."""
    dataset = tf.data.Dataset.from_tensors(batch_of(count, size, dtype)).repeat()
    alone = tf.data.Options()  # no batch is made ahead of time, while another's is being timed
    alone.autotune.enabled = False
    alone.experimental_optimization.inject_prefetch = False
    dataset = dataset.with_options(alone)
    mixes = {
        "copy": copy,
        "ours": CutMix(seed=7),
        "loop": loop,
        "keras.layers.CutMix": keras_layer(),
    }
    batches = {}
    epochs = {}
    for name, mix in mixes.items():
        mapped = dataset.map(mix)
        iterator = iter(mapped)
        batches[name] = partial(next, iterator)
        epochs[name] = lambda mapped=mapped: next(iter(mapped))
    return interleaved(batches, repeats), interleaved(epochs, 2)


def measure(table, count, dtype, of_copy, of_keras, options):
    """Show one dtype and batch size, and return what is claimed of it."""
    what = f"{count} x {options.size} x {options.size} x 3, {dtype}"
    setting = (count, options.size, dtype, options.repeats)
    steady, tracing, first = in_graph(*setting)
    table.show(f"in a graph, {what}", steady, "copy")
    table.show(f"tracing the graph, {what}", tracing, "ours")
    table.show(f"its first call, tracing included, {what}", first, "ours")
    batches, epochs = in_pipeline(*setting)
    table.show(f"in tf.data, {what}", batches, "copy")
    table.show(f"a new epoch's first batch, {what}", epochs, "ours")

    ours = steady["ours"].wall
    return [
        claim(
            f"in a graph, {what}: ours / copy",
            ours / steady["copy"].wall,
            at_most=of_copy,
        ),
        claim(
            f"in a graph, {what}: Keras / ours",
            steady["keras.layers.CutMix"].wall / ours,
            at_least=of_keras,
        ),
        claim(
            f"in a graph, {what}: loop / ours",
            steady["loop"].wall / ours,
            at_least=2.5,
        ),
        claim(
            f"tracing, {what}: loop / ours",
            tracing["loop"].cpu / tracing["ours"].cpu,
            at_least=10,
        ),
    ]


def main():
    options = arguments(__doc__.splitlines()[0])
    table = Table()
    claims = []
    in_graph(2, 16, "float16", 1)  # whatever is done once in a process is done here
    for dtype, of_keras in (("float32", 7), ("uint8", 13)):
        for count in options.batch:
            claims += measure(table, count, dtype, 1.4, of_keras, options)
    print("\nworst difference between a label's weight and the share of pixels, 33 x 33")
    errors = label_errors()
    for name, error in errors.items():
        print(f"  {name:32s}{error:10.1e}")
        table.rows.append({"group": "label error", "name": name, "error": error})
    rounding = math.ldexp(1, -23)
    claims.append(claim("worst label error of ours", errors["ours"], at_most=rounding))
    report(table.rows, options, claims)


if __name__ == "__main__":
    main()
