# %% [markdown]
# # 01 · Tensor basics
#
# A neural network reads tensors and returns tensors. A tensor is an arrangement of numbers, such as an image. Here
# you learn to make tensors, to index them and to compute with them. You also learn to avoid wrong types and wrong
# shapes.
#
# You will be able to
# - read a tensor's shape, rank and type, and cut pieces out of it,
# - compute with whole tensors, along one axis, and by broadcasting,
# - say when TensorFlow converts a type and when it refuses, and cast without losing values,
# - keep what training changes in a variable,
# - hold rows of different lengths in a ragged tensor, and text in a string tensor.
#
# The words of this list are defined below.
#
# **Needs** a little Python: functions, lists, loops. NumPy helps and is not required.
# **Time** 70 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU cores.

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
import timeit

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from IPython.display import display

from helpers import data, plots
from helpers.exercises import ex01_tensor_basics as exercises

# %% [markdown]
# The first code cell is the same in every notebook. It finds `helpers`, the course's own code, and prints a line that
# begins with *Ready*. The section *For reference*, at the end, explains this line.
#
# ## 1 · An image is a tensor
#
# A grey image is a table of numbers. Each number is one **pixel**: the brightness at one place, from 0 (black) to 255
# (white). Our images show clothes, shoes and bags, and have 28 rows of 28 pixels. (If the line `data:` below says
# *Drawn fashion*, a program has drawn them.) Each image belongs to a **class**, such as *Dress*. The **label** of an
# image is the number of its class.
#
# The images come as a **NumPy array**. An array holds many values of one type.
# [NumPy](https://numpy.org/doc/stable/user/absolute_beginners.html) is a library for calculations with arrays.

# %%
fashion = data.fashion(verbose=False)
images, labels = fashion.arrays("train")
print("data:", fashion.name)
print("images:", type(images).__name__, images.shape)

six_images = images[10:16]  # images 10 to 15: section 2 explains `10:16`
names = []
for label in labels[10:16]:
    name = fashion.class_names[label]
    names.append(name)
print("labels of six images:", labels[10:16])

# %% [markdown]
# ### Draw it with matplotlib
#
# - `plt.figure` makes an empty figure. `figsize` is its width and height in inches.
# - `plt.subplot(1, 6, k)` divides the figure into 1 row of 6 places, and selects place k. Places are counted from
#   1.
# - `plt.imshow` draws an array as an image. `cmap="gray"` draws small numbers dark and large numbers bright. `vmin`
#   is drawn black, `vmax` white. Without `vmin` and `vmax`, the smallest number of each image is black, the largest
#   white.
# - `plt.title` writes above the selected place, `plt.suptitle` above the whole figure.
# - `plt.axis("off")` hides the numbers beside the image.
#
# `display` shows the figure. The **alt text** describes the figure for readers who cannot see it.

# %%
figure = plt.figure(figsize=(9, 2))
for place in range(6):
    plt.subplot(1, 6, place + 1)
    plt.imshow(
        six_images[place],
        cmap="gray",
        vmin=0,
        vmax=255,
    )
    plt.title(names[place])
    plt.axis("off")
plt.suptitle("Six images, each with the name of its class", y=1.05)
plt.close()  # otherwise the notebook shows the figure twice
alt = "Six grey images of clothes, shoes and bags, each with the name of its class"
display(figure, metadata={"image/png": {"alt": alt}})

# %% [markdown]
# `plots.image_grid` from `helpers` draws such a figure, too. It also checks its input and writes the alt text. From
# here on we use it for images, and `plots.lines` for curves. (*A curve with matplotlib*, at the end, draws a curve
# without helpers.)

# %%
plots.image_grid(six_images, names, columns=3)

# %% [markdown]
# ### From an array to a tensor
#
# A **tensor** holds values of one type. In most tensors, all rows have the same length. (Section 6 shows tensors with
# other rows.) `tf.constant` makes a tensor. `.numpy()` gives its values as a NumPy array or number. A **batch** is
# one tensor that holds several images. How many numbers are in one image, and how many in a batch of 32 images?

# %%
batch = tf.constant(images[:32])  # images 0 to 31
print("numbers in one image:", images[0].size)
print("numbers in 32 images:", tf.size(batch).numpy())

# %% [markdown]
# `plots.tensor_blocks` draws a small tensor, one cell for each value. Here large values have a *dark* cell: in an
# image, it is the other way round.

# %%
piece = batch[0, 10:16, 15:23]
plots.tensor_blocks(
    {"6 rows and 8 columns of the first image": piece},
    title="An image is a table of numbers: here a piece of it",
)

# %% [markdown]
# - An **axis** is one direction in which the values are arranged, for example *down* or *across*.
# - The **shape** is the list of the lengths of all axes.
# - The **rank** is the number of axes.
# - The **dtype** (data type) is the type of the values.
#
# `tf.stack` makes one tensor of several, along a new first axis. The tensor of rank 3 is drawn as two tables, one
# below the other.

