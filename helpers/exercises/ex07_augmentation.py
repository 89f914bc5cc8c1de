"""The exercises of notebook 07."""

from __future__ import annotations

import random

import keras
import numpy as np
import tensorflow as tf

from helpers.checking.engine import Exercise
from helpers.checking.pipelines import runs_ahead, three_epochs, without_optimizations

NOTEBOOK = "07_augmentation"


# Exercise 1


def only_in_training(layer, images):
    in_training = np.array(layer(images, training=True))
    in_inference = np.array(layer(images, training=False))
    acts = np.any(in_training != images)
    keeps_still = np.all(in_inference == images)
    return bool(acts and keeps_still)


class TwoModes(keras.layers.Layer):
    """Change a batch by one function in training or a plain call, by another in inference."""

    def __init__(self, on, off):
        super().__init__()
        self.on, self.off = on, off

    def call(self, images, training=True):
        return self.on(images) if training else self.off(images)


def unchanged(images):
    return images


def mirrored(images):
    return images[:, :, ::-1]


def first_mirrored(images):
    return tf.concat([mirrored(images[:1]), images[1:]], axis=0)


def last_mirrored(images):
    return tf.concat([images[:-1], mirrored(images[-1:])], axis=0)


def darkened(images):
    return images / 2


def darkened_twice(images):
    return images / 4


def observe_layers(answer):
    layers = {
        "a layer that mirrors in training, or when nothing is said": TwoModes(
            mirrored, unchanged
        ),
        "dropout, which acts in training, and not when nothing is said": (
            keras.layers.Dropout(0.5, seed=0)
        ),
        "a layer that mirrors always": TwoModes(mirrored, mirrored),
        "a layer that does nothing": TwoModes(unchanged, unchanged),
        "a layer that acts in inference only": TwoModes(unchanged, mirrored),
        "a layer that makes images darker, and in inference less so": TwoModes(
            darkened_twice, darkened
        ),
        "a layer that makes images darker in training": TwoModes(darkened, unchanged),
        "a layer that mirrors the first image of the batch, in training": TwoModes(
            first_mirrored, unchanged
        ),
        "a layer that mirrors the last image of the batch, in training": TwoModes(
            last_mirrored, unchanged
        ),
    }
    for name, layer in layers.items():
        images = np.arange(1, 97, dtype="float32").reshape(2, 4, 4, 3)
        yield name, answer(layer, images)


proof = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="A proof by counting",
    objective="prove that a layer acts in training and keeps still in inference",
    reference=only_in_training,
    observe=observe_layers,
    hints=(
        "Two calls, one for each mode. What do you compare each result with?",
        "Say `training=` in both calls: what a plain call means differs from layer to layer.",
        "`np.any(out != images)` tells whether a value changed. It must be so for one mode, "
        "and not for the other.",
    ),
)


@proof.right
def by_proportions(layer, images):
    changed = []
    for training in (True, False):
        after = np.asarray(layer(images, training=training))
        changed.append(np.mean(after != np.asarray(images)))
    return changed[0] > 0 and changed[1] == 0


def differs(out, images):
    return bool(np.any(np.array(out) != images))


def by_modes(decide, on=True, off=False, changed=differs):
    """Return an answer that calls a layer twice, with `training` as given, and decides.

    None stands for a plain call.
    """

    def call(layer, images, mode):
        if mode is None:
            return layer(images)
        return layer(images, training=mode)

    def answer(layer, images):
        changed_on = changed(call(layer, images, on), images)
        changed_off = changed(call(layer, images, off), images)
        return decide(changed_on, changed_off)

    return answer


def as_asked(on, off):
    return on and not off


def all_differ(out, images):
    return bool(np.all(np.array(out) != images))


def means_differ(out, images):
    return not np.isclose(np.mean(out), np.mean(images))


