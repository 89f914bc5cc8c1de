"""The exercises of notebook 08."""

from __future__ import annotations

import numpy as np

from helpers.checking.engine import Exercise, quiz

NOTEBOOK = "08_cutmix"


# Exercise 1


def box_at(lam, row, column, height, width):
    box_height = int(np.sqrt(1 - lam) * height)
    box_width = int(np.sqrt(1 - lam) * width)
    top = row - box_height // 2
    left = column - box_width // 2
    bottom = top + box_height  # from the start, before it is clipped
    right = left + box_width
    return max(top, 0), max(left, 0), min(bottom, height), min(right, width)


def observe_box(answer):
    yield "lambda 0.75 about (50, 50) in 100 x 100", answer(0.75, 50, 50, 100, 100)
    yield "lambda 0.4375 about (50, 50) in 100 x 100", answer(0.4375, 50, 50, 100, 100)
    yield "lambda 0 about (0, 0) in 10 x 20", answer(0.0, 0, 0, 10, 20)
    yield "lambda 0 about (9, 9) in 10 x 10", answer(0.0, 9, 9, 10, 10)
    yield "lambda 1 about (5, 5) in 10 x 10", answer(1.0, 5, 5, 10, 10)
    yield (
        "the worked case, about (131, 554) in 800 x 800",
        answer(0.3117929697036743, 131, 554, 800, 800),
    )


box = Exercise(
    notebook=NOTEBOOK,
    number=1,
    title="The box",
    objective="turn a proportion into a box, and clip the box at the edge of the image",
    reference=box_at,
    observe=observe_box,
    hints=(
        "The columns play no part in the computation of the rows. Do the rows first, then the "
        "columns.",
        "For each: first the size, then the start, then the end. Clip last.",
        "`max` keeps a start inside the image, `min` an end.",
    ),
)


@box.right
def with_clip(lam, row, column, height, width):
    sides = np.array([height, width])
    sizes = (sides * (1 - lam) ** 0.5).astype(int)
    start = np.array([row, column]) - sizes // 2
    top, left = np.clip(start, 0, sides)
    bottom, right = np.clip(start + sizes, 0, sides)
    return int(top), int(left), int(bottom), int(right)


def square_root(lam, side):
    return int(np.sqrt(1 - lam) * side)


def clipped_start(start):
    return max(start, 0)


def clipped_end(start, size, side):
    return min(start + size, side)


def boxes(size=square_root, start=clipped_start, end=clipped_end):
    """Return an answer made of a rule for the size of a side, its start and its end."""

    def edges(lam, centre, side):
        length = size(lam, side)
        first = centre - length // 2
        return start(first), end(first, length, side)

    def answer(lam, row, column, height, width):
        top, bottom = edges(lam, row, height)
        left, right = edges(lam, column, width)
        return top, left, bottom, right

    return answer


