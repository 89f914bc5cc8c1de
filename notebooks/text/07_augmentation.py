# %% [markdown]
# # 07 · Augmentation and dropout
#
# Make many pictures out of one, throw away half of what the network knows, and find out by counting whether it helps.
#
# You will be able to
# - prove that a layer acts in training and keeps still in inference,
# - change pictures at random with `tf.image`, and get the same change again from the same seed,
# - build a pipeline that reads once and augments anew in every epoch,
# - write dropout yourself, and say why it scales what is left,
# - judge from several seeds what augmentation and dropout changed.
#
# **Needs** notebook 06 (pipelines, the small CNN, overfitting as a gap), or the same knowledge.
# **Time** 50 minutes to read, 45 for the exercises; under 60 seconds to run on two CPU cores.

# %%
import sys
from pathlib import Path

# If this folder has its own helpers, use them, and not another package of the same name.
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "helpers" / "runtime.py").is_file():
        sys.path.insert(0, str(folder))
        break
try:
    from helpers.runtime import start
except ImportError as error:
    raise ImportError(
        "The course's helpers are not installed here. A public package `helpers` is not ours. "
        "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
    ) from error
course = start(seed=0)

# %%
import random
import time
from textwrap import shorten
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers import augment, data, models, plots, runtime, training
from helpers.exercises import ex07_augmentation as exercises

SIZE = 96  # pixels, height and width, of the pictures we look at
flowers = data.flowers(image_size=SIZE)
names = flowers.class_names
num_classes = len(names)
images, labels = next(iter(flowers.batches("train", 16, seed=3)))

# %% [markdown]
# ## 1 · One picture, many pictures
#
# A few hundred photographs are few. But turn one a little, mirror it, step closer: to you it is the same flower, to a
# network nearly every pixel is new. **Augmentation** means to show it such variants in place of the picture. Here are
# the three layers of the notes this course grew from. How far may `RandomRotation(0.1)` turn: 0.1 degrees, 0.1
# radians, a tenth of a turn?

# %%
front = keras.Sequential(
    [
        keras.layers.RandomFlip("horizontal", seed=0),
        keras.layers.RandomRotation(0.1, seed=1),
        keras.layers.RandomZoom(0.2, seed=2),
    ],
    name="augmentation",
)
one = tf.stack([images[0]] * 9)
many = front(one, training=True)
plots.image_grid(
    [images[0], *many],
    ["the picture", *["a variant"] * 9],
    title=f"Would you still say {names[labels[0]]}?",
)

# %% [markdown]
# A tenth of a turn, 36 degrees, either way. With the same number for both ends of the range there is no chance left,
# and we can check: a quarter of a turn is `np.rot90`. And a zoom of *plus* 0.2 shows more, so the flower shrinks.

# %%
quarter = keras.layers.RandomRotation((0.25, 0.25))
turned = quarter(images[:1], training=True)
assert np.allclose(turned[0], np.rot90(images[0]), atol=0.5), (
    "a quarter of a turn, counter-clockwise"
)

dot = np.zeros((1, 40, 40, 3), "float32")
dot[:, 10:30, 10:30] = 255
away = keras.layers.RandomZoom((0.5, 0.5), fill_mode="constant")(dot, training=True)
print(
    f"white before: {np.mean(dot > 127):.2f} of the picture, after RandomZoom(+0.5): "
    f"{np.mean(away > 127):.2f}"
)
assert np.mean(away > 127) < np.mean(dot > 127)

# %% [markdown]
# What comes out is float, still in 0..255, and of the same shape. The label stays. That last one is a promise only
# you can make. Section 6 breaks it.
#
# ## 2 · On in training, off in the exam
#
# In the exam, **inference**, nobody wants a flower turned at random. So each of these layers takes an argument
# `training`. Does it obey? Count the values that changed.


# %%
def changed(layer, batch, training):
    """Return the proportion of values that a layer changes."""
    after = np.asarray(layer(batch, training=training))
    return np.mean(after != np.asarray(batch, after.dtype))


