"""The exercises of notebook 02."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers.checking.engine import Exercise

NOTEBOOK = "02_sequential_vs_functional"


def give_weights(model, seed, alike_last=False):
    """Set a model's weights to numbers from a seed.

    With `alike_last` the last layer treats all its inputs alike.
    """
    random = np.random.default_rng(seed)
    weights = []
    for shape in shapes(model):
        deviation = 0.5 / max(shape[0], 4) ** 0.5
        weights.append(random.normal(0, deviation, shape))
    if alike_last:
        kernel = weights[-2]
        kernel[:] = kernel[0]
    model.set_weights(weights)


def shapes(model):
    return [tuple(weight.shape) for weight in model.weights]


def outputs(model, fed, training=False):
    """Return what a model gives; the tensor itself where the model wraps it in a list."""
    found = tf.nest.flatten(model(fed, training=training))
    return found[0] if len(found) == 1 else found


# Exercise 1


def count_parameters(sizes):
    total = 0
    inputs = sizes[0]
    for units in sizes[1:]:
        total += inputs * units + units
        inputs = units
    return total


def observe_count(answer):
    for sizes in ([784, 100, 30, 10], [5, 2], [3, 4, 6, 2, 9], [6, 4, 4, 4, 3]):
        yield f"the sizes {sizes}", answer(sizes.copy())
    sizes = [5, 3, 2]
    answer(sizes)
    yield "whether the list you were given is as before the call", sizes == [5, 3, 2]


count = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="Count the parameters",
    objective="count the parameters of a dense network by hand",
    reference=count_parameters,
    observe=observe_count,
    hints=(
        "How many layers are there in a list of four sizes? The first size is not one of them.",
        "Go through the sizes after the first. The units of one layer are the inputs of the "
        "next.",
        "Each layer has inputs times units weights, and one bias for each of its units.",
    ),
)


@count.right
def in_one_line(sizes):
    return sum((inputs + 1) * units for inputs, units in pairwise(sizes))


@count.right
def counted_by_keras(sizes):
    dense = [layers.Dense(units) for units in sizes[1:]]
    return keras.Sequential([keras.Input((sizes[0],)), *dense]).count_params()


def counting(layer, extra=lambda sizes: 0):
    """Return an answer made of a rule for one layer and one for what is added at the end."""

    def answer(sizes):
        total = sum(layer(inputs, units) for inputs, units in pairwise(sizes))
        return total + extra(sizes)

    return answer


count.wrong(
    "You counted the weights and no biases. What does a dense layer add to its products?",
    "biases forgotten",
)(counting(lambda a, b: a * b))
count.wrong(
    "You gave a bias to the inputs, too. The inputs are given, not computed: which layer would "
    "add it?",
    "bias for the inputs",
)(counting(lambda a, b: a * b, sum))
count.wrong(
    "You counted one bias for each layer. Look at the shape of a dense layer's bias in the "
    "summary above.",
    "one bias a layer",
)(counting(lambda a, b: a * b + 1))
count.wrong(
    "You gave each layer as many biases as it has inputs. At which end of the layer is the "
    "bias added?",
    "bias on the side of the inputs",
)(counting(lambda a, b: a * b + a))


@count.wrong(
    "Your loop ends one layer too early. Four sizes make three layers: which pair is missing?"
)
def last_layer_left_out(sizes):
    return count_parameters(sizes[:-1])


@count.wrong(
    "You counted on exactly three layers. A list may have any length: let a loop go through "
    "its pairs."
)
def three_layers_taken_for_granted(sizes):
    a, b, c, d = sizes
    return count_parameters([a, b, c, d])


@count.wrong(
    "Your function looks for the place of a size in the list. Where a size comes twice, "
    "`index` always finds the first place. Count the places, or take pairs."
)
def place_looked_up(sizes):
    total = 0
    for units in sizes[1:]:
        inputs = sizes[sizes.index(units) - 1]
        total += inputs * units + units
    return total


@count.wrong(
    "The number is right, but your function changed the list. The caller may need the list "
    "again."
)
def list_changed(sizes):
    total = 0
    inputs = sizes.pop(0)
    while sizes:
        units = sizes.pop(0)
        total += (inputs + 1) * units
        inputs = units
    return total


# Exercise 2


def both_ways(sizes):
    dense = [layers.Dense(units, activation="relu") for units in sizes[1:-1]]
    dense.append(layers.Dense(sizes[-1], activation="softmax"))
    sequential = keras.Sequential([keras.Input((sizes[0],)), *dense])
    vector = keras.Input((sizes[0],))
    x = vector
    for layer in dense:
        x = layer(x)
    functional = keras.Model(vector, x)
    return sequential, functional


def observe_both_ways(answer):
    # Equal sizes first: there a layer in the wrong place raises no error.
    models = answer([4, 4, 4, 7])
    kinds = models
    if isinstance(models, tuple | list):
        kinds = [type(model).__name__ for model in models]
    yield "the kinds of the two models for [4, 4, 4, 7]", kinds
    if kinds != ["Sequential", "Functional"]:
        return  # one thing at a time, here and below
    sequential, functional = models
    yield "the shapes of the Sequential model's weights for [4, 4, 4, 7]", shapes(sequential)
    yield "the shapes of the Functional model's weights for [4, 4, 4, 7]", shapes(functional)
    if shapes(sequential) != shapes(functional):
        return
    rows = np.random.default_rng(0).normal(0, 3, (5, 4)).astype("float32")
    give_weights(functional, 1)
    give_weights(sequential, 1)
    yield "the Sequential model's outputs", outputs(sequential, rows)
    before = outputs(functional, rows)
    yield "the Functional model's outputs", before
    in_training = outputs(functional, rows, training=True)
    yield "whether they are the same in training", np.allclose(before, in_training, atol=1e-5)
    give_weights(sequential, 2)
    after = outputs(functional, rows)
    yield (
        "the Functional model's outputs after the Sequential one was given other weights",
        after,
    )
    if np.array_equal(before, after):
        return
    others = answer([6, 5, 2])
    yield "the shapes of the weights for [6, 5, 2]", [shapes(model) for model in others]


both = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="One list of layers, two models",
    objective=(
        "build one network with Sequential and with the Functional API, and explain why both "
        "compute the same"
    ),
    reference=both_ways,
    observe=observe_both_ways,
    praise="Train one of the two, and the other changes with it: they share their layers.",
    hints=(
        "First make a list of the dense layers. How many are there for four sizes, and which "
        "one is different?",
        "Sequential takes an Input and your list. The loop of section 3 makes a model of the "
        "same list.",
        "The weights belong to the layers. So make each layer once, before you make the "
        "first model.",
    ),
)


@both.right
def graph_of_the_sequential(sizes):
    sequential = keras.Sequential()
    sequential.add(keras.Input((sizes[0],)))
    for units in sizes[1:-1]:
        sequential.add(layers.Dense(units))
        sequential.add(layers.ReLU())
    sequential.add(layers.Dense(sizes[-1]))
    sequential.add(layers.Softmax())
    return sequential, keras.Model(sequential.inputs, sequential.outputs)


def modelling(
    hidden="relu",
    last="softmax",
    first=1,
    once=True,
    step=lambda layer, start, flowing: layer(flowing),
):
    """Return an answer with other activations, layers made twice, or chained otherwise."""

    def dense(sizes):
        made = [layers.Dense(units, hidden) for units in sizes[first:-1]]
        made.append(layers.Dense(sizes[-1], last))
        return made

    def answer(sizes):
        made = dense(sizes)
        sequential = keras.Sequential([keras.Input((sizes[0],)), *made])
        if not once:
            made = dense(sizes)
        vector = keras.Input((sizes[0],))
        x = vector
        for layer in made:
            x = step(layer, vector, x)
        return sequential, keras.Model(vector, x)

    return answer


both.wrong(
    "You made the layers twice. Two layers of one shape still have two sets of weights: what "
    "should be the same?",
    "layers made twice",
)(modelling(once=False))
both.wrong(
    "In your loop every layer is called on the input, so only the last one is left in the "
    "Functional model. What should the next layer be called on?",
    "chain lost in the loop",
)(modelling(step=lambda layer, start, flowing: layer(start)))
both.wrong(
    "You made a layer of the first size, too. That number is the length of the input vectors.",
    "first size taken for a layer",
)(modelling(first=0))
both.wrong(
    "There is no activation between your dense layers. Which one layer could replace three "
    "such layers?",
    "ReLU forgotten",
)(modelling(hidden=None))
both.wrong(
    "Your outputs are scores. Add up one row of them: which sum do probabilities have?",
    "softmax forgotten",
)(modelling(last=None))
both.wrong(
    "Your last layer has ReLU like the others. Its outputs may be larger than 1 or all 0: "
    "what should they be?",
    "ReLU on the last layer",
)(modelling(last="relu"))


@both.wrong(
    "Your models have a layer that changes the outputs in training, such as Dropout. It has no "
    "weights, but the exercise does not ask for it."
)
def dropout_added(sizes):
    inputs = keras.Input((sizes[0],))
    x = inputs
    for units in sizes[1:-1]:
        x = layers.Dropout(0.5)(layers.Dense(units, "relu")(x))
    functional = keras.Model(inputs, layers.Dense(sizes[-1], "softmax")(x))
    return keras.Sequential([inputs, *functional.layers[1:]]), functional


@both.wrong("Both models are right, but you return them in the wrong order.")
def models_swapped(sizes):
    return both_ways(sizes)[::-1]


# Exercise 3


def wide_and_deep():
    image = keras.Input((28, 28), name="image")
    facts = keras.Input((5,), name="facts")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Flatten()(x)
    x = layers.Dense(100, activation="relu")(x)
    x = layers.Dense(30, activation="relu")(x)
    joined = layers.Concatenate()([x, facts])
    outputs = layers.Dense(10, activation="softmax")(joined)
    return keras.Model({"image": image, "facts": facts}, outputs)


def kind_of(model):
    """Return what an answer gave: Functional, Sequential, another Model, or another type."""
    types = [base.__name__ for base in type(model).__mro__]
    for kind in ("Functional", "Sequential", "Model"):
        if kind in types:
            return kind
    return model if model is None else types[0]


def observe_wide_and_deep(answer):
    model = answer()
    yield "what you return", kind_of(model)
    if kind_of(model) != "Functional":
        return  # one thing at a time, here and below
    inputs = sorted(tuple(found.shape[1:]) for found in model.inputs)
    yield "the shapes of one sample of each input", inputs
    if inputs != [(5,), (28, 28)]:
        return
    given = [tuple(found.shape[1:]) for found in model.outputs]
    yield "the shapes of what the model gives for one sample", given
    if given != [(10,)]:
        return
    yield "the shapes of the weights, layer by layer", shapes(model)
    if shapes(model)[-2:] != [(35, 10), (10,)]:
        return
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 28, 28)).astype("float32")
    facts = random.normal(0, 2, (4, 5)).astype("float32")
    # So that the order of what is joined does not matter.
    give_weights(model, 1, alike_last=True)
    fed = tf.nest.map_structure(
        lambda entry: images if len(entry.shape) == 3 else facts, model.input
    )
    yield "the outputs for four samples", outputs(model, fed)


branches = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="Wide and deep",
    objective="build networks with branches and several inputs with the Functional API",
    reference=wide_and_deep,
    observe=observe_wide_and_deep,
    praise="It has 81,890 parameters.",
    hints=(
        "Draw the model first: two inputs on the left, one output on the right. Where are the "
        "two paths joined?",
        "The image goes through the network of section 2, up to its 30 units. The facts are "
        "joined there.",
        "`layers.Concatenate()` takes a list of tensors. `keras.Model` takes a list or a "
        "dictionary of inputs.",
    ),
)


@branches.right
def joined_the_other_way():
    numbers = keras.Input((5,))
    image = keras.Input((28, 28))
    deep = keras.Sequential()
    deep.add(layers.Reshape((784,)))
    deep.add(layers.Dense(100, "relu"))
    deep.add(layers.Dense(30))
    deep.add(layers.ReLU())
    joined = keras.ops.concatenate([numbers, deep(image / 255.0)], axis=1)
    scores = layers.Dense(10)(joined)
    return keras.Model([image, numbers], layers.Softmax()(scores))


def joining(scale=1 / 255, scale_facts=1.0, hidden="relu", last="softmax", at="the end"):
    """Return an answer that scales otherwise, has other activations, or joins elsewhere."""

    def answer():
        image = keras.Input((28, 28))
        facts = keras.Input((5,))
        scaled_facts = layers.Rescaling(scale_facts)(facts)

        def joined_at(place, x):
            if place == at:
                return layers.Concatenate()([x, scaled_facts])
            return x

        x = layers.Flatten()(layers.Rescaling(scale)(image))
        x = layers.Dense(100, hidden)(joined_at("the start", x))
        x = layers.Dense(30, hidden)(joined_at("the middle", x))
        x = layers.Dense(10, last)(joined_at("the end", x))
        return keras.Model([image, facts], joined_at("the output", x))

    return answer


branches.wrong(
    "You joined the facts to the pixels, before the first layer. Where does the text join "
    "them?",
    "joined at the start",
)(joining(at="the start"))
branches.wrong(
    "You joined the facts to the 100 units, one layer too early. Which layer is to see them?",
    "joined a layer too early",
)(joining(at="the middle"))
branches.wrong(
    "You joined the facts to the ten probabilities, one layer too late. Which layer is to "
    "receive them?",
    "joined a layer too late",
)(joining(at="the output"))
branches.wrong(
    "The facts are not used: the last layer receives the 30 units only. Draw your model and "
    "follow the arrows.",
    "facts not connected",
)(joining(at="nowhere"))
branches.wrong(
    "The pixels come in as 0..255. What does the first layer of section 2's network do with "
    "them?",
    "not rescaled",
)(joining(scale=1.0))
branches.wrong(
    "You rescaled the facts, too. They are not pixels: a price has nothing to do with 255.",
    "facts rescaled too",
)(joining(scale_facts=1 / 255))
branches.wrong(
    "There is no ReLU. Without it, one dense layer could replace the two hidden layers.",
    "ReLU forgotten",
)(joining(hidden=None))
branches.wrong(
    "Your outputs are scores: a row of them does not add up to 1. What turns scores into "
    "probabilities?",
    "softmax forgotten",
)(joining(last=None))


@branches.wrong(
    "You wrote a subclass of `keras.Model`. The exercise asks for the Functional API: call "
    "layers on `keras.Input`, and hand inputs and outputs to `keras.Model`."
)
def a_subclass():
    class WideAndDeep(keras.Model):
        pass

    return WideAndDeep()


@branches.wrong(
    "Your image is one vector of 784 pixels already. The model should take 28 by 28 pixels, "
    "and flatten them itself."
)
def image_flattened_before():
    image = keras.Input((784,))
    facts = keras.Input((5,))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Dense(30, "relu")(layers.Dense(100, "relu")(x))
    x = layers.Dense(10, "softmax")(layers.Concatenate()([x, facts]))
    return keras.Model([image, facts], x)


# Exercise 4


def make_dataset(images, labels, batch_size, seed):
    one_hot = tf.one_hot(labels, 10)
    pairs = tf.data.Dataset.from_tensor_slices((images, one_hot))
    return pairs.shuffle(len(images), seed=seed).batch(batch_size)


def observe_dataset(answer):
    def fed(seed=3, classes=10):
        numbers = np.arange(50)
        images = np.full((2, 3, 50), numbers, "uint8").T
        return answer(images, numbers % classes, 8, seed)

    def many(count):
        """Feed images of four pixels, the four bytes of the image's number."""
        numbers = np.arange(count, dtype="<u4")
        images = numbers.view("uint8").reshape(count, 1, 4)
        return answer(images, np.arange(count) % 10, 256, 3)

    def start(dataset):
        """Return the numbers of the images of the first batch."""
        images, _ = next(dataset.take(1).as_numpy_iterator())
        return images.reshape(-1, 4) @ [1, 256, 256**2, 256**3]

    def epoch(dataset):
        return list(dataset.take(20).as_numpy_iterator())  # an endless one ends here, too

    def order(batches):
        return [image.flat[0].item() for batch in batches for image in batch[0]]

    def first_full_batch(batches):
        """Return the images of the first of the largest batches: a small one may be first."""
        largest = max(batches, key=lambda batch: len(batch[0]))
        return order([largest])

    dataset = fed()
    yield "what you return", "a dataset" if isinstance(dataset, tf.data.Dataset) else dataset
    if not isinstance(dataset, tf.data.Dataset):
        return  # one thing at a time, here and below
    batches = epoch(dataset)
    yield "the number of parts in a batch", len(batches[0])
    yield "the shape of a batch of labels", max(batch[1].shape for batch in batches)
    yield "the dtype of the labels", batches[0][1].dtype
    _, labels = batches[0]
    if labels.dtype != "float32" or labels.ndim != 2:
        return
    rows = {tuple(sorted(row.tolist())) for _, labels in batches for row in labels}
    yield "the numbers in one row of labels, sorted", sorted(rows)[0]
    yield "the number of different sets of them", len(rows)
    if sorted(rows) != [(0.0,) * 9 + (1.0,)]:
        return
    _, labels = epoch(fed(classes=5))[0]
    yield "the numbers in a row of labels where only the classes 0 to 4 occur", labels.shape[1]
    yield (
        "the numbers of images in the batches, sorted",
        sorted(len(batch[0]) for batch in batches),
    )
    shown = order(batches)
    yield (
        "the images of an epoch, sorted (image i is filled with the number i)",
        sorted(shown),
    )
    if sorted(shown) != list(range(50)):
        return
    new_order = shown != sorted(shown)
    batch = first_full_batch(batches)
    inside = batch != sorted(batch)
    others = [first_full_batch(epoch(fed(number))) for number in (4, 5)]
    whole = any(max(numbers) - min(numbers) > 20 for numbers in [batch, *others])
    yield "whether the images come in a new order", new_order
    yield "whether they do so inside a batch, too", inside
    yield "whether the first batch has images from the whole array", whole
    classes = [int(np.argmax(label)) for _, labels in batches for label in labels]
    wanted = [number % 10 for number in shown]
    yield "whether each label belongs to its image", classes == wanted
    if not (new_order and inside and whole):
        return
    yield "whether the same seed gives the same order", order(epoch(fed())) == shown
    yield "whether another seed gives another order", order(epoch(fed(4))) != shown
    yield (
        "whether the second epoch has another order than the first",
        order(epoch(dataset)) != shown,
    )
    # So many that no usual buffer holds them all.
    highest = max(start(many(70_000)))
    yield (
        "whether the first 256 of 70,000 images come from the whole array",
        highest > 63_000,
    )
    numbers = many(2_000)
    again = set(start(numbers)) & set(start(numbers))
    yield "whether the next epoch starts with other images", len(again) < 80


