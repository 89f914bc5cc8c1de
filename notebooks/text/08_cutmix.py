# %% [markdown]
# # 08 · CutMix, pixel by pixel
#
# **CutMix** cuts a window out of one image, pastes it into another, and mixes the two labels by counting pixels. Build
# CutMix, test it, use it.
#
# You will be able to
# - turn a proportion into a box, and clip the box at the edge of the image,
# - give the label exactly the weight of the pixels that were pasted,
# - mix a whole batch at once, each image with its own box and partner,
# - find a wrong label by counting pixels,
# - judge from several seeds whether CutMix helped.
#
# **Needs** notebook 02 (`fit`, datasets, one-hot labels); sections 7 and 9 also notebooks 04 (graphs), 06
# (`Dataset.map`, a small CNN) and 07 (augmentation). **Time** 69 minutes to read, 40 for the exercises; under 60 seconds
# to run on two CPU cores.

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
import keras
import numpy as np
import tensorflow as tf

from helpers import compiling, cutmix, data, plots, widgets
from helpers.exercises import ex08_cutmix as exercises

flowers = data.flowers(image_size=96)
names = flowers.class_names
num_classes = len(names)
train = flowers.batches(
    "train",
    batch_size=32,
    one_hot=True,
    seed=3,
)
images, labels = next(iter(train))

# %% [markdown]
# ## 1 · See it
#
# Take two images, A and B. Cut a **window**, a rectangle of pixels, out of B. Paste the window over A, at the same
# place. In NumPy one assignment with slices does this.

# %%
image_a = images[0].numpy()
image_b = images[1].numpy()
pasted = image_a.copy()
pasted[20:76, 30:80] = image_b[20:76, 30:80]

# %% [markdown]
# What is the label of the new image? A label may be a mixture: one weight for each class, and the weights add up to
# 1. Such a label is a **soft label**. A one-hot label has the whole weight on one class.
#
# The window has 56 x 50 pixels, and the image has 96 x 96. What is the weight of B?

# %%
weight = (56 * 50) / (96 * 96)
label_a = labels[0].numpy()
label_b = labels[1].numpy()
mixed_label = (1 - weight) * label_a + weight * label_b
for name, value in zip(names, mixed_label):
    print(f"{name:12} {value:.4f}")


# %%
def name_of(label):
    """Say a label in words: '0.70 roses + 0.30 tulips'."""
    parts = []
    for k in np.argsort(-label):  # the largest weight first
        if label[k] > 0:
            parts.append(f"{label[k]:.2f} {names[k]}")
    return " + ".join(parts)


figure = plots.image_grid(
    [image_a, image_b, pasted],
    titles=[
        f"A: {name_of(label_a)}",
        f"B: {name_of(label_b)}",
        name_of(mixed_label),
    ],
    size=2.6,
    title="A window of B replaces the same pixels of A, and the label is mixed",
)
for ax in figure.axes[1:]:
    plots.outline(ax, [20, 30, 76, 80])  # top, left, bottom, right
figure

# %% [markdown]
# CutMix does this at random with the training images: windows of random size and place, and pairs of images from the
# same batch. The idea of the paper (Yun et al., 2019): the window may hide the part by which the network knows the
# class, so the network has to learn from other parts as well.
#
# ## 2 · From a proportion to a box
#
# The paper draws a number $\lambda$ (lambda) between 0 and 1: the proportion of A that should stay. The window should
# cover the rest, the proportion $1 - \lambda$. Each side of the window is $\sqrt{1 - \lambda}$ times the side of the
# image. Then its area is $\sqrt{1 - \lambda} \cdot \sqrt{1 - \lambda} = 1 - \lambda$ of the image. Here is one case,
# with an image of 800 x 800 pixels.

# %%
lam = 0.3117929697036743  # one random number; `lambda` is a reserved word in Python
ratio = np.sqrt(1 - lam)
side = int(800 * ratio)
print(f"ratio {ratio:.5f}, so the window has {side} x {side} pixels")

# %% [markdown]
# A **box** says where the window lies. It has four numbers. Top and left are the first row and the first column. Bottom
# is the last row plus 1, and right is the last column plus 1, as in a slice. Put the centre of the box at row 131 and
# column 554. Does the box fit into the image?

# %%
top = 131 - side // 2
left = 554 - side // 2
bottom = top + side
right = left + side
print(f"rows {top} to {bottom}, columns {left} to {right}")

# %% [markdown]
# The box does not fit. Row -200 does not exist, and the columns end at 800. So the box is **clipped**: a number below 0
# becomes 0, and a number above 800 becomes 800. `tf.clip_by_value` does this. Its arguments are the tensor, the
# smallest value allowed, and the largest value allowed.

# %%
box = tf.clip_by_value(
    [top, left, bottom, right],
    clip_value_min=0,
    clip_value_max=800,
)
print("top, left, bottom, right:", box.numpy())
assert box.numpy().tolist() == [0, 223, 463, 800]

# %% [markdown]
# ### A common mistake: the label uses the proportion before clipping
#
# By lambda the window should cover the proportion $1 - \lambda$ of the pixels. After clipping it covers less. But the
# mistaken label still uses $1 - \lambda$.

# %%
top, left, bottom, right = box.numpy()
window_pixels = (bottom - top) * (right - left)
before_clipping = 1 - lam
after_clipping = window_pixels / (800 * 800)
print(f"mistaken weight of B: {before_clipping:.3f}")
print(f"proportion of pixels that come from B: {after_clipping:.3f}")