# %%
number = tf.constant(3.5)
row = tf.constant([1, 2, 3])
table = tf.constant([[1, 2, 3], [4, 5, 6]])
stack = tf.stack([table, table + 6])
examples = {
    "number": number,
    "row": row,
    "table": table,
    "stack": stack,
}
plots.tensor_blocks(examples, title="Four tensors, of rank 0, 1, 2 and 3")

# %%
examples["batch"] = batch
for name, tensor in examples.items():
    print(name)
    print("    rank:", tf.rank(tensor).numpy())
    print("    shape:", tensor.shape)
    print("    dtype:", tensor.dtype.name)

# %% [markdown]
# Read a shape from left to right. The batch has 32 images of 28 rows of 28 pixels. Now read the dtypes:
#
# - **uint8** is a whole number from 0 to 255. It needs one **byte** of memory.
# - **int32** is a whole number in four bytes. `tf.constant` makes it from whole numbers of Python that are not too
#   large.
# - **float32** is a decimal number in four bytes. `tf.constant` makes it from decimal numbers of Python.
# - **float64** is a decimal number in eight bytes. It is more exact.
#
# `batch` was made from an array of uint8, and kept this dtype.
#
# ## 2 · Take pieces out
#
# An **index** is a position along an axis, counted from 0. A **slice** is a range of positions: `10:14` means 10, 11,
# 12, 13. An index removes its axis. A slice keeps its axis. Predict the four shapes.

# %%
pieces = {
    "batch[0]": batch[0],
    "batch[0:1]": batch[0:1],
    "batch[0, 10:14, ::2]": batch[0, 10:14, ::2],
    "batch[..., tf.newaxis]": batch[..., tf.newaxis],
}
for text, piece in pieces.items():
    print(f"{text:22} {piece.shape}")

# %% [markdown]
# `::2` takes every second position. `...` stands for all axes that are not named. `tf.newaxis` adds an axis of length
# 1. A **channel** is one number of a pixel: a grey pixel has one channel, a colour pixel three. Some functions need a
# last axis for the channels, even when there is one channel only. One of them is
# [Conv2D](https://keras.io/api/layers/convolution_layers/convolution2d/) in Keras, our library for networks.
#
# Let us try four kinds of index in NumPy and in TensorFlow. An error would stop the notebook. So the function `outcome`
# catches the error and returns the word *refused*. We use `outcome` in the sections below, too. (`*inputs` stands for
# any number of inputs. `lambda x: x[1:99]` is a function without a name: when it is called, it returns `x[1:99]`.)


# %%
def outcome(function, *inputs):
    """Return the result as a Python list or number, or the word "refused"."""
    try:
        result = function(*inputs)
    except (TypeError, ValueError, IndexError, tf.errors.OpError):
        return "refused"
    return np.asarray(result).tolist()


attempts = {
    "slice too long": lambda x: x[1:99],
    "backwards": lambda x: x[::-1],
    "condition": lambda x: x[x > 1],
    "list as an index": lambda x: x[[0, 2]],
}
for text, attempt in attempts.items():
    print(text)
    print("    NumPy:     ", outcome(attempt, row.numpy()))
    print("    TensorFlow:", outcome(attempt, row))

# %% [markdown]
# A slice that is too long is cut short, without an error. `::-1` takes all positions backwards. A condition takes the
# values for which it is true. These three are the same in both. Only the list differs: the next part shows why.
#
# ### A common mistake: a list as an index
#
# In NumPy, a list as an index takes several rows. A user [tried the same in
# TensorFlow](https://github.com/tensorflow/tensorflow/issues/2251), and got an error. Below it is worse: there is no
# error. We want rows 0 and 1 of `table`.

# %%
array = table.numpy()
print("NumPy:")
print(array[[0, 1]])
print("TensorFlow:")
print(table[[0, 1]])
print("tf.gather:")
print(tf.gather(table, [0, 1]))
assert table[[0, 1]] == table[0, 1]

# %% [markdown]
# TensorFlow reads the list as one index for each axis: row 0, column 1. So `table` gives one number. `row` has one
# axis only, so two indices are refused. **What to write instead:** `tf.gather`. It takes the rows in the list.
#
# ### Exercise 1 · Mirror and crop
#
# Write `mirror_and_crop(batch, size)` for a batch of shape (N, H, W). Mirror every image left to right, keep its
# first `size` rows, and give the result a last axis of length 1. The result has shape (N, size, W, 1) and the dtype of
# the batch.
#
# Write your answer in the first cell, and run the second cell to check it. `exercises.mirror.hint()` gives a hint.
# Call it again, and it gives a clearer hint. `exercises.mirror.solution()` shows a right answer.


# %%
def mirror_and_crop(batch, size):
    # your code
    ...


# %%
exercises.mirror.check(mirror_and_crop)

# %% [markdown]
# ## 3 · Compute with whole tensors
#
# An **element** is one value of a tensor. The functions below work **element by element**: each element of the result
# comes from the elements at the same position. `+`, `-`, `*` and `/` also work element by element. `tf.exp(b)` is e
# (2.718) to the power of b, and `tf.sqrt` is the square root.

