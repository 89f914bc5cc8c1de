# %% [markdown]
# # 06 · Input pipelines and a first CNN
#
# From a folder of pictures to batches that are never late, and a network that looks at them.
#
# You will be able to
# - turn a folder of classes into two datasets, and predict what each argument changes,
# - put the stages of a pipeline in an order that loses nothing,
# - say who waits for whom, and how long an epoch takes,
# - work out the shapes and the parameters of a CNN by hand,
# - read two curves together, and measure overfitting as a gap.
#
# **Needs** notebook 05 (`compile`, `fit`, validation), or the same knowledge.
# **Time** 60 minutes to read, 45 for the exercises; under 60 seconds to run on two CPU cores.

# %%
import sys
from pathlib import Path

# A checkout's own helpers win over an unrelated package of the same name.
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "helpers" / "runtime.py").is_file():
        sys.path.insert(0, str(folder))
        break
try:
    from helpers.runtime import start
except ImportError as error:
    raise ImportError(
        "The course's helpers are not installed here; the public package `helpers` is another. "
        "In the course's folder run `make lab`, or `pip install .` (tf-vision-course)."
    ) from error
course = start(seed=0)

# %%
import contextlib
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from textwrap import shorten

import keras
import numpy as np
import tensorflow as tf

from helpers import data, models, plots, training
from helpers.exercises import ex06_input_pipelines_and_cnn as exercises

SIZE = course.pick(quick=64, full=128)  # pixels, height and width, of what the network sees
flowers = data.flowers(image_size=course.pick(quick=192, full=256))
num_classes = len(flowers.class_names)

# %% [markdown]
# ## 1 · A folder of classes
#
# Most collections of pictures come as folders: one for each class, named after it. We make such a folder, outside of
# the course's own, from the flowers we have. Every other picture becomes a third wider than high, as cameras make them.

# %%
workshop = tempfile.TemporaryDirectory(prefix="course-06-", ignore_cleanup_errors=True)
root = Path(workshop.name) / "flowers"
for name in flowers.class_names:
    (root / name).mkdir(parents=True)
for number, (image, label) in enumerate(flowers.train.concatenate(flowers.val)):
    margin = image.shape[0] // 8 if number % 2 else 0
    encoded = tf.io.encode_jpeg(image[margin : image.shape[0] - margin], quality=95)
    (root / flowers.class_names[label] / f"{number:05}.jpg").write_bytes(encoded.numpy())

for folder in sorted(root.iterdir())[:5]:
    files = sorted(file.name for file in folder.iterdir())
    print(f"{folder.name + '/':12} {len(files):4} files: {', '.join(files[:3])}, ...")

# %% [markdown]
# One call turns this into datasets of batches. The name of a folder becomes a class, its place in the alphabet the
# label. A fifth of the pictures is kept apart to judge the network by: the **validation split**.

# %%
train, val = keras.utils.image_dataset_from_directory(
    root, validation_split=0.2, subset="both", seed=123, image_size=(SIZE, SIZE), batch_size=32
)
class_names = train.class_names
images, labels = next(iter(train))
print(
    images.shape,
    images.dtype.name,
    f"from {images.numpy().min():.0f} to {images.numpy().max():.0f}",
    "|",
    labels.dtype.name,
)
assert class_names == sorted(flowers.class_names)
plots.image_grid(
    images[:10],
    [class_names[label] for label in labels[:10]],
    title="Always look at a batch first",
)

# %% [markdown]
# 32 pictures of 64 x 64 pixels in three colours, as floats from 0 to 255. They were decoded and resized on their way.
# Some look squeezed. We shall come back to that.
#
# ### The notes said: a call without commas
#
# Here are three lines in the manner of the notes this course grew from. We run each and read what Python says.


# %%
def complaint(action):
    """Return the error that an action raises, in one short line, or "no complaint"."""
    try:
        action()
    except Exception as error:
        return shorten(f"{type(error).__name__}: {error}", 100)
    return "no complaint"


call = (
    "image_dataset_from_directory(root, label_mode='categorical' image_size=(64, 64) "
    "batch_size=32)"
)
print(complaint(lambda: compile(call, "notes", "eval")))
print(complaint(lambda: train.prefetch(tf.data.AUTOTUNE).class_names))
print(complaint(lambda: exec("images, labels = train.take(5)")))

# %% [markdown]
# - A comma belongs between arguments.
# - `class_names` is a note that Keras sticks to *this* dataset. Every stage (`prefetch`, `map`, ...) returns a new
#   dataset without it. So keep the names first, as we did.
# - `take(5)` is a dataset of five batches, not five batches. And there is a worse case: with `take(2)` there is *no*
#   complaint. Then `images` is the first batch and `labels` is the second, each with pictures and labels in it.

# %%
images, labels = train.take(2)
print(
    "images is a",
    type(images).__name__,
    "of",
    len(images),
    "| labels is a",
    type(labels).__name__,
    "of",
    len(labels),
)
assert images[0].shape == labels[0].shape == (32, SIZE, SIZE, 3)
images, labels = next(iter(train))  # one batch: this is what was meant