# %% [markdown]
# The mistaken label gives B the weight 0.688. But only 0.417 of the pixels come from B. Then a network that answers
# 0.417, the true proportion, gets a larger loss than a network that answers 0.688. So compute the weight *after*
# clipping, from the pixels that were pasted.
#
# ### Exercise 1 · The box
#
# Write `box_at(lam, row, column, height, width)`. Return `(top, left, bottom, right)` of a box around the centre
# `(row, column)`, for an image of `height` x `width` pixels.
#
# - The sides of the box are `int(sqrt(1 - lam) * height)` and `int(sqrt(1 - lam) * width)`.
# - The box starts half a side (`// 2`) above the centre and half a side left of the centre.
# - Compute each end from the start, before clipping. Then clip all four numbers to the image.
#
# Run the cell below yours to check your answer. `exercises.box.hint()` gives a hint, and a clearer one each time you
# ask. `exercises.box.solution()` shows a right answer.


# %%
def box_at(lam, row, column, height, width):
    # your code
    ...


# %%
exercises.box.check(box_at)

# %% [markdown]
# ## 3 · Paste, and mix the labels
#
# Slices work for one image. In a batch each image has its own box, and we need another way: a **mask**, an array that
# is `True` inside the window and `False` outside. A pixel is inside if its row is between top and bottom *and* its
# column is between left and right.
#
# In the index, `None` adds an axis of length 1. NumPy **broadcasts** such an axis: it repeats the values as often as
# needed. So 96 rows and 96 columns give a mask of 96 x 96, and one mask works for all three colour channels.

# %%
rows = np.arange(96)
columns = np.arange(96)
in_rows = (rows >= 20) & (rows < 76)
in_columns = (columns >= 30) & (columns < 80)
inside = in_rows[:, None] & in_columns[None, :]
print("shapes:", in_rows.shape, in_columns.shape, inside.shape)

# %%
with_mask = np.where(
    inside[:, :, None],
    image_b,  # where the mask is True
    image_a,  # where it is False
)
print(f"{inside.sum()} of {inside.size} pixels come from B: {inside.mean():.4f}")
assert np.array_equal(with_mask, pasted)

# %% [markdown]
# The mean of a mask is the proportion of `True`.
#
# ### Exercise 2 · The label
#
# Write `mix(label_a, label_b, box, height, width)` for one pair: `box` is `(top, left, bottom, right)` as above.
# Return the mixed label. Do not change the two labels you were given.


# %%
def mix(label_a, label_b, box, height, width):
    # your code
    ...


# %%
exercises.label.check(mix)

# %% [markdown]
# ### A common mistake: rows and columns exchanged
#
# x counts columns, from left to right: x is horizontal. y counts rows, from top to bottom: y is vertical. An image has
# the shape (height, width, channels), so *rows come first*. If you write x first, as on paper, the two slices stand in
# the wrong order.

# %%
swapped = image_a.copy()
swapped[30:80, 20:76] = image_b[30:80, 20:76]
different = np.any(swapped != pasted, axis=2)
print("pixels in the window:", 56 * 50, "and swapped", 50 * 56)
print("pixels that differ from the right image:", different.sum())
assert different.any()

# %% [markdown]
# There is no error, and here the weight of the label is right as well. Only a comparison with the right image shows the
# mistake.
#
# ## 4 · Play
#
# Move the sliders. Set lambda to 0.50, and move the centre. When does the weight of B become smaller? And for which
# lambda is there no window at all?

# %%
classes = labels.numpy().argmax(axis=1)
widgets.CutMixExplorer(images, classes, names)

# %% [markdown]
# The weight becomes smaller when the edge clips the box. With lambda 1, or so near 1 that the side is less than one
# pixel, the box is empty.
#
# ## 5 · Step by step: lambda and the boxes
#
# Now we build CutMix for a batch, in TensorFlow, in five steps. **Step 1: draw lambda**, one for each image. (The
# [authors' code](https://github.com/clovaai/CutMix-PyTorch/blob/5ee7b8d4d9531c9c3d82b79de018ac162cce0f21/train.py)
# draws one lambda and one box for a whole batch.) The paper uses a **Beta distribution**, Beta($\alpha, \alpha$): a
# rule for random numbers between 0 and 1 in which numbers near 0.2 come as often as numbers near 0.8. Alpha ($\alpha$)
# is a number above 0. What does alpha change?

# %%
lams = {}
curves = {}
for alpha in [0.3, 1.0, 3.0]:
    random_lams = keras.random.beta([200_000], alpha, alpha, seed=1)
    lams[alpha] = random_lams.numpy()
    counts, edges = np.histogram(lams[alpha], bins=20, range=(0, 1))
    curves[f"alpha = {alpha}"] = counts / 200_000
plots.lines(
    edges[:-1] + 0.025,  # the middle of each interval
    curves,
    xlabel="lambda",
    ylabel="proportion of 200,000 lambdas",
    title="Small alpha: lambda near 0 or 1. Alpha 1: flat. Large alpha: near one half",
)

# %% [markdown]
# A small alpha gives mostly lambdas near 0 or 1, a large alpha mostly lambdas near one half. With $\alpha = 1$ the curve
# is flat: all values of lambda are equally likely. That is the **uniform distribution**. The paper uses $\alpha = 1$
# in its main experiments, and so do we.
#
# **Step 2: place the boxes.** This is exercise 1 for a whole batch. `lam`, `row` and `column` hold one number for each
# image, and each line works on all images at once. (If a side is nearly a whole number, float32 may round to another
# pixel than exercise 1.)