# %%
a = tf.constant([1.0, 4.0, 9.0])
b = tf.constant([2.0, 2.0, 2.0])
results = {
    "tf.add(a, b)": tf.add(a, b),
    "tf.multiply(a, b)": tf.multiply(a, b),
    "tf.square(a)": tf.square(a),
    "tf.sqrt(a)": tf.sqrt(a),
    "tf.exp(b)": tf.exp(b),
}
for text, result in results.items():
    print(f"{text:18}", result.numpy().round(3))

# %% [markdown]
# `@` does not work element by element. It is the [matrix
# product](https://en.wikipedia.org/wiki/Matrix_multiplication): a row on the left and a column on the right give one
# number. Their elements are multiplied in pairs, and the products are added. Below, the last number is 3 * 2 + 4 * 1.

# %%
left = tf.constant([[1, 2], [3, 4]])
right = tf.constant([[1, 2], [0, 1]])
print("left * right:")
print((left * right).numpy())
print("left @ right:")
print((left @ right).numpy())

# %% [markdown]
# ### Along an axis
#
# `tf.reduce_mean(x, axis=k)` takes the mean along axis k. The result no longer has this axis. The images of one class
# have the shape (N, 28, 28). What is the shape of their mean along axis 0?

# %%
pixels = tf.cast(images, tf.float32)  # decimal numbers: section 4 says why
means = []
for label in range(10):
    of_this_class = pixels[labels == label]  # the images whose label is this one
    mean = tf.reduce_mean(of_this_class, axis=0)
    means.append(mean)
print("images of the last class:", of_this_class.shape)
print("their mean along axis 0:", mean.shape)
plots.image_grid(means, fashion.class_names, title="The mean image of each class")

# %% [markdown]
# ### Change the shape
#
# - `tf.reshape` keeps the order of the values, and divides them into rows of another length.
# - `tf.transpose` turns the rows of a table into columns. Usually, this changes the order of the values.
#
# Two of the tensors below have the same shape, (3, 2). Do they hold the same rows?

# %%
six = tf.constant([1, 2, 3, 4, 5, 6])
wide = tf.reshape(six, [2, 3])
reshaped = tf.reshape(wide, [3, 2])
transposed = tf.transpose(wide)
plots.tensor_blocks(
    {
        "six": six,
        "wide": wide,
        "wide, reshaped": reshaped,
        "wide, transposed": transposed,
    },
    title="Reshape keeps the order of the values, transpose changes it",
)

# %% [markdown]
# They do not: the first rows are 1 2 and 1 4. In the new shape, one length may be -1. TensorFlow calculates this
# length.

# %%
print(tf.reshape(batch, [32, -1]).shape)

# %% [markdown]
# ### A common mistake: squeeze without an axis
#
# `tf.squeeze` removes axes of length 1. Here we want to remove the channel axis, the last one. We have two batches,
# one of 32 images and one of a single image. A single image is left, for example, when 65 images are divided into
# batches of 32.

# %%
for size in (32, 1):
    grey = tf.zeros([size, 28, 28, 1])
    squeezed = tf.squeeze(grey)
    squeezed_last = tf.squeeze(grey, axis=-1)
    print("batch:", grey.shape)
    print("    squeeze:             ", squeezed.shape)
    print("    squeeze with axis=-1:", squeezed_last.shape)
assert squeezed.shape == (28, 28)

# %% [markdown]
# Without `axis`, all axes of length 1 are removed. In the second batch, axis 0 has length 1, too. This mistake [has
# been made in published code](https://github.com/NVIDIA/tacotron2/pull/303) that uses PyTorch. **What to write
# instead:** `tf.squeeze(x, axis=-1)`.
#
# ### Broadcasting
#
# The shapes of `a` and `b` in `a + b` may differ. Then TensorFlow compares the lengths of their axes, from the right.
# Where a length is 1, or missing, the values are repeated until the lengths are equal. This is **broadcasting**. When
# the lengths differ and neither is 1, the sum is refused.

# %%
column = tf.constant([[10], [20]])
pair = tf.constant([10, 20])
attempts = {
    "(2, 3) + (3,)": lambda: table + row,
    "(2, 3) + (2, 1)": lambda: table + column,
    "(2, 3) + (2,)": lambda: table + pair,
}
for text, attempt in attempts.items():
    print(f"{text:16} {outcome(attempt)}")

# %% [markdown]
# ### A common mistake: (N, 1) minus (N,)
#
# A **network** calculates a result from an image. The result is the **prediction**. A network with one output gives
# one number for each image: shape (3, 1) for three images. The true numbers often have the shape (3,). Below, all
# three predictions are right. What is the shape of the difference?

# %%
predictions = tf.constant([[1.0], [2.0], [3.0]])
truth = tf.constant([1.0, 2.0, 3.0])
error = predictions - truth
plots.tensor_blocks(
    {
        "predictions": predictions,
        "truth": truth,
        "predictions - truth": error,
    },
    title="Three predictions and three true numbers give nine differences",
)

# %% [markdown]
# The **mean squared error** is the mean of the squared differences. It is 0 when all predictions are right.

# %%
wrong_error = tf.reduce_mean(tf.square(error))
print(f"shapes (3, 1) and (3,): mean squared error {wrong_error:.3f}")

