# %% [markdown]
# # 06 · Input pipelines and a first CNN
#
# An **input pipeline** reads images from files, prepares them, and gives them to the network in batches. This notebook
# builds one, measures each part of it, and trains a first **convolutional neural network** (CNN) with it.
#
# You will be able to
# - turn a folder of classes into two datasets, and predict what each argument changes,
# - put the parts of an input pipeline in an order in which no image is lost and every epoch is different,
# - calculate how long an epoch takes, with and without `prefetch`,
# - calculate the output shapes and the parameters of a CNN by hand,
# - find overfitting in the learning curves, and measure it.
#
# **Needs** notebook 02: `compile`, `fit`, validation. The section *For reference* uses a callback (notebook 05).
# **Time** 105 minutes to read, 45 for the exercises; under 60 seconds to run on two CPU cores.

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
import math
import os
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from textwrap import shorten

import keras
import numpy as np
import tensorflow as tf

from helpers import data, models, plots
from helpers.exercises import ex06_input_pipelines_and_cnn as exercises

SIZE = course.pick(quick=64, full=128)  # height and width of the network's images, in pixels
flowers = data.flowers(image_size=course.pick(quick=192, full=256))
num_classes = len(flowers.class_names)

# %% [markdown]
# Without a download, the course uses small drawings of five kinds of flowers. The message above says how to use
# photographs instead.
#
# ## 1 · A folder of classes
#
# A classifier needs images that are sorted by class. One folder for each class is a common form. The next cell
# writes our flowers to a temporary folder in this form. It makes every second image wider than high, with the sides 4
# and 3, like many photographs.

# %%
temporary = tempfile.TemporaryDirectory(prefix="course-06-", ignore_cleanup_errors=True)
root = Path(temporary.name) / "flowers"
for name in flowers.class_names:
    folder = root / name
    folder.mkdir(parents=True)

everything = flowers.train.concatenate(flowers.val)
for number, (image, label) in enumerate(everything):
    if number % 2 == 1:
        eighth = image.shape[0] // 8
        image = image[eighth:-eighth]  # without the rows at the top and at the bottom
    encoded = tf.io.encode_jpeg(image, quality=95)
    name = flowers.class_names[label]
    file = root / name / f"{number:05}.jpg"
    file.write_bytes(encoded.numpy())

for folder in sorted(root.iterdir()):
    files = sorted(folder.iterdir())
    print(folder.name, "has", len(files), "files")

# %% [markdown]
# `image_dataset_from_directory` turns such a folder into a dataset of batches. Each folder is a class. The labels are 0,
# 1, 2, ... in alphabetical order of the folders. We ask for two datasets: one for training, and one with a fifth of the
# images for validation.

# %%
train, val = keras.utils.image_dataset_from_directory(
    root,
    validation_split=0.2,
    subset="both",
    seed=123,
    image_size=(SIZE, SIZE),
    batch_size=32,
)
class_names = train.class_names
assert class_names == sorted(flowers.class_names)

# %%
images, labels = next(iter(train))
values = images.numpy()
print("images:", images.shape, values.dtype)
print("values: from", values.min(), "to", values.max())
print("labels:", labels.shape, "such as", labels.numpy()[:5])
titles = [class_names[label] for label in labels[:10]]
plots.image_grid(
    images[:10],
    titles,
    title="Ten images of a batch, each with its class",
)

# %% [markdown]
# One batch has 32 images of 64 x 64 pixels with three colours. The values are floats from 0 to 255. Keras has decoded the
# JPEG files and has changed the size of the images. Some flowers look too narrow. Section 2 explains why.
#
# ### A common mistake: a missing comma
#
# The next call has no comma after `"categorical"`. Python does not run any of it. We put the code into a string, so that
# the rest of this notebook still runs. `show_error` runs a function and prints the error.


# %%
def show_error(action):
    """Run a function without arguments, and print its error in one line."""
    try:
        action()
        print("no error")
    except Exception as error:
        message = shorten(str(error), 90)
        print(f"{type(error).__name__}: {message}")


code = """
train = keras.utils.image_dataset_from_directory(
    root,
    label_mode="categorical"
    image_size=(64, 64),
)
"""
show_error(lambda: compile(code, filename="cell", mode="exec"))

# %% [markdown]
# Python suggests the right thing: a comma belongs between two arguments. **What to write instead:** one argument on each
# line, and a comma after every line.
#
# ### A common mistake: `class_names` after another method
#
# Methods such as `prefetch` return a new dataset. The new dataset has no `class_names`.

# %%
show_error(lambda: train.prefetch(tf.data.AUTOTUNE).class_names)

# %% [markdown]
# **What to write instead:** `class_names = train.class_names` directly after loading, as above.
#
# ### A common mistake: `images, labels = train.take(5)`
#
# `take(5)` returns a dataset of five batches. Python tries to give one batch to each name. There are five batches and two
# names, so there is an error. With `take(2)` there is no error. What is in `images` then?

# %%
code = "images, labels = train.take(5)"
show_error(lambda: exec(code))

images, labels = train.take(2)
print("images is a", type(images).__name__)
print("images[0] has the shape", images[0].shape)
print("images[1] has the shape", images[1].shape)
assert images[0].shape == (32, SIZE, SIZE, 3)

# %% [markdown]
# `images` is the whole first batch, a tuple of images and labels. `labels` is the whole second batch. **What to write
# instead:** `next(iter(train))` for one batch, or a loop for several batches.

# %%
images, labels = next(iter(train))
print("images has the shape", images.shape)
print("labels has the shape", labels.shape)

# %% [markdown]
# ## 2 · The arguments of `image_dataset_from_directory`
#
# | argument | what it decides |
# |---|---|
# | `labels` | the labels come from the folders (`"inferred"`), from your list, or there are none (`None`) |
# | `label_mode` | `"int"`, `"categorical"` (one-hot), `"binary"` (two classes), or `None` |
# | `class_names` | which folders are used, and which class is 0, 1, ... |
# | `color_mode` | 3, 1 or 4 channels: `"rgb"`, `"grayscale"` or `"rgba"` |
# | `batch_size` | the number of images in a batch, or `None` for single images |
# | `image_size` | the height and width that all images get |
# | `interpolation` | how new pixels are calculated from old ones |
# | `crop_to_aspect_ratio`, `pad_to_aspect_ratio` | what happens if width : height is not as wanted |
# | `validation_split`, `subset`, `seed`, `shuffle` | which images, in which order |
# | `data_format` | `"channels_last"` or `"channels_first"`: where the channels stand in the shape |
# | `follow_links`, `format`, `verbose` | see *For reference*, at the end |
#
# A **channel** is one number of each pixel: red, green or blue; for `"rgba"` also the opacity. We try the arguments on
# our folder. Which shape will one-hot labels have?