# %%
def place_boxes(lam, row, column, height, width):
    """Return the boxes, int32 (batch, 4): top, left, bottom, right."""
    ratio = tf.sqrt(1 - lam)
    box_height = tf.cast(ratio * height, tf.int32)
    box_width = tf.cast(ratio * width, tf.int32)
    top = row - box_height // 2
    left = column - box_width // 2
    bottom = top + box_height
    right = left + box_width
    boxes = tf.stack([top, left, bottom, right], axis=1)
    return tf.clip_by_value(
        boxes,
        clip_value_min=0,
        clip_value_max=[height, width, height, width],
    )


# %% [markdown]
# Is it right? The case with 800 x 800 pixels must come out again.

# %%
box = place_boxes(
    lam=tf.constant([0.3117929697036743]),
    row=tf.constant([131]),
    column=tf.constant([554]),
    height=800,
    width=800,
)
print(box.numpy())
assert box.numpy().tolist() == [[0, 223, 463, 800]]


# %%
def pasted_proportion(boxes, height, width):
    """Return the proportion of pixels inside each box, float64 (batch,)."""
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    box_height = bottom - top
    box_width = right - left
    return box_height * box_width / (height * width)


# %% [markdown]
# In the paper the centre may lie anywhere in the image. Then clipping takes a part of the area away. (*For reference*
# measures it.)
#
# ## 6 · Step by step: a whole batch
#
# **Step 3: choose the partners.** The **partner** of an image is the image that its window comes from. A **generator**
# draws random numbers, and each call goes on where the last call ended. We draw one number for each image. `tf.argsort`
# gives the place of the smallest number, then the place of the next, and so on. The result is a **permutation**: each
# place occurs once.

# %%
generator = tf.random.Generator.from_seed(5)
partner = tf.argsort(generator.uniform([8]))
print(partner.numpy())

# %% [markdown]
# The first number is the partner of image 0, the second number is the partner of image 1, and so on. On average one
# image of a batch is its own partner, and stays as it is. (*For reference* shows how to avoid this.) Steps 4 and 5 paste
# the windows and mix the labels. Try them yourself first, in NumPy.
#
# ### Exercise 3 · A whole batch
#
# Write `mix_batch(images, labels, boxes, partner)` for NumPy arrays. Return the mixed images and the mixed labels.
#
# - `images` has the shape (N, H, W, C), `labels` has the shape (N, K).
# - `boxes` has the shape (N, 4), with one row `top, left, bottom, right` for each image.
# - `partner` has the shape (N,): the number of the image that the window comes from.
#
# A loop over the images is fine. Without a loop you need a mask of shape (N, H, W).


# %%
def mix_batch(images, labels, boxes, partner):
    # your code
    ...


# %%
exercises.batch.check(mix_batch)

# %% [markdown]
# ### Steps 4 and 5: paste, and mix the labels
#
# **Step 4: paste.** This is the mask of section 3, with one more axis for the images. `tf.split` gives `top`, `left`,
# `bottom` and `right` the shape (batch, 1), so the rows and columns of each image are compared with its own box.
# `tf.gather` takes the partners' images, in order. In the index, `...` stands for all other axes.


# %%
def paste(images, boxes, partner):
    """Replace the pixels inside each box by those of the partner."""
    top, left, bottom, right = tf.split(boxes, 4, axis=1)
    rows = tf.range(images.shape[1])
    columns = tf.range(images.shape[2])
    in_rows = (rows >= top) & (rows < bottom)  # (batch, height)
    in_columns = (columns >= left) & (columns < right)  # (batch, width)
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return tf.where(
        inside[..., None],  # (batch, height, width, 1)
        tf.gather(images, partner),
        images,
    )


# %% [markdown]
# **Step 5: mix the labels.** Let $w$ be the weight of the partner, $a$ the own label and $b$ the label of the partner.
# $(1 - w) \cdot a + w \cdot b$ is the same as $a + w \cdot (b - a)$, which needs one multiplication. `weight` is
# float64. TensorFlow does not multiply float32 by float64, so we cast the labels first, and back at the end.


# %%
def mix_labels(labels, weight, partner):
    """Give the partner's label the weight of the pasted pixels."""
    own = tf.cast(labels, tf.float64)
    other = tf.gather(own, partner)
    mixed = own + weight[:, None] * (other - own)
    return tf.cast(mixed, labels.dtype)


# %% [markdown]
# Now put the steps together. One function draws all random numbers. Another function does the rest: with the same
# random numbers it gives the same batch, so it can be tested.


# %%
def draw(batch, height, width):
    """Draw lambda, the row and the column of the centre, and the partner of each image."""
    lam = generator.uniform([batch])
    row = generator.uniform([batch], maxval=height, dtype=tf.int32)
    column = generator.uniform([batch], maxval=width, dtype=tf.int32)
    partner = tf.argsort(generator.uniform([batch]))
    return lam, row, column, partner


# %%
def mix_with(images, labels, lam, row, column, partner):
    """Mix a batch with these random numbers."""
    height = images.shape[1]
    width = images.shape[2]
    boxes = place_boxes(lam, row, column, height, width)
    weight = pasted_proportion(boxes, height, width)
    mixed_images = paste(images, boxes, partner)
    mixed_labels = mix_labels(labels, weight, partner)
    return mixed_images, mixed_labels


# %%
lam, row, column, partner = draw(32, height=96, width=96)
mixed_images, mixed_labels = mix_with(images, labels, lam, row, column, partner)
boxes = place_boxes(lam, row, column, height=96, width=96)
figure = plots.image_grid(
    mixed_images[:6],
    titles=[name_of(label) for label in mixed_labels.numpy()[:6]],
    columns=3,
    size=2.6,
    title="Six mixed images, each with its own window, partner and label",
)
for ax, box in zip(figure.axes, boxes.numpy()):
    plots.outline(ax, box)
figure