# %% [markdown]
# ## 2 · Every argument, by what it does
#
# | argument | what it decides |
# |---|---|
# | `labels` | `"inferred"` from the folders, a list of your own, or `None` |
# | `label_mode` | `"int"`, `"categorical"` (one-hot), `"binary"` (two classes), or `None` |
# | `class_names` | which folders, and which of them is 0 |
# | `color_mode` | 1, 3 or 4 channels |
# | `image_size`, `interpolation` | the size in pixels, and how it is reached |
# | `crop_to_aspect_ratio`, `pad_to_aspect_ratio` | what happens to pictures of another shape |
# | `validation_split`, `subset`, `seed`, `shuffle` | which pictures, in which order |
# | `batch_size` | pictures in a batch, or `None` for single ones |
# | `follow_links` | whether folders behind links inside a class count |
# | `verbose` | whether it says what it found |
#
# We try them on the same folder. First the shapes and types. What shape will one-hot labels have?


# %%
def load(**settings):
    """Load our folder in the order of its files, unless told otherwise."""
    usual = {"image_size": (SIZE, SIZE), "shuffle": False, "verbose": False}
    return keras.utils.image_dataset_from_directory(root, **usual | settings)


two = class_names[1::-1]  # the first two classes, the second first
for settings in (
    {"label_mode": "int"},
    {"label_mode": "categorical"},
    {"label_mode": "binary", "class_names": two},
    {"label_mode": None, "color_mode": "grayscale"},
    {"batch_size": None, "color_mode": "rgba"},
):
    spec = load(**settings).element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    described = " and ".join(f"{part.dtype.name} {tuple(part.shape)}" for part in parts)
    print(f"{settings!s:75} {described}".replace("None)", "-)").replace("(None", "(n"))

# %% [markdown]
# Two of these can hurt in silence. `class_names` chooses the folders *and* their order, so the same flower may be 0 for
# one loader and 1 for another. And the labels of a list of your own must come in the order of the sorted files: nobody
# checks that. (Hand over a copy, too. When Keras shuffles, it mixes your own list.)

# %%
first_two = load(class_names=two)
print(
    "label 0 is",
    class_names[0],
    "for one loader and",
    first_two.class_names[0],
    "for the other",
)
assert first_two.class_names == two
assert len(first_two.file_paths) < len(load().file_paths), "all other folders are left out"

total = len(load().file_paths)
numbers = list(range(total))  # labels of our own, one for each file: section 3 will use them
assert [int(label) for _, label in load(labels=[*numbers], batch_size=None).take(3)] == [
    0,
    1,
    2,
]

# %% [markdown]
# **Sizes.** Here is one wide picture, in six ways. Which of them keep the flower's shape? Which look torn?

# %%
wide = next(k for k, path in enumerate(load().file_paths) if int(Path(path).stem) % 2)
ways = {
    "stretched (the default)": {},
    "crop_to_aspect_ratio": {"crop_to_aspect_ratio": True},
    "pad_to_aspect_ratio": {"pad_to_aspect_ratio": True},
    "nearest": {"crop_to_aspect_ratio": True, "interpolation": "nearest"},
    "area": {"crop_to_aspect_ratio": True, "interpolation": "area"},
    "bicubic": {"crop_to_aspect_ratio": True, "interpolation": "bicubic"},
}
sized = [
    next(iter(load(batch_size=None, image_size=(32, 32), **way).skip(wide)))[0]
    for way in ways.values()
]
plots.image_grid(sized, list(ways), columns=6, title="One file, 32 x 32 pixels, six ways")

# %% [markdown]
# Stretching makes every flower thinner; cropping loses the sides; padding keeps all and adds black bars. When pixels
# are thrown away, `nearest` and the default `bilinear` look at few of them. `area` takes the mean of all. `bicubic`
# shoots past 0 and 255.

# %%
bars = (np.asarray(sized[2]).sum(axis=-1) == 0).all(axis=1).sum()
reach = [float(np.max(np.abs(np.asarray(image) - 127.5))) for image in sized]
print(
    "rows of black padding:",
    bars,
    "| beyond 0..255:",
    [name for name, far in zip(ways, reach) if far > 127.51],
)
assert bars >= 8, "a quarter of the height"
assert [far > 127.51 for far in reach] == [False] * 5 + [True]

# %% [markdown]
# **Splits.** `validation_split` cuts the list of files in two, and `subset` says which part you get. With `shuffle` the
# list is mixed first, by `seed`. The usual way is two calls. Both parts are right only if both calls mix alike.

# %%
split = {"validation_split": 0.2, "shuffle": True}
part = set(load(subset="training", seed=123, **split).file_paths)
same_seed = part & set(load(subset="validation", seed=123, **split).file_paths)
other_seed = part & set(load(subset="validation", seed=124, **split).file_paths)
print(
    "pictures in both parts:",
    len(same_seed),
    "with one seed,",
    len(other_seed),
    "with two seeds",
)
assert not same_seed
assert len(other_seed) > 0.1 * total, (
    "the network would be judged by pictures it was trained on"
)

# %% [markdown]
# Without shuffling nothing is mixed, and the last fifth of the files is what the alphabet puts last:

