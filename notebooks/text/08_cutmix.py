# %% [markdown]
# # 08 · CutMix, pixel by pixel
#
# Cut a window out of one image, paste it into another, and mix the two labels by counting pixels: build it, test it,
# use it.
#
# You will be able to
# - turn a proportion into a box, and clip the box at the edge of the image,
# - give the label exactly the weight of the pixels that were pasted,
# - mix a whole batch at once, each image with its own box and partner,
# - find a wrong label by counting pixels,
# - judge from several seeds whether CutMix helped.
#
# **Needs** notebook 02 (`fit`, datasets, one-hot labels); sections 7 and 10 also notebooks 04 (graphs) and 06
# (`Dataset.map`, a small CNN). **Time** 80 minutes to read, 40 for the exercises; under 60 seconds to run on two CPU
# cores.

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
    """Say a label in words, the larger weight first: '0.70 roses + 0.30 tulips'."""
    parts = []
    for k in np.argsort(-label):
        if label[k] > 0:
            part = f"{label[k]:.2f} {names[k]}"
            parts.append(part)
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
# **CutMix** does this at random with the training images: windows of random size and place, and pairs of images from
# the same batch. The idea of the paper (Yun et al., 2019): the window may hide the part by which the network knows the
# class, so the network has to learn from other parts as well.
#
# ## 2 · From a proportion to a box
#
# The paper draws a number $\lambda$ (lambda) between 0 and 1: the proportion of A that should stay. The window should
# cover the rest, the proportion $1 - \lambda$. The window has the same shape as the image, only smaller. Each of its
# sides is $\sqrt{1 - \lambda}$ times the side of the image. Here is one case, with an image of 800 x 800 pixels.

# %%
lam = 0.3117929697036743  # `lambda` itself is a reserved word in Python
ratio = np.sqrt(1 - lam)
side = int(800 * ratio)
print(f"ratio {ratio:.5f}, so the window has {side} x {side} pixels")

# %% [markdown]
# A **box** says where the window lies. It has four numbers: top and left are the first row and the first column; bottom
# and right are just behind the last ones, as in a slice. Put the centre of the box at row 131 and column 554. Does the
# box fit into the image?

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
# ### A common mistake: the label keeps the proportion that was asked for
#
# Lambda asked for a window of $1 - \lambda$. The clipped window is smaller. The mistaken label uses $1 - \lambda$ all
# the same.

# %%
top, left, bottom, right = box.numpy()
window_pixels = (bottom - top) * (right - left)
asked = 1 - lam
got = window_pixels / (800 * 800)
print(f"mistaken weight of B:  {asked:.3f}")
print(f"pixels that B has got: {got:.3f}")

# %% [markdown]
# The mistaken label gives B the weight 0.688. But only 0.417 of the pixels come from B. The loss would then punish a
# network that judges the pixels correctly. So compute the weight *after* clipping, from the pixels that were pasted.
#
# This mistake has been published. The first code of the paper's own authors had it, until
# [a reader reported it](https://github.com/clovaai/CutMix-PyTorch/issues/1). For kornia, a library of augmentations,
# [another wrong weight](https://github.com/kornia/kornia/issues/3077) was reported. Section 8 tests the layer of Keras.
#
# ### A common mistake: half a side, twice
#
# Some code subtracts half a side from the centre, and adds half a side to the centre. How high is such a box?

# %%
start = 131 - side // 2
end = 131 + side // 2
print(f"side {side}, height of the box {end - start}")

# %% [markdown]
# `663 // 2` is 331, and twice 331 is 662. One row is lost, and one column. timm, another library,
# [builds its boxes in this way](https://github.com/huggingface/pytorch-image-models/blob/066e490605ba1d3666861096163246c885603469/timm/data/mixup.py).
# Its labels are still right by default, because it counts the pixels of the clipped box. To keep the last row, add the
# whole side to the start, as our code above does.
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
# is `True` inside the window and `False` outside. Compare all row numbers with top and bottom. Compare all column
# numbers with left and right. A pixel is inside if its row *and* its column are.

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
# `None` adds an axis of length 1. NumPy **broadcasts** such an axis: it repeats the values as often as needed. So 96
# rows and 96 columns give a mask of 96 x 96, and one mask serves all three colour channels.
#
# Here is the label of another case. There are six classes. A is of class 0, B is of class 4, and 0.3 of the pixels come
# from B.

# %%
one_hot = np.eye(6)  # row k is the label of class k
worked = 0.7 * one_hot[0] + 0.3 * one_hot[4]
print(worked)