proof.wrong(
    "A layer that acts always passes, too. You have seen that it works in training; what "
    "does it do in the exam?",
    "inference not looked at",
)(by_modes(lambda on, off: on))
proof.wrong(
    "A layer that never does anything passes. It keeps still in the exam, but does it act in "
    "training?",
    "training not looked at",
)(by_modes(lambda on, off: not off))
proof.wrong(
    "You took a plain call for inference. Keras' augmentation layers act in a plain call: "
    "say which mode you mean.",
    "forgot training=False",
)(by_modes(as_asked, off=None))
proof.wrong(
    "You took a plain call for training. Dropout does nothing in a plain call: say which "
    "mode you mean.",
    "forgot training=True",
)(by_modes(as_asked, on=None))
proof.wrong(
    "The modes are swapped: a layer that acts in the exam only passes yours. Which result "
    "must differ from the images?",
    "modes swapped",
)(by_modes(as_asked, on=False, off=True))
proof.wrong(
    "You asked for every value to change. A layer that mirrors one image of the batch and "
    "leaves the rest acts, too.",
    "all values must change",
)(by_modes(as_asked, changed=all_differ))
proof.wrong(
    "You compared sums or means. A mirror moves every pixel and changes neither: compare "
    "value by value.",
    "means compared",
)(by_modes(as_asked, changed=means_differ))
proof.wrong(
    "You looked at the first image of the batch only. Chance may leave one as it was: count "
    "over all of them.",
    "first image only",
)(by_modes(as_asked, changed=lambda out, images: differs(out[0], images[0])))


@proof.wrong(
    "You compared the two results with each other. They may differ and both be changed: "
    "compare each with the images."
)
def modes_compared_with_each_other(layer, images):
    return differs(layer(images, training=True), np.array(layer(images, training=False)))


# Exercise 2


def crop_and_flip(image, size, seed):
    window = tf.image.stateless_random_crop(image, (size, size, 3), seed)
    return tf.image.stateless_random_flip_left_right(window, seed)


def none_some_or_all(flags):
    if all(flags):
        return "all"
    return "some" if any(flags) else "none"


def share_of(flags):
    """Put into words how many of many flags are set."""
    if none_some_or_all(flags) != "some":
        return "all alike"
    return "about half" if 0.25 < np.mean(flags) < 0.75 else "not half"


def are_mirrored(crops):
    return crops[:, 0, 1, 0] < crops[:, 0, 0, 0]


def corners_of(crops):
    """Return the number of each crop's first pixel, counted row by row."""
    return crops.min(axis=(1, 2, 3))