# %% [markdown]
# If the partner is of the same class, the image is mixed and the label has one class. If the window is tiny, or if the
# image is its own partner, the image looks as before.
#
# `helpers.cutmix` does the same, with more checks. It draws its random numbers from a **seed**, a pair of integers: the
# same pair gives the same numbers. For the same numbers the results are equal, bit for bit (*For reference*).
#
# ## 7 · Put CutMix into `Dataset.map`
#
# Our CutMix takes the partners from the same batch, so it comes *after* `batch`. CutMix is for training: validation
# images stay as they are. A function for `Dataset.map` takes images and labels, and returns both.


# %%
def cutmix_step(images, labels):
    """Mix one batch of a dataset."""
    batch = tf.shape(images)[0]  # known when the batch arrives: the last one is smaller
    lam, row, column, partner = draw(
        batch,
        height=images.shape[1],
        width=images.shape[2],
    )
    return mix_with(images, labels, lam, row, column, partner)


mixed_train = train.map(cutmix_step)
sizes = []
for batch_images, _ in mixed_train:
    sizes.append(len(batch_images))
print(f"{len(sizes)} batches, the last one has {sizes[-1]} images")

# %% [markdown]
# ### A common mistake: the same windows in every epoch
#
# Why does `draw` use a generator, and not `tf.random.uniform`? In `map` both draw new numbers for each batch. (A random
# function of NumPy would run only once, while the graph is traced: notebook 07.) But look at a second epoch.


# %%
def two_epochs(draw_one):
    """Return the random numbers of four batches, in a first and in a second epoch."""
    dataset = tf.data.Dataset.range(4).map(draw_one)
    epochs = [list(dataset), list(dataset)]
    return np.round(epochs, 2)


from_function = two_epochs(lambda number: tf.random.uniform([]))
from_generator = two_epochs(lambda number: generator.uniform([]))
print("tf.random.uniform", from_function, sep="\n")
print("generator.uniform", from_generator, sep="\n")
assert np.array_equal(from_function[0], from_function[1])
assert not np.array_equal(from_generator[0], from_generator[1])

# %% [markdown]
# `start(seed=0)` has set a global seed, so that a run can be repeated. With a global seed `tf.random.uniform` [starts
# again](https://github.com/tensorflow/tensorflow/issues/35682) in each epoch, and so does `tf.random.shuffle`: batch for
# batch the same windows and partners. The generator goes on.
#
# `cutmix.CutMix`, the helper as a step of a pipeline, makes a new seed for each batch, in each epoch. With
# `probability=0.5` it mixes about half of the images. For the others it sets lambda to 1, so the box is empty.
#
# ## 8 · Right or wrong? Count
#
# How can you test code with random results? Fill image *i* with the number *i*. After mixing, the number in a pixel says
# which image the pixel comes from. Count these numbers, and compare their proportion with the label.


# %%
def numbered_batch(height, width):
    """Return 32 images, each filled with its own number, and a class for each image."""
    numbers = tf.range(32, dtype=tf.float32)
    numbers = tf.reshape(numbers, [32, 1, 1, 1])
    images = tf.tile(numbers, [1, height, width, 3])
    return images, tf.eye(32)


def worst_label_error(images, labels):
    """Return the largest difference between a label weight and the counted proportion."""
    images = np.asarray(images)
    labels = np.asarray(labels)
    errors = []
    for i in range(32):
        # For each of the 32 mixed images: the proportion that comes from image i ...
        counted = np.mean(images == i, axis=(1, 2, 3))
        # ... and the weight of class i.
        difference = np.abs(counted - labels[:, i])
        errors.append(difference.max())
    return max(errors)


# %%
numbered, numbered_labels = numbered_batch(height=65, width=97)
mixed_images, mixed_labels = cutmix_step(numbered, numbered_labels)
error = worst_label_error(mixed_images, mixed_labels)
print(f"our code: label weights are wrong by at most {error:.0e}")
assert error < 1e-6

# %% [markdown]
# This tiny error is the rounding of float32 numbers. What does our test *not* find? Here is code that does nothing at
# all.

# %%
error = worst_label_error(numbered, numbered_labels)
print(f"no mixing at all: wrong by {error}")

# %% [markdown]
# The test compares labels with pixels. It does not ask whether anything was mixed, where the window lies, or whether the
# windows of a batch differ. The check of exercise 3 does.
#
# ### Exercise 4 · Find the fault
#
# `suspect` below runs, the images look fine, and its labels are wrong. Why? Set `fault` to `"A"`, `"B"` or `"C"`.
#
# - **A** it pastes the window from the wrong image
# - **B** the label's weight is the area before clipping, not the area that was pasted
# - **C** the two weights do not add up to one


# %%
def suspect(images, labels):
    partner = tf.roll(tf.range(32), 1, axis=0)  # 31, 0, 1, 2, ...
    boxes = place_boxes(
        lam=tf.fill([32], 0.4),
        row=5,
        column=60,
        height=images.shape[1],
        width=images.shape[2],
    )
    mixed_images = paste(images, boxes, partner)
    mixed_labels = 0.4 * labels + 0.6 * tf.gather(labels, partner)
    return mixed_images, mixed_labels


mixed_images, mixed_labels = suspect(numbered, numbered_labels)
error = worst_label_error(mixed_images, mixed_labels)
print(f"the labels of `suspect` are wrong by up to {error:.2f}")

# %%
fault = ...  # "A", "B" or "C"

# %%
exercises.fault.check(fault)