in_training = changed(front, images, training=True)
in_inference = changed(front, images, training=False)
print(f"changed: {in_training:.0%} with training=True, {in_inference:.0%} with training=False")
assert in_training > 0.9
assert in_inference == 0

# %%
kept, moved = front(images[:5], training=False), front(images[:5], training=True)
plots.image_grid(
    [*kept, *moved],
    ["training=False"] * 5 + ["training=True"] * 5,
    title="The same five pictures, in the exam and in training",
)

# %% [markdown]
# `fit` says `training=True`; `evaluate` and `predict` say `training=False`. So the layers can live inside the model:
# they travel with it into its file, and nobody can forget them or leave them on.
#
# Here is the small CNN of notebook 06 with our layers put first. Below we ask it about the same pictures, twice, in
# four ways. **Predict:** which ways give the same answer twice?

# %%
network = models.small_cnn(num_classes, SIZE, augmentation=front)
ways = {
    "network(images, training=True)": lambda: network(images, training=True),
    "network(images, training=False)": lambda: network(images, training=False),
    "network.predict(images)": lambda: network.predict(images, verbose=0),
    "network(images)": lambda: network(images),
}
steady = {name: np.array_equal(ask(), ask()) for name, ask in ways.items()}
for name, same in steady.items():
    print(f"{name:32} {'the same answer' if same else 'another answer'}")

# %% [markdown]
# ### The notes said: `data_augmentation(images)`
#
# They called the layers without a word about `training`. What that does has changed over the years: TensorFlow 2.7
# augmented, 2.8 did nothing, and Keras 3 augments again, because the default of these layers is `training=True`. So
# the last line above is the trap of today: a *plain call* of a finished model turns your picture at random before it
# answers. Dropout, further down, has the opposite default. Do not learn them by heart. **Always say `training=`.**

# %%
assert steady["network(images, training=False)"]
assert steady["network.predict(images)"]
assert not steady["network(images, training=True)"]
assert not steady["network(images)"], "a plain call augments in Keras 3"
dropout = keras.layers.Dropout(0.5)
assert np.array_equal(dropout(np.ones((1, 100))), np.ones((1, 100))), (
    "a plain call of dropout does nothing"
)

# %% [markdown]
# ### Exercise 1 · A proof by counting
#
# Write `only_in_training(layer, images)`: call the layer in both modes, and return `True` if it changed a value in
# training and changed none in inference, else `False`.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.proof.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.proof.solution()` shows a right answer.


# %%
def only_in_training(layer, images):
    # your code
    ...


# %%
exercises.proof.check(only_in_training)

# %% [markdown]
# ## 3 · In the pipeline: `tf.image`
#
# The other place for augmentation is the pipeline of notebook 06: the CPU changes the pictures while the GPU trains.
# You need no `training` there, because only the training pipeline gets the step. `tf.image` has the pieces. Each
# random one has a **stateless** twin that takes a **seed**, a pair of integers: same pair, same change.

# %%
picture = images[1]
window = tf.image.stateless_random_crop(picture, (72, 72, 3), seed=(0, 5))
pieces = {
    "the picture": picture,
    "flip_left_right": tf.image.flip_left_right(picture),
    "flip_up_down": tf.image.flip_up_down(picture),
    "central_crop 0.75": tf.image.resize(tf.image.central_crop(picture, 0.75), (SIZE, SIZE)),
    "random crop, 72 of 96": tf.image.resize(window, (SIZE, SIZE)),
}
again, other = (
    tf.image.stateless_random_crop(picture, (72, 72, 3), seed=pair) for pair in [(0, 5), (0, 6)]
)
assert np.array_equal(window, again)
assert not np.array_equal(window, other)
plots.image_grid(
    [tf.cast(piece, tf.float32) for piece in pieces.values()],
    list(pieces),
    title="Pieces of tf.image",
)

# %% [markdown]
# ### The notes said: `tf.image.random.flip_left_right`
#
# There is no such thing, and no `tf.image.random.crop` either. The names have underscores: `random_flip_left_right`,
# `random_crop`.