def observe_crops(answer):
    # Every pixel holds its number, counted row by row, so it says where it was.
    numbered = tf.tile(tf.reshape(tf.range(480), (20, 24, 1)), (1, 1, 3))
    one = answer(tf.cast(numbered // 2, tf.uint8), 12, (0, 1))
    shape = getattr(one, "shape", None)
    yield "the shape of a crop with size 12", shape
    yield "the dtype of a crop of a uint8 picture", getattr(one, "dtype", None)
    if shape != (12, 12, 3):
        return
    seeds = [(0, number) for number in range(12)]
    once = np.stack([answer(numbered, 19, seed) for seed in seeds])
    again = np.stack([answer(numbered, 19, seed) for seed in seeds])
    yield "whether each row is still above the next", bool(np.all(np.diff(once, axis=1) == 24))
    steps_aside = abs(np.diff(once, axis=2))
    yield "whether pixels side by side are still side by side", bool(np.all(steps_aside == 1))
    same_windows = np.array_equal(corners_of(once), corners_of(again))
    yield "whether the same seed cuts the same window again", same_windows
    flags = are_mirrored(once).tolist()
    flags_again = are_mirrored(again).tolist()
    yield "whether the same seed mirrors the same crops again", flags == flags_again
    yield "how many of several crops are mirrored", none_some_or_all(flags + flags_again)
    first_counts = [(number, 0) for number in range(40)]
    second_counts = [(0, number) for number in range(1, 41)]
    seeds = tf.data.Dataset.from_tensor_slices(tf.constant(first_counts + second_counts))
    mapped = seeds.map(lambda seed: answer(numbered, 19, seed))
    crops = np.stack(list(without_optimizations(mapped).as_numpy_iterator()))
    yield "how many of 80 crops are mirrored inside map", share_of(are_mirrored(crops))
    rows, columns = np.divmod(corners_of(crops), 24)
    yield "the rows in which windows of 19 begin, of 20", sorted(set(rows.tolist()))
    yield "the columns in which windows of 19 begin, of 24", sorted(set(columns.tolist()))
    kinds = [len(np.unique(half, axis=0)) for half in (crops[:40], crops[40:])]
    yield "whether both numbers of the seed count", [kind > 4 for kind in kinds]


crop = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Crop and flip",
    objective=(
        "change pictures at random with `tf.image`, and get the same change again from the "
        "same seed"
    ),
    reference=crop_and_flip,
    observe=observe_crops,
    hints=(
        "Two steps, and `tf.image` has a function for each. Only functions of one kind take "
        "a seed as you got it.",
        "The names begin with `stateless_random_`. The shape of the window has three numbers.",
        "First `tf.image.stateless_random_crop`, then "
        "`tf.image.stateless_random_flip_left_right`, both with the seed.",
    ),
)


@crop.right
def by_slices(image, size, seed):
    draws = tf.random.stateless_uniform((3,), seed)
    places = tf.shape(image)[:2] - size + 1
    start = tf.cast(draws[:2] * tf.cast(places, tf.float32), tf.int32)
    top, left = start[0], start[1]
    window = image[top : top + size, left : left + size]
    if_heads = tf.where(draws[2] < 0.5, window[:, ::-1], window)
    return tf.ensure_shape(if_heads, (size, size, 3))


def cut(image, size, seed):
    return tf.image.stateless_random_crop(image, (size, size, 3), seed)


def cut_without_seed(image, size, seed):
    return tf.image.random_crop(image, (size, size, 3))


def turn(window, seed):
    return tf.image.stateless_random_flip_left_right(window, seed)


def turn_without_seed(window, seed):
    return tf.image.random_flip_left_right(window)


def steps(window=cut, mirror=turn):
    """Return an answer made of a way to cut and a way to mirror."""

    def answer(image, size, seed):
        cropped = window(image, size, seed)
        return mirror(cropped, seed)

    return answer


def resized(image, size, seed):
    smaller = tf.image.resize(image, (size, size), "nearest")
    return tf.cast(smaller, image.dtype)


def turn_by_python(window, seed):
    if random.random() < 0.5:
        return window[:, ::-1]
    return window


crop.wrong(
    "You made the whole picture smaller, by resizing. A crop takes a part of it and leaves "
    "the pixels as they are.",
    "resized",
)(steps(resized))
crop.wrong(
    "The place of your window is not decided by the seed: the function you cut with never "
    "got it.",
    "window without the seed",
)(steps(cut_without_seed))
crop.wrong(
    "The window comes again with its seed, the mirroring does not: the function you mirror "
    "with never got the seed.",
    "coin without the seed",
)(steps(mirror=turn_without_seed))
crop.wrong(
    "The seed decides nothing. These functions draw anew in each call: section 3 named their "
    "twins that take a seed.",
    "nothing gets the seed",
)(steps(cut_without_seed, turn_without_seed))
crop.wrong(
    "You tossed the coin in Python. It does not know the seed, and inside `map` it is thrown "
    "once, for all pictures.",
    "coin of Python",
)(steps(mirror=turn_by_python))
crop.wrong(
    "You wrote a seed of your own into the function. So every picture gets the same window: "
    "use the one you are given.",
    "one seed for all",
)(lambda image, size, seed: crop_and_flip(image, size, (0, 1)))
crop.wrong(
    "Some of your crops are upside down. Mirror left to right: a tulip does not hang from "
    "its stem.",
    "upside down",
)(steps(mirror=lambda window, seed: tf.image.stateless_random_flip_up_down(window, seed)))
crop.wrong(
    "All your crops are mirrored. A coin should decide: the function you took does it each "
    "time.",
    "always mirrored",
)(steps(mirror=lambda window, seed: window[:, ::-1]))
crop.wrong(
    "None of your crops is mirrored. Half of them should be, and the seed should say which.",
    "never mirrored",
)(steps(mirror=lambda window, seed: window))
crop.wrong(
    "Your window never moves: it is always the middle. That is for the exam; in training "
    "chance decides the place.",
    "central window",
)(steps(lambda image, size, seed: tf.image.resize_with_crop_or_pad(image, size, size)))
crop.wrong(
    "The crops are right, but no longer whole numbers as they came. Which step made floats "
    "of them?",
    "dtype lost",
)(lambda image, size, seed: tf.cast(crop_and_flip(image, size, seed), tf.float32))


# Exercise 3


def training_pipeline(examples, step, batch_size):
    mixed = examples.cache().shuffle(1000)
    return mixed.batch(batch_size).map(step).prefetch(tf.data.AUTOTUNE)


def observe_pipeline(answer):
    reads = []
    changes = []
    ranks = set()

    def read_one(number):
        reads.append(int(number))
        return np.full((2, 2, 3), number, "float32")

    def change(batch):
        changes.append(1)
        return batch + np.float32(len(changes) / 10_000)

    def read(number):
        picture = tf.numpy_function(read_one, [number], tf.float32, stateful=False)
        return tf.ensure_shape(picture, (2, 2, 3)), number

    def step(batch, labels):
        ranks.add(batch.shape.rank)
        changed = tf.numpy_function(change, [batch], tf.float32, stateful=False)
        return tf.ensure_shape(changed, batch.shape), labels

    dataset = answer(tf.data.Dataset.range(20).map(read), step, 4)
    yield "whether a dataset comes back", isinstance(dataset, tf.data.Dataset)
    if not isinstance(dataset, tf.data.Dataset):
        return
    iterator = without_optimizations(dataset.repeat(3)).as_numpy_iterator()
    first = next(iterator)
    ahead = runs_ahead(changes, 1)
    batches = [
        first,
        *iterator,
    ]  # to the end before anything is yielded: looking may stop there
    yield "the rank of the images that step gets", sorted(ranks)
    yield "the shape of a batch of images", first[0].shape
    if first[0].shape != (4, 2, 2, 3):
        return
    epochs = three_epochs(batches)
    orders = [np.concatenate([labels for _, labels in epoch]).tolist() for epoch in epochs]
    yield "how many different pictures an epoch has", len(set(orders[0]))
    fits = [
        np.array_equal(np.floor(images[:, 0, 0, 0]), labels)
        for epoch in epochs
        for images, labels in epoch
    ]
    yield "whether each label fits its picture", all(fits)
    yield "how often a picture was read in three epochs", len(reads)
    variants = [
        {
            int(label): image.mean() - label
            for images, labels in epoch
            for image, label in zip(images, labels, strict=True)
        }
        for epoch in epochs
    ]
    changed = [variants[0][label] != variants[1].get(label) for label in variants[0]]
    yield (
        "how many pictures have another variant in the second epoch",
        none_some_or_all(changed),
    )
    yield "whether the second epoch has the order of the first", orders[0] == orders[1]
    companies = [{frozenset(labels.tolist()) for _, labels in epoch} for epoch in epochs]
    comes_again = companies[0] == companies[1]
    yield "whether a batch of the first epoch comes again", comes_again
    if comes_again and orders[0] != orders[1]:
        return  # what else is seen of mixed batches is chance
    earliest = max(number - place for order in orders for place, number in enumerate(order))
    yield "whether a picture can come 5 places early", earliest >= 5
    yield "whether the next batch is made while one is in use", ahead


pipeline = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="The order of things",
    objective="build a pipeline that reads once and augments anew in every epoch",
    reference=training_pipeline,
    observe=observe_pipeline,
    hints=(
        "Sort the stages into two heaps: what is done once for all epochs, and what is done "
        "anew in each.",
        "`cache` stands between the two heaps. Mix single pictures, but augment whole batches.",
        "cache, shuffle, batch, `map(step)`, prefetch: in this order.",
    ),
)