error = predictions[:, 0] - truth
right_error = tf.reduce_mean(tf.square(error))
print(f"shapes (3,) and (3,): mean squared error {right_error:.3f}")
assert keras.losses.MeanSquaredError()(truth, predictions) == 0

# %% [markdown]
# The last lengths are 1 (predictions) and 3 (true numbers), so the predictions are repeated. One place further to the
# left, the predictions have length 3 and the true numbers have no axis, so the true numbers are repeated. There is no
# error. The mean squared error is 1.333, though each prediction is right. This [happened in
# Keras](https://github.com/tensorflow/tensorflow/issues/37770), in TensorFlow 2.1. Now Keras' own function gives 0.
# **What to write instead** in your formula: `predictions[:, 0] - truth`. Then both shapes are (3,).
#
# ### Exercise 2 · Standardise each image
#
# Write `standardise(batch)` for float images of shape (N, H, W). In the result, each image has mean 0 and standard
# deviation 1. The **standard deviation** says how far values are from their mean: it is the root of the mean squared
# distance. `tf.math.reduce_std` calculates it. Two arguments help: `axis` may be a list of axes, and
# `keepdims=True` keeps the axes, with length 1.


# %%
def standardise(batch):
    # your code
    ...


# %%
exercises.scale.check(standardise)

# %% [markdown]
# ## 4 · Types
#
# Two pixels of dtype uint8 have the values 200 and 100. What is their sum?

# %%
pixel_pair = tf.constant([200, 100], tf.uint8)
total = pixel_pair[0] + pixel_pair[1]
print("200 + 100 =", total.numpy())

# %% [markdown]
# The sum of two uint8 is a uint8, and the largest uint8 is 255. After 255 the count begins again at 0, so 300 becomes
# 300 - 256 = 44. There is no warning. This is called **overflow**.
#
# The mean of a tensor has the dtype of the tensor, too, when all rows have the same length. What is the mean of 1 and
# 2 in int32?

# %%
for dtype in (tf.int32, tf.uint8, tf.float32):
    pair = tf.constant([1, 2], dtype)
    mean = tf.reduce_mean(pair)
    print("mean in", dtype.name, "is", mean.numpy())

# %% [markdown]
# The mean should be 1.5. Neither int32 nor uint8 can hold the fraction, so the result is 1. That is why we made the
# images float32 before we took their mean.
#
# ### Cast
#
# To **cast** is to convert values to another dtype, with `tf.cast`. Predict the first two results.

# %%
casts = {
    "2.9 to int32": tf.cast(2.9, tf.int32),
    "-2.9 to int32": tf.cast(-2.9, tf.int32),
    "2.9 to int32, rounded first": tf.cast(tf.round(2.9), tf.int32),
    "300 to uint8": tf.cast(300, tf.uint8),
}
for text, value in casts.items():
    print(f"{text:28} {value.numpy()}")

# %% [markdown]
# A cast from float to int cuts the fraction off. It does not round. A cast to a smaller int may overflow.
#
# ### A common mistake: to think that TensorFlow never converts a type
#
# TensorFlow's guide [says](https://www.tensorflow.org/guide/autodiff#3_took_gradients_through_an_integer_or_string)
# that TensorFlow does not cast between types. For two tensors in a sum, this is true. In other cases it is not. For
# each calculation below, say first whether it works.

# %%
whole = tf.constant([1, 2])
fraction = tf.constant([1.0, 2.0])
array = np.array([1.5, 1.5])
attempts = {
    "float32 tensor + int32 tensor": lambda: fraction + whole,
    "float32 tensor + Python int": lambda: fraction + 1,
    "int32 tensor + Python float": lambda: whole + 1.5,
    "int32 tensor + float64 array": lambda: whole + array,
    "int32 tensor + np.float64(1.5)": lambda: whole + np.float64(1.5),
    "int32 tensor / int32 tensor": lambda: whole / whole,
}
for text, attempt in attempts.items():
    print(f"{text:32} {outcome(attempt)}")
print("dtype of the quotient:", (whole / whole).dtype.name)

# %% [markdown]
# In the sums with `+`:
#
# - **Two tensors** of different dtype are refused.
# - **A Python int** takes the dtype of a tensor of numbers, even when it does not fit: beside a uint8 tensor, 300
#   becomes 44, without a warning.
# - **A Python float** is refused beside an int tensor.
# - **Numbers of NumPy** take the dtype of the tensor, even when values change. The 1.5 became 1, without a warning.
#
# Division with `/` converted two int32 tensors to float64.
#
# **What to write instead:** cast before you calculate. Then you choose the dtype.
#
# NumPy's usual dtype for decimal numbers is float64. `tf.constant` keeps it, and then the sum with a float32 tensor
# is refused. So give the dtype when you make a tensor from an array.

# %%
print(tf.constant(array))
print(tf.constant(array, tf.float32))

# %% [markdown]
# ### Exercise 3 · The mean of two images
#
# Write `average(first, second)` for two uint8 images of the same shape. The result is uint8, too. Each pixel is the
# mean of the two pixels, rounded to a whole number. (A half may be rounded up or down.)


# %%
def average(first, second):
    # your code
    ...


# %%
exercises.halves.check(average)