# %%
def complaint(action):
    """Return the error that an action raises, in one line, or "no complaint"."""
    try:
        action()
    except Exception as error:
        return shorten(f"{type(error).__name__}: {error}", 110)
    return "no complaint"


print(complaint(lambda: tf.image.random.flip_left_right(picture)))
assert "has no attribute 'random'" in complaint(
    lambda: tf.image.random.flip_left_right(picture)
)

# %% [markdown]
# ### The notes said: crop to RES, from pictures of RES
#
# Their loader resized to RES x RES, and their augmentation cut a window of RES x RES out of that. In how many places
# does it fit? A comment beside it said to load larger pictures, but no line did. Nothing complains: it runs, and
# does nothing.

# %%
same_size = tf.image.random_crop(picture, (SIZE, SIZE, 3))
print("values changed by the notes' crop:", int(np.sum(same_size != picture)))
print(complaint(lambda: augment.random_crop(images, SIZE, SIZE, seed=(0, 1))))
assert np.array_equal(same_size, picture)

# %% [markdown]
# So load them larger, by an eighth or so, and crop to what the network takes. In the exam take the middle,
# `tf.image.central_crop`: the flower should be as large there as it was in training.
#
# One more trap: `tf.image.random_crop` takes a whole batch, too, and cuts *one* window from all its pictures. Flips
# are drawn for each.

# %%
four = tf.stack([picture] * 4)
together = tf.image.stateless_random_crop(four, (4, 72, 72, 3), seed=(0, 5))
each = augment.random_crop(four, 72, 72, seed=(0, 5))
windows = {
    name: len(np.unique(crops, axis=0))
    for name, crops in {"tf.image": together, "helpers": each}.items()
}
print("different windows among four crops of one picture:", windows)
assert windows["tf.image"] == 1
assert windows["helpers"] > 1

# %% [markdown]
# ### Exercise 2 · Crop and flip
#
# Write `crop_and_flip(image, size, seed)` for one picture (H, W, 3): a window of `size` x `size` at a random place,
# mirrored left to right in half of the cases. The seed, a pair of integers, decides both. Keep the dtype. It is to
# work inside `map`, too, where the picture and the seed are tensors.


# %%
def crop_and_flip(image, size, seed):
    # your code
    ...


# %%
exercises.crop.check(crop_and_flip)

# %% [markdown]
# ## 4 · Cache before, not after
#
# Decoding is the same in every epoch, so notebook 06 put a `cache` after it. Where does the augmentation go, before
# the cache or after it? Both run. Look at one picture over five epochs.

# %%
# Flip, turn, zoom; section 5 says how.
step = augment.RandomAffine(rotation=0.1, zoom=0.2, seed=1)
pictures = tf.data.Dataset.from_tensor_slices(images)
fresh = pictures.cache().batch(8).map(step)
frozen = pictures.batch(8).map(step).cache()


def epochs_of(dataset, count):
    """Return all pictures of an epoch as one array, for several epochs."""
    return [np.concatenate(list(dataset.as_numpy_iterator())) for _ in range(count)]


shown = [epoch[0] for dataset in (fresh, frozen) for epoch in epochs_of(dataset, 5)]
titles = [
    f"{way}, epoch {number}"
    for way in ("cached first", "cached last")
    for number in range(1, 6)
]
plots.image_grid(shown, titles, title="Augmented after the cache, and before it")

# %% [markdown]
# ### The notes said: cache, and augment
#
# And nothing about the order. A cache behind the augmentation is even the faster one, because it keeps the first
# epoch's variants and shows them for ever. The network then has as many pictures as before, only stranger ones.
# Nothing warns you. So compare two epochs.


# %%
def repeats(dataset):
    """Whether the second epoch equals the first in every value."""
    first, second = epochs_of(dataset, 2)
    return np.array_equal(first, second)


print(
    "second epoch equals the first | cached first:",
    repeats(fresh),
    "| cached last:",
    repeats(frozen),
)
assert not repeats(fresh)
assert repeats(frozen)