# %%
last = load(subset="validation", validation_split=0.2, shuffle=False)
found = Counter(class_names[int(label)] for _, labels in last for label in labels)
print("validation pictures of each class:", {name: found[name] for name in class_names[-5:]})
assert len(found) < num_classes

# %% [markdown]
# A network that answers "tulips" to everything would be perfect here. `subset="both"` asks for both parts in one call:
# one seed, no overlap, and the validation part keeps its order.
#
# **Links.** On a shared machine pictures are often not copied but linked. A class folder may itself be a link: that
# always works. Links *inside* a class folder count only with `follow_links=True`. (The first versions of Keras 3
# followed them always.)

# %%
few = Path(workshop.name) / "few"
for name, file in zip(class_names[:2], (load().file_paths[0], load().file_paths[-1])):
    (few / name).mkdir(parents=True)
    (few / name / "one.jpg").write_bytes(Path(file).read_bytes())
(few / class_names[0] / "notes.txt").write_text(
    "Files that are no pictures are passed over in silence."
)
with contextlib.suppress(OSError):  # Windows wants a permission for links
    os.symlink(root / class_names[1], few / class_names[1] / "more", target_is_directory=True)
for follow in (False, True):
    keras.utils.image_dataset_from_directory(few, follow_links=follow)

# %% [markdown]
# ### Exercise 1 · A split to trust
#
# Write `load_split(folder, size, share, seed)`. Return two datasets of batches of 8, for training and for validation;
# `share` is the part kept for validation. Pictures are `size` x `size` pixels and keep their proportions, with no bars.
# Labels are one-hot. No picture is in both parts, the training order is new in every epoch, the validation order never
# changes.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.split.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.split.solution()` shows a right answer.


# %%
def load_split(folder, size, share, seed):
    # your code
    ...


# %%
exercises.split.check(load_split)

# %% [markdown]
# ## 3 · One stage after the other
#
# A `tf.data.Dataset` is a recipe. A **stage** takes a recipe and returns a longer one; nothing is read until somebody
# asks for the next element. We follow the count of elements. Which of these lines loses pictures?

# %%
train, val = load(
    validation_split=0.2, subset="both", seed=123, shuffle=True, crop_to_aspect_ratio=True
)
single = train.unbatch()
n_train = len(train.file_paths)
stages = {
    "train": train,
    ".take(2)": train.take(2),
    ".unbatch()": single,
    ".unbatch().batch(50)": single.batch(50),
    ".unbatch().batch(50, drop_remainder=True)": single.batch(50, drop_remainder=True),
}
for name, dataset in stages.items():
    sizes = [len(x) if x.shape.rank == 4 else 1 for x, _ in dataset]
    told = int(dataset.cardinality())
    print(
        f"{name:42} {len(sizes):4} elements, the last of {sizes[-1]:2}, {sum(sizes):4} "
        f"pictures, it says {told}"
    )

# %% [markdown]
# - `take` counts elements, so here batches.
# - `drop_remainder` throws the last, smaller batch away. In exchange every shape is known: `(50, 64, 64, 3)` instead of
#   `(None, 64, 64, 3)`. Some compilers want that. Never use it to validate: those pictures would go unjudged.
# - After `unbatch` the length is unknown (that is what -2 says). In its first epoch, `fit` cannot say how many steps
#   are still to come.

# %%
assert stages[".unbatch().batch(50, drop_remainder=True)"].element_spec[0].shape == (
    50,
    SIZE,
    SIZE,
    3,
)
assert stages[".unbatch().batch(50)"].element_spec[0].shape[0] is None
assert single.cardinality() == tf.data.UNKNOWN_CARDINALITY == -2
assert (
    int(single.apply(tf.data.experimental.assert_cardinality(n_train)).cardinality()) == n_train
)

# %% [markdown]
# ### Shuffle: how far can a picture travel?
#
# `shuffle(n)` keeps a **buffer** of n elements. It hands out a random one of them, and puts the next element in its
# place. So an element can come at most n - 1 places early. Our files lie class by class. We shuffle with three buffers
# and count the classes in each batch of 32.

# %%
by_class = tf.data.Dataset.from_tensor_slices([label for label in range(5) for _ in range(144)])
curves = {}
for buffer in (32, 200, 720):
    batches = by_class.shuffle(buffer, seed=1).batch(32, drop_remainder=True)
    curves[f"shuffle({buffer})"] = [
        len(set(batch.tolist())) for batch in batches.as_numpy_iterator()
    ]
plots.lines(
    range(1, 23),
    curves,
    "batch",
    "different classes in it",
    "720 pictures of 5 classes, sorted by class",
)

# %% [markdown]
# With a buffer of 32 the network sees nearly one class at a time, and forgets the one before. Only a buffer as large as
# the data mixes fully. File *names* are small: shuffle these first, before anything is read. That is what the loader
# does.

# %%
mean = {name: np.mean(values) for name, values in curves.items()}
print({name: round(float(value), 1) for name, value in mean.items()})
assert mean["shuffle(32)"] < 2.5 < 4.5 < mean["shuffle(720)"]

# %% [markdown]
# ### The notes said: `cache().shuffle(1000)`
#
# Their dataset gave *batches*. So these two lines do something else than mixing pictures. Watch who shares a batch with
# whom, in two epochs; every picture's label is its own number.


