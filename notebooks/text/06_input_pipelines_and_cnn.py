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
# **Time** 75 minutes to read, 45 for the exercises; about 70 seconds to run on two CPU cores.

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
import contextlib
import io
import os
import tempfile
import time
import warnings
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
# writes our flowers to a temporary folder in this form. It makes every second image wider than high, so that width :
# height is 4 : 3, as in many photographs.

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
        image = image[eighth:-eighth]  # cut one eighth at the top, one at the bottom
    encoded = tf.io.encode_jpeg(image, quality=95)
    name = flowers.class_names[label]
    file = root / name / f"{number:05}.jpg"
    file.write_bytes(encoded.numpy())

for folder in sorted(root.iterdir()):
    files = sorted(folder.iterdir())
    print(folder.name, "has", len(files), "files")

# %% [markdown]
# `image_dataset_from_directory` turns such a folder into a dataset of batches. Each of our folders becomes a class. The
# labels are 0, 1, 2, ... in the order of `sorted`. We ask for two datasets: one for training, and one with a fifth of
# the images for validation.

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
# JPEG files and has changed the size of the images. The names of the classes were taken directly after loading: methods
# such as `prefetch` return a new dataset, and a new dataset has no `class_names` (*For reference*).
#
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
# A **channel** is one number of each pixel: red, green or blue. With `"rgba"` there is a fourth: how opaque the pixel
# is, from 0 (the background is seen through it) to 255. We try the arguments on our folder. `element_spec` holds the
# shape and the type of each part of a batch, without reading a file. Which shape will one-hot labels have?


# %%
def load(**settings):
    """Load our folder with some settings, by default in the order of the file names."""
    defaults = {
        "image_size": (SIZE, SIZE),
        "shuffle": False,
        "verbose": False,
    }
    defaults.update(settings)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints in spite of verbose=False
        return keras.utils.image_dataset_from_directory(root, **defaults)


def describe(dataset):
    """Print the shape and type of each part of what a dataset gives."""
    for part in tf.nest.flatten(dataset.element_spec):
        print(f"  {part.shape!s:22} {part.dtype.name}")


for mode in ("int", "categorical", None):
    print("label_mode", mode)
    describe(load(label_mode=mode))

# %% [markdown]
# The first size is `None`, because the last batch may be smaller. One-hot labels have the shape (batch, classes). With
# `None` there are no labels.
#
# ### Image size
#
# Below you see one wide image three times, as 32 x 32 pixels. In which of the three is the flower too narrow?

# %%
WIDE = 3  # in the sorted list, the first wide image is file 3
ways = {
    "the default": {},
    "crop_to_aspect_ratio": {"crop_to_aspect_ratio": True},
    "pad_to_aspect_ratio": {"pad_to_aspect_ratio": True},
}
resized = []
for arguments in ways.values():
    dataset = load(batch_size=None, image_size=(32, 32), **arguments)
    image, label = next(iter(dataset.skip(WIDE)))
    resized.append(image.numpy())
plots.image_grid(
    resized,
    list(ways),
    size=2.4,
    title="The default makes a wide image narrower; cropping and padding keep its proportions",
)

# %% [markdown]
# In the first one. By default, width and height are changed separately. `crop_to_aspect_ratio` first cuts off the two
# sides. `pad_to_aspect_ratio` keeps the whole image and adds black bars.
#
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
assert len(in_both) > 0.1 * len(validation_files)

# %% [markdown]
# With one seed: none. With two seeds: most of them. The network would be judged on images that it was trained on. Without
# shuffling there is another problem: the last fifth of our files is 180 tulips. **What to write instead:**
# `subset="both"`. One call gives both parts, so there is one seed, and no file is in both parts. The validation images
# keep one order, the training images do not:

# %%
both = load(subset="both", seed=123, **split)
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
# `exercises.split.solution()` shows a right answer.


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
train = load(crop_to_aspect_ratio=True, subset="both", seed=123, **split)[0]
single = train.unbatch()
datasets = {
    "train": train,
    "train.take(2)": train.take(2),
    "train.unbatch()": single,
    "train.unbatch().batch(50)": single.batch(50),
    "train.unbatch().batch(50, drop_remainder=True)": single.batch(50, drop_remainder=True),
}
for name, dataset in datasets.items():
    # The number of labels in each element is the number of images.
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
# - **Cardinality** is the number of elements, if the dataset knows it. -2 means unknown. After `unbatch` it is unknown
#   here, because TensorFlow does not know whether the last batch is smaller.
#
# ### Shuffle
#
# `shuffle(n)` keeps n elements in a **buffer**. In each step it gives a random element of the buffer, and the next element
# takes the free place. The first element given is one of the first n. So an element can come at most n - 1 places too
# early.
#
# The files lie class by class. Here are 720 labels in this order: 144 times class 0, then 144 times class 1, and so on.
# Which of the buffers 32, 200 and 720 is large enough, so that nearly every batch has all five classes?

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
    title="With the buffer of 720, nearly every batch has five classes",
)

# %% [markdown]
# Of the three, only 720, which holds all elements. With a buffer of 32, nearly every batch has one or two classes.
# The dataset of Keras has a buffer of eight batches (*For reference*), so use `shuffle` yourself.
#
# ### A common mistake: `cache().shuffle(1000)` after `batch`
#
# `cache` keeps all elements of the first complete epoch in memory. Here the elements are batches. 1000 is more than 900, so
# the buffer seems large enough. We watch two epochs of the mistaken pipeline and of two others. Which of the three
# makes new batches in the second epoch?


# %%
def batches_of(dataset):
    """Return, for one epoch, the set of image numbers in each batch."""
    # A frozenset is a set that can itself be in a set.
    return [frozenset(label.numpy()) for image, label in dataset]


total = len(load().file_paths)
settings = {
    "labels": list(range(total)),  # the label of each image is its number
    "image_size": (8, 8),
}
mistaken = load(batch_size=32, **settings).cache().shuffle(1000, seed=2)
single = load(batch_size=None, **settings)
pipelines = {
    "batch, cache, shuffle": mistaken,
    "shuffle, cache, batch": single.shuffle(total, seed=2).cache().batch(32),
    "cache, shuffle, batch": single.cache().shuffle(total, seed=2).batch(32),
}

# %%
for name, dataset in pipelines.items():
    first_epoch = batches_of(dataset)
    second_epoch = batches_of(dataset)
    again = set(first_epoch) & set(second_epoch)
    same_place = sum(a == b for a, b in zip(first_epoch, second_epoch))
    print(f"{name}, {len(first_epoch)} batches")
    print(f"  the second epoch has {len(again)} of them, {same_place} at the same place")
assert not again

# %% [markdown]
# Only the last. In the mistaken pipeline the order of the batches is new, but the cache holds whole batches, so each
# batch has the same images in all epochs. With `shuffle` before `cache`, the cache keeps the shuffled order. **What to
# write instead:** cache single images, then shuffle, then make batches. The rule: **what stays the same comes before
# `cache`; what is new in every epoch comes after it.**
#
# ## 4 · Time: read and train at once
#
# The network waits while a batch is read, and the reader waits while the network trains. How much time is lost? We let
# both parts sleep instead of working: 30 ms to read a batch, 30 ms to train on it. The lists in `spans` get the start and
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

    def call(number):
        # The result is an int64. It depends on nothing but the number: stateful=False.
        return tf.numpy_function(function, [number], tf.int64, stateful=False)

    return tf.data.Dataset.range(count).map(call, num_parallel_calls=calls)


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
# By default, TensorFlow [changes a
# pipeline](https://www.tensorflow.org/api_docs/python/tf/data/experimental/OptimizationOptions): it adds a
# `prefetch`, and it makes `map` parallel if the function is **stateless**: its result depends on its arguments only.
# We switch both off with `Options`, so that we see what each transformation does. Then we read and train with and
# without our own `prefetch(1)`. We take the fastest of three runs.

# %%
plain = tf.data.Options()
plain.experimental_optimization.map_parallelization = False
plain.experimental_optimization.inject_prefetch = False
plain.threading.private_threadpool_size = 16  # up to 16 calls can sleep at the same time

