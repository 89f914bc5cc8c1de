# %% [markdown]
# # 08 · CutMix, pixel by pixel
#
# Cut a window out of one image, paste it into another, and share the label by the pixels: build it, prove it, use it.
#
# You will be able to
# - turn a share into a box, and clip it at the edge of the image,
# - give the label exactly the weight of the pixels that were pasted,
# - mix a whole batch at once, each image with its own box and partner,
# - tell a right implementation from a wrong one by counting,
# - say whether it helped, from several seeds.
#
# **Needs** notebook 02 (`fit`, datasets, one-hot labels). **Time** 45 minutes to read, 40 for the exercises; under
# 60 seconds to run on two CPU cores.

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

from helpers import cutmix, data, models, plots, training, widgets
from helpers.exercises import ex08_cutmix as exercises

flowers = data.flowers(image_size=96)
names = flowers.class_names
num_classes = len(names)
images, labels = next(iter(flowers.batches("train", 32, one_hot=True, seed=3)))

# %% [markdown]
# ## 1 · See it
#
# Two flowers. Suppose we cut a window out of B and paste it over A, at the same place. What should the label of the
# result be, if the network learns from labels that are shares?

# %%
first = 0
second = next(i for i in range(32) if not np.array_equal(labels[i], labels[first]))


def name_of(row):
    """Say a label in words, both classes and both weights: '0.70 roses + 0.30 tulips'."""
    order = np.argsort(row)[::-1]
    return " + ".join(f"{row[k]:.2f} {names[k]}" for k in order if row[k] > 0)


# %%
# Top, left, bottom, right; the second box is empty.
box = tf.constant([[20, 30, 76, 80], [0, 0, 0, 0]])
pair = tf.gather(images, [first, second])
pasted = cutmix.paste(pair, box, partner=[1, 0])
share = cutmix.pasted_share(box, 96, 96)
mixed_labels = cutmix.mix_labels(tf.gather(labels, [first, second]), share, partner=[1, 0])
figure = plots.image_grid(
    [pair[0], pair[1], pasted[0]],
    [
        f"A: {name_of(labels[first].numpy())}",
        f"B: {name_of(labels[second].numpy())}",
        name_of(mixed_labels[0].numpy()),
    ],
    size=2.6,
    title="A window of B, pasted into A",
)
for ax in figure.axes[1:]:
    plots.outline(ax, box[0])
figure

# %% [markdown]
# The window covers 56 x 50 of 96 x 96 pixels, so the label is that share of B and the rest of A. **CutMix** is no
# more than this, done at random: the network can no longer win by one telling petal, because the petal may be gone.
#
# ## 2 · From a share to a box
#
# The recipe of the paper (Yun et al., 2019) draws a number $\lambda$ between 0 and 1: the share of A that should
# stay. The box must then cover $1 - \lambda$ of the image. If it is to have the image's own proportions, its sides
# are $\sqrt{1 - \lambda}$ of the image's sides. The notes this course grew from worked one case through, at 800 x
# 800:

# %%
lam = 0.3117929697036743
ratio = np.sqrt(1 - lam)
cut = int(800 * ratio)
print(f"ratio {ratio:.5f}, box {cut} x {cut}")

# %% [markdown]
# Put its centre at column 554, row 131. Does a box of 663 fit around it?

# %%
x1, x2 = 554 - cut // 2, 554 + cut // 2
y1, y2 = 131 - cut // 2, 131 + cut // 2
print(f"columns {x1} to {x2}, rows {y1} to {y2}")
clipped = [int(np.clip(edge, 0, 800)) for edge in (x1, x2, y1, y2)]
print("clipped to the image: columns {} to {}, rows {} to {}".format(*clipped))
assert clipped == [223, 800, 0, 462]

# %% [markdown]
# It does not fit, and it rarely does. So the part outside is cut off, and now the question that half of the published
# code gets wrong: **what is the label's weight?** The 0.688 we asked for, or the pixels we got?