# %% [markdown]
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
# ### A common mistake: horizontal for vertical
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
# There is no error, and the weight of the label is the same. On a square image this mistake is silent. Test with an image
# whose height is not its width.
#
# ## 4 · Play
#
# Move the sliders. Set lambda to 0.50, and move the centre. When does the weight of B become smaller? And for which
# lambda is there no window at all?

# %%
classes = labels.numpy().argmax(axis=1)
widgets.CutMixExplorer(images, classes, names)

# %% [markdown]
# The same in numbers. The centre lies in the middle of the image, at the upper edge, and in the corner. In the last row
# lambda is 1.

# %%
boxes = cutmix.boxes_at(
    lam=[0.5, 0.5, 0.5, 1.0],
    row=[48, 0, 0, 48],
    column=[48, 48, 0, 48],
    height=96,
    width=96,
)
print("weights of B:", cutmix.pasted_share(boxes, 96, 96).numpy().round(3))

# %% [markdown]
# The weight becomes smaller where the edge clips the box. In the middle it is 0.487 and not 0.5, because the sides are
# rounded down to whole pixels. With lambda 1 the box is empty.
#
# ## 5 · Step by step: lambda and the boxes
#
# Now we build CutMix for a batch, in TensorFlow, in five steps. **Step 1: draw lambda**, one for each image. The paper
# uses a **Beta distribution**, Beta($\alpha, \alpha$): a rule for random numbers between 0 and 1 in which $\lambda$ and
# $1 - \lambda$ are equally likely. Alpha ($\alpha$) is a number above 0. What does alpha change?

# %%
edges = np.linspace(0, 1, 41)
lams = {}
density = {}
for alpha in [0.3, 1.0, 3.0]:
    random_lams = keras.random.beta(
        [200_000],
        alpha,
        alpha,
        seed=1,
    )
    lams[alpha] = random_lams.numpy()
    counts, _ = np.histogram(lams[alpha], bins=edges, density=True)
    density[f"alpha = {alpha}"] = counts
plots.lines(
    edges[:-1] + 0.0125,  # the middle of each interval
    density,
    xlabel="lambda",
    ylabel="density (how often)",
    title="Small alpha: lambda near 0 or 1. Alpha 1: flat. Large alpha: near one half",
)

# %% [markdown]
# With $\alpha = 1$ the curve is flat: all values of lambda are equally likely. That is the **uniform distribution**,
# which `tf.random.uniform` draws. The paper uses $\alpha = 1$ in its experiments, and so do we.
#
# **Step 2: place the boxes.** This is exercise 1 for a whole batch. `lam`, `row` and `column` hold one number for each
# image, and each line works on all images at once.


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
# Where may the centre lie? In the paper: anywhere in the image. Some code keeps the centre in the middle three quarters
# of each side, so that the window is not too near the edge. What does this do to the pasted area? We draw 5,000 boxes
# in each way, with the same lambdas.

# %%
random_boxes = {}
for name, low, high in [("anywhere", 0, 96), ("in the middle", 12, 84)]:
    centres = tf.random.uniform(
        [2, 5000],
        minval=low,
        maxval=high,
        dtype=tf.int32,
        seed=1,
    )
    random_boxes[name] = place_boxes(
        lam=lams[1.0][:5000],
        row=centres[0],
        column=centres[1],
        height=96,
        width=96,
    )
    pasted_areas = pasted_proportion(random_boxes[name], 96, 96)
    print(f"centre {name}: pasted {np.mean(pasted_areas):.2f} on average")
print(f"asked for: {np.mean(1 - lams[1.0][:5000]):.2f}")

# %% [markdown]
# Lambda asks for one half of the image on average. Clipping takes a part of it away. It takes less if the centre is kept
# in the middle. Neither way is wrong, as long as the label counts the pasted pixels. We use the whole image, as the
# paper does. (More about the two ways stands under *For reference*.)
#
# ## 6 · Step by step: a whole batch
#
# **Step 3: choose the partners.** The **partner** of an image is the image that its window comes from. We shuffle the
# numbers of the images. The result is a **permutation**: each number occurs once.

# %%
partner = tf.random.shuffle(tf.range(8), seed=1)
print(partner.numpy())

# %% [markdown]
# The first number is the partner of image 0, the second number is the partner of image 1, and so on. An image may be its
# own partner. Then image and label stay as they are. How often does that happen in a batch of 32 images?