# %%
def load(**settings):
    """Load our folder with some settings, by default in the order of the file names."""
    defaults = {
        "image_size": (SIZE, SIZE),
        "shuffle": False,
        "verbose": False,
    }
    return keras.utils.image_dataset_from_directory(root, **{**defaults, **settings})


def describe(dataset):
    """Print the shapes and types of one element of a dataset."""
    for part in tf.nest.flatten(dataset.element_spec):
        print(f"  {part.shape!s:22} {part.dtype.name}")


for mode in ("int", "categorical", None):
    print("label_mode", mode)
    describe(load(label_mode=mode))

# %% [markdown]
# The first size is `None`, because the last batch may be smaller. One-hot labels have the shape (batch, classes). With
# `None` there are no labels.

# %%
print("binary, two classes")
describe(
    load(
        label_mode="binary",
        class_names=["roses", "daisy"],
    )
)
print("grayscale, channels first")
describe(
    load(
        label_mode=None,
        color_mode="grayscale",
        data_format="channels_first",
    )
)
print("rgba, single images")
describe(
    load(
        label_mode=None,
        color_mode="rgba",
        batch_size=None,
    )
)

# %% [markdown]
# **The order of the classes.** `class_names` decides which folders are used, *and* their labels. So roses are class 0
# below, and class 2 in the dataset of section 1. Two datasets with different `class_names` must not be mixed.

# %%
two_classes = load(class_names=["roses", "daisy"])
print("two classes:", two_classes.class_names)
print("all classes:", class_names)

# %% [markdown]
# **Your own labels.** `labels` may be a list with one label for each file, in the order of the sorted file names. Keras
# cannot check the order. Here each image gets its number in this order. Section 3 will use such labels.

# %%
total = len(load().file_paths)
numbered = load(labels=list(range(total)), batch_size=None)
print([int(label) for image, label in numbered.take(3)])

# %% [markdown]
# ### Image size
#
# Below you see one wide image six times, as 32 x 32 pixels. In which of the six is the flower too narrow?

# %%
WIDE = 3  # in the sorted list, the first wide image is file 3
ways = {
    "the default": {},
    "crop_to_aspect_ratio": {"crop_to_aspect_ratio": True},
    "pad_to_aspect_ratio": {"pad_to_aspect_ratio": True},
    "crop, nearest": {"crop_to_aspect_ratio": True, "interpolation": "nearest"},
    "crop, area": {"crop_to_aspect_ratio": True, "interpolation": "area"},
    "crop, bicubic": {"crop_to_aspect_ratio": True, "interpolation": "bicubic"},
}
resized = []
for arguments in ways.values():
    dataset = load(batch_size=None, image_size=(32, 32), **arguments)
    image, label = next(iter(dataset.skip(WIDE)))
    resized.append(image.numpy())
plots.image_grid(
    resized,
    list(ways),
    columns=6,
    title="The default makes a wide image narrower; cropping and padding keep its proportions",
)

# %% [markdown]
# Only in the first one. By default, width and height are changed separately. `crop_to_aspect_ratio` first cuts off the two
# sides. `pad_to_aspect_ratio` keeps the whole image and adds black bars. **Interpolation** is how new pixels are
# calculated. [There are several methods](https://www.tensorflow.org/api_docs/python/tf/image/resize). `"nearest"` copies one
# old pixel. `"area"` takes the mean of the old pixels that a new pixel covers. `"bicubic"` can leave the range 0 to 255:

# %%
for name, image in zip(ways, resized):
    print(f"{name}: lowest value {image.min():.1f}")
assert resized[-1].min() < 0

# %% [markdown]
# ### Training and validation images
#
# `validation_split=0.2` cuts the list of files in two. `subset` says which part you get. With `shuffle=True`, the list is
# shuffled before the cut. `seed` decides the new order.
#
# ### A common mistake: two calls with two seeds
#
# The training part is loaded with seed 123, the validation part with another seed. How many of the 180 validation images
# are also training images?

# %%
split = {"validation_split": 0.2, "shuffle": True}
training_files = set(load(subset="training", seed=123, **split).file_paths)
for seed in (123, 124):
    validation_files = set(load(subset="validation", seed=seed, **split).file_paths)
    in_both = training_files & validation_files
    print(f"training seed 123, validation seed {seed}: {len(in_both)} images in both parts")
assert len(in_both) > 0.1 * total

# %% [markdown]
# With one seed: none. With two seeds: most of them. The network would be judged on images that it was trained on. Without
# shuffling there is another problem. The last fifth of the files is not a fair sample:

# %%
unshuffled = load(
    subset="validation",
    validation_split=0.2,
    shuffle=False,
)
classes = [Path(path).parent.name for path in unshuffled.file_paths]
counts = Counter(classes)
print("validation images without shuffling:", dict(counts))

# %% [markdown]
# All are tulips, the last class of the alphabet. **What to write instead:** `subset="both"`. One call gives both parts,
# so there is one seed. No image is in both parts. The validation images keep one order, the training images do not:

# %%
both = load(
    subset="both",
    seed=123,
    **split,
)
for part, dataset in zip(("training", "validation"), both):
    for epoch in (1, 2):
        images, labels = next(iter(dataset))
        print(part, "epoch", epoch, "labels", labels.numpy()[:12])

# %% [markdown]
# ### Exercise 1 · A split without overlap
#
# Write `load_split(folder, size, proportion, seed)`. Return two datasets with batches of 8: one for training, one for
# validation.
# - `proportion` is the proportion of the images for validation.
# - Images have `size` x `size` pixels. Flowers keep their proportions, and there are no black bars.
# - Labels are one-hot.
# - No image is in both datasets.
# - The order of the training images is new in every epoch. The order of the validation images is fixed.
#
# Run the next cell to check your answer. `exercises.split.hint()` gives a hint. Call it again for a clearer hint.
# `exercises.split.solution()` shows one right answer.


# %%
def load_split(folder, size, proportion, seed):
    # your code
    ...


# %%
exercises.split.check(load_split)

# %% [markdown]
# ## 3 · Transformations, one at a time
#
# An **element** is what a dataset gives in one step of a loop: here a batch, or a single image with its label. A
# **transformation** is a method that returns a new dataset, such as `take`, `batch`, `map` or `shuffle`. Files are not read
# at this moment, but later, in a loop over the dataset.
#
# We count the elements and the images after some transformations. Which of the five datasets below have fewer than 720
# images?

