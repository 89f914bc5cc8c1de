"""The exercises of notebook 10."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from helpers.checking.engine import Exercise

NOTEBOOK = "10_flowers_finetuning"


# Exercise 1


def missing(paths):
    found = {}
    for path in paths:
        promised = int(path.stem.split("-")[-1])  # a ValueError if that is no number
        held = len(list(tf.data.TFRecordDataset(path)))
        if held != promised:
            found[path.name] = promised - held
    return found


def observe_missing(answer):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def shards(**held):
            paths = [Path(folder, name) for name in held]
            for path, count in zip(paths, held.values()):
                with tf.io.TFRecordWriter(str(path)) as writer:
                    for number in range(count):
                        writer.write(b"example %d" % number)
            return paths

        yield (
            "a whole shard and one of 12 that holds 11",
            answer(shards(**{"07-192x192-3.tfrec": 3, "00-192x192-12.tfrec": 11})),
        )
        yield (
            "one example too few in one shard, one too many in the next",
            answer(shards(**{"03-192x192-2.tfrec": 1, "04-192x192-2.tfrec": 3})),
        )
        yield (
            "tulips-2-red-192x192-3.tfrec, which holds 2",
            answer(shards(**{"tulips-2-red-192x192-3.tfrec": 2})),
        )
        try:
            promise = answer(shards(**{"classes.json": 0}))
        except ValueError:
            promise = "ValueError"
        yield "a file named classes.json", promise


shard = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="What is missing?",
    objective="read TFRecords and prove that nothing is missing",
    reference=missing,
    observe=observe_missing,
    hints=(
        "For each file you need two numbers. One is in its name, the other you only get by "
        "reading it.",
        "`path.stem` is the name without its ending. Which part of it, counted from the end, "
        "is the promise?",
        "`int` raises a ValueError by itself. A TFRecordDataset can be looped over: count "
        "how often.",
    ),
)


@shard.right
def by_pattern(paths):
    import re

    difference = {}
    for path in paths:
        match = re.search(r"-(\d+)\.tfrec$", path.name)
        if match is None:
            raise ValueError(f"{path.name} promises nothing")
        records = list(tf.data.TFRecordDataset([str(path)]))
        difference[path.name] = int(match[1]) - len(records)
    return {name: count for name, count in difference.items() if count}


def read(path):
    """Count the examples of a TFRecord file without a pipeline, which would be slower."""
    content = path.read_bytes()
    place = 0
    count = 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        place += 16 + length  # a length and two checksums about each
        count += 1
    return count


def last_number(path):
    return int(path.stem.split("-")[-1])


def counts(promise=last_number, held=read, lost=lambda promised, held: promised - held):
    """Return an answer made of how to read a name, how to count, and how to compare."""

    def answer(paths):
        found = {path.name: lost(promise(path), held(path)) for path in paths}
        return {name: count for name, count in found.items() if count}

    return answer


shard.wrong(
    "You took the names' word for it: your answer is the same whatever the files hold. What "
    "is inside them?",
    "names believed",
)(counts(held=last_number))
shard.wrong(
    "You read the first number of the name. That one says which shard it is. Look at what "
    "section 1 says of the last.",
    "shard number taken for the promise",
)(counts(promise=lambda path: int(path.stem.split("-")[0])))
shard.wrong(
    "You counted the parts of the name from the front. A name with more dashes moves them: "
    "where does the promise always stand?",
    "parts counted from the front",
)(counts(promise=lambda path: int(path.stem.split("-")[2])))
shard.wrong(
    "You asked the dataset how long it is, and -2 is TensorFlow's way of saying that it does "
    "not know. A TFRecord file has no table of contents: it has to be read.",
    "cardinality asked for",
)(counts(held=lambda path: int(tf.data.TFRecordDataset(path).cardinality())))
shard.wrong(
    "Your difference has the wrong sign: what is missing should be above zero. Which of the "
    "two numbers is the larger one when something is lost?",
    "difference turned round",
)(counts(lost=lambda promised, held: held - promised))
shard.wrong(
    "You look for too few only. A shard with too many is not what its name promises either: "
    "it may hold images twice.",
    "too many not seen",
)(counts(lost=lambda promised, held: max(promised - held, 0)))


@shard.wrong(
    "You compared the sums over all files. What one lacks another may have too much: compare "
    "file by file."
)
def only_sums_compared(paths):
    found = counts()(paths)
    return found if sum(found.values()) else {}


@shard.wrong(
    "Whole shards are in your answer, too, with 0. Only those that break their promise "
    "should be there."
)
def whole_shards_listed(paths):
    return {path.name: 0 for path in paths} | counts()(paths)


@shard.wrong(
    "You passed over a file whose name has no count. Then a shard that was renamed is never "
    "looked at, and nobody hears of it: what should happen here?"
)
def names_without_a_count_passed_over(paths):
    return counts()([path for path in paths if path.suffix == ".tfrec"])


# Exercise 2


def for_vgg16(images):
    blue_first = images[..., ::-1]
    return blue_first - np.array([103.939, 116.779, 123.68], "float32")


def observe_vgg16(answer):
    rows = [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[10, 20, 30], [255, 255, 255], [0, 0, 0]],
    ]
    given = np.array([rows], "float32")
    yield "an image whose first row is red, green, blue", answer(given)
    yield "the images you were given, after the call", given
    others = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 3))
    yield "three other images", answer(others.astype("float32"))


pixels = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Prepare pixels for VGG16",
    objective="give each pretrained backbone the pixels it was trained on",
    reference=for_vgg16,
    observe=observe_vgg16,
    hints=(
        "Two things happen to a pixel: its three numbers are put in another order, and each "
        "loses a mean.",
        "`images[..., ::-1]` turns the last axis round. Which mean belongs to the first "
        "channel then?",
        "Three numbers are subtracted from an array (N, H, W, 3) as they are: broadcasting "
        "finds the channels.",
    ),
)


@pixels.right
def channel_by_channel(images):
    red, green, blue = tf.unstack(tf.convert_to_tensor(images), axis=-1)
    return tf.stack([blue - 103.939, green - 116.779, red - 123.68], axis=-1)


@pixels.right
def means_first(images):
    return np.flip(images - np.array([123.68, 116.779, 103.939], "float32"), axis=3)


MEANS = np.array([103.939, 116.779, 123.68], "float32")  # blue, green, red


@pixels.wrong(
    "Red is still first. The means are right for that order, but VGG16 takes blue first."
)
def red_still_first(images):
    return images - MEANS[::-1]


@pixels.wrong(
    "The order is right, and two means are exchanged. After the turn, which colour is in the "
    "first channel?"
)
def means_exchanged(images):
    return images[..., ::-1] - MEANS[::-1]


@pixels.wrong(
    "You took the means in the order in which the text names them, from images that are "
    "still red first: red lost blue's mean. What must happen to the colours?"
)
def only_the_means_turned(images):
    return images - MEANS


@pixels.wrong(
    "You turned the images, not the colours: left and right are exchanged. Which axis of (N, "
    "H, W, 3) holds the channels?"
)
def width_turned(images):
    return images[:, :, ::-1] - MEANS[::-1]


@pixels.wrong(
    "You divided by 255 first. The means are in the range 0..255, too: next to them such "
    "pixels are nearly all zero."
)
def divided_by_255(images):
    return for_vgg16(images / 255)


@pixels.wrong(
    "You scaled to -1..1, as MobileNetV2 wants it. VGG16 never saw such pixels: it keeps the "
    "range of 0..255."
)
def scaled_like_mobilenet(images):
    return images[..., ::-1] / 127.5 - 1


@pixels.wrong(
    "The order is right. What about the means: what would a pixel of ImageNet's average "
    "colour become?"
)
def means_forgotten(images):
    return images[..., ::-1]


@pixels.wrong(
    "The result is right, but you changed the images you were given: `-=` writes into the "
    "array itself, and the caller may still need it."
)
def input_changed(images):
    images -= MEANS[::-1]
    return images[..., ::-1].copy()


# Exercise 3


def thaw(backbone, last):
    backbone.trainable = True
    first = len(backbone.layers) - last
    for place, layer in enumerate(backbone.layers):
        keeps_still = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= first and not keeps_still


def small_backbone():
    """Return seven layers: an input, twice a convolution, batch normalisation and a ReLU."""
    image = keras.Input((4, 4, 1))
    x = image
    for block in "12":
        x = keras.layers.Conv2D(1, 1, name=f"convolution {block}")(x)
        x = keras.layers.BatchNormalization(name=f"normalisation {block}")(x)
        x = keras.layers.ReLU(name=f"relu {block}")(x)
    return keras.Model(image, x)


def learning(backbone):
    """Return the names of the layers that will learn when the whole backbone is trained."""
    weights = {id(weight) for weight in backbone.trainable_weights}
    return [
        layer.name
        for layer in backbone.layers
        if any(id(weight) in weights for weight in layer.weights)
    ]


def observe_thaw(answer):
    backbone = small_backbone()
    for before, last in (
        ("frozen", 3),
        ("frozen", 6),
        ("frozen", 2),
        ("frozen", 0),
        ("free", 3),
    ):
        backbone.trainable = before == "free"
        for layer in backbone.layers:
            layer.trainable = before == "free"
        answer(backbone, last)
        yield (
            f"what learns of a {before} backbone after thaw(backbone, {last})",
            learning(backbone),
        )


frozen = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="The layers that must not move",
    objective="train a head, then fine-tune without destroying what the backbone knows",
    reference=thaw,
    observe=observe_thaw,
    hints=(
        "A frozen model keeps all its layers frozen. So two things are to be set: the whole, "
        "and each layer in it.",
        "Setting a frozen `backbone.trainable` to True sets all its layers, too. So does it "
        "come before them or after?",
        "`enumerate(backbone.layers)` gives each layer its place. Two conditions say whether "
        "it learns: its place, and its type.",
    ),
)


@frozen.right
def all_off_then_some_on(backbone, last):
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = False
    for layer in reversed(backbone.layers):
        if last == 0:
            break
        last -= 1
        if type(layer) is not keras.layers.BatchNormalization:
            layer.trainable = True


def set_layers(moves, before=True, after=None):
    """Return an answer that sets each layer by `moves`, and the whole before or after.

    `moves` gets the layer's place from the end, the layer, `last` and the number of layers.
    """

    def answer(backbone, last):
        if before is not None:
            backbone.trainable = before
        for place, layer in enumerate(reversed(backbone.layers)):
            layer.trainable = moves(place, layer, last, len(backbone.layers))
        if after is not None:
            backbone.trainable = after

    return answer


def still(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def in_the_tail(place, layer, last, total):
    return place < last and not still(layer)


frozen.wrong(
    "Batch normalisation learns, too. Its means and variances were measured on the "
    "backbone's own images: a few hundred of ours would overwrite them.",
    "batch normalisation unfrozen",
)(set_layers(lambda place, layer, last, total: place < last))
frozen.wrong(
    "All layers but batch normalisation learn: you did not look at `last`. The early layers' "
    "edges and textures are what we wanted to keep.",
    "last ignored",
)(set_layers(lambda place, layer, last, total: not still(layer)))
frozen.wrong(
    "You freed the layers at the beginning, those next to the image. Which end of the "
    "backbone is next to the head?",
    "first layers instead of the last",
)(set_layers(lambda place, layer, last, total: place >= total - last and not still(layer)))
frozen.wrong(
    "You are one layer off. With seven layers numbered from 0, what is the number of the "
    "first of the last three?",
    "one layer off",
)(set_layers(lambda place, layer, last, total: place < last - 1 and not still(layer)))
frozen.wrong(
    "Nothing learns, ever. You froze the backbone as a whole, and a model that is frozen as "
    "a whole keeps its layers frozen, whatever they say themselves.",
    "frozen as a whole",
)(set_layers(in_the_tail, before=False))
frozen.wrong(
    "It works on a backbone that is free, and nothing learns of one that was frozen as a "
    "whole, as ours was. A layer cannot overrule its model: what has to be set before it?",
    "the whole never set",
)(set_layers(in_the_tail, before=None))
frozen.wrong(
    "All of a frozen backbone learns. You set the layers first and the whole afterwards, and "
    "that sets every layer in it once more.",
    "whole set trainable after its layers",
)(set_layers(in_the_tail, before=None, after=True))


@frozen.wrong(
    "It works for every number but 0, where everything learns. -0 is 0: what is "
    "`layers[-0:]`, and `layers[:-0]`?"
)
def minus_zero(backbone, last):
    backbone.trainable = True
    for layer in backbone.layers[:-last]:
        layer.trainable = False
    for layer in backbone.layers[-last:]:
        layer.trainable = not still(layer)


@frozen.wrong(
    "You set the whole backbone free, then looked at the last layers only. The early ones "
    "learn now, too: who freezes them?"
)
def early_layers_left_free(backbone, last):
    backbone.trainable = True
    for layer in backbone.layers[len(backbone.layers) - last :]:
        layer.trainable = not still(layer)


@frozen.wrong(
    "You left batch normalisation out of the counting, so you reach too far back. `last` "
    "counts the layers as they stand, whether they learn or not."
)
def batch_normalisation_not_counted(backbone, last):
    backbone.trainable = True
    others = [layer for layer in backbone.layers if not still(layer)]
    for layer in backbone.layers:
        layer.trainable = layer in others[len(others) - last :] and not still(layer)


# Exercise 4


def macro_f1(matrix):
    found = np.diag(matrix)
    called_so = matrix.sum(axis=0)
    are_so = matrix.sum(axis=1)
    total = called_so + are_so
    there = total > 0
    return np.mean(2 * found[there] / total[there])


def observe_f1(answer):
    yield "[[3, 1], [2, 4]]", answer(np.array([[3, 1], [2, 4]]))
    yield (
        "[[9, 1, 0], [2, 3, 0], [4, 0, 1]]",
        answer(np.array([[9, 1, 0], [2, 3, 0], [4, 0, 1]])),
    )
    yield (
        "[[8, 2, 0], [1, 0, 1], [0, 0, 5]], whose class 1 is never found",
        answer(np.array([[8, 2, 0], [1, 0, 1], [0, 0, 5]])),
    )
    yield (
        "[[8, 2, 0], [1, 4, 0], [0, 0, 0]], whose class 2 is nowhere",
        answer(np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])),
    )


f1 = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="Macro F1 from the matrix",
    objective="judge a classifier by macro F1, by its confusions and by its worst mistakes",
    reference=macro_f1,
    observe=observe_f1,
    hints=(
        "First one number for each class, then their plain mean. What a class found stands "
        "on the diagonal.",
        "A column's sum is how many images were called so, a row's sum how many are so.",
        "Which classes have neither? Leave them out before you divide.",
    ),
)


@f1.right
def class_by_class(matrix):
    scores = []
    for k in range(len(matrix)):
        hits = matrix[k, k]
        missed = matrix[k].sum() - hits
        false = matrix[:, k].sum() - hits
        if hits + missed + false > 0:
            scores.append(hits / (hits + (missed + false) / 2))
    return sum(scores) / len(scores)


@f1.wrong(
    "That is the accuracy: it counts images, so a frequent class can hide a rare one. Make "
    "one number for each class first."
)
def accuracy(matrix):
    return np.trace(matrix) / matrix.sum()


@f1.wrong(
    "You weighted the classes by their images: the frequent ones count more again. Every "
    "class has one vote in a macro mean."
)
def weighted_by_images(matrix):
    called_so = matrix.sum(axis=0)
    are_so = matrix.sum(axis=1)
    scores = 2 * np.diag(matrix) / np.maximum(called_so + are_so, 1)
    return np.sum(are_so * scores) / are_so.sum()


@f1.wrong(
    "You counted a class that is nowhere as 0. It was neither asked for nor called: is that "
    "a mistake?"
)
def absent_class_counted_as_zero(matrix):
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.mean(2 * np.diag(matrix) / np.maximum(total, 1))


@f1.wrong(
    "You left out every class of which nothing was found. But class 1 has images, and it "
    "missed them all: that is an F1 of 0, and it counts."
)
def failures_left_out(matrix):
    found = np.diag(matrix)
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.mean(2 * found[found > 0] / total[found > 0])


@f1.wrong(
    "Your answer is not a number where a class is nowhere: 0 / 0. Who should be kept out of "
    "the division?"
)
def nothing_divided_by_nothing(matrix):
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.mean(2 * np.diag(matrix) / np.where(total > 0, total, np.nan))


@f1.wrong(
    "That is the mean recall: it does not see what was called so wrongly. Look at the "
    "columns, too."
)
def recall_only(matrix):
    there = matrix.sum(axis=1)
    return np.mean(np.diag(matrix)[there > 0] / there[there > 0])


@f1.wrong(
    "You took the means of precision and recall over the classes, then made one F1 of the "
    "two. Here each class has its own F1, and the mean comes last."
)
def means_first_then_f1(matrix):
    there = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    matrix = matrix[there][:, there]
    precision = np.mean(np.diag(matrix) / np.maximum(matrix.sum(axis=0), 1))
    recall = np.mean(np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1))
    return 2 * precision * recall / (precision + recall)


@f1.wrong(
    "You are off by a factor of two: even a perfect class would get one half. What is found "
    "is in the row and in the column, so both sums hold it."
)
def twice_forgotten(matrix):
    return macro_f1(matrix) / 2


# Exercise 5


def conclude(base, variant):
    changes = np.array(variant) - np.array(base)
    mean = np.mean(changes)
    error = np.std(changes, ddof=1) / np.sqrt(len(changes))
    if abs(mean) <= 2 * error:
        return "cannot tell"
    return "better" if mean > 0 else "worse"


def observe_conclude(answer):
    runs = [0.80, 0.84, 0.82, 0.81]
    yield f"{runs} and [0.90, 0.95, 0.93, 0.92]", answer(list(runs), [0.90, 0.95, 0.93, 0.92])
    yield f"{runs} and [0.70, 0.73, 0.73, 0.72]", answer(list(runs), [0.70, 0.73, 0.73, 0.72])
    yield f"{runs} and [0.82, 0.87, 0.84, 0.83]", answer(list(runs), [0.82, 0.87, 0.84, 0.83])
    yield f"{runs} and [0.85, 0.80, 0.82, 0.82]", answer(list(runs), [0.85, 0.80, 0.82, 0.82])
    yield f"{runs} and [0.83, 0.83, 0.83, 0.83]", answer(list(runs), [0.83, 0.83, 0.83, 0.83])
    for gains in (
        [0.01, 0.02, 0.06],
        [0.00, 0.04, 0.02, 0.02],
        [0.00, 0.01, 0.03],
        [0.05, 0.02, 0.07, -0.01],
    ):
        yield (
            f"runs that change by {gains}",
            answer([0.5] * len(gains), [0.5 + gain for gain in gains]),
        )
    yield "a variant with the very same scores", answer(list(runs), list(runs))


conclusion = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="What may you conclude?",
    objective="change one thing at a time, over several seeds, and say what you may conclude",
    reference=conclude,
    observe=observe_conclude,
    hints=(
        "Subtract first: one difference for each seed. From there on only the differences "
        "matter.",
        "Their mean is to be compared with twice their standard error. On which side of 0 "
        "may it be?",
        "`np.std(changes, ddof=1)` has the divisor n - 1.",
    ),
)


@conclusion.right
def by_t(base, variant):
    gains = [after - before for before, after in zip(base, variant)]
    mean = sum(gains) / len(gains)
    variance = sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1)
    if mean**2 <= 4 * variance / len(gains):
        return "cannot tell"
    return "better" if mean > 0 else "worse"


def by_margin(margin, none="cannot tell"):
    """Return an answer with a margin of its own, and `none` where mean and margin are 0."""

    def answer(base, variant):
        base = np.array(base)
        variant = np.array(variant)
        changes = variant - base
        mean = np.mean(changes)
        limit = margin(base, variant, changes)
        if mean == limit == 0:
            return none
        if abs(mean) <= limit:
            return "cannot tell"
        return "better" if mean > 0 else "worse"

    return answer


def standard_error(changes, ddof=1):
    return np.std(changes, ddof=ddof) / np.sqrt(len(changes))


conclusion.wrong(
    "You took the two lists as if their seeds had nothing to do with each other. A lucky "
    "seed lifts both: subtract seed by seed first, then look at the spread.",
    "unpaired comparison",
)(by_margin(lambda a, b, changes: 2 * np.sqrt(standard_error(a) ** 2 + standard_error(b) ** 2)))
conclusion.wrong(
    "You compared the two means, and the larger won. Two means are never quite equal: how "
    "far would they be apart by luck?",
    "the larger mean wins",
)(by_margin(lambda a, b, changes: 0))
conclusion.wrong(
    "You divided by n, as NumPy does unless it is told otherwise. Few runs look steadier "
    "that way than they are: read the exercise again.",
    "population standard deviation",
)(by_margin(lambda a, b, changes: 2 * standard_error(changes, ddof=0)))
conclusion.wrong(
    "You asked for one standard error. Luck alone passes that in about one comparison of "
    "three: how many does the exercise ask for?",
    "factor two forgotten",
)(by_margin(lambda a, b, changes: standard_error(changes)))
conclusion.wrong(
    "Your margin is the spread of a single difference. A mean of four wanders less than one "
    "of them: what does the number of seeds do?",
    "number of seeds forgotten",
)(by_margin(lambda a, b, changes: 2 * np.std(changes, ddof=1)))
conclusion.wrong(
    "You call a variant better that has the very same scores. Their mean difference is 0 and "
    "so is its error: is 0 larger than 0?",
    "no difference called better",
)(by_margin(lambda a, b, changes: 2 * standard_error(changes), none="better"))
conclusion.wrong(
    "You call a variant worse that has the very same scores. What is twice the error of a "
    "difference that is always 0, and is the mean larger?",
    "no difference called worse",
)(by_margin(lambda a, b, changes: 2 * standard_error(changes), none="worse"))


@conclusion.wrong(
    "You see gains only. A loss can be as certain as a gain: what do you do with a mean "
    "below 0?"
)
def losses_not_seen(base, variant):
    found = conclude(base, variant)
    return "cannot tell" if found == "worse" else found


@conclusion.wrong(
    "Better and worse are exchanged. Which of the two lists should be the larger one if it "
    "is better?"
)
def better_and_worse_exchanged(base, variant):
    return conclude(variant, base)


@conclusion.wrong(
    "You asked whether all seeds agree. Three may agree by luck, and one of four may stray "
    "without harm: compare the mean with its standard error."
)
def all_seeds_agree(base, variant):
    changes = np.array(variant) - np.array(base)
    if min(changes) > 0:
        return "better"
    return "worse" if max(changes) < 0 else "cannot tell"


@conclusion.wrong(
    "You compared the best run of each. With more seeds the best gets better by itself: use "
    "all of them."
)
def best_runs_compared(base, variant):
    if max(variant) > max(base):
        return "better"
    return "worse" if max(variant) < max(base) else "cannot tell"