# %%
def company(dataset):
    """Return, for one epoch, the set of pictures in each batch."""
    return [
        frozenset(numbers.tolist())
        for numbers in dataset.map(lambda _, number: number).as_numpy_iterator()
    ]


shuffled = load(labels=[*numbers], shuffle=True, seed=1, batch_size=32, image_size=(8, 8))
notes = shuffled.cache().shuffle(1000, seed=2)
first, second = company(notes), company(notes)
print(
    "same order of batches:", first == second, "| the same batches:", set(first) == set(second)
)
assert first != second
assert set(first) == set(second)

# %% [markdown]
# The cache keeps the first epoch's batches for ever. `shuffle` then deals the same hands in another order, and its
# buffer holds up to 1000 batches, which is the whole data set a second time. The other order is no better:
# `shuffle(...).cache()` freezes everything.
#
# The rule: **cache what never changes; whatever should be new in each epoch comes after it.** So cache single
# pictures, then shuffle, then batch.

# %%
singles = load(labels=[*numbers], batch_size=None, image_size=(8, 8))
frozen = singles.shuffle(total, seed=2).cache().batch(32)
right = singles.cache().shuffle(total, seed=2).batch(32)
for name, dataset in (("shuffle, cache, batch", frozen), ("cache, shuffle, batch", right)):
    first, second = company(dataset), company(dataset)
    print(f"{name}: the same in both epochs: {first == second}")
assert company(frozen) == company(frozen)
assert not set(company(right)) & set(company(right)), "not one batch has the same company"

# %% [markdown]
# ## 4 · What each stage costs, and what it buys
#
# Someone reads, someone trains. A slow disk is easy to imitate: it sleeps. So is a GPU that works on its own. We stamp
# the time whenever either begins and ends, and look at the stamps.
#
# Today's TensorFlow mends a slow pipeline behind our back: it adds a `prefetch` at the end, and runs a `map` in
# parallel. To see what the stages themselves do, we forbid it.

# %%
bare = tf.data.Options()
bare.experimental_optimization.apply_default_optimizations = False
bare.experimental_optimization.inject_prefetch = False
bare.threading.private_threadpool_size = 16  # sleepers need threads, not cores


@contextlib.contextmanager
def stamped(spans):
    """Append when the work inside began and ended."""
    began = time.perf_counter()
    yield
    spans.append((began, time.perf_counter()))


# %%
def rehearse(stage, batches=7, seconds=0.03):
    """Read and train, 30 ms each.

    Return when each was busy. `stage` is put behind the reader.
    """
    spans = {"read": [], "train": []}

    def read(number):
        with stamped(spans["read"]):
            time.sleep(seconds)
        return number

    source = tf.data.Dataset.range(batches).with_options(bare)
    reader = source.map(
        lambda number: tf.numpy_function(read, [number], tf.int64, stateful=False)
    )
    for _ in stage(reader):
        with stamped(spans["train"]):
            time.sleep(seconds)
    return spans


# %%
def took(spans):
    """Return the seconds from the first stamp to the last."""
    return max(end for row in spans.values() for _, end in row) - min(
        start for row in spans.values() for start, _ in row
    )


stages = {
    "without prefetch": lambda reader: reader,
    "with prefetch(1)": lambda reader: reader.prefetch(1),
}
rehearse(stages["with prefetch(1)"])  # the first time is always slower
tries = [{name: rehearse(stage) for name, stage in stages.items()} for _ in range(3)]
best = {name: min((one[name] for one in tries), key=took) for name in stages}

# %%
longest = max(took(spans) for spans in best.values())
figure, axes = plots.figure(2, 1, (8.4, 3.6))
for axis, (name, spans) in zip(axes.flat, best.items()):
    first_start = spans["read"][0][0]
    for row, busy in enumerate(spans.values()):
        bars = [(start - first_start, end - start) for start, end in busy]
        axis.broken_barh(bars, (row - 0.4, 0.8), color=plots.COLOURS[row], edgecolor="white")
    axis.set_yticks([0, 1], labels=list(spans))
    axis.set(title=f"{name}: {took(spans):.2f} s", xlabel="seconds", xlim=(0, 1.02 * longest))
    axis.invert_yaxis()
plots.describe(
    figure,
    "Who waits for whom",
    "Above, reading and training take turns",
    "Below, the next batch is read while the network trains",
)

# %% [markdown]
# Every gap is somebody who waits. Without `prefetch` each waits for the other. With it, batch 2 is read *while* batch 1
# is trained on. That is all that `prefetch` does: it puts a small store between **producer** and **consumer**, so that
# they can work at the same time.


# %%
def shared(spans):
    """Return the seconds in which both were busy."""
    return sum(
        max(0, min(r[1], t[1]) - max(r[0], t[0])) for r in spans["read"] for t in spans["train"]
    )


without, ahead = best["without prefetch"], best["with prefetch(1)"]
print(f"an epoch with prefetch: {took(without) / took(ahead):.1f}x as fast")
assert shared(without) == 0
assert shared(ahead) > 0.06, "reading went on while it trained"
assert took(ahead) < 0.9 * took(without)

