"""What the built notebook 10 shows is true: its schedule, rates, labels and augmentation."""

import math
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from lessons import (
    assert_labels_name_their_classes,
    augmented_parts,
    built,
    mixed_labels,
    values,
)

from helpers import schedules
from helpers.augment import RandomAffine


def planned(profile):
    """Return the schedule as the notebook builds it, and the epochs and steps of its run."""
    printed = "".join("".join(output.get("text", "")) for output in built("10")[1])
    count = int(re.search(r"classes; (\d+) train", printed)[1])
    epochs, _, steps, schedule = values(
        "10",
        ["EPOCHS", "BATCH", "steps", "schedule"],
        math=math,
        schedules=schedules,
        course=SimpleNamespace(pick=lambda **choice: choice[profile]),
        flowers=SimpleNamespace(counts={"train": count}),
    )
    return schedule, epochs, steps, printed


def test_the_printed_plan_is_the_schedules():
    schedule, epochs, steps, printed = planned("quick")
    parts = f"warm-up {schedule.warmup_steps}, then cosine {schedule.decay_steps}"
    assert f"\n{epochs} epochs of {steps} steps; {parts}\n" in printed


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_schedule_ends_with_its_run_and_not_before(profile):
    schedule, epochs, steps, _ = planned(profile)
    run = epochs * steps
    assert schedule.warmup_steps + schedule.decay_steps == run
    peak = float(schedule(schedule.warmup_steps))
    late = float(schedule(int(0.95 * run)))
    assert 0.001 * peak < late < 0.02 * peak
    assert float(schedule(run)) == pytest.approx(0, abs=1e-9)


def test_the_rates_an_optimizer_uses_are_the_curve_that_is_drawn():
    schedule, epochs, steps, _ = planned("quick")
    run = epochs * steps
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    recorder = schedules.RecordLearningRate()
    model.fit(np.ones((run, 2)), np.ones(run), batch_size=1, verbose=0, callbacks=[recorder])
    np.testing.assert_allclose(recorder.rates, schedules.sample(schedule, run), rtol=1e-5)


def test_a_mixed_image_names_its_classes_and_their_weights_add_up_to_one():
    figures = mixed_labels("10")
    assert len(figures) == 1
    assert_labels_name_their_classes(figures)


def test_augmentation_is_for_training_only():
    images = np.random.default_rng(0).integers(0, 256, (8, 24, 24, 3), dtype="uint8")
    (affine,) = values("10", ["affine"], RandomAffine=RandomAffine)
    assert np.mean(affine(tf.constant(images)) != images) > 0.5
    # A pipeline that augments is one to train from.
    assert augmented_parts("10") == ["'train'"]