# %%
train = load(
    crop_to_aspect_ratio=True,
    subset="both",
    seed=123,
    **split,
)[0]
single = train.unbatch()
datasets = {
    "train": train,
    "train.take(2)": train.take(2),
    "train.unbatch()": single,
    "train.unbatch().batch(50)": single.batch(50),
    "train.unbatch().batch(50, drop_remainder=True)": single.batch(50, drop_remainder=True),
}
for name, dataset in datasets.items():
    sizes = [int(tf.size(label)) for image, label in dataset]
    shape = dataset.element_spec[0].shape
    print(name)
    print("  elements:", len(sizes), "  images:", sum(sizes), "  in the last:", sizes[-1])
    print("  cardinality:", int(dataset.cardinality()), "  shape:", shape)

# %% [markdown]
# Two: `take(2)` and `drop_remainder=True`.
# - `take(2)` takes two elements. Here these are two batches.
# - `unbatch` makes single images of the batches. `batch(50)` makes new batches.
# - `drop_remainder=True` drops the last batch if it is smaller. Now every batch has the same known shape. Do not use it for
#   validation: the 20 dropped images would not be counted.
# - **Cardinality** is the number of elements that a dataset knows it has. -2 means unknown. After `unbatch` it is unknown
#   here, because the last batch may be smaller.
#
# If you know the number, you can tell the dataset. Section 6 shows why this is useful.