# %% [markdown]
# Count on the picture. Without: 7 times read and train, 14 pieces in a row. With: one read, then 6 times the *slower*
# of the two, then the last training step: 8 pieces. If reading takes longer than training, prefetch cannot hide it.
#
# ### Exercise 2 · How long is an epoch?
#
# Write `epoch_seconds(read, train, batches, prefetch)`: the seconds one epoch takes, if reading a batch takes `read`
# seconds, training on it `train` seconds, and `prefetch` is `True` or `False`.


# %%
def epoch_seconds(read, train, batches, prefetch):
    # your code
    ...


# %%
exercises.epoch.check(epoch_seconds)

# %% [markdown]
# ### The notes said: "prefetch loads the batch to the GPU"
#
# Ask a batch where it is. And count how far ahead the producer runs, while nobody asks for more.

# %%
made = []


def make(number):
    made.append(number)
    return number


source = tf.data.Dataset.range(20).with_options(bare)
reader = source.map(lambda number: tf.numpy_function(make, [number], tf.int64, stateful=False))
for store in (1, 4):
    made.clear()
    iterator = iter(reader.prefetch(store))
    batch, end = next(iterator), time.monotonic() + 5
    while len(made) <= store and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)  # would it make more?
    print(
        f"prefetch({store}): 1 batch taken, {len(made)} made; it lies on the "
        f"{batch.device.split(':')[-2]}"
    )
    assert len(made) == store + 1
    assert "CPU" in batch.device

# %% [markdown]
# The store is in the computer's own memory. The copy to the GPU comes later, when a training step asks for the batch.
# (Another stage, `tf.data.experimental.prefetch_to_device`, would put it there before.)
#
# `AUTOTUNE` leaves a number to TensorFlow, which tries some while it runs: how large a store, how many workers. It is
# only the number -1. Its old name `tf.data.experimental.AUTOTUNE` is the same -1.
#
# ### Parallel map: several readers
#
# If reading is the slow part, let several read at once. Predict: 24 reads of 20 ms with 8 workers?


# %%
def slow_file(path):
    time.sleep(0.02)
    return path


def read_all(workers, count=24):
    """Return the seconds it takes to read `count` slow files."""
    source = tf.data.Dataset.range(count).with_options(bare)
    files = source.map(
        lambda path: tf.numpy_function(slow_file, [path], tf.int64, stateful=False),
        num_parallel_calls=workers,
    )
    began = time.perf_counter()
    found = [int(path) for path in files]
    assert found == list(range(count)), "in parallel, and still in order"
    return time.perf_counter() - began


# %%
fastest = {
    name: min(read_all(workers) for _ in range(3))
    for name, workers in {"one": None, "eight": 8, "AUTOTUNE": tf.data.AUTOTUNE}.items()
}
print(
    f"eight readers: {fastest['one'] / fastest['eight']:.1f}x, AUTOTUNE: "
    f"{fastest['one'] / fastest['AUTOTUNE']:.1f}x"
)
assert fastest["eight"] < fastest["one"] / 2
assert fastest["AUTOTUNE"] < fastest["one"]
assert tf.data.AUTOTUNE == tf.data.experimental.AUTOTUNE == -1

# %% [markdown]
# Sleepers share one core gladly. Decoders do not: with real JPEGs, more workers than cores buy little. And the order
# stays: results are handed out as they were asked for. `deterministic=False` gives that up, for a little speed.
#
# ### Cache: read once
#
# Now for real: our own files, decoded and resized in the first epoch. In the second there is nothing left to do.


# %%
def seconds(dataset):
    """Return the seconds of one epoch in which nobody trains."""
    began = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - began


cached = load(batch_size=None, crop_to_aspect_ratio=True).cache()
epochs = [seconds(cached.batch(64)) for _ in range(4)]
print(f"the second epoch: {epochs[0] / min(epochs[1:]):.0f}x as fast as the first")
assert min(epochs[1:]) < epochs[0] / 2

as_float = next(iter(cached))[0].numpy()
print(
    f"one picture: {as_float.nbytes:,} bytes as {as_float.dtype}, "
    f"{as_float.astype('uint8').nbytes:,} as uint8"
)

# %% [markdown]
# The price is memory: all pictures of all classes, as floats. Rounded to `uint8` they need a quarter. If even that is
# too much, `cache("some/file")` keeps them on disk, decoded. A cache is filled by one *complete* epoch, and it keeps
# whatever came before it, random changes too. So notebook 07 will augment *after* the cache.
#
# Here is the whole recipe, for the network of the next section.

# %%
split = load(
    validation_split=0.2,
    subset="both",
    seed=123,
    shuffle=True,
    crop_to_aspect_ratio=True,
    batch_size=None,
)


def compact(image, label):
    return tf.cast(tf.round(image), tf.uint8), label


train, val = (part.map(compact, num_parallel_calls=tf.data.AUTOTUNE).cache() for part in split)
n_train, n_val = (len(part.file_paths) for part in split)
train = train.shuffle(n_train, seed=0).batch(32).prefetch(tf.data.AUTOTUNE)
val = val.batch(64).prefetch(tf.data.AUTOTUNE)
print(n_train, "pictures to train in", int(train.cardinality()), "batches,", n_val, "to judge")
assert sum(len(labels) for _, labels in train) == n_train
assert len({int(label) for _, labels in val for label in labels}) > num_classes / 2, (
    "mixed before it was split"
)