# %% [markdown]
# ## 9 · Does it help here?
#
# The paper reports gains with large networks and long training. Here: a small CNN, small
# images (drawings, in the quick profile), few epochs. Does CutMix change the accuracy on the validation images?
#
# We train the network in two ways, called **arms**: the *base*, and the base with CutMix.
#
# - **One change.** In both arms the training images are mirrored at random, with new random choices in each epoch
#   (notebook 07). One arm adds CutMix, for half of the images.
# - **The same training.** Both arms have the same images, epochs, optimizer and learning rate.
# - **Paired seeds.** Each of five seeds is used in both arms. A pair starts with the same weights and sees the images in
#   the same order, mirrored in the same way.

# %%
PIXELS = course.pick(quick=32, full=64)
EPOCHS = course.pick(quick=12, full=60)
small_flowers = data.flowers(image_size=PIXELS, verbose=False)
validation = small_flowers.batches(
    "val",
    batch_size=100,
    one_hot=True,
    cache=True,
)


def mirror_with(seed):
    """Return a step of a pipeline that mirrors images at random."""
    flip = keras.layers.RandomFlip("horizontal", seed=seed)
    return lambda images, labels: (flip(images, training=True), labels)


# %%
def small_network():
    """Return a small CNN that gives logits."""
    return keras.Sequential(
        [
            keras.Input([PIXELS, PIXELS, 3]),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, kernel_size=3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, kernel_size=3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ]
    )


# %%
def validation_accuracy(seed, steps):
    """Train with these steps in the pipeline, and return the validation accuracy."""
    keras.utils.set_random_seed(seed)
    network = small_network()
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batches = small_flowers.batches(
        "train",
        batch_size=50,
        one_hot=True,
        augment=steps,
        cache=True,
        seed=seed,
    )
    network.fit(
        batches,
        epochs=EPOCHS,
        verbose=0,
        shuffle=False,
    )
    results = network.evaluate(validation, verbose=0, return_dict=True)
    return results["accuracy"]


# %%
# Ten trainings: about half a minute.
from tqdm.auto import tqdm

base = []
with_cutmix = []
for seed in tqdm([1, 2, 3, 4, 5], desc="seeds"):
    accuracy = validation_accuracy(seed, steps=[mirror_with(seed)])
    base.append(accuracy)
    mixing = cutmix.CutMix(alpha=1.0, probability=0.5, seed=seed)
    accuracy = validation_accuracy(seed, steps=[mirror_with(seed), mixing])
    with_cutmix.append(accuracy)
changes = np.array(with_cutmix) - np.array(base)


# %%
def show(name, values):
    digits = " ".join(f"{value:6.3f}" for value in values)
    print(f"{name:8} {digits}   {np.mean(values):6.3f}")


print(f"{small_flowers.counts['val']} validation images")
print("accuracy for each of five seeds, and the mean")
show("base", base)
show("CutMix", with_cutmix)
print("the changes, and their mean")
show("CutMix", changes)

# %% [markdown]
# How far may the mean of five changes be from 0 by chance? The **standard error** of a mean is its typical error: the
# standard deviation of the changes, divided by $\sqrt{n}$, where $n$ is the number of seeds. (`ddof=1`: the standard
# deviation divides by $n - 1$, as the limits below need.) A simple rule says: a mean is different from 0 if it is more
# than *two* standard errors away from 0. With few seeds two are too few. For three seeds and no effect, this rule
# "finds" an effect in 18 of 100 experiments (*For reference*).
#
# [Student's t distribution](https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm) gives the limit for
# each number of seeds. With these limits it is 5 of 100, if the changes are normally distributed. The *true change*
# is the mean that very many seeds would give. The **95 % interval** goes from mean - limit · standard error to mean +
# limit · standard error. In 95 of 100 experiments the interval contains the true change.

# %%
T_LIMITS = {3: 4.30, 4: 3.18, 5: 2.78}  # number of seeds -> limit for 95 %
standard_error = np.std(changes, ddof=1) / np.sqrt(5)
margin = T_LIMITS[5] * standard_error
low = np.mean(changes) - margin
high = np.mean(changes) + margin
print("95 % interval of the change")
print(f"CutMix   {low:+.3f} {high:+.3f}")

# %% [markdown]
# ### Exercise 5 · The verdict
#
# Write `verdict(changes)`. `changes` is an array with one change for each seed: three, four or five seeds. Return
# `"helps"` if the whole 95 % interval is above 0, `"hurts"` if it is below 0, and `"cannot tell"` if 0 lies inside. Use
# `T_LIMITS`, and `np.std` with `ddof=1`. Then ask it about our five changes: `verdict(changes)`.


# %%
def verdict(changes):
    # your code
    ...


# %%
exercises.table.check(verdict)

# %% [markdown]
# On our machine (quick profile) the interval of these five seeds lies above 0. But the interval of fifteen seeds, 1 to
# 15, goes from -0.006 to 0.020. So we cannot tell: five seeds can mislead. "Cannot tell" does not mean that CutMix has no
# effect. Any result holds only for this small network, these few epochs and these images.
#
# ## For reference
#
# ### Bit for bit the same as the helper
#
# `random_numbers` draws six numbers for each image. The next three functions of the helper turn them into centres,
# lambdas and partners. We give these to our own function.

# %%
numbers = cutmix.random_numbers(32, seed=(1, 7))
row, column = cutmix.sample_centres(numbers, 96, 96)
our_images, our_labels = mix_with(
    images,
    labels,
    cutmix.sample_lambda(numbers, alpha=1.0),
    row,
    column,
    cutmix.partners(numbers),
)
helper_images, helper_labels = cutmix.cutmix(
    images,
    labels,
    seed=(1, 7),
)
print("pixel values that differ:", np.sum(our_images != helper_images))
print("label weights that differ:", np.sum(our_labels != helper_labels))
assert np.array_equal(our_images, helper_images)
assert np.array_equal(our_labels, helper_labels)