# %% [markdown]
# ### Two more ways to freeze it
#
# First, Python's own `random` inside `map`. `map` runs your function *once*, to turn it into a graph (notebook 04).
# Python throws its coin then, and the side it falls on is built into the graph for all pictures and all epochs.

# %%
random.seed(1)


def coin_flip(image):
    return tf.image.flip_left_right(image) if random.random() < 0.5 else image


tossed = pictures.map(coin_flip).batch(16)
mirrored = [
    sum(bool(np.any(variant)) for variant in epoch != images) for epoch in epochs_of(tossed, 3)
]
print("mirrored of 16 pictures, in three epochs:", mirrored)
assert mirrored in ([0, 0, 0], [16, 16, 16])

# %% [markdown]
# Second, and quieter: the random functions of `tf.image` under a global seed. You fix the seed to be able to repeat a
# run, as you should. Then every epoch starts a new iterator, and each iterator starts from the seed again. The flips
# differ from picture to picture, and are the same in epoch after epoch.

# %%
ways = {
    "tf.image.random_flip_left_right": pictures.map(tf.image.random_flip_left_right).batch(16),
    "Keras layers, training=True": pictures.batch(16).map(
        lambda batch: front(batch, training=True)
    ),
    "helpers' RandomAffine": pictures.batch(16).map(step),
}
for name, dataset in ways.items():
    print(f"{name:32} second epoch equals the first: {repeats(dataset)}")
assert [repeats(dataset) for dataset in ways.values()] == [True, False, False]

# %% [markdown]
# The other two keep a counter of their own that goes on from epoch to epoch: repeatable *and* fresh. So test your
# pipeline with `repeats` before you train for a night.
#
# ### Exercise 3 · The order of things
#
# Write `training_pipeline(examples, step, batch_size)`. `examples` gives single (picture, label) pairs and is slow to
# read. `step` augments a batch: (pictures, labels) in, the same out. Read `examples` only once (there are fewer than
# 1000), mix all of them anew and give other variants in every epoch, and end with `prefetch`.


# %%
def training_pipeline(examples, step, batch_size):
    # your code
    ...


# %%
exercises.pipeline.check(training_pipeline)

# %% [markdown]
# ## 5 · Three layers, or one look-up
#
# Flip, turn, zoom and shift have something in common: each says where in the old picture a new pixel takes its value
# from, by a small matrix. Matrices multiply. So three changes in a row are *one* matrix, and one reading of the
# picture does for all three, where three layers read, blur and write it three times.


# %%
def square(affine):
    """Add the row (0, 0, 1), so that maps can be multiplied."""
    return np.vstack([affine[0], [0, 0, 1]])


mirror = square(augment.affine(SIZE, SIZE, mirror_x=True))
turn = square(augment.affine(SIZE, SIZE, angle=0.3))
zoom = square(augment.affine(SIZE, SIZE, zoom=1.2))
at_once = augment.affine(SIZE, SIZE, mirror_x=True, angle=0.3, zoom=1.2)
assert np.allclose(mirror @ turn @ zoom, square(at_once), atol=1e-3)
print(np.round(at_once[0].numpy(), 3))

# %% [markdown]
# `RandomAffine` draws one such matrix for each picture and reads each pixel once, between its four neighbours.

# %%
turns = {
    "three layers": tf.function(lambda batch: front(batch, training=True)),
    "one look-up": tf.function(step),
}
seconds = {name: [] for name in turns}
for way in turns.values():
    way(images)  # the first call traces
for _ in range(7):  # in turns, so that a busy moment hits both
    for name, way in turns.items():
        began = time.perf_counter()
        way(images)
        seconds[name].append(time.perf_counter() - began)
ratio = np.median(seconds["three layers"]) / np.median(seconds["one look-up"])
print(f"three layers take {ratio:.1f}x the time of one look-up, on this machine")
assert ratio > 1 or tf.config.list_physical_devices("GPU")

# %% [markdown]
# ## 6 · What you may not do
#
# Augmentation claims: *this is still the same flower*. Is it? Above, windows of three quarters of the side; below, of a
# quarter; all cut from one picture.