# %%
asked = 1 - lam
got = (clipped[1] - clipped[0]) * (clipped[3] - clipped[2]) / 800**2
print(f"asked for {asked:.3f}, pasted {got:.3f}")
assert asked - got > 0.2
# The helper's box keeps the odd pixel, and ends one row lower.
assert np.array_equal(cutmix.boxes_at([lam], [131], [554], 800, 800)[0], [0, 223, 463, 800])

# %% [markdown]
# The label must tell what the picture shows. Had we kept 0.688, the network would be scolded for seeing what is
# there.
#
# ### Exercise 1 · The box
#
# Write `box_at(lam, row, column, height, width)`: return `(top, left, bottom, right)` of a box with sides
# `int(sqrt(1 - lam) * side)`, starting half its size (`// 2`) above and left of the centre, and clipped to the image.
# Mind that 663 // 2 twice is only 662: end where the *start* plus the whole size is.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.box.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.box.solution()` shows a right answer.


# %%
def box_at(lam, row, column, height, width):
    # your code
    ...


# %%
exercises.box.check(box_at)

# %% [markdown]
# ## 3 · Paste, and share the label
#
# Pasting needs no loop over pixels. Compare every row number with top and bottom, every column number with left and
# right: where both say yes, take B.

# %%
top, left, bottom, right = box[0].numpy()
rows = (np.arange(96) >= top) & (np.arange(96) < bottom)
columns = (np.arange(96) >= left) & (np.arange(96) < right)
inside = rows[:, None] & columns[None, :]
by_hand = np.where(inside[:, :, None], pair[1], pair[0])
assert np.array_equal(by_hand, pasted[0])
print(
    "pixels of B:",
    inside.sum(),
    "of",
    inside.size,
    f"= {inside.mean():.4f}, label weight {share[0]:.4f}",
)
assert inside.mean() == share[0].numpy()

# %% [markdown]
# The notes' example, in six classes: class 0 with a window of class 4 over 0.3 of it. (Their second line had five
# numbers where six belong.)

# %%
worked = cutmix.mix_labels(tf.one_hot([0, 4], 6), share=[0.3, 0.0], partner=[1, 0])
print([round(float(share), 2) for share in worked[0]])
assert np.allclose(worked[0], [0.7, 0, 0, 0, 0.3, 0])
assert np.isclose(np.sum(worked[0]), 1), "the shares of a label still add up to one"

# %% [markdown]
# ### Exercise 2 · The label
#
# Write `mix(label_a, label_b, box, height, width)` for one pair: `box` is `(top, left, bottom, right)` as above.
# Return the mixed label, and leave the two you were given as they are.


# %%
def mix(label_a, label_b, box, height, width):
    # your code
    ...


# %%
exercises.label.check(mix)

# %% [markdown]
# ## 4 · Play
#
# Move the sliders. When does the label say something else than lambda asked for? Can you make the box vanish?

# %%
widgets.CutMixExplorer(images, labels.numpy().argmax(axis=1), names)

# %% [markdown]
# ## 5 · How much? Beta(alpha, alpha)
#
# The paper draws lambda from a **Beta distribution**, Beta($\alpha, \alpha$), symmetric around one half. With $\alpha
# = 1$ every share is equally likely: it *is* the uniform distribution. Small alphas give nearly pure images, large
# ones nearly even mixes.

# %%
edges = np.linspace(0, 1, 41)
middles = (edges[1:] + edges[:-1]) / 2
numbers = cutmix.random_numbers(200_000, seed=(1, 2))
drawn = {
    f"alpha = {alpha}": np.histogram(
        cutmix.sample_lambda(numbers, alpha=alpha), edges, density=True
    )[0]
    for alpha in (0.3, 1.0, 3.0)
}
plots.lines(
    middles, drawn, "lambda, the share of A that stays", "density", "200,000 draws each"
)

# %% [markdown]
# ### The notes said: "lambda comes from a Beta distribution"
#
# Their text says so; their code called `tf.random.uniform`. Both are true, by luck: Beta(1, 1) is uniform.

