# %% [markdown]
# # 01 · Tensor basics
#
# Pictures, labels and weights are all kept in one kind of box. Here you learn to build it, cut it, compute with it, and
# to see its three traps before they cost you a day: types, shapes and copies.
#
# You will be able to
# - read a tensor's shape, rank and type, and cut pieces out of it,
# - compute with whole tensors, along one axis, and by broadcasting,
# - say when TensorFlow converts a type and when it refuses, and cast without losing values,
# - keep what training changes in a variable,
# - hold data that is not a box: sparse, ragged, text.
#
# **Needs** a little Python: functions, lists, loops. NumPy helps and is not required.
# **Time** 55 minutes to read, 35 for the exercises; under 60 seconds to run on two CPU cores.

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
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from helpers import data, plots
from helpers.exercises import ex01_tensor_basics as exercises

# %% [markdown]
# ## 1 · A picture is a tensor
#
# How many numbers make up a grey picture of 28 by 28 pixels? And a pile of 32 such pictures? Say a number before you
# run on.

# %%
fashion = data.fashion(verbose=False)
images, labels = fashion.arrays("train")
plots.image_grid(
    images[:6],
    [fashion.class_names[label] for label in labels[:6]],
    columns=6,
    title="What you see",
)

# %%
pile = tf.constant(images[:32])
corner = pile[0, 10:16, 15:23]
plots.tensor_blocks(
    {"six rows and eight columns of the first picture": corner}, title="What TensorFlow sees"
)

# %%
print("one picture:", tf.size(pile[0]).numpy(), "numbers | 32 pictures:", tf.size(pile).numpy())
assert tf.size(pile).numpy() == 32 * 28 * 28

# %% [markdown]
# A **tensor** is a box of values that are all of one type. Its **shape** says how long it is along each **axis**, its
# **rank** says how many axes there are, and its **dtype** says what type the values have. You make one from Python
# numbers with `tf.constant`.

# %%
number = tf.constant(3.5)
row = tf.constant([1, 2, 3])
table = tf.constant([[1, 2, 3], [4, 5, 6]])
stack = tf.constant([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])
boxes = {"number": number, "row": row, "table": table, "stack": stack}
plots.tensor_blocks(boxes, title="Rank 0, 1, 2 and 3")

# %%
for name, box in boxes.items():
    print(f"{name:6} rank {tf.rank(box).numpy()}, shape {box.shape}, dtype {box.dtype.name}")
print("pile   rank", tf.rank(pile).numpy(), "shape", pile.shape, "dtype", pile.dtype.name)

# %%
assert [box.shape.rank for box in boxes.values()] == [0, 1, 2, 3]
assert (number.dtype, row.dtype) == (tf.float32, tf.int32), (
    "Python floats become float32, integers int32"
)
assert pile.dtype == tf.uint8, "a NumPy array keeps its own type"

# %% [markdown]
# Read a shape from the outside in: the pile is 32 pictures of 28 rows of 28 pixels. **uint8** is an integer from 0 to
# 255 in one byte. **float32** is a number with a fraction in four bytes, and the usual type in a network.
#
# ## 2 · Cut pieces out
#
# An index takes its axis away. A slice keeps it. Predict the four shapes.

# %%
pieces = {
    "pile[0]": pile[0],
    "pile[0:1]": pile[0:1],
    "pile[0, 10:14, ::2]": pile[0, 10:14, ::2],
    "pile[..., tf.newaxis]": pile[..., tf.newaxis],
}
for text, piece in pieces.items():
    print(f"{text:22} {piece.shape}")

# %% [markdown]
# `...` stands for all axes not named. `tf.newaxis` puts in an axis of length 1: most layers for pictures want such a
# last axis for the colour channels, even when there is one channel only.
#
# If you know NumPy, two habits fail here. Let us try them. The little function below reports what happens instead of
# stopping the notebook. We need it all the way.