# %%
own_partner = []
for _ in range(500):
    partner = tf.random.shuffle(tf.range(32))
    same = partner.numpy() == np.arange(32)
    own_partner.append(same.sum())
print(f"own partner: {np.mean(own_partner):.1f} of 32 images on average")
assert 0.8 < np.mean(own_partner) < 1.2

# %% [markdown]
# One in 32 does no harm. (How to avoid it stands under *For reference*.) Steps 4 and 5 paste the windows and mix the
# labels. Try them yourself first, in NumPy.
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
# **Step 4: paste.** This is the mask of section 3, with one more axis for the images. `tf.split` gives each edge the
# shape (batch, 1), so each image is compared with its own box. `tf.gather` takes the partners' images, in order.


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
# **Step 5: mix the labels.** $(1 - w) \cdot a + w \cdot b$ is the same as $a + w \cdot (b - a)$. `weight` is float64, so
# the labels become float64 as well.


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
    lam = tf.random.uniform([batch])
    row = tf.random.uniform([batch], maxval=height, dtype=tf.int32)
    column = tf.random.uniform([batch], maxval=width, dtype=tf.int32)
    partner = tf.random.shuffle(tf.range(batch))
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
tf.random.set_seed(5)
lam, row, column, partner = draw(32, height=96, width=96)
mixed_images, mixed_labels = mix_with(images, labels, lam, row, column, partner)
titles = []
for label in mixed_labels.numpy()[:10]:
    title = name_of(label)
    titles.append(title.replace(" + ", "\n"))
plots.image_grid(
    mixed_images[:10],
    titles,
    title="Ten mixed images, each with its own window, partner and label",
)

# %% [markdown]
# Some of these images look mixed, and their label has one class: their partner is of the same class. An image can also
# look as before: if its window is tiny, or if the image is its own partner.
#
# `helpers.cutmix` does the same, hardened. It checks its arguments, takes every alpha above 0, and is compiled. It draws
# its random numbers from a **seed**, a pair of integers: the same pair gives the same numbers. We take these numbers
# and give them to our own function. Are the results equal, bit for bit?

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
# ## 7 · Put CutMix into `Dataset.map`
#
# CutMix mixes the images of one batch, so CutMix comes *after* `batch`. CutMix is for training: validation images stay
# as they are. A function for `Dataset.map` takes images and labels, and returns both.


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
# The functions of `tf.random` become operations of the graph. So each batch gets new random numbers. A random function of
# Python or NumPy would run only once, while the graph is traced (notebook 07).
#
# Some recipes mix only a part of the batches; the code of the paper's authors has an option for it, `cutmix_prob`. In a
# graph, `tf.cond` makes this choice. Its arguments are:
#
# - `pred` is a boolean tensor,
# - `true_fn` is a function without arguments, whose result is taken if `pred` is true,
# - `false_fn` is the function for the other case.


