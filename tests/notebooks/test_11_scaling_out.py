"""Claims of notebook 11 that its cells do not assert."""

import ast
import math
import re

import keras
import numpy as np
import pytest
from lessons import TEXT, code_cells

from helpers import models
from helpers.exercises import ex11_scaling_out as scaling_out

CELLS = code_cells("11_scaling_out")
PROSE = " ".join(
    (TEXT / "11_scaling_out.py").read_text(encoding="utf-8").replace("\n# ", "\n").split()
)


def value_of(name):
    """Return what the notebook assigns to a name."""
    assignments = [
        node for cell in CELLS for node in ast.parse(cell).body if isinstance(node, ast.Assign)
    ]
    (value,) = [
        node.value for node in assignments if ast.unparse(node.targets[0]).strip("()") == name
    ]
    return eval(ast.unparse(value))


def multiply_adds(model):
    """Count those of convolutions and dense layers: a kernel's weights, once for each place."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif getattr(layer, "kernel", None) is not None:
            places = math.prod(layer.output.shape[1:-1]) if len(layer.output.shape) == 4 else 1
            total += places * math.prod(layer.kernel.shape)
    return total


NETWORKS = value_of("NETWORKS")
SHARE, DEVICE = value_of("SHARE, DEVICE")


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_parameters_and_multiply_adds_are_the_networks_own(name):
    model = getattr(keras.applications, name)(weights=None)
    parameters, work = NETWORKS[name]
    assert model.count_params() == pytest.approx(parameters, rel=0.01)
    assert multiply_adds(model) == pytest.approx(work, rel=0.02)


@pytest.mark.slow
def test_vgg16_is_counted_by_hand():
    """Half a gigabyte of weights is too much to build for a number."""
    parameters = work = 0
    size, depth = 224, 3
    for blocks, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(blocks):
            parameters += (9 * depth + 1) * width
            work += 9 * depth * width * size**2
            depth = width
        size //= 2
    assert (
        parameters == keras.applications.VGG16(weights=None, include_top=False).count_params()
    )
    for inputs, outputs in ((size**2 * depth, 4096), (4096, 4096), (4096, 1000)):
        parameters += (inputs + 1) * outputs
        work += inputs * outputs
    assert parameters == pytest.approx(NETWORKS["VGG16"][0], rel=0.01)
    assert work == pytest.approx(NETWORKS["VGG16"][1], rel=0.01)


def test_resnet50_has_some_400_times_the_work_of_what_is_measured():
    times = NETWORKS["ResNet50"][1] / multiply_adds(
        models.transfer_classifier("bundled", 104, 96)
    )
    assert 375 < times < 425
    assert "some 400 times the multiply-adds" in PROSE


def test_a_second_machine_makes_training_slower_at_1_gbit():
    """Per image: two machines have done twice the images in their longer step."""
    for parameters, work in NETWORKS.values():
        alone = scaling_out.step_seconds(SHARE, DEVICE / (3 * work), parameters, 1, 1)
        assert (
            scaling_out.step_seconds(SHARE, DEVICE / (3 * work), parameters, 2, 1) > 2 * alone
        )
    assert "a second machine makes training *slower* than one" in PROSE


def test_the_smallest_model_does_not_come_off_best():
    ratio = {name: work / parameters for name, (parameters, work) in NETWORKS.items()}
    assert min(ratio, key=ratio.get) == "MobileNetV2"


def test_the_sums_in_words_are_right():
    speed = DEVICE / (3 * NETWORKS["ResNet50"][1])
    flowers, imagenet = (images / speed for images in value_of("RUNS").values())
    assert flowers / 60 == pytest.approx(2.5, rel=0.05)
    assert imagenet / 3600 / 24 == pytest.approx(1.5, rel=0.07)
    step = scaling_out.step_seconds(SHARE, speed, NETWORKS["ResNet50"][0], 64, 100)
    assert 0.7 < imagenet / 3600 / 64 * step / (SHARE / speed) < 1.2, "an hour"
    for words in (
        "two and a half minutes",
        "a day and a half down to an hour",
        "a factor of five",
    ):
        assert words in PROSE
    slow = scaling_out.step_seconds(SHARE, speed, NETWORKS["ResNet50"][0], 64, 10)
    assert slow / (SHARE / speed) == pytest.approx(5, rel=0.1)


def test_keras_distribution_does_nothing_on_this_backend():
    from keras import distribution

    distribution.set_distribution(distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
    try:
        model = models.dense_classifier()
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(np.zeros((4, 28, 28)), np.zeros(4), verbose=0)
        assert model.distribute_strategy.num_replicas_in_sync == 1
    finally:
        distribution.set_distribution(None)


def test_the_launch_command_in_the_prose_exists(capsys):
    from helpers.distributed import __main__ as command

    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    commands = re.findall(r"python -m helpers\.distributed([^`]*?)`", PROSE)
    assert len(commands) >= 3
    assert set(re.findall(r"--[a-z-]+", " ".join(commands))) <= known
