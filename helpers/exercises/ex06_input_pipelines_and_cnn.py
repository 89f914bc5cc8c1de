"""The exercises of notebook 06."""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers.checking.engine import Exercise
from helpers.checking.pipelines import runs_ahead, three_epochs, without_optimizations

NOTEBOOK = "06_input_pipelines_and_cnn"


# Exercise 1


def load_split(folder, size, proportion, seed):
    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        batch_size=8,
        image_size=(size, size),
        seed=seed,
        validation_split=proportion,
        subset="both",
        crop_to_aspect_ratio=True,
    )


@cache
def images():
    """Return 15 PNG files, twice as wide as high.

    They hold 250 at both sides, and 10, 20, 30 ... in the middle.
    """
    made = np.full((15, 8, 16, 3), 250, "uint8")
    made[:, :, 4:12] = 10 * np.arange(1, 16)[:, None, None, None]
    return [tf.io.encode_png(image).numpy() for image in made]


def make_folder(folder):
    """Write the images into folders of 3 classes."""
    for number, image in enumerate(images()):
        file = Path(folder, f"class_{number // 5}", f"{number:02}.png")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(image)


def joined(batches):
    """Return the images of some batches, their numbers, and their labels."""
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, np.round(images[:, 4, 4, 0] / 10).astype(int).tolist(), labels


def class_of(number):
    return (number - 1) // 5


def observe_split(answer):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        make_folder(folder)
        parts = answer(folder, 8, 0.4, 7)
        are_datasets = isinstance(parts, tuple | list) and all(
            isinstance(part, tf.data.Dataset) for part in parts
        )
        yield "how many datasets come back", len(parts) if are_datasets else None
        if not are_datasets:
            return
        train, val = (
            three_epochs(without_optimizations(part.repeat(3)).as_numpy_iterator())
            for part in parts
        )
        images, numbers, labels = joined(train[0])
        _, held, held_labels = joined(val[0])
        yield "the shape of one image", images.shape[1:]
        sizes = [len(labels) for _, labels in train[0]]
        yield "the sizes of the training batches", sizes
        sizes = [len(labels) for _, labels in val[0]]
        yield "the sizes of the validation batches", sizes
        yield "the shape of all training labels", labels.shape
        if labels.ndim == 2:
            found = [*labels.argmax(1), *held_labels.argmax(1)]
            wanted = [class_of(number) for number in numbers + held]
            yield "whether each label fits its folder", found == wanted
        has_bars = bool((images[:, 0] == 0).all())
        yield "whether there are black bars", has_bars
        shows_both_sides = bool((images[:, 4, 0] > 240).all())
        yield "whether an image was squeezed", shows_both_sides and not has_bars
        yield "how many images are in both parts", len(set(numbers) & set(held))
        held_classes = {class_of(number) for number in held}
        yield "whether there are several classes to validate with", len(held_classes) > 1
        _, second, _ = joined(train[1])
        _, third, _ = joined(train[2])
        yield "whether the training order is new in each epoch", second != third
        orders = [joined(epoch)[1] for epoch in val]
        yield (
            "whether the validation order is always the same",
            orders[0] == orders[1] == orders[2],
        )


split = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="A split without overlap",
    objective=(
        "turn a folder of classes into two datasets, and predict what each argument changes"
    ),
    reference=load_split,
    observe=observe_split,
    hints=(
        "One call can return both parts. The table of section 2 has a row for each demand.",
        "Look at `subset`, `label_mode` and `crop_to_aspect_ratio`. You need not set "
        "`shuffle`.",
        '`subset="both"` shuffles the files once, with `seed`, and shuffles only the training '
        "part later.",
    ),
)


def loader(**changes):
    """Return an answer that differs from the reference in the arguments given."""

    def answer(folder, size, proportion, seed):
        usual = {
            "label_mode": "categorical",
            "batch_size": 8,
            "image_size": (size, size),
            "seed": seed,
            "validation_split": proportion,
            "subset": "both",
            "crop_to_aspect_ratio": True,
        }
        return keras.utils.image_dataset_from_directory(folder, **usual | changes)

    return answer