@pipeline.right
def kept_as_batches(examples, step, batch_size):
    kept = examples.batch(3).cache().unbatch()
    order = kept.shuffle(99, seed=5, reshuffle_each_iteration=True)
    batches = order.batch(batch_size, drop_remainder=True, num_parallel_calls=2)
    return batches.map(step).prefetch(1)


def stages(*names, buffer=1000):
    """Return an answer that puts the stages named one behind the other."""

    def answer(examples, step, batch_size):
        steps = {
            "cache": lambda dataset: dataset.cache(),
            "shuffle": lambda dataset: dataset.shuffle(buffer),
            "batch": lambda dataset: dataset.batch(batch_size),
            "step": lambda dataset: dataset.map(step),
            "prefetch": lambda dataset: dataset.prefetch(1),
        }
        dataset = examples
        for name in names:
            dataset = steps[name](dataset)
        return dataset

    return answer


pipeline.wrong(
    "The second epoch equals the first in every value. You kept what chance had made of the "
    "pictures: put the cache where nothing has been drawn yet.",
    "cache after augmentation",
)(stages("shuffle", "batch", "step", "cache", "prefetch"))
pipeline.wrong(
    "The batches come in a new order, but they are the old ones, and so are their variants: "
    "what did your cache keep?",
    "augmented batches kept and mixed",
)(stages("batch", "step", "cache", "shuffle", "prefetch"))
pipeline.wrong(
    "The variants are new, the order is not: you mixed once and kept that, by the cache or by "
    "`reshuffle_each_iteration`.",
    "cache after shuffle",
)(stages("shuffle", "cache", "batch", "step", "prefetch"))
pipeline.wrong(
    "Every picture is read again in every epoch, slow as that is. Which stage remembers what "
    "it has seen?",
    "nothing cached",
)(stages("shuffle", "batch", "step", "prefetch"))
pipeline.wrong(
    "The pictures come in the order in which they are read, in every epoch. Which stage "
    "mixes them?",
    "never shuffled",
)(stages("cache", "batch", "step", "prefetch"))
pipeline.wrong(
    "You mixed batches, not pictures: the same ones meet in every epoch. On what does your "
    "`shuffle` act?",
    "batches shuffled",
)(stages("cache", "batch", "shuffle", "step", "prefetch"))
pipeline.wrong(
    "`step` got single pictures. It wants a batch, and does all of it at once: which of the "
    "two stages comes first?",
    "step before batch",
)(stages("cache", "shuffle", "step", "batch", "prefetch"))
pipeline.wrong(
    "What comes out, and what `step` gets, are single pictures. Nobody put them into batches.",
    "no batches",
)(stages("cache", "shuffle", "step", "prefetch"))
pipeline.wrong(
    "The pictures at the end never come first: your buffer is too small for them to travel "
    "that far.",
    "buffer too small",
)(stages("cache", "shuffle", "batch", "step", "prefetch", buffer=4))
pipeline.wrong(
    "The order is right, but nothing is made ahead: the next batch is begun when it is asked "
    "for. Look at the end.",
    "no prefetch",
)(stages("cache", "shuffle", "batch", "step"))


