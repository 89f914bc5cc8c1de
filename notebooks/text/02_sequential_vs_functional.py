# %% [markdown]
# # 02 · Sequential vs Functional
#
# Keras has two ways to write a network: Sequential and the Functional API. You write one small network in both ways,
# train it on images of clothes, and examine its mistakes.
#
# You will be able to
# - count the parameters of a dense network by hand,
# - build one network with Sequential and with the Functional API, and explain why both compute the same,
# - build networks with branches and several inputs with the Functional API,
# - feed `fit` with arrays or datasets, and choose the loss that fits the labels,
# - train a classifier, read its learning curves and its confusion matrix, and classify a single image.
#
# **Needs** notebook 01 (tensors, shapes, types), or the same knowledge.
# **Time** 70 minutes to read, 60 for the exercises; under 60 seconds to run on two CPU cores.

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
import math
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers import data, models, plots
from helpers.exercises import ex02_sequential_vs_functional as exercises

keras.config.set_dtype_policy("float32")  # for comparisons to the last digit, on a GPU too

fashion = data.fashion()
x_train, y_train = fashion.arrays("train")
x_val, y_val = fashion.arrays("val")
x_test, y_test = fashion.arrays("test")
class_names = fashion.class_names

# %% [markdown]
# The data comes in three parts. The network learns from the **training set**. While we build and train it, we judge
# it by the **validation set**, `val` in the printed line above. The finished network is judged by the **test set**,
# in section 6. *Drawn fashion* means that the images are drawings, which come with the course. To use photographs
# instead, set the environment variable `COURSE_DOWNLOAD=1` before you start the notebook. You need not do this.
#
# ## 1 · The task
#
# There are ten kinds of clothes, in grey images of 28 by 28 pixels. Each kind is a **class**. Which class will the
# network most often take for which other class? Write down your guess. Section 6 has the answer.

# %%
one_of_each = []
for label in range(10):
    positions = np.flatnonzero(y_train == label)
    one_of_each.append(positions[5])
plots.image_grid(
    x_train[one_of_each],
    class_names,
    title="One training image of each of the ten classes",
)

# %%
print("images: shape", x_train.shape, "type", x_train.dtype)
print("smallest pixel", x_train.min(), "largest pixel", x_train.max())
print("labels: shape", y_train.shape, "type", y_train.dtype)
print("all labels", np.unique(y_train))

# %% [markdown]
# The **label** of an image is the number of its class: the position of the class in the list `class_names`.
#
# ## 2 · One network, three ways
#
# A **layer** is one step of a network's computation: it turns tensors into tensors. A layer may hold **parameters**,
# numbers that training changes. A **network** is built from layers.
#
# A **dense layer** has one or more outputs, called **units**. Each unit multiplies every input by a weight, adds up the
# products, and adds one more number, the **bias**. The parameters are the weights and the biases.
#
# An **activation** is a function that is applied to the outputs of a layer. **ReLU** replaces negative numbers by 0.
# **Softmax** turns ten numbers, the **scores** of the classes, into ten probabilities: numbers between 0 and 1 that add
# up to one. Section 5 calculates it by hand.
#
# Our network takes 784 pixels. It has dense layers of 100 units, 30 units and 10 units. How many parameters does it
# have? The number of weights of a dense layer is the number of inputs times the number of units. The number of biases
# is the number of units.

# %%
by_hand = {
    "hidden_1": 784 * 100 + 100,
    "hidden_2": 100 * 30 + 30,
    "probabilities": 30 * 10 + 10,
}
print(by_hand)
print("together", sum(by_hand.values()))

# %% [markdown]
# ### First way: a list
#
# Before training, the weights are random numbers: the **initial weights**. A **seed** fixes the random numbers: the
# same seed gives the same numbers.