# %% [markdown]
# ## 5 · What training changes: variables
#
# A **layer** is a part of a network. Many layers calculate with numbers called **weights**. **Training** changes the
# weights, so that the predictions become better. The object that changes them is the **optimizer**. So the layer and
# the optimizer must use the same weights. Are tensors good for this? Here two names stand for one tensor.

# %%
layer_weights = tf.constant([1.0, 2.0])
optimizer_weights = layer_weights
optimizer_weights += 1.0
print("optimizer:", optimizer_weights.numpy())
print("layer:    ", layer_weights.numpy())


# %%
def set_first(weights):
    weights[0] = 9.0


print("set the first element:", outcome(set_first, layer_weights))

# %% [markdown]
# Tensors are not good for this. They are [immutable](https://www.tensorflow.org/guide/tensor): you make new tensors,
# you do not change old ones. `+=` made a new tensor, and gave it the name on the left. The layer still has the old
# tensor.
#
# A **variable**, `tf.Variable`, is an object that holds values and can change them. `assign` gives it new values,
# `assign_add` adds to them, `assign_sub` subtracts from them. So the weights of a layer are kept in variables.

# %%
layer_weights = tf.Variable([1.0, 2.0])
optimizer_weights = layer_weights
optimizer_weights.assign([4.0, 5.0])
optimizer_weights.assign_add([1.0, 1.0])
print("layer:", layer_weights.numpy())

# %% [markdown]
# ### A common mistake: square brackets and `=` on a variable
#
# We want to change one element of a variable. With `=` this is refused. **What to write instead:** `assign` on the
# element, or on a slice.

# %%
print("with =:", outcome(set_first, layer_weights))
layer_weights[0].assign(9.0)
print("with assign:", layer_weights.numpy())

# %% [markdown]
# ### One weight learns
#
# Below are three values of x, and three of y. We want the weight w for which w times x equals y. The right w is 3.
#
# - The **loss** is one number that says how wrong w is: here the mean squared error.
# - The **gradient** says how fast the loss grows when w grows. It is negative when the loss falls while w grows.
# - We repeat one step: subtract 0.05 times the gradient from w. The factor 0.05 is the **learning rate**. When the
#   gradient is negative, w grows.
#
# `tf.GradientTape` records the calculations with the variable w. From its record it calculates the gradient. Notebook
# 04 explains how.

# %%
x = tf.constant([1.0, 2.0, 3.0])
y = tf.constant([3.0, 6.0, 9.0])
w = tf.Variable(0.0)
values_of_w = [0.0]
for _ in range(12):
    with tf.GradientTape() as tape:
        difference = w * x - y
        loss = tf.reduce_mean(tf.square(difference))
    gradient = tape.gradient(loss, w)
    w.assign_sub(0.05 * gradient)
    values_of_w.append(w.numpy())

print(f"after 12 steps: w = {w.numpy():.4f}")
assert abs(w.numpy() - 3) < 0.01
plots.lines(
    range(13),
    {"w": values_of_w, "right value": [3.0] * 13},
    "step",
    "weight w",
    "The weight w approaches 3, its right value",
)

# %% [markdown]
# ### A common mistake: `w = w - ...`
#
# TensorFlow's guide [lists this
# mistake](https://www.tensorflow.org/guide/autodiff#1_replaced_a_variable_with_a_tensor) first among the reasons why
# a gradient is `None`. What is `w` in the second step?

# %%
w = tf.Variable(0.0)
for _ in range(2):
    with tf.GradientTape() as tape:
        difference = w * x - y
        loss = tf.reduce_mean(tf.square(difference))
    gradient = tape.gradient(loss, w)
    print("w is", type(w).__name__)
    print("    its gradient:", gradient)
    if gradient is not None:
        w = w - 0.05 * gradient  # the mistake
assert gradient is None

# %% [markdown]
# `w` is a tensor. (*ResourceVariable* is TensorFlow's class for variables, *EagerTensor* its class for tensors whose
# values are already known.) `w - 0.05 * gradient` is a tensor, and `w =` gives the name w to it. The tape recorded
# the calculations with the variable. It does not record calculations with tensors only, unless it is asked to. **What
# to write instead:** `w.assign_sub(0.05 * gradient)`.
#
# ### Exercise 4 · A running mean
#
# Write `update(mean, count, value)`. `mean` and `count` are float variables, `value` is a number. After the call,
# `count` is larger by one, and `mean` is the mean of all values so far. You need no list of the values. The new mean
# is the old mean plus (value - old mean) / new count.


# %%
def update(mean, count, value):
    # your code
    ...


# %%
exercises.running.check(update)

# %% [markdown]
# ## 6 · Rows of different lengths, and text
#
# ### Ragged: rows of different lengths
#
# A **caption** is a text that describes an image. Captions have different numbers of words. A **ragged tensor** may
# have rows of different lengths. `tf.constant` refuses such rows: the short ones must be filled, for example with
# zeros. This is called **padding**.
#
# Below are the lengths of the words of three captions. The second caption has one word, of length 5. What is its mean
# length after padding?