# %%
copies = tf.stack([images[0]] * 5)
close, closer = (
    augment.random_crop(copies, 72, 72, seed=(0, 1)),
    augment.random_crop(copies, 24, 24, seed=(0, 2)),
)
enlarged = [tf.image.resize(crops, (SIZE, SIZE)) for crops in (close, closer)]
plots.image_grid(
    tf.concat(enlarged, axis=0),
    [
        f"{share}: {names[labels[0]]}"
        for share in ("three quarters", "a quarter")
        for _ in range(5)
    ],
    title="The label says what it said before",
)

# %% [markdown]
# Where the flower is gone, the label is a lie, and the network is scolded for being right.
#
# It can be worse. Here is a task in which a mirror *swaps* the label: does the shoe point to the left or to the
# right? We train one layer on it, with and without `RandomFlip`. Somebody who tosses a coin, and says so, has a loss of
# ln 2 = 0.69. Who will do better?

# %%
fashion = data.fashion(verbose=False)


def shoes(split):
    """Return sneakers and boots, every other one mirrored, and which ones those are."""
    x, y = fashion.arrays(split)
    x = x[np.isin(y, [7, 9])][..., None]
    mirrored = np.arange(len(x)) % 2
    return np.where(mirrored[:, None, None, None], x[:, :, ::-1], x), mirrored


def points_where(*layers):
    keras.utils.set_random_seed(0)
    head = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((28, 28, 1)), *layers, *head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss)
    classifier.fit(*shoes("train"), epochs=4, verbose=0)
    return classifier.evaluate(*shoes("val"), verbose=0)


# %%
plain, flipped = points_where(), points_where(keras.layers.RandomFlip("horizontal"))
print(f"left or right? without flips: loss {plain:.3f} | with flips: loss {flipped:.3f}")
assert plain < 0.2
assert flipped > 0.6, "a coin does as well"
pair, _ = shoes("val")
plots.image_grid(pair[:10], ["left", "right"] * 5, title="Mirror one, and its label is wrong")

# %% [markdown]
# So ask of every augmentation: could this picture turn up in the exam, and would it have this label there? A daisy
# seen from above may be turned in any way. A tulip on its stem does not grow upside down.
#
# ## 7 · Dropout
#
# The second remedy of the notes works inside the network. **Dropout** sets values to zero at random, so that no unit
# can rely on one other unit being there. Look at ten ones that pass through it. What is the 2, and what happened to
# the mean?

# %%
dropout = keras.layers.Dropout(0.5, seed=4)
ones = np.ones((1, 10), "float32")
for training_mode in (True, True, True, False):
    print(
        f"training={training_mode!s:5}",
        dropout(ones, training=training_mode).numpy()[0].astype(int),
    )

# %% [markdown]
# In the exam all units are there. If training had shown the next layer only half of them, the exam would suddenly
# send it twice as much. So training makes up for it: what survives is divided by the share that survives, 1 - rate.
# On average the sum stays the same, and in the exam there is nothing left to do.

# %%
wide = np.ones((200, 1000), "float32")
for rate in (0.1, 0.2, 0.5):
    out = keras.layers.Dropout(rate, seed=0)(wide, training=True).numpy()
    print(
        f"rate {rate}: {np.mean(out == 0):.2f} are zero, the rest {out.max():.2f}, the mean "
        f"{out.mean():.2f}"
    )
    assert np.isclose(out.max(), 1 / (1 - rate))
    assert abs(out.mean() - 1) < 0.02
assert changed(keras.layers.Dropout(0.2), wide, training=False) == 0

# %% [markdown]
# ### The notes said: "a rate of 0.2 removes 20 % of the units"
#
# On average. Every unit has a coin of its own, for every picture, so the number varies. And the notes left out the
# other half: the survivors grow.

# %%
zeros = (keras.layers.Dropout(0.2, seed=0)(wide, training=True).numpy() == 0).sum(axis=1)
print(
    "of 1000 units dropped, for 200 pictures: never fewer than 100:",
    zeros.min() > 100,
    "| always 200:",
    set(zeros) == {200},
)
assert 100 < zeros.min() < 200 < zeros.max() < 300

