# %% [markdown]
# # 02 · Sequential vs Functional
#
# One small network, built three ways, taken apart, trained on pictures of clothes and judged by its mistakes.
#
# You will be able to
# - count a dense network's parameters by hand,
# - build the same network with Sequential and with the Functional API, and say why they are one thing,
# - build networks with branches and several inputs, which Sequential cannot,
# - feed `fit` with arrays or datasets, and labels with the loss that fits them,
# - train a classifier, read its curves and its confusion matrix, and name a single picture.
#
# **Needs** notebook 01 (tensors, shapes, types), or the same knowledge.
# **Time** 55 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU cores.

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
import warnings
from textwrap import shorten

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.metrics import confusion_matrix

from helpers import data, models, plots
from helpers.exercises import ex02_sequential_vs_functional as exercises

fashion = data.fashion()
x_train, y_train = fashion.arrays("train")
x_val, y_val = fashion.arrays("val")
x_test, y_test = fashion.arrays("test")

# %% [markdown]
# ## 1 · The task
#
# Ten kinds of clothes, grey pictures of 28 by 28 pixels. Which two kinds would *you* mix up?

# %%
first_of_each = [np.flatnonzero(y_train == kind)[0] for kind in range(10)]
plots.image_grid(x_train[first_of_each], fashion.class_names, title="One of each kind")

# %%
print("pictures", x_train.shape, x_train.dtype, "values", x_train.min(), "to", x_train.max())
print("labels  ", y_train.shape, y_train.dtype, "values", y_train.min(), "to", y_train.max())
assert x_train.shape[1:] == (28, 28)
assert x_train.dtype == np.uint8
assert set(y_train) == set(range(10))

# %% [markdown]
# A label is the number of a class, its place in the list of names.
#
# ## 2 · One network, three ways
#
# A **dense layer** multiplies its inputs by a table of weights, adds a bias to each output, and applies an
# **activation**. Ours are ReLU, which sets negative numbers to 0, and **softmax**, which turns ten scores into ten
# probabilities.
#
# The network: 784 pixels, then 100 units, 30 units, and 10 probabilities. How many numbers does it learn? Work it out
# before you look: each layer has inputs times units weights, and one bias for each unit.

# %%
by_hand = {
    "hidden_1": 784 * 100 + 100,
    "hidden_2": 100 * 30 + 30,
    "probabilities": 30 * 10 + 10,
}
print(by_hand, "together", sum(by_hand.values()))
assert list(by_hand.values()) == [78_500, 3_030, 310]
assert sum(by_hand.values()) == 81_840

# %% [markdown]
# ### First way: a list