# %%
lams = np.sort(cutmix.sample_lambda(numbers, alpha=1.0))
furthest = np.abs(
    lams - np.linspace(0, 1, 200_000)
).max()  # the Kolmogorov-Smirnov distance to the uniform distribution
print("distance to uniform below 0.005:", furthest < 0.005)
assert furthest < 0.005

# %% [markdown]
# ## 6 · A batch at a time
#
# One function call mixes a batch, every image with a box and a partner of its own. The **seed** is a pair of
# integers: the same pair gives the same mix.

# %%
mixed, mixed_labels = cutmix.cutmix(images, labels, seed=(1, 7))
again, _ = cutmix.cutmix(images, labels, seed=(1, 7))
other, _ = cutmix.cutmix(images, labels, seed=(1, 8))
assert np.array_equal(mixed, again)
assert not np.array_equal(mixed, other)
plots.image_grid(
    mixed[:10],
    [name_of(row).replace(" + ", "\n") for row in mixed_labels.numpy()[:10]],
    title="Mixed, and labelled so",
)

# %% [markdown]
# An image can be its own partner, and then nothing seems to happen: in a permutation, that is true of one image on
# average, however large the batch. The notes drew each partner freely, with the same effect. To forbid it, stand the
# images in one ring, in random order, and let each take the next: a **derangement**.

# %%
alone, never = [], []
for s in range(200):
    order = cutmix.partners(cutmix.random_numbers(32, seed=(0, s))).numpy()
    ring = np.empty_like(order)
    ring[order] = np.roll(order, -1)
    alone.append(np.sum(order == np.arange(32)))
    never.append(np.sum(ring == np.arange(32)))
print(
    f"own partner, images per batch: {np.mean(alone):.1f} in a permutation, "
    f"{np.mean(never):.1f} in a derangement"
)
assert 0.8 < np.mean(alone) < 1.2
assert max(never) == 0

# %% [markdown]
# ### Exercise 3 · A whole batch
#
# Write `mix_batch(images, labels, boxes, partner)` for NumPy arrays: `images` (N, H, W, C), `labels` (N, K), `boxes`
# (N, 4) with a row `top, left, bottom, right` for each image, `partner` (N,) with the number of the image it takes its
# window from. Return the mixed images and labels. A loop over the images is fine; without one you need masks of shape
# (N, H, W).


# %%
def mix_batch(images, labels, boxes, partner):
    # your code
    ...


# %%
exercises.batch.check(mix_batch)

# %% [markdown]
# ## 7 · Right or wrong? Count
#
# Here is a test that any implementation can take. Let image *i* be filled with the number *i*. After mixing, every
# pixel says where it came from, so the true share can be counted and compared with the label.


# %%
def worst_label_error(mix_batch, size=65, batch=32):
    """Return the largest |label weight - counted share| for images that hold their number."""
    filled = tf.cast(
        tf.broadcast_to(tf.range(batch)[:, None, None, None], (batch, size, size, 3)),
        tf.float32,
    )
    out, out_labels = mix_batch(filled, tf.one_hot(tf.range(batch), batch))
    out = np.asarray(out)[..., 0].astype(int)
    counted = np.stack([(out == i).mean(axis=(1, 2)) for i in range(batch)], axis=1)
    return float(np.abs(counted - np.asarray(out_labels)).max())


ours = worst_label_error(lambda x, y: cutmix.cutmix(x, y, seed=(3, 4)))
layer = keras.layers.CutMix(factor=1.0, seed=0)
theirs = worst_label_error(
    lambda x, y: layer({"images": x, "labels": y}, training=True).values()
)
print(
    "ours within 1e-6:",
    ours < 1e-6,
    "| Keras' layer off by more than half a pixel:",
    theirs > 0.5 / 65**2,
)
assert ours < 1e-6

# %% [markdown]
# ### Exercise 4 · Find the fault
#
# `suspect` below is written in the style of the notes. It runs, the pictures look fine, and its labels are wrong. Say
# why: set `fault` to `"A"`, `"B"` or `"C"`.
#
# - **A** it pastes the window from the wrong image
# - **B** the label's weight is the box that was asked for, not the one that was pasted
# - **C** the two weights do not add up to one


