"""Notebook 08: the labels it shows are true, and its steps give what the helper gives."""

import numpy as np
import pytest
import tensorflow as tf
from lessons import (
    assert_labels_name_their_classes,
    augmented_parts,
    definitions,
    mixed_labels,
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


def test_the_lessons_count_tells_a_wrong_label_from_a_right_one():
    scope = definitions(
        "08", "place_boxes", "paste", "numbered_batch", "worst_label_error", "suspect"
    )
    images, labels = scope["numbered_batch"](size=65)
    assert scope["worst_label_error"](images, labels) == 0
    assert scope["worst_label_error"](*scope["suspect"](images, labels)) > 0.1


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
