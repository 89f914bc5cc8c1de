"""What the built notebooks 08, 09 and 10 show is true: schedules, rates, labels and augmentation."""

import ast
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import schedules
from helpers.augment import RandomAffine, assert_training_only, keras_stack

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SHARE = r"\d\.\d{2,3} (?:daisy|dandelion|roses|sunflowers|tulips)"


def built(notebook):
    """Return the statements of a built notebook's code, and the outputs stored in it."""
    (path,) = NOTEBOOKS.glob(f"{notebook}_*.ipynb")
    cells = [
        cell
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    nodes = [node for cell in cells for node in ast.parse("".join(cell["source"])).body]
    return nodes, [output for cell in cells for output in cell["outputs"]]


def values(notebook, names, **given):
    """Return what a notebook binds to some names, running only these assignments and classes, in its order."""
    scope = {
        "keras": keras,
        "math": math,
        "schedules": schedules,
        "RandomAffine": RandomAffine,
        **given,
    }
    for node in built(notebook)[0]:
        if {getattr(node, "name", None), *map(ast.unparse, getattr(node, "targets", []))} & set(
            names
        ):
            exec(compile(ast.Module([node], []), notebook, "exec"), scope)
    return [scope[name] for name in names]


def planned(notebook, name, profile):
    """Return a schedule as its notebook builds it, and the steps of the run it is for."""
    if notebook == "09":
        per_epoch, epochs, run, _, schedule = values(
            "09", ["STEPS_PER_EPOCH", "EPOCHS", "RUN", "MyCosine", name]
        )
        return schedule, run * 32 if name == "good" else epochs * per_epoch
    printed = "".join("".join(output.get("text", "")) for output in built("10")[1])
    given = {
        "course": SimpleNamespace(pick=lambda **choice: choice[profile]),
        "flowers": SimpleNamespace(
            counts={"train": int(re.search(r"classes; (\d+) train", printed)[1])}
        ),
    }
    epochs, _, steps, schedule = values("10", ["EPOCHS", "BATCH", "steps", "schedule"], **given)
    parts = f"warm-up {schedule.warmup_steps}, then cosine {schedule.decay_steps}\n"
    assert profile == "full" or f"\n{epochs} epochs of {steps} steps; {parts}" in printed
    return schedule, epochs * steps


RUNS = [("09", name, "quick") for name in ("cosine", "mine", "kerass", "good")]


@pytest.mark.parametrize(
    ("notebook", "name", "profile"),
    [*RUNS, *(("10", "schedule", p) for p in ("quick", "full"))],
)
def test_a_schedule_ends_with_its_run_and_not_before(notebook, name, profile):
    schedule, run = planned(notebook, name, profile)
    assert schedule.warmup_steps + schedule.decay_steps == run
    peak, late, end = (
        float(schedule(step)) for step in (schedule.warmup_steps, int(0.95 * run), run)
    )
    assert 0.001 * peak < late < 0.02 * peak
    assert end == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("notebook", "name"), [("09", "good"), ("10", "schedule")])
def test_the_rates_an_optimizer_uses_are_the_curve_that_is_drawn(notebook, name):
    schedule, run = planned(notebook, name, "quick")
    model, recorder = (
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
        schedules.RecordLearningRate(),
    )
    model.compile(keras.optimizers.SGD(schedule), "mse")
    model.fit(np.ones((run, 2)), np.ones(run), batch_size=1, verbose=0, callbacks=[recorder])
    np.testing.assert_allclose(recorder.rates, schedules.sample(schedule, run), rtol=1e-5)


@pytest.mark.parametrize(("notebook", "figures", "mixed"), [("08", 3, 6), ("10", 1, 0)])
def test_a_mixed_image_names_its_classes_and_their_weights_add_up_to_one(
    notebook, figures, mixed
):
    alts = [
        output.get("metadata", {}).get("image/png", {}).get("alt", "")
        for output in built(notebook)[1]
    ]
    found = [re.findall(rf"{SHARE}(?: (?:\+ )?{SHARE})*", alt) for alt in alts]
    labels = [
        [share.split() for share in re.findall(SHARE, label)]
        for labels in found
        for label in labels
    ]
    assert sum(map(bool, found)) == figures
    assert sum(len(label) == 2 for label in labels) >= mixed
    for label in labels:
        assert len({name for _, name in label}) == len(label) <= 2, label
        assert sum(float(weight) for weight, _ in label) == pytest.approx(1, abs=0.0101), label


def test_augmentation_is_for_training_only():
    images = np.random.default_rng(0).integers(0, 256, (8, 24, 24, 3), dtype="uint8")
    (affine,) = values("10", ["affine"])
    assert assert_training_only(keras_stack(seed=3), images.astype("float32")).training > 0.5
    assert (
        assert_training_only(
            lambda x, training: affine(tf.constant(x)) if training else x, images
        ).training
        > 0.5
    )
    calls = [
        call
        for n in ("08", "10")
        for node in built(n)[0]
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    ]
    random = {"augment", "random_crop", "random_flip"}
    splits = [
        ast.unparse(call.args[0])
        for call in calls
        if random & {word.arg for word in call.keywords}
    ]
    assert splits == ["'train'", "'train'"], "a pipeline that augments is one to train from"