# %% [markdown]
# ### Mistakes in published code
#
# The first code of the paper's authors (linked in section 5) gave the label the proportion before clipping, until
# [a reader reported it](https://github.com/clovaai/CutMix-PyTorch/issues/1). For kornia, a library of augmentations,
# [a wrong weight](https://github.com/kornia/kornia/issues/3077) was reported, too. The authors' code also subtracts half
# a side from the centre and adds half a side to the centre. How high is such a box?

# %%
start = 131 - side // 2
end = 131 + side // 2
print(f"side {side}, height of the box {end - start}")

# %% [markdown]
# `663 // 2` is 331, and twice 331 is 662. One row is lost. To keep it, add the whole side to the start.
#
# `keras.layers.CutMix` takes a dictionary with images and labels. Are its labels exact?

# %%
layer = keras.layers.CutMix(factor=1.0, seed=0)
output = layer(
    {"images": numbered, "labels": numbered_labels},
    training=True,
)
error = worst_label_error(output["images"], output["labels"])
print(f"Keras' layer: label weights are wrong by at most {error:.3f}")
assert error > 0.001

# %% [markdown]
# The error is small, but larger than rounding. The corners of the layer's boxes are not whole numbers, and the weight is
# computed from these corners
# ([source](https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/preprocessing/image_preprocessing/cut_mix.py)).
# But only whole pixels can be pasted.
#
# ### Centres in the middle three quarters
#
# One could keep the centre in the middle three quarters of each side. What does this do to the pasted area? We draw
# 5,000 boxes in each way, with the same lambdas.

# %%
random_boxes = {}
coverage = {}
for name, low, high in [
    ("anywhere", 0, 96),
    ("in the middle", 12, 84),
]:
    centres = tf.random.uniform(
        [2, 5000],
        minval=low,
        maxval=high,
        dtype=tf.int32,
        seed=1,
    )
    some_boxes = place_boxes(
        lam=lams[1.0][:5000],
        row=centres[0],
        column=centres[1],
        height=96,
        width=96,
    )
    areas = pasted_proportion(some_boxes, 96, 96)
    print(f"centre {name}: pasted {np.mean(areas):.2f} on average")
    random_boxes[name] = some_boxes
print(f"before clipping: {np.mean(1 - lams[1.0][:5000]):.2f}")

# %% [markdown]
# Clipping takes a part of the area away, and less if the centre is kept in the middle. (Rounding takes less than 0.01.)
# Neither way is wrong, as long as the label counts the pasted pixels. How often is each pixel of row 48 pasted?

# %%
for name, some_boxes in random_boxes.items():
    top, left, bottom, right = np.split(some_boxes.numpy(), 4, axis=1)
    in_row = (top <= 48) & (bottom > 48)
    in_columns = (columns >= left) & (columns < right)
    coverage[f"centre {name}"] = np.mean(in_row & in_columns, axis=0)
plots.lines(
    columns,
    coverage,
    xlabel="column",
    ylabel="proportion of the boxes",
    title="With centres in the middle, the middle pixels are pasted more often",
)

# %% [markdown]
# ### How pure are the labels?
#
# A label is nearly pure if one weight is above 0.95. A lambda near 0 gives a large box, which is clipped unless its
# centre is near the middle.

# %%
centres = tf.random.uniform(
    [2, 200_000],
    maxval=96,
    dtype=tf.int32,
    seed=1,
)
for alpha, lam in lams.items():
    boxes = place_boxes(
        lam,
        row=centres[0],
        column=centres[1],
        height=96,
        width=96,
    )
    weight = pasted_proportion(boxes, 96, 96).numpy()
    pure_lam = np.abs(lam - 0.5) > 0.45
    pure_label = np.abs(weight - 0.5) > 0.45
    print(f"alpha {alpha}: {pure_lam.mean():.2f} of lambdas, {pure_label.mean():.2f} of labels")

# %% [markdown]
# With a small alpha many lambdas are near 0 or 1 (below 0.05 or above 0.95). Fewer labels are nearly pure.
#
# ### So that no image is its own partner
#
# How often is an image its own partner?

# %%
own_partner = []
for _ in range(500):
    partner = tf.argsort(generator.uniform([32]))
    same = partner.numpy() == np.arange(32)
    own_partner.append(same.sum())
print(f"own partner: {np.mean(own_partner):.1f} of 32 images on average")
assert 0.8 < np.mean(own_partner) < 1.2

# %% [markdown]
# To avoid it, let the images stand in a ring, in random order. Each image takes the next one: the partner of
# `order[k]` is `following[k]`. `tf.scatter_nd` writes values at given places.

# %%
order = tf.argsort(generator.uniform([8]))
following = tf.roll(order, shift=-1, axis=0)  # the next one in the ring
partner = tf.scatter_nd(
    order[:, None],  # at these places
    following,  # write these values
    shape=[8],
)
print("order:  ", order.numpy())
print("partner:", partner.numpy())
assert not np.any(partner == tf.range(8))

# %% [markdown]
# ### Mix some of the batches: `tf.cond`
#
# The authors' code mixes only a part of the batches (`cutmix_prob`). In a graph, `tf.cond` makes this choice. `pred` is
# a boolean tensor, `true_fn` is a function without arguments for the case that `pred` is true, and `false_fn` is the
# function for the other case.


# %%
def sometimes(images, labels):
    """Mix about half of the batches, and leave the others as they are."""
    return tf.cond(
        pred=generator.uniform([]) < 0.5,
        true_fn=lambda: cutmix_step(images, labels),
        false_fn=lambda: (images, labels),
    )