# %% [markdown]
# ### Exercise 4 · Dropout by hand
#
# Write `drop(x, rate, chance, training)` for NumPy arrays. `chance` has the shape of `x`, with numbers drawn evenly
# from 0 to 1: a value is dropped where its number is below `rate`. Leave `x` itself as it is.


# %%
def drop(x, rate, chance, training):
    # your code
    ...


# %%
exercises.dropping.check(drop)

# %% [markdown]
# ## 8 · The small CNN again
#
# Now the network of notebook 06, which learned its pictures by heart, against itself with augmentation, and against
# itself with dropout. One change at a time, the same seeds for all. To see the effect in seconds we take few pictures
# and small ones: the fewer you have, the more they are learned by heart.
#
# Write down two guesses for augmentation: what happens to the accuracy on the *training* pictures, and on new ones?

# %%
SMALL = course.pick(quick=32, full=128)
EPOCHS = course.pick(quick=18, full=40)
RATE = course.pick(quick=2e-3, full=1e-3)
SEEDS = [1, 2, 3]
small = data.flowers(image_size=SMALL, verbose=False)
FEW = course.pick(quick=256, full=small.counts["train"])

chosen = (
    small.train.shuffle(small.counts["train"], seed=0, reshuffle_each_iteration=False)
    .take(FEW)
    .cache()
)
seen, new = chosen.batch(256), small.batches("val", 200, cache=True)
mirror_image = seen.map(lambda x, y: (tf.image.flip_left_right(x), y))


# %%
class Run(NamedTuple):
    """A trained network, its history, and its accuracy on three sets of pictures."""

    network: keras.Model
    history: dict
    seen: float
    mirrored: float
    new: float
    new_loss: float


# %%
def random_layers(seed):
    """Return the three layers of section 1, with seeds of their own."""
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.RandomRotation(0.1, seed=seed + 1),
            keras.layers.RandomZoom(0.2, seed=seed + 2),
        ],
        name="augmentation",
    )


# %%
runs = {}


def run(seed, augmentation, dropout):
    """Train the small CNN, keep what it did, and return its accuracy on new pictures."""
    layers = random_layers(seed) if augmentation else None
    network = models.small_cnn(num_classes, SMALL, augmentation=layers, dropout=dropout)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"])
    batches = chosen.shuffle(FEW, seed=seed).batch(32).prefetch(tf.data.AUTOTUNE)
    watch = new if seed == SEEDS[0] else None  # for the curves of one seed; it costs time
    history = network.fit(
        batches, validation_data=watch, epochs=EPOCHS, verbose=0, shuffle=False
    ).history
    known, mirrored, judged = (
        network.evaluate(part, verbose=0) for part in (seen, mirror_image, new)
    )
    runs[seed, augmentation, dropout] = Run(
        network, history, known[1], mirrored[1], judged[1], judged[0]
    )
    return judged[1]


# %%
changes = {"augmentation": {"augmentation": True}, "dropout": {"dropout": 0.5}}
comparison = training.ablation(run, {"augmentation": False, "dropout": 0.0}, changes, SEEDS)
for name, scores in zip(comparison.names, comparison.scores):
    print(f"{name:12} on new pictures:", "  ".join(f"accuracy {score:.3f}" for score in scores))

# %% [markdown]
# Three seeds, three numbers for each. Is that a win? Do not decide yet. Look at one of the runs first.

# %%
plots.learning_curves(
    {"as in 06": runs[1, False, 0.0].history, "augmentation": runs[1, True, 0.0].history},
    title="Augmentation keeps the dashed curve nearer to the solid one",
)

# %% [markdown]
# Beware of the augmented run's dashed curve: it was measured on *augmented* pictures, which are harder than those of
# the exam. To be fair, each network was asked again after training about its training pictures as they are. And about
# the same pictures **mirrored**: would you still know them?