pairs = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="A dataset for `fit`",
    objective="feed `fit` with arrays or datasets, and choose the loss that fits the labels",
    reference=make_dataset,
    observe=observe_dataset,
    hints=(
        "Which labels does this loss want: class numbers, or one-hot labels?",
        "Put images and labels into one dataset, as a pair. Then one shuffle moves both.",
        "`tf.one_hot` makes float32 labels. `shuffle` draws from a buffer: how large must it "
        "be to reach all images?",
    ),
)


@pairs.right
def one_hot_in_the_end(images, labels, batch_size, seed):
    inputs = tf.data.Dataset.from_tensor_slices(images)
    targets = tf.data.Dataset.from_tensor_slices(labels)
    dataset = tf.data.Dataset.zip(inputs, targets)
    dataset = dataset.shuffle(10 * len(labels), seed=seed).batch(batch_size)
    dataset = dataset.map(lambda x, y: (x, tf.gather(tf.eye(10), y)))
    return dataset.prefetch(1)


@pairs.right
def by_a_generator(images, labels, batch_size, seed):
    random = np.random.default_rng(seed)

    def pairs_in_new_order():
        for number in random.permutation(len(images)):
            yield images[number], np.eye(10)[labels[number]]

    kinds = (
        tf.TensorSpec(images.shape[1:], tf.uint8),
        tf.TensorSpec((10,), tf.float32),
    )
    single = tf.data.Dataset.from_generator(pairs_in_new_order, output_signature=kinds)
    return single.batch(batch_size)