mixed_batches = 0
for _, batch_labels in train.map(sometimes):
    largest = tf.reduce_max(batch_labels, axis=1)
    if np.any(largest < 1):  # at least one label is soft
        mixed_batches += 1
print(f"{mixed_batches} of {len(train)} batches were mixed")
assert 0 < mixed_batches < len(train)

# %% [markdown]
# In a graph TensorFlow traces both functions, and runs one of them. Both must return the same structure and dtypes. Here
# one returns float32 images, the other uint8 images.


# %%
def two_dtypes(images, labels):
    return tf.cond(
        pred=generator.uniform([]) < 0.5,
        true_fn=lambda: tf.cast(images, tf.float32),
        false_fn=lambda: images,
    )


try:
    train.map(two_dtypes)
except TypeError as error:
    for line in str(error).splitlines():
        if "must have" in line or "output:" in line:
            print(line.strip())

# %% [markdown]
# ### Why two standard errors are too few
#
# We simulate 100,000 experiments with normally distributed changes and *no* effect.


# %%
def false_alarms(seeds, limit):
    """Return how often a mean is beyond the limit although the true change is 0."""
    random = np.random.default_rng(seed=1)
    experiments = random.normal(size=[100_000, seeds])
    means = experiments.mean(axis=1)
    deviations = experiments.std(axis=1, ddof=1)
    standard_errors = deviations / np.sqrt(seeds)
    beyond = np.abs(means) > limit * standard_errors
    return beyond.mean()


for seeds, limit in [
    (3, 2),
    (3, 4.30),
    (5, 2),
    (5, 2.78),
]:
    print(f"{seeds} seeds, limit {limit}: {false_alarms(seeds, limit):.2f}")
assert false_alarms(3, limit=2) > 0.15
assert false_alarms(3, limit=4.30) < 0.06
assert false_alarms(5, limit=2.78) < 0.06

# %% [markdown]
# ### Label smoothing
#
# **Label smoothing** takes a little weight from the label and spreads it evenly over all classes. With strength
# $\varepsilon$ (epsilon) and $K$ classes, a label $y$ becomes $(1 - \varepsilon) \cdot y + \varepsilon / K$. In Keras
# it is an argument of `CategoricalCrossentropy`.
#
# **A common mistake** is to spread over the *other* classes only: with `label_smoothing=0.1`, [1, 0, 0] would become
# [0.9, 0.05, 0.05]. Which label does Keras use?

# %%
hard = np.array([[1.0, 0.0, 0.0]])
mistaken = 0.9 * hard + 0.1 * (1 - hard) / 2
smooth = 0.9 * hard + 0.1 / 3
logits = tf.constant([[2.0, 0.5, -1.0]])
plain_loss = keras.losses.CategoricalCrossentropy(from_logits=True)
keras_loss = keras.losses.CategoricalCrossentropy(
    from_logits=True,
    label_smoothing=0.1,
)
loss_of_keras = keras_loss(hard, logits)
loss_of_mistaken = plain_loss(mistaken, logits)
loss_of_smooth = plain_loss(smooth, logits)
print(f"Keras with label_smoothing=0.1: {loss_of_keras:.4f}")
print(f"mistaken label {mistaken.round(4)}: {loss_of_mistaken:.4f}")
print(f"right label {smooth.round(4)}: {loss_of_smooth:.4f}")
assert np.isclose(loss_of_keras, loss_of_smooth)
assert abs(loss_of_keras - loss_of_mistaken) > 0.05

# %% [markdown]
# Keras spreads the 0.1 over all *three* classes, so the true class gets a third of it back: 0.9333.
#
# ### A loop, or all at once?
#
# Another way to paste is a Python loop over the images. Cut A into pieces, put the window of B between them, and join
# the pieces with `tf.concat`: side by side with `axis=1` (horizontal), one above the other with `axis=0` (vertical).


# %%
def loop_paste(images, boxes, partner):
    """Do the same as `paste`, one image after the other."""
    mixed = []
    for i in range(images.shape[0]):
        top, left, bottom, right = tf.unstack(boxes[i])
        own = images[i]
        other = images[partner[i]]
        pieces = [
            own[top:bottom, :left],
            other[top:bottom, left:right],
            own[top:bottom, right:],
        ]
        middle = tf.concat(pieces, axis=1)
        pieces = [
            own[:top],
            middle,
            own[bottom:],
        ]
        image = tf.concat(pieces, axis=0)
        mixed.append(image)
    return tf.stack(mixed)


# %%
lam, row, column, partner = draw(
    batch=32,
    height=96,
    width=96,
)
boxes = place_boxes(
    lam,
    row,
    column,
    height=96,
    width=96,
)
from_loop = loop_paste(images, boxes, partner)
from_masks = paste(images, boxes, partner)
print("pixel values that differ:", np.sum(from_loop != from_masks))
assert np.array_equal(from_loop, from_masks)

# %% [markdown]
# In a graph (`tf.function`, `Dataset.map`) a Python loop over `range` is **unrolled**: each turn of the loop adds its
# own operations. How many operations do the two graphs have, for 8 images and for 32?


# %%
def count_operations(function, batch):
    """Trace a function for a batch of this size, and count the operations of its graph."""
    traced = tf.function(function).get_concrete_function(
        images[:batch],
        boxes[:batch],
        partner[:batch],
    )
    return len(traced.graph.get_operations())


loop_8 = count_operations(loop_paste, batch=8)
loop_32 = count_operations(loop_paste, batch=32)
masks_8 = count_operations(paste, batch=8)
masks_32 = count_operations(paste, batch=32)
print(f"loop: {loop_8} operations for 8 images, {loop_32} for 32")
print(f"masks: {masks_8} operations for 8 images, {masks_32} for 32")
assert loop_32 > 3 * loop_8
assert masks_32 == masks_8