# %%
keras.utils.set_random_seed(0)  # the same first weights every time
as_list = keras.Sequential(
    [
        keras.Input((28, 28), name="picture"),
        layers.Rescaling(1 / 255, name="rescaling"),  # 0..255 to 0..1
        layers.Flatten(name="flatten"),
        layers.Dense(100, activation="relu", name="hidden_1"),
        layers.Dense(30, activation="relu", name="hidden_2"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]
)
as_list.summary()

# %% [markdown]
# `None` in the output shapes is the batch: it may have any size. Compare the last column with your own numbers.
# Rescaling and flattening learn nothing.
#
# ### Second way: `add`, one by one

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
# Here you write what flows where. Each line makes a layer and at once calls it on what came before. The first pair of
# brackets holds the settings, the second the input.

# %%
keras.utils.set_random_seed(0)
picture = keras.Input((28, 28), name="picture")
x = layers.Rescaling(1 / 255, name="rescaling")(picture)
x = layers.Flatten(name="flatten")(x)
x = layers.Dense(100, activation="relu", name="hidden_1")(x)
x = layers.Dense(30, activation="relu", name="hidden_2")(x)
chances = layers.Dense(10, activation="softmax", name="probabilities")(x)
functional = keras.Model(inputs=picture, outputs=chances, name="functional")

plots.model_graph(functional, "784 - 100 - 30 - 10")

# %% [markdown]
# Three models from the same seed. Do they agree? On a CPU not roughly: to the last bit.


# %%
def equal(first, second):
    """Whether two arrays agree: in every bit where the device promises that, else nearly."""
    return (
        np.array_equal(first, second)
        if course.deterministic
        else np.allclose(first, second, atol=1e-2)
    )


def same(first, second):
    """Whether two models hold the same weights."""
    return all(equal(a, b) for a, b in zip(first.get_weights(), second.get_weights()))


for model in (as_list, with_add, functional):
    assert model.count_params() == 81_840
    assert [layer.count_params() for layer in model.layers][-3:] == list(by_hand.values())
    assert same(model, functional)
    assert equal(model(x_test[:100]), functional(x_test[:100]))
print("three models, the same 81,840 weights, the same outputs")

# %% [markdown]
# The course's `models.dense_classifier` is this network with its input checked. You will meet it again in notebook 05.

# %%
twin = models.dense_classifier(logits=False)
twin.set_weights(functional.get_weights())
assert np.allclose(
    twin(x_test[:100]),
    functional(x_test[:100]),
    atol=1e-6 if twin.compute_dtype == "float32" else 1e-2,
)

# %% [markdown]
# ### Exercise 1 · Count the parameters
#
# Write `count_parameters(sizes)`. `sizes` lists the number of inputs and then the units of each dense layer, such as
# `[784, 100, 30, 10]`. Return how many weights and biases there are in all.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.count.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.count.solution()` shows a right answer.


# %%
def count_parameters(sizes):
    # your code
    ...


# %%
exercises.count.check(count_parameters)

# %% [markdown]
# ## 3 · Sequential is a loop
#
# Sequential looks like something of its own. It is a loop over the Functional API: take the input, call the first layer
# on it, call the next layer on the result, and so on. Here is the loop.


# %%
def chain(parts):
    """Build a model from an input and a list of layers, as Sequential does."""
    start, *steps = parts
    flowing = start
    for step in steps:
        flowing = step(flowing)
    return keras.Model(start, flowing)


def parts():
    keras.utils.set_random_seed(0)
    dense = [layers.Dense(100, "relu"), layers.Dense(30, "relu"), layers.Dense(10, "softmax")]
    return [keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(), *dense]


ours, theirs = chain(parts()), keras.Sequential(parts())
print(
    "same weights:", same(ours, theirs), "| same outputs:", equal(ours(x_test), theirs(x_test))
)
assert same(ours, theirs)
assert equal(ours(x_test), theirs(x_test))

# %% [markdown]
# Equal at the start is good. Equal after training is better: then the gradients agree, too.

# %%
for model in (ours, theirs):
    keras.utils.set_random_seed(1)  # the same shuffling
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train[:2000], y_train[:2000], batch_size=100, epochs=1, verbose=0)
assert same(ours, theirs)
assert equal(ours(x_test), theirs(x_test))
print("after", int(ours.optimizer.iterations.numpy()), "steps of training: still equal")

# %% [markdown]
# ### The notes said: Sequential does not know its input
#
# The notes this course grew from (*the notes* from here on) give the first layer an `input_shape`, because Sequential
# cannot know what it will be fed. What is a Sequential model without any input, then? (The little function reports an
# error in one line instead of stopping the notebook.)


