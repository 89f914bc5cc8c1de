"""CutMix against its peers: a batch in a graph and in `tf.data`, tracing, a new epoch, and how right the labels are.

Peers: a plain copy of the batch (no mixing can be faster), a loop over the batch with slices
and concatenation (as the course's notes wrote it, mended), `keras.layers.CutMix`, and
torchvision, timm and kornia where they are installed. Every function of a group runs in turn,
many times. Ratios of medians are what counts: they hold on a busy machine, and those of
processor time best.
"""

import math
import sys
from statistics import median

# First: it quiets TensorFlow.
from timing import (
    Table,
    Timing,
    arguments,
    claim,
    interleaved,
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
    images = rng.integers(0, 256, (count, size, size, 3)).astype(dtype)
    return tf.constant(images), tf.one_hot(rng.integers(0, CLASSES, count), CLASSES)


def copy(images, labels):
    return tf.raw_ops.DeepCopy(x=images), labels


def ours(images, labels):
    return cutmix(images, labels, SEED)


def loop(images, labels):
    """One image after the other, unrolled into the graph: the notes' steps, in working order. Their coin is kept, and
    always falls on mixing, so that all peers do the same work."""
    count, height, width, _ = images.shape
    mixed_images, mixed_labels = [], []
    for own in range(count):
        mixes = tf.cast(tf.random.uniform([]) >= 0.0, tf.int32)
        other = tf.random.uniform([], 0, count, tf.int32)
        ratio = tf.sqrt(1 - tf.random.uniform([]))
        cut_height, cut_width = (
            tf.cast(height * ratio, tf.int32) * mixes,
            tf.cast(width * ratio, tf.int32) * mixes,
        )
        y = tf.random.uniform([], height // 8, height * 7 // 8, tf.int32)
        x = tf.random.uniform([], width // 8, width * 7 // 8, tf.int32)
        top, bottom = (
            tf.clip_by_value(y + side * (cut_height // 2), 0, height) for side in (-1, 1)
        )
        left, right = (
            tf.clip_by_value(x + side * (cut_width // 2), 0, width) for side in (-1, 1)
        )
        before, after = images[own, top:bottom, :left, :], images[own, top:bottom, right:, :]
        band = tf.concat([before, images[other, top:bottom, left:right, :], after], axis=1)
        rows = tf.concat([images[own, :top, :, :], band, images[own, bottom:, :, :]], axis=0)
        share = tf.cast((right - left) * (bottom - top) / (width * height), tf.float32)
        mixed_images.append(rows)
        mixed_labels.append((1 - share) * labels[own] + share * labels[other])
    return tf.reshape(tf.stack(mixed_images), images.shape), tf.reshape(
        tf.stack(mixed_labels), labels.shape
    )


def keras_layer():
    layer = keras.layers.CutMix(seed=7)

    def mix(images, labels):
        mixed = layer({"images": images, "labels": labels}, training=True)
        return mixed["images"], mixed["labels"]

    return mix


def torch_peers():
    """Peers on PyTorch tensors, [batch, channels, height, width] and integer labels, of the packages found."""
    peers = {}
    # Its compiler and TensorFlow's do not bear each other in one process.
    sys.modules.setdefault("triton", None)
    try:
        import torch
    except ImportError:
        return peers
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    try:
        from torchvision.transforms import v2

        peers["torchvision (one box a batch)"] = lambda images, labels, classes: v2.CutMix(
            num_classes=classes
        )(images, labels)
    except ImportError:
        pass
    try:
        from timm.data import Mixup

        def timm(images, labels, classes):
            mix = Mixup(0.0, 1.0, mode="elem", label_smoothing=0.0, num_classes=classes)
            return mix(images.clone(), labels)  # it mixes in place

        peers["timm (per element)"] = timm
    except ImportError:
        pass
    try:
        from kornia.augmentation import RandomCutMixV2

        def kornia(images, labels, classes):
            mixed, soft = RandomCutMixV2(p=1.0, data_keys=["input", "class"])(
                images.float(), labels
            )
            own, other, share = soft[
                0
            ].T  # kornia returns both classes and the partner's share, for each image
            weights = torch.zeros(len(labels), classes)
            rows = torch.arange(len(labels))
            weights[rows, own.long()] += 1 - share
            weights[rows, other.long()] += share
            return mixed, weights

        peers["kornia"] = kornia
    except ImportError:
        pass
    return peers


def label_error(mix, size=33, count=16, rounds=5):
    """Worst difference between a label's weight and the share of pixels that came from that image."""
    numbers = np.arange(count, dtype="float32")
    images = np.broadcast_to(numbers.reshape(-1, 1, 1, 1), (count, size, size, 3))
    worst = 0.0
    for _ in range(rounds):
        mixed, labels = (
            np.asarray(part) for part in mix(images, np.eye(count, dtype="float32"))
        )
        counted = np.stack(
            [(np.round(mixed) == number).mean(axis=(1, 2, 3)) for number in numbers], axis=1
        )
        worst = max(worst, float(np.abs(labels - counted).max()))
    return worst


def label_errors():
    random = tf.random.Generator.from_seed(1)
    keras_mix = keras_layer()
    peers = {
        "ours": lambda images, labels: cutmix(
            images, labels, random.uniform_full_int([2], tf.int32)
        ),
        "loop": lambda images, labels: loop(tf.constant(images), tf.constant(labels)),
        "keras.layers.CutMix": lambda images, labels: keras_mix(
            tf.constant(images), tf.constant(labels)
        ),
    }
    for name, peer in torch_peers().items():
        peers[name] = from_torch(peer)
    return {name: label_error(mix) for name, mix in peers.items()}


def from_torch(peer):
    """A PyTorch peer that takes and gives NumPy batches, channels last."""
    import torch

    def mix(images, labels):
        batch = torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        mixed, soft = peer(batch, torch.tensor(labels.argmax(1)), labels.shape[1])
        return mixed.permute(0, 2, 3, 1).numpy(), soft.numpy()

    return mix


def trace(functions, shape, dtype):
    """Trace each at a shape that is new to it: what has been traced once, inner functions too, is kept."""
    specs = tf.TensorSpec(shape, dtype), tf.TensorSpec([shape[0], CLASSES], tf.float32)
    return {
        name: timed(lambda f=f: tf.function(f).get_concrete_function(*specs))
        for name, f in functions.items()
    }


def in_graph(count, size, dtype, repeats):
    """A batch in a graph; and tracing it: what Python does once for each shape, before anything is compiled."""
    images, labels = batch_of(count, size, dtype)
    functions = {"copy": copy, "ours": ours, "loop": loop, "keras.layers.CutMix": keras_layer()}
    graphs = {name: tf.function(function) for name, function in functions.items()}
    tracings = [
        trace(functions, [count, size + more, size + more, 3], dtype) for more in (1, 2, 3)
    ]
    tracing = {
        name: Timing(*map(median, zip(*(each[name] for each in tracings))))
        for name in functions
    }
    calls = {name: lambda graph=graph: graph(images, labels) for name, graph in graphs.items()}
    first = {name: timed(call) for name, call in calls.items()}
    if peers := torch_peers():
        import torch

        batch = torch.tensor(images.numpy().transpose(0, 3, 1, 2).copy())
        target = torch.tensor(labels.numpy().argmax(1))
        calls |= {
            name: lambda peer=peer: peer(batch, target, CLASSES) for name, peer in peers.items()
        }
    return interleaved(calls, repeats), tracing, first


def fused(count, size, repeats):
    """Bytes to floats in [0, 1]: the cast alone, plain and compiled; CutMix and then the cast; both in one pass."""
    images, labels = batch_of(count, size, "uint8")

    def cast(images, labels):
        return tf.cast(images, tf.float32) * (1 / 255), labels

    cast_compiled = tf.function(cast, jit_compile=True)
    functions = {
        "cast": tf.function(cast),
        "cast, compiled": tf.function(cast_compiled),
        "ours, then cast, compiled": tf.function(
            lambda images, labels: cast_compiled(*ours(images, labels))
        ),
        "ours with cast": tf.function(
            lambda images, labels: cutmix(images, labels, SEED, scale=1 / 255)
        ),
    }
    return interleaved(
        {name: lambda call=call: call(images, labels) for name, call in functions.items()},
        repeats,
    )


def in_pipeline(count, size, dtype, repeats):
    """A batch from a `tf.data` pipeline; and a new epoch of it, up to its first batch."""
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
    mapped = {name: dataset.map(mix) for name, mix in mixes.items()}
    iterators = {name: iter(each) for name, each in mapped.items()}
    steady = interleaved(
        {name: lambda each=each: next(each) for name, each in iterators.items()}, repeats
    )
    epoch = interleaved(
        {name: lambda each=each: next(iter(each)) for name, each in mapped.items()}, 2
    )
    return steady, epoch


def main():
    options = arguments(__doc__.splitlines()[0])
    table, claims = Table(), []
    in_graph(2, 16, "float16", 1)  # whatever is done once in a process is done here
    for dtype, of_copy, of_keras in (("float32", 1.4, 7), ("uint8", 1.7, 13)):
        for count in options.batch:
            what = f"{count} x {options.size} x {options.size} x 3, {dtype}"
            steady, tracing, first = in_graph(count, options.size, dtype, options.repeats)
            table.show(f"in a graph, {what}", steady, "copy")
            table.show(f"tracing the graph, {what}", tracing, "ours")
            table.show(f"its first call, tracing included, {what}", first, "ours")
            wall = {name: timing.wall for name, timing in steady.items()}
            claims += [
                claim(
                    f"in a graph, {what}: ours / copy",
                    wall["ours"] / wall["copy"],
                    at_most=of_copy,
                ),
                claim(
                    f"in a graph, {what}: Keras / ours",
                    wall["keras.layers.CutMix"] / wall["ours"],
                    at_least=of_keras,
                ),
                claim(
                    f"in a graph, {what}: loop / ours",
                    wall["loop"] / wall["ours"],
                    at_least=2.5,
                ),
                claim(
                    f"tracing, {what}: loop / ours",
                    tracing["loop"].cpu / tracing["ours"].cpu,
                    at_least=20,
                ),
            ]
            steady, epoch = in_pipeline(count, options.size, dtype, options.repeats)
            table.show(f"in tf.data, {what}", steady, "copy")
            table.show(f"a new epoch's first batch, {what}", epoch, "ours")
    for count in options.batch:
        what = f"{count} x {options.size} x {options.size} x 3"
        timings = fused(count, options.size, options.repeats)
        table.show(f"bytes to floats, {what}", timings, "cast")
        for cast in ("cast", "cast, compiled"):
            ratio = timings["ours with cast"].wall / timings[cast].wall
            claims.append(
                claim(f"bytes to floats, {what}: ours with cast / {cast}", ratio, at_most=1.15)
            )
    print("\nworst difference between a label's weight and the share of pixels, 33 x 33")
    for name, error in label_errors().items():
        print(f"  {name:32s}{error:10.1e}")
        table.rows.append({"group": "label error", "name": name, "error": error})
        if name == "ours":
            claims.append(claim("worst label error of ours", error, at_most=math.ldexp(1, -23)))
    report(table.rows, options, claims)


if __name__ == "__main__":
    main()