# %%
def sometimes(images, labels):
    """Mix about half of the batches, and leave the others as they are."""
    coin = tf.random.uniform([])
    return tf.cond(
        pred=coin < 0.5,
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
# In a graph TensorFlow traces both functions, and runs one of them. So both must return the same structure and the same
# dtypes. Here one function returns float32 images, the other uint8 images. What happens?


# %%
def two_dtypes(images, labels):
    return tf.cond(
        pred=tf.random.uniform([]) < 0.5,
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
# The message names both functions and both dtypes. To decide for each *image* and not for each batch, no `tf.cond` is
# needed. Set lambda to 1 where an image shall stay as it is. Its box is then empty.

# %%
lam = tf.constant([0.2, 0.3, 0.4, 0.5])
coin = tf.constant([0.1, 0.9, 0.3, 0.7])
print(tf.where(coin < 0.5, lam, 1.0).numpy())

# %% [markdown]
# `cutmix.cutmix(images, labels, seed, probability=0.5)` does this. `cutmix.CutMix` is the helper as a step of a
# pipeline: it makes a new seed for each batch.
#
# ## 8 · Right or wrong? Count
#
# How can you test code with random results? Fill image *i* with the number *i*. After mixing, the number in a pixel says
# which image the pixel comes from. Count these pixels, and compare their proportion with the label.


# %%
def numbered_batch(size):
    """Return 32 images, each filled with its own number, and a class for each image."""
    numbers = tf.range(32, dtype=tf.float32)
    numbers = tf.reshape(numbers, [32, 1, 1, 1])
    images = tf.tile(numbers, [1, size, size, 3])
    return images, tf.eye(32)


def worst_label_error(images, labels):
    """Return the largest difference between a label weight and the counted proportion."""
    came_from = np.asarray(images)[..., 0]
    labels = np.asarray(labels)
    errors = []
    for i in range(32):
        counted = np.mean(came_from == i, axis=(1, 2))  # in each of the 32 mixed images
        difference = np.abs(counted - labels[:, i])
        errors.append(difference.max())
    return max(errors)


# %%
numbered, numbered_labels = numbered_batch(size=65)
mixed_images, mixed_labels = cutmix_step(numbered, numbered_labels)
error = worst_label_error(mixed_images, mixed_labels)
print(f"our code: label weights are wrong by at most {error:.0e}")
assert error < 1e-6

# %% [markdown]
# The rest is the rounding of float32 numbers. Keras has a layer, `keras.layers.CutMix`. It takes a dictionary with images
# and labels. Are its labels exact?

# %%
layer = keras.layers.CutMix(factor=1.0, seed=0)
output = layer(
    {"images": numbered, "labels": numbered_labels},
    training=True,
)
error = worst_label_error(output["images"], output["labels"])
print(f"Keras' layer: wrong by {error:.3f}, that is {error * 65 * 65:.0f} of 4225 pixels")
assert error * 65 * 65 > 1

# %% [markdown]
# The error is small, but larger than rounding. The corners of the layer's boxes are not whole numbers, and the weight is computed
# from these corners
# ([source](https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/cut_mix.py),
# Keras 3.15). The pixels that are pasted are whole.
#
# What does our test *not* find? Here is code that does nothing at all.

# %%
error = worst_label_error(numbered, numbered_labels)
print(f"no mixing at all: wrong by {error}")

# %% [markdown]
# The test compares labels with pixels. It does not ask whether anything was mixed, whether the window is a rectangle, or
# whether the windows of a batch differ. Test these, too.
#
# ### Exercise 4 · Find the fault
#
# `suspect` below runs, the images look fine, and its labels are wrong. Why? Set `fault` to `"A"`, `"B"` or `"C"`.
#
# - **A** it pastes the window from the wrong image
# - **B** the label's weight is the box that was asked for, not the one that was pasted
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
# ## 9 · Label smoothing
#
# CutMix makes soft labels of two classes. **Label smoothing** makes soft labels of all classes: it takes a little weight
# from the label and spreads it evenly. With strength $\varepsilon$ (epsilon) and $K$ classes, a label $y$ becomes
# $(1 - \varepsilon) \cdot y + \varepsilon / K$. In Keras it is an argument of the loss, `label_smoothing`.
#
# ### A common mistake: spreading over the other classes only
#
# What does Keras make of [1, 0, 0] with `label_smoothing=0.1`? A common answer is [0.9, 0.05, 0.05]: the 0.1 is spread
# over the two *other* classes. We compute the loss of the mistaken label and of the right one, and ask Keras.

# %%
hard = np.array([[1.0, 0.0, 0.0]])
mistaken = 0.9 * hard + 0.1 * (1 - hard) / 2
smooth = 0.9 * hard + 0.1 / 3
print("mistaken:", mistaken.round(4))
print("right:   ", smooth.round(4))

# %%
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
print(f"the mistaken label: {loss_of_mistaken:.4f}")
print(f"the right label: {loss_of_smooth:.4f}")
assert np.isclose(loss_of_keras, loss_of_smooth)
assert abs(loss_of_keras - loss_of_mistaken) > 0.05

# %% [markdown]
# Keras spreads the 0.1 over all *three* classes, so the true class gets a third of it back: 0.9333. A mixed label is
# smoothed by the same formula. What does [0.7, 0, 0.3, 0] become with $\varepsilon = 0.2$?

# %%
mixed_label = np.array([0.7, 0.0, 0.3, 0.0])
print(0.8 * mixed_label + 0.2 / 4)

# %% [markdown]
# ## 10 · Does it help here?
#
# The paper reports gains with large networks, long training and many photographs. Here we ask a smaller question: a
# small CNN, small images (drawings, in the quick profile), few epochs. Does CutMix change the accuracy on the
# validation images?
#
# We train the network in two ways, called **arms**: the *base*, and the base with CutMix.
#
# - **One change.** In both arms the training images are mirrored at random, as in notebook 07. One arm adds CutMix, for
#   half of the images.
# - **Equal budgets.** Both arms have the same images, epochs, optimizer and learning rate.
# - **Paired seeds.** Each of five seeds is used in both arms. A pair starts with the same weights and sees the images in
#   the same order.

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


def mirror(images, labels):
    return tf.image.random_flip_left_right(images), labels


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
# Ten trainings: about 20 seconds.
from tqdm.auto import tqdm

base = []
with_cutmix = []
for seed in tqdm([1, 2, 3, 4, 5], desc="seeds"):
    mixing = cutmix.CutMix(alpha=1.0, probability=0.5, seed=seed)
    accuracy = validation_accuracy(seed, steps=[mirror])
    base.append(accuracy)
    accuracy = validation_accuracy(seed, steps=[mirror, mixing])
    with_cutmix.append(accuracy)
changes = np.array(with_cutmix) - np.array(base)


# %%
def show(name, values, sign=""):
    digits = " ".join(f"{value:{sign}.3f}" for value in values)
    print(f"{name:8} {digits}   {np.mean(values):{sign}.3f}")


print(f"n = {small_flowers.counts['val']} validation images")
print("accuracy for each of five seeds, and the mean")
show("base", base)
show("CutMix", with_cutmix)
print("the changes, and their mean")
show("CutMix", changes, sign="+")

# %% [markdown]
# How far may the mean of five changes be from 0 by chance? The **standard error** of a mean is its typical error: the
# standard deviation of the changes (`ddof=1`), divided by $\sqrt n$, where $n$ is the number of seeds. A rule of thumb
# calls a mean different from 0 if it is more than *two* standard errors away from 0. Is two enough? We simulate 100,000
# experiments in which there is *no* effect.


# %%
def false_alarms(seeds, limit):
    """Return how often a mean is beyond the limit although the true change is 0."""
    generator = np.random.default_rng(seed=1)
    experiments = generator.normal(size=[100_000, seeds])
    means = experiments.mean(axis=1)
    deviations = experiments.std(axis=1, ddof=1)
    standard_errors = deviations / np.sqrt(seeds)
    beyond = np.abs(means) > limit * standard_errors
    return beyond.mean()


print(f"3 seeds, limit 2:    {false_alarms(3, limit=2):.2f}")
print(f"3 seeds, limit 4.30: {false_alarms(3, limit=4.30):.2f}")
print(f"5 seeds, limit 2:    {false_alarms(5, limit=2):.2f}")
print(f"5 seeds, limit 2.78: {false_alarms(5, limit=2.78):.2f}")
assert false_alarms(3, limit=2) > 0.15
assert false_alarms(3, limit=4.30) < 0.06

# %% [markdown]
# With three seeds and the limit 2, an effect that does not exist is "found" in 18 of 100 experiments. The limits 4.30 and
# 2.78 come from [Student's t
# distribution](https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm). With them it is 5 of 100. The mean
# minus and plus limit times standard error is the **95 % interval** of the true change.

# %%
T_LIMITS = {3: 4.30, 4: 3.18, 5: 2.78}  # number of seeds -> limit for 95 %
standard_error = np.std(changes, ddof=1) / np.sqrt(5)
margin = T_LIMITS[5] * standard_error
low = np.mean(changes) - margin
high = np.mean(changes) + margin
print("95 % interval of the change")
print(f"CutMix   {low:+.3f} {high:+.3f}")

# %% [markdown]
# ### Exercise 5 · Read the table
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
# "Cannot tell" does not mean that CutMix has no effect. It means that this experiment cannot tell an effect from chance.
# And any result speaks of this small network, these few epochs and these images.
#
# ## For reference
#
# ### A loop, or all at once?
#
# Another way to paste is a Python loop over the images. Cut A into pieces, put the window of B between them, and join
# the pieces with `tf.concat`. With `axis=1` the pieces stand side by side (horizontal). With `axis=0` they stand one
# above the other (vertical).


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
lam, row, column, partner = draw(32, height=96, width=96)
boxes = place_boxes(lam, row, column, height=96, width=96)
from_loop = loop_paste(images, boxes, partner)
from_masks = paste(images, boxes, partner)
print("pixel values that differ:", np.sum(from_loop != from_masks))
assert np.array_equal(from_loop, from_masks)

# %% [markdown]
# In a graph (`tf.function`, `Dataset.map`) a Python loop is **unrolled**: each turn of the loop adds its own operations
# (notebook 04). How many operations do the two graphs have, for 8 images and for 32?


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
# We compare the loop, our masks and the helper, each without and with XLA. All six paste the *same* windows. **XLA** is
# a compiler for graphs: with `jit_compile=True` TensorFlow compiles the function with it. XLA can [join several
# operations into one](https://openxla.org/xla/tf2xla).

# %%
import time

use_xla = compiling.xla_works()  # False where TensorFlow comes without XLA
ways = {}
for name, function in [
    ("loop", loop_paste),
    ("masks", paste),
    ("helper", cutmix.paste),
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
# - *masks* and *masks, XLA*, or *loop* and *loop, XLA*: the same code. This difference is the work of XLA.
# - *masks* and *helper*, both without XLA, or both with it. This difference is how `helpers.cutmix.paste` arranges its
#   masks.
#
# The numbers depend on the processor, the size of the images and the size of the batch. Measure on your own machine
# before you say that one way is faster.
#
# ### A common mistake: slips of the keyboard
#
# Each line below has one slip. The name of the error tells most.

# %%
slips = [
    "images[0, 20:76 30:80, :]",
    "tf.stack(imgs)",
    "tf.reshap(labels, [-1, 5])",
    "train.batch(2, drop_remainder=TRUE)",
    "train.map(cutmix_step, num_parallel_calls=AUTOTUN)",
    "train.map(cutmix_step, numparallel_calls=2)",
    "labels[32]",
]
for code in slips:
    print(code)
    try:
        eval(code)
    except Exception as error:
        kind = type(error).__name__
        words = str(error).split("}} ")[-1]  # without the name of the device
        print(f"    {kind}: {words[:72]}")

# %% [markdown]
# | error | what it says | here |
# |---|---|---|
# | `SyntaxError` | Python cannot read the code; no line of the cell was run | a comma is missing between `20:76` and `30:80` |
# | `NameError` | there is no variable with this name | `images`, `True`, `tf.data.AUTOTUNE` |
# | `AttributeError` | the module has nothing with this name | `tf.reshape` |
# | `TypeError` | here: the function has no argument with this name | `num_parallel_calls` |
# | `InvalidArgumentError` | here: the index is beyond the end | 32 labels have the numbers 0 to 31 |
#
# Code that counts on full batches gets the last error, too: the last batch of our dataset has 28 images.
#
# A string in triple quotes is no comment. At the left margin it ends the function above it. Use `#` for comments.

# %%
code = '''
def double(x):
    y = 2 * x
"""Now return the result."""
    return y
'''
try:
    compile(code, "cell", "exec")
except SyntaxError as error:
    print(f"{type(error).__name__} in line {error.lineno}: {error.msg}")

# %% [markdown]
# ### Which pixels are pasted, and how often?
#
# We count over the 5,000 boxes of section 5.


# %%
def how_often(boxes):
    """Return, for each pixel, the proportion of boxes that it lies in, (96, 96)."""
    top, left, bottom, right = np.split(boxes.numpy(), 4, axis=1)
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return inside.mean(axis=0)


coverage = []
for name, some_boxes in random_boxes.items():
    proportions = how_often(some_boxes)
    middle = proportions[48, 48]
    corner = proportions[0, 0]
    print(f"centre {name}: the middle pixel {middle:.2f}, the corner {corner:.2f}")
    coverage.append(255 * proportions)
plots.image_grid(
    np.array(coverage),
    ["centre anywhere", "centre in the middle three quarters"],
    size=2.6,
    title="How often each pixel is pasted (white: always). More in the middle on the right",
)

# %% [markdown]
# ### How pure are the labels?
#
# A label is nearly pure if one weight is above 0.95. With a small alpha many lambdas are near 0 or 1. But a lambda near
# 0 asks for a large box, and a large box is clipped unless its centre is near the middle.

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
# ### No image its own partner
#
# Let the images stand in a ring, in random order, and let each image take the next one. In a batch of one image there is
# no other partner.

# %%
order = tf.random.shuffle(tf.range(8), seed=2)
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
# ### Class weights do not go with mixed labels
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
# A label with 0.4 of class 0 gets nothing of its class weight. Give `fit` a sample weight for each image instead: the
# mean of the class weights, weighted by the label.
#
# ## Summary
#
# - A proportion gives a box with sides $\sqrt{1 - \lambda}$ times the sides of the image. The edge of the image clips it.
# - The label's weight is the proportion of *pasted pixels*. Count them.
# - In a batch each image has its own lambda, box and partner. One mask pastes all windows.
# - A Python loop makes a graph that grows with the batch. Masks do not.
# - One change, equal budgets, paired seeds, a t interval: then say "helps", "hurts" or "cannot tell".
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
