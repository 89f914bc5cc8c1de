"""Keras on JAX: the recipe of docs/tpu.md is run as it stands there, on a CPU split in two.

The backend is chosen when Keras is imported, so everything under JAX runs in a process of its
own; here its findings are judged, and the model it saved is opened under TensorFlow.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from lessons import code_cells

from helpers import schedules

pytestmark = pytest.mark.slow

pytest.importorskip("jax")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tpu.md"
TWO_DEVICES = "--xla_force_host_platform_device_count=2"

# After the recipe, in the same process.
PROBES = """
import json
import numpy as np

from helpers import runtime


def weights_of(model):
    return {w.path: np.array(w) for w in model.weights}


found = {"ready": runtime.device_line(), "weights": model.weights[0].dtype}
found["policy"] = keras.config.dtype_policy().name
found["head"], found["tuned"], found["rates"] = head.history, tuned.history, rate.rates
found["sampled"] = schedules.sample(schedule, len(rate.rates)).tolist()
found["score"] = score.confusion.tolist()
# Neither batches of 33 nor the last one, of 1, can be cut in two.
uneven = training.evaluate(model, flowers.batches("val", 33), mirror=True)
found["score of uneven batches"] = uneven.confusion.tolist()
loaded = keras.models.load_model("flowers.keras")
images = np.stack([image for image, _ in flowers.val.take(8)])
np.savez("answers.npz", images=images, logits=loaded.predict(images, verbose=0))
untrained = models.transfer_classifier(BACKBONE, flowers.num_classes, None)
before, after = weights_of(untrained), weights_of(model)
found["moved"] = {path: not np.array_equal(before[path], after[path]) for path in after}
try:
    loaded.fit(flowers.batches("train", 33, one_hot=True).take(1), verbose=0, shuffle=False)
    found["uneven batch"] = "trained"
except Exception as error:
    found["uneven batch"] = type(error).__name__

# Two devices against one: the same batches, the same seeds.
keras.config.set_dtype_policy("float32")
batches = [(x.numpy(), y.numpy()) for x, y in train.take(4)]
ends = []
found["devices of a weight"] = []
for some in (devices, devices[:1]):
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=some))
    keras.utils.set_random_seed(1)
    twin = models.transfer_classifier(BACKBONE, flowers.num_classes, None)
    models.unfreeze(twin, last=0.5)
    start = weights_of(twin)
    twin.compile(keras.optimizers.SGD(schedules.WarmupCosine(0.05, 1, 7), momentum=0.9), loss)
    seen = [float(twin.train_on_batch(*batch)) for _ in range(2) for batch in batches]
    ends.append((seen, weights_of(twin)))
    numbers = {len(weight.value.devices()) for weight in twin.weights}
    found["devices of a weight"].append(sorted(numbers))


def distance(ones, others):
    return max(float(np.abs(ones[path] - others[path]).max()) for path in ones)


(two, weights_of_two), (one, weights_of_one) = ends
found["losses of two and one"] = two, one
found["apart"] = distance(weights_of_two, weights_of_one)
found["way"] = distance(weights_of_one, start)

# A schedule by itself.
cosine = keras.optimizers.schedules.CosineDecay(0.0, 90, warmup_target=0.01, warmup_steps=10)
ours = schedules.WarmupCosine(0.01, 10, 90)
found["cosines"] = [schedules.sample(each, 120).tolist() for each in (cosine, ours)]
json.dump(found, open("found.json", "w"))
"""


def run_python(code: str, folder: Path, **environment: str) -> str:
    """Run code in a fresh process and return what it printed, errors and warnings included."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder in which the recipe ran, on half of the bundled flowers."""
    folder = tmp_path_factory.mktemp("jax")
    bundled = ROOT / "data" / "flowers"
    for shard in ("train/00-192x192-175", "train/01-192x192-175", "val/00-192x192-100"):
        shard = f"tfrecords-jpeg-192x192/{shard}.tfrec"
        (folder / "data" / shard).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bundled / shard, folder / "data" / shard)
    shutil.copy(bundled / "classes.json", folder / "data")
    (recipe,) = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"))
    code = recipe + PROBES
    (folder / "printed.txt").write_text(
        run_python(
            code,
            folder,
            COURSE_PROFILE="quick",
            COURSE_DATA=str(folder / "data"),
            XLA_FLAGS=TWO_DEVICES,
        )
    )
    return folder