# Exercise 4


def drop(x, rate, chance, training):
    if not training:
        return x
    return np.where(chance < rate, 0, x / (1 - rate))


def observe_drop(answer):
    def x():
        return np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])

    def chance():
        return np.array([[0.1, 0.6, 0.3, 0.9], [0.5, 0.15, 0.05, 0.8]])

    yield "x in training at rate 0.2", answer(x(), 0.2, chance(), True)
    yield "x in training at rate 0.7", answer(x(), 0.7, chance(), True)
    yield "x in inference at rate 0.2", answer(x(), 0.2, chance(), False)
    yield (
        "x in training at rate 0.5, where one number of chance is just that",
        answer(x(), 0.5, chance(), True),
    )
    given_x = x()
    given_chance = chance()
    answer(given_x, 0.2, given_chance, True)
    yield "the arrays you were given, after the call", (given_x, given_chance)


dropping = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Dropout by hand",
    objective="write dropout yourself, and say why it scales what is left",
    reference=drop,
    observe=observe_drop,
    hints=(
        "What happens in inference is one short line. Write it first.",
        "`chance < rate` says for each value whether it is dropped. `np.where` chooses "
        "between two arrays.",
        "At rate 0.2 a share of 0.8 survives. Each survivor must stand for 1 / 0.8 = 1.25 of "
        "its kind.",
    ),
    praise="On average the sum stays what it was, so nothing is left to do in the exam.",
)