# %% [markdown]
# ### Exercise 3 · The right order
#
# Write `tuned(files, read, vary, batch_size)`. `files` is a `tf.data.Dataset` of file numbers. `read` turns one into a
# picture and a label, slowly and always in the same way. `vary` takes a picture and a label and changes the picture a
# little, each time otherwise. Return a dataset of batches such that: each file is read once, however many epochs there
# are; order, company and changes are new in every epoch; no picture is lost; and the next batch is being made while one
# is in use. It should not matter that the files are sorted by class.


# %%
def tuned(files, read, vary, batch_size):
    # your code
    ...


# %%
exercises.order.check(tuned)

# %% [markdown]
# ## 5 · A network that looks
#
# A dense layer would give every pixel of every place a weight of its own. A **convolution** slides one small window of
# weights, its **kernel**, over the whole picture. We give it a kernel by hand: right neighbour minus left. What will it
# see?

# %%
photo = tf.cast(next(iter(val))[0][:1], tf.float32)
grey = tf.reduce_mean(photo, axis=-1, keepdims=True)
# Rows, columns, in, out.
kernel = tf.reshape(tf.constant([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]), (3, 3, 1, 1))
edges = tf.nn.relu(tf.nn.conv2d(grey, kernel, strides=1, padding="SAME"))
pooled = tf.nn.max_pool2d(edges, ksize=2, strides=2, padding="VALID")
shown = [
    grey,
    edges / tf.reduce_max(edges) * 255,
    tf.image.resize(pooled, (SIZE, SIZE), "nearest"),
]
shown[2] = shown[2] / tf.reduce_max(shown[2]) * 255
titles = [
    "grey",
    "edges from dark to light",
    f"the largest of 2 x 2, {pooled.shape[1]} x {pooled.shape[2]}",
]
plots.image_grid(
    [image[0] for image in shown],
    titles,
    columns=3,
    size=2.4,
    title="Nine weights find edges everywhere",
)

# %%
row, column = 20, 30
window = grey[0, row - 1 : row + 2, column - 1 : column + 2, 0]
assert np.isclose(
    edges[0, row, column, 0],
    max(0, float(tf.reduce_sum(window * kernel[..., 0, 0]))),
    atol=1e-2,
)
assert edges.shape == grey.shape, "padding SAME: a border of zeros keeps the size"
assert pooled[0, 10, 15, 0] == tf.reduce_max(edges[0, 20:22, 30:32, 0])

# %% [markdown]
# Nine weights, used at every place. The network below learns 16 such kernels, then 32 that look at these 16, then 64.
# After each, **max pooling** keeps the largest of 2 x 2 values: the picture gets half as wide, and a flower may move a
# pixel without anything changing. Pixels come as 0..255; **Rescaling** multiplies them by 1/255 first.


# %%
def build(size, num_classes):
    """Return the CNN of the notes.

    Three blocks of convolution and pooling, then two dense layers.
    """
    model = keras.Sequential([keras.Input((size, size, 3)), keras.layers.Rescaling(1 / 255)])
    for filters in (16, 32, 64):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(128, activation="relu"))
    model.add(keras.layers.Dense(num_classes))  # raw scores, one for each class
    return model


# %%
scaled = build(SIZE, num_classes).layers[0](photo)
assert 0 <= float(tf.reduce_min(scaled)) < float(tf.reduce_max(scaled)) <= 1

# %% [markdown]
# Now by hand, for the 180 x 180 pictures and 5 classes of the notes. A kernel of the second block looks at 3 x 3 places
# in 16 channels: 144 weights and one bias. There are 32 of them. And half of 45 is 22: the last row and column fall
# off.

# %%
size, channels, expected = 180, 3, [((180, 180, 3), 0)]
for filters in (16, 32, 64):
    expected.append(((size, size, filters), 3 * 3 * channels * filters + filters))
    size, channels = size // 2, filters
    expected.append(((size, size, filters), 0))
flat = size * size * channels
expected += [((flat,), 0), ((128,), flat * 128 + 128), ((5,), 128 * 5 + 5)]

model = build(180, 5)
for layer, (shape, parameters) in zip(model.layers, expected):
    print(f"{type(layer).__name__:13} {shape!s:15} {parameters:10,} parameters")
    assert layer.output.shape[1:] == shape
    assert layer.count_params() == parameters

# %%
dense = expected[-2][1]
print(
    f"{model.count_params():,} parameters, {dense / model.count_params():.1%} of them in one "
    "dense layer"
)
assert model.count_params() == sum(parameters for _, parameters in expected) == 3_989_285

twin = models.small_cnn(num_classes=5, image_size=180)  # the course's own
twin.set_weights(model.get_weights())
some = np.random.default_rng(0).uniform(0, 255, (2, 180, 180, 3)).astype("float32")
assert [layer.output.shape for layer in twin.layers[1:]] == [
    layer.output.shape for layer in model.layers
]
assert np.allclose(twin(some), model(some), atol=1e-4)