@split.right
def encoded_later(folder, size, proportion, seed):
    parts = loader(batch_size=None, label_mode="int")(folder, size, proportion, seed)
    count = len(parts[0].class_names)
    return [
        part.map(lambda image, label: (image, tf.one_hot(label, count))).batch(8)
        for part in parts
    ]


split.wrong(
    "The flowers are too narrow: their images were wider than high. Which argument keeps the "
    "proportions?",
    "stretched",
)(loader(crop_to_aspect_ratio=False))
split.wrong(
    "Your labels are whole numbers, which is the default. Which `label_mode` gives one-hot "
    "rows?",
    "whole numbers for labels",
)(loader(label_mode="int"))
split.wrong(
    "Nothing is shuffled, so the validation part holds the last classes of the alphabet. "
    "Print its labels.",
    "not shuffled",
)(loader(shuffle=False))


@split.wrong(
    "Some images are in both parts. Two calls cut the list at the same place only if it "
    "was shuffled with the same seed."
)
def two_seeds(folder, size, proportion, seed):
    train = loader(subset="training")(folder, size, proportion, seed)
    return train, loader(subset="validation")(folder, size, proportion, seed + 1)


@split.wrong(
    "The parts are right, but the validation images come in a new order each time. Two "
    "calls shuffle both parts; which `subset` does not?"
)
def validation_shuffled(folder, size, proportion, seed):
    return tuple(
        loader(subset=subset)(folder, size, proportion, seed)
        for subset in ("training", "validation")
    )


# Exercise 2


def epoch_seconds(read, train, batches, prefetch):
    if not prefetch:
        return batches * (read + train)
    return read + (batches - 1) * max(read, train) + train


def observe_epoch(answer):
    cases = [
        (0.03, 0.03, 7, False),
        (0.03, 0.03, 7, True),
        (0.02, 0.05, 10, True),
        (0.05, 0.02, 10, True),
        (0.05, 0.02, 10, False),
        (0.2, 0.1, 1, True),
    ]
    for read, train, batches, prefetch in cases:
        how = "with" if prefetch else "without"
        asked = f"read {read}, train {train}, {batches} batches, {how} prefetch"
        yield asked, answer(read, train, batches, prefetch)


epoch = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="How long is an epoch?",
    objective="calculate how long an epoch takes, with and without `prefetch`",
    reference=epoch_seconds,
    observe=observe_epoch,
    hints=(
        "Count the pieces in the figure, from left to right, once for each part of it.",
        "With prefetch: what happens before anything can be trained on, and what after the "
        "last batch is read?",
        "In between, each round ends when the slower of the two is done: `max(read, train)`.",
    ),
)


@epoch.right
def by_clock(read, train, batches, prefetch):
    read_at = trained_at = 0.0
    for _ in range(batches):
        read_at = (read_at if prefetch else trained_at) + read
        trained_at = max(read_at, trained_at) + train
    return trained_at


def with_prefetch(seconds):
    """Return an answer that is right without prefetch, and uses the rule given with it."""

    def answer(read, train, batches, prefetch):
        return seconds(read, train, batches) if prefetch else batches * (read + train)

    return answer


epoch.wrong(
    "You forgot the two ends. The first batch is read before the training begins. The last "
    "batch is trained on after all reading has ended.",
    "the ends forgotten",
)(with_prefetch(lambda read, train, batches: batches * max(read, train)))
epoch.wrong(
    "You took the training time for each piece in the middle. If reading takes longer than "
    "training, how long is such a piece?",
    "reading is always hidden",
)(with_prefetch(lambda read, train, batches: read + batches * train))
epoch.wrong(
    "Yours is the same with and without prefetch. Look at the lower part of the figure: how "
    "many pieces long is it?",
    "prefetch changes nothing",
)(with_prefetch(lambda read, train, batches: batches * (read + train)))


@epoch.wrong(
    "You overlap the two also without prefetch. Look at the upper part: is anything read "
    "while it trains?"
)
def always_overlapping(read, train, batches, prefetch):
    return epoch_seconds(read, train, batches, True)


# Exercise 3