@dropping.right
def by_a_factor(x, rate, chance, training):
    factor = (np.asarray(chance) >= rate) / (1 - rate)
    return x * factor if training else x


def dropped(in_training, in_inference=lambda x, rate, kept: x):
    """Return an answer made of a rule for each mode; `kept` tells which values survive."""

    def answer(x, rate, chance, training):
        rule = in_training if training else in_inference
        return rule(x, rate, chance >= rate)

    return answer


def scaled(x, rate, kept):
    return x * kept / (1 - rate)


dropping.wrong(
    "The survivors are as they were. The next layer now gets less than in the exam: by what "
    "must they grow?",
    "nothing scaled",
)(dropped(lambda x, rate, kept: x * kept))
dropping.wrong(
    "You scale in the exam, as the first paper on dropout did. Today training makes up for "
    "it, and the exam is left alone.",
    "scaled down in the exam",
)(dropped(lambda x, rate, kept: x * kept, lambda x, rate, kept: x * (1 - rate)))
dropping.wrong(
    "Training is right, but you scale in the exam, too. All units are there then: who would "
    "have to make up for whom?",
    "scaled up in both modes",
)(dropped(scaled, lambda x, rate, kept: x / (1 - rate)))
dropping.wrong(
    "Your values are dropped in the exam, too. What should `training=False` do?",
    "dropped in both modes",
)(dropped(scaled, scaled))
dropping.wrong(
    "You divided by the share that is dropped. At rate 0.2 a survivor would grow to five "
    "times its size: which share is left?",
    "divided by the rate",
)(dropped(lambda x, rate, kept: x * kept / rate))
dropping.wrong(
    "Your survivors shrink. There are fewer of them, so each must count for more: multiply, "
    "or divide?",
    "multiplied by the share",
)(dropped(lambda x, rate, kept: x * kept * (1 - rate)))
dropping.wrong(
    "You dropped the others. At a small rate few values go: is a number below the rate then "
    "frequent, or rare?",
    "the others dropped",
)(dropped(lambda x, rate, kept: x * ~kept / (1 - rate)))
dropping.wrong(
    "You counted who survived, and divided by that. It varies from batch to batch: divide by "
    "the share you expect.",
    "counted share",
)(dropped(lambda x, rate, kept: x * kept / kept.mean()))
dropping.wrong(
    "One number of chance equals the rate, and you dropped its value. Below the rate, it says.",
    "equal dropped, too",
)(lambda x, rate, chance, training: drop(x, rate, chance - 1e-9, training))


@dropping.wrong(
    "The result is right, but you wrote it into x itself. The caller may still need x: make "
    "a new array."
)
def x_changed(x, rate, chance, training):
    x[:] = drop(x, rate, chance, training)
    return x


# Exercise 5


def judge(base, remedy):
    base_seen, base_new = np.transpose(base)
    seen, new = np.transpose(remedy)
    smaller = np.mean((base_seen - base_new) - (seen - new))
    return smaller, int(np.sum(new > base_new))


def observe_judge(answer):
    yield (
        "three seeds",
        answer(
            [(1.00, 0.50), (0.90, 0.50), (0.95, 0.45)],
            [(0.70, 0.52), (0.75, 0.50), (0.70, 0.50)],
        ),
    )
    yield (
        "a network that knows nothing, and has no gap",
        answer([(1.00, 0.50), (0.90, 0.50), (0.95, 0.45)], [(0.2, 0.2)] * 3),
    )
    yield (
        "a remedy that is better under one seed of four, but by far",
        answer(
            [(0.9, 0.6), (0.9, 0.6), (0.8, 0.7), (0.9, 0.2)],
            [(0.8, 0.5), (0.7, 0.5), (0.6, 0.65), (0.8, 0.9)],
        ),
    )