# %% [markdown]
# The part that looks has 23,584 parameters. The part that decides has nearly four million. Remember that when it
# learns by heart.
#
# ### Exercise 4 · Count them
#
# Write `count_parameters(size, filters, units, num_classes)` for this kind of network: `filters` has one number for
# each block, `units` is the width of the hidden dense layer.


# %%
def count_parameters(size, filters, units, num_classes):
    # your code
    ...


# %%
exercises.count.check(count_parameters)

# %% [markdown]
# ### The notes said: `layers.experimental.preprocessing`, and two arguments of `compile`
#
# The notes are some years old. What was experimental then has moved or gone.

# %%
model = build(SIZE, num_classes)
print(complaint(lambda: keras.layers.experimental.preprocessing.Rescaling(1 / 255)))
print(complaint(lambda: model.compile("adam", "mse", sample_weight_mode="temporal")))
print(complaint(lambda: model.compile("adam", "mse", target_tensors=[])))

# %% [markdown]
# `Rescaling` and its family are plain layers today. A weight for each time step needs no mode: pass `sample_weight` of
# that shape. Targets are what the dataset gives.
#
# ## 6 · Train, and read both curves
#
# Our last layer gives raw scores, **logits**. So the loss must be told: `from_logits=True`. Our labels are whole
# numbers, so it is the *sparse* one.