# %%
keras.utils.set_random_seed(0)
as_list = keras.Sequential(
    [
        keras.Input((28, 28), name="image"),
        layers.Rescaling(1 / 255, name="rescaling"),  # 0..255 to 0..1
        layers.Flatten(name="flatten"),  # 28 rows of 28 pixels to one row of 784
        layers.Dense(100, activation="relu", name="hidden_1"),
        layers.Dense(30, activation="relu", name="hidden_2"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]
)
as_list.summary()

# %% [markdown]
# A **batch** is a group of images that goes through the network together. The first axis of each output shape is the
# batch. It says `None`, because a batch may have any size. Compare the last column with your own numbers.
# *Non-trainable params* counts the parameters that training does not change; here there are none.
#
# ### Second way: `add`, layer by layer

# %%
keras.utils.set_random_seed(0)
with_add = keras.Sequential()
with_add.add(keras.Input((28, 28)))
with_add.add(layers.Rescaling(1 / 255))
with_add.add(layers.Flatten())
with_add.add(layers.Dense(100, activation="relu"))
with_add.add(layers.Dense(30, activation="relu"))
with_add.add(layers.Dense(10, activation="softmax"))

# %% [markdown]
# ### Third way: the Functional API
#
# With the **Functional API** you write which tensor goes into which layer. Each line between `Input` and `Model` makes
# a layer and then calls it. The first pair of parentheses holds the settings of the layer, the second pair its input.

# %%
keras.utils.set_random_seed(0)
image = keras.Input((28, 28), name="image")
x = layers.Rescaling(1 / 255, name="rescaling")(image)
x = layers.Flatten(name="flatten")(x)
x = layers.Dense(100, activation="relu", name="hidden_1")(x)
x = layers.Dense(30, activation="relu", name="hidden_2")(x)
probabilities = layers.Dense(10, activation="softmax", name="probabilities")(x)
functional = keras.Model(inputs=image, outputs=probabilities, name="functional")

plots.model_graph(functional, "Each layer receives the output of the layer before it")

# %% [markdown]
# The layers and the arrows between them are the **graph** of the model.
#
# All three models were built after the same seed. Do they agree? We subtract their weights and their outputs. From here
# on, *weights* means all parameters, the biases too, as in `get_weights`.


# %%
def largest_difference(first, second):
    """Return the largest difference between two arrays."""
    return np.max(np.abs(np.subtract(first, second)))


def weight_difference(first, second):
    """Return the largest difference between the weights of two models or layers."""
    differences = []
    for a, b in zip(first.get_weights(), second.get_weights()):
        differences.append(largest_difference(a, b))
    return max(differences)


# On a GPU, two runs may differ a little, so we allow a difference there.
TOLERANCE = 0.01
if course.deterministic:
    TOLERANCE = 0

# %%
expected = functional(x_val)
for model in (as_list, with_add):
    weights = weight_difference(model, functional)
    outputs = largest_difference(model(x_val), expected)
    print("parameters", model.count_params())
    print("largest difference: weights", weights, "outputs", outputs)
    assert model.count_params() == 81_840
    assert weights <= TOLERANCE
    assert outputs <= TOLERANCE

# %% [markdown]
# No difference: the same seed and the same layers in the same order give the same network.
#
# ### Exercise 1 · Count the parameters
#
# Write `count_parameters(sizes)`. `sizes` lists the number of inputs and then the units of each dense layer, such as
# `[784, 100, 30, 10]`. There is at least one layer. Return the number of all weights and biases.
#
# The next cell checks your answer. `exercises.count.hint()` gives a hint. Call it again for a clearer hint.
# `exercises.count.solution()` shows a right answer.


# %%
def count_parameters(sizes):
    # your code
    ...


# %%
exercises.count.check(count_parameters)

# %% [markdown]
# ## 3 · Sequential is a loop
#
# When a Sequential model is built, it calls its layers in a loop: the first layer on the input, the next layer on the
# result, and so on. Then it normally makes a Functional model of the input and the last result ([Keras'
# source](https://github.com/keras-team/keras/blob/master/keras/src/models/sequential.py), method `build`). Here is the
# same loop.


# %%
def chain(parts):
    """Build a model from an input and a list of layers, as Sequential does."""
    inputs = parts[0]
    outputs = inputs
    for layer in parts[1:]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


def make_parts():
    """Return an input and new layers, with the initial weights of seed 0."""
    keras.utils.set_random_seed(0)
    return [
        keras.Input((28, 28)),
        layers.Rescaling(1 / 255),
        layers.Flatten(),
        layers.Dense(100, activation="relu"),
        layers.Dense(30, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


# %%
ours = chain(make_parts())
theirs = keras.Sequential(make_parts())
weights = weight_difference(ours, theirs)
outputs = largest_difference(ours(x_val), theirs(x_val))
print("largest difference: weights", weights, "outputs", outputs)
assert weights <= TOLERANCE
assert outputs <= TOLERANCE

# %% [markdown]
# ### A common mistake: asking for the parameters before the input is known
#
# The model below has no `Input` ([Keras guide](https://keras.io/guides/sequential_model/)). We ask how many parameters
# it has.

# %%
unbuilt = keras.Sequential([layers.Flatten(), layers.Dense(10)])
try:
    unbuilt.count_params()
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# A dense layer cannot create its weights before it knows the number of its inputs. The first batch tells the model the
# shape, and then the model is **built**: its weights are created.

# %%
print("before the first batch: built", unbuilt.built)
unbuilt(x_val[:1])
print("after the first batch: built", unbuilt.built)
print("parameters", unbuilt.count_params())
assert unbuilt.count_params() == 784 * 10 + 10


# %% [markdown]
# Write an `Input` at the front instead. Then the model is built at once.
#
# ### Exercise 2 · One list of layers, two models
#
# Write `both_ways(sizes)`. For `[784, 100, 30, 10]` it returns two models, a Sequential and a Functional one, made of
# the *same* layers. They take vectors of 784 numbers, have ReLU layers of 100 and 30 units, and end in 10 probabilities
# (softmax). If you change the weights of one model, what happens to the other? After a right answer, the check tells
# you.


# %%
def both_ways(sizes):
    # your code
    ...


# %%
exercises.both.check(both_ways)

# %% [markdown]
# ## 4 · When one chain is not enough
#
# A Sequential model is one chain: each layer after the first receives the output of the layer before it. Suppose that
# the upper half and the lower half of an image should each have a dense layer of their own. That makes two inputs and
# two **branches**, which are joined at the end.


# %%
def branch(half):
    """Return the output of a new dense layer for one half of the images."""
    x = layers.Rescaling(1 / 255, name=half.name + "_rescaling")(half)
    x = layers.Flatten(name=half.name + "_flatten")(x)
    return layers.Dense(50, activation="relu", name=half.name + "_hidden")(x)


# %%
keras.utils.set_random_seed(0)
top = keras.Input((14, 28), name="top")
bottom = keras.Input((14, 28), name="bottom")
joined = layers.Concatenate(name="joined")([branch(top), branch(bottom)])
probabilities = layers.Dense(10, activation="softmax", name="probabilities")(joined)
two_branches = keras.Model(
    inputs={"top": top, "bottom": bottom},
    outputs=probabilities,
    name="two_branches",
)
plots.model_graph(two_branches, "Two inputs go through two branches and are joined")

# %% [markdown]
# Count again. Each branch has 14 times 28 inputs and 50 units. The last layer has 100 inputs and 10 units.

# %%
one_branch = 14 * 28 * 50 + 50
last_layer = 100 * 10 + 10
by_hand = 2 * one_branch + last_layer
print("by hand", by_hand)
print("Keras  ", two_branches.count_params())
assert two_branches.count_params() == by_hand

# %% [markdown]
# Several inputs are given by name, in a dictionary.

# %%
halves = {"top": x_val[:, :14], "bottom": x_val[:, 14:]}
outputs = two_branches(halves)
print("outputs: shape", outputs.shape)
assert outputs.shape == (len(x_val), 10)

# %% [markdown]
# Such a model cannot be written as one list of layers. A second `Input` in the list is refused.

# %%
parts = [
    keras.Input((14, 28)),
    keras.Input((14, 28)),
    layers.Concatenate(),
]
try:
    keras.Sequential(parts)
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ### Exercise 3 · Wide and deep
#
# A shop knows more about a piece of clothing than its image. Write `wide_and_deep()`. It returns a Functional model
# with two inputs. The image has 28 by 28 pixels in 0..255. They are rescaled to 0..1, flattened, and go through dense
# layers of 100 and 30 units with ReLU: the *deep* path. The facts are 5 numbers, such as price and size, which need
# no rescaling: the *wide* path. The 30 units and the 5 facts are joined. The last layer, 10 units with softmax,
# receives all 35 numbers. You may choose the names and the order of the inputs. How many parameters will the model
# have?


# %%
def wide_and_deep():
    # your code
    ...


# %%
exercises.branches.check(wide_and_deep)

# %% [markdown]
# ## 5 · `compile` and `fit`, step by step
#
# `compile` makes three choices and trains nothing:
# - the **loss**: the number that training makes small;
# - the **optimizer**: the rule that changes the weights after each batch;
# - the **metrics**: numbers that are reported for us. They do not change the weights. Ours is **accuracy**: the fraction
#   of images whose class is predicted correctly.
#
# `fit` trains. It takes one batch after the other. Here a **step** is one batch and one change of the weights. An
# **epoch** is one pass through all training images. With 64 images in a batch, how many steps has an epoch here?


# %%
def fresh(loss="sparse_categorical_crossentropy"):
    """Return the network of section 2, compiled, with the initial weights of seed 0."""
    keras.utils.set_random_seed(0)
    model = keras.models.clone_model(functional)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


# %%
model = fresh()
print("steps after compile:", int(model.optimizer.iterations))
model.fit(
    x_train,
    y_train,
    batch_size=64,
    epochs=1,
    verbose=0,
)
steps = int(model.optimizer.iterations)
batches = len(x_train) / 64
print("images / 64 =", batches)
print("steps after one epoch:", steps)
assert steps == math.ceil(batches)

# %% [markdown]
# `math.ceil` rounds up: the last batch is smaller than 64, and it is a step, too.
#
# `compile` can do more: several outputs, loss weights, sample weights, other optimizers. See *For reference*.
#
# ### Labels: class numbers or one-hot
#
# A label can be a class number. Losses for class numbers are called **sparse**. A label can also be **one-hot**: a row
# with a 1 at the position of the class and 0 everywhere else. `tf.one_hot` turns class numbers into one-hot labels.

# %%
few_images = x_train[:2000]
few_labels = y_train[:2000]
one_hot = tf.one_hot(few_labels, depth=10)
print("class number", few_labels[0])
print("one-hot     ", one_hot[0].numpy())
print("shape", one_hot.shape, "type", one_hot.dtype.name)

# %% [markdown]
# Class numbers go with `sparse_categorical_crossentropy`, one-hot labels with `categorical_crossentropy`. Both compute
# the same loss, **cross-entropy**: for one image, minus the logarithm of the probability of its true class. The loss of
# many images is the mean.

# %%
sparse_model = fresh("sparse_categorical_crossentropy")
one_hot_model = fresh("categorical_crossentropy")
sparse_loss, accuracy = sparse_model.evaluate(few_images, few_labels, verbose=0)
categorical_loss, accuracy = one_hot_model.evaluate(few_images, one_hot, verbose=0)
print(f"sparse:      loss {sparse_loss:.4f}")
print(f"categorical: loss {categorical_loss:.4f}")
assert np.isclose(sparse_loss, categorical_loss, atol=1e-3)

# %% [markdown]
# What happens when a label meets the wrong loss?

# %%
try:
    sparse_model.fit(few_images, one_hot, verbose=0)
except ValueError as error:
    print("one-hot labels, sparse loss:", error)
try:
    one_hot_model.fit(few_images, few_labels, verbose=0)
except ValueError as error:
    print("class numbers, categorical loss:", error)

# %% [markdown]
# Both are refused. The `target` in these messages is the label. Read only the two shapes at the end of a message. Here
# the labels and the loss are of different kinds. A forgotten `Flatten` can give such a message, too.
#
# ### Logits
#
# The scores that go into softmax are called **logits**. A model may end in logits, without softmax. Then give
# `from_logits=True` to the loss: it applies softmax itself. `models.dense_classifier` builds our network with logits,
# or, with `logits=False`, with probabilities.

# %%
with_logits = models.dense_classifier(logits=True)
with_logits.set_weights(functional.get_weights())
logits = with_logits(x_val).numpy()
probabilities = functional(x_val).numpy()

exponentials = np.exp(logits[0])
softmax_by_hand = exponentials / exponentials.sum()
print("logits         ", logits[0].round(2))
print("softmax by hand", softmax_by_hand.round(2))
print("probabilities  ", probabilities[0].round(2))
assert np.allclose(softmax_by_hand, probabilities[0], atol=1e-2)

# %%
loss_of_probabilities = keras.losses.SparseCategoricalCrossentropy()
loss_of_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
right = loss_of_probabilities(y_val, probabilities)
also_right = loss_of_logits(y_val, logits)
true_probabilities = probabilities[np.arange(len(y_val)), y_val]
by_hand = -np.log(true_probabilities).mean()
wrong = loss_of_probabilities(y_val, logits)
print(f"probabilities, from_logits=False: loss {right:.2f}")
print(f"logits, from_logits=True:         loss {also_right:.2f}")
print(f"logits, from_logits=False:        loss {wrong:.2f}")
print(f"by hand:                          loss {by_hand:.2f}")
assert np.isclose(right, by_hand, atol=1e-2)
assert np.isclose(right, also_right, atol=1e-2)
assert not np.isclose(right, wrong, atol=0.1)

# %% [markdown]
# The third loss is wrong, and Keras raised no error. Notebook 06 shows what this mistake does to the gradient.
#
# ### Arrays or a dataset?
#
# `fit` takes arrays, for example, or a `tf.data.Dataset` of batches. With arrays, `fit` shuffles the images and cuts
# them into batches. With a dataset, you call `shuffle` and `batch` yourself.
#
# An array may change on its way to the first layer. The **data adapter** of `fit` makes tensors of arrays, and casts
# float64 to float32. The model then casts its inputs to the type of its `Input`, float32 by default. `Flatten` casts
# floats, too.
#
# With a seed set, `fit` gives arrays in the same order in every epoch. The `shuffle` of a dataset gives a new order in
# each epoch. *For reference* shows all of this.
#
# ### Build a dataset
#
# Four methods make a dataset for training. `from_tensor_slices` makes one element of each image and its label.
# `shuffle` changes the order. `batch` groups elements. `map` applies a function to each element, here to each batch.
#
# `shuffle` need not hold all elements. It keeps a **buffer** of `buffer_size` elements. It draws one of them at random,
# and the next element takes the free place. What does a small buffer do to the numbers 0 to 11?

# %%
for buffer_size in (1, 3, 12):
    twelve = tf.data.Dataset.range(12)
    twelve = twelve.shuffle(buffer_size=buffer_size, seed=0)
    order = np.array(list(twelve))
    print("buffer of", buffer_size, order)

# %% [markdown]
# A buffer of 1 changes nothing. With a buffer of 3, the first number can only be 0, 1 or 2. A number can come
# at most two places too early. So choose a buffer as large as the dataset if the memory allows it.
#
# Here is the whole dataset, for a loss with one-hot labels.


# %%
def with_one_hot(images, labels):
    return images, tf.one_hot(labels, depth=10)


pairs = tf.data.Dataset.from_tensor_slices((x_train, y_train))
pairs = pairs.shuffle(buffer_size=len(x_train), seed=0)
training_batches = pairs.batch(64).map(with_one_hot)

# %% [markdown]
# `fashion.batches` of the course gives the same batches. It also prepares the next batches while the network trains
# (notebook 06).

# %%
course_batches = fashion.batches("train", batch_size=64, one_hot=True, seed=0)
for own_batch, course_batch in zip(training_batches, course_batches, strict=True):
    own_images, own_labels = own_batch
    course_images, course_labels = course_batch
    assert np.array_equal(own_images, course_images)
    assert np.array_equal(own_labels, course_labels)

# %% [markdown]
# ### Validation: which images are held back?
#
# With `validation_split=0.2`, `fit` does not train on the *last* fifth of the arrays. It **holds back** this part for
# validation ([before shuffling](https://keras.io/api/models/model_training_apis/)). Suppose that the images are
# sorted by class. What will the accuracy on the held-back fifth be?

# %%
by_class = np.argsort(few_labels, kind="stable")
sorted_images = few_images[by_class]
sorted_labels = few_labels[by_class]
model = fresh()
run = model.fit(
    sorted_images,
    sorted_labels,
    validation_split=0.2,
    batch_size=64,
    epochs=3,
    verbose=0,
)
accuracy = run.history["accuracy"][-1]
val_accuracy = run.history["val_accuracy"][-1]
print(f"training part:  accuracy {accuracy:.2f} on 1,600 images")
print(f"held-back part: accuracy {val_accuracy:.2f} on 400 images")
training_counts = np.bincount(sorted_labels[:1600], minlength=10)
held_back_counts = np.bincount(sorted_labels[1600:], minlength=10)
print("training part,  images of each class:", training_counts)
print("held-back part, images of each class:", held_back_counts)
assert accuracy > 0.6
assert val_accuracy < 0.2

# %% [markdown]
# The training part has few or no images of the two classes that are held back. Shuffle first, then split. Or use a
# separate validation set, as this course does.
#
# ### Exercise 4 · A dataset for `fit`
#
# Write `make_dataset(images, labels, batch_size, seed)`. `labels` are class numbers. Return a `tf.data.Dataset` for
# `fit` with the loss `categorical_crossentropy`. Its labels are one-hot, ten float32 numbers. The images stay as they
# are. The dataset shuffles all images with `seed`, in a new order for every epoch, and cuts them into batches. Every
# epoch has all images: the last batch may be smaller.


# %%
def make_dataset(images, labels, batch_size, seed):
    # your code
    ...


# %%
exercises.pairs.check(make_dataset)

# %% [markdown]
# ## 6 · Train a classifier and judge it
#
# ### Why divide by 255?
#
# Our network divides the pixels by 255 in its first layer. The two networks below have the same weights. They differ
# in one number, the scale of the pixels. For each image, one class gets the highest probability. In which network is
# this probability higher before training?


# %%
def scaled_network(scale):
    """Return the network of section 2 with another scale of the pixels."""
    parts = make_parts()
    parts[1] = layers.Rescaling(scale)
    return keras.Sequential(parts)


for scale in (1 / 255, 1.0):
    probabilities = scaled_network(scale)(x_val)
    largest = np.max(probabilities, axis=1).mean()
    loss = loss_of_probabilities(y_val, probabilities)
    print(f"pixels times {scale:.3f}: largest probability {largest:.2f}, loss {loss:.1f}")

# The last network is the one with raw pixels.
assert largest > 0.8
assert loss > 10

# %% [markdown]
# It is higher in the network with raw pixels, which are not divided by 255. There one class gets nearly all the
# probability, though the network has learned nothing. The loss before training is very large. With rescaled pixels
# the ten probabilities are closer together. The loss is near 2.3, which is -log(1/10), the loss of ten equal
# probabilities.
#
# ### Train
#
# We train the rescaled network for longer. `validation_data` is evaluated after each epoch.

# %% tags=["nbval-ignore-output"]
# About 10 seconds.
EPOCHS = course.pick(quick=10, full=20)
BATCH_SIZE = course.pick(quick=64, full=128)
classifier = fresh()
run = classifier.fit(
    fashion.batches("train", BATCH_SIZE, seed=0),
    epochs=EPOCHS,
    validation_data=(x_val, y_val),
    shuffle=False,  # fit never shuffles a dataset; this avoids a warning
    verbose=2,
)

# %%
plots.learning_curves(
    {"our network": run.history},
    title="Loss and accuracy of the two sets in each epoch",
)

# %% [markdown]
# These are the **learning curves**. Dashed: the training set. Solid: the validation set. A training value is a mean
# over one epoch, in which the weights still change. The validation value is computed after the epoch. So validation can
# be better than training in the first epoch ([Keras'
# FAQ](https://keras.io/getting_started/faq/#why-is-my-training-loss-much-higher-than-my-testing-loss)).
#
# When the training loss falls further and further below the validation loss, the network **overfits**: it learns what
# is true for the training images and not for new ones. We compare three epochs in the middle with the last three.

# %%
loss = np.array(run.history["loss"])
val_loss = np.array(run.history["val_loss"])
half = EPOCHS // 2
middle = loss[half - 2 : half + 1].mean()
val_middle = val_loss[half - 2 : half + 1].mean()
end = loss[-3:].mean()
val_end = val_loss[-3:].mean()
print("epochs", half - 1, "to", half + 1)
print(f"training loss {middle:.2f}, validation loss {val_middle:.2f}")
print("last three epochs")
print(f"training loss {end:.2f}, validation loss {val_end:.2f}")
assert middle - end > val_middle - val_end
assert end < val_end

# %% [markdown]
# At the end, the training loss is below the validation loss: the network begins to overfit.
#
# ### Judge it

# %%
test_loss, test_accuracy = classifier.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {test_accuracy:.3f} on {len(y_test)} images")
assert test_accuracy > 0.8

# %% [markdown]
# Which classes does the network confuse? A **confusion matrix** counts this. The row is the true class, the column is
# the predicted class. Here we fill the matrix ourselves.

# %%
probabilities = classifier.predict(x_test, verbose=0)
predictions = probabilities.argmax(axis=1)
matrix = np.zeros((10, 10), dtype=int)
for true_class, predicted_class in zip(y_test, predictions):
    matrix[true_class, predicted_class] += 1
correct = np.trace(matrix)  # the sum of the diagonal
by_hand = correct / len(y_test)
assert np.isclose(by_hand, test_accuracy)

plots.confusion_matrix(matrix, class_names)

# %% [markdown]
# The diagonal counts the correct predictions. The largest number off the diagonal is the most frequent mistake. Compare
# it with your guess in section 1. Another seed may give another mistake.

# %% tags=["nbval-ignore-output"]
mistakes = matrix.copy()
np.fill_diagonal(mistakes, 0)
most_frequent = mistakes.argmax()  # as if all rows were one long row
true_class, predicted_class = np.unravel_index(most_frequent, mistakes.shape)
print("true class:     ", class_names[true_class])
print("predicted class:", class_names[predicted_class])
print("how often:      ", mistakes.max())

# %% [markdown]
# Now look at the mistakes themselves.

# %%
wrong = np.flatnonzero(predictions != y_test)
highest = probabilities.max(axis=1)
order = np.argsort(-highest[wrong])  # the highest probability first
worst = wrong[order[:10]]
titles = []
for i in worst:
    true_name = class_names[y_test[i]]
    predicted_name = class_names[predictions[i]]
    titles.append(f"true: {true_name}\npredicted: {predicted_name}\n{highest[i]:.1%}")
plots.image_grid(
    x_test[worst],
    titles,
    title="The ten wrong predictions with the highest probability",
    size=1.6,
)

# %% [markdown]
# ### One image
#
# What happens when you give the model a single image?

# %%
one_image = x_test[0]
try:
    classifier.predict(one_image, verbose=0)
except ValueError:
    print("ValueError: shape", one_image.shape, "is refused")
print("the model expects shape", classifier.input_shape)

# %% [markdown]
# `None` is the axis of the batch, and a single image lacks it. `one_image[np.newaxis]` adds an axis in front: a batch of
# one image.

# %%
batch_of_one = one_image[np.newaxis]
answer = classifier.predict(batch_of_one, verbose=0)
print("shape", batch_of_one.shape, "gives shape", answer.shape)
print(f"sum of the probabilities {answer.sum():.3f}")
print("predicted class:", class_names[answer[0].argmax()])
assert answer.shape == (1, 10)

# %% [markdown]
# ### Exercise 5 · Classify one image, and name the likely mistake
#
# Write `name_it(model, image, class_names, matrix)`. `image` is a single image, (28, 28). Return two class names. The
# first is the most probable class. `matrix` is a confusion matrix as above. Some of the images that it counts have
# this *predicted* class, but another *true* class. The second name is the most frequent true class of these images.
# Then try `name_it(classifier, x_test[0], class_names, matrix)`.


# %%
def name_it(model, image, class_names, matrix):
    # your code
    ...


# %%
exercises.single.check(name_it)

# %% [markdown]
# ## For reference
#
# You need not read this section now.
#
# ### What converts arrays, and what casts them
#
# Three parts of Keras take part.
#
# **First, the data adapter.** This is [the part of
# `fit`](https://github.com/keras-team/keras/blob/master/keras/src/trainers/data_adapters/array_data_adapter.py) that
# cuts arrays into batches. `fit` hands each batch to the method `train_step`, before any layer is called. The model
# below records what its `train_step` receives. You need not understand this cell: `record_batches` returns the inputs
# that arrived.

# %%
received = []


class RecordingModel(keras.Sequential):
    """A model that records the inputs which `fit` hands to it."""

    def train_step(self, batch):
        received.append(batch[0])
        return super().train_step(batch)


def record_batches(*data, **settings):
    """Train a recording model; return the inputs that arrived, batch by batch."""
    received.clear()
    model = RecordingModel([layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        run_eagerly=True,  # run train_step as plain Python, once for each batch
    )
    model.fit(*data, verbose=0, **settings)
    return list(received)


# %%
batch_of_images = x_train[:32]
batch_of_labels = y_train[:32]
doubles = batch_of_images / 255  # NumPy makes this float64
# The whole pair is one element of the dataset: one batch.
dataset = tf.data.Dataset.from_tensors((doubles, batch_of_labels))

from_uint8 = record_batches(batch_of_images, batch_of_labels)[0]
from_float64 = record_batches(doubles, batch_of_labels)[0]
from_a_dataset = record_batches(dataset, shuffle=False)[0]
for arrived in (from_uint8, from_float64, from_a_dataset):
    assert tf.is_tensor(arrived)
print("array of uint8     -> tensor of", from_uint8.dtype.name)
print("array of float64   -> tensor of", from_float64.dtype.name)
print("dataset of float64 -> tensor of", from_a_dataset.dtype.name)
assert from_uint8.dtype == "uint8"
assert from_float64.dtype == "float32"
assert from_a_dataset.dtype == "float64"

# %% [markdown]
# So the data adapter turns arrays into tensors. It casts float64 to float32, the default float type of Keras. It leaves
# uint8 and the tensors of a dataset as they are.
#
# **Second, the model.** It casts its inputs to the type of its `Input`. Without `dtype=`, that is float32. An
# `Identity` layer returns what it receives. With `autocast=False` it casts nothing itself, so the output shows what
# arrived at the first layer.


# %%
def first_layer_receives(inputs):
    """Return what the first layer of a model receives when the model gets uint8 images."""
    identity = layers.Identity(autocast=False)
    model = keras.Model(inputs, identity(inputs))
    return model(batch_of_images)


plain = first_layer_receives(keras.Input((28, 28)))
integers = first_layer_receives(keras.Input((28, 28), dtype="uint8"))
print("Input((28, 28)):                uint8 ->", plain.dtype.name)
print('Input((28, 28), dtype="uint8"): uint8 ->', integers.dtype.name)
assert plain.dtype == "float32"
assert integers.dtype == "uint8"

# %% [markdown]
# **Third, each layer.** By default a layer casts floats to its own float type, here float32. It does not cast integers
# by itself. `Flatten` only moves numbers. `Rescaling` computes floats. We call these two layers alone, without a model
# around them.

# %%
flatten = layers.Flatten(dtype="float32")
rescaling = layers.Rescaling(1 / 255, dtype="float32")
flat_doubles = flatten(doubles)
flat_images = flatten(batch_of_images)
rescaled_images = rescaling(batch_of_images)
print("Flatten:   float64 ->", flat_doubles.dtype.name)
print("Flatten:   uint8   ->", flat_images.dtype.name)
print("Rescaling: uint8   ->", rescaled_images.dtype.name)
assert flat_doubles.dtype == "float32"
assert flat_images.dtype == "uint8"
assert rescaled_images.dtype == "float32"

# %% [markdown]
# ### Shuffled, but how often?
#
# With arrays, `fit` shuffles by default. `record_batches` shows the order. We give it the numbers 0 to 7, in one batch,
# for three epochs. A seed is set. How many different orders do you expect?

# %%
numbers = np.arange(8).reshape(8, 1)
any_labels = np.zeros(8, dtype="int64")  # fit needs some labels
keras.utils.set_random_seed(0)
first, second, third = record_batches(numbers, any_labels, epochs=3)
for batch in (first, second, third):
    print("arrays:", batch.numpy().ravel())
assert not np.array_equal(first, numbers)
assert np.array_equal(first, second)
assert np.array_equal(first, third)

# %% [markdown]
# One: with a seed set, `fit` gives the arrays in the same order in every epoch. Now a dataset with its own `shuffle`.

# %%
pairs = tf.data.Dataset.from_tensor_slices((numbers, any_labels))
shuffled = pairs.shuffle(buffer_size=8, seed=0).batch(8)
first, second, third = record_batches(shuffled, epochs=3, shuffle=False)
for batch in (first, second, third):
    print("dataset:", batch.numpy().ravel())
assert not np.array_equal(first, second)
assert not np.array_equal(second, third)

# %% [markdown]
# This dataset gives a new order in each epoch. With smaller batches, the batches would be new, too.
#
# ### The same weights from arrays and from a dataset
#
# Here nothing is shuffled.

# %%
batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).batch(64)
from_dataset = fresh()
# fit never shuffles a dataset; shuffle=False avoids a warning
from_dataset.fit(batches, shuffle=False, verbose=0)
from_arrays = fresh()
from_arrays.fit(
    x_train,
    y_train,
    batch_size=64,
    shuffle=False,
    verbose=0,
)
weights = weight_difference(from_arrays, from_dataset)
print("largest difference: weights", weights)
assert weights <= TOLERANCE

# %% [markdown]
# ### Older code: `input_shape`
#
# Older code gives the shape to the first layer. That code still runs, with a warning.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", UserWarning)
    old_way = keras.Sequential(
        [
            layers.Flatten(input_shape=(28, 28)),
            layers.Dense(10),
        ]
    )
print(caught[0].message)
assert old_way.count_params() == unbuilt.count_params()

# %% [markdown]
# ### A common mistake: `filter` instead of `filters`
#
# A `Conv2D` layer is a layer for images; notebook 06 explains it. Below, its argument `filters` is spelled wrong.

# %%
grey_image = keras.Input((28, 28, 1))
try:
    x = layers.Conv2D(filter=32, kernel_size=3)(grey_image)
except TypeError as error:
    print("TypeError:", error)

# %% [markdown]
# The message does not name the wrong word. It says that `filters`, which has no default, is missing. Write `filters`:

# %%
x = layers.Conv2D(filters=32, kernel_size=3)(grey_image)
print("output shape", x.shape)
assert x.shape == (None, 26, 26, 32)

# %% [markdown]
# ### One layer in two places
#
# With the Functional API, one layer can be called twice. Both halves are multiplied by the same weights, so the model
# has fewer parameters.

# %%
shared_layer = layers.Dense(50, activation="relu")
left = keras.Input((392,))  # 14 times 28
right = keras.Input((392,))
joined = layers.Concatenate()([shared_layer(left), shared_layer(right)])
outputs = layers.Dense(10)(joined)
shared = keras.Model(inputs=[left, right], outputs=outputs)

saved = two_branches.count_params() - shared.count_params()
print("parameters with a layer for each half", two_branches.count_params())
print("parameters with one layer for both   ", shared.count_params())
assert saved == one_branch

# %% [markdown]
# ### Names and objects
#
# The name of an optimizer or of a loss, such as `"adam"`, stands for its default settings. For `"accuracy"`, Keras
# chooses the metric that fits the labels ([documentation](https://keras.io/api/models/model_training_apis/)). Give the
# object itself when you want another setting, such as another learning rate.

# %%
by_name = fresh()
by_object = fresh()
by_object.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.001),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
for model in (by_name, by_object):
    keras.utils.set_random_seed(1)
    model.fit(few_images, few_labels, batch_size=100, verbose=0)
weights = weight_difference(by_name, by_object)
print("largest difference: weights", weights)
assert weights <= TOLERANCE

# %% [markdown]
# ### The optimizers by name
#
# Each of these optimizers makes its first step on one weight: once with the gradient 1, once with the gradient 100. The
# weight is 0 before the step, so the table shows the change.


# %%
def first_step(name, gradient, initial=0.0):
    """Return what the first step of an optimizer adds to a weight."""
    optimizer = keras.optimizers.get(name)
    weight = keras.Variable([initial])
    optimizer.apply([tf.constant([gradient])], [weight])
    return weight.numpy()[0] - initial


names = ["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad"]
names += ["adamax", "nadam", "ftrl", "lion", "adafactor"]
for name in names:
    small = first_step(name, 1.0)
    large = first_step(name, 100.0)
    print(f"{name:9} gradient 1: {small:9.6f}   gradient 100: {large:9.6f}")

# %% [markdown]
# The step of `sgd` is the learning rate, 0.01, times the gradient. The step of `adam` has the size of its learning
# rate, 0.001, for both gradients. The step of `adafactor` depends on the size of the weight: from a weight of 1 it
# would be 0.001.

# %%
assert np.isclose(first_step("sgd", 1.0), -0.01)
assert np.isclose(first_step("sgd", 100.0), -1.0)
assert np.isclose(first_step("adam", 1.0), -0.001)
assert np.isclose(first_step("adam", 100.0), -0.001)
from_weight_1 = first_step("adafactor", 1.0, initial=1.0)
assert np.isclose(from_weight_1, -0.001, rtol=1e-3)

# %% [markdown]
# ### Several outputs, several losses
#
# A model can answer two questions about one image: how bright is it, and of which class is it? Each answer has its own
# last layer, called a **head**. The brightness is the mean of the pixels, divided by 255.

# %%
keras.utils.set_random_seed(0)
image = keras.Input((28, 28), name="image")
x = layers.Rescaling(1 / 255, name="rescaling")(image)
x = layers.Flatten(name="flatten")(x)
x = layers.Dense(64, activation="relu", name="hidden")(x)
kind = layers.Dense(10, activation="softmax", name="kind")(x)
brightness = layers.Dense(1, name="brightness")(x)
two_heads = keras.Model(
    inputs=image,
    outputs={"kind": kind, "brightness": brightness},
    name="two_heads",
)
plots.model_graph(two_heads, "Two heads receive the output of one hidden layer")

# %% [markdown]
# Each head has a loss of its own: cross-entropy for the class, mean squared error (`"mse"`) for the brightness. Training
# makes one number small, so the losses are added. **Loss weights** say how much each of them counts.


# %%
def targets(images, labels):
    """Return what the two heads should answer, by the names of the heads."""
    return {"kind": labels, "brightness": images.mean(axis=(1, 2)) / 255}


losses = {"kind": "sparse_categorical_crossentropy", "brightness": "mse"}
two_heads.compile(
    optimizer="adam",
    loss=losses,
    loss_weights={"kind": 1.0, "brightness": 10.0},
)
report = two_heads.evaluate(
    x_val,
    targets(x_val, y_val),
    batch_size=100,
    verbose=0,
    return_dict=True,
)

# %%
by_hand = 1.0 * report["kind_loss"] + 10.0 * report["brightness_loss"]
print(f"kind:       loss {report['kind_loss']:.3f}")
print(f"brightness: loss {report['brightness_loss']:.3f}")
print(f"together:   loss {report['loss']:.3f}")
print(f"by hand:    loss {by_hand:.3f}")
assert np.isclose(report["loss"], by_hand, rtol=1e-3)

# %% [markdown]
# What does training do to a head whose loss has the weight 0?


# %%
def change_of_head(loss_weight):
    """Train one epoch; return the largest change of a weight in the head for brightness."""
    two_heads.compile(
        optimizer="adam",
        loss=losses,
        loss_weights={"kind": 1.0, "brightness": loss_weight},
    )
    head = two_heads.get_layer("brightness")
    kernel_before = head.kernel.numpy()
    two_heads.fit(
        few_images,
        targets(few_images, few_labels),
        batch_size=100,
        verbose=0,
    )
    return largest_difference(kernel_before, head.kernel.numpy())


# %%
without_loss = change_of_head(0.0)
with_loss = change_of_head(10.0)
print(f"loss weight 0:  weights of the head changed by {without_loss:.3f}")
print(f"loss weight 10: weights of the head changed by {with_loss:.3f}")
assert without_loss == 0
assert with_loss > 0

# %% [markdown]
# With `adam`, training does not change this head.
#
# ### Weights for single images: `weighted_metrics`
#
# A **sample weight** says how much one image counts in the loss. `metrics` ignore sample weights, `weighted_metrics`
# use them. Below, each shirt counts as much as five other images.

# %%
two_heads.compile(
    optimizer="adam",
    loss=losses,
    metrics={"kind": "accuracy"},
    weighted_metrics={"kind": "accuracy"},
)
shirt = class_names.index("Shirt")
sample_weight = np.where(y_val == shirt, 5.0, 1.0)
report = two_heads.evaluate(
    x_val,
    targets(x_val, y_val),
    sample_weight=sample_weight,
    verbose=0,
    return_dict=True,
)
answers = two_heads.predict(x_val, verbose=0)

# %%
correct = np.argmax(answers["kind"], axis=1) == y_val
plain = np.mean(correct)
weighted = np.average(correct, weights=sample_weight)
print(f"metrics:          accuracy {report['kind_accuracy']:.3f}")
print(f"by hand:          accuracy {plain:.3f}")
print(f"weighted_metrics: accuracy {report['kind_weighted_accuracy']:.3f}")
print(f"by hand:          accuracy {weighted:.3f}")
assert np.isclose(report["kind_accuracy"], plain)
assert np.isclose(report["kind_weighted_accuracy"], weighted)

# %% [markdown]
# ### The other arguments of `compile`
#
# - `run_eagerly=True` runs `train_step` as plain Python for each batch, without a TensorFlow graph (notebook 04).
#   `RecordingModel` above uses it.
# - `steps_per_execution=10` makes `fit` run ten steps before it returns to Python. Then the callbacks for batches
#   (notebook 05) are called once in ten steps.
# - `jit_compile` translates the model with XLA, a compiler that can make it faster. `auto_scale_loss` is for
#   computing in float16. See the [documentation of compile](https://keras.io/api/models/model_training_apis/).

# %%
calls = []


class Counter(keras.callbacks.Callback):
    """Records each call after a training step."""

    def on_train_batch_end(self, batch, logs=None):
        calls.append(batch)


model = fresh()
model.compile(
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
    steps_per_execution=10,
)
model.fit(
    few_images,
    few_labels,
    batch_size=20,
    callbacks=[Counter()],
    verbose=0,
)
print("steps", int(model.optimizer.iterations), "calls", len(calls))
assert len(calls) == 10

# %% [markdown]
# ## Summary
#
# - A dense layer has inputs times units weights and one bias for each unit. The network has 81,840 parameters.
# - A Sequential model is a loop over its layers. With the same seed and the same layers it equals the Functional model.
# - The Functional API can write branches, several inputs, several outputs and shared layers.
# - `fit` makes tensors of arrays, and the model casts them to the type of its `Input`. Class numbers and
#   one-hot labels each have their loss.
# - Begin with rescaled pixels, use a separate validation set, and look at the mistakes.
#
# **Next** notebook 03 looks inside the dense layer and builds one.
#
# ## References
#
# - Xiao, Rasul, Vollgraf (2017), *Fashion-MNIST* [arXiv:1708.07747](https://arxiv.org/abs/1708.07747)
# - Keras guides: [Sequential](https://keras.io/guides/sequential_model/),
#   [Functional](https://keras.io/guides/functional_api/), [fit and
#   evaluate](https://keras.io/guides/training_with_built_in_methods/)
# - Keras API: [compile and fit](https://keras.io/api/models/model_training_apis/),
#   [Dense](https://keras.io/api/layers/core_layers/dense/), [optimizers](https://keras.io/api/optimizers/)
# - TensorFlow API: [shuffle](https://www.tensorflow.org/api_docs/python/tf/data/Dataset#shuffle),
#   [one_hot](https://www.tensorflow.org/api_docs/python/tf/one_hot)