# %%
def suspect(x, y, lam=0.4, row=5, column=60):
    partner = tf.roll(tf.range(len(x)), 1, axis=0)
    box = cutmix.boxes_at(
        [lam] * len(x), [row] * len(x), [column] * len(x), x.shape[1], x.shape[2]
    )
    return cutmix.paste(x, box, partner), lam * y + (1 - lam) * tf.gather(y, partner)


print(f"the suspect's labels are off by up to {worst_label_error(suspect):.2f}")

# %%
fault = ...  # "A", "B" or "C"

# %%
exercises.fault.check(fault)

# %% [markdown]
# ## 8 · A loop, or all at once?
#
# The notes mixed a batch with a Python loop over its images. Inside `tf.function` or `Dataset.map`, such a loop is
# **unrolled**: 32 images become 32 copies of the same operations in the graph, and TensorFlow has to read them all
# before it can start. We count the operations, then take the time.


# %%
def loop_cutmix(x, y):
    """The notes' way, with their mistakes in spelling mended.

    One image after the other, slices glued together.
    """
    height, width, mixed, shared = x.shape[1], x.shape[2], [], []
    for i in range(x.shape[0]):
        j = tf.random.uniform((), 0, x.shape[0], tf.int32)
        cut = (
            tf.cast(
                tf.sqrt(1 - tf.random.uniform(())) * [float(height), float(width)], tf.int32
            )
            // 2
        )
        centre = tf.cast(
            tf.random.uniform((2,), 1 / 8, 7 / 8) * [float(height), float(width)], tf.int32
        )
        t, s = tf.unstack(tf.maximum(centre - cut, 0))
        b, e = tf.unstack(tf.minimum(centre + cut, [height, width]))
        middle = tf.concat([x[i, t:b, :s], x[j, t:b, s:e], x[i, t:b, e:]], axis=1)
        mixed.append(tf.concat([x[i, :t], middle, x[i, b:]], axis=0))
        weight = tf.cast((b - t) * (e - s), tf.float32) / (height * width)
        shared.append((1 - weight) * y[i] + weight * y[j])
    return tf.reshape(tf.stack(mixed), x.shape), tf.stack(shared)


# %%
import time

floats = tf.cast(images, tf.float32)
ways = {
    "loop": tf.function(loop_cutmix),
    "all at once": tf.function(lambda x, y: cutmix.cutmix(x, y, seed=(1, 2))),
    "Keras' layer": tf.function(lambda x, y: layer({"images": x, "labels": y}, training=True)),
}
traced, seconds, operations = {}, {name: [] for name in ways}, {}
for name, way in ways.items():
    began = time.perf_counter()
    graph = way.get_concrete_function(floats, labels).graph
    way(floats, labels)
    traced[name], operations[name] = time.perf_counter() - began, len(graph.get_operations())
for _ in range(5):  # in turns, so that a busy moment hits all three
    for name, way in ways.items():
        began = time.perf_counter()
        way(floats, labels)
        seconds[name].append(time.perf_counter() - began)
once = {name: np.median(times) for name, times in seconds.items()}

# %%
fastest = once["all at once"]
for name in ways:
    print(
        f"{name}: first call {traced[name]:.2f} s, then {once[name] / fastest:.1f}x the time "
        "of all at once"
    )
assert operations["loop"] > 10 * operations["all at once"], (
    "unrolled: its graph grows with the batch"
)
assert once["loop"] > once["all at once"]

# %% [markdown]
# "Vectorised" is not a spell, though: a mask of the shape of the batch, broadcast over the channels, is slower on a
# CPU than the loop. `helpers.cutmix` keeps its masks one-dimensional, and lets XLA melt comparing and picking into
# one pass.
#
# ## 9 · Label smoothing, while we are at it
#
# CutMix makes labels soft; **label smoothing** does so for every image. With strength $\varepsilon$ and $K$ classes,
# a label $y$ becomes $y(1 - \varepsilon) + \varepsilon / K$. The notes' example said that 0.1 turns [1, 0, 0] into
# [0.9, 0.05, 0.05]. Predict the right answer before you run.