remedies = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="Judge two remedies",
    objective="judge from several seeds what augmentation and dropout changed",
    reference=judge,
    observe=observe_judge,
    hints=(
        "For each seed you have four numbers: two gaps can be made of them, and one "
        "comparison.",
        "The gap is training minus new. Take the remedy's gap from the base's, then the mean "
        "over the seeds.",
        "`np.transpose(base)` has two rows: the accuracies on training pictures, and those "
        "on new ones.",
    ),
)


@remedies.right
def seed_by_seed(base, remedy):
    shrunk, better = 0.0, 0
    for (seen, new), (seen_after, new_after) in zip(base, remedy, strict=True):
        shrunk += (seen - new) - (seen_after - new_after)
        better += new_after > new
    return [shrunk / len(base), better]


def judged(smaller=None, better=None):
    """Return an answer that has a rule of its own for one of the two numbers."""

    def answer(base, remedy):
        columns = [*np.transpose(base), *np.transpose(remedy)]
        first, second = judge(base, remedy)
        if smaller:
            first = smaller(*columns)
        if better:
            second = better(*columns)
        return first, second

    return answer


remedies.wrong(
    "The sign of your first number is turned round. A gap that became smaller should count "
    "as positive.",
    "sign turned round",
)(judged(smaller=lambda a, b, c, d: np.mean((c - d) - (a - b))))
remedies.wrong(
    "You added the changes of the gap up. With more seeds that grows by itself: it was asked "
    "for the average.",
    "summed over the seeds",
)(judged(smaller=lambda a, b, c, d: np.sum((a - b) - (c - d))))
remedies.wrong(
    "Your first number has an entry for each seed. Take the mean along that axis: one number "
    "should be left.",
    "no mean over the seeds",
)(judged(smaller=lambda a, b, c, d: (a - b) - (c - d)))
remedies.wrong(
    "You measured by how much the accuracy on training pictures fell. A gap has two ends: "
    "where are the new pictures?",
    "training accuracy alone",
)(judged(smaller=lambda a, b, c, d: np.mean(a - c)))
remedies.wrong(
    "Your first number is the remedy's own gap. By how much is it smaller than the base's?",
    "gap of the remedy alone",
)(judged(smaller=lambda a, b, c, d: np.mean(c - d)))
remedies.wrong(
    "You threw the signs of the gaps away. Under one seed the new pictures were the easier "
    "ones: that gap is negative.",
    "gap without its sign",
)(judged(smaller=lambda a, b, c, d: np.mean(abs(a - b) - abs(c - d))))
remedies.wrong(
    "You counted a draw as a win. Under one seed the remedy is as good as the base, not "
    "better.",
    "draw counted as a win",
)(judged(better=lambda a, b, c, d: np.sum(d >= b)))
remedies.wrong(
    "You counted the seeds with a smaller gap. A network that knows nothing has no gap: look "
    "at the new pictures.",
    "smaller gaps counted",
)(judged(better=lambda a, b, c, d: np.sum(c - d < a - b)))
remedies.wrong(
    "You compared the means over all seeds. One lucky seed can carry a mean: compare seed by "
    "seed, and count.",
    "means of all seeds compared",
)(judged(better=lambda a, b, c, d: int(d.mean() > b.mean())))
remedies.wrong(
    "You compared each seed of the remedy with the base's mean. The pairs share a seed: "
    "compare the two of a pair.",
    "compared with the mean of the base",
)(judged(better=lambda a, b, c, d: np.sum(d > b.mean())))
remedies.wrong(
    "Your second number is a share of the seeds. It was asked under how many of them the "
    "remedy was better.",
    "share instead of a count",
)(judged(better=lambda a, b, c, d: np.mean(d > b)))
