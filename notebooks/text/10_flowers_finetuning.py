# %% [markdown]
# # 10 · Fine-tuning on flowers
#
# From a folder of sharded TFRecords to a fine-tuned classifier, a score you can trust, and a submission file.
#
# You will be able to
# - read TFRecords and prove that nothing is missing,
# - give each pretrained backbone the pixels it was trained on,
# - train a head, then fine-tune without destroying what the backbone knows,
# - judge a classifier by macro F1, by its confusions and by its worst mistakes,
# - change one thing at a time, over several seeds, and say what you may conclude.
#
# **Needs** notebooks 08 (CutMix) and 09 (schedules), or the same knowledge.
# **Time** 60 minutes to read, 40 for the exercises; about a minute to run on two CPU cores.
#
# Run it as it is and it uses the drawn flowers that come with the course. To run the same file on photographs, set
# the environment before you start Jupyter: `COURSE_PROFILE=full`, and `COURSE_DATA` to a folder with one folder per
# class or to a tree of the competition's TFRecords. On Kaggle, attach the competition *Petals to the Metal* and it
# finds it.

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
import csv
import time

import keras
import numpy as np
import tensorflow as tf

from helpers import data, models, plots, runtime, schedules, training
from helpers.augment import RandomAffine, RandomCrop
from helpers.cutmix import CutMix
from helpers.exercises import ex10_flowers_finetuning as exercises

began = time.perf_counter()
SIZE = course.pick(quick=96, full=288)  # pixels, height and width, when the network is judged
CROP = course.pick(quick=80, full=224)  # of the windows that it trains on
flowers = data.flowers(image_size=SIZE)
num_classes = len(flowers.class_names)

# %% [markdown]
# ## 1 · Look at the data first
#
# What do you expect to be hard here? Look before you read on.

# %%
samples = list(flowers.train.take(10))
plots.image_grid(
    [image for image, _ in samples],
    [flowers.class_names[label] for _, label in samples],
    title=f"Ten training images ({flowers.source})",
)

# %% [markdown]
# The competition's files are **TFRecords**: long files that hold one serialized example after another, so that a disk
# or a network reads them in one go. A **shard** is one such file. Its name ends with the number of examples inside:
# `00-192x192-150.tfrec` promises 150.
#
# Here is all it takes to read one by hand.

# %%
# Photographs in folders have no shards.
records = flowers.source in (
    "kaggle",
    "tfrecords",
    "bundled",
)
folder = flowers.location if records else data.bundled_folder("flowers")
shards = sorted(min(folder.glob("tfrecords-jpeg-*"), default=folder).glob("train/*.tfrec"))
FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),  # the bytes of a JPEG file
    "class": tf.io.FixedLenFeature([], tf.int64),  # absent in the test files
    "id": tf.io.FixedLenFeature([], tf.string),
}
serialized = next(iter(tf.data.TFRecordDataset(shards[0])))
example = tf.io.parse_single_example(serialized, FEATURES)
image = tf.io.decode_jpeg(example["image"], channels=3)
print(
    shards[0].name,
    "|",
    example["id"].numpy(),
    "| class",
    example["class"].numpy(),
    "| image",
    image.shape,
)

# %% [markdown]
# A name is a promise, not a proof. A download that broke off leaves a shorter file under the same name, and a
# training run on it looks perfectly healthy. So count.

# %%
promised = sum(int(shard.stem.split("-")[-1]) for shard in shards)
inside = sum(1 for _ in tf.data.TFRecordDataset(shards))
print(f"{len(shards)} shards promise {promised} images and hold {inside}")
assert promised == inside

# %% [markdown]
# `data.flowers` did the same for every file it opened, and decoded each image once, before it gave you anything. Had
# a shard been cut short or an image been broken, it would have named the file and stopped.

# %%
print(f"{flowers.source}: {flowers.counts}, {num_classes} classes")
print(flowers.advice or "This is the best source there is.")
for split in ("train", "val"):
    assert len(flowers.labels(split)) == flowers.counts[split]