def tuned(files, read, vary, batch_size):
    images = files.map(read, num_parallel_calls=tf.data.AUTOTUNE).cache()
    varied = images.shuffle(len(files)).map(vary, num_parallel_calls=tf.data.AUTOTUNE)
    return varied.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def observe_order(answer):
    files_read = []
    changes = []

    def read_one(number):
        files_read.append(int(number))
        return np.float32(number)

    def change_one(image):
        changes.append(1)
        return np.float32(image + len(changes) / 10_000)

    def read(number):
        image = tf.numpy_function(read_one, [number], tf.float32, stateful=False)
        return tf.ensure_shape(image, ()), number

    def vary(image, label):
        changed = tf.numpy_function(change_one, [image], tf.float32, stateful=False)
        return tf.ensure_shape(changed, ()), label

    dataset = answer(tf.data.Dataset.range(44), read, vary, 8)
    yield "whether a dataset comes back", isinstance(dataset, tf.data.Dataset)
    if not isinstance(dataset, tf.data.Dataset):
        return
    iterator = without_optimizations(dataset.repeat(3)).as_numpy_iterator()
    first = next(iterator)
    ahead = runs_ahead(changes, 8)
    epochs = three_epochs([first, *iterator])
    yield "the sizes of the batches, sorted", sorted(len(labels) for _, labels in epochs[0])
    orders = [np.concatenate([labels for _, labels in epoch]).tolist() for epoch in epochs]
    yield "how many different images an epoch has", len(set(orders[0]))
    yield "how often a file was read in three epochs", len(files_read)
    yield "whether the second epoch has the order of the first", orders[0] == orders[1]
    companies = [{frozenset(labels.tolist()) for _, labels in epoch} for epoch in epochs]
    comes_again = bool(companies[0] & companies[1])
    yield "whether a batch of the first epoch comes again", comes_again
    if comes_again and orders[0] != orders[1]:
        return  # what else is seen of mixed batches is chance
    earliest = max(number - place for order in orders for place, number in enumerate(order))
    yield "whether a file can come 21 places early", earliest >= 21
    changed = [
        {
            int(label): image - label
            for images, labels in epoch
            for image, label in zip(images, labels, strict=True)
        }
        for epoch in epochs[:2]
    ]
    yield "whether the images are changed", all(change > 0 for change in changed[0].values())
    yield (
        "whether an image is changed as in the first epoch",
        any(changed[0][label] == changed[1].get(label) for label in changed[0]),
    )
    yield "whether the next batch is made while one is in use", ahead


order = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="The right order",
    objective=(
        "put the parts of an input pipeline in an order in which no image is lost and every "
        "epoch is different"
    ),
    reference=tuned,
    observe=observe_order,
    hints=(
        "What must not run twice for a file, and what must run anew in each epoch? The cache "
        "is in between.",
        "Shuffle single images, not batches, with a buffer for all of them: `len(files)` "
        "is their number.",
        "`read`, cache, shuffle, `vary`, batch, prefetch: in this order.",
    ),
)


@order.right
def with_repeat_of_single_steps(files, read, vary, batch_size):
    cached = files.map(read).cache()
    mixed = cached.map(vary).shuffle(buffer_size=1000, reshuffle_each_iteration=True)
    return mixed.batch(batch_size, drop_remainder=False).prefetch(2)


def stages(*names, buffer=None, drop_remainder=False):
    """Return an answer that puts the stages named one behind the other."""

    def answer(files, read, vary, batch_size):
        steps = {
            "read": lambda dataset: dataset.map(read),
            "vary": lambda dataset: dataset.map(vary),
            "cache": lambda dataset: dataset.cache(),
            "shuffle": lambda dataset: dataset.shuffle(buffer or len(files)),
            "batch": lambda dataset: dataset.batch(batch_size, drop_remainder),
            "prefetch": lambda dataset: dataset.prefetch(1),
        }
        dataset = files
        for name in names:
            dataset = steps[name](dataset)
        return dataset

    return answer