# %%
settings = {"base": (False, 0.0), "augmentation": (True, 0.0), "dropout": (False, 0.5)}
by_seed = {
    name: [runs[(seed, *setting)] for seed in SEEDS] for name, setting in settings.items()
}


def mean(name, what):
    return np.mean([getattr(one, what) for one in by_seed[name]])


for name in by_seed:
    scores = (f"{what} accuracy {mean(name, what):.3f}" for what in ("seen", "mirrored", "new"))
    print(f"{name:12}", " | ".join(scores), f"| new loss {mean(name, 'new_loss'):.3f}")

# %% [markdown]
# The base knows nearly every picture it trained on, and fails on many of them in the mirror: it knows the *pictures*,
# not the flowers. The augmented network is as good in the mirror as without.
#
# The **gap** of notebook 06, accuracy on training pictures minus accuracy on new ones, shrinks with augmentation and
# with dropout, under every seed. The loss on new pictures, which counts how confidently a network is wrong, is lower,
# too, on average.


# %%
def gaps(three):
    return np.array([one.seen - one.new for one in three])


base = by_seed["base"]
assert min(one.seen - one.mirrored for one in base) > 0.05, "known by heart: lost in the mirror"
assert max(abs(one.seen - one.mirrored) for one in by_seed["augmentation"]) < 0.1
for name in ("augmentation", "dropout"):
    print(
        f"{name:12} smaller gap under every seed:",
        bool((gaps(by_seed[name]) < gaps(base)).all()),
    )
    assert (gaps(by_seed[name]) < gaps(base)).all()
    assert mean(name, "new_loss") < mean("base", "new_loss")
small_moves = abs(comparison.differences.mean(axis=1)).max() < 0.1
assert small_moves or course.profile == "full", "the accuracy on new pictures hardly moved"

# %% [markdown]
# ### The notes said: "the curves are closer now, so it works"
#
# They added augmentation *and* dropout *and* five more epochs, ran that once, and saw the curves come together. Which
# of the three was it? One run cannot say. And a small gap by itself is no merit. Here is a network with next to no gap.