# %% [markdown]
# ### Exercise 1 · What is missing?
#
# Write `missing(paths)` for a list of paths to TFRecord files. Return a dictionary: for each file that does not hold
# what its name promises, its `path.name` and how many examples are missing (-1 if there is one too many). A name that
# promises nothing, such as `classes.json`, must raise `ValueError`.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.shard.hint()` gives a hint, and a plainer
# one each time you ask. `exercises.shard.solution()` shows a right answer.


# %%
def missing(paths):
    # your code
    ...


# %%
exercises.shard.check(missing)

# %% [markdown]
# ## 2 · The bar to beat: a network that starts from nothing
#
# Three blocks of convolution and pooling, then two dense layers: the CNN that most courses start with, trained from
# random weights. It gets the images small, so that you need not wait. How far will it come? Write down two guesses,
# for the images it trains on and for those it has never seen.

# %%
CNN_SIZE = course.pick(quick=64, full=128)
small = data.flowers(image_size=CNN_SIZE, verbose=False)

keras.utils.set_random_seed(0)
cnn = models.small_cnn(num_classes, CNN_SIZE)
cnn.compile(
    "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
cnn_run = cnn.fit(
    small.batches("train", cache=True, seed=0),
    validation_data=small.batches("val", cache=True),
    epochs=8,
    verbose=0,
    shuffle=False,  # the pipeline shuffles
)
cnn_score = training.evaluate(cnn, small.batches("val"))
print("from scratch:", cnn_score)

# %%
plots.learning_curves({"from scratch": cnn_run.history}, title="It learns its images by heart")

# %% [markdown]
# The dashed curve is what it knows of the images it has seen, the solid one what it can do with new ones. The gap
# between them is **overfitting**, and more epochs only widen it. A few hundred images per class are too few to learn
# edges, textures, petals *and* species. So let somebody else teach the edges.

# %%
gap = cnn_run.history["accuracy"][-1] - cnn_run.history["val_accuracy"][-1]
print("overfits:", gap > 0.1)
assert cnn_score.macro_f1 > 2 / num_classes, "it should beat guessing by far"
assert gap > 0.1, "a visible gap between training and validation"

# %% [markdown]
# ## 3 · A backbone sees what it was trained to see
#
# A **backbone** is a network trained on another, larger task, without its last layer. What it wants to be fed is part
# of it. Here is the same red, green and blue pixel, as each of five published networks wants it.

# %%
pixel = np.array([[[[200.0, 100.0, 50.0]]]], "float32")
wanted = {
    "MobileNetV2": keras.applications.mobilenet_v2.preprocess_input,
    "MobileNetV3Small": keras.applications.mobilenet_v3.preprocess_input,
    "DenseNet121": keras.applications.densenet.preprocess_input,
    "ResNet50": keras.applications.resnet.preprocess_input,
    "VGG16": keras.applications.vgg16.preprocess_input,
}
for name, preprocess in wanted.items():
    print(f"{name:18}", [round(float(value), 2) for value in preprocess(pixel.copy()).ravel()])

# %% [markdown]
# Three scales, and two networks that want blue first. MobileNetV3's function does nothing at all: its rescaling is a
# layer inside the network. Nothing warns you when you pick the wrong one. The shapes fit, the loss goes down, and the
# score is poor.
#
# So in this course every model takes pixels in 0..255, and does what its backbone wants inside.

# %%
same = wanted["MobileNetV3Small"](pixel.copy())
blue_first = wanted["ResNet50"](pixel.copy()).ravel()
assert np.array_equal(same, pixel)
assert np.allclose(blue_first, [50 - 103.939, 100 - 116.779, 200 - 123.68])

# %%
BACKBONE = course.pick(quick="bundled", full="MobileNetV2")
WIDTH = course.pick(quick=1.0, full=0.35)

with (
    runtime.strategy().scope()
):  # one replica of the weights on every GPU, if there are several
    # Images of any size.
    model = models.transfer_classifier(BACKBONE, num_classes, None, alpha=WIDTH)
to_train = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
print(f"{BACKBONE}: {model.count_params():,} parameters, {to_train:,} to train")

# %% [markdown]
# ### The notes said: divide by 255 first
#
# The notes that this course grew from divided every image by 255, then handed it to whichever network was being
# tried. One change of network later the score fell to a macro F1 of 0.12, and the network took the blame. Let us do
# it again: the same backbone, the same head, the same images, once as they are and once divided by 255.

# %%
features = keras.Model(model.input, model.get_layer("pool").output)  # the model up to its head
y_train, y_val = (
    keras.utils.to_categorical(flowers.labels(part), num_classes) for part in ("train", "val")
)


def extract(scale):
    """Return the frozen backbone's features of all training and validation images."""
    parts = (flowers.batches(part, 64, training=False) for part in ("train", "val"))
    return [
        features.predict(part.map(lambda x, y: tf.cast(x, tf.float32) * scale), verbose=0)
        for part in parts
    ]


right, divided = extract(1.0), extract(1 / 255)
print("one image is", right[0].shape[1], "numbers now, instead of", SIZE * SIZE * 3)


# %%
def train_head(seed, inputs, hidden=0, dropout=0.2, smoothing=0.0, rate=5e-3, epochs=15):
    """Train a head on features (train, val) and return its macro F1 on the validation part."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(hidden, "relu")] if hidden else []
    head = keras.Sequential(
        [*layers, keras.layers.Dropout(dropout), keras.layers.Dense(num_classes)]
    )
    head.compile(
        keras.optimizers.Adam(rate),
        keras.losses.CategoricalCrossentropy(True, label_smoothing=smoothing),
    )
    head.fit(inputs[0], y_train, batch_size=128, epochs=epochs, verbose=0)
    guesses = np.argmax(head(inputs[1], training=False), axis=1)
    return training.macro_f1(flowers.labels("val"), guesses)


with_right, with_divided = train_head(0, right), train_head(0, divided)
print(
    f"pixels in 0..255: macro F1 {with_right:.3f} | divided by 255 first: macro F1 "
    f"{with_divided:.3f}"
)
assert with_divided < with_right - 0.1, "the wrong scale costs more than any architecture"

# %% [markdown]
# To a backbone that expects the whole range, an image divided by 255 is a nearly uniform grey. It was not the
# architecture.
#
# ### Exercise 2 · Prepare pixels for VGG16
#
# Without `keras.applications`, write `for_vgg16(images)`: float images (N, H, W, 3), red first, values in 0..255,
# become what VGG16 was trained on. It takes blue first, and ImageNet's mean subtracted: 103.939 from blue, 116.779
# from green, 123.68 from red. Leave the images you were given as they are.


# %%
def for_vgg16(images):
    # your code
    ...


# %%
exercises.pixels.check(for_vgg16)

# %% [markdown]
# ## 4 · First the head
#
# The new head starts with random weights. If the backbone could move now, the head's first large and senseless
# gradients would tear it apart. So the backbone is **frozen**, and because it is, its features never change: we have
# computed them once, above, and train the head on them. These are the model's own layers, so the model learns.

# %%
head_input = keras.Input(features.output.shape[1:])
head = keras.Model(
    head_input, model.get_layer("logits")(model.get_layer("dropout")(head_input))
)
head.compile(
    keras.optimizers.Adam(3e-3),
    keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
)
head.fit(right[0], y_train, batch_size=64, epochs=20, verbose=0)

val = flowers.batches("val", 64)
head_score = training.evaluate(model, val)
print("head only:", head_score)
assert head_score.macro_f1 > cnn_score.macro_f1, (
    "features somebody else learned beat our own from scratch"
)

# %% [markdown]
# ## 5 · Then fine-tune
#
# Now the head's gradients mean something, and the backbone's last layers may follow them, slowly. Everything the last
# notebooks taught comes together:
#
# - random crops, flips, zooms, small rotations and other light (07), then **CutMix** with the exact share of the
#   pasted pixels (08),
# - **label smoothing**, so that no class is ever worth all the confidence,
# - warm-up, then a cosine that ends where training ends (09),
# - **batch normalisation stays in inference**: its moving mean and variance were measured on the backbone's own
#   million images, and our few hundred are no better judge.
#
# The crops do a second service. A convolution does not ask how large its image is, so the network can train on windows
# and be judged on whole images. A petal is as many pixels wide in both, and a window has only 60 to 70 % of the pixels
# to work through. Touvron and colleagues (2019) call it *fixing the train-test resolution discrepancy*.

# %%
EPOCHS = course.pick(quick=5, full=14)
BATCH = 32
steps = -(-flowers.counts["train"] // BATCH)  # rounded up: the last batch may be smaller
schedule = schedules.WarmupCosine(
    max_lr=1e-3, warmup_steps=steps, decay_steps=(EPOCHS - 1) * steps
)
print(
    f"{EPOCHS} epochs of {steps} steps; warm-up {schedule.warmup_steps}, then cosine "
    f"{schedule.decay_steps}"
)
assert schedule.warmup_steps + schedule.decay_steps == EPOCHS * steps, (
    "the schedule ends with the training"
)

# %%
crop = RandomCrop(CROP, CROP, seed=3)
# Shares of a turn and of the image.
affine = RandomAffine(rotation=0.05, zoom=0.2, shift=0.1, seed=1)
# One image in ten: more of it wants a longer run.
cutmix = CutMix(alpha=1.0, probability=0.1, seed=2)
light = keras.layers.RandomBrightness(0.2, seed=4), keras.layers.RandomContrast(0.2, seed=5)


def relight(images, labels):
    for layer in light:
        images = layer(images, training=True)
    return images, labels


# %%
train = flowers.batches(
    "train", BATCH, one_hot=True, augment=[crop, affine, relight, cutmix], cache=True, seed=0
)
images, labels = next(iter(train))
first = np.argsort(np.max(labels, axis=1))[:10]  # mixed labels before pure ones


def named(row):
    best = np.argsort(row)[::-1][:2]
    return "\n".join(f"{row[k]:.2f} {flowers.class_names[k]}" for k in best if row[k] > 0)


titles = [named(labels[i].numpy()) for i in first]
plots.image_grid(
    tf.gather(images, first), titles, title="What the network trains on, mixed images first"
)

# %%
learns = models.unfreeze(model, last=course.pick(quick=0.5, full=0.65))
moving = {w.path: w.numpy() for w in model.weights if "moving" in w.path}

model.compile(
    keras.optimizers.Adam(schedule),
    keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    metrics=["accuracy"],
)
rate = schedules.RecordLearningRate()
val_one_hot = flowers.batches("val", 64, one_hot=True, cache=True)
run = model.fit(
    train,
    validation_data=val_one_hot,
    epochs=EPOCHS,
    callbacks=[rate],
    verbose=0,
    shuffle=False,
)
# A flower in a mirror is the same flower: look twice, average.
score = training.evaluate(model, val, mirror=True)
print("fine-tuned:", score)

# %%
assert all(np.array_equal(w.numpy(), moving[w.path]) for w in model.weights if w.path in moving)
assert score.macro_f1 > cnn_score.macro_f1 + 0.1
print("batch normalisation kept its", len(moving), "moving means and variances")
plots.learning_curves(
    {"from scratch": cnn_run.history, "fine-tuned": run.history}, title="A head start"
)

# %% [markdown]
# Look at the dashed curve of the fine-tuned run: it may lie *below* the solid one. It is measured on images with
# pieces of other flowers pasted in, which are harder than any the network meets in the exam.
#
# And this is the rate the optimizer really used, one point for each step.

# %%
plots.lines(
    range(len(rate.rates)),
    {"used": rate.rates},
    "step",
    "learning rate",
    "Warm-up, then cosine to zero",
)

# %%
assert len(rate.rates) == EPOCHS * steps
assert np.allclose(rate.rates, schedules.sample(schedule, range(EPOCHS * steps)))

# %% [markdown]
# ### Exercise 3 · The layers that must not move
#
# `models.unfreeze` left batch normalisation alone. Do it yourself: write `thaw(backbone, last)` so that exactly the
# last `last` layers of `backbone` (none for 0) can learn, except those of type `keras.layers.BatchNormalization`, and
# all others cannot. Before the call the backbone may be frozen as a whole, as ours was, or free.


# %%
def thaw(backbone, last):
    # your code
    ...


# %%
exercises.frozen.check(thaw)

# %% [markdown]
# ### The notes said: all of it trainable, rate 0.01
#
# Their last model let the whole backbone move from the first step, with a rate of 0.01 and with batch normalisation
# in training mode. Here is that recipe on the bundled backbone. What do you expect after one epoch?

# %%
keras.utils.set_random_seed(0)
moved = models.small_backbone(
    (CNN_SIZE, CNN_SIZE, 3), weights=runtime.course_path("data", "backbone.weights.h5")
)
hasty = keras.Sequential(
    [moved, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(num_classes)]
)
hasty.compile(
    keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
hasty.fit(small.batches("train", seed=0), verbose=0, shuffle=False)
hasty_score = training.evaluate(hasty, small.batches("val", 64))
print("all at once:", hasty_score)
assert hasty_score.macro_f1 < score.macro_f1

# %% [markdown]
# The rate was named after what it was not: their "ramp-up" went from 0.1 *down* to 0.05. And the last one they tried
# ramped up for 30 epochs in a run of 30: it never came to the decay it was written for. Both are visible at once if
# you draw the object that the optimizer gets, and invisible if you type the numbers a second time for the plot.

# %%
per_epoch = range(30)
tried = {
    "ramp-up from 0.1 to 0.05": schedules.RampSustainDecay(0.1, 0.05, 0.001, 3, 0, 0.8),
    "30 epochs of ramp-up": schedules.RampSustainDecay(0.001, 0.01, 0.0001, 30, 0, 0.8),
}
drawn = {name: schedules.sample(one, per_epoch) for name, one in tried.items()}
assert drawn["ramp-up from 0.1 to 0.05"].argmax() == 0, (
    "the highest rate hits the random head first"
)
assert drawn["30 epochs of ramp-up"].argmax() == 29, "the rate never falls"
plots.lines(
    per_epoch,
    drawn,
    "epoch",
    "learning rate",
    "Two schedules that do not do what their names say",
)

# %% [markdown]
# ## 6 · Judge it
#
# Accuracy counts images, so a frequent class can hide a rare one. **Macro F1** counts classes. For each class, F1
# joins two questions: of the images called *tulips*, how many are (precision)? Of the tulips, how many were found
# (recall)? Macro F1 is the plain mean over the classes.

# %%
matrix = score.confusion
plots.confusion_matrix(matrix, flowers.class_names)

# %%
found, called, there = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
for name, f1, recall in zip(
    flowers.class_names, score.per_class_f1, found / np.maximum(there, 1)
):
    if num_classes <= 10:
        print(f"{name:12} F1 {f1:.3f}, recall {recall:.3f}")

# %% [markdown]
# ### Exercise 4 · Macro F1 from the matrix
#
# Write `macro_f1(matrix)`: rows are true classes, columns predictions. A class's F1 is twice what it found, divided
# by the images called so plus the images that are so. A class with neither does not count.


# %%
def macro_f1(matrix):
    # your code
    ...


# %%
exercises.f1.check(macro_f1)

# %% [markdown]
# A number says how often. Only the images say why. These are the mistakes it was most sure of.

# %%
worst = score.worst_mistakes[:10]
wrong = {
    place: image for place, (image, _) in enumerate(flowers.val) if place in set(worst.tolist())
}


def verdict(place):
    guess, truth = score.predictions[place], score.labels[place]
    sure = score.probabilities[place, guess]
    return f"{flowers.class_names[truth]}\ncalled {flowers.class_names[guess]}, {sure:.0%}"


plots.image_grid(
    [wrong[p] for p in worst], [verdict(p) for p in worst], title="Its worst mistakes"
)

# %% [markdown]
# ## 7 · Change one thing at a time
#
# The notes changed the network, the rate, the dropout and the image size between two runs, ran each once, and drew
# conclusions. Would one of them have survived a second seed? We change one thing at a time, with the same seeds for
# all.

# %%
comparison = training.ablation(
    lambda seed, **settings: train_head(seed, right, **settings),
    base={"hidden": 0, "dropout": 0.2, "smoothing": 0.0},
    changes={"256 hidden units": {"hidden": 256}, "smoothing": {"smoothing": 0.1}},
    seeds=[1, 2, 3],
)
print(comparison)

# %% [markdown]
# *Change* is the mean difference to the base with the same seed, and the spread beside it says how far that
# difference wanders from seed to seed. A change that is smaller than its spread is a rumour.
#
# ### Exercise 5 · What may you conclude?
#
# Write `conclude(base, variant)` for two lists of scores, paired by seed. Return `"better"` or `"worse"` if the mean
# difference (variant minus base) is larger than twice its standard error, else `"cannot tell"`. The standard error of
# n differences is their standard deviation (divisor n - 1) divided by the square root of n.


# %%
def conclude(base, variant):
    # your code
    ...


# %%
exercises.conclusion.check(conclude)

# %% [markdown]
# ## 8 · Hand it in
#
# The competition wants one line for each test image: `id,label`. The test files have no classes; only the judge
# knows.

# %%
folder = runtime.output_folder()
probabilities, ids = training.predict(model, flowers.batches("test", 64), mirror=True)
with (folder / "submission.csv").open("w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["id", "label"])
    for name, label in zip(ids, probabilities.argmax(axis=1)):
        rows.writerow([name.decode(), label])

# %%
lines = (folder / "submission.csv").read_text(encoding="utf-8").splitlines()
print("submission.csv |", *lines[:3], "...")
assert lines[0] == "id,label"
assert len(lines) == 1 + flowers.counts["test"]
assert len(set(ids)) == len(ids), "the competition refuses a file that names an image twice"

# %%
results = training.write_results(
    folder / "results.json",
    score,
    flowers.class_names,
    data_source=flowers.source,
    backbone=BACKBONE,
    profile=course.profile,
    seconds=round(time.perf_counter() - began, 1),
    seed=course.seed,
    from_scratch_macro_f1=round(cnn_score.macro_f1, 4),
    head_only_macro_f1=round(head_score.macro_f1, 4),
)
print(results.read_text()[:60], "...")

# %% [markdown]
# ### One new photo
#
# A model is worth what it says about a picture from outside, after the notebook is closed. So save it, load it, and
# show it a photo. Put a path to one of your own here; as it stands, we save a test image as a JPEG and read it back.

# %%
model.save(folder / "flowers.keras")
loaded = keras.models.load_model(folder / "flowers.keras")
path = folder / "new_photo.jpg"
keras.utils.save_img(path, next(iter(flowers.test))[0], scale=False, quality=95)

photo = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIZE, SIZE)))
chances = keras.ops.convert_to_numpy(
    keras.ops.softmax(loaded.predict(photo[None], verbose=0)[0])
)
best = chances.argsort()[::-1][:3]
assert np.isclose(chances.sum(), 1, atol=1e-5)
plots.image_grid(
    photo[None], ["\n".join(f"{chances[k]:.0%} {flowers.class_names[k]}" for k in best)], size=3
)

# %% [markdown]
# The percentages are how sure the network *is*, not how often it is right when it says so: label smoothing keeps them
# modest. And it has no way to say *none of these*: show it a cat and it will name a flower.
#
# ## Summary
#
# - Count what you read: a shard's name is a promise.
# - A backbone's preprocessing belongs inside the model; the wrong one costs more than any architecture gains.
# - Head first, on a frozen backbone; then the last layers, slowly, with batch normalisation in inference.
# - Macro F1 counts classes; the confusion matrix and the worst mistakes say what to do next.
# - One change, several seeds, paired differences; what is smaller than its spread is not a finding.
#
# **Next** notebook 11 takes the same training to several devices and machines.
#
# ## References
#
# - Kornblith, Shlens, Le (2019), *Do Better ImageNet Models Transfer Better?*
#   [arXiv:1805.08974](https://arxiv.org/abs/1805.08974)
# - Sandler et al. (2018), *MobileNetV2* [arXiv:1801.04381](https://arxiv.org/abs/1801.04381)
# - Touvron, Vedaldi, Douze, Jégou (2019), *Fixing the Train-Test Resolution Discrepancy*
#   [arXiv:1906.06423](https://arxiv.org/abs/1906.06423)
# - Yun et al. (2019), *CutMix* [arXiv:1905.04899](https://arxiv.org/abs/1905.04899)
# - Müller, Kornblith, Hinton (2019), *When Does Label Smoothing Help?*
#   [arXiv:1906.02629](https://arxiv.org/abs/1906.02629)
# - Keras: [transfer learning](https://keras.io/guides/transfer_learning/),
#   [applications](https://keras.io/api/applications/),
#   [TFRecord](https://www.tensorflow.org/tutorials/load_data/tfrecord)