def one_hot_pairs(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, tf.one_hot(labels, 10)))


def shuffled_batches(images, labels, batch_size, seed):
    """Return batches as the reference makes them, with labels of any kind."""
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    return pairs.shuffle(len(images), seed=seed).batch(batch_size)


@pairs.wrong(
    "Your labels are class numbers. Section 5 has a loss for those, but it is not the one "
    "that the exercise names."
)
def class_numbers_left(images, labels, batch_size, seed):
    return shuffled_batches(images, labels, batch_size, seed)


@pairs.wrong(
    "Your labels are rows of ten, but in float64, as NumPy makes them. Which float type does "
    "Keras compute in?"
)
def float64_labels(images, labels, batch_size, seed):
    rows = np.eye(10)[labels]
    return shuffled_batches(images, rows, batch_size, seed)


@pairs.wrong(
    "Your labels are rows of whole numbers. The loss multiplies them by logarithms: which "
    "type was asked for?"
)
def integer_labels(images, labels, batch_size, seed):
    rows = tf.one_hot(labels, 10, dtype="int32")
    return shuffled_batches(images, rows, batch_size, seed)


@pairs.wrong(
    "You shuffled whole batches, not single images. Look at the order of your two steps."
)
def shuffled_after_batching(images, labels, batch_size, seed):
    batches = one_hot_pairs(images, labels).batch(batch_size)
    return batches.shuffle(len(images), seed=seed)