# %%
EPOCHS = course.pick(quick=12, full=10)
keras.utils.set_random_seed(0)
model = build(SIZE, num_classes)
model.compile(
    "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
history = model.fit(train, validation_data=val, epochs=EPOCHS, verbose=0, shuffle=False).history
plots.learning_curves({"CNN": history}, title="Two curves, two stories")

# %% [markdown]
# Read the two together. Both fall at first: it learns what flowers look like. Then the dashed line goes on and the
# solid one does not: from there it learns *these* pictures. That is **overfitting**, and the gap between the lines
# is its measure. The loss often shows it first, because it also counts how *sure* a wrong answer was.

# %%
gap = history["accuracy"][-1] - history["val_accuracy"][-1]
best_epoch = 1 + int(np.argmin(history["val_loss"]))
print(
    f"gap in accuracy {gap:.2f} | lowest validation loss before the last epoch: "
    f"{best_epoch < EPOCHS}"
)
assert gap > 0.1
assert history["loss"][-1] < history["loss"][0] / 2
assert history["val_accuracy"][-1] > 1.5 / num_classes, "it beats guessing by far, all the same"
assert best_epoch < EPOCHS

# %% [markdown]
# ### Exercise 5 · Read the curves
#
# Write `read_curves(history)` for a `history` as above. Return two numbers: the epoch, counted from 1, after which the
# network should have stopped, that is the one of the lowest validation loss; and the gap in accuracy, training minus
# validation, after the *last* epoch.


# %%
def read_curves(history):
    # your code
    ...


# %%
exercises.curves.check(read_curves)

# %% [markdown]
# Which flowers does it mix up?

# %%
score = training.evaluate(model, val)
print(score)
plots.confusion_matrix(score.confusion, class_names)

# %% [markdown]
# ### The notes said: load the validation part like the training part
#
# Then it is shuffled, anew in every pass. `fit` does not mind. But whoever reads the labels in one pass and the
# guesses in another compares two different orders:

# %%
mixed = load(
    validation_split=0.2, subset="validation", seed=123, shuffle=True, crop_to_aspect_ratio=True
)
true = np.concatenate([labels for _, labels in mixed.as_numpy_iterator()])
guesses = model.predict(mixed, verbose=0).argmax(axis=1)
print(
    f"in two passes: accuracy {np.mean(true == guesses):.3f}, in one pass: accuracy "
    f"{score.accuracy:.3f}"
)
assert np.mean(true == guesses) < score.accuracy - 0.1

# %% [markdown]
# The network is the same. Only the bookkeeping is wrong, and the result looks like guessing.
#
# ### The notes said: one-hot labels, sparse loss; a softmax too many, or none
#
# `label_mode="categorical"` makes one-hot labels, and the sparse loss wants whole numbers. Keras says so. It says
# less about the softmax. Here is a network that is *right*, and sure of it, under three settings:

# %%
one_hot = load(label_mode="categorical").take(1)
print(complaint(lambda: model.evaluate(one_hot, verbose=0)))

sparse = keras.losses.SparseCategoricalCrossentropy
logits, label = tf.constant([[9.0, -3, -3, -3, -3]]), tf.constant([0])
losses = {
    "logits, from_logits=True": sparse(from_logits=True)(label, logits),
    "softmax, from_logits=False": sparse(from_logits=False)(label, tf.nn.softmax(logits)),
    "twice: softmax, from_logits=True": sparse(from_logits=True)(label, tf.nn.softmax(logits)),
}
for name, loss in losses.items():
    print(f"{name:34} {float(loss):.3f}")
assert np.isclose(
    float(losses["twice: softmax, from_logits=True"]), np.log(np.e + 4) - 1, atol=1e-3
)

# %% [markdown]
# Twice: the second softmax gets numbers between 0 and 1 and makes them nearly equal. With five classes the loss can
# never fall below 0.905, however good the network. It trains, slowly. Keras warns only where the softmax is the last
# layer of the model itself.
#
# Never is worse. Without the softmax, scores are taken for probabilities: everything below 0 is cut off, and where
# something was cut off there is no gradient. Let the true class have a score of -3:

# %%
scores, label, pull = tf.Variable([[9.0, -3, -3, -3, -3]]), tf.constant([1]), {}
for from_logits in (True, False):
    with tf.GradientTape() as tape:
        loss = sparse(from_logits=from_logits)(label, scores)
    pull[from_logits] = -float(tape.gradient(loss, scores)[0, 1]) + 0.0
    print(
        f"from_logits={from_logits!s:5} loss {float(loss):6.3f}, pulls the true class up by "
        f"{pull[from_logits]:.3f}"
    )
assert pull[True] > 0.9
assert pull[False] == 0

# %% [markdown]
# The worse the mistake, the less it learns from it.
#
# ### The notes said: batch normalisation works "by reducing internal covariate shift"
#
# **Batch normalisation** gives each channel of a batch mean 0 and spread 1, then a learned scale and shift. Its
# inventors thought: a layer learns better if its inputs keep their distribution while the layers below change. It
# helps, no doubt. But is that the reason? Santurkar and others put it to the test, and so can we, in small. Take a deep
# network; the same with batch normalisation; and a third, in which *after* each normalisation the distribution is
# shaken at random in every step. If the notes were right, the third should be no better than the first.


# %%
class Shaken(keras.layers.Layer):
    """In training, scale and shift every unit, by other random amounts in every step."""

    def __init__(self, seed):
        super().__init__()
        self.draw = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training:
            return x
        units = (1, x.shape[-1])
        scale = keras.random.uniform(units, 0.7, 1.3, x.dtype, self.draw)
        return x * scale + keras.random.normal(units, 0.0, 0.2, x.dtype, self.draw)


# %%
def deep(kind):
    """Return eight layers, "plain", "normalised" or "shaken", and the output of the fourth."""
    keras.utils.set_random_seed(0)
    outputs, inputs = [], keras.Input((16, 16, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    for depth in range(8):
        x = keras.layers.Dense(64)(x)
        x = x if kind == "plain" else keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(Shaken(depth)(x) if kind == "shaken" else x)
        outputs.append(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x)), keras.Model(
        inputs, outputs[3]
    )


# %%
thumbnails = data.flowers(image_size=16, verbose=False)
x_small, y_small = (part[:2000] for part in thumbnails.arrays("train"))
shift, losses = {}, {}
for kind in ("plain", "normalised", "shaken"):
    network, fourth = deep(kind)
    network.compile(keras.optimizers.SGD(0.1), sparse(from_logits=True))
    losses[kind], seen = [], []
    for _ in range(10):
        losses[kind] += network.fit(
            x_small, y_small, batch_size=64, epochs=1, verbose=0
        ).history["loss"]
        seen.append(fourth(x_small[:256], training=True).numpy())
    means = np.mean(seen, axis=1)  # of each unit, after each epoch
    shift[kind] = float(np.abs(np.diff(means, axis=0)).mean() / np.std(seen))
plots.lines(
    range(1, 11), losses, "epoch", "training loss", "Shaken inputs, and still it learns"
)

# %%
most = max(shift, key=shift.get)
print("inputs of layer 5 shift most from epoch to epoch in the network that is", most)
assert most == "shaken"
assert losses["normalised"][-1] < losses["plain"][-1] - 0.3
assert losses["shaken"][-1] < losses["plain"][-1] - 0.1

# %% [markdown]
# Its inputs shift more than those of the plain network, and it learns far better. So keeping them steady cannot be the
# whole reason. Santurkar's own is that the loss becomes smoother, so that longer steps are safe. The question is still
# open; that it helps is not.
#
# ## Summary
#
# - A folder of classes needs one call. Crop rather than stretch; split with `subset="both"` and a seed.
# - Cache what never changes; shuffle, vary and batch after it; prefetch last.
# - `prefetch` lets reader and trainer work at the same time. An epoch then takes as long as the slower of the two.
# - A convolution has 3 x 3 x channels weights and a bias for each filter; most parameters sit in the first dense layer.
# - Two curves together tell learning from learning by heart. The gap between them is overfitting.
#
# **Next** notebook 07 closes the gap a little, with pictures that are never the same twice.
#
# ## References
#
# - Murray et al. (2021), *tf.data: A Machine Learning Data Processing Framework*
#   [arXiv:2101.12127](https://arxiv.org/abs/2101.12127)
# - LeCun et al. (1998), *Gradient-Based Learning Applied to Document Recognition*
#   [doi:10.1109/5.726791](https://doi.org/10.1109/5.726791)
# - Ioffe, Szegedy (2015), *Batch Normalization* [arXiv:1502.03167](https://arxiv.org/abs/1502.03167)
# - Santurkar et al. (2018), *How Does Batch Normalization Help Optimization?*
#   [arXiv:1805.11604](https://arxiv.org/abs/1805.11604)
# - Keras: [image data loading](https://keras.io/api/data_loading/image/); TensorFlow: [better performance with
#   tf.data](https://www.tensorflow.org/guide/data_performance)
