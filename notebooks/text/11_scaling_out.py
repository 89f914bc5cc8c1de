# %% [markdown]
# # 11 · Scaling out
#
# One device, two, two machines: the same training, faster, and still the same training. And what it costs.
#
# You will be able to
# - train on several devices and get what one device gives,
# - deal out rows, seeds and files so that no two workers do the same work,
# - count what an all-reduce sends, and say when the network binds,
# - work out what a run will take and cost before it is started.
#
# **Needs** notebook 04 (the training loop), or the same knowledge; notebook 10 for what is launched at the end.
# **Time** 50 minutes to read, 40 for the exercises; about 60 seconds to run on two CPU cores.

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
import json
import os
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from helpers import data, distributed, models, plots, runtime, schedules
from helpers.exercises import ex11_scaling_out as exercises

# One processor plays two devices. That must be said before TensorFlow computes anything.
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
keras.config.set_dtype_policy("float32")  # for comparisons to the last digit
# Each comparison below is traced anew, and TensorFlow would warn of that each time.
tf.get_logger().setLevel("ERROR")
pair = runtime.strategy(["CPU:0", "CPU:1"])
print(
    pair.num_replicas_in_sync,
    "devices that are one processor: nothing here gets faster, everything gets visible",
)

# %% [markdown]
# ## 1 · One batch, several devices
#
# The commonest way to use many devices is **data parallel**. Each device holds the same weights: such a copy of the
# model is a **replica**. A batch is dealt out to the replicas like cards. Each computes a gradient from its own rows.
# The gradients are added up, every replica gets the sum, and all of them take the same step. So their weights stay
# equal. What all of them together see in one step is the **global batch**.

# %%
fashion = data.fashion()
x, y = fashion.arrays("train")
hand = [f"row {row}, replica {row % 2}" for row in range(8)]
plots.image_grid(x[:8], hand, columns=4, title="A global batch of eight, dealt to two replicas")

# %% [markdown]
# ### Build it
#
# Two replicas, played by one model, because their weights are the same. What must each compute so that the *sum* of
# both gradients is the gradient of the whole batch? The loss of a batch is a mean: a sum of 64 losses, divided by 64.

# %%
# A loss for each row.
per_row = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
keras.utils.set_random_seed(0)
model = models.dense_classifier()


def gradient(rows, loss_of):
    """Return the gradient of the first weights, of the loss that `loss_of` makes of rows."""
    with tf.GradientTape() as tape:
        loss = loss_of(per_row(y[rows], model(x[rows])))
    return tape.gradient(loss, model.trainable_variables)[0].numpy()


everybody = np.arange(64)
whole = gradient(everybody, tf.reduce_mean)
parts = [
    gradient(everybody[replica::2], lambda losses: tf.reduce_sum(losses) / 64)
    for replica in range(2)
]
assert np.allclose(parts[0] + parts[1], whole, atol=1e-7)
print("two parts make the whole:", np.allclose(sum(parts), whole, atol=1e-7))

# %% [markdown]
# The most common mistake is to leave the mean as it was. Each replica takes the mean over its own 32 rows, and then the
# gradients are added up. What do you expect?

# %%
means = [gradient(everybody[replica::2], tf.reduce_mean) for replica in range(2)]
factor = np.linalg.norm(means[0] + means[1]) / np.linalg.norm(whole)
print(f"own means, added up: {factor:.3f} times the gradient")
assert np.isclose(factor, 2, rtol=1e-3)

# %% [markdown]
# No error and no warning: with two devices the learning rate has doubled behind your back, with eight it is eight times
# as high. `fit` of Keras divides by the number of replicas for you. In a loop of your own, you do it.
#
# ### Exercise 1 · Its part of the loss
#
# Write `part_of_the_loss(losses, global_batch_size)`. A replica calls it with the losses of its own rows. The gradients
# of what it returns, added up over all replicas, must be the gradient of the mean over the global batch. The replicas
# may have different numbers of rows.
#
# The cell below yours says what it makes of your answer. Stuck? `exercises.loss.hint()` gives a hint, and a plainer one
# each time you ask. `exercises.loss.solution()` shows a right answer.