@pairs.wrong(
    "The buffer of your `shuffle` holds few images, so the first batch comes from the front "
    "of the array. How large must the buffer be?"
)
def buffer_too_small(images, labels, batch_size, seed):
    pairs = one_hot_pairs(images, labels)
    return pairs.shuffle(batch_size, seed=seed).batch(batch_size)


@pairs.wrong(
    "With 70,000 images, the first batch comes from the front of the array: your buffer is "
    "smaller than the data. How can its size follow from the images?"
)
def buffer_of_a_fixed_size(images, labels, batch_size, seed):
    return one_hot_pairs(images, labels).shuffle(1000, seed=seed).batch(batch_size)


@pairs.wrong(
    "You mixed the array once, and then shuffled in a small buffer. So every epoch starts with "
    "nearly the same images: let `shuffle` reach all of them."
)
def mixed_once_and_a_small_buffer(images, labels, batch_size, seed):
    mixed = np.random.default_rng(seed).permutation(len(images))
    pairs = one_hot_pairs(images[mixed], labels[mixed])
    return pairs.shuffle(batch_size, seed=seed).batch(batch_size)


@pairs.wrong(
    "The length of your rows comes from the labels you were given. If the class 9 does not "
    "occur, it is shorter: how many classes does the network have?"
)
def classes_counted_in_the_labels(images, labels, batch_size, seed):
    rows = keras.utils.to_categorical(labels).astype("float32")
    return shuffled_batches(images, rows, batch_size, seed)