order.wrong(
    "Each epoch has the order of the first. Your cache keeps the first order: `shuffle` must "
    "come after it.",
    "cache after shuffle",
)(stages("read", "shuffle", "cache", "vary", "batch", "prefetch"))
order.wrong(
    "Each image is changed in the same way in all epochs: your cache keeps the changed "
    "one. What should be new must not be kept.",
    "cache after vary",
)(stages("read", "vary", "cache", "shuffle", "batch", "prefetch"))
order.wrong(
    "Your cache keeps finished batches. Their order, their images and the changes are now "
    "those of the first epoch.",
    "cache at the end",
)(stages("read", "shuffle", "vary", "batch", "cache", "prefetch"))
order.wrong(
    "You shuffled batches, not images: the same images are together in each epoch. What are "
    "the elements where you put `shuffle`?",
    "shuffle after batch",
)(stages("read", "cache", "vary", "batch", "shuffle", "prefetch"))
order.wrong(
    "Each file is read again in every epoch. Section 4 had a transformation that keeps "
    "what was read.",
    "nothing cached",
)(stages("shuffle", "read", "vary", "batch", "prefetch"))
order.wrong(
    "The last files cannot come first: the buffer of your `shuffle` is too small for that.",
    "buffer too small",
)(stages("read", "cache", "shuffle", "vary", "batch", "prefetch", buffer=8))
order.wrong(
    "The last, smaller batch is gone, and its images with it. No image may be lost.",
    "remainder dropped",
)(stages("read", "cache", "shuffle", "vary", "batch", "prefetch", drop_remainder=True))
order.wrong(
    "The order is right, but no batch is read while the network trains. One transformation is "
    "missing at the end.",
    "no prefetch",
)(stages("read", "cache", "shuffle", "vary", "batch"))
order.wrong(
    "The images come in the order of the files, class by class. A `shuffle` is missing.",
    "never shuffled",
)(stages("read", "cache", "vary", "batch", "prefetch"))


# Exercise 4


def count_parameters(size, filters, units, num_classes):
    total = 0
    channels = 3
    for count in filters:
        total += (3 * 3 * channels + 1) * count
        channels = count
        size = size // 2
    total += (size * size * channels + 1) * units
    return total + (units + 1) * num_classes


def observe_count(answer):
    yield "one block of 4 filters, 8 x 8 pixels, 10 units, 3 classes", answer(8, (4,), 10, 3)
    yield "two blocks (4, 6), 8 x 8 pixels, 10 units, 3 classes", answer(8, (4, 6), 10, 3)
    yield "two blocks (4, 6), 10 x 10 pixels, 10 units, 3 classes", answer(10, (4, 6), 10, 3)
    yield "the network of the notes", answer(180, (16, 32, 64), 128, 5)


count = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Count the parameters",
    objective="calculate the output shapes and the parameters of a CNN by hand",
    reference=count_parameters,
    observe=observe_count,
    hints=(
        "Go through the layers as the table above does, and keep two numbers: the image's "
        "width and its channels.",
        "A filter has 3 x 3 weights for each channel that comes in, and a bias. Then halve "
        "the size: 45 // 2 is 22.",
        "Flatten makes width x height x channels numbers. A dense layer has a weight for "
        "each of them and unit, and a bias for each unit.",
    ),
)