# %%
ragged = tf.ragged.constant([[4.0, 6.0], [5.0], [3.0, 3.0, 6.0]])
padded = ragged.to_tensor()
plots.tensor_blocks(
    {"ragged": ragged, "padded": padded},
    title="Padding fills the short rows with zeros",
)

# %%
rows = ragged.to_list()
print("tf.constant of the rows:", outcome(tf.constant, rows))
ragged_means = tf.reduce_mean(ragged, axis=1)
padded_means = tf.reduce_mean(padded, axis=1)
print("mean of each row, ragged:", ragged_means.numpy())
print("mean of each row, padded:", padded_means.numpy())

# %% [markdown]
# The padded row has three elements, so the mean is 5 / 3 = 1.67.
#
# ### Text: bytes, not characters
#
# A **string tensor** holds texts. Its dtype is `string`. TensorFlow stores the bytes of each text. For a text of
# Python, these are the bytes of its [UTF-8 code](https://www.tensorflow.org/text/guide/unicode). UTF-8 writes a
# character in one to four bytes. How many bytes is 꽃, the Korean word for flower?

# %%
words = tf.constant(["rose", "café", "꽃", "🇰🇷"])
print(words)
in_bytes = tf.strings.length(words)
in_characters = tf.strings.length(words, unit="UTF8_CHAR")
print("length in bytes:     ", in_bytes.numpy())
print("length in characters:", in_characters.numpy())
flower = words[2].numpy()
print("back to Python:", flower.decode("utf-8"))

# %% [markdown]
# One text is one element, so the shape is (4,). `tf.strings.length` counts bytes. With `unit="UTF8_CHAR"` it counts
# the characters of Unicode: the flag 🇰🇷 is two of them. In this course, string tensors hold, for example, names of
# files and the contents of image files.
#
# ### Exercise 5 · How long are the words?
#
# Write `mean_letters(captions)`. `captions` is a ragged tensor of words, one row for each caption. Return the mean
# number of characters of the words of each caption, as a float32 tensor or array. `tf.strings.length` takes ragged
# tensors, too.


# %%
def mean_letters(captions):
    # your code
    ...


# %%
exercises.letters.check(mean_letters)

# %% [markdown]
# ## 7 · NumPy arrays and tensors side by side
#
# NumPy calculates with whole arrays, in code that was
# [compiled](https://numpy.org/doc/stable/user/whatisnumpy.html): translated for the processor before it runs. We
# compare NumPy, TensorFlow and a loop of Python. The function `milliseconds` calls another function 15 times, and
# returns the time of the fastest call. (Other programs on your machine can make a call
# [slower](https://docs.python.org/3/library/timeit.html#timeit.Timer.repeat).)


# %%
def milliseconds(function, x):
    """Return how long the fastest of 15 calls takes on the CPU (the processor)."""
    with tf.device("CPU"):
        times = timeit.repeat(lambda: function(x), number=1, repeat=15)
    return 1000 * min(times)


def calculate(x):
    return x * x + 1


def loop(numbers):
    return [calculate(number) for number in numbers]


# %% [markdown]
# Guess: for `x * x + 1` with 100,000 numbers, how many times as long as TensorFlow does the loop take?

# %%
sizes = [10, 100, 1_000, 10_000, 100_000]
loop_times = []
numpy_times = []
tensor_times = []
for size in sizes:
    array = np.ones(size, "float32")
    with tf.device("CPU"):
        tensor = tf.constant(array)
    loop_times.append(milliseconds(loop, array.tolist()))
    numpy_times.append(milliseconds(calculate, array))
    tensor_times.append(milliseconds(calculate, tensor))
ratio = loop_times[-1] / tensor_times[-1]
print(f"100,000 numbers: the loop takes {ratio:.1f}x as long as TensorFlow")
assert ratio > 3
plots.lines(
    sizes,
    {"Python loop": loop_times, "NumPy": numpy_times, "TensorFlow": tensor_times},
    "numbers in x",
    "ms for x * x + 1",
    "For 100,000 numbers, the Python loop is by far the slowest",
    log=True,
)

# %% [markdown]
# On both axes, each marked number is 10 times the one before. For ten numbers, TensorFlow is the slowest: each call
# into TensorFlow has a cost, even for few numbers. (The loop calculates in float64, as Python does.)
#
# The loop above takes its numbers from a list. The next loop takes them from a tensor.

# %%
assert loop_times[0] < tensor_times[0]
assert numpy_times[0] < tensor_times[0]
with tf.device("CPU"):
    hundred = tf.ones([100])
ratio = milliseconds(loop, hundred) / milliseconds(calculate, hundred)
print(f"a loop over 100 elements of a tensor takes {ratio:.1f}x as long as x * x + 1")
assert ratio > 10