# %%
def complaint(function):
    """Return the name and the first words of the error a call raises."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {shorten(str(error), 100)}"
    return "no complaint"


unbuilt = keras.Sequential([layers.Flatten(), layers.Dense(10)])
print("before: built", unbuilt.built, "| weights", len(unbuilt.weights))
print(complaint(unbuilt.count_params))
unbuilt(x_test[:1])
print("after one picture: built", unbuilt.built, "| parameters", unbuilt.count_params())
assert unbuilt.built
assert unbuilt.count_params() == 7850

# %% [markdown]
# It waits. A dense layer cannot make its table of weights before it knows how many inputs there are; the first batch
# tells it. So the notes are right about the beginning and silent about the end. Three ways to end the waiting: an
# `Input` at the front (best: `summary` works at once), `model.build((None, 28, 28))`, or the first batch.
#
# What they wrote still runs. Here is what Keras has to say about it.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old_way = keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])
print(str(caught[0].message).split(".")[0])
assert old_way.built
assert len(caught) == 1

# %% [markdown]
# ### The notes said: `Conv2D(filter=32, kernel_size=3)`
#
# A slip of one letter. Some libraries swallow an unknown setting and go on with the default. Keras?

# %%
print(complaint(lambda: layers.Conv2D(filter=32, kernel_size=3)))
print(complaint(lambda: layers.Conv2D(filters=32, kernel_size=3)))
assert complaint(lambda: layers.Conv2D(filter=32, kernel_size=3)).startswith("TypeError")

# %% [markdown]
# ### Exercise 2 · One list of layers, two models
#
# Write `both_ways(sizes)`. For `[784, 100, 30, 10]` it returns two models, a Sequential and a Functional one, made of
# the *same* layers. They take vectors of 784 numbers, have ReLU layers of 100 and 30 units, and end in 10 probabilities
# (softmax). Give one of them other weights: what does the other do?


# %%
def both_ways(sizes):
    # your code
    ...


# %%
exercises.both.check(both_ways)

# %% [markdown]
# ## 4 · What Sequential cannot do
#
# In a list, every layer has one predecessor. Suppose we want to look at the upper half of a garment and at the lower
# half separately, and then decide. Two inputs, two branches, one end. Try to think of a list for it.

# %%
keras.utils.set_random_seed(0)
halves = {name: keras.Input((14, 28), name=name) for name in ("top", "bottom")}
branches = []
for name, half in halves.items():
    flat = layers.Flatten(name=f"{name}_flat")(
        layers.Rescaling(1 / 255, name=f"{name}_scale")(half)
    )
    branches.append(layers.Dense(50, activation="relu", name=f"{name}_hidden")(flat))
joined = layers.Concatenate(name="joined")(branches)
two_eyes = keras.Model(
    halves,
    layers.Dense(10, activation="softmax", name="probabilities")(joined),
    name="two_eyes",
)
plots.model_graph(two_eyes, "Two inputs, two branches")

# %% [markdown]
# Count again: two branches of 14 times 28 pixels and 50 units, then 100 inputs to 10 units. The inputs go in by name.

# %%
assert two_eyes.count_params() == 2 * (14 * 28 * 50 + 50) + (100 * 10 + 10) == 40_310
split = {"top": x_train[:, :14], "bottom": x_train[:, 14:]}
two_eyes.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
two_eyes.fit(split, y_train, batch_size=64, epochs=2, verbose=0)
_, accuracy = two_eyes.evaluate(
    {"top": x_test[:, :14], "bottom": x_test[:, 14:]}, y_test, verbose=0
)
print("better than guessing, by far:", accuracy > 0.5)
assert accuracy > 0.5

# %%
print(
    complaint(
        lambda: keras.Sequential(
            [keras.Input((14, 28)), keras.Input((14, 14)), layers.Concatenate()]
        )
    )
)
print(
    complaint(
        lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Concatenate()])
    )
)

# %% [markdown]
# One more thing only a graph can say: the *same* layer in two places. The layer is made once and called twice, so there
# is one table of weights, and both inputs train it.

# %%
eye = layers.Dense(50, activation="relu")
left, right = keras.Input((392,)), keras.Input((392,))
shared = keras.Model(
    [left, right], layers.Dense(10)(layers.Concatenate()([eye(left), eye(right)]))
)
print(
    "shared eye:",
    shared.count_params(),
    "parameters | an eye for each half:",
    two_eyes.count_params(),
)
assert two_eyes.count_params() - shared.count_params() == 392 * 50 + 50

# %% [markdown]
# ### Exercise 3 · Wide and deep
#
# A shop knows more about a garment than its picture. Write `wide_and_deep()`, a model with two inputs. `picture` has 28
# by 28 pixels in 0..255. They are rescaled to 0..1, flattened, and go through dense layers of 100 and 30 units with
# ReLU. `facts` has 5 numbers, such as price and weight, that are ready for use. The last layer, 10 units with softmax,
# sees the 30 units and, side by side with them, the 5 facts. How many parameters will the model have?


# %%
def wide_and_deep():
    # your code
    ...


# %%
exercises.branches.check(wide_and_deep)

# %% [markdown]
# ## 5 · `compile` and `fit`, slowly
#
# `compile` trains nothing. It notes down three things: the **loss**, the number to make small; the **optimizer**, which
# changes the weights; the **metrics**, for people to read. `fit` then goes through the pictures in batches; one pass is
# an **epoch**, one batch a **step**. With 64 in a batch, how many steps are in an epoch here?


# %%
def fresh(loss="sparse_categorical_crossentropy"):
    """Return the network with the first weights of seed 0, compiled."""
    keras.utils.set_random_seed(0)
    model = models.dense_classifier(logits=False)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


model = fresh()
model.fit(x_train, y_train, batch_size=64, epochs=1, verbose=0)
steps = int(model.optimizer.iterations.numpy())
print(
    f"{len(x_train):,} pictures / 64 = {len(x_train) / 64:.2f}, so {steps} steps: the last "
    "batch is smaller"
)
assert steps == -(-len(x_train) // 64), "rounded up"

# %% [markdown]
# ### Arrays or a dataset?
#
# `fit` takes NumPy arrays, tensors, or a `tf.data.Dataset` that gives batches of (pictures, labels). With arrays, `fit`
# cuts the batches and shuffles. With a dataset, both are yours to do. Without shuffling, the two must agree.

# %%
from_arrays, from_dataset = fresh(), fresh()
from_arrays.fit(x_train, y_train, batch_size=64, shuffle=False, verbose=0)
batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).batch(64)
from_dataset.fit(batches, shuffle=False, verbose=0)
assert same(from_arrays, from_dataset)
print("the same weights")

# %% [markdown]
# ### The notes said: the Input layer turns arrays into tensors
#
# Let us catch the conversion in the act. The model below has **no** input layer at all. And it writes down what `fit`
# hands to its `train_step`, which runs *before* any layer is called. Predict the types for each kind of food.


# %%
def spied(food, labels=None, **settings):
    """Fit a model without an input layer.

    Return what its train_step was given, batch by batch.
    """
    arrived = []

    class Spy(keras.Sequential):
        def train_step(self, batch):
            arrived.append(batch[0])
            return super().train_step(batch)

    spy = Spy([layers.Flatten(), layers.Dense(10, activation="softmax")])
    spy.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    spy.fit(food, labels, verbose=0, **settings)
    return arrived


# %%
few, answers = x_train[:32], y_train[:32]
doubles = few / 255  # NumPy makes this float64
seen = {
    "NumPy uint8": spied(few, answers)[0],
    "NumPy float64": spied(doubles, answers)[0],
    "dataset of float64": spied(
        tf.data.Dataset.from_tensors((doubles, answers)), shuffle=False
    )[0],
}
for food, arrived in seen.items():
    print(f"{food:18} -> tensor: {tf.is_tensor(arrived)}, {arrived.dtype.name}")

# %% [markdown]
# A tensor every time, and no Input layer in sight. It is `fit` that converts, in the part of it that cuts arrays into
# batches. On the way it turns float64 into Keras' own float type, float32. Integers stay as they are. A dataset is left
# alone: what you put in is what arrives, and the first layer that computes casts it.
#
# An `Input` is a promise about shape and type that the layers are built upon. It handles no data.

# %%
assert all(tf.is_tensor(arrived) for arrived in seen.values())
assert [arrived.dtype.name for arrived in seen.values()] == ["uint8", "float32", "float64"]
print(
    "a plain list:",
    complaint(lambda: fresh().fit(few.tolist(), answers, verbose=0)).split(":")[0],
)

# %% [markdown]
# ### Shuffled, but how often?
#
# `fit` shuffles arrays, a dataset shuffles itself. The spy can tell us the order, too. Eight numbers, one batch, three
# epochs. We have set a seed, as every notebook here does. How many different orders do you expect from each?

# %%
eight, any_label = np.arange(8, dtype="float32")[:, np.newaxis], np.zeros(8, "int64")
keras.utils.set_random_seed(0)
shuffling = tf.data.Dataset.from_tensor_slices((eight, any_label)).shuffle(8, seed=0).batch(8)
orders = {
    "arrays, shuffle=True": spied(eight, any_label, epochs=3, shuffle=True),
    "dataset with shuffle": spied(shuffling, epochs=3, shuffle=False),
}
for food, epochs in orders.items():
    print(
        f"{food}:",
        *("".join(f"{number:.0f}" for number in epoch.numpy().ravel()) for epoch in epochs),
    )

# %% [markdown]
# With a seed set, `fit` deals the arrays out in the *same* order in every epoch. It is shuffled once, so to speak. The
# dataset draws a new order for each epoch, and the same ones when you run it again. So from here on the course trains
# from datasets; `fashion.batches("train")` is one.

# %%
assert all(
    sorted(epoch.numpy().ravel()) == list(range(8))
    for epochs in orders.values()
    for epoch in epochs
)
assert len({tuple(epoch.numpy().ravel()) for epoch in orders["dataset with shuffle"]}) > 1

# %% [markdown]
# ### Validation: who is held back?
#
# `validation_split=0.2` holds back the *last* fifth of the arrays, before any shuffling. Suppose that somebody hands
# you the pictures sorted by class. What will the accuracy on the held-back fifth be?

# %%
order = np.argsort(y_train[:2000], kind="stable")
model = fresh()
run = model.fit(
    x_train[order], y_train[order], validation_split=0.2, epochs=3, batch_size=64, verbose=0
)
held_back = sorted(set(y_train[order][-400:].tolist()))
print("accuracy on the training part above 0.6:", run.history["accuracy"][-1] > 0.6)
print(
    "accuracy on the held-back part below 0.2:",
    run.history["val_accuracy"][-1] < 0.2,
    "| its classes:",
    held_back,
)
assert run.history["accuracy"][-1] > 0.6
assert run.history["val_accuracy"][-1] < 0.2, "it was asked for classes it had hardly ever seen"

# %% [markdown]
# Shuffle first, then split; or do as this course does, and take a part that was set aside once and for all.
#
# ### Labels and losses come in pairs
#
# A label can be a class number (**sparse**), or a row of ten with a single 1 (**one-hot**). The first goes with
# `sparse_categorical_crossentropy`, the second with `categorical_crossentropy`. It is the same loss.

# %%
one_hot = keras.utils.to_categorical(y_train[:500], 10)
print("label", y_train[0], "as one-hot:", one_hot[0].astype(int).tolist())
sparse_loss = fresh().evaluate(x_train[:500], y_train[:500], verbose=0)[0]
one_hot_loss = fresh("categorical_crossentropy").evaluate(x_train[:500], one_hot, verbose=0)[0]
assert np.isclose(sparse_loss, one_hot_loss, atol=1e-5)

# %%
wrong_pairs = {
    "one-hot labels, sparse loss": lambda: fresh().fit(x_train[:500], one_hot, verbose=0),
    "class numbers, one-hot loss": lambda: fresh("categorical_crossentropy").fit(
        x_train[:500], y_train[:500], verbose=0
    ),
}
for text, pair in wrong_pairs.items():
    print(f"{text}: {complaint(pair).split(':')[0]}")
    assert complaint(pair).startswith("ValueError")

# %% [markdown]
# Both are refused, and both messages speak of ranks that do not match. Now you know what they mean.
#
# ### Exercise 4 · Food for `fit`
#
# Write `food(pictures, labels, batch_size, seed)`. `labels` are class numbers. Return a `tf.data.Dataset` for `fit`
# with the loss `categorical_crossentropy`: one-hot labels of ten float32 numbers, shuffled as a whole with `seed`, in a
# new order for every epoch, cut into batches, no picture lost.


# %%
def food(pictures, labels, batch_size, seed):
    # your code
    ...


# %%
exercises.pairs.check(food)

# %% [markdown]
# ## 6 · From pictures to a judged classifier
#
# ### Does the scale matter?
#
# Our network divides by 255 in its first layer. Here is the same network without that layer: same seed, same data, same
# epochs. Guess by how much it is worse.

# %%
EPOCHS = course.pick(quick=10, full=20)
BATCH = course.pick(quick=64, full=128)


def trained(model, epochs):
    """Compile and train with seed 0; return the history."""
    keras.utils.set_random_seed(0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    settings = {
        "epochs": epochs,
        "validation_data": (x_val, y_val),
        "shuffle": False,
        "verbose": 0,
    }
    return model.fit(fashion.batches("train", BATCH, seed=0), **settings).history


# %%
classifier = fresh()
without = keras.Sequential(
    [
        keras.Input((28, 28)),
        layers.Flatten(),
        *(layers.Dense(u, "relu") for u in (100, 30)),
        layers.Dense(10, "softmax"),
    ]
)
runs = {"rescaled": trained(classifier, EPOCHS), "raw 0..255": trained(without, 4)}

# %%
plots.learning_curves(runs, title="The same network, with and without rescaling")

# %% [markdown]
# Large inputs make large scores, and large scores make a confident, wrong softmax with a huge loss. The optimizer
# spends its first epochs on repairing that.

# %%
assert runs["raw 0..255"]["loss"][0] > 2 * runs["rescaled"]["loss"][0]
assert runs["raw 0..255"]["val_accuracy"][3] < runs["rescaled"]["val_accuracy"][3]
assert runs["rescaled"]["loss"][-1] < runs["rescaled"]["loss"][0]

# %% [markdown]
# Read the curves in pairs. Dashed is what the network does on the pictures it learns from, solid on the ones set aside.
# While both get better, it learns something general. When only the dashed one does, it learns by heart:
# **overfitting**.
#
# ### Judge it

# %%
test_loss, test_accuracy = classifier.evaluate(x_test, y_test, verbose=0)
print(f"{fashion.name}: test accuracy {test_accuracy:.3f}")
assert test_accuracy > 0.8

# %% [markdown]
# On the drawn pictures that come with the course, or on the real Fashion-MNIST with all its pictures in the full
# profile, the code is the same. This network is good for about 0.88 there.

# %%
if course.profile == "full" and fashion.source != "bundled":
    assert test_accuracy >= 0.87

# %%
probabilities = classifier.predict(x_test, verbose=0)
guesses = probabilities.argmax(axis=1)
matrix = confusion_matrix(y_test, guesses)
plots.confusion_matrix(matrix, fashion.class_names)

# %% [markdown]
# Each row is one true class. The diagonal is right. Were your two kinds from section 1 among the dark cells off the
# diagonal?

# %%
assert np.isclose(np.trace(matrix) / matrix.sum(), test_accuracy), (
    "accuracy is the diagonal over everything"
)
assert np.array_equal(matrix.sum(axis=1), np.bincount(y_test, minlength=10)), (
    "a row holds one true class"
)

# %% [markdown]
# Numbers say how often. Pictures say why. Here are the mistakes it was most sure of.

# %%
wrong = np.flatnonzero(guesses != y_test)
surest = wrong[np.argsort(-probabilities[wrong].max(axis=1))][:10]
names = fashion.class_names
said = [
    f"{names[y_test[i]]}\ncalled {names[guesses[i]]}, {probabilities[i].max():.0%}"
    for i in surest
]
plots.image_grid(x_test[surest], said, title="Sure and wrong")

# %% [markdown]
# ### One picture
#
# Hand over a single picture, and the model refuses: it was promised a batch. Put an axis in front.

# %%
one = x_test[0]
print(
    "shape",
    one.shape,
    "->",
    complaint(lambda: classifier.predict(one, verbose=0)).split(":")[0],
)
answer = classifier.predict(one[np.newaxis], verbose=0)
print(
    "shape",
    one[np.newaxis].shape,
    "->",
    answer.shape,
    "probabilities that add up to",
    round(float(answer.sum()), 3),
)
assert answer.shape == (1, 10)

# %%
best = answer[0].argsort()[::-1][:3]
plots.image_grid(
    one[np.newaxis],
    ["\n".join(f"{answer[0][k]:.0%} {fashion.class_names[k]}" for k in best)],
    size=2.6,
)

# %% [markdown]
# ### Exercise 5 · Name it, and doubt it
#
# Write `name_it(model, picture, class_names, matrix)`. `picture` is a single one, (28, 28). Return two names: the most
# probable class, and the class it truly is most often when the network calls a picture so and is wrong. `matrix` tells
# you that: a confusion matrix as above, its rows the true classes. Then try it on
# `name_it(classifier, x_test[0], fashion.class_names, matrix)`.


# %%
def name_it(model, picture, class_names, matrix):
    # your code
    ...


# %%
exercises.single.check(name_it)

# %% [markdown]
# ## Summary
#
# - A dense layer has inputs times units weights and units biases; the network has 81,840 of both.
# - Sequential is a loop over the Functional API: the same seed gives the same bits, before and after training.
# - Branches, several inputs and shared layers need the Functional API.
# - `fit` converts arrays to tensors, not the Input layer; class numbers and one-hot labels each have their loss.
# - Rescale the pixels inside the model, set a validation part aside, and look at the mistakes.
#
# **Next** notebook 03 opens the dense layer and builds one from nothing.
#
# ## References
#
# - Xiao, Rasul, Vollgraf (2017), *Fashion-MNIST* [arXiv:1708.07747](https://arxiv.org/abs/1708.07747)
# - Keras guides: [Sequential](https://keras.io/guides/sequential_model/),
#   [Functional](https://keras.io/guides/functional_api/), [fit and
#   evaluate](https://keras.io/guides/training_with_built_in_methods/)
# - Keras API: [Model.fit](https://keras.io/api/models/model_training_apis/),
#   [Dense](https://keras.io/api/layers/core_layers/dense/)