# %%
def outcome(function):
    """Return the result as a plain value, or the word refused."""
    try:
        result = function()
    except (TypeError, ValueError, tf.errors.OpError):
        return "refused"
    return result.numpy().tolist() if tf.is_tensor(result) else result


print("a list as an index:", outcome(lambda: row[[0, 2]]))
print("tf.gather instead :", outcome(lambda: tf.gather(row, [0, 2])))
print("index too large   :", outcome(lambda: row[5]))
print("slice too long    :", outcome(lambda: row[1:99]))

# %%
assert outcome(lambda: row[[0, 2]]) == "refused"
assert outcome(lambda: tf.gather(row, [0, 2])) == [1, 3]
assert outcome(lambda: row[1:99]) == [2, 3], "a slice past the end is cut short without a word"

# %% [markdown]
# ### Exercise 1 · Mirror and crop
#
# Write `mirror_and_crop(pile, size)` for a pile of shape (N, H, W). Mirror every picture left to right, keep its first
# `size` rows, and give it a last axis of length 1. The result has shape (N, size, W, 1).
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.mirror.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.mirror.solution()` shows a right answer.


# %%
def mirror_and_crop(pile, size):
    # your code
    ...


# %%
exercises.mirror.check(mirror_and_crop)

# %% [markdown]
# ## 3 · Compute with all of it at once
#
# The basic functions work on each element by itself. The operators do the same: `a + b` is `tf.add(a, b)`.

# %%
a, b = tf.constant([1.0, 4.0, 9.0]), tf.constant([2.0, 2.0, 2.0])
results = {
    "tf.add(a, b)": tf.add(a, b),
    "tf.multiply(a, b)": tf.multiply(a, b),
    "tf.square(a)": tf.square(a),
    "tf.sqrt(a)": tf.sqrt(a),
    "tf.exp(b)": tf.exp(b),
}
for text, result in results.items():
    print(f"{text:18}", *[f"{value:.3f}" for value in result.numpy()])

# %%
left, right = tf.constant([[1, 2], [3, 4]]), tf.constant([[10, 0], [0, 10]])
print(
    "left * right:",
    (left * right).numpy().tolist(),
    "| left @ right:",
    (left @ right).numpy().tolist(),
)
assert np.array_equal(left @ right, tf.matmul(left, right)), "@ is the matrix product, * is not"

# %% [markdown]
# ### Along an axis
#
# `tf.reduce_mean(x, axis=k)` takes the mean along axis k, and that axis is gone. So the mean of a pile along axis 0 is
# a picture: the average garment. What will the average sandal look like?

# %%
pictures = tf.cast(images, tf.float32)  # fractions, for the mean: section 4 says why
means = [tf.reduce_mean(pictures[labels == kind], axis=0) for kind in range(10)]
plots.image_grid(means, fashion.class_names, title="The mean picture of each class")

# %%
print("pile", pictures.shape, "-> mean along axis 0", means[0].shape)
assert means[0].shape == (28, 28)

# %% [markdown]
# ### Change the shape
#
# - `tf.reshape` reads all values row by row and writes them row by row into the new shape. No value moves.
# - `tf.transpose` turns rows into columns. Values move.
# - `tf.squeeze` drops axes of length 1.
# - `tf.tile` repeats.
#
# Two of the boxes below have the same shape. Do they hold the same rows?

# %%
six = tf.constant([1, 2, 3, 4, 5, 6])
two_rows = tf.reshape(six, [2, 3])
plots.tensor_blocks(
    {
        "six": six,
        "reshape to 2, 3": two_rows,
        "reshape to 3, 2": tf.reshape(two_rows, [3, 2]),
        "transpose": tf.transpose(two_rows),
        "tile 1, 2": tf.tile(two_rows, [1, 2]),
    },
    title="Reshape keeps the order, transpose does not",
)

# %%
assert not np.array_equal(tf.reshape(two_rows, [3, 2]), tf.transpose(two_rows))
assert np.array_equal(tf.reshape(tf.transpose(two_rows), [-1]), [1, 4, 2, 5, 3, 6])
assert tf.reshape(pile, [32, -1]).shape == (32, 784), "-1 means: whatever is left"

# %% [markdown]
# The next cell is a bug that waits for the day when the last batch holds a single picture.

# %%
for size in (32, 1):
    batch = tf.zeros([size, 28, 28, 1])
    print(
        f"batch of {size:2}: squeeze {tf.squeeze(batch).shape}, squeeze(axis=-1) "
        f"{tf.squeeze(batch, axis=-1).shape}"
    )
assert tf.squeeze(tf.zeros([1, 28, 28, 1])).shape == (28, 28), "the batch axis is gone, too"

# %% [markdown]
# ### Broadcasting
#
# When two shapes differ, TensorFlow compares them from the right. An axis of length 1, or one that is missing, is
# stretched to fit: this is **broadcasting**. It is `tile` without the copy. It is also the quietest bug in deep
# learning. A network returns one prediction per picture, shape (3, 1). The labels have shape (3,). What is the shape of
# the difference?

# %%
predictions = tf.constant([[1.0], [2.0], [3.0]])
truth = tf.constant([1.0, 2.0, 3.0])
error = predictions - truth
plots.tensor_blocks(
    {"predictions": predictions, "truth": truth, "predictions - truth": error},
    title="Nine errors from three predictions",
)

# %%
wrong, right_way = (
    tf.reduce_mean(tf.square(error)),
    tf.reduce_mean(tf.square(predictions[:, 0] - truth)),
)
print(
    f"every prediction is right, but the mean error is {wrong:.3f}; with equal shapes it is "
    f"{right_way:.3f}"
)
assert error.shape == (3, 3)
assert right_way == 0 < wrong

# %% [markdown]
# ### Exercise 2 · Standardise each picture
#
# Write `standardise(pile)` for float pictures of shape (N, H, W). Each picture should have mean 0 and standard
# deviation 1 of its own. `tf.math.reduce_std` gives the standard deviation. Look up what `keepdims=True` does: it saves
# you a reshape.


# %%
def standardise(pile):
    # your code
    ...


# %%
exercises.scale.check(standardise)

# %% [markdown]
# ## 4 · Types
#
# Two pixels of type uint8, 200 and 100. Predict their sum. And the mean of the integers 1 and 2?

# %%
pixels = tf.constant([200, 100], tf.uint8)
print(
    "200 + 100 =",
    (pixels[0] + pixels[1]).numpy(),
    "| mean of 1 and 2 =",
    tf.reduce_mean(tf.constant([1, 2])).numpy(),
)
assert pixels[0] + pixels[1] == 300 - 256
assert tf.reduce_mean(tf.constant([1, 2])) == 1, "an integer has no place for a half"

# %% [markdown]
# A byte ends at 255 and starts again at 0. No warning. And a result has the type of its input, so a mean of integers
# loses its fraction. That is why we turned the pictures into float32 before we took their mean. The function is
# **`tf.cast`**. What it does to the value is worth a look.

# %%
casts = {
    "2.9 to int32": tf.cast(2.9, tf.int32),
    "-2.9 to int32": tf.cast(-2.9, tf.int32),
    "2.9 rounded first": tf.cast(tf.round(2.9), tf.int32),
    "300 to uint8, saturated": tf.saturate_cast(300.0, tf.uint8),
    "70000 to float16": tf.cast(70000.0, tf.float16),
}
for text, value in casts.items():
    print(f"{text:24} {value.numpy()}")

# %%
assert casts["2.9 to int32"].numpy() == 2, "the fraction is cut off, not rounded"
assert casts["300 to uint8, saturated"].numpy() == 255, "saturate_cast stops at the ends"
assert np.isinf(casts["70000 to float16"].numpy()), "float16 ends at 65504"

# %% [markdown]
# ### The notes said: TensorFlow never converts a type
#
# These are the notes that the course grew from; we call them *the notes*. It is a good rule to fear. Is it true? Six
# additions. For each, say first whether it works.

# %%
whole, fraction = tf.constant([1, 2]), tf.constant([1.0, 2.0])
attempts = {
    "float tensor + int tensor": lambda: fraction + whole,
    "float32 tensor + float64 tensor": lambda: fraction + tf.constant([0.5, 0.5], tf.float64),
    "float tensor + Python int": lambda: fraction + 1,
    "int tensor + Python float": lambda: whole + 1.5,
    "float tensor + NumPy float64 array": lambda: fraction + np.array([0.5, 0.5]),
    "int tensor + NumPy float64 array": lambda: whole + np.array([1.5, 1.5]),
}
for text, attempt in attempts.items():
    print(f"{text:35} {outcome(attempt)}")

# %% [markdown]
# Between two *tensors* the notes are right: nothing is converted, the sum is refused. But a Python number is not a
# tensor yet. It takes the type of its partner, if that loses nothing by kind: an int may become a float, a float not an
# int.
#
# The last line is the bad one. A NumPy array is not a tensor either, and it too takes its partner's type. Its 1.5
# became 1, without a word.

# %%
assert outcome(attempts["float tensor + int tensor"]) == "refused"
assert outcome(attempts["float32 tensor + float64 tensor"]) == "refused"
assert outcome(attempts["float tensor + Python int"]) == [2.0, 3.0]
assert outcome(attempts["int tensor + Python float"]) == "refused"
assert outcome(attempts["float tensor + NumPy float64 array"]) == [1.5, 2.5]
assert outcome(attempts["int tensor + NumPy float64 array"]) in ([2, 3], "refused"), (
    "cut off, or refused; never 2.5"
)

# %% [markdown]
# One more source of surprise. NumPy's own default is float64. A tensor made from an array keeps that, and is then
# refused by everything that is float32.

# %%
from_numpy = tf.constant(np.array([0.5, 0.5]))
print(from_numpy.dtype.name, "+ float32:", outcome(lambda: from_numpy + fraction))
print("after tf.cast:", outcome(lambda: tf.cast(from_numpy, tf.float32) + fraction))
assert from_numpy.dtype == tf.float64

# %% [markdown]
# ### The notes said: a conversion can slow you down a lot
#
# Measure it. One cast of a million numbers, one multiplication of a million numbers, one matrix product of 1000 by
# 1000.


# %%
def seconds(function, repeats=15):
    """Return the median time of one call, after a call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        tf.test.experimental.sync_devices()  # a GPU may still be at work when the call returns
        times.append(time.perf_counter() - began)
    return statistics.median(times)


million = tf.random.uniform([1000, 1000], seed=0)
integers = tf.cast(million * 255, tf.uint8)
cast_time = seconds(lambda: tf.cast(integers, tf.float32))
multiply_time = seconds(lambda: million * million)
product_time = seconds(lambda: million @ million)
for name, spent in (
    ("cast", cast_time),
    ("multiply", multiply_time),
    ("matrix product", product_time),
):
    print(f"{name}: {spent * 1e3:.2f} ms")

# %% [markdown]
# A cast reads every value once and writes it once, like any other step that works element by element. Next to a matrix
# product, which reads every value a thousand times, it hardly counts. What is slow is to carry a type you did not want:
# float64 takes twice the memory of float32, and every step moves twice the bytes.

# %%
assert cast_time < product_time
assert len(tf.cast(million, tf.float64).numpy().tobytes()) == 2 * len(million.numpy().tobytes())

# %% [markdown]
# ### Exercise 3 · The mean of two pictures
#
# Write `average(first, second)` for two uint8 pictures of the same shape. The result is uint8 again, each pixel the
# mean of the two, rounded to the nearest integer. (A half may go to either side.)


# %%
def average(first, second):
    # your code
    ...


# %%
exercises.halves.check(average)

# %% [markdown]
# ## 5 · What training changes: variables
#
# A tensor never changes. That is a promise, and TensorFlow relies on it. Look at what `+=` does.

# %%
weight = tf.constant([1.0, 2.0])
same_weight = weight
weight += 1.0  # builds a new tensor, and moves the name to it
print("weight", weight.numpy(), "| the other name still sees", same_weight.numpy())


def change_in_place():
    same_weight[0] = 9.0


print("same_weight[0] = 9.0:", outcome(change_in_place))
assert outcome(change_in_place) == "refused"

# %% [markdown]
# Now think of an optimizer. It holds on to a layer's weights and wants to change them after every batch, while the
# layer goes on to use the same object. A tensor cannot do this: the optimizer would end up with a new tensor, the layer
# with the old one. So a weight is a **variable**, `tf.Variable`: a place that holds a tensor, and lets you put in
# another.

# %%
weight = tf.Variable([1.0, 2.0, 3.0])
layer_sees = weight
weight.assign([4.0, 5.0, 6.0])
weight.assign_add([1.0, 1.0, 1.0])
print("after assign and assign_add:", layer_sees.numpy())
assert layer_sees.numpy().tolist() == [5.0, 6.0, 7.0], "both names see the change"

# %%
print("another shape:", outcome(lambda: weight.assign([1.0])))
print("another type: ", outcome(lambda: weight.assign(tf.constant([1, 2, 3]))))
assert (
    outcome(lambda: weight.assign([1.0]))
    == outcome(lambda: weight.assign(tf.constant([1, 2, 3])))
    == "refused"
)

# %% [markdown]
# ### The notes said: a variable cannot be changed directly
#
# Half right. Square brackets and an equals sign are refused. A slice with `assign` works, and touches nothing else.


# %%
def set_item():
    weight[0] = 9.0


print("weight[0] = 9.0:       ", outcome(set_item))
weight[0].assign(9.0)
weight[1:].assign([0.0, 0.0])
print("weight[0].assign(9.0): ", weight.numpy())
assert outcome(set_item) == "refused"
assert weight.numpy().tolist() == [9.0, 0.0, 0.0]

# %% [markdown]
# ### One weight learns
#
# We want the weight w for which w times x is y. The right one is 3. A **gradient** says how fast the error grows when w
# grows; so we walk the other way. `tf.GradientTape` writes down what is computed with variables and works the gradient
# out. Notebook 04 takes it apart.

# %%
x, y = tf.constant([1.0, 2.0, 3.0]), tf.constant([3.0, 6.0, 9.0])
w = tf.Variable(0.0)
walk = []
for _ in range(12):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(w * x - y))
    w.assign_sub(0.05 * tape.gradient(loss, w))
    walk.append(w.numpy())

assert abs(w.numpy() - 3) < 0.01
plots.lines(range(1, 13), {"w": walk}, "step", "weight w", "The weight walks to 3")

# %% [markdown]
# Everybody once writes the step like this instead. Why is there no gradient the second time?

# %%
w = tf.Variable(0.0)
for step in (1, 2):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(w * x - y))
    gradient = tape.gradient(loss, w)
    print(f"step {step}: w is a variable: {isinstance(w, tf.Variable)}, gradient: {gradient}")
    if gradient is not None:
        w = w - 0.05 * gradient  # the mistake

assert gradient is None
assert not isinstance(w, tf.Variable)

# %% [markdown]
# `w - ...` is a tensor, and now the name `w` belongs to that tensor. The tape watches variables only. The same slip
# inside a layer gives a network that trains without an error and never learns.
#
# ### Exercise 4 · A running mean
#
# Write `update(mean, count, value)`. `mean` and `count` are float variables; `value` is a number. After the call,
# `count` is one larger and `mean` is the mean of all values seen so far. Keep no list: the new mean is the old one plus
# (value - old mean) / new count.


# %%
def update(mean, count, value):
    # your code
    ...


# %%
exercises.running.check(update)

# %% [markdown]
# ## 6 · When the data is not a box
#
# ### Sparse: nearly everything is 0
#
# A **sparse tensor** stores the places and values that are not 0. Here is a table of 1,000 pictures against 1,000 tags,
# with three tags set. How many numbers must be stored?

# %%
places = [[0, 5], [0, 999], [730, 2]]
tags = tf.SparseTensor(indices=places, values=[1.0, 1.0, 1.0], dense_shape=[1000, 1000])
stored = tf.size(tags.indices).numpy() + tf.size(tags.values).numpy()
print("dense:", 1000 * 1000, "numbers | sparse:", stored, "numbers")
per_tag = tf.sparse.sparse_dense_matmul(tags, tf.ones([1000, 1]))
print("tags of picture 0:", per_tag[0, 0].numpy(), "| tags + 1:", outcome(lambda: tags + 1.0))
assert per_tag[0, 0] == 2
assert outcome(lambda: tags + 1.0) == "refused", "adding 1 would fill it up"

# %% [markdown]
# The places must be in order, row by row. If they are not, many functions refuse; `tf.sparse.reorder` sorts them.

# %%
shuffled = tf.SparseTensor(
    indices=places[::-1], values=[1.0, 1.0, 1.0], dense_shape=[1000, 1000]
)
print("out of order:", outcome(lambda: tf.sparse.to_dense(shuffled)))
assert np.array_equal(tf.sparse.to_dense(tf.sparse.reorder(shuffled)), tf.sparse.to_dense(tags))

# %% [markdown]
# ### Ragged: rows of different lengths
#
# Captions differ in length. A **ragged tensor** has rows of different lengths, and an axis like that is called ragged.
# You can also fill short rows up with zeros (this is **padding**). Then every mean is wrong, unless you mask the zeros
# out.

# %%
lengths = tf.ragged.constant([[4.0, 6.0], [5.0], [3.0, 3.0, 6.0]])
padded = lengths.to_tensor()
plots.tensor_blocks(
    {"ragged": lengths, "padded": padded}, title="Three captions, as lengths of their words"
)

# %%
print(
    "mean of each row, ragged:",
    tf.reduce_mean(lengths, axis=1).numpy(),
    "| padded:",
    tf.reduce_mean(padded, axis=1).numpy().round(3),
)
print("a plain tensor of such rows:", outcome(lambda: tf.constant([[1, 2], [3]])))
assert tf.reduce_mean(lengths, axis=1).numpy().tolist() == [5.0, 5.0, 4.0]
assert tf.reduce_mean(padded, axis=1)[1] < 2, "two zeros were counted as words"

# %% [markdown]
# ### Text: bytes, not characters
#
# The notes say that a **string tensor** holds bytes and no Unicode, and that is right. It has a consequence that they
# do not draw. How long is the Korean word for flower, 꽃?

# %%
words = tf.constant(["rose", "café", "꽃"])
print(words.shape, words.dtype.name, words.numpy().tolist())
print(
    "length:",
    tf.strings.length(words).numpy(),
    "| in characters:",
    tf.strings.length(words, unit="UTF8_CHAR").numpy(),
)
assert tf.strings.length(words).numpy().tolist() == [4, 5, 3], "bytes"
assert tf.strings.length(words, unit="UTF8_CHAR").numpy().tolist() == [4, 4, 1], "characters"
assert words[2].numpy().decode("utf-8") == "꽃"

# %% [markdown]
# A string is one value, whatever its length: the shape is (3,). In this course you meet string tensors as file names,
# and as the bytes of a JPEG before it is decoded.

# %%
path = tf.constant("photos/tulips/0017.jpg")
print("the class is the folder:", tf.strings.split(path, "/")[-2].numpy().decode())
jpeg = tf.io.encode_jpeg(pile[0][..., tf.newaxis])
print("a whole picture as one string: shape", jpeg.shape, "->", tf.io.decode_jpeg(jpeg).shape)
assert jpeg.shape == ()
assert tf.io.decode_jpeg(jpeg).shape == (28, 28, 1)

# %% [markdown]
# ### A list of tensors, a set, a queue
#
# A **tensor array** is a list of tensors that works inside a compiled loop. It has a fixed length unless you say
# `dynamic_size=True`. `write` returns the array to go on with. And a place can be read once only: reading clears it.

# %%
steps = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
for step in range(3):
    steps = steps.write(step, tf.fill([2], float(step)))
print("stacked:", steps.stack().numpy().tolist())

once = tf.TensorArray(tf.float32, size=2)
once = once.write(0, 7.0)
print("first read:", once.read(0).numpy(), "| second read:", outcome(lambda: once.read(0)))
print("beyond its length:", outcome(lambda: once.write(2, 1.0)))
assert steps.stack().shape == (3, 2)
assert outcome(lambda: once.read(0)) == outcome(lambda: once.write(2, 1.0)) == "refused"

# %% [markdown]
# **Sets** are rows of a tensor, compared along the last axis. The answer may have rows of any length, so it comes back
# sparse. A **queue** hands values from one part of a program to another, first in, first out. `tf.data` (notebook 06)
# has replaced it nearly everywhere.

# %%
shared = tf.sets.intersection(tf.constant([[1, 2, 3]]), tf.constant([[3, 9, 2]]))
print("in both:", tf.sparse.to_dense(shared).numpy().tolist())

queue = tf.queue.FIFOQueue(capacity=3, dtypes=[tf.int32])
for value in (10, 20):
    queue.enqueue(value)
print("out first:", queue.dequeue().numpy(), "| still waiting:", queue.size().numpy())
assert tf.sparse.to_dense(shared).numpy().tolist() == [[2, 3]]
assert queue.dequeue().numpy() == 20

# %% [markdown]
# ### Exercise 5 · How long are the words?
#
# Write `mean_letters(captions)`. `captions` is a ragged tensor of words, one row for each caption. Return, for each
# caption, the mean number of characters of its words, as float32. `tf.strings.length` takes ragged tensors, too.


# %%
def mean_letters(captions):
    # your code
    ...


# %%
exercises.letters.check(mean_letters)

# %% [markdown]
# ## 7 · NumPy arrays and tensors side by side
#
# NumPy is fast because it hands whole arrays to compiled loops, and these use **SIMD**: single instruction, multiple
# data. One instruction of the processor works on 4, 8 or 16 numbers at once. TensorFlow's CPU code does the same, and
# uses several cores. So which is faster? And how much faster than a loop in Python? Guess both.

# %%
values = np.random.default_rng(0).uniform(size=200_000).astype("float32")
as_list, as_tensor = values.tolist(), tf.constant(values)
loop_time = seconds(lambda: sum(v * v for v in as_list), repeats=5)
numpy_time = seconds(lambda: np.sum(values * values))
tensor_time = seconds(lambda: tf.reduce_sum(as_tensor * as_tensor))
for name, spent in (
    ("Python loop", loop_time),
    ("NumPy", numpy_time),
    ("TensorFlow", tensor_time),
):
    print(f"{name}: {spent * 1e3:.3f} ms")
assert loop_time > 3 * numpy_time
assert loop_time > 3 * tensor_time

# %% [markdown]
# Between the two there is no winner, only a size. Each line is the time of `x * x + 1`, for ten numbers up to a few
# million.

# %%
sizes = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000]
times = {"NumPy": [], "TensorFlow": []}
for size in sizes:
    array = np.ones(size, "float32")
    tensor = tf.constant(array)
    times["NumPy"].append(1e3 * seconds(lambda array=array: array * array + 1))
    times["TensorFlow"].append(1e3 * seconds(lambda tensor=tensor: tensor * tensor + 1))
plots.lines(
    sizes,
    times,
    "numbers in x",
    "ms for x * x + 1",
    "Small: NumPy. Large: it depends on the machine",
    log=True,
)

# %%
ratio = times["TensorFlow"][0] / times["NumPy"][0]
print(f"ten numbers: TensorFlow takes {ratio:.1f}x the time of NumPy")
assert ratio > 1.2, (
    "each call of a TensorFlow function costs some microseconds, whatever the size"
)
assert times["TensorFlow"][-1] < 10 * times["NumPy"][-1], (
    "with millions of numbers that no longer matters"
)

# %% [markdown]
# A call into TensorFlow looks up the device, the types and the right code before it computes. For ten numbers that is
# all the work there is. So do not loop over single elements of a tensor: give it the whole box. Or let `tf.function`
# compile many small steps into one call: notebook 04 measures that.
#
# ### Who copies?
#
# `tf.constant` copies an array. `.numpy()` gives you a copy back. `np.asarray` gives a view on the tensor's own memory,
# and marks it as read-only, because a tensor must never change.

# %%
array = np.zeros(1000, "float32")
tensor = tf.constant(array)
array[0] = 5.0
copy, view = tensor.numpy(), np.asarray(tensor)
print(
    "the tensor has not seen the change:",
    tensor[0].numpy(),
    "| the view can be written:",
    view.flags.writeable,
)
assert tensor[0] == 0.0
assert np.shares_memory(view, np.asarray(tensor))
assert not np.shares_memory(copy, view)

# %% [markdown]
# ### The notes said: NumPy has no GPU
#
# True. A tensor lives on a **device**, and TensorFlow puts it on a GPU when there is one. But what does it cost you to
# drop a line of NumPy into a computation on tensors? Four steps on a few million numbers: once all in TensorFlow, once
# out to NumPy and back in between.

# %%
device = tf.config.list_logical_devices()[-1]  # the GPU, if there is one
with tf.device(device.name):
    big = tf.random.uniform([2_000_000], seed=1)


def stay(x):
    for _ in range(4):
        x = x * 0.5 + 1.0
    return x.numpy()


def go_back_and_forth(x):
    for _ in range(4):
        with tf.device(device.name):
            x = tf.constant((x * 0.5 + 1.0).numpy())
    return x.numpy()


# %%
stay_time, travel_time = seconds(lambda: stay(big)), seconds(lambda: go_back_and_forth(big))
print(
    "device:",
    device.device_type,
    "|",
    f"stay: {stay_time * 1e3:.1f} ms, back and forth: {travel_time * 1e3:.1f} ms",
)
print(f"the trips make it {travel_time / stay_time:.1f}x as slow")
assert np.array_equal(stay(big), go_back_and_forth(big))
assert travel_time > stay_time

# %% [markdown]
# On a CPU a trip is a copy in memory. On a GPU it is a copy over the bus, and the GPU waits meanwhile. The rule is the
# same: go to NumPy once, at the end.
#
# ### The notes said: the Input layer converts arrays to tensors
#
# Here is a layer that has never met an Input layer. We hand it a NumPy array. What comes out?

# %%
flat = keras.layers.Flatten()(images[:2])
print(
    type(images).__name__, "in;", "tensor out:", tf.is_tensor(flat), flat.shape, flat.dtype.name
)
assert isinstance(images, np.ndarray)
assert tf.is_tensor(flat)

# %% [markdown]
# Every layer turns arrays into tensors when you call it. In `fit` it happens before the first layer is reached:
# notebook 02 catches it in the act.
#
# ## Summary
#
# - A tensor has a shape, a rank and a dtype; an index takes an axis away, a slice keeps it.
# - Reshape keeps the order of the values, transpose does not; broadcasting (3, 1) with (3,) gives nine numbers.
# - Between tensors no type is converted; Python numbers and NumPy arrays take the tensor's type, sometimes with loss.
# - A weight is a variable, because a tensor cannot change; change it with `assign`.
# - Give TensorFlow whole boxes, and go to NumPy once, at the end.
#
# **Next** notebook 02 puts layers on top of tensors, in three ways, and trains the first classifier.
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