@pytest.fixture(scope="module")
def found(folder) -> dict:
    """What the process under JAX found."""
    return json.loads((folder / "found.json").read_text())


def test_the_recipe_runs_on_two_devices_in_bfloat16(found, folder):
    assert found["ready"] == "2 x JAX CPU"
    assert found["policy"] == "mixed_bfloat16"
    assert found["weights"] == "float32"
    printed = (folder / "printed.txt").read_text()
    assert "| 2 x JAX CPU | quick profile" in printed
    assert "truncated to dtype" not in printed, "JAX has no int64; nothing should ask for it"


def test_the_losses_fall_and_the_score_beats_guessing(found):
    losses = [*found["head"]["loss"], *found["tuned"]["loss"]]
    assert losses[0] > losses[1] > losses[2] > losses[3]
    validated = [*found["head"]["val_loss"], *found["tuned"]["val_loss"]]
    assert validated[-1] < validated[0]
    matrix = np.array(found["score"])
    assert matrix.sum() == 100
    assert np.trace(matrix) > 40, "one in five is guessing"


def test_the_rate_is_the_schedules_in_every_step(found):
    assert len(found["rates"]) == 2 * (350 // 32)
    np.testing.assert_allclose(found["rates"], found["sampled"], rtol=1e-5, atol=1e-9)
    assert max(found["rates"]) == pytest.approx(1e-3, rel=1e-5)


def test_batches_that_cannot_be_cut_are_judged_but_not_trained_on(found):
    assert found["score of uneven batches"] == found["score"]
    assert found["uneven batch"].endswith("Error"), (
        "the batches of fit are cut into one part for each device"
    )


def test_batch_normalisation_keeps_its_statistics(found):
    norms = {path: moved for path, moved in found["moved"].items() if "_bn/" in path}
    assert len(norms) == 4 * 15
    assert not any(norms.values())
    assert sum(found["moved"].values()) > 5, "others learn"


def test_two_devices_train_as_one(found):
    assert found["devices of a weight"] == [[2], [1]]
    two, one = found["losses of two and one"]
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert found["way"] > 0.01
    assert found["apart"] < 1e-5 * found["way"]


def test_tensorflow_opens_the_model_and_gives_the_same_answers(found, folder):
    model = keras.models.load_model(folder / "flowers.keras")
    rate = keras.optimizers.schedules.deserialize(model.optimizer.get_config()["learning_rate"])
    assert isinstance(rate, schedules.WarmupCosine)
    answers = np.load(folder / "answers.npz")
    logits = model.predict(answers["images"], verbose=0)
    assert (
        logits.argmax(axis=1) == answers["logits"].argmax(axis=1)
    ).mean() >= 7 / 8  # bfloat16 may tip a close one
    np.testing.assert_allclose(logits, answers["logits"], atol=0.05)


def test_schedules_compute_on_jax(found):
    theirs, ours = found["cosines"]
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-8)
    assert max(ours) == pytest.approx(0.01)


@pytest.mark.long
def test_notebook_10_runs_on_jax_as_it_is(tmp_path):
    """Its own asserts judge it."""
    printed = run_python(
        "\n".join(code_cells("10_flowers_finetuning")),
        tmp_path,
        KERAS_BACKEND="jax",
        COURSE_PROFILE="quick",
        COURSE_DATA="bundled",
        COURSE_OUTPUT=str(tmp_path),
    )
    assert "1 x JAX CPU | quick profile" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["macro_f1"] > results["from_scratch_macro_f1"] + 0.1
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 1 + 100
