"""The exercises of notebook 11."""

from __future__ import annotations

import tensorflow as tf

from helpers.checking.engine import Exercise

NOTEBOOK = "11_scaling_out"
SHARES = "deal out rows, seeds and files so that no two workers do the same work"


# Exercise 1


def part_of_the_loss(losses, global_batch_size):
    return tf.reduce_sum(losses) / global_batch_size


def observe_part(answer):
    def of(*losses):
        return tf.reduce_sum(answer(tf.constant(losses), 8))

    part = of(1.0, 2.0, 3.0, 6.0)
    yield "the part of a replica with the losses 1, 2, 3 and 6, of 8 in all", part
    other = of(2.0, 2.0, 0.0, 0.0)
    yield "the sum of its part and that of the replica with 2, 2, 0 and 0", part + other
    unequal = [answer(tf.constant(losses), 5) for losses in ([1.0, 2.0, 3.0], [6.0, 0.0])]
    yield (
        "the sum of the parts of 1, 2, 3 and of 6, 0: five losses, shared unequally",
        tf.add_n(unequal),
    )
    weight = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        part = answer(weight * tf.constant([1.0, 3.0]), 4)
    yield (
        "its gradient, where the losses are w and 3 w, of 4 in all",
        tape.gradient(part, weight),
    )


loss = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="Its part of the loss",
    objective="train on several devices and get what one device gives",
    reference=part_of_the_loss,
    observe=observe_part,
    hints=(
        "The gradients of all replicas are added up. What must their losses add up to?",
        "To the mean over the global batch. A mean is a sum divided by a number: which part "
        "of it is yours?",
        "`tf.reduce_sum` adds a replica's losses up. Then divide by the number that all "
        "replicas share.",
    ),
)


@loss.right
def by_shares(losses, global_batch_size):
    share = len(losses) / global_batch_size  # my rows among all rows
    return tf.reduce_mean(losses) * share


loss.wrong(
    "You took the mean of the replica's own losses. Each replica then says a whole mean, and "
    "the sum of two of them is twice what it should be.",
    "mean over its own share",
)(lambda losses, global_batch_size: tf.reduce_mean(losses))
loss.wrong(
    "You only added up. The sum over all replicas then is the sum over the global batch, not "
    "its mean: the step grows with the batch.",
    "summed and not divided",
)(lambda losses, global_batch_size: tf.reduce_sum(losses))
loss.wrong(
    "You divided twice, by the replica's own number of rows and by the global one. Which of "
    "the two makes a mean over the global batch?",
    "divided twice",
)(lambda losses, global_batch_size: tf.reduce_mean(losses) / global_batch_size)
loss.wrong(
    "Half of the replica's mean is right for two replicas with equal shares, and for nothing "
    "else. What if one has three rows and the other two?",
    "half of the mean",
)(lambda losses, global_batch_size: tf.reduce_mean(losses) / 2)
loss.wrong(
    "You returned a value for each row. A replica hands one number to the tape: what becomes "
    "of the rows?",
    "not added up",
)(lambda losses, global_batch_size: losses / global_batch_size)


# Exercise 2


def my_batches(names, load, place, workers, batch_size):
    mine = names.shard(workers, place)
    return mine.map(load).batch(batch_size // workers)


def observe_batches(answer):
    read = []

    def note(name):
        read.append(int(name))
        return name

    def load(name):
        number = tf.numpy_function(note, [name], tf.int64)
        return tf.ensure_shape(number, [])

    def all_of(workers, batch_size):
        """Return each worker's batches, and how many files it read."""
        shares = []
        for place in range(workers):
            read.clear()
            dataset = answer(tf.data.Dataset.range(12), load, place, workers, batch_size)
            batches = [batch.tolist() for batch in dataset.as_numpy_iterator()]
            shares.append((batches, len(read)))
        return shares

    for workers, batch_size in ((2, 4), (3, 6)):
        case = f"12 files, {workers} workers, global batches of {batch_size}"
        shares = all_of(workers, batch_size)
        yield (
            f"how many batches each worker has ({case})",
            [len(batches) for batches, _ in shares],
        )
        yield (
            f"how many rows the first batch of each has ({case})",
            [len(batches[0]) if batches else 0 for batches, _ in shares],
        )
        second = [batches[1] for batches, _ in shares if len(batches) > 1]
        rows = [row for batch in second for row in batch]
        yield f"the rows of all second batches together ({case})", sorted(rows)
        yield f"how many files each worker reads ({case})", [number for _, number in shares]


rows = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="Its own rows",
    objective=SHARES,
    reference=my_batches,
    observe=observe_batches,
    hints=(
        "Which step throws files away that are another worker's? Put it where it saves the "
        "most work.",
        "`Dataset.shard(number, index)` keeps every `number`-th element, from `index` on.",
        "`batch_size` is that of all workers together. How many rows does one of them add to "
        "it?",
    ),
)