# %%
keras.utils.set_random_seed(0)
newborn = models.small_cnn(num_classes, SMALL)
newborn.compile(
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
on_seen, on_new = (newborn.evaluate(part, verbose=0)[1] for part in (seen, new))
print(
    f"never trained: accuracy {on_seen:.3f} on seen pictures, accuracy {on_new:.3f} on new ones"
)
assert abs(on_seen - on_new) < 0.15
assert on_new < 0.4

# %% [markdown]
# So look at both: the gap says *how* a network learned, the score on new pictures *what it is worth*. Go back to the
# three accuracies. On these few small pictures and in this short time, they differ less between the remedies than
# between the seeds: **we cannot tell**. The augmented network has not finished, though. It sees harder pictures and
# learns more slowly, so it needs more epochs. The course's data card has the long run, with all 700 pictures at 96 x
# 96 and three seeds: 0.68 without, 0.74 with augmentation and dropout after twice the epochs.
#
# ### Exercise 5 · Judge two remedies
#
# Write `judge(base, remedy)`. Each is a list of pairs (accuracy on training pictures, accuracy on new ones), one pair
# for each seed, in the same order. Return two numbers: by how much the remedy made the gap smaller, on average; and
# under how many seeds it was better on new pictures.


# %%
def judge(base, remedy):
    # your code
    ...


# %%
exercises.remedies.check(judge)

# %% [markdown]
# Then ask it about the real runs: `[(one.seen, one.new) for one in by_seed["base"]]`, and the same for the remedies.
#
# ## 9 · One new photograph
#
# Our augmented network goes into a file, its augmentation with it. Then somebody brings a photo. As it stands, that
# is a test image, cut to the shape of a camera's; put the path to one of your own here.

# %%
folder = runtime.output_folder("07_augmentation")
runs[1, True, 0.0].network.save(folder / "flowers.keras")
loaded = keras.saving.load_model(folder / "flowers.keras")
path = folder / "new_photo.jpg"
keras.utils.save_img(
    path, next(iter(flowers.test))[0][SIZE // 8 : -SIZE // 8], scale=False, quality=95
)

size = {"target_size": (SMALL, SMALL), "interpolation": "bilinear", "keep_aspect_ratio": True}
photo = keras.utils.img_to_array(keras.utils.load_img(path, **size))
batch = photo[None]  # a batch of one
chances = keras.ops.softmax(loaded.predict(batch, verbose=0)[0]).numpy()
best = chances.argsort()[::-1][:3]
said = "\n".join(f"{chances[k]:.0%} {names[k]}" for k in best)
plots.image_grid(keras.utils.img_to_array(keras.utils.load_img(path))[None], [said], size=3)

# %% [markdown]
# We took no layer out. `predict` turned the augmentation off by itself. Count the different answers to ten questions
# about one photo:

# %%
asked = {
    "loaded.predict(batch)": lambda: loaded.predict(batch, verbose=0),
    "loaded(batch, training=False)": lambda: loaded(batch, training=False),
    "loaded(batch)": lambda: loaded(batch),
}
for name, ask in asked.items():
    answers = {np.asarray(ask()).tobytes() for _ in range(10)}
    print(f"{name:30} {len(answers)} different answers")
    assert (len(answers) == 1) == (name != "loaded(batch)")
assert "augmentation" in [layer.name for layer in loaded.layers]

# %% [markdown]
# ### The notes said: `load_img(path, target_size=(180, 180))`
#
# It loads, and not as the network was taught. Two defaults differ from those of the training pictures: `load_img`
# takes the *nearest* pixel where the training pictures were resized smoothly (*bilinear*), and it squeezes a wide
# photo into a square, where ours took the centre square.

# %%
ways = {
    "load_img's defaults": {},
    "smooth": {"interpolation": "bilinear"},
    "smooth, centre square": {"interpolation": "bilinear", "keep_aspect_ratio": True},
}
loads = [
    keras.utils.img_to_array(keras.utils.load_img(path, target_size=(48, 48), **way))
    for way in ways.values()
]
assert np.mean(abs(loads[0] - loads[1])) > 1, "grey levels, on average over the picture"
assert np.mean(abs(loads[1] - loads[2])) > 1
plots.image_grid(loads, list(ways), title="One photo, loaded in three ways", size=2.6)

# %% [markdown]
# So prepare a new photo by the steps of the training pictures. And mind that the percentages say how sure the network
# *is*, not how often it is right.
#
# ## Summary
#
# - Augmentation shows variants that keep their label. Whether they do, no program can check for you.
# - It belongs in training only: always say `training=`, and prove it by counting changed values.
# - Cache, shuffle, batch, augment, prefetch; then test that the second epoch differs from the first.
# - Dropout zeroes at random and scales up what is left, in training; in inference it does nothing.
# - Both shrink the gap. Whether a network got better, only new pictures and several seeds can say.
#
# **Next** notebook 08: CutMix, which pastes one picture into another and mixes their labels.
#
# ## References
#
# - Shorten, Khoshgoftaar (2019), *A survey on Image Data Augmentation for Deep Learning*, Journal of Big Data 6:60
#   [doi:10.1186/s40537-019-0197-0](https://doi.org/10.1186/s40537-019-0197-0)
# - Srivastava et al. (2014), *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*
#   [JMLR 15:1929](https://jmlr.org/papers/v15/srivastava14a.html)
# - Touvron et al. (2019), *Fixing the train-test resolution discrepancy*: crops make objects larger in training
#   [arXiv:1906.06423](https://arxiv.org/abs/1906.06423)
# - TensorFlow: a global seed repeats the draws of `map` in every epoch
#   [#35682](https://github.com/tensorflow/tensorflow/issues/35682); what a plain call did in 2.7 and 2.8
#   [keras #16189](https://github.com/keras-team/keras/issues/16189)
# - Keras: [augmentation layers](https://keras.io/api/layers/preprocessing_layers/image_augmentation/),
#   [preprocessing layers, in the model or in the pipeline](https://keras.io/guides/preprocessing_layers/)
