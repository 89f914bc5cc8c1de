"""Notebook 08: the labels it shows are true, and its steps give what the helper gives."""

import numpy as np
import pytest
import tensorflow as tf
from lessons import (
    assert_labels_name_their_classes,
    augmented_parts,
    code_cells,
    definitions,
    mixed_labels,
    run_cells,
)

from helpers import cutmix


def test_a_mixed_image_names_its_classes_and_their_weights_add_up_to_one():
    figures = mixed_labels("08")
    assert len(figures) == 3
    mixed = [label for labels in figures for label in labels if len(label) == 2]
    assert len(mixed) >= 6
    assert_labels_name_their_classes(figures)


def test_only_training_images_are_augmented():
    assert augmented_parts("08") == ["'train'"]


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (5, 33, 47, 1), (32, 96, 96, 3)])
@pytest.mark.parametrize("alpha", [0.05, 1.0, 30.0])
def test_the_steps_of_the_lesson_give_what_the_helper_gives(shape, alpha):
    """Bit for bit, for images that are not square, too."""
    steps = ("place_boxes", "pasted_proportion", "paste", "mix_labels", "mix_with")
    mix_with = definitions("08", *steps)["mix_with"]
    batch, height, width, _ = shape
    generator = np.random.default_rng(seed=1)
    images = tf.constant(generator.integers(0, 256, size=shape), tf.uint8)
    labels = tf.one_hot(generator.integers(0, 5, size=batch), 5)
    numbers = cutmix.random_numbers(batch, seed=(2, 3))
    row, column = cutmix.sample_centres(numbers, height, width)
    ours, our_labels = mix_with(
        images,
        labels,
        cutmix.sample_lambda(numbers, alpha),
        row,
        column,
        cutmix.partners(numbers),
    )
    expected, expected_labels = cutmix.cutmix(images, labels, (2, 3), alpha=alpha)
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(our_labels, expected_labels)


STEPS = ("place_boxes", "pasted_proportion", "paste", "mix_labels", "mix_with", "draw")


def test_the_step_of_the_lesson_draws_anew_in_each_epoch():
    """With a global seed, `tf.random.uniform` would repeat the first epoch in each epoch."""
    tf.random.set_seed(0)
    scope = definitions("08", *STEPS, "cutmix_step", "numbered_batch")
    scope["generator"] = tf.random.Generator.from_seed(5)
    batch = scope["numbered_batch"](height=20, width=30)
    dataset = tf.data.Dataset.from_tensors(batch).map(scope["cutmix_step"])
    first, second = (next(iter(dataset))[0].numpy() for _ in range(2))
    assert not np.array_equal(first, second)

    orders = tf.data.Dataset.range(3).map(lambda number: tf.random.shuffle(tf.range(8)))
    first, second = (np.array(list(orders)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_both_arms_are_mirrored_alike_and_anew_in_each_epoch():
    mirror_with = definitions("08", "mirror_with")["mirror_with"]
    ramp = np.arange(8, dtype="uint8")[None, None, :, None]
    images = tf.constant(np.broadcast_to(ramp, (20, 4, 8, 3)))
    batches = tf.data.Dataset.from_tensors((images, tf.eye(20)))
    arms = [batches.map(mirror_with(3)) for _ in range(2)]
    epochs = [[next(iter(arm))[0].numpy() for _ in range(2)] for arm in arms]
    assert not np.array_equal(epochs[0][0], epochs[0][1])
    np.testing.assert_array_equal(epochs[0], epochs[1])


@pytest.mark.long
def test_fifteen_seeds_cannot_tell_whether_cutmix_helps():
    cells = code_cells("08_cutmix")
    (last,) = (n for n, cell in enumerate(cells) if "def validation_accuracy" in cell)
    lesson, _ = run_cells(cells, last)
    changes = []
    for seed in range(1, 16):
        base = lesson["validation_accuracy"](seed, [lesson["mirror_with"](seed)])
        mixing = cutmix.CutMix(alpha=1.0, probability=0.5, seed=seed)
        steps = [lesson["mirror_with"](seed), mixing]
        changes.append(lesson["validation_accuracy"](seed, steps) - base)
    margin = 2.145 * np.std(changes, ddof=1) / np.sqrt(15)  # Student's t, 14 degrees of freedom
    assert np.mean(changes) - margin < 0 < np.mean(changes) + margin


def test_the_lessons_count_tells_a_wrong_label_from_a_right_one():
    scope = definitions("08", *STEPS, "numbered_batch", "worst_label_error", "suspect")
    scope["generator"] = tf.random.Generator.from_seed(5)
    wrong_by = scope["worst_label_error"]
    images, labels = scope["numbered_batch"](height=65, width=97)
    assert wrong_by(images, labels) == 0
    assert wrong_by(*scope["suspect"](images, labels)) > 0.1

    numbers = scope["draw"](32, 65, 97)
    mixed, mixed_labels = scope["mix_with"](images, labels, *numbers)
    assert wrong_by(mixed, mixed_labels) < 1e-6
    red_only = tf.concat([mixed[..., :1], images[..., 1:]], axis=-1)
    assert wrong_by(red_only, mixed_labels) > 0.1

    paste = scope["paste"]
    scope["paste"] = lambda images, boxes, partner: paste(
        images, tf.gather(boxes, [1, 0, 3, 2], axis=1), partner
    )
    assert wrong_by(*scope["mix_with"](images, labels, *numbers)) > 0.1


def test_the_loop_of_the_lesson_pastes_what_the_masks_paste():
    scope = definitions("08", "place_boxes", "paste", "loop_paste")
    images = tf.random.stateless_uniform([4, 20, 30, 3], seed=(1, 2))
    boxes = scope["place_boxes"](
        tf.constant([0.0, 0.3, 0.9, 1.0]),
        tf.constant([0, 10, 19, 5]),
        tf.constant([29, 0, 15, 5]),
        20,
        30,
    )
    partner = tf.constant([1, 2, 3, 0])
    np.testing.assert_array_equal(
        scope["loop_paste"](images, boxes, partner), scope["paste"](images, boxes, partner)
    )