@count.right
def by_building(size, filters, units, num_classes):
    model = keras.Sequential([keras.Input((size, size, 3))])
    for number in filters:
        model.add(keras.layers.Conv2D(number, 3, padding="same"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(units))
    model.add(keras.layers.Dense(num_classes))
    return model.count_params()


def counted(
    bias=1,
    channels_in=True,
    halve=lambda size: size // 2,
    first=3,
    flatten=lambda size, count: size**2 * count,
):
    """Return an answer with one of the rules changed."""

    def answer(size, filters, units, num_classes):
        total = 0
        channels = first
        for number in filters:
            depth = channels if channels_in else 1
            total += (9 * depth + bias) * number
            channels = number
            size = halve(size)
        total += (flatten(size, channels) + bias) * units
        return total + (units + bias) * num_classes

    return answer


count.wrong("You counted no biases: every filter and every unit has one.", "no biases")(
    counted(bias=0)
)
count.wrong(
    "You gave a filter nine weights in all. It sees 3 x 3 places, and all channels at each "
    "place. How many weights are needed?",
    "kernel without channels",
)(counted(channels_in=False))
count.wrong(
    "You rounded up when you halved. Pooling takes whole windows of 2 x 2: what happens to "
    "the 45th row?",
    "halved upwards",
)(counted(halve=lambda size: math.ceil(size / 2)))
count.wrong(
    "You never made the image smaller. What does the pooling at the end of each block do "
    "to its size?",
    "pooling forgotten",
)(counted(halve=lambda size: size))
count.wrong(
    "You made the image smaller in each convolution. With `padding='same'` the size stays the "
    "same until it is pooled.",
    "convolution shrinks the image",
)(counted(halve=lambda size: (size - 2) // 2))
count.wrong(
    "You flattened the places and forgot the channels: each place holds one number for each "
    "filter of the last block.",
    "channels forgotten when flattened",
)(counted(flatten=lambda size, number: size**2))
count.wrong(
    "You began with one channel. The images are coloured: what is the last number of their "
    "shape?",
    "grey images",
)(counted(first=1))


# Exercise 5


def read_curves(history):
    best_epoch = 1 + int(np.argmin(history["val_loss"]))
    gap = history["accuracy"][-1] - history["val_accuracy"][-1]
    return best_epoch, gap


def observe_curves(answer):
    history = {
        "loss": [1.5, 1.0, 0.7, 0.4, 0.2],
        "val_loss": [1.4, 1.1, 0.9, 1.0, 1.3],
        "accuracy": [0.30, 0.55, 0.70, 0.85, 0.95],
        "val_accuracy": [0.35, 0.50, 0.58, 0.62, 0.60],
    }
    yield "a run of five epochs", answer(history)
    learns = {
        "loss": [1.5, 1.2, 1.0],
        "val_loss": [1.4, 1.1, 0.8],
        "accuracy": [0.30, 0.41, 0.52],
        "val_accuracy": [0.35, 0.48, 0.60],
    }
    yield "a run that does not overfit", answer(learns)


curves = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="Read the curves",
    objective="find overfitting in the learning curves, and measure it",
    reference=read_curves,
    observe=observe_curves,
    hints=(
        "Two of the four lists decide about each of the two numbers. Which?",
        "`np.argmin` gives a place, and places are counted from 0. A list's last entry is "
        "`[-1]`.",
    ),
)


@curves.right
def without_numpy(history):
    lowest = min(history["val_loss"])
    *_, known = history["accuracy"]
    *_, new = history["val_accuracy"]
    return [history["val_loss"].index(lowest) + 1, known - new]


@curves.wrong(
    "You counted epochs from 0, as Python does with places. The first epoch is number 1."
)
def epochs_from_0(history):
    best, gap = read_curves(history)
    return best - 1, gap


@curves.wrong(
    "You chose the epoch by the training loss. The training loss also falls while the network "
    "overfits."
)
def by_training_loss(history):
    return 1 + int(np.argmin(history["loss"])), read_curves(history)[1]


@curves.wrong(
    "You chose the epoch with the highest validation accuracy. The lowest validation loss is "
    "asked for."
)
def by_validation_accuracy(history):
    return 1 + int(np.argmax(history["val_accuracy"])), read_curves(history)[1]


@curves.wrong("Your gap has the wrong sign. It is positive if the training accuracy is higher.")
def gap_turned_round(history):
    best, gap = read_curves(history)
    return best, -gap


@curves.wrong(
    "You lost the sign. A network can also do better on new images, and then the gap "
    "is negative."
)
def gap_without_its_sign(history):
    best, gap = read_curves(history)
    return best, abs(gap)


@curves.wrong(
    "You measured the gap after the best epoch. The gap after the last epoch is asked for."
)
def gap_at_the_best_epoch(history):
    best, _ = read_curves(history)
    return best, history["accuracy"][best - 1] - history["val_accuracy"][best - 1]


@curves.wrong("You subtracted losses. The gap in accuracy is asked for.")
def gap_of_losses(history):
    return read_curves(history)[0], history["val_loss"][-1] - history["loss"][-1]