reader = slow_reader(read, count=7)
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
    for row, part in enumerate(("train", "read")):
        bars = [(start - begin, end - start) for start, end in recorded[part]]
        axis.broken_barh(bars, (row - 0.4, 0.8), color=plots.COLOURS[row], edgecolor="white")
    axis.set_yticks([0, 1], labels=["train", "read"])
    axis.set(xlim=(0, fastest["without prefetch"][1]), xlabel="seconds", title=name)
plots.describe(
    figure,
    "With prefetch, the next batch is read during training",
    "Above, reading and training take turns",
    "Below, they overlap",
)

# %% [markdown]
# Count the **pieces** of 30 ms from left to right. Two bars at the same time are one piece. Upper figure: 7 times
# read and train, 14 pieces. Lower figure: one read, then 6 pieces in which batch n is trained on and batch n + 1 is
# read, then the last training step: 8 pieces. `prefetch(1)` keeps one finished element in a buffer.

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
# Write `epoch_seconds(read, train, batches, prefetch)`: the seconds that one epoch takes. `read` and `train` are the
# seconds for one batch. `prefetch` is `True` or `False`.


# %%
def epoch_seconds(read, train, batches, prefetch):
    # your code
    ...


# %%
exercises.epoch.check(epoch_seconds)

# %% [markdown]
# ### Parallel calls, and `AUTOTUNE`
#
# `prefetch` does not make the reader faster. What does: `map(function, num_parallel_calls=...)` calls the function for
# several elements at the same time. *For reference* measures it. With `tf.data.AUTOTUNE`, TensorFlow chooses a number while
# the pipeline runs: [the size of the buffer for `prefetch`, the number of parallel calls for
# `map`](https://www.tensorflow.org/guide/data_performance).
#
# ### Cache
#
# Now we read our real files: they are decoded, cropped and resized. `cache` keeps the results of the first epoch. How much
# faster is the second?


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

# %% [markdown]
# A cache needs memory for all images. As `uint8`, images need a quarter of the memory of `float32`. The rounding changes a
# value from 0 to 255 by at most 0.5. If memory is still too small, `cache("a/file")` [writes to
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
AUTOTUNE = tf.data.AUTOTUNE
n_train = len(train.file_paths)
n_val = len(val.file_paths)


def to_integers(image, label):
    return tf.cast(tf.round(image), tf.uint8), label


train = train.map(to_integers, num_parallel_calls=AUTOTUNE).cache()
train = train.shuffle(n_train, seed=0).batch(32).prefetch(AUTOTUNE)
val = val.map(to_integers, num_parallel_calls=AUTOTUNE).cache()
val = val.batch(64).prefetch(AUTOTUNE)
print(f"{n_train} images for training, {n_val} for validation")


# %% [markdown]
# ### Exercise 3 · The right order
#
# Write `tuned(files, read, vary, batch_size)`. `files` is a dataset of file numbers, sorted by class. `read(number)`
# returns an image and a label. `read` is slow. For the same number it always returns the same result. `vary(image,
# label)` changes the image at random. Return a dataset of batches for which all of this is true:
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
# window from the right column; the middle row counts twice. ReLU sets negative results to 0. An **edge** is a place where
# dark pixels lie beside bright pixels. Which edges will be bright in the result?