@pairs.wrong(
    "Your labels are smoothed: no number is 0 or 1. One-hot means a 1 for the class and a 0 "
    "for each other class."
)
def smoothed_labels(images, labels, batch_size, seed):
    rows = tf.one_hot(labels, 10) * 0.9 + 0.01
    return shuffled_batches(images, rows, batch_size, seed)


@pairs.wrong(
    "Ones and zeros are swapped: your rows have a 0 for the class and a 1 for each other class."
)
def ones_and_zeros_swapped(images, labels, batch_size, seed):
    rows = 1 - tf.one_hot(labels, 10)
    return shuffled_batches(images, rows, batch_size, seed)


@pairs.wrong(
    "You divided the images by 255. They should stay as they are: the network divides them "
    "in its first layer."
)
def images_rescaled(images, labels, batch_size, seed):
    return make_dataset(images / 255, labels, batch_size, seed)


@pairs.wrong("The images come in the order of the array. Does `fit` shuffle a dataset?")
def not_shuffled(images, labels, batch_size, seed):
    return one_hot_pairs(images, labels).batch(batch_size)


@pairs.wrong("You did not use the seed, so nobody can repeat your order.")
def seed_not_used(images, labels, batch_size, seed):
    return one_hot_pairs(images, labels).shuffle(len(images)).batch(batch_size)