# %%
def part_of_the_loss(losses, global_batch_size):
    # your code
    ...


# %%
exercises.loss.check(part_of_the_loss)

# %% [markdown]
# ## 2 · MirroredStrategy: the devices of one machine
#
# A **strategy** is TensorFlow's word for how variables and steps are spread over devices. `MirroredStrategy` is the one
# for the GPUs of one machine: it keeps a mirror image of each variable on every device. `runtime.strategy()` returns it
# if there are several GPUs. Only one line of a training program changes:
#
# ```python
# with strategy.scope():
#     model = build()
#     model.compile(...)
# ```
#
# Model, optimizer and metrics are made inside the scope, so that their variables are mirrored. `fit` may be called
# outside.


# %%
def fresh(normalise=None):
    """Return a small compiled classifier.

    `normalise` adds batch normalisation, synchronised (True) or not (False).
    """
    keras.utils.set_random_seed(0)
    norm = (
        [] if normalise is None else [keras.layers.BatchNormalization(synchronized=normalise)]
    )
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(32, "relu"),
        *norm,
    ]
    model = keras.Sequential([keras.Input((28, 28)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


# %%
def losses(strategy, rows=512, own_loop=False, **options):
    """Train two epochs in batches of 64 under a strategy; return the loss of each."""
    with strategy.scope():
        model = fresh(**options)
    pairs = tf.data.Dataset.from_tensor_slices((x[:rows], y[:rows])).batch(64)
    if own_loop:
        return np.array(distributed.fit(model, pairs, epochs=2).history["loss"])
    return np.array(model.fit(pairs, epochs=2, shuffle=False, verbose=0).history["loss"])


single = runtime.strategy(["CPU:0"])
one, two = losses(single), losses(pair)
print(
    "one device and two, furthest apart:",
    "under 0.00001" if np.ptp([one, two], axis=0).max() < 1e-5 else "more",
)
assert np.allclose(one, two, atol=1e-5)

# %% [markdown]
# The same losses, to the fifth digit. They are not equal to the last bit: two halves are added up in another order than
# one whole, and floating point rounds. Over a long run such last digits grow, and two good runs drift apart.
#
# ### What breaks, and why
#
# The proof above had two lucky numbers: 512 rows make eight full batches, and 64 rows make two equal shares. And the
# model had no layer that looks at its batch. Let us take the luck away. `distributed.fit` is this course's own loop;
# for section 5 we need one anyway. Which of these will differ from one device?

# %%
# One device.
alone = {
    "rows": losses(single, rows=513),
    "norm": losses(single, normalise=False),
}
trials = {
    "last batch of one row, fit": ("rows", {"rows": 513}),
    "last batch of one row, distributed.fit": ("rows", {"rows": 513, "own_loop": True}),
    "batch normalisation": ("norm", {"normalise": False, "own_loop": True}),
    "batch normalisation, synchronised": ("norm", {"normalise": True, "own_loop": True}),
}
gaps = {
    name: abs(losses(pair, **options) - alone[case]).max()
    for name, (case, options) in trials.items()
}
for name, gap in gaps.items():
    print(f"{name:34} {'apart' if gap > 2e-3 else 'equal'}")

# %%
assert (
    gaps["last batch of one row, fit"]
    > 0.01
    > 1e-4
    > gaps["last batch of one row, distributed.fit"]
)
assert gaps["batch normalisation"] > 0.01 > 2e-3 > gaps["batch normalisation, synchronised"]

# %% [markdown]
# - **Unequal shares.** Keras divides each replica's mean by the number of replicas. That is right only if all have as
#   many rows. With one row left over, one replica has it all and the other has nothing, and the row counts for half of
#   what it should. `distributed.fit` weighs each share by its rows. With `fit`, drop what does not fill a batch, or
#   take a batch size that divides the data.
# - **Batch normalisation** takes mean and variance over the rows it sees, and those are a replica's own 32, not the
#   global 64. So it is with `fit`. It is another model now, not a broken one; but with eight rows on each device it
#   becomes a noisy one. `BatchNormalization(synchronized=True)` asks all replicas in every forward pass.
# - **Clipping.** An optimizer with `clipnorm` clips each replica's gradient *before* they are added up. That is not the
#   clipped sum, so `distributed.fit` refuses it on several devices.
# - **Dropout.** Replicas begin with the same weights, and with the same seed for dropout, too. They all would drop the
#   same units. `distributed.fit` gives each a seed of its own; but no two numbers of devices draw alike.

# %% [markdown]
# ## 3 · More devices, larger batches
#
# A device works well with the batch that fills it. So people keep each device's share and let the global batch grow:
# with eight devices it is eight times as large, and an epoch has an eighth of the steps. Each step is surer of its
# direction. May it be longer, then? For plain SGD the rule of thumb is *linear scaling*: k times the batch, k times the
# learning rate, with a warm-up (notebook 09), because a high rate hurts most at the beginning. For Adam, many take the
# square root of k. Both are rules of thumb, and both end somewhere: try.
#
# Below, three runs see the same pictures. Which of the two with the large batch will keep up?

# %%
SEEN, EPOCHS = 2048, 3


def curve(batch, rate):
    """Train from the same first weights; return the mean loss of each epoch."""
    keras.utils.set_random_seed(0)
    model = models.dense_classifier()
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(True),
    )
    return model.fit(
        x[:SEEN], y[:SEEN], batch_size=batch, epochs=EPOCHS, shuffle=False, verbose=0
    ).history


# %%
steps = SEEN // 512  # in an epoch, with the large batch
runs = {
    "batch 64, rate 0.02": curve(64, 0.02),
    "batch 512, rate 0.02": curve(512, 0.02),
    "batch 512, rate 0.16, warmed up": curve(
        512, schedules.WarmupCosine(0.16, steps // 2, 100 * steps)
    ),
}
shown = {name: run["loss"] for name, run in runs.items()}
plots.lines(
    range(1, EPOCHS + 1),
    shown,
    "epoch",
    "training loss",
    "Eight times the batch needs a higher rate",
)

# %%
small, behind, scaled = (run["loss"][-1] for run in runs.values())
assert behind > scaled > small
assert behind - scaled > (behind - small) / 2
assert SEEN // 64 == 8 * steps

# %% [markdown]
# The large batch at the old rate falls behind: it takes an eighth of the steps, and they are no longer. With eight
# times the rate it makes up for more than half of that. It does not win. *What several devices save is time, not work.*
#
# ## 4 · Several machines
#
# Past one machine the replicas are processes that do not share memory. Each is called a **worker**. All run the same
# program. An environment variable, `TF_CONFIG`, tells each of them who belongs to the **cluster**, and which of them it
# is. The first worker, or a task named `chief` if there is one, has additional duties: it is the **chief**.
#
# `MultiWorkerMirroredStrategy` is the strategy for that. It waits until all workers are there. Then, in each step, they
# meet in an **all-reduce**: an operation into which everybody puts a gradient, and out of which everybody gets the sum.
#
# Here is a whole program for it, without `fit`. Find the line in which a worker picks its rows, and the line that you
# know from exercise 1.

# %%
SCRIPT = """
import json, os, sys
import keras
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # first of all: it waits for the others
me = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
folder, optimizer = sys.argv[1], keras.optimizers.SGD(0.1)
with strategy.scope():  # what is made here is kept equal everywhere
    model = keras.models.load_model(folder + "/start.keras")
    optimizer.build(model.trainable_variables)
per_row = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")

def step(x, y):
    with tf.GradientTape() as tape:
        part = tf.reduce_sum(per_row(y, model(x, training=True))) / 64
    weights = model.trainable_variables
    # Adds up what all workers have, then steps.
    optimizer.apply(tape.gradient(part, weights), weights)
"""

# %%
SCRIPT += """
together = tf.function(lambda x, y: strategy.run(step, (x, y)))
saved = np.load(folder + "/pictures.npz")
for first in range(0, 512, 64):
    mine = slice(first + me, first + 64, 2)
    together(tf.constant(saved["x"][mine]), tf.constant(saved["y"][mine]))
np.savez(folder + f"/worker-{me}.npz", *model.get_weights())
model.compile("sgd", per_row)
try:
    model.fit(saved["x"], saved["y"], batch_size=64, verbose=0)
except Exception as error:
    print("fit fails:", type(error).__name__)
else:
    print("fit works")
"""

# %% [markdown]
# We start it twice, on this machine: two processes that talk over its **loopback**, the network that goes nowhere. On
# two machines the same two commands would be typed on each, with their real addresses.

# %%
folder = runtime.output_folder("11_scaling_out")
shutil.rmtree(folder)
folder.mkdir()
(folder / "train.py").write_text(SCRIPT, encoding="utf-8")
np.savez(folder / "pictures.npz", x=x[:512], y=y[:512])
keras.utils.set_random_seed(0)
model = models.dense_classifier()
model.save(folder / "start.keras")

addresses, workers = distributed.addresses(2), []  # two free ports
for index in range(2):
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    environment = {**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, folder / "train.py", folder]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers.append(subprocess.Popen(command, env=environment, **pipes))
said = [worker.communicate(timeout=300) for worker in workers]
assert [worker.returncode for worker in workers] == [0, 0], said
print("worker 0:", said[0][0].strip(), "| worker 1:", said[1][0].strip())

# %% [markdown]
# `fit` of Keras 3 cannot be used here: it does not know how to put together what it gets from several processes. That
# is why there is a loop in the program. Did the loop work? We do the same eight steps here, in one process, on whole
# batches.

# %%
optimizer = keras.optimizers.SGD(0.1)
for first in range(0, 512, 64):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            per_row(y[first : first + 64], model(x[first : first + 64], training=True))
        )
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def weights_of(file):
    with np.load(file) as stored:
        return [stored[name] for name in stored.files]


found = [weights_of(folder / f"worker-{index}.npz") for index in range(2)]
assert all(np.array_equal(*both) for both in zip(*found)), (
    "both workers hold the same weights, to the last bit"
)
assert all(np.allclose(*both, atol=1e-5) for both in zip(found[0], model.get_weights()))
print("two processes and one: the same weights")

# %% [markdown]
# ### Who reads what
#
# In our program each worker loads all pictures and uses half. With photographs, reading and decoding is much of the
# work (notebook 06), and it would not get less with more workers. Better: each worker reads its own files. This is
# called **sharding**. But the deal must stay the same: together, the workers' k-th batches must be the k-th global
# batch.
#
# ### Exercise 2 · Its own rows
#
# Write `my_batches(names, load, place, workers, batch_size)`. `names` is a dataset of file names, in the order that all
# workers know; `load` turns a name into a row, for `Dataset.map`, and is expensive. Return the dataset of batches for
# worker number `place` of `workers`. `batch_size` is the global one; it is a multiple of `workers`. The k-th batches of
# all workers together must hold the rows of the k-th global batch, and no worker may load what it does not need.


# %%
def my_batches(names, load, place, workers, batch_size):
    # your code
    ...


# %%
exercises.rows.check(my_batches)

# %% [markdown]
# ### Who does what
#
# Some things must be the same on all workers, some must differ, and some only one of them may do.
#
# - The *order* that rows are shuffled into: the same everywhere, or else the shards overlap. And another one in each
#   epoch.
# - The seed of *dropout*: different everywhere.
# - *Files*: a checkpoint, a log, results. Only the chief writes them.
#
# ### Exercise 3 · Who does what
#
# Write `duties(cluster, job, index, epoch)`: `cluster` is a dictionary of addresses, such as `{"worker": ["a:1",
# "b:1"]}` or `{"chief": ["a:1"], "worker": ["b:1", "c:1"]}`; `job` and `index` say which task this is, such as
# `"worker", 1`. Return a dictionary: `"writes"` (True for the one task that writes files: the chief, or worker 0 where
# there is none), `"shuffle_seed"` and `"dropout_seed"`, two integers. A task that is started again must find the same
# seeds.


# %%
def duties(cluster, job, index, epoch):
    # your code
    ...


# %%
exercises.roles.check(duties)

# %% [markdown]
# ## 5 · A run that survives
#
# The more machines, the more often one of them dies. And in synchronous training the others cannot go on without it.
# What helps is a **checkpoint** that holds all that the run depends on: weights, the optimizer's memory, the state of
# dropout, and the place in the epoch. Then all workers are started again and take up from there. They end at the
# *same* weights only if the data come in the same order, too: so that order is made from the number of the epoch, and
# not from whatever a generator has come to.
#
# `distributed.fit` does this. It calls the callbacks you know, in the order you know; its `dataset` may be a function
# of the epoch. We cut the power in the middle of the second epoch, on our two devices.


# %%
class PowerCut(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == 13:
            raise InterruptedError


def shuffled(epoch, context):
    """Return the batches of an epoch. Its order depends on nothing but its number."""
    rows = np.random.default_rng(epoch).permutation(512)
    return tf.data.Dataset.from_tensor_slices((x[rows], y[rows])).batch(64)


def train(*watchers, **settings):
    with pair.scope():
        model = fresh()
    distributed.fit(model, shuffled, epochs=3, callbacks=list(watchers), **settings)
    return model


kept = {"checkpoint": folder / "run.npz", "save_every": 4}
try:
    train(PowerCut(), **kept)
except InterruptedError:
    print("dead after step 13; on the disk:", [file.name for file in folder.glob("run*")])

# %%
with np.load(folder / "run.npz") as stored:
    print(
        "the checkpoint is of epoch and step",
        stored[stored.files[0]].tolist(),
        "and holds",
        len(stored.files),
        "arrays",
    )
resumed, whole = train(**kept), train()
equal = [np.array_equal(*both) for both in zip(resumed.get_weights(), whole.get_weights())]
print(
    "resumed and uninterrupted: equal to the last bit:",
    all(equal) if course.deterministic else "not promised",
)
assert all(equal) or not course.deterministic
assert not (folder / "run.npz").exists(), "a run that ended well clears its checkpoint away"

# %% [markdown]
# The file is written under another name first and then renamed. So there is always a whole one, even if the process
# dies while it writes.
#
# ### One command
#
# The flowers of notebook 10, with two workers on this machine, are one command in a terminal:
#
# ```
# python -m helpers.distributed --workers 2 --save-every 10
# ```
#
# It starts the workers, watches them, and starts all of them again if one dies. The chief prints, and leaves
# `results.json` and the model in `notebooks/outputs/11_launch`. Try it: while it runs, kill one of the two younger
# processes. On several machines, type the same command on each, without `--workers` and with a `TF_CONFIG` of its own
# and `--out` on a disk that all of them see:
#
# ```
# TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]},
#             "task": {"type": "worker", "index": 0}}' python -m helpers.distributed --out /shared/run1
# ```
#
# (`index` is 1 on the second machine.) Starting again is then the work of whatever started them: a job scheduler, a
# cluster manager, you. On one machine with several GPUs neither is needed: `python -m helpers.distributed` mirrors.
#
# ## 6 · TPUs
#
# A **TPU** is a chip made for matrix products, rented by the slice: eight cores and more, with a fast network of their
# own. `TPUStrategy`, which older notebooks use, is no way to train Keras 3 models. The way is Keras on another
# **backend**: JAX computes, and `tf.data` goes on feeding it from the CPU. Models, layers and `fit` stay as they are.
#
# ```python
# import os
# os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported
# import keras
#
# keras.distribution.set_distribution(keras.distribution.DataParallel())  # over all cores there are
# model = build()
# model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
# model.fit(flowers.batches("train", batch_size=128, drop_remainder=True), epochs=5)
# ```
#
# Three things change. The batch size is the global one: a multiple of the number of cores. All batches need one and the
# same shape, because each new shape is compiled anew, which takes many seconds: hence `drop_remainder`. And whatever
# was written with `tf.` inside a layer or a loss must be written with `keras.ops`; inside `tf.data` it may stay. On the
# TensorFlow backend, `keras.distribution` is accepted and does nothing: a silent way to train on one of eight devices.
# The course's `docs/tpu.md` has this for the flowers, and says what was run and what was not.
#
# ## 7 · What the network must carry
#
# How would you add up the gradients of four machines so that each of them has the sum? If everyone sends everything to
# everyone, each machine sends its gradient three times. With a thousand machines, 999 times. A **ring** does better.
# Each machine cuts its gradient into n pieces and only ever talks to its neighbour. In a first round the pieces travel
# and are added up on the way; after n - 1 turns each machine holds one finished piece. In a second round the finished
# pieces travel once more, and everybody copies them.


# %%
def ring(gradients):
    """All-reduce by a ring.

    Return what each machine ends up with, and how many numbers each has sent.
    """
    n, sent = len(gradients), 0
    pieces = [np.split(gradient.copy(), n) for gradient in gradients]
    for turn in range(2 * (n - 1)):
        # The piece that each machine hands on.
        places = [(machine - turn) % n for machine in range(n)]
        moving = [pieces[machine][place].copy() for machine, place in enumerate(places)]
        for machine, (place, piece) in enumerate(zip(places, moving)):
            neighbour = pieces[(machine + 1) % n]
            neighbour[place] = neighbour[place] + piece if turn < n - 1 else piece
        sent += len(moving[0])
    return [np.concatenate(own) for own in pieces], sent


gradients = list(np.random.default_rng(0).normal(size=(4, 1000)))
sums, sent = ring(gradients)
assert all(np.allclose(own, sum(gradients)) for own in sums)
print("of a gradient of 1000 numbers, each of four machines has sent", sent)

# %%
counted = {n: ring([np.ones(840)] * n)[1] / 840 for n in (1, 2, 4, 8, 40)}
print({n: round(share, 3) for n, share in counted.items()})
assert all(np.isclose(share, 2 * (n - 1) / n) for n, share in counted.items())

# %% [markdown]
# Each machine sends **2 (n - 1) / n times** its gradient: nothing if it is alone, once the gradient for two machines,
# and never more than twice, however many there are. That is why large clusters are possible at all. A gradient has as
# many numbers as the model has parameters to train; as float32, each takes 4 bytes.
#
# ### Exercise 4 · The seconds of a step
#
# Write `step_seconds(rows, images_per_second, parameters, machines, gigabits)`. In each step a machine computes on
# `rows` images of its own, at `images_per_second`, and then sends what a ring all-reduce of float32 gradients makes it
# send, over a network of `gigabits` Gbit/s. One comes after the other. Return the seconds of both together.


# %%
def step_seconds(rows, images_per_second, parameters, machines, gigabits):
    # your code
    ...


# %%
exercises.network.check(step_seconds)

# %% [markdown]
# ### When the network binds
#
# What matters is how much a network *computes* for each byte it *sends*. Three old acquaintances, with images of 224
# pixels and 1,000 classes. A **multiply-add** is one product and one sum; a training step takes about three times those
# of a prediction, for the way forward and for the two gradients on the way back.

# %%
NETWORKS = {  # parameters, multiply-adds of one prediction
    "MobileNetV2": (3.54e6, 0.30e9),
    "ResNet50": (25.6e6, 3.9e9),
    "VGG16": (138e6, 15.5e9),
}
for name, (parameters, work) in NETWORKS.items():
    megabytes, ratio = 4 * parameters / 1e6, 3 * work / (4 * parameters)
    print(
        f"{name:12} gradient {megabytes:4.0f} MB, {ratio:4.0f} multiply-adds on an image for "
        "each byte of it"
    )

# %% [markdown]
# Now on paper: machines with 32 images each, and a device that gets through 10 tera multiply-adds a second. That number
# is assumed, not measured: put in yours. The dotted line is a perfect network.

# %%
SHARE, DEVICE = 32, 10e12  # images on each machine in a step; multiply-adds a second
machines = np.array([1, 2, 4, 8, 16, 32, 64])
ring_factor = 2 * (machines - 1) / machines
fig, axes = plots.figure(1, 3, (11, 3.4))
for ax, (name, (parameters, work)) in zip(axes[0], NETWORKS.items()):
    computing = 3 * work * SHARE / DEVICE
    ax.axhline(1000 * computing, color="black", ls=":", label="computing alone")
    for gigabits, colour, marker in zip((1, 10, 100), plots.COLOURS, "os^"):
        sending = ring_factor * 4 * parameters * 8 / (gigabits * 1e9)
        ax.plot(
            machines,
            1000 * (computing + sending),
            color=colour,
            marker=marker,
            label=f"{gigabits} Gbit/s",
        )
    ax.set(xscale="log", yscale="log", xlabel="machines", ylabel="ms a step", title=name)
    ax.set_xticks(machines, [str(n) for n in machines])
    ax.minorticks_off()

# %%
fig.legend(
    *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8
)
fig.alt = (
    "Milliseconds of a step against 1 to 64 machines for MobileNetV2, ResNet50 and VGG16. "
    "For all three, sending takes far longer than computing at 1 Gbit/s, longer at 10 and "
    "less at 100. The curves are flat from 8 machines on."
)
fig

# %%
for parameters, work in NETWORKS.values():
    computing, sending = (
        3 * work * SHARE / DEVICE,
        2 * 4 * parameters * 8 / 1e9 / np.array([1, 10, 100]),
    )
    assert sending[0] > 10 * computing
    assert sending[1] > computing > sending[2]

# %% [markdown]
# Three things to see. The step is hardly longer with 64 machines than with 8: the ring at work. At 1 Gbit/s, an
# ordinary office network, all three wait more than they work; here a second machine makes training *slower* than one.
# And the smallest model does not come off best, since it has little to compute as well: look at its multiply-adds a
# byte.
#
# What helps: more images on each machine (computing grows, sending does not), gradients in 16 bits (half of the bytes),
# and sending the last layers' gradients while the first ones are still being computed.
#
# ## 8 · Time and money
#
# Everything on paper begins with one number that is not: the images a second that *your* device gets through with
# *your* model. So measure it: the bundled backbone, all of it learning, on images of 96 pixels. The first step does not
# count, since it also compiles.

# %%
keras.utils.set_random_seed(0)
network = models.transfer_classifier("bundled", 104, 96)
models.unfreeze(network)
network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
images, labels = np.zeros((32, 96, 96, 3), "uint8"), np.zeros(32, "int64")
network.train_on_batch(images, labels)
began = time.perf_counter()
for _ in range(10):
    network.train_on_batch(images, labels)
speed = 320 / (time.perf_counter() - began)
print(f"this machine trains on {speed:.0f} images/s, if the data keep up")
assert speed > 1

# %% [markdown]
# The competition has 12,753 images to train on, and ImageNet has 1,281,167. Ten epochs of fine-tuning on the first, the
# classic 90 epochs on the second: here the arithmetic is all there is to it.

# %%
RUNS = {"12,753 flowers, 10 epochs": 12_753 * 10, "ImageNet, 90 epochs": 1_281_167 * 90}
PRICE = 1.0  # what an hour of one device costs you, in your money
for name, seen in RUNS.items():
    hours = seen / speed / 3600
    print(
        f"{name}: {seen:,} images; on this machine {hours:,.1f} hours, costing "
        f"{hours * PRICE:,.1f} at your price"
    )
print(
    "one is",
    round(RUNS["ImageNet, 90 epochs"] / RUNS["12,753 flowers, 10 epochs"]),
    "times the other",
)

# %% [markdown]
# And our images were of 96 pixels and the network a small one. A ResNet50 at 224 pixels has some 400 times the
# multiply-adds of this one. On a machine like this nobody would begin.
#
# With n devices, how much time do you save, and how much money? **Efficiency** is the share of perfect speed that is
# left: if 8 devices together do the work of 7.2, it is 0.9. From the figure above we can read it off: the time of
# computing, divided by the time of the whole step. The devices are the assumed ones again.

# %%
parameters, work = NETWORKS["ResNet50"]
alone = DEVICE / (3 * work)  # images/s of one device
paid = {}
for gigabits in (10, 100):
    for n in (1, 8, 64):
        computing, sending = (
            SHARE / alone,
            2 * (n - 1) / n * 4 * parameters * 8 / (gigabits * 1e9),
        )
        efficiency = computing / (computing + sending)
        hours = RUNS["ImageNet, 90 epochs"] / (alone * n * efficiency) / 3600
        paid[gigabits, n] = hours * n
        line = f"efficiency {efficiency:.2f}, {hours:5.1f} hours each, {hours * n:4.0f} paid"
        print(f"{gigabits:3} Gbit/s, devices {n:2}: {line}")

# %%
assert paid[10, 8] > 4 * paid[10, 1]
assert paid[10, 64] < 1.2 * paid[10, 8]
assert paid[100, 64] < 1.5 * paid[100, 1]

# %% [markdown]
# With a perfect network eight devices would cost what one does: an eighth of the time, eight to pay for. What the
# network takes away is paid for as well: the bill grows by one over the efficiency. On the slow network that is a
# factor of five, nearly all of which comes with the first eight devices. On the fast one, 64 devices bring a day and a
# half down to an hour, for less than half as much again.
#
# The flowers, with the same device and the same ResNet50? Ten epochs are two and a half minutes. A cluster would not
# have been started by then.
#
# ### Exercise 5 · The bill
#
# Write `bill(images, epochs, images_per_second, devices, efficiency, price_per_hour)`. `images_per_second` is what one
# device does alone, `price_per_hour` what one device costs. Return `(hours, cost)` of the whole run.


# %%
def bill(images, epochs, images_per_second, devices, efficiency, price_per_hour):
    # your code
    ...


# %%
exercises.price.check(bill)

# %% [markdown]
# ## Summary
#
# - Replicas hold the same weights, compute on their own rows, add up gradients: divide losses by the *global* batch.
# - Two devices equal one where shares are equal and no layer looks at its batch; elsewhere, know what differs.
# - One machine: `MirroredStrategy` and `fit`. Several: `MultiWorkerMirroredStrategy` and a loop, `TF_CONFIG`, a chief.
# - A run survives if its checkpoint is whole and the order of its data depends on the epoch alone.
# - A ring sends 2 (n - 1) / n times the gradient. Measure images/s, then do the sum before you pay.
#
# **Next** this was the last notebook. Take a data set of your own, and begin at notebook 06.
#
# ## References
#
# - Goyal et al. (2017), *Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour*
#   [arXiv:1706.02677](https://arxiv.org/abs/1706.02677)
# - Patarasuk, Yuan (2009), *Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations*
#   [doi:10.1016/j.jpdc.2008.09.002](https://doi.org/10.1016/j.jpdc.2008.09.002)
# - Ioffe (2017), *Batch Renormalization*: batch normalisation on small shares
#   [arXiv:1702.03275](https://arxiv.org/abs/1702.03275)
# - TensorFlow: [distributed training](https://www.tensorflow.org/guide/distributed_training),
#   [MultiWorkerMirroredStrategy](https://www.tensorflow.org/api_docs/python/tf/distribute/MultiWorkerMirroredStrategy)
# - Keras: [distribution on JAX](https://keras.io/api/distribution/)