# %%
dropped = datasets["train.unbatch().batch(50, drop_remainder=True)"]
tell = tf.data.experimental.assert_cardinality(720 // 50)
known = dropped.apply(tell)
print("without assert_cardinality:", int(dropped.cardinality()))
print("with assert_cardinality:", int(known.cardinality()))

# %% [markdown]
# ### Shuffle
#
# `shuffle(n)` keeps n elements in a **buffer**. In each step it gives a random element of the buffer, and the next element
# takes the free place. So an element can come at most n - 1 places too early. The files lie class by class. Here are 720
# labels in this order: 144 times class 0, then 144 times class 1, and so on. Which of the buffers 32, 200 and 720 is large
# enough, so that nearly every batch has all five classes?

# %%
sorted_labels = tf.data.Dataset.from_tensor_slices(np.repeat(range(5), 144))
curves = {}
for buffer in (32, 200, 720):
    batches = sorted_labels.shuffle(buffer, seed=1).batch(32, drop_remainder=True)
    counts = [len(set(batch)) for batch in batches.as_numpy_iterator()]
    curves[f"shuffle({buffer})"] = counts
    print(f"shuffle({buffer}): {np.mean(counts):.1f} classes in a batch on average")
plots.lines(
    x=range(1, 23),
    curves=curves,
    xlabel="batch",
    ylabel="classes in the batch",
    title="Only the buffer of 720 elements mixes all 720 labels",
)

# %% [markdown]
# Only the buffer of 720, which holds all elements. With a buffer of 32, a batch has one or two classes.
#
# `image_dataset_from_directory` shuffles the list of *all* files once, by `seed`. In each epoch it shuffles again, but [with
# a buffer of eight batches](https://github.com/keras-team/keras/blob/master/keras/src/utils/image_dataset_utils.py). With
# `batch_size=None` the buffer holds 1024 images. So for a full shuffle in every epoch, use `shuffle` yourself.
#
# ### A common mistake: `cache().shuffle(1000)` after `batch`
#
# `cache` keeps all elements of the first epoch in memory. Here the elements are batches. The 1000 looks like more than
# enough for 900 images. We watch two epochs. The label of each image is its own number.


# %%
def batches_of(dataset):
    """Return, for one epoch, the set of image numbers in each batch."""
    return [frozenset(label.numpy()) for image, label in dataset]


numbered = load(
    shuffle=True, seed=1, labels=list(range(total)), image_size=(8, 8), batch_size=32
)
mistaken = numbered.cache().shuffle(1000, seed=2)
first_epoch = batches_of(mistaken)
second_epoch = batches_of(mistaken)
common = set(first_epoch) & set(second_epoch)
print(len(common), "of", len(first_epoch), "batches hold the same images in both epochs")
assert len(common) == len(first_epoch)
assert first_epoch != second_epoch

# %% [markdown]
# The order of the batches is new. The images in each batch are the same in all epochs, because the cache holds whole
# batches. **What to write instead:** cache single images, then shuffle, then make batches. Does it also work with `shuffle`
# before `cache`?

# %%
singles = load(
    labels=list(range(total)),
    image_size=(8, 8),
    batch_size=None,
)
pipelines = {
    "shuffle, cache, batch": singles.shuffle(total, seed=2).cache().batch(32),
    "cache, shuffle, batch": singles.cache().shuffle(total, seed=2).batch(32),
}
for name, dataset in pipelines.items():
    first_epoch = batches_of(dataset)
    second_epoch = batches_of(dataset)
    common = set(first_epoch) & set(second_epoch)
    print(name)
    print("  equal batches:", len(common))
    print("  same order:", first_epoch == second_epoch)
assert not common

# %% [markdown]
# No: then the cache keeps the shuffled order, and both epochs are the same. The rule: **what stays the same comes before
# `cache`; what is new in every epoch comes after it.**
#
# ## 4 · Time: read and train at once
#
# The network waits while a batch is read, and the reader waits while the network trains. How much time is lost? We let
# both parts sleep instead of work: 30 ms to read a batch, 30 ms to train on it. The lists in `spans` get the start and
# the end of each sleep.

# %%
spans = {"read": [], "train": []}


def work(part, seconds=0.03):
    """Sleep, and note when the sleep began and ended."""
    begin = time.perf_counter()
    time.sleep(seconds)
    spans[part].append((begin, time.perf_counter()))


def read(number):
    work("read")
    return number


def slow_reader(function, count, calls=None):
    """Return a dataset that calls a Python function for each of its elements."""
    return tf.data.Dataset.range(count).map(
        lambda number: tf.numpy_function(function, [number], tf.int64, stateful=False),
        num_parallel_calls=calls,
    )


# %%
def run_epoch(dataset):
    """Train on all batches. Return the spans, and the seconds of the epoch."""
    spans["read"] = []
    spans["train"] = []
    for _ in dataset:
        work("train")
    begin = spans["read"][0][0]
    end = spans["train"][-1][1]
    return spans.copy(), end - begin


# %% [markdown]
# By default, TensorFlow [changes a pipeline](https://www.tensorflow.org/api_docs/python/tf/data/experimental/OptimizationOptions):
# for example, it adds a `prefetch` at the end. We switch this off, so that we see what each transformation does. The last
# line compares.

# %%
plain = tf.data.Options()
plain.experimental_optimization.apply_default_optimizations = False
plain.experimental_optimization.inject_prefetch = False
plain.threading.private_threadpool_size = 16  # sleeping needs threads, not processor cores

reader = slow_reader(read, count=7)
run_epoch(reader.with_options(plain))  # the first run is slower: do not count it
_, changed = run_epoch(reader)
_, unchanged = run_epoch(reader.with_options(plain))
print(f"with TensorFlow's changes {unchanged / changed:.1f}x as fast")
assert changed < unchanged

# %% [markdown]
# Now the same reader with and without our own `prefetch(1)`. We take the fastest of three runs.

# %%
pipelines = {
    "without prefetch": reader.with_options(plain),
    "with prefetch(1)": reader.prefetch(1).with_options(plain),
}
fastest = {}
for name, dataset in pipelines.items():
    runs = [run_epoch(dataset) for _ in range(3)]
    fastest[name] = min(runs, key=lambda run: run[1])

# %%
figure, axes = plots.figure(rows=2, columns=1, size=(8.4, 3.6))
for axis, name in zip(axes.flat, fastest):
    recorded = fastest[name][0]
    begin = recorded["read"][0][0]
    for row, part in enumerate(("read", "train")):
        bars = [(start - begin, end - start) for start, end in recorded[part]]
        axis.broken_barh(bars, (row - 0.4, 0.8), color=plots.COLOURS[row], edgecolor="white")
    axis.set_yticks([0, 1], labels=["read", "train"])
    axis.set_xlim(0, fastest["without prefetch"][1])
    axis.set_xlabel("seconds")
    axis.set_title(name)
    axis.invert_yaxis()
plots.describe(
    figure,
    "With prefetch, the next batch is read during training",
    "Above, reading and training take turns",
    "Below, they overlap",
)

# %% [markdown]
# Count the pieces from left to right. Above: 7 times read and train, 14 pieces. Below: one read, then 6 pieces in which
# batch n is trained on and batch n + 1 is read, then the last training step: 8 pieces. `prefetch(1)` keeps one finished
# element in a buffer. So the reader can work while the network trains.

# %%
slow = fastest["without prefetch"][1]
fast = fastest["with prefetch(1)"][1]
print(f"counted: 14 pieces / 8 pieces = {14 / 8}x")
print(f"measured: an epoch with prefetch is {slow / fast:.1f}x as fast")
assert fast < slow

# %% [markdown]
# If reading and training take different times, each of the 6 pieces in the middle lasts as long as the slower of the two.
# If reading is the slower part, the network still waits.
#
# ### Exercise 2 · How long is an epoch?
#
# Write `epoch_seconds(read, train, batches, prefetch)`: the seconds that one epoch takes. `read` and `train` are the seconds
# for one batch. `prefetch` is `True` or `False`.


# %%
def epoch_seconds(read, train, batches, prefetch):
    # your code
    ...


# %%
exercises.epoch.check(epoch_seconds)

# %% [markdown]
# ### A common mistake: more `prefetch` for a slow reader
#
# The idea behind the mistake: a larger `prefetch` reads with more threads. But the argument of `prefetch` is the size of a
# buffer, not a number of threads. We read 16 files of 20 ms each, without training. Which is faster: a buffer of 8, or 8
# parallel calls in `map`?


# %%
def read_slowly(number):
    time.sleep(0.02)
    return number


def seconds_to_read(dataset):
    """Return the seconds of the fastest of three epochs without training."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        assert list(dataset.as_numpy_iterator()) == list(range(16))
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


# %%
readers = {
    "prefetch(1)": slow_reader(read_slowly, count=16).prefetch(1),
    "prefetch(8)": slow_reader(read_slowly, count=16).prefetch(8),
    "num_parallel_calls=8": slow_reader(read_slowly, count=16, calls=8),
    "num_parallel_calls=AUTOTUNE": slow_reader(
        read_slowly,
        16,
        calls=tf.data.AUTOTUNE,
    ),
}
seconds = {}
for name, dataset in readers.items():
    seconds[name] = seconds_to_read(dataset.with_options(plain))
    print(f"{name:28} {1000 * seconds[name]:.0f} ms")
one_after_the_other = 16 * 0.02
assert seconds["prefetch(1)"] >= one_after_the_other
assert seconds["prefetch(8)"] >= one_after_the_other
assert seconds["num_parallel_calls=8"] < one_after_the_other
assert seconds["num_parallel_calls=AUTOTUNE"] < one_after_the_other

# %% [markdown]
# One after the other, 16 files need 16 x 20 = 320 ms or more. With the larger buffer they are still read one after the
# other. Parallel calls need less than 320 ms. The order of the elements stays the same: `seconds_to_read` asserts it. **What to write instead:** `map(..., num_parallel_calls=tf.data.AUTOTUNE)` for a slow function, and
# `prefetch(tf.data.AUTOTUNE)` at the end.
#
# With `AUTOTUNE`, TensorFlow chooses a number while the pipeline runs: [the size of the buffer for `prefetch`, the number
# of parallel calls for `map`](https://www.tensorflow.org/guide/data_performance). `AUTOTUNE` itself is the number -1.
# Older code writes `tf.data.experimental.AUTOTUNE`; it is the same -1.

# %%
print(tf.data.AUTOTUNE, tf.data.experimental.AUTOTUNE)
made = []


def note(number):
    made.append(int(number))
    return number


for size in (1, 4):
    made.clear()
    iterator = iter(slow_reader(note, count=20).prefetch(size).with_options(plain))
    next(iterator)
    time.sleep(0.3)
    print(f"prefetch({size}): 1 element taken, {len(made)} made")
    assert len(made) == size + 1

# %% [markdown]
# So `prefetch(4)` keeps four elements ready.
#
# ### Cache
#
# Now our real files: decode, crop, resize. `cache` keeps the results of the first epoch. How much faster is the second?


# %%
def seconds_of_epoch(dataset):
    """Return the seconds of one epoch without training."""
    begin = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - begin


cached = load(batch_size=None, crop_to_aspect_ratio=True).cache().batch(64)
first = seconds_of_epoch(cached)
later = min(seconds_of_epoch(cached) for epoch in range(3))
print(f"a later epoch is {first / later:.0f}x as fast as the first")
assert later < first / 2

# %%
images, labels = next(iter(cached))
image = images[0].numpy()
as_integers = np.round(image).astype("uint8")
print("one image as float32:", image.nbytes, "bytes")
print("one image as uint8:", as_integers.nbytes, "bytes")

# %% [markdown]
# A cache needs memory for all images. As `uint8` they need a quarter of it. The rounding changes a value by at most 0.5.
# If memory is still too small, `cache("a/file")` [writes to
# disk](https://www.tensorflow.org/api_docs/python/tf/data/Dataset#cache).
#
# ### The whole pipeline
#
# Here is the pipeline for the network of section 6: read and decode, cache, shuffle, batch, prefetch.

# %%
train, val = load(
    batch_size=None,
    crop_to_aspect_ratio=True,
    validation_split=0.2,
    subset="both",
    shuffle=True,
    seed=123,
)
n_train = len(train.file_paths)
n_val = len(val.file_paths)


def to_integers(image, label):
    return tf.cast(tf.round(image), tf.uint8), label


train = train.map(to_integers, num_parallel_calls=tf.data.AUTOTUNE).cache()
train = train.shuffle(n_train, seed=0).batch(32).prefetch(tf.data.AUTOTUNE)
val = val.map(to_integers, num_parallel_calls=tf.data.AUTOTUNE).cache()
val = val.batch(64).prefetch(tf.data.AUTOTUNE)
print(f"{n_train} images for training, {n_val} for validation")


# %%
def labels_of(dataset):
    """Return the labels of all images of a dataset, in its order."""
    return np.concatenate([label for image, label in dataset])


print("training images of each class:", np.bincount(labels_of(train)))
print("validation images of each class:", np.bincount(labels_of(val)))
assert len(labels_of(train)) == n_train

# %% [markdown]
# ### Exercise 3 · The right order
#
# Write `tuned(files, read, vary, batch_size)`. `files` is a dataset of file numbers, sorted by class. `read(number)` returns
# an image and a label. It is slow, and its result is always the same. `vary(image, label)` changes the image at random.
# Return a dataset of batches for which all of this is true:
# - Each file is read once, also over several epochs.
# - In every epoch the order is new, the images in each batch are new, and `vary` is called again.
# - No image is lost.
# - The next batch is prepared while the network trains.


# %%
def tuned(files, read, vary, batch_size):
    # your code
    ...


# %%
exercises.order.check(tuned)

# %% [markdown]
# ## 5 · A convolutional network
#
# A **convolution** moves a small window of weights over the whole image. The weights are the **kernel**. At each place, the
# pixels under the window are multiplied by the weights and added up. The kernel below subtracts the left column of the
# window from the right column; the middle row counts twice. ReLU sets negative results to 0. Which edges will be bright in the result?

# %%
kernel = tf.constant([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
images, labels = next(iter(val))
grey = tf.reduce_mean(tf.cast(images[:1], tf.float32), axis=-1, keepdims=True)
convolved = tf.nn.conv2d(
    grey,
    tf.reshape(kernel, (3, 3, 1, 1)),  # rows, columns, channels in, channels out
    strides=1,
    padding="SAME",
)
edges = tf.nn.relu(convolved)
plots.image_grid(
    [grey[0], edges[0] / tf.reduce_max(edges) * 255],
    ["the image in grey", "after convolution and ReLU"],
    size=2.4,
    title="The kernel finds edges that are darker on the left than on the right",
)

# %% [markdown]
# Edges with dark pixels on the left and bright pixels on the right. We calculate one place by hand:

# %%
window = grey[0, 19:22, 29:32, 0]
by_hand = tf.reduce_sum(window * kernel)
result = convolved[0, 20, 30, 0]
print(f"by hand {by_hand:.2f}, conv2d {result:.2f}")
assert np.isclose(by_hand, result)

# %% [markdown]
# ### Padding
#
# At the border, the window does not fit into the image. `padding="same"` adds a border of zeros. `padding="valid"` leaves
# these places out. The image below is 5 x 5 ones, the kernel 3 x 3 ones. So each result is the number of pixels under
# the window. How large are the two results?

# %%
ones = np.ones((1, 5, 5, 1), "float32")
for padding in ("same", "valid"):
    layer = keras.layers.Conv2D(
        filters=1, kernel_size=3, padding=padding, kernel_initializer="ones"
    )
    result = layer(ones)
    print(f"{padding}: shape {tuple(result.shape)}")
    print(result[0, :, :, 0].numpy().astype(int))

# %% [markdown]
# With `"same"` the size stays 5 x 5; at the border, fewer pixels are counted. With `"valid"`, the default, the result is
# 3 x 3. With `"valid"`, a kernel of size k makes height and width smaller by k - 1.
#
# ### Pooling
#
# **Max pooling** keeps the largest value of each window. `pool_size=2` means windows of 2 x 2. What is left of a 5 x 5 image?

# %%
square = np.arange(25, dtype="float32").reshape(5, 5)
print(square.astype(int))
batch = square.reshape(1, 5, 5, 1)
for pool_size in (2, (1, 2)):
    layer = keras.layers.MaxPooling2D(pool_size=pool_size)
    result = layer(batch)[0, :, :, 0]
    print("pool_size =", pool_size)
    print(result.numpy().astype(int))

# %% [markdown]
# 2 x 2 values. The last row and the last column are not used, because no whole window fits. With `(1, 2)` only the width
# is halved.
#
# ### The network
#
# Our CNN has three blocks of convolution and pooling. The blocks learn 16, 32 and 64 kernels. Each kernel makes one channel
# of the result. These kernels are **filters** in Keras. Then `Flatten` makes one long vector, and two dense layers follow.
# `Rescaling` multiplies the pixel values by 1/255 first.


# %%
def build(size, num_classes):
    """Return a CNN with three blocks and two dense layers."""
    model = keras.Sequential()
    model.add(keras.Input((size, size, 3)))
    model.add(keras.layers.Rescaling(1 / 255))
    for filters in (16, 32, 64):
        model.add(
            keras.layers.Conv2D(
                filters,
                kernel_size=3,
                padding="same",
                activation="relu",
            )
        )
        model.add(keras.layers.MaxPooling2D(pool_size=2))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(128, activation="relu"))
    model.add(keras.layers.Dense(num_classes))  # logits
    return model


# %% [markdown]
# Now the shapes and parameters by hand, for images of 180 x 180 pixels and 5 classes. Each filter of the second block sees
# 3 x 3 places in 16 channels. That is 144 weights and one bias. Pooling halves the size: 180, 90, 45, 22.

# %%
size = 180
channels = 3
by_hand = [((size, size, channels), 0)]  # Rescaling: shape and parameters
for filters in (16, 32, 64):
    weights = 3 * 3 * channels * filters
    by_hand.append(((size, size, filters), weights + filters))
    size = size // 2
    channels = filters
    by_hand.append(((size, size, channels), 0))
flat = size * size * channels
by_hand.append(((flat,), 0))
by_hand.append(((128,), flat * 128 + 128))
by_hand.append(((5,), 128 * 5 + 5))

# %%
model = build(
    size=180,
    num_classes=5,
)
for layer, (shape, parameters) in zip(model.layers, by_hand):
    print(f"{type(layer).__name__:13} {shape!s:15} {parameters:10,} parameters")
    assert layer.output.shape[1:] == shape
    assert layer.count_params() == parameters
print(f"together {model.count_params():,}")
assert model.count_params() == 3_989_285

# %% [markdown]
# `models.small_cnn` of the course builds the same network. With the same weights, it gives the same results:

# %%
twin = models.small_cnn(
    num_classes=5,
    image_size=180,
)
twin.set_weights(model.get_weights())
pixels = np.random.default_rng(0).uniform(0, 255, (2, 180, 180, 3)).astype("float32")
assert np.allclose(twin(pixels), model(pixels), atol=1e-4)

# %% [markdown]
# ### The size of the input
#
# Twice the height and twice the width: how many times as many parameters has the first dense layer?

# %%
for size in (32, 64, 128):
    network = build(size, num_classes=5)
    first_dense = network.layers[-2]
    print(size, "pixels:", first_dense.count_params(), "parameters in the first dense layer")

# %% [markdown]
# About four times, because `Flatten` gives four times as many numbers. The kernels do not depend on the size of the image.
# So the convolutions keep their 448 + 4,640 + 18,496 parameters. Section 6 asks whether larger images also help.
#
# ### Exercise 4 · Count the parameters
#
# Write `count_parameters(size, filters, units, num_classes)` for a network of this kind. `filters` has one number for each
# block. `units` is the number of units of the first dense layer.


# %%
def count_parameters(size, filters, units, num_classes):
    # your code
    ...


# %%
exercises.count.check(count_parameters)

# %% [markdown]
# ## 6 · Train, and read the learning curves
#
# The last layer gives logits, so the loss needs `from_logits=True`. The labels are whole numbers, so it is the *sparse*
# loss. A **learning curve** shows a metric after each epoch.

# %% tags=["nbval-ignore-output"]
# About 15 seconds.
EPOCHS = course.pick(quick=12, full=10)
keras.utils.set_random_seed(0)
model = build(SIZE, num_classes)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(
    optimizer="adam",
    loss=loss,
    metrics=["accuracy"],
)
history = model.fit(train, validation_data=val, epochs=EPOCHS, shuffle=False, verbose=2).history

# %%
best_epoch = 1 + int(np.argmin(history["val_loss"]))
plots.learning_curves(
    {"CNN": history},
    title=f"Training loss falls to the end; validation loss is lowest after epoch {best_epoch}",
)

# %% [markdown]
# Read training and validation together. First both losses fall: the network learns something about flowers in general. Then
# the training loss still falls, but the validation loss does not. The network learns details of the training images that do not help with new images. This is
# overfitting. The **gap** is training accuracy minus validation accuracy. A large gap is a sign of overfitting.

# %%
training_accuracy = history["accuracy"][-1]
validation_accuracy = history["val_accuracy"][-1]
print(f"training accuracy {training_accuracy:.2f} on {n_train} images")
print(f"validation accuracy {validation_accuracy:.2f} on {n_val} images")
assert training_accuracy - validation_accuracy > 0.1
assert best_epoch < EPOCHS

# %% [markdown]
# Random guessing among five classes gives about 0.20. The network is better than that, and it overfits.
#
# ### Exercise 5 · Read the curves
#
# Write `read_curves(history)` for a `history` as above. Return two numbers: the epoch with the lowest validation loss,
# counted from 1; and the gap in accuracy (training minus validation) after the *last* epoch.


# %%
def read_curves(history):
    # your code
    ...


# %%
exercises.curves.check(read_curves)

# %% [markdown]
# ### The confusion matrix
#
# Which class is most often taken for which other class?


# %%
def predicted_classes(dataset):
    """Return the class with the largest logit, for each image of a dataset."""
    return model.predict(dataset, verbose=0).argmax(axis=1)


matrix = tf.math.confusion_matrix(labels_of(val), predicted_classes(val))
plots.confusion_matrix(matrix.numpy(), class_names)

# %% [markdown]
# Look for the largest number outside of the diagonal. Its row is the true class, its column is the prediction.

# %% [markdown]
# ### Do larger images help?
#
# Here is one image in four sizes.

# %%
sizes = (8, 16, 32, 64)
copies = []
for size in sizes:
    small = tf.image.resize(images[0], (size, size), method="area")
    copies.append(tf.image.resize(small, (64, 64), method="nearest"))
plots.image_grid(
    copies,
    [f"{size} x {size} pixels" for size in sizes],
    columns=4,
    title="With fewer pixels, details of the flower are lost",
)

# %% [markdown]
# An experiment: the same network on images of 8 x 8 and of 32 x 32 pixels. Three runs of each, with the seeds 0, 1 and 2.
# The images, 5 epochs, and the batch size are the same. What do you expect?


# %%
def accuracy_of(size, seed, from_logits=True):
    """Train our CNN on images of one size. Return its validation accuracy."""
    keras.utils.set_random_seed(seed)
    network = build(size, num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    network.compile(
        optimizer="adam",
        loss=loss,
        metrics=["accuracy"],
    )
    x_train, y_train = training_images[size]
    x_val, y_val = validation_images[size]
    network.fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=5,
        verbose=0,
    )
    return network.evaluate(x_val, y_val, verbose=0)[1]


# %%
# About 15 seconds.
training_images = {}
validation_images = {}
for size in (8, 32):
    flowers_of_size = data.flowers(image_size=size, verbose=False)
    training_images[size] = flowers_of_size.arrays("train")
    validation_images[size] = flowers_of_size.arrays("val")

differences = []
for seed in range(3):
    small = accuracy_of(size=8, seed=seed)
    large = accuracy_of(size=32, seed=seed)
    differences.append(large - small)
    print(f"seed {seed}: 8 pixels: accuracy {small:.2f}, 32 pixels: accuracy {large:.2f}")

# %% [markdown]
# There is one difference for each seed. The 95 % interval of Student's t for three differences is the mean plus or minus
# 4.30 standard errors. A standard error is the standard deviation divided by the square root of three.

# %%
mean = np.mean(differences)
standard_error = np.std(differences, ddof=1) / math.sqrt(3)
low = mean - 4.30 * standard_error
high = mean + 4.30 * standard_error
print(f"32 pixels minus 8 pixels: accuracy {mean:.2f}")
print(f"interval: from accuracy {low:.2f} to accuracy {high:.2f}")

# %% [markdown]
# If the interval does not contain 0, the difference is probably not chance, for these images, this network and 5 epochs. The
# experiment says nothing about other sizes. Larger images also need more memory, and this network has more parameters for
# them.
#
# ### A common mistake: a validation dataset that is shuffled
#
# The validation part is loaded alone, like the training part, with `shuffle=True`. Its order is then new in every loop. The
# next cell reads the labels in one loop. `predict` is a second loop. What does the comparison give?

# %%
shuffled = load(
    subset="validation",
    seed=123,
    crop_to_aspect_ratio=True,
    **split,
)
right = labels_of(shuffled) == predicted_classes(shuffled)
loss, accuracy = model.evaluate(shuffled, verbose=0)
print(f"labels and predictions from two loops: accuracy {np.mean(right):.3f}")
print(f"evaluate, one loop: accuracy {accuracy:.3f}")
assert np.mean(right) < accuracy - 0.1

# %% [markdown]
# The network is the same, and so are the images. Labels and predictions belong to different images, so the result is near
# 0.20. **What to write instead:** `subset="both"`. Then the order of the validation images is fixed.
#
# ### A common mistake: one-hot labels with the sparse loss
#
# `label_mode="categorical"` gives one-hot labels. The sparse loss wants class numbers.

# %%
one_hot = load(label_mode="categorical")
show_error(lambda: model.evaluate(one_hot, verbose=0))

# %% [markdown]
# Keras says that the shapes do not match. **What to write instead:** `CategoricalCrossentropy` for one-hot labels.
#
# ### A common mistake: logits with `from_logits=False`
#
# The network ends in logits, but the loss is used with its default, `from_logits=False`. There is no error and no warning.
# The mistake was found, for example, [in a course](https://github.com/MITDeepLearning/introtodeeplearning/issues/122). We
# repeat one run of the experiment above, with only this change.

# %%
small = accuracy_of(size=8, seed=0, from_logits=False)
print(f"from_logits=False: accuracy {small:.2f}; guessing: accuracy {1 / num_classes:.2f}")
assert small < 0.3

# %% [markdown]
# Why? With `from_logits=False`, Keras takes the outputs for probabilities. Everything below 0 becomes almost 0, everything
# above 1 becomes almost 1. A value that was cut off in this way has the gradient 0, so it is not corrected. Below, the true
# class has the logit -3:

# %%
logits = tf.Variable([[9.0, -3.0, 0.5, -3.0, -3.0]])
true_class = tf.constant([1])
for from_logits in (True, False):
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    with tf.GradientTape() as tape:
        value = cross_entropy(true_class, logits)
    gradient = tape.gradient(value, logits)
    print("from_logits =", from_logits, "gradient", gradient.numpy().round(3)[0])

# %% [markdown]
# The second number is for the true class. Only the logit between 0 and 1 still has a gradient. **What to write instead:**
# `from_logits=True` with logits, `from_logits=False` after a softmax.
#
# ### A common mistake: a softmax, and `from_logits=True`
#
# Here the network ends in a softmax, but the loss is told that it gets logits. Then the loss applies a second softmax.
# This was [reported for published code](https://github.com/NVIDIA/DeepLearningExamples/issues/468). Keras repairs one case: if the softmax is the *last operation* of the network. We give our trained network three endings.

# %%
inputs = keras.Input((SIZE, SIZE, 3))
logits = model(inputs)
probabilities = keras.layers.Softmax()(logits)
average = keras.layers.Average()([probabilities, probabilities])  # stands for two networks
endings = {"logits": logits, "softmax": probabilities, "softmax, average": average}

# %%
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
values = {}
for name, outputs in endings.items():
    network = keras.Model(inputs, outputs)
    network.compile(loss=cross_entropy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values[name] = network.evaluate(train, verbose=0)
    print(f"{name:17} loss {values[name]:.3f}, warnings: {len(caught)}")
assert np.isclose(values["softmax"], values["logits"], rtol=1e-3)

# %%
perfect = tf.constant([[1.0, 0.0, 0.0, 0.0, 0.0]])
lowest = float(cross_entropy(tf.constant([0]), perfect))
print("loss of a perfect result after a second softmax:", round(lowest, 3))
assert values["softmax, average"] > lowest

# %% [markdown]
# With a softmax as the last operation, Keras warns and uses the logits from before the softmax. The loss is the same. With an
# average after the softmax, Keras does not see the softmax. There is no warning, and the loss is too large. For five
# classes it cannot fall below 0.905, even if each prediction is perfect. **What to write instead:** end in a dense layer
# without activation, and use `from_logits=True`.
#
# ### A common mistake: a dataset of unknown length
#
# `unbatch().batch(n, drop_remainder=True)` has an unknown length (section 3). We judge our network on training images in
# batches of 200: three full batches, 120 images are dropped. `evaluate` calculates the accuracy. We also count by hand.

# %%
unknown = train.unbatch().batch(200, drop_remainder=True)
tell = tf.data.experimental.assert_cardinality(n_train // 200)
known = unknown.apply(tell)
fixed = known.cache()  # both loops get the same images in the same order
by_hand = np.mean(labels_of(fixed) == predicted_classes(fixed))
print(f"by hand: accuracy {by_hand:.3f}")

# %%
model.compile(
    loss=cross_entropy,
    metrics=["accuracy"],
)  # as in a new program
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # "Your input ran out of data"
    loss, diluted = model.evaluate(unknown, verbose=0)
loss, correct = model.evaluate(known, verbose=0)
print(f"unknown length: accuracy {diluted:.3f}")
print(f"with assert_cardinality: accuracy {correct:.3f}")
assert np.isclose(correct, by_hand, atol=0.05)
if keras.__version__ == "3.15.1":
    assert np.isclose(diluted, 0.75 * by_hand, atol=0.05)

# %% [markdown]
# In Keras 3.15.1, the accuracy for the dataset of unknown length is about 3/4 of the right one. It is as if a fourth batch
# had been counted, with the value 0. This is [a bug](https://github.com/keras-team/keras/issues/23084). It concerns the
# numbers of `fit` too. **What to write instead:** `assert_cardinality`, or no `drop_remainder`.
#
# ## For reference
#
# This section costs no reading time. Come back to it when you need it.
#
# ### `repeat` and `steps_per_epoch`
#
# `repeat()` starts a dataset again at its end, without end. Its cardinality is -1, infinite. So `fit` must be told how
# many batches are one epoch: `steps_per_epoch`. How many full batches of 32 do 14,034 images give?

# %%
images_in_all = 14034
steps = images_in_all // 32
print(steps, "full batches")
print(images_in_all - 32 * steps, "images are left")

# %% [markdown]
# With 438 steps, 18 images are left in each epoch. They are not lost if `repeat` comes before `batch`: the next epoch
# begins with them. Ten elements in batches of four show it. First `repeat` before `batch`, then `batch` before `repeat`:

# %%
ten = tf.data.Dataset.range(10)
for dataset in (ten.repeat(2).batch(4), ten.batch(4).repeat(2)):
    for batch in dataset:
        print(batch.numpy(), end=" ")
    print()
endless = ten.repeat()
print("cardinality of ten.repeat():", int(endless.cardinality()))

# %% [markdown]
# ### A common mistake: `steps_per_epoch` without `repeat`
#
# A dataset has 23 batches, and we train three epochs of 15 steps, 45 steps in all. How many steps does `fit` really do? A
# callback (notebook 05) counts them.

# %%
ones = np.ones((720, 1))
batches = tf.data.Dataset.from_tensor_slices((ones, ones)).batch(32)
tiny = keras.Sequential([keras.layers.Dense(1)])
tiny.compile(loss="mse")
steps = []
counter = keras.callbacks.LambdaCallback(
    on_train_batch_end=lambda step, logs: steps.append(step)
)
run = {
    "epochs": 3,
    "steps_per_epoch": 15,
    "verbose": 0,
    "shuffle": False,
}

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    tiny.fit(
        batches,
        callbacks=[counter],
        **run,
    )
print("without repeat:", len(steps), "steps")
print("warning:", shorten(str(caught[-1].message), 60))

steps.clear()
tiny.fit(
    batches.repeat(),
    callbacks=[counter],
    **run,
)
print("with repeat:", len(steps), "steps")
assert len(steps) == 45

# %% [markdown]
# Without `repeat`, the second epoch has only the 8 batches that are left: 15 + 8 + 15 = 38. **What to write instead:**
# `train.repeat()` with `steps_per_epoch`, or neither of the two.
#
# ### Links, and other arguments
#
# **Links and other files.** A link is an entry in a folder that points to a file or folder elsewhere. Linked *files* always
# count, and so does a class folder that is itself a link. Linked folders *inside* a class folder count only with
# `follow_links=True` (Keras 3.15). Files with other endings than those of images do not count.

# %%
linked = Path(temporary.name) / "linked"
for name in ("daisy", "roses"):
    folder = linked / name
    folder.mkdir(parents=True)
(linked / "daisy" / "notes.txt").write_text("not an image")
files = load().file_paths
try:
    os.symlink(files[0], linked / "daisy" / "one.jpg")
    os.symlink(files[-1], linked / "roses" / "one.jpg")
    os.symlink(root / "roses", linked / "roses" / "more", target_is_directory=True)
    for follow in (False, True):
        dataset = keras.utils.image_dataset_from_directory(
            linked, follow_links=follow, verbose=False
        )
        print("follow_links =", follow, "|", len(dataset.file_paths), "files")
except OSError as error:
    print("links are not allowed here:", error)

# %% [markdown]
# **The other arguments.** `verbose=False` prints nothing. `format="grain"` returns a dataset of the library Grain
# instead of `tf.data` ([Keras](https://keras.io/api/data_loading/image/)).
#
# ### Batch normalisation
#
# In training mode, `BatchNormalization` subtracts from each channel the mean of the batch, and divides by the standard
# deviation. Then it applies a scale and a shift, which are learned. In inference it uses moving averages of the earlier
# batches. After one batch these averages are still far off:

# %%
layer = keras.layers.BatchNormalization(momentum=0.9)
batch = np.random.default_rng(0).normal(loc=5, scale=2, size=(1000, 3))
print("one call in training mode")
trained = layer(batch, training=True)
inferred = layer(batch, training=False)
print(f"  training mode: standard deviation {np.std(trained):.1f}")
print(f"  inference: standard deviation {np.std(inferred):.1f}")

for _ in range(100):
    layer(batch, training=True)
inferred = layer(batch, training=False)
print("after 100 more calls in training mode")
print(f"  inference: standard deviation {np.std(inferred):.1f}")

# %% [markdown]
# Why does batch normalisation help? [Its inventors](https://arxiv.org/abs/1502.03167) say: the inputs of each layer change
# less during training ("internal covariate shift"). It is often repeated as a fact. [Santurkar et
# al.](https://arxiv.org/abs/1805.11604) dispute it. They added random noise after each normalisation, and the networks
# still trained well. A small experiment here could not decide this, so there is none.
#
# ### Older code
#
# Older code has `keras.layers.experimental.preprocessing.Rescaling(1 / 255)`, and two arguments of `compile` that are
# gone:

# %%
show_error(lambda: keras.layers.experimental)
show_error(
    lambda: model.compile(
        optimizer="adam",
        loss="mse",
        sample_weight_mode="temporal",
    )
)
show_error(
    lambda: model.compile(
        optimizer="adam",
        loss="mse",
        target_tensors=[],
    )
)

# %% [markdown]
# **What to write instead:** `keras.layers.Rescaling`. Weights are given to `fit` as `sample_weight`. Targets come from the
# dataset.
#
# ## Summary
#
# - One call turns a folder of classes into two datasets: `subset="both"` and a seed. Crop or pad if proportions matter.
# - What stays the same comes before `cache`. `shuffle` and random changes come after it, then `batch`, then `prefetch`.
# - With `prefetch`, reading and training overlap. In the middle of an epoch, each batch takes as long as the slower one.
# - In our CNN most parameters are in the first dense layer. A 3 x 3 filter has 9 weights for each input channel, and a bias.
# - Training accuracy minus validation accuracy is the gap. A large gap is a sign of overfitting.
#
# **Next** notebook 07 trains this CNN on randomly changed images, and asks whether the gap becomes smaller.
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