@pairs.wrong(
    "Your dataset shuffles once and keeps that order for every epoch. Did you tell `shuffle` "
    "to, or does something behind it keep a copy?"
)
def one_order_for_all_epochs(images, labels, batch_size, seed):
    pairs = one_hot_pairs(images, labels)
    mixed = pairs.shuffle(len(images), seed=seed, reshuffle_each_iteration=False)
    return mixed.batch(batch_size)


@pairs.wrong(
    "Your dataset gives one image at a time. `fit` does not cut a dataset into batches: "
    "who has to?"
)
def batch_forgotten(images, labels, batch_size, seed):
    return one_hot_pairs(images, labels).shuffle(len(images), seed=seed)


@pairs.wrong("The last two images are lost: you dropped the batch that is not full.")
def last_batch_dropped(images, labels, batch_size, seed):
    mixed = one_hot_pairs(images, labels).shuffle(len(images), seed=seed)
    return mixed.batch(batch_size, drop_remainder=True)


@pairs.wrong(
    "Your dataset never ends. How would `fit` know where an epoch is over? It goes through "
    "the data anew by itself."
)
def repeated_for_ever(images, labels, batch_size, seed):
    mixed = one_hot_pairs(images, labels).shuffle(len(images), seed=seed)
    return mixed.repeat().batch(batch_size)