box.wrong(
    "You multiplied each side by the proportion. Area is height times width, so you multiplied "
    "by the proportion twice: which area has your box, and which area should it have?",
    "proportion taken for the side",
)(boxes(lambda lam, side: int((1 - lam) * side)))
box.wrong(
    "Your box covers the proportion lambda. But lambda is what stays of A: which part of the "
    "image is left for the box?",
    "lambda taken for the box",
)(boxes(lambda lam, side: int(np.sqrt(lam) * side)))
box.wrong(
    "Your box may leave the image. Compare its edges with 0 and with the image's own height "
    "and width.",
    "not clipped",
)(boxes(start=lambda start: start, end=lambda start, size, side: start + size))
box.wrong(
    "You measured the end from the centre, half a size away. For an odd size two halves are "
    "one pixel short: what does 663 // 2 * 2 give?",
    "odd pixel lost",
)(boxes(end=lambda start, size, side: min(start + size // 2 * 2, side)))
box.wrong(
    "You moved the whole box into the image and kept its size. The part outside is to be cut "
    "off: measure the end from the start as it was before you clipped it.",
    "box pushed inside",
)(boxes(end=lambda start, size, side: min(max(start, 0) + size, side)))
box.wrong(
    "You made the last pixel a part of the box: bottom and right are meant as in a slice. "
    "How many rows has x[0:5]?",
    "end inside the box",
)(boxes(end=lambda start, size, side: min(start + size, side) - 1))


@box.wrong(
    "You took x first and y second, as on paper. Arrays put rows first: look at the order in "
    "the question."
)
def rows_and_columns_swapped(lam, row, column, height, width):
    top, left, bottom, right = box_at(lam, row, column, height, width)
    return left, top, right, bottom


@box.wrong(
    "The four numbers stand in another order than asked: you put the two of one axis side by "
    "side."
)
def edges_in_pairs(lam, row, column, height, width):
    top, left, bottom, right = box_at(lam, row, column, height, width)
    return top, bottom, left, right


# Exercise 2


def mix(label_a, label_b, box, height, width):
    top, left, bottom, right = box
    weight = (bottom - top) * (right - left) / (height * width)
    return (1 - weight) * label_a + weight * label_b


def observe_mix(answer):
    def mixed(*box):
        """Return the mixed label, and the two labels after the call."""
        one = np.array([1.0, 0, 0])
        half = np.array([0, 0.5, 0.5])
        return answer(one, half, box, 10, 20), (one, half)

    quarter, given = mixed(0, 0, 5, 10)
    yield "a quarter of B", quarter
    middle, _ = mixed(4, 6, 7, 10)
    yield "a box in the middle, 3 x 4 of 10 x 20", middle
    empty, _ = mixed(3, 3, 3, 3)
    yield "an empty box", empty
    everything, _ = mixed(0, 0, 10, 20)
    yield "a box over everything", everything
    yield "the two labels you were given, after the call", given


label = Exercise(
    notebook=NOTEBOOK,
    number=2,
    title="The label",
    objective="give the label exactly the weight of the pixels that were pasted",
    reference=mix,
    observe=observe_mix,
    hints=(
        "How many pixels are there in all, and how many of them are B's?",
        "Rows of the box times columns of the box, divided by all pixels: that is B's "
        "weight. A has the rest.",
    ),
)


@label.right
def by_counting(label_a, label_b, box, height, width):
    top, left, bottom, right = box
    window = np.zeros((height, width))
    window[top:bottom, left:right] = 1
    return label_a + window.mean() * (label_b - label_a)


@label.wrong(
    "The weights are swapped. Whose pixels fill the box? A small box must leave the label "
    "nearly A's."
)
def weights_swapped(label_a, label_b, box, height, width):
    return mix(label_b, label_a, box, height, width)


@label.wrong(
    "You measured from the image's corner to the box's last corner. Where does the box "
    "itself begin?"
)
def measured_from_the_corner(label_a, label_b, box, height, width):
    return mix(label_a, label_b, (0, 0, *box[2:]), height, width)


@label.wrong(
    "You gave B its weight and A the whole weight 1. What is the sum of your label? The "
    "pixels of A under the box are gone."
)
def nothing_taken_from_a(label_a, label_b, box, height, width):
    return mix(label_a, label_a + label_b, box, height, width)


@label.wrong(
    "You gave the whole weight to the class with more pixels. A label may be a mixture: give "
    "each class its own weight."
)
def winner_takes_all(label_a, label_b, box, height, width):
    top, left, bottom, right = box
    area = (bottom - top) * (right - left)
    return label_b if area > height * width / 2 else label_a


@label.wrong(
    "The result is right, but you changed the label you were given: `*=` and `+=` write into "
    "the array itself."
)
def input_changed(label_a, label_b, box, height, width):
    mixed = mix(label_a, label_b, box, height, width)
    label_a[:] = mixed
    return label_a


# Exercise 3


def mix_batch(images, labels, boxes, partner):
    height, width = images.shape[1:3]
    top, left, bottom, right = np.split(boxes, 4, axis=1)  # each (N, 1)
    row = np.arange(height)
    column = np.arange(width)
    in_rows = (row >= top) & (row < bottom)  # (N, H)
    in_columns = (column >= left) & (column < right)  # (N, W)
    mask = in_rows[:, :, None] & in_columns[:, None, :]  # (N, H, W)
    weight = mask.mean(axis=(1, 2))[:, None]
    mixed_images = np.where(mask[..., None], images[partner], images)
    mixed_labels = (1 - weight) * labels + weight * labels[partner]
    return mixed_images, mixed_labels


def observe_batch(answer):
    numbers = np.arange(1, 5, dtype="float32")
    images = np.ones((4, 6, 8, 3), "float32") * numbers[:, None, None, None]
    given = images.copy()
    boxes = np.array([[0, 0, 3, 8], [5, 5, 5, 5], [2, 2, 4, 6], [0, 0, 6, 8]])
    partner = np.array([1, 2, 3, 0])
    mixed, labels = answer(given, np.eye(4, dtype="float32"), boxes, partner)
    yield "the mixed images (image i is filled with the number i + 1)", mixed
    yield "the mixed labels, one row for each image", labels
    yield "the batch you were given, after the call", given
    label = np.ones((1, 1), "float32")
    alone = answer(images[:1], label, np.array([[1, 1, 3, 3]]), np.array([0]))
    yield "a batch of one, its own partner", tuple(alone)


batch = Exercise(
    notebook=NOTEBOOK,
    number=3,
    title="A whole batch",
    objective="mix a whole batch at once, each image with its own box and partner",
    reference=mix_batch,
    observe=observe_batch,
    hints=(
        "`images[partner]` is the batch of all partners, in the right order. The same works "
        "for labels.",
        "Section 3 made one mask from one box. Give the edges the shape (N, 1), and the same "
        "comparisons make N masks.",
        "`np.where(mask[..., None], images[partner], images)` pastes. The mean of a mask is "
        "its image's weight.",
    ),
)


@batch.right
def one_after_the_other(images, labels, boxes, partner):
    height, width = images.shape[1:3]
    mixed = images.copy()
    mixed_labels = labels.copy()
    for i, (top, left, bottom, right) in enumerate(boxes):
        other = partner[i]
        mixed[i, top:bottom, left:right] = images[other, top:bottom, left:right]
        mixed_labels[i] = mix(labels[i], labels[other], boxes[i], height, width)
    return mixed, mixed_labels


@batch.wrong(
    "You pasted into the batch you were reading from. Image 0 was mixed already when the "
    "last image took its window from it. Paste into a copy."
)
def pasted_into_its_own_source(images, labels, boxes, partner):
    _, mixed_labels = mix_batch(images, labels, boxes, partner)
    for i, (top, left, bottom, right) in enumerate(boxes):
        images[i, top:bottom, left:right] = images[partner[i], top:bottom, left:right]
    return images, mixed_labels


@batch.wrong(
    "All images got the first image's box. Look at the shape of your mask: it needs an axis "
    "for the images."
)
def one_box_for_all(images, labels, boxes, partner):
    first_box = boxes[:1].repeat(len(boxes), axis=0)
    return mix_batch(images, labels, first_box, partner)


@batch.wrong(
    "The images are right, but all labels got the same weight: you took the mean over the "
    "whole batch, too."
)
def one_weight_for_all(images, labels, boxes, partner):
    mixed, _ = mix_batch(images, labels, boxes, partner)
    top, left, bottom, right = np.transpose(boxes)
    height, width = images.shape[1:3]
    weight = np.mean((bottom - top) * (right - left)) / (height * width)
    return mixed, (1 - weight) * labels + weight * labels[partner]


@batch.wrong(
    "The images are mixed and the labels are as before. Which weights belong to the pixels "
    "of image 0?"
)
def labels_left_alone(images, labels, boxes, partner):
    mixed, _ = mix_batch(images, labels, boxes, partner)
    return mixed, labels


@batch.wrong(
    "Your window is one row and one column too large: `<=` takes bottom and right in, a "
    "slice leaves them out."
)
def end_taken_in(images, labels, boxes, partner):
    larger = boxes + np.array([0, 0, 1, 1])
    mixed, _ = mix_batch(images, labels, larger, partner)
    _, mixed_labels = mix_batch(images, labels, boxes, partner)
    return mixed, mixed_labels


# Exercise 4

fault = quiz(
    notebook=NOTEBOOK,
    number=4,
    title="Find the fault",
    objective="find a wrong label by counting pixels",
    name="fault",
    right="B",
    because="Around (5, 60) the box is clipped, and the label uses the area before clipping.",
    wrong={
        "A": (
            "You think that the window comes from the wrong image. Count again: which number "
            "is in the window, and which number is the partner's?"
        ),
        "C": (
            "You think that the sum is wrong. Add the two weights. Then compare each with the "
            "pixels."
        ),
    },
    hints=(
        "Mix images that are filled with their own number, as in section 8, and print one of "
        "them.",
        "Where does the box about row 5 begin? Which pixels does (1 - lam) count?",
    ),
)


# Exercise 5

# Student's t: beyond so many standard errors the mean of n numbers is by chance in 5 of 100
# cases if the true mean is 0. Keys are n.
T_LIMITS = {3: 4.30, 4: 3.18, 5: 2.78}


def verdict(changes):
    n = len(changes)
    standard_error = np.std(changes, ddof=1) / np.sqrt(n)
    margin = T_LIMITS[n] * standard_error
    if abs(np.mean(changes)) <= margin:
        return "cannot tell"
    return "helps" if np.mean(changes) > 0 else "hurts"


def observe_verdict(answer):
    tables = [
        [0.10, 0.12, 0.11],
        [-0.10, -0.12, -0.11],
        [-0.10, 0.10, 0.01],
        [0.10, 0.02, 0.05],
        [0.05, 0.01, 0.00],
        [0.10, 0.045, 0.06],
        [0.10, 0.05, 0.06],
        [0.09, 0.03, 0.001],
        [0.11, 0.12, 0.10, 0.11, -0.01],
        [-0.05, 0.01, 0.00],
    ]
    for changes in tables:
        yield f"the changes {changes}", answer(np.array(changes))


table = Exercise(
    notebook=NOTEBOOK,
    number=5,
    title="The verdict",
    objective="judge from several seeds whether CutMix helped",
    reference=verdict,
    observe=observe_verdict,
    hints=(
        "Three numbers are needed: the mean, the standard error, and the limit for this many "
        "seeds.",
        "`np.std(changes, ddof=1)` divided by the root of n is the standard error. How far "
        "from 0 must the mean be, on either side?",
    ),
)


@table.right
def by_interval(changes):
    changes = np.asarray(changes)
    margin = T_LIMITS[changes.size] * changes.std(ddof=1) / changes.size**0.5
    if changes.mean() - margin > 0:
        return "helps"
    return "hurts" if changes.mean() + margin < 0 else "cannot tell"


@table.wrong(
    "You looked at the sign of the mean alone. The mean of a few numbers is hardly ever "
    "exactly 0, even if nothing changed. Compare it with the margin."
)
def sign_of_the_mean(changes):
    return "helps" if np.mean(changes) > 0 else "hurts"


@table.wrong(
    "You asked whether all seeds agree. Three may agree by chance, and one may differ: compare "
    "mean and margin."
)
def all_seeds_agree(changes):
    if min(changes) > 0:
        return "helps"
    return "hurts" if max(changes) < 0 else "cannot tell"


def by_margin(margin):
    """Return an answer with a margin of its own, made of the deviation and the number."""

    def answer(changes):
        mean = np.mean(changes)
        deviation = np.std(changes, ddof=1)
        if abs(mean) <= margin(deviation, len(changes)):
            return "cannot tell"
        return "helps" if mean > 0 else "hurts"

    return answer


table.wrong(
    "Your margin is made of the deviation of single runs. The mean of several runs varies "
    "less: what does their number do?",
    "number of seeds forgotten",
)(by_margin(lambda deviation, n: T_LIMITS[n] * deviation))
table.wrong(
    "You asked for one standard error. If nothing changes, one is passed by chance in more "
    "than a third of all comparisons.",
    "limit forgotten",
)(by_margin(lambda deviation, n: deviation / n**0.5))
table.wrong(
    "You asked for two standard errors. With few seeds the standard error is itself uncertain: "
    "which limit is in the table for this many seeds?",
    "two standard errors",
)(by_margin(lambda deviation, n: 2 * deviation / n**0.5))
table.wrong(
    "You took the limit of three seeds for every number of seeds. Which key of the table "
    "belongs to five changes?",
    "always the limit of three",
)(by_margin(lambda deviation, n: T_LIMITS[3] * deviation / n**0.5))


@table.wrong(
    "You used NumPy's own deviation, which divides by n. Read the exercise again: which `ddof` "
    "did it ask for?"
)
def deviation_divided_by_n(changes):
    n = len(changes)
    error = np.std(changes) / np.sqrt(n)
    return by_margin(lambda deviation, n: T_LIMITS[n] * error)(changes)


@table.wrong(
    "You look for gains only. A mean can also be so far *below* 0 that the whole interval is "
    'negative: then the answer is "hurts".'
)
def losses_not_found(changes):
    found = verdict(changes)
    return "cannot tell" if found == "hurts" else found