# %% [markdown]
# Now each element costs calls into TensorFlow. **What to do:** do not loop over the elements of a tensor. Calculate
# with the whole tensor. Notebook 04 shows `tf.function`, which makes one call of many small steps.
#
# Do not go to NumPy and back between two steps, either. Each trip copies the values twice. (*Copies and views*,
# below, counts the copies.)
#
# ## For reference
#
# You do not need this section for notebook 02. Come back when you meet one of the names.
#
# ### The line that begins with Ready
#
# The first cell prints it. It names the versions of Python, TensorFlow and Keras, and the devices. A **device** is a
# processor that TensorFlow can use: the CPU, or a **GPU** (graphics processing unit), which makes many calculations
# at the same time. If there is a GPU, TensorFlow [uses it by default](https://www.tensorflow.org/guide/gpu), for
# functions that have code for a GPU.
#
# The **profile** is *quick* (small data, for a CPU) or *full* (longer training, for a GPU). Then comes the dtype in
# which networks calculate. The **seed** starts the random numbers: the same seed gives the same random numbers again.
# `deterministic` means: on the same machine, the same calculation gives the same result.

# %%
print(course)

# %% [markdown]
# ### A curve with matplotlib
#
# `plt.plot` draws a curve. `plt.xlabel` and `plt.ylabel` write the words below the figure and beside it. `plt.legend`
# draws the legend, with the `label` of each curve.

# %%
figure = plt.figure(figsize=(7, 3))
first_row = six_images[0, 14]
second_row = six_images[1, 14]
plt.plot(first_row, label=names[0])
plt.plot(second_row, "--", label=names[1])
plt.title("Row 14 of two images: large values where the image is bright")
plt.xlabel("column")
plt.ylabel("brightness")
plt.legend()
plt.close()
alt = "Two curves: the brightness along row 14 of the first and of the second image"
display(figure, metadata={"image/png": {"alt": alt}})

# %% [markdown]
# ### More functions
#
# - `tf.tile` repeats the values. `[1, 2]` means: once along axis 0, twice along axis 1.
# - `tf.saturate_cast` gives the smallest or the largest value of the dtype when a value is outside. A fraction is cut
#   off.
# - **float16** is a decimal number in two bytes. The largest is 65504. A cast of 70000 gives `inf`, infinity.

# %%
twice = tf.tile(table, [1, 2])
print(twice.numpy())
casts = {
    "300 to uint8, saturated": tf.saturate_cast(300, tf.uint8),
    "-5 to uint8, saturated": tf.saturate_cast(-5, tf.uint8),
    "2.9 to uint8, saturated": tf.saturate_cast(2.9, tf.uint8),
    "70000 to float16": tf.cast(70000.0, tf.float16),
}
for text, value in casts.items():
    print(f"{text:24} {value.numpy()}")
assert tf.float16.max == 65504

# %% [markdown]
# ### What a cast costs
#
# The first cell measures two calculations with a million numbers. The second cell counts the bytes of a million
# numbers.


# %%
def cast(x):
    return tf.cast(x, tf.float64)


def matrix_product(x):
    return x @ x


with tf.device("CPU"):
    million = tf.random.uniform([1000, 1000])
cast_time = milliseconds(cast, million)
product_time = milliseconds(matrix_product, million)
print(f"cast: {cast_time:.2f} ms")
print(f"matrix product: {product_time:.2f} ms")
assert cast_time < product_time

# %%
for dtype in ("uint8", "float16", "float32", "float64"):
    array = np.ones([1000, 1000], dtype)
    print(dtype, array.nbytes, "bytes")

# %% [markdown]
# For these large tensors, the cast takes less time than the matrix product, which multiplies a thousand million pairs
# of numbers. A larger dtype needs more memory: float64 needs twice the memory of float32.
#
# The processor helps, too. **SIMD** means *single instruction, multiple data*: one instruction works on several
# numbers at once. NumPy uses [such instructions](https://numpy.org/doc/stable/reference/simd/), and so does
# [TensorFlow](https://www.tensorflow.org/install/pip#hardware-requirements).
#
# ### Copies and views
#
# A **buffer** is the piece of memory that holds the values of an array or a tensor. A **copy** has its own buffer. A
# **view** uses the buffer of another object. For numbers on a CPU, `tf.constant(array)` and `tensor.numpy()` make
# copies. `np.asarray(tensor)` makes a view that cannot be written. Here is a calculation in four steps. After each
# step, it goes to NumPy and back.

# %%
copies = 0
with tf.device("CPU"):
    x = tf.random.uniform([2_000_000], seed=1)
    for _ in range(4):
        x = x * 0.5 + 1.0
        array = x.numpy()
        view = np.asarray(x)
        if not np.shares_memory(array, view):
            copies += 1
        x = tf.constant(array)
        view = np.asarray(x)
        if not np.shares_memory(array, view):
            copies += 1
print("copies:", copies)
print("bytes of one copy:", array.nbytes)
other_view = np.asarray(x)
assert np.shares_memory(view, other_view)
print("the view can be written:", view.flags.writeable)

# %% [markdown]
# **What to write instead:** do all steps in one library. Convert once, at the end.
#
# ### Sparse: nearly all values are 0
#
# A **sparse tensor** stores only some values, each with its indices. All other values are 0. A tensor that stores all
# its values is called **dense**. Take a table of 1,000 rows and 1,000 columns, in which only three values are not 0.

# %%
sparse = tf.SparseTensor(
    indices=[[0, 5], [0, 999], [730, 2]],
    values=[1.0, 1.0, 1.0],
    dense_shape=[1000, 1000],
)
dense = tf.sparse.to_dense(sparse)
print("dense:")
print("    values: ", dense.shape)
print("sparse:")
print("    indices:", sparse.indices.shape)
print("    values: ", sparse.values.shape)