# %%
smooth = np.array([1.0, 0, 0]) * (1 - 0.1) + 0.1 / 3
print(np.round(smooth, 4).tolist())
sure = tf.constant([[2.0, 0.5, -1.0]])
hard = tf.constant([[1.0, 0, 0]])
keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(
    hard, sure
)
own_loss = keras.losses.CategoricalCrossentropy(from_logits=True)(smooth[None], sure)
assert np.isclose(keras_loss, own_loss)
assert np.allclose(smooth, [0.9333, 0.0333, 0.0333], atol=1e-4)

# %% [markdown]
# The true class keeps a part of what is spread over all classes. A mixed label is smoothed by the same formula.

# %%
mixed_label = np.array([0.7, 0, 0.3, 0])
print(np.round(mixed_label * (1 - 0.2) + 0.2 / 4, 4).tolist())
assert np.allclose(mixed_label * (1 - 0.2) + 0.2 / 4, [0.61, 0.05, 0.29, 0.05])

# %% [markdown]
# ## 10 · Does it help here?
#
# CutMix was made for large networks and long training. Ours is small and our patience short. One change, three seeds,
# the network of notebook 06.

# %%
PIXELS = course.pick(quick=48, full=64)
EPOCHS = course.pick(quick=4, full=30)
SEEDS = [1, 2, 3]
small = data.flowers(image_size=PIXELS, verbose=False)
val = small.batches("val", 64, one_hot=True, cache=True)


def run(seed, mixing):
    """Train the small CNN, with or without CutMix.

    Return its macro F1 on the validation images.
    """
    steps = [cutmix.CutMix(alpha=1.0, probability=0.5, seed=seed)] if mixing else []
    train = small.batches("train", 32, one_hot=True, augment=steps, cache=True, seed=seed)
    network = models.small_cnn(num_classes, PIXELS)
    network.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    network.fit(train, epochs=EPOCHS, verbose=0, shuffle=False)
    return training.evaluate(network, val).macro_f1


comparison = training.ablation(
    run, base={"mixing": False}, changes={"CutMix": {"mixing": True}}, seeds=SEEDS
)
print(comparison)

# %% [markdown]
# ### Exercise 5 · Read the table
#
# Write `verdict(changes)`. `changes` is an array, one change for each seed. Return `"helps"`, `"hurts"` or `"cannot
# tell"`: a change counts if its mean is further from 0 than twice its spread (`np.std` with `ddof=1`) divided by the
# square root of the number of seeds. Then ask it about the table above: `verdict(comparison.differences[1])`.


# %%
def verdict(changes):
    # your code
    ...


# %%
exercises.table.check(verdict)

# %% [markdown]
# Whatever it says here, it says of a small network, a short run, and this data. That is what a measurement is.
#
# ## Summary
#
# - A share gives a box with sides $\sqrt{1 - \lambda}$; the edge of the image clips it.
# - The label's weight is the share of *pasted pixels*. Count them.
# - Beta(1, 1) is the uniform distribution; alpha says how pure the mixes are.
# - Loops unroll in a graph; masks of rows and columns do the whole batch in one pass.
# - Several seeds, one change: then say "helps", or say nothing.
#
# **Next** notebook 09: a learning rate that knows when to slow down.
#
# ## References
#
# - Yun et al. (2019), *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features*
#   [arXiv:1905.04899](https://arxiv.org/abs/1905.04899)
# - Zhang et al. (2018), *mixup: Beyond Empirical Risk Minimization*
#   [arXiv:1710.09412](https://arxiv.org/abs/1710.09412)
# - Szegedy et al. (2016), *Rethinking the Inception Architecture*, section 7: label smoothing
#   [arXiv:1512.00567](https://arxiv.org/abs/1512.00567)
# - Keras: [CutMix layer](https://keras.io/api/layers/preprocessing_layers/image_augmentation/cut_mix/)