@pairs.wrong(
    "Images and labels were shuffled separately: the images no longer have their own labels. "
    "What must be shuffled together?"
)
def shuffled_separately(images, labels, batch_size, seed):
    inputs = tf.data.Dataset.from_tensor_slices(images)
    targets = tf.data.Dataset.from_tensor_slices(tf.one_hot(labels, 10))
    mixed = tf.data.Dataset.zip(inputs.shuffle(50, seed), targets.shuffle(50, seed + 1))
    return mixed.batch(batch_size)


# Exercise 5


def name_it(model, image, class_names, matrix):
    probabilities = model(image[np.newaxis])[0]
    guess = int(np.argmax(probabilities))
    called_so = matrix[:, guess].copy()
    called_so[guess] = 0
    other = int(np.argmax(called_so))
    return class_names[guess], class_names[other]


def observe_name(answer):
    samples = []

    class Noting(keras.Sequential):
        def __call__(self, inputs, *arguments, **keywords):
            samples.append(tuple(inputs.shape[1:]))
            return super().__call__(inputs, *arguments, **keywords)

    # The bright one of three pixels decides; in a black image the bias does. A shirt gets a
    # probability of 0.4, others nearly 1.
    model = Noting(
        [keras.Input((28, 28)), layers.Flatten(), layers.Dense(4, activation="softmax")]
    )
    kernel = np.zeros((784, 4), "float32")
    kernel[[0, 1], [0, 1]] = 0.05
    kernel[2, [1, 2]] = 3.0 / 255, 3.2 / 255
    model.set_weights([kernel, np.array([0, 0, 0, 3], "float32")])
    names = ["bag", "coat", "shirt", "shoe"]
    # More shoes than shirts are called a shirt, and there are many more coats than bags.
    rows = [[9, 1, 4, 0], [3, 28, 0, 2], [1, 5, 3, 3], [2, 1, 6, 9]]
    shape_given = "the shape of one image in the batch that the model was given"
    counted = np.array(rows)
    given = counted.copy()
    for place, name in ((1, "coat"), (0, "bag"), (2, "shirt")):
        image = np.zeros((28, 28), "uint8")
        image[0, place] = 255
        try:
            found = answer(model, image, list(names), given)
        except ValueError:
            if samples[-1:] in ([], [image.shape]):
                raise
            yield shape_given, samples[-1]
            return
        if name == "coat":
            yield shape_given, image.shape
        yield f"an image of a {name}", found
    black = np.zeros((28, 28), "uint8")
    yield "an image of a shoe", answer(model, black, list(names), counted.copy())
    same = np.array_equal(given, counted)
    yield "whether the matrix you were given is as before the call", same


single = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="Classify one image, and name the likely mistake",
    objective=(
        "train a classifier, read its learning curves and its confusion matrix, and classify a "
        "single image"
    ),
    reference=name_it,
    observe=observe_name,
    hints=(
        "The model expects a batch. What is the shape of its answer for a batch of one image, "
        "and where are your ten numbers in it?",
        "A row of the matrix holds one true class. Where are all images with one predicted "
        "class?",
        "Leave out the correct predictions of this class. Change a copy, not the matrix "
        "itself.",
    ),
)