@rows.right
def with_a_filter(names, load, place, workers, batch_size):
    each = batch_size // workers
    numbered = names.enumerate().filter(lambda number, name: number % workers == place)
    return numbered.map(lambda number, name: load(name)).batch(each)


@rows.wrong(
    "You load every file and then throw most of them away. The rows are the right ones, but "
    "each worker has all the work: which step should come first?"
)
def sharded_after_loading(names, load, place, workers, batch_size):
    mine = names.map(load).shard(workers, place)
    return mine.batch(batch_size // workers)


@rows.wrong(
    "Each of your workers fills a whole global batch. Together they make one that is as many "
    "times too large: whose batch size is `batch_size`?"
)
def a_global_batch_on_every_worker(names, load, place, workers, batch_size):
    return names.shard(workers, place).map(load).batch(batch_size)


@rows.wrong(
    "You cut into batches first and gave whole batches away. So every worker trains on other "
    "global batches, of the full size, and reads the rows of all."
)
def sharded_after_batching(names, load, place, workers, batch_size):
    return names.map(load).batch(batch_size).shard(workers, place)


@rows.wrong(
    "All your workers read the same rows, so they compute the same gradient, several times. "
    "What do `place` and `workers` say?"
)
def the_same_rows_on_every_worker(names, load, place, workers, batch_size):
    return names.map(load).batch(batch_size // workers)


@rows.wrong(
    "You gave each worker a stretch of its own, one after the other. Each row is used once, "
    "but the global batches are others than on one device."
)
def a_stretch_for_each_worker(names, load, place, workers, batch_size):
    length = 12 // workers
    mine = names.skip(place * length).take(length)
    return mine.map(load).batch(batch_size // workers)


@rows.wrong(
    "You changed the two numbers of `shard` for one another: first comes how many there are, "
    "then which one it is."
)
def number_and_index_swapped(names, load, place, workers, batch_size):
    mine = names.shard(place, workers)
    return mine.map(load).batch(batch_size // workers)


# Exercise 3


def duties(cluster, job, index, epoch):
    number_of_chiefs = len(cluster.get("chief", []))
    me = index
    if job == "worker":
        me += number_of_chiefs
    return {"writes": me == 0, "shuffle_seed": epoch, "dropout_seed": 1000 + me}


def observe_duties(answer):
    def of(cluster, epoch):
        return [
            answer(cluster, job, index, epoch)
            for job in ("chief", "worker")
            for index in range(len(cluster.get(job, ())))
        ]

    three = {"worker": ["a:1", "b:1", "c:1"]}
    chief = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    first, second = of(three, 0), of(three, 1)
    yield "who of three workers writes files", [bool(one["writes"]) for one in first]
    yield (
        "who writes files, of a chief and two workers",
        [bool(one["writes"]) for one in of(chief, 0)],
    )
    yield (
        "how many different orders three workers shuffle into",
        len({one["shuffle_seed"] for one in first}),
    )
    yield (
        "whether epoch 1 is shuffled into another order",
        first[0]["shuffle_seed"] != second[0]["shuffle_seed"],
    )
    yield (
        "how many different dropout seeds three workers have",
        len({one["dropout_seed"] for one in first}),
    )
    drops = [one["dropout_seed"] for one in of(chief, 0)]
    yield "how many different dropout seeds a chief and two workers have", len(set(drops))
    yield "whether a worker that is started again has the seeds it had", of(three, 0) == first


roles = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="Who does what",
    objective=SHARES,
    reference=duties,
    observe=observe_duties,
    hints=(
        "What must all workers agree on, so that they deal out one and the same pack of cards?",
        "A job `chief` is optional. Where there is one, worker 0 is the second task, not the "
        "first.",
        "Count all tasks through, the chief's before the workers'. That number tells them "
        "apart.",
    ),
)


@roles.right
def by_listing_all_tasks(cluster, job, index, epoch):
    tasks = [("chief", place) for place in range(len(cluster.get("chief", ())))]
    tasks += [("worker", place) for place in range(len(cluster["worker"]))]
    number = tasks.index((job, index))
    return {"writes": not number, "shuffle_seed": 7 + 13 * epoch, "dropout_seed": number * 31}


def dutiful(
    writes=lambda me, index: me == 0,
    shuffle=lambda me, epoch: epoch,
    dropout=lambda me, index: me,
):
    """Return an answer made of three rules; `me` counts all tasks, `index` those of one job."""

    def answer(cluster, job, index, epoch):
        me = index + (len(cluster.get("chief", [])) if job == "worker" else 0)
        return {
            "writes": writes(me, index),
            "shuffle_seed": shuffle(me, epoch),
            "dropout_seed": dropout(me, index),
        }

    return answer


roles.wrong(
    "All of your workers write. On one disk they overwrite each other's files, and a "
    "checkpoint may end up half one, half the other.",
    "everybody writes",
)(dutiful(writes=lambda me, index: True))
roles.wrong(
    "Nobody writes, in one of the two clusters at least. Without a chief in the cluster, who "
    "takes its place?",
    "only a job named chief writes",
)(
    lambda cluster, job, index, epoch: (
        dutiful()(cluster, job, index, epoch) | {"writes": job == "chief"}
    )
)
roles.wrong(
    "In the cluster with a chief two tasks have the index 0, and both of yours write: each "
    "job counts for itself.",
    "two tasks of index 0 write",
)(dutiful(writes=lambda me, index: index == 0))
roles.wrong(
    "Your workers shuffle differently. If each knows another order, 'every third row' is not "
    "a third of the rows: some are used twice, some never.",
    "a shuffle of its own for each",
)(dutiful(shuffle=lambda me, epoch: 100 * me + epoch))
roles.wrong(
    "Your order is the same in every epoch. The same rows then meet in the same batches all "
    "the time: what could the seed depend on?",
    "one order for all epochs",
)(dutiful(shuffle=lambda me, epoch: 0))
roles.wrong(
    "All of your workers have one dropout seed: they drop the same units, where one device "
    "would draw anew for every row. What can the seed depend on?",
    "one dropout seed for all",
)(dutiful(dropout=lambda me, index: 0))
roles.wrong(
    "The chief and worker 0 drop the same units: both have the index 0. Count all tasks "
    "through.",
    "dropout seed from the index",
)(dutiful(dropout=lambda me, index: index))


# Exercise 4


def step_seconds(rows, images_per_second, parameters, machines, gigabits):
    compute = rows / images_per_second
    sent = 2 * (machines - 1) / machines * parameters * 4  # bytes
    return compute + 8 * sent / (gigabits * 1e9)


def observe_step(answer):
    for numbers in (
        (32, 100, 25_600_000, 1, 10),
        (32, 100, 25_600_000, 2, 10),
        (32, 400, 138_000_000, 64, 1),
    ):
        rows, speed, parameters, machines, gigabits = numbers
        case = (
            f"{rows} rows each at {speed} a second, {parameters:,} parameters, {machines} "
            f"machines, {gigabits} Gbit/s"
        )
        yield f"the seconds of a step ({case})", answer(*numbers)


network = Exercise(
    notebook=NOTEBOOK,
    number=4,
    title="The seconds of a step",
    objective="count what an all-reduce sends, and say when the network binds",
    reference=step_seconds,
    observe=observe_step,
    hints=(
        "Two parts, one after the other: computing on the machine's own rows, then sending.",
        "A ring sends 2 (n - 1) / n times the gradient, and the gradient has 4 bytes for "
        "each parameter.",
        "A network is sold in bits, and a byte has 8 of them. Giga is 1e9.",
    ),
    rtol=1e-3,
)


@network.right
def in_two_passes(rows, images_per_second, parameters, machines, gigabits):
    chunk = parameters * 32 / machines  # bits
    seconds_a_chunk = chunk / (gigabits * 10**9)
    return rows / images_per_second + 2 * (machines - 1) * seconds_a_chunk


def timed(
    sent=lambda n: 2 * (n - 1) / n,
    bits=32,
    computing=lambda rows, speed, n: rows / speed,
    both=lambda one, other: one + other,
):
    """Return an answer with other rules.

    They give the factor of the all-reduce, the bits of a parameter, the seconds of computing,
    and what is made of the two times.
    """

    def answer(rows, images_per_second, parameters, machines, gigabits):
        compute = computing(rows, images_per_second, machines)
        send = sent(machines) * parameters * bits / (gigabits * 1e9)
        return both(compute, send)

    return answer


network.wrong(
    "Your gradient goes round once. In the first round the pieces are added up, each at "
    "another machine. Who tells the others the sums?",
    "one round instead of two",
)(timed(sent=lambda n: (n - 1) / n))
network.wrong(
    "You forgot the factor (n - 1) / n: a machine need not send itself anything, and one "
    "machine alone sends nothing.",
    "factor of the ring forgotten",
)(timed(sent=lambda n: 2))
network.wrong(
    "You sent the whole gradient to every other machine. That grows with the number of "
    "machines, and a ring was made so that it does not.",
    "everybody to everybody",
)(timed(sent=lambda n: n - 1))
network.wrong(
    "You took bytes for bits: your network is eight times too fast. 10 Gbit/s are 1.25 "
    "gigabytes in a second.",
    "bytes for bits",
)(timed(bits=4))
network.wrong(
    "You shared the rows out again. `rows` are those of one machine: more machines have more "
    "rows, not fewer each.",
    "rows divided by the machines",
)(timed(computing=lambda rows, speed, n: rows / speed / n))
network.wrong(
    "You took the longer of the two. That would be sending while computing; here one comes "
    "after the other.",
    "the longer of the two",
)(timed(both=max))
network.wrong(
    "That is the time of sending alone. A machine also has to compute a gradient before it "
    "can send one.",
    "computing forgotten",
)(timed(both=lambda one, other: other))


# Exercise 5


def bill(images, epochs, images_per_second, devices, efficiency, price_per_hour):
    seconds = images * epochs / (images_per_second * devices * efficiency)
    hours = seconds / 3600
    return hours, hours * devices * price_per_hour


def observe_bill(answer):
    for name, numbers in {
        "12,753 images, 10 epochs, 50 images/s, one device, 2.50 an hour": (
            12_753,
            10,
            50.0,
            1,
            1.0,
            2.5,
        ),
        "ImageNet, 90 epochs, 1,000 images/s, 8 devices at 0.9, 3 an hour": (
            1_281_167,
            90,
            1000.0,
            8,
            0.9,
            3.0,
        ),
    }.items():
        hours, cost = answer(*numbers)
        yield f"the hours ({name})", float(hours)
        yield f"the price ({name})", float(cost)


price = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="The bill",
    objective="work out what a run will take and cost before it is started",
    reference=bill,
    observe=observe_bill,
    hints=(
        "How many images does the whole run compute, and how many of them do all devices "
        "together do in a second?",
        "An efficiency of 0.9 means that 8 devices do what 7.2 would do alone.",
        "Every device is paid for, every hour, also for the part of it in which it waits.",
    ),
    rtol=1e-3,
)


@price.right
def step_by_step(images, epochs, images_per_second, devices, efficiency, price_per_hour):
    work = images * epochs / images_per_second / 3600  # hours on one device
    paid = work / efficiency  # hours of all devices together
    return [paid / devices, paid * price_per_hour]


def charged(
    speed=lambda rate, n, share: rate * n * share,
    hour=3600,
    paid=lambda hours, n, share: hours * n,
):
    """Return an answer with another speed, another hour, or other hours that are paid."""

    def answer(images, epochs, images_per_second, devices, efficiency, price_per_hour):
        seconds = images * epochs / speed(images_per_second, devices, efficiency)
        hours = seconds / hour
        return hours, paid(hours, devices, efficiency) * price_per_hour

    return answer


price.wrong(
    "You paid for one device. The hours are right, but each of the devices costs its price "
    "in each of them.",
    "one device paid",
)(charged(paid=lambda hours, n, share: hours))
price.wrong(
    "You left the efficiency out: eight devices are not eight times as fast as one. Where "
    "does the rest go?",
    "efficiency left out",
)(charged(speed=lambda rate, n, share: rate * n))
price.wrong(
    "Your devices get faster the less efficient they are. Less efficiency means more hours: "
    "multiply the speed by it.",
    "efficiency upside down",
)(charged(speed=lambda rate, n, share: rate * n / share))
price.wrong(
    "You paid only for the share of the time in which devices compute. They cost as much "
    "while they wait.",
    "waiting not paid",
)(charged(paid=lambda hours, n, share: hours * n * share))
price.wrong(
    "Those are minutes. An hour has sixty of them, and the price is for an hour.",
    "minutes for hours",
)(charged(hour=60))
price.wrong(
    "Those are seconds. The price is for an hour: how many seconds does one have?",
    "seconds for hours",
)(charged(hour=1))
price.wrong(
    "You let one device do all the work, and paid for all. How much do they get done in a "
    "second together?",
    "speed of one device",
)(charged(speed=lambda rate, n, share: rate * share))
