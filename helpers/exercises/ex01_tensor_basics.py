"""The exercises of notebook 01."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from helpers.checking.engine import Exercise

NOTEBOOK = "01_tensor_basics"


def dtype_of(result):
    return getattr(result, "dtype", "none: it is no tensor or array")


# Exercise 1


def mirror_and_crop(batch, size):
    return batch[:, :size, ::-1, tf.newaxis]


def observe_mirror(answer):
    # No value is whole: a cast to whole numbers would be seen.
    batch = tf.reshape(tf.range(0.5, 240, 4), [3, 4, 5])
    images = answer(batch, 2)
    yield "size 2 of 3 images with 4 rows and 5 columns", images
    yield "size 4, all rows of the same images", answer(batch, 4)
    image = answer(tf.constant([[[1, 2, 3]]], tf.uint8), 1)
    yield "one image with one row", image
    yield "the dtype of the result for a uint8 image", dtype_of(image)
    yield "the dtype of the result for float32 images", dtype_of(images)


mirror = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="Mirror and crop",
    objective="read a tensor's shape, rank and type, and cut pieces out of it",
    reference=mirror_and_crop,
    observe=observe_mirror,
    hints=(
        "What does each of the three axes count? Which axis does mirroring change, and which "
        "one does cropping change?",
        "Give a slice for each axis: all images, the first `size` rows, the columns backwards.",
        "`::-1` takes all positions backwards. `tf.newaxis` at the end adds the last axis.",
    ),
)


@mirror.right
def by_functions(batch, size):
    images = tf.expand_dims(batch, axis=-1)
    return tf.image.flip_left_right(images)[:, :size]


@mirror.wrong(
    "The pixels are right, but an axis is missing. Compare your shape with (N, size, W, 1)."
)
def no_last_axis(batch, size):
    return batch[:, :size, ::-1]


@mirror.wrong(
    "You turned the images upside down. Left and right lie along the columns: which axis "
    "counts those?"
)
def upside_down(batch, size):
    return batch[:, ::-1][:, :size, :, tf.newaxis]


@mirror.wrong(
    "You mirrored each image, and you also reversed the order of the images. Axis 0 counts "
    "the images: leave it as it is."
)
def batch_reversed(batch, size):
    return batch[::-1, :size, ::-1, tf.newaxis]


@mirror.wrong(
    "You cropped the batch, not the images: the first axis counts images. Which one "
    "counts rows?"
)
def images_cropped(batch, size):
    return batch[:size, :, ::-1, tf.newaxis]


@mirror.wrong(
    "You cropped columns, not rows. Read your shape from left to right: images, rows, columns."
)
def columns_cropped(batch, size):
    return batch[:, :, ::-1][:, :, :size, tf.newaxis]


@mirror.wrong(
    "You kept the last rows. Which rows does the slice `:size` take, and which does `-size:`?"
)
def last_rows_kept(batch, size):
    return batch[:, -size:, ::-1, tf.newaxis]


@mirror.wrong(
    "The shape is right, but nothing is mirrored: compare the first row of an image before "
    "and after."
)
def not_mirrored(batch, size):
    return batch[:, :size, :, tf.newaxis]


@mirror.wrong(
    "The result is uint8 for every batch. A batch of float32 images has values such as 0.5, "
    "and they are lost: the result should have the dtype of the batch."
)
def cast_to_uint8(batch, size):
    return tf.cast(mirror_and_crop(batch, size), tf.uint8)


@mirror.wrong(
    "The values are right, but the result is a Python list: it has no shape and no dtype. "
    "Return a tensor or an array."
)
def a_list_of_images(batch, size):
    return list(mirror_and_crop(batch, size))


# Exercise 2


def standardise(batch):
    mean = tf.reduce_mean(batch, axis=[1, 2], keepdims=True)
    deviation = tf.math.reduce_std(batch, axis=[1, 2], keepdims=True)
    return (batch - mean) / deviation


def observe_standardise(answer):
    ramp = tf.reshape(tf.range(36.0), [3, 4, 3])
    yield (
        "3 images with 4 rows and 3 columns",
        answer(tf.square(ramp) + tf.constant([1.0, 50.0, 9.0])),
    )
    yield "2 images with 3 rows and 6 columns", answer(tf.reshape(tf.square(ramp), [2, 3, 6]))


scale = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Standardise each image",
    objective="compute with whole tensors, along one axis, and by broadcasting",
    reference=standardise,
    observe=observe_standardise,
    hints=(
        "How many means are there: one, one for each image, or one for each place?",
        "An image's mean runs over two axes, its rows and its columns: `axis` takes a list.",
        "With `keepdims=True` the means have the shape (N, 1, 1). Then broadcasting repeats "
        "them for all pixels.",
    ),
)


@scale.right
def one_row_for_each_image(batch):
    flat = tf.reshape(batch, [len(batch), -1]).numpy()
    flat = (flat - flat.mean(axis=1)[:, None]) / flat.std(axis=1)[:, None]
    return flat.reshape(batch.shape)


@scale.wrong(
    "You took one mean of the whole batch. A dark image and a bright image should each have "
    "its own mean."
)
def one_mean_for_the_batch(batch):
    return (batch - tf.reduce_mean(batch)) / tf.math.reduce_std(batch)


@scale.wrong(
    "You mixed the images: along axis 0 you get one mean for each place. Which axes lie "
    "inside one image?"
)
def mean_over_the_images(batch):
    return (batch - tf.reduce_mean(batch, axis=0)) / tf.math.reduce_std(batch, axis=0)


@scale.wrong(
    "You standardised each row by itself. An image has rows and columns: over how many axes "
    "does its mean run?"
)
def each_row_by_itself(batch):
    mean = tf.reduce_mean(batch, axis=2, keepdims=True)
    return (batch - mean) / tf.math.reduce_std(batch, axis=2, keepdims=True)


@scale.wrong("The means are 0, but the standard deviations are as before. What makes them 1?")
def mean_alone(batch):
    return batch - tf.reduce_mean(batch, axis=[1, 2], keepdims=True)


@scale.wrong(
    "You divided by the variance. The variance is the square of the standard deviation: "
    "which function gives the deviation itself?"
)
def variance_for_deviation(batch):
    mean = tf.reduce_mean(batch, axis=[1, 2], keepdims=True)
    return (batch - mean) / tf.math.reduce_variance(batch, axis=[1, 2], keepdims=True)


@scale.wrong(
    "Your means have the shape (N,). Broadcasting compares from the right, so it matches them "
    "with the columns. For some shapes this is refused, for others it is silently wrong. Print "
    "the shape of your means."
)
def means_lined_up_with_columns(batch):
    mean = tf.reduce_mean(batch, axis=[1, 2])
    return (batch - mean) / tf.math.reduce_std(batch, axis=[1, 2])


@scale.wrong(
    "Your means have the shape (N, 1, 1), but your standard deviations have the shape (N,): "
    "broadcasting matches those with the columns. Print both shapes."
)
def deviations_lined_up_with_columns(batch):
    mean = tf.reduce_mean(batch, axis=[1, 2], keepdims=True)
    return (batch - mean) / tf.math.reduce_std(batch, axis=[1, 2])


# Exercise 3


def average(first, second):
    total = tf.cast(first, tf.float32) + tf.cast(second, tf.float32)
    return tf.cast(tf.round(total / 2), tf.uint8)


def observe_average(answer):
    first = tf.constant([200, 10, 0, 255, 255], tf.uint8)
    second = tf.constant([100, 14, 0, 255, 1], tf.uint8)
    result = answer(first, second)
    yield "the pixels 200, 10, 0, 255, 255 with 100, 14, 0, 255, 1", result
    yield "the dtype of the result", dtype_of(result)
    yield (
        "two images with 2 rows and 3 columns",
        answer(tf.fill([2, 3], first[0]), tf.fill([2, 3], second[0])),
    )


halves = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="The mean of two images",
    objective=(
        "say when TensorFlow converts a type and when it refuses, and cast without losing "
        "values"
    ),
    reference=average,
    observe=observe_average,
    hints=(
        "Where could a value be lost: in the sum, in the division, or in the cast to uint8?",
        "Cast first, to a dtype that can hold 510. Calculate there, and cast to uint8 at the "
        "end.",
    ),
)


@halves.right
def in_whole_numbers(first, second):
    total = tf.cast(first, tf.int32) + tf.cast(second, tf.int32)
    return tf.cast(total // 2, tf.uint8)


@halves.wrong(
    "You added two uint8, and 200 + 100 does not fit into a uint8: it overflowed. Look at "
    "the dtype of the sum."
)
def sum_in_a_byte(first, second):
    return (first + second) // 2


@halves.wrong(
    "You halved before you added. Each half lost its fraction: what comes out for two pixels "
    "that are both 255?"
)
def halved_before_added(first, second):
    return first // 2 + second // 2


@halves.wrong(
    "The values are right, the dtype is not: the images are uint8, and the result should be "
    "uint8, too."
)
def left_as_floats(first, second):
    return (tf.cast(first, tf.float32) + tf.cast(second, tf.float32)) / 2


@halves.wrong(
    "You cast to uint8 before the division, and the sum was limited to 255. When is the value "
    "small enough for uint8?"
)
def back_before_the_division(first, second):
    total = tf.cast(first, tf.int32) + tf.cast(second, tf.int32)
    return tf.saturate_cast(total, tf.uint8) // 2


@halves.wrong(
    "You got one number for the two images. A mean without an axis is the mean of all "
    "elements: which axis do you want?"
)
def mean_of_everything(first, second):
    return tf.cast(tf.reduce_mean(tf.cast([first, second], tf.float32)), tf.uint8)


# Exercise 4


def update(mean, count, value):
    count.assign_add(1.0)
    mean.assign_add((value - mean) / count)


def observe_update(answer):
    mean = tf.Variable(0.0)
    count = tf.Variable(0.0)
    # The first three means are whole numbers, the fourth is not.
    for place, value in (("first", 4.0), ("second", 8.0), ("third", 9.0), ("last", 6.5)):
        answer(mean, count, value)
        yield f"mean and count after the {place} of 4, 8, 9, 6.5", (mean, count)
    mean = tf.Variable(10.0)
    count = tf.Variable(4.0)
    answer(mean, count, 0.0)
    yield "mean and count after a 0, when they were 10 and 4", (mean, count)
    mean = tf.Variable(0.0)
    count = tf.Variable(2.0)
    answer(mean, count, 6.0)
    yield "mean and count after a 6, when they were 0 and 2", (mean, count)


running = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="A running mean",
    objective="keep what training changes in a variable",
    reference=update,
    observe=observe_update,
    hints=(
        "Two things change. Which of them is needed to calculate the other?",
        "`assign_add` changes a variable; `=` only gives a name to another object.",
        "First `count`, then `mean`: its step is (value - mean) divided by the count.",
    ),
)


@running.right
def from_the_total(mean, count, value):
    total = mean * count + value
    mean.assign(total / (count + 1))
    count.assign(count + 1)


@running.wrong(
    "Nothing changed outside your function. `mean = ...` gives the name to a new tensor, and "
    "the variable stays as it was: how does section 5 change a variable?"
)
def names_moved(mean, count, value):
    count = count + 1
    mean = mean + (value - mean) / count


@running.wrong(
    "You divided by the old count, which starts at 0. Which of your two lines has to come "
    "first?"
)
def divided_by_the_old_count(mean, count, value):
    mean.assign_add((value - mean) / count)
    count.assign_add(1.0)


@running.wrong(
    "You counted the new value twice: after `assign_add` the count has it already. Follow "
    "the first call by hand."
)
def counted_twice(mean, count, value):
    count.assign_add(1.0)
    mean.assign_add((value - mean) / (count + 1))


@running.wrong(
    "The mean is right after the first call, but the count does not grow. How can the second "
    "call know that it is the second?"
)
def count_stays(mean, count, value):
    mean.assign_add((value - mean) / (count + 1))


@running.wrong(
    "Your mean is the sum. By how much should ten equal values move the mean of the same ten?"
)
def sum_of_all(mean, count, value):
    count.assign_add(1.0)
    mean.assign_add(value)


@running.wrong(
    "You took the middle of the old mean and the new value. Then the hundredth value counts as "
    "much as all values before it together."
)
def half_way_each_time(mean, count, value):
    count.assign_add(1.0)
    mean.assign((mean + value) / 2)


@running.wrong(
    "You multiplied the old mean by the new count. How many values had the old mean seen?"
)
def old_mean_times_new_count(mean, count, value):
    count.assign_add(1.0)
    mean.assign((mean * count + value) / count)


@running.wrong(
    "Your mean is cut to a whole number. The mean of whole numbers need not be whole: `//` and "
    "`int` lose the fraction."
)
def mean_cut_to_a_whole_number(mean, count, value):
    mean.assign((mean * count + value) // (count + 1))
    count.assign_add(1.0)


@running.wrong(
    "You took a mean of 0 for the first call. The mean of -3 and 3 is 0, too: which of the two "
    "variables counts the calls?"
)
def mean_of_0_taken_for_the_first_call(mean, count, value):
    count.assign_add(1.0)
    if mean == 0:
        mean.assign(value)
    else:
        mean.assign_add((value - mean) / count)


# Exercise 5


def mean_letters(captions):
    lengths = tf.strings.length(captions, unit="UTF8_CHAR")
    return tf.reduce_mean(tf.cast(lengths, tf.float32), axis=1)


def observe_letters(answer):
    # A letter twice in a word, and more captions than words in the longest one.
    words = [["red", "rose"], ["daisy"], ["a", "tulip", "field"], ["poppy"]]
    result = answer(tf.ragged.constant(words))
    yield "the captions 'red rose', 'daisy', 'a tulip field' and 'poppy'", result
    yield "the dtype of the result", dtype_of(result)
    yield (
        "the captions '분홍 튤립' and 'café'",
        answer(tf.ragged.constant([["분홍", "튤립"], ["café"]])),
    )


letters = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="How long are the words?",
    objective="hold rows of different lengths in a ragged tensor, and text in a string tensor",
    reference=mean_letters,
    observe=observe_letters,
    hints=(
        "First a number for each word, in the same ragged rows. Then a number for each row.",
        "Section 6 measured 꽃 twice: in bytes and in characters. Which dtype is asked for?",
        "`tf.strings.length(..., unit=...)`, then `tf.cast`, then `tf.reduce_mean(..., "
        "axis=1)`.",
    ),
)


@letters.right
def in_python(captions):
    rows = [[len(word.decode("utf-8")) for word in row] for row in captions.to_list()]
    return np.array([sum(row) / len(row) for row in rows], "float32")


@letters.wrong(
    "You counted bytes. A Korean syllable takes three of them, an é two: look at what the "
    "function can count in."
)
def bytes_counted(captions):
    return tf.reduce_mean(tf.cast(tf.strings.length(captions), tf.float32), axis=1)


@letters.wrong(
    "The values are right, but their dtype is float64, and float32 was asked for. Where in "
    "your code did you choose a dtype?"
)
def type_left_to_the_mean(captions):
    return tf.reduce_mean(tf.strings.length(captions, unit="UTF8_CHAR"), axis=1)


@letters.wrong(
    "You filled the short rows up, and the padding was counted as words of length 0. Stay "
    "ragged."
)
def padding_counted(captions):
    lengths = tf.strings.length(captions.to_tensor(), unit="UTF8_CHAR")
    return tf.reduce_mean(tf.cast(lengths, tf.float32), axis=1)


@letters.wrong(
    "You took the mean over the captions, word by word in their order. Which axis holds the "
    "words of one caption?"
)
def mean_over_the_captions(captions):
    lengths = tf.strings.length(captions, unit="UTF8_CHAR")
    return tf.reduce_mean(tf.cast(lengths, tf.float32), axis=0)


@letters.wrong(
    "You got one number for all captions. A mean without an axis is the mean of all words."
)
def one_mean_for_all(captions):
    lengths = tf.strings.length(captions, unit="UTF8_CHAR")
    return tf.reduce_mean(tf.cast(lengths, tf.float32))


@letters.wrong(
    "You added the lengths of the words. For their mean, by what must you divide the sum?"
)
def lengths_added(captions):
    lengths = tf.strings.length(captions, unit="UTF8_CHAR")
    return tf.reduce_sum(tf.cast(lengths, tf.float32), axis=1)


@letters.wrong(
    "You divided the sums by the number of captions. For the mean of one caption, how many "
    "words does it have?"
)
def divided_by_the_number_of_captions(captions):
    return lengths_added(captions) / captions.shape[0]


@letters.wrong(
    "You counted the different letters of a word. The word 'poppy' has five characters, three "
    "of them different: each one counts."
)
def different_letters(captions):
    rows = [[len(set(word.decode())) for word in row] for row in captions.to_list()]
    return np.array([sum(row) / len(row) for row in rows], "float32")


@letters.wrong(
    "The values are right, but a Python list has no dtype. Make a float32 tensor or array of "
    "it."
)
def a_list_of_numbers(captions):
    return mean_letters(captions).numpy().tolist()