# %%
attempts = {
    "x * 2.0": lambda x: x * 2.0,
    "2.0 * x": lambda x: 2.0 * x,
    "x * x": lambda x: x * x,
    "x + x": lambda x: x + x,
    "tf.sparse.add(x, x)": lambda x: tf.sparse.add(x, x),
}
for text, attempt in attempts.items():
    result = outcome(attempt, sparse)
    if result == "refused":
        print(text, "is refused")
    else:
        print(text, "works")

# %% [markdown]
# A number must stand on the right of `*`. `tf.sparse.add` adds two sparse tensors.
#
# ### Sparse tensors out of order
#
# The indices of a sparse tensor should be sorted, row by row. If they are not, `tf.sparse.to_dense` refuses them.
# `tf.sparse.add` can give a wrong result, without an error: below, the right sum has the place [0, 1] one time, with
# the value 4. The wrong sum has it two times, each time with the value 2. Sort the indices with `tf.sparse.reorder`.

# %%
unsorted = tf.SparseTensor(
    indices=[[1, 0], [0, 1]],
    values=[1.0, 2.0],
    dense_shape=[2, 2],
)
ordered = tf.sparse.reorder(unsorted)
print("to_dense:", outcome(lambda: tf.sparse.to_dense(unsorted)))
wrong_sum = tf.sparse.add(unsorted, ordered)
right_sum = tf.sparse.add(ordered, ordered)
for total in (wrong_sum, right_sum):
    total = tf.sparse.reorder(total)
    print("indices:")
    print(total.indices.numpy())
    print("values:")
    print(total.values.numpy())

# %% [markdown]
# ### A list of tensors
#
# A **tensor array**, `tf.TensorArray`, is a list of tensors [for
# loops](https://www.tensorflow.org/api_docs/python/tf/TensorArray) inside `tf.function`. Its length is fixed, unless
# `dynamic_size=True`. `write(k, x)` puts x in place k and returns a tensor array: from then on, use the returned one.
# `read(k)` gives the tensor in place k. Outside `tf.function`, `read` also empties this place, unless
# `clear_after_read=False`.

# %%
growing = tf.TensorArray(
    tf.float32,
    size=0,
    dynamic_size=True,
)
for step in range(3):
    growing = growing.write(step, 10.0 * step)
print("all in one tensor:", growing.stack().numpy())

# %%
fixed = tf.TensorArray(tf.float32, size=2)
fixed = fixed.write(0, 7.0)
first_read = outcome(fixed.read, 0)
second_read = outcome(fixed.read, 0)
too_far = outcome(fixed.write, 2, 1.0)
print("first read: ", first_read)
print("second read:", second_read)
print("write beyond its length:", too_far)

# %% [markdown]
# ### Sets and queues
#
# In a **set**, the order of the values does not count. `tf.sets` takes each row of a tensor as a set, and has
# functions for intersection, union and difference. The result is a sparse tensor. A **queue** stores values, and
# `tf.queue.FIFOQueue` gives them back in the order in which they came. In this course, arrays and `tf.data`
# (notebooks 02 and 06) feed the network, not a queue.

# %%
first_set = tf.constant([[1, 2, 3]])
second_set = tf.constant([[3, 9, 2]])
both = tf.sets.intersection(
    first_set,
    second_set,
)
print("in both:", both.values.numpy())

queue = tf.queue.FIFOQueue(3, tf.int32)
queue.enqueue(10)
queue.enqueue(20)
print("comes out first:", outcome(queue.dequeue))
print("still in the queue:", outcome(queue.size))

# %% [markdown]
# ## Summary
#
# - A tensor has a shape, a rank and a dtype. An index removes its axis, a slice keeps it.
# - Reshape keeps the order of the values, transpose usually changes it. Shapes (3, 1) and (3,) give nine differences.
# - A sum of two tensors of different dtype is refused. In `tensor + array`, the numbers of the array take the
#   dtype of the tensor.
# - A weight is kept in a variable, because a tensor is immutable. Change a variable with `assign`.
# - Calculate with whole tensors, and do not go to NumPy and back in between.
#
# **Next** notebook 02 builds networks of layers, in three ways, and trains the first classifier.
#
# ## References
#
# - Harris et al. (2020), *Array programming with NumPy*
#   [doi:10.1038/s41586-020-2649-2](https://doi.org/10.1038/s41586-020-2649-2)
# - TensorFlow guides: [tensors](https://www.tensorflow.org/guide/tensor),
#   [variables](https://www.tensorflow.org/guide/variable), [ragged
#   tensors](https://www.tensorflow.org/guide/ragged_tensor), [sparse
#   tensors](https://www.tensorflow.org/guide/sparse_tensor), [Unicode
#   strings](https://www.tensorflow.org/text/guide/unicode)
# - NumPy: [broadcasting](https://numpy.org/doc/stable/user/basics.broadcasting.html)
# - Matplotlib: [pyplot tutorial](https://matplotlib.org/stable/tutorials/pyplot.html)