# %% [markdown]
# The graph of the loop grows with the batch. Tracing a large graph takes time, in the first call. And the later calls?
# We compare our masks, the helper and the loop, each without and with XLA. **XLA** is a [compiler for
# graphs](https://openxla.org/xla/tf2xla): with `jit_compile=True` TensorFlow compiles the function with it.

# %%
import time

use_xla = compiling.xla_works()  # False where TensorFlow comes without XLA
ways = {}
for name, function in [
    ("masks", paste),
    ("helper", cutmix.paste),
    ("loop", loop_paste),
]:
    ways[name] = tf.function(function)
    ways[f"{name}, XLA"] = tf.function(function, jit_compile=use_xla)

# %%
# About 5 seconds.
first_call = {}
for name, way in ways.items():
    began = time.perf_counter()
    result = way(images, boxes, partner)
    first_call[name] = time.perf_counter() - began
    assert np.array_equal(result, from_masks)

# %%
later_calls = {}
for name in ways:
    later_calls[name] = []
for _ in range(20):  # in turn, so that other programs disturb all ways alike
    for name, way in ways.items():
        began = time.perf_counter()
        way(images, boxes, partner)
        seconds = time.perf_counter() - began
        later_calls[name].append(seconds)
for name in ways:
    milliseconds = 1000 * np.median(later_calls[name])
    print(f"{name}: first call {first_call[name]:.2f} s, later {milliseconds:.2f} ms")
assert first_call["loop"] > first_call["masks"]

# %% [markdown]
# Compare lines that differ in one thing:
#
# - *loop* and *masks*, both without XLA. The masks save time in the first call. Code without a loop is called
#   **vectorised**. In the later calls vectorised code is not always faster: look at the two numbers.
# - *masks* and *masks, XLA*: the same code. This difference is the work of XLA.
# - *masks* and *helper*, both without XLA. This difference is how the helper is written. For example, it reads from a
#   partner only the rows of the window.
#
# The numbers depend on the processor, the images and the batch. Measure on your own machine.
#
# ### `class_weight` is wrong for mixed labels
#
# `fit(class_weight=...)` gives each image the weight of *one* class: the class with the largest value in the label. Here
# class 0 shall count ten times as much as class 1.


# %%
def loss_with(class_weight, label):
    """Return the loss of a model that gives both classes the logit 0."""
    dense = keras.layers.Dense(2, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input([1]), dense])
    model.compile(
        optimizer="sgd",
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    return model.train_on_batch(
        np.ones([1, 1]),
        np.array([label]),
        class_weight=class_weight,
    )


for label in [[0.6, 0.4], [0.4, 0.6]]:
    plain = loss_with(None, label)
    weighted = loss_with({0: 10.0, 1: 1.0}, label)
    print(f"label {label}: the loss is multiplied by {weighted / plain:.1f}")

# %% [markdown]
# A label with 0.4 of class 0 gets nothing of the weight of class 0. Give `fit` a sample weight for each image instead:
# for the label [0.4, 0.6] it is 0.4 · 10 + 0.6 · 1 = 4.6.
#
# ### Typing mistakes
#
# Each line has one typing mistake. Read the name of the error first.

# %%
for code in [
    "images[0, 20:76 30:80, :]",
    "tf.stack(imgs)",
    "train.batch(2, drop_remainder=TRUE)",
    "train.map(cutmix_step, num_parallel_calls=AUTOTUN)",
    "tf.reshap(labels, [-1, 5])",
    "train.map(cutmix_step, numparallel_calls=2)",
    "labels[32]",
]:
    try:
        eval(code)  # run this line
    except Exception as error:
        print(f"{type(error).__name__:20} {code}")

# %% [markdown]
# | error | what it says | here |
# |---|---|---|
# | `SyntaxError` | Python cannot read the code; no line of the cell was run | a comma is missing after `20:76` |
# | `NameError` | there is no variable with this name | right: `images`, `True`, `tf.data.AUTOTUNE` |
# | `AttributeError` | the module has nothing with this name | right: `tf.reshape` |
# | `TypeError` | here: no argument has this name | right: `num_parallel_calls` |
# | `InvalidArgumentError` | here: the index is beyond the end | 32 labels have the numbers 0 to 31 |
#
# ## Summary
#
# - A proportion gives a box with sides $\sqrt{1 - \lambda}$ times the sides of the image. The edge of the image clips it.
# - The label's weight is the proportion of *pasted pixels*. Count them.
# - In a batch each image has its own lambda, box and partner. One mask pastes all windows.
# - In a pipeline a generator gives new windows in each epoch. With a global seed `tf.random.uniform` does not.
# - One change, the same training, paired seeds, a t interval: then say "helps", "hurts" or "cannot tell".
#
# **Next** notebook 09: a learning rate that changes during training.
#
# ## References
#
# - Yun et al. (2019), *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features*
#   [arXiv:1905.04899](https://arxiv.org/abs/1905.04899)
# - Szegedy et al. (2016), *Rethinking the Inception Architecture*, section 7: label smoothing
#   [arXiv:1512.00567](https://arxiv.org/abs/1512.00567)
# - TensorFlow: [`tf.clip_by_value`](https://www.tensorflow.org/api_docs/python/tf/clip_by_value),
#   [`tf.cond`](https://www.tensorflow.org/api_docs/python/tf/cond)
# - Keras: [CutMix layer](https://keras.io/api/layers/preprocessing_layers/image_augmentation/cut_mix/)