# %%
kernel = tf.constant([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
images, labels = next(iter(val))
grey = tf.reduce_mean(tf.cast(images[:1], tf.float32), axis=-1, keepdims=True)
convolved = tf.nn.conv2d(
    grey,
    tf.reshape(kernel, (3, 3, 1, 1)),  # rows, columns, channels in, channels out
    strides=1,
    padding="SAME",  # the result has the size of the image
)
edges = tf.nn.relu(convolved)
edges = tf.sqrt(edges / tf.reduce_max(edges))  # weak edges become visible
plots.image_grid(
    [grey[0], 255 * edges[0]],
    ["the image in grey", "after convolution and ReLU"],
    size=2.4,
    title="The kernel finds edges that are darker on the left than on the right",
)

# %% [markdown]
# Edges with dark pixels on the left and bright pixels on the right. At the left border the window reaches outside of the
# image, where pixels count as 0: the border looks like an edge. We calculate one place by hand:

# %%
window = grey[0, 14:17, 43:46, 0]  # the middle is row 15, column 44
by_hand = tf.reduce_sum(window * kernel)
result = convolved[0, 15, 44, 0]
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
# With `"same"` the size stays 5 x 5; at the border, fewer pixels are counted. With `"valid"`, the default, the result
# is 3 x 3. With `"valid"`, a kernel of size k makes height and width smaller by k - 1. Both sentences are true for
# `strides=1`, the default: the window moves one pixel at a time.
#
# ### Pooling
#
# **Max pooling** keeps the largest value of each window. `pool_size=2` means windows of 2 x 2. What is left of a 5 x 5
# image?

# %%
square = np.arange(25, dtype="float32").reshape(5, 5)
print(square.astype(int))
batch = square.reshape(1, 5, 5, 1)
result = keras.layers.MaxPooling2D(pool_size=2)(batch)
print(result[0, :, :, 0].numpy().astype(int))

# %% [markdown]
# 2 x 2 values. The last row and the last column are not used, because no whole window fits.
#
# ### The network
#
# Our CNN has three blocks of convolution and pooling. The blocks learn 16, 32 and 64 kernels. Keras calls these kernels
# **filters**. Each filter makes one channel of the result. Then `Flatten` makes one long vector, and two dense layers
# follow. `Rescaling` multiplies the pixel values by 1/255 first. The last layer has no activation. Its outputs can be any
# numbers; they are called **logits**. A softmax makes probabilities of them.


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
# Now we calculate the shapes and parameters by hand, for images of 180 x 180 pixels and 5 classes. Each filter of the
# second block sees 3 x 3 places in 16 channels. That is 144 weights and one bias. Pooling halves the size and rounds
# down: 180, 90, 45, 22.

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
model = build(size=180, num_classes=5)
for layer, (shape, parameters) in zip(model.layers, by_hand):
    print(f"{type(layer).__name__:13} {shape!s:15} {parameters:10,} parameters")
    assert layer.output.shape[1:] == shape
    assert layer.count_params() == parameters
print(f"together {model.count_params():,}")
assert model.count_params() == 3_989_285

# %% [markdown]
# ### The size of the input
#
# Height and width are doubled. By which factor does the number of parameters in the first dense layer grow?

# %%
for size in (16, 32, 64, 128):
    network = build(size, num_classes=5)
    dense = network.layers[-2].count_params()
    print(f"{size} pixels: {dense:,} of {network.count_params():,} parameters are there")

# %% [markdown]
# About four, because `Flatten` gives four times as many numbers. The filters do not depend on the size of the image. So
# the convolutions keep their 448 + 4,640 + 18,496 parameters.
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
# With `from_logits=True`, the loss itself makes probabilities of the logits. The labels are whole numbers, so it is the
# *sparse* loss. A **learning curve** shows a metric after each epoch.

# %% tags=["nbval-ignore-output"]
# 15 to 40 seconds.
EPOCHS = course.pick(quick=12, full=10)
keras.utils.set_random_seed(0)
model = build(SIZE, num_classes)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(
    optimizer="adam",
    loss=loss,
    metrics=["accuracy"],
)
# shuffle=False, because the dataset shuffles already.
history = model.fit(train, validation_data=val, epochs=EPOCHS, shuffle=False, verbose=2).history

# %%
best_epoch = 1 + int(np.argmin(history["val_loss"]))
plots.learning_curves(
    {"CNN": history},
    title=f"Training loss falls further; validation loss is lowest after epoch {best_epoch}",
)

# %% [markdown]
# First both losses fall: the network learns something about flowers in general. Then the training loss falls much further
# than the validation loss. The network learns details of the training images that do not help with new images.
# This is overfitting. We compare three epochs in the middle with the last three:

# %%
fall = {}
for name in ("loss", "val_loss"):
    middle = np.mean(history[name][-9:-6])
    end = np.mean(history[name][-3:])
    fall[name] = middle - end
    print(f"{name}: from loss {middle:.2f} to loss {end:.2f}")
assert fall["loss"] > 0.3
assert fall["val_loss"] < 0.4 * fall["loss"]

# %% [markdown]
# The **gap** is training accuracy minus validation accuracy. A large gap is a sign of overfitting. `fit` calculates the
# training accuracy during the epoch, while the weights change. So it differs a little from the accuracy after the epoch.

# %%
training_accuracy = history["accuracy"][-1]
validation_accuracy = history["val_accuracy"][-1]
print(f"training accuracy {training_accuracy:.2f} on {n_train} images")
print(f"validation accuracy {validation_accuracy:.2f} on {n_val} images")
assert training_accuracy - validation_accuracy > 0.1
assert validation_accuracy > 0.3

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
# ### A common mistake: a validation dataset that is shuffled
#
# The validation part is loaded by a call of its own. This call has `shuffle=True`, as for the training part. So the order
# of the images is new in every loop. The next cell reads the labels in one loop. `predict` is a second loop. What does
# the comparison give?


# %%
def labels_of(dataset):
    """Return the labels of all images of a dataset, in its order."""
    return np.concatenate([label for image, label in dataset])


def predicted_classes(dataset):
    """Return the class with the largest logit, for each image of a dataset."""
    return model.predict(dataset, verbose=0).argmax(axis=1)


shuffled = load(subset="validation", seed=123, crop_to_aspect_ratio=True, **split)
right = labels_of(shuffled) == predicted_classes(shuffled)
loss, accuracy = model.evaluate(shuffled, verbose=0)
print(f"labels and predictions from two loops: accuracy {np.mean(right):.3f}")
print(f"evaluate, one loop: accuracy {accuracy:.3f}")
assert np.mean(right) < accuracy - 0.1

# %% [markdown]
# The network is the same, and so are the images. Labels and predictions belong to different images, so the result is near
# 0.20. **What to write instead:** `subset="both"`. Then the order of the validation images is fixed.
#
# ### A common mistake: logits with `from_logits=False`
#
# The network ends in logits, but the loss is used with its default, `from_logits=False`. There is no error. The mistake was
# found, for example, [in a course](https://github.com/MITDeepLearning/introtodeeplearning/issues/122). We train on small
# images for five epochs, three times with the right loss and three times with the wrong one.


# %%
def accuracy_of(seed, from_logits):
    """Train our CNN for five epochs. Return its validation accuracy."""
    keras.utils.set_random_seed(seed)
    network = build(32, num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    network.compile(
        optimizer="adam",
        loss=loss,
        metrics=["accuracy"],
    )
    network.fit(x_train, y_train, epochs=5, verbose=0)
    return network.evaluate(x_val, y_val, verbose=0)[1]


# %%
# 10 to 30 seconds.
small = data.flowers(image_size=32, verbose=False)
x_train, y_train = small.arrays("train")
x_val, y_val = small.arrays("val")
for seed in range(3):
    right = accuracy_of(seed, from_logits=True)
    wrong = accuracy_of(seed, from_logits=False)
    print(f"seed {seed}: right loss: accuracy {right:.2f}, wrong loss: accuracy {wrong:.2f}")
    assert right - wrong > 0.1

# %% [markdown]
# With the wrong loss, these networks are hardly better than guessing. **What to write instead:** `from_logits=True` with
# logits, `from_logits=False` after a softmax. *For reference* shows the reason, and the opposite mistake.
#
# ## For reference
#
# This section is not part of the reading time.
#
# ### More arguments of `image_dataset_from_directory`

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
# below, and class 2 in section 1. Two datasets with different `class_names` must not be mixed.

# %%
two_classes = load(class_names=["roses", "daisy"])
print("two classes:", two_classes.class_names)
print("all classes:", class_names)

# %% [markdown]
# **Your own labels.** `labels` may be a list with one label for each file, in the order of the sorted paths: the order of
# `file_paths` with `shuffle=False`. Keras cannot check the order. Here the label of an image is its number.

# %%
numbered = load(labels=list(range(total)), batch_size=None)
print([int(label) for image, label in numbered.take(3)])

# %% [markdown]
# **Shuffling.** `image_dataset_from_directory` shuffles the list of *all* files once, with `seed`. In each epoch it
# shuffles again, but [with a buffer of eight
# batches](https://github.com/keras-team/keras/blob/v3.15.1/keras/src/utils/image_dataset_utils.py). With
# `batch_size=None` the buffer holds 1024 images.
#
# **Interpolation** is how new pixels are calculated from old ones. [There are several
# methods](https://www.tensorflow.org/api_docs/python/tf/image/resize). `"nearest"` copies one old pixel. `"area"` takes the
# mean of the old pixels that a new pixel covers. `"bicubic"` can leave the range 0 to 255:

# %%
for method in ("bilinear", "nearest", "area", "bicubic"):
    dataset = load(
        image_size=(32, 32),
        crop_to_aspect_ratio=True,
        interpolation=method,
    )
    images, labels = next(iter(dataset))
    lowest = images[WIDE].numpy().min()
    print(f"{method}: lowest value {lowest:.1f}")
assert lowest < 0

# %% [markdown]
# ### More common mistakes, and their errors
#
# **`class_names` after another method.** `show_error` runs a function and prints the error.


# %%
def show_error(action):
    """Run a function without arguments, and print its error in one line."""
    try:
        action()
        print("no error")
    except Exception as error:
        message = shorten(str(error), 90)
        print(f"{type(error).__name__}: {message}")


show_error(lambda: load().prefetch(tf.data.AUTOTUNE).class_names)

# %% [markdown]
# **A missing comma.** There is none after `"categorical"`. Python finds the mistake first, so no line of the cell runs.
# **What to write instead:** one argument on each line, and a comma after every line.

# %%
code = """
train = keras.utils.image_dataset_from_directory(
    root,
    label_mode="categorical"
    image_size=(64, 64),
)
"""
show_error(lambda: compile(code, filename="cell", mode="exec"))

# %% [markdown]
# **`images, labels = train.take(5)`.** `take(5)` returns a dataset of five batches, for two names. With `take(2)` there
# is no error, but `images` is the whole first batch, and `labels` the whole second batch. **What to write instead:**
# `next(iter(train))` for one batch, or a loop for several batches.

# %%
code = "images, labels = train.take(5)"
show_error(lambda: exec(code))

images, labels = train.take(2)
print("images is a", type(images).__name__)
print("images[0] has the shape", images[0].shape)
print("images[1] has the shape", images[1].shape)
assert images[0].shape == (32, SIZE, SIZE, 3)

# %% [markdown]
# **One-hot labels with the sparse loss.** The sparse loss wants class numbers. Keras says that the shapes do not match.
# **What to write instead:** `CategoricalCrossentropy` for one-hot labels.

# %%
one_hot = load(label_mode="categorical")
show_error(lambda: model.evaluate(one_hot, verbose=0))

# %% [markdown]
# ### A common mistake: more `prefetch` for a slow reader
#
# A larger `prefetch` does not use more **threads**: parts of a program that run at the same time. Its argument is the size
# of the buffer. We read 16 files of 20 ms each, without training. Which is faster: a buffer
# of 8, or parallel calls in `map`?


# %%
def read_slowly(number):
    time.sleep(0.02)
    return number


readers = {
    "prefetch(8)": slow_reader(read_slowly, count=16).prefetch(8),
    "num_parallel_calls=AUTOTUNE": slow_reader(
        read_slowly,
        count=16,
        calls=AUTOTUNE,
    ),
}
seconds = {}
for name, dataset in readers.items():
    dataset = dataset.with_options(plain)
    seconds[name] = min(seconds_of_epoch(dataset) for epoch in range(3))
    print(f"{name}: {1000 * seconds[name]:.0f} ms")
assert seconds["prefetch(8)"] >= 16 * 0.02
assert seconds["num_parallel_calls=AUTOTUNE"] < 16 * 0.02

# %% [markdown]
# With the buffer, the files are still read one after the other: 16 x 20 = 320 ms or more. **What to write instead:**
# `map(..., num_parallel_calls=tf.data.AUTOTUNE)` for a slow function, and `prefetch(tf.data.AUTOTUNE)` at the end.
# For a stateless function TensorFlow adds the parallel calls itself (here we switched this off). For other functions
# it does not. A Python function that calculates does not become faster: normally [only one thread runs Python
# code](https://docs.python.org/3/glossary.html#term-global-interpreter-lock).
#
# ### Why logits with `from_logits=False` learn so little
#
# Keras takes the outputs for probabilities. [Values below 0 become almost 0, values above 1 become almost
# 1](https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/tensorflow/nn.py), and the results are divided by
# their sum. If a value was cut off, its gradient is 0: a small change of this logit does not change the loss. Below, the
# true class has the logit -3:

# %%
logits = tf.Variable([[9.0, -3.0, 0.5, -1.0, -2.0]])
true_class = tf.constant([1])
for from_logits in (True, False):
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    with tf.GradientTape() as tape:
        value = cross_entropy(true_class, logits)
    gradient = tape.gradient(value, logits)
    print("from_logits =", from_logits)
    print("  gradient", gradient.numpy().round(3)[0])

# %% [markdown]
# The second number is for the true class. With `from_logits=False`, only the logit between 0 and 1 still has a gradient.
#
# ### A common mistake: a softmax, and `from_logits=True`
#
# The network ends in a softmax, and the loss applies a second one. This was [reported for published
# code](https://github.com/NVIDIA/DeepLearningExamples/issues/468). Keras repairs one case: a softmax as the *last
# operation* of the network, in float32. We give our trained network four endings.

# %%
inputs = keras.Input((SIZE, SIZE, 3))
logits = model(inputs)
probabilities = keras.layers.Softmax()(logits)
# As if we took the mean of the probabilities of two networks:
average = keras.layers.Average()([probabilities, probabilities])
half = keras.layers.Softmax(dtype="mixed_float16")(logits)
endings = {
    "logits": logits,
    "softmax": probabilities,
    "softmax, average": average,
    "softmax in mixed precision": half,
}

# %%
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
values = {}
for name, outputs in endings.items():
    network = keras.Model(inputs, outputs)
    network.compile(loss=cross_entropy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        values[name] = network.evaluate(train, verbose=0)
    print(f"{name:26} loss {values[name]:.3f}, warnings: {len(caught)}")
assert np.isclose(values["softmax"], values["logits"], rtol=1e-3)

# %%
perfect = tf.constant([[1.0, 0.0, 0.0, 0.0, 0.0]])
true_class = tf.constant([0])
lowest = float(cross_entropy(true_class, perfect))
print("loss of a perfect result after a second softmax:", round(lowest, 3))
assert values["softmax, average"] > lowest
assert values["softmax in mixed precision"] > lowest

# %% [markdown]
# With a softmax in float32 at the end, Keras warns and uses the logits from before the softmax. The loss is the same. In
# the last two cases Keras does not see the softmax. There is no warning, and the loss is too large. For five classes it
# cannot fall below 0.905, even if each prediction is perfect: the second softmax gets 1, 0, 0, 0, 0, so the true class
# gets e / (e + 4) = 0.40, and -log 0.40 = 0.905. **What to write instead:** end in a dense layer without activation, and
# use `from_logits=True`.
#
# ### A common mistake: unknown length and `drop_remainder`
#
# `unbatch().batch(n, drop_remainder=True)` has an unknown length (section 3). `assert_cardinality` tells TensorFlow
# the length. We judge our network on three full batches of 200 training images, with `evaluate` and by hand.

# %%
unknown = train.unbatch().batch(200, drop_remainder=True)
tell = tf.data.experimental.assert_cardinality(n_train // 200)
known = unknown.apply(tell)
print("cardinality:", int(unknown.cardinality()))
print("with assert_cardinality:", int(known.cardinality()))
fixed = known.cache()  # both loops get the same images in the same order
by_hand = np.mean(labels_of(fixed) == predicted_classes(fixed))
print(f"by hand: accuracy {by_hand:.3f}")

# %%
# Compile again: `evaluate` then forgets what it learned about the length.
model.compile(
    loss=cross_entropy,
    metrics=["accuracy"],
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # "Your input ran out of data"
    low_loss, too_low = model.evaluate(unknown, verbose=0)
loss, correct = model.evaluate(known, verbose=0)
print(f"unknown length: loss {low_loss:.3f}, accuracy {too_low:.3f}")
print(f"with assert_cardinality: loss {loss:.3f}, accuracy {correct:.3f}")
assert np.isclose(correct, by_hand, atol=0.05)
if keras.__version__ == "3.15.1":
    assert np.isclose(too_low, 0.75 * by_hand, atol=0.05)

# %% [markdown]
# In Keras 3.15.1, loss and accuracy are about 3/4 of the right ones. It is as if a fourth batch had been counted, with the
# value 0. The numbers that `fit` prints are wrong, too. This is [a
# bug](https://github.com/keras-team/keras/issues/23084), [repaired](https://github.com/keras-team/keras/pull/23179) for
# later versions. **What to write instead:** `assert_cardinality`, or no `drop_remainder`.
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
batches = tf.data.Dataset.from_tensor_slices((ones, ones))
batches = batches.batch(32)
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
    warnings.simplefilter("always", UserWarning)
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
# `follow_links=True` (Keras 3.15). Files with other endings than those of images do not count, and no folder whose name
# begins with a dot is a class.

# %%
linked = Path(temporary.name) / "linked"
for name in ("daisy", "roses"):
    folder = linked / name
    folder.mkdir(parents=True)
(linked / "daisy" / "notes.txt").write_text("not an image")
(linked / ".hidden").mkdir()
files = load().file_paths
try:
    os.symlink(files[0], linked / "daisy" / "one.jpg")
    os.symlink(files[-1], linked / "roses" / "one.jpg")
    os.symlink(root / "roses", linked / "roses" / "more", target_is_directory=True)
    for follow in (False, True):
        dataset = keras.utils.image_dataset_from_directory(
            linked,
            follow_links=follow,
            verbose=False,
        )
        print("follow_links =", follow, "|", len(dataset.file_paths), "files")
        assert dataset.class_names == ["daisy", "roses"]
except OSError as error:
    print("links are not allowed here:", error)

# %% [markdown]
# **The other arguments.** With `verbose=False`, "Found 900 files" is not printed. `format="grain"` returns a dataset of
# the library Grain instead of `tf.data` ([Keras](https://keras.io/api/data_loading/image/)).
#
# ### Our CNN in the course
#
# `models.small_cnn` of the course builds the same network. With the same weights, it gives the same results:

# %%
model_180 = build(size=180, num_classes=5)
twin = models.small_cnn(
    num_classes=5,
    image_size=180,
)
twin.set_weights(model_180.get_weights())
generator = np.random.default_rng(0)
pixels = generator.uniform(
    low=0,
    high=255,
    size=(2, 180, 180, 3),
)
assert np.allclose(
    twin(pixels),
    model_180(pixels),
    atol=1e-4,
)

# %% [markdown]
# ### Batch normalisation
#
# In training mode, `BatchNormalization` subtracts from each channel the mean of the batch, and divides by the standard
# deviation. Then it applies a scale and a shift, which are learned. In inference (`evaluate`,
# `predict`) it uses averages over many earlier batches, in which newer batches count more. After one batch these averages
# are still far off:

# %%
layer = keras.layers.BatchNormalization(momentum=0.9)
batch = generator.normal(
    loc=5,
    scale=2,
    size=(1000, 3),
)
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
# Why does batch normalisation help? [Its inventors](https://arxiv.org/abs/1502.03167) say: the inputs of each layer
# change less during training ("internal covariate shift"). [Santurkar et al.](https://arxiv.org/abs/1805.11604) dispute
# this. They added random noise after each normalisation, and the networks still trained well.
#
# ### Older code
#
# Older code has `keras.layers.experimental.preprocessing.Rescaling(1 / 255)`, and two arguments of `compile` that are
# gone. `tf.data.experimental.AUTOTUNE` is still there, and is the same number as `tf.data.AUTOTUNE`.

# %%
assert tf.data.experimental.AUTOTUNE == tf.data.AUTOTUNE
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
# - With `prefetch`, reading and training overlap. In the middle of an epoch, each batch takes as long as the slower of
#   the two.
# - With images of 32 pixels or more, most parameters of our CNN are in the first dense layer. A 3 x 3 filter has 9 weights
#   for each input channel, and a bias.
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