@single.right
def with_predict(model, image, class_names, matrix):
    batch = np.expand_dims(image, 0)
    guess = model.predict(batch, verbose=0).argmax(axis=-1)[0]
    others = [k for k in range(len(class_names)) if k != guess]
    most = max(others, key=lambda k: matrix[k, guess])
    return class_names[guess], class_names[most]


def naming(
    guess=lambda p: int(np.argmax(p[0])),
    prepared=lambda image: image[None],
    line=lambda m, k: m[:, k],
):
    """Return an answer that guesses, prepares the image or reads the matrix otherwise."""

    def answer(model, image, class_names, matrix):
        probabilities = np.asarray(model(prepared(image)))
        found = guess(probabilities)
        others = line(matrix, found).copy()
        others[found] = 0
        return class_names[found], class_names[int(np.argmax(others))]

    return answer


single.wrong(
    "You took the largest number along the batch. There is one image in the batch, so that is "
    "always position 0: which axis holds the classes?",
    "argmax along the batch",
)(naming(lambda probabilities: int(np.argmax(probabilities, axis=0)[0])))
single.wrong(
    "Your first name is right. For the second you read a row: it holds the predictions for one "
    "true class. Here you know the prediction, and ask for the true class.",
    "row read for column",
)(naming(line=lambda matrix, k: matrix[k]))
single.wrong(
    "You rescaled the image, and the model does that itself: it takes 0..255. After two "
    "divisions by 255, every pixel is nearly 0.",
    "rescaled twice",
)(naming(prepared=lambda image: image[None] / 255))


single.wrong(
    "You gave the model a single image, and it expects a batch of images. What does the shape "
    "of one image lack?",
    "no axis for the batch",
)(naming(prepared=lambda image: image))
single.wrong(
    "You flattened the image, and the model does that itself: it takes a batch of images with "
    "28 by 28 pixels.",
    "image flattened",
)(naming(prepared=lambda image: image.reshape(1, 784)))
single.wrong(
    "You took the class with a probability above 0.5. In the image of a shirt there is none: "
    "the most probable class may have 0.4.",
    "threshold for the most probable",
)(naming(guess=lambda p: int(np.flatnonzero(p[0] > 0.5)[0])))
single.wrong(
    "You divided each row by its sum and compared the fractions. The question is about "
    "images: compare their numbers.",
    "fractions compared",
)(naming(line=lambda matrix, k: (matrix / matrix.sum(1, keepdims=True))[:, k]))


@single.wrong(
    "You took the second largest number of the column. That is right only if the correct "
    "predictions are the largest: which cell should be left out?"
)
def second_largest_of_the_column(model, image, class_names, matrix):
    found = int(np.argmax(model(image[None])[0]))
    second = int(np.argsort(matrix[:, found])[-2])
    return class_names[found], class_names[second]


@single.wrong(
    "Those are numbers of classes. The caller wants to read what is in the image: where "
    "are the names?"
)
def numbers_instead_of_names(model, image, class_names, matrix):
    return tuple(class_names.index(name) for name in name_it(model, image, class_names, matrix))


@single.wrong(
    "You counted the correct predictions, too, so your two names may be the same. Which cell "
    "should not count?"
)
def diagonal_not_left_out(model, image, class_names, matrix):
    found = int(np.argmax(model(image[None])[0]))
    most = int(np.argmax(matrix[:, found]))
    return class_names[found], class_names[most]


@single.wrong(
    "Your second name is the second most probable class of this image. The question is what "
    "the matrix says about such predictions."
)
def second_most_probable(model, image, class_names, matrix):
    probabilities = np.asarray(model(image[None]))[0]
    *_, second, best = np.argsort(probabilities)
    return class_names[best], class_names[second]


@single.wrong(
    "The names are right, but you changed the matrix itself: the caller still needs it. Work "
    "on a copy."
)
def matrix_changed(model, image, class_names, matrix):
    names = name_it(model, image, class_names, matrix)
    np.fill_diagonal(matrix, 0)
    return names
