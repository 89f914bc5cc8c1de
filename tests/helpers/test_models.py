"""Models: parameters by hand, preprocessing as in Keras, what is frozen, what is refused."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module

import keras
import numpy as np
import pytest

from helpers import models

MODULES = {
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3",
    "VGG16": "vgg16",
    "ResNet50": "resnet50",
    "DenseNet121": "densenet",
}


def photos(count=4, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype("uint8")


def backbone_of(model):
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def statistics(model):
    """Moving means and variances of the backbone's batch normalisation."""
    return [w.numpy() for w in backbone_of(model).weights if "moving" in w.path]


def kernels(model):
    """Weights of the backbone's layers, by path."""
    return {w.path: w.numpy() for w in backbone_of(model).weights if "moving" not in w.path}


def tiny(**options):
    keras.utils.set_random_seed(1)
    model = models.transfer_classifier("bundled", 3, 32, weights=None, **options)
    give_batch_norm_statistics(backbone_of(model), photos(8, seed=5).astype("float32"))
    return model


def give_batch_norm_statistics(base, images):
    """Without statistics a deep network of random weights shrinks every image to nothing."""
    norms = [
        layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in norms:
        layer.momentum, layer.trainable = 0.0, True
    base(images, training=True)
    for layer in norms:
        layer.trainable = False


def fit(model, steps=2):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(photos(8), np.arange(8) % 3, batch_size=4, epochs=steps, verbose=0)


# --- dense_classifier and small_cnn ---------------------------------------------------


def test_dense_classifier_has_the_parameters_worked_out_by_hand():
    model = models.dense_classifier()
    assert (
        model.count_params() == (784 * 100 + 100) + (100 * 30 + 30) + (30 * 10 + 10) == 81_840
    )
    assert model.output_shape == (None, 10)


def test_small_cnn_has_the_parameters_worked_out_by_hand():
    convolutions = (3 * 3 * 3 * 16 + 16) + (3 * 3 * 16 * 32 + 32) + (3 * 3 * 32 * 64 + 64)
    side = 180 // 2 // 2 // 2
    dense = (side * side * 64 * 128 + 128) + (128 * 5 + 5)
    assert models.small_cnn(5).count_params() == convolutions + dense == 3_989_285


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.dense_classifier(4, (16, 16, 3)),
        lambda: models.small_cnn(4, 16),
    ],
)
def test_images_in_0_to_255_are_scaled_inside(build):
    model = build()
    images = photos(size=16)
    floats = images.astype("float32")
    rescaled = keras.Model(model.input, model.get_layer("rescaling").output)(floats)
    np.testing.assert_allclose(rescaled, images / 255.0, rtol=1e-6)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), model(floats), rtol=1e-5, atol=1e-6
    )


def test_probabilities_are_the_softmax_of_the_logits():
    images = photos(size=16)
    keras.utils.set_random_seed(0)
    logits = models.dense_classifier(4, (16, 16, 3)).predict(images, verbose=0)
    keras.utils.set_random_seed(0)
    sure = models.dense_classifier(4, (16, 16, 3), logits=False).predict(images, verbose=0)
    assert abs(logits.sum(axis=1) - 1).min() > 1e-3
    np.testing.assert_allclose(sure, keras.ops.softmax(logits), rtol=1e-5)


def test_augmentation_inside_acts_in_training_only():
    model = models.small_cnn(3, 16, augmentation=keras.layers.RandomFlip("horizontal", seed=0))
    images = photos(16, 16).astype("float32")
    seen = keras.Model(model.input, model.get_layer("rescaling").output)
    np.testing.assert_allclose(seen(images, training=False), images / 255, rtol=1e-6)
    assert not np.allclose(seen(images, training=True), images / 255)


def test_dropout_is_there_only_when_asked_for():
    assert models.small_cnn(3, 16, dropout=0.3).get_layer("dropout").rate == 0.3
    assert not any(
        isinstance(layer, keras.layers.Dropout) for layer in models.small_cnn(3, 16).layers
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: models.dense_classifier(1), "num_classes must be finite, at least 2"),
        (lambda: models.dense_classifier(True), "num_classes must be finite, at least 2"),
        (lambda: models.small_cnn(0), "num_classes must be finite, at least 2"),
        (lambda: models.small_cnn(3, 7), "image_size must be finite, at least 8; got 7"),
        (lambda: models.small_cnn(3, 16, dropout=1.5), "rate"),
    ],
)
def test_builders_refuse_what_they_cannot_build(build, words):
    with pytest.raises(ValueError, match=words):
        build()


# --- transfer_classifier --------------------------------------------------------------


@pytest.mark.parametrize("backbone", models.BACKBONES)
def test_preprocessing_is_the_backbones_own(backbone, tmp_path, monkeypatch):
    """With a backbone that does nothing, what it was given comes out of it."""

    def identity(input_shape, **_):
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Identity()], name="nothing"
        )

    monkeypatch.setattr(keras.applications, backbone, identity)
    model = models.transfer_classifier(backbone, 3, 32, weights=None)
    model.save(tmp_path / "model.keras")
    images = photos()
    expected = import_module(f"keras.applications.{MODULES[backbone]}").preprocess_input(
        images.astype("float32")
    )
    for candidate in (model, keras.models.load_model(tmp_path / "model.keras", safe_mode=True)):
        given = keras.Model(candidate.input, candidate.get_layer("pool").input).predict(
            images, verbose=0
        )
        np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("backbone", models.BACKBONES)
@pytest.mark.slow
def test_real_backbones_are_frozen_inside_and_reload_as_they_were(backbone, tmp_path):
    model = models.transfer_classifier(backbone, 3, 32, weights=None)
    base = backbone_of(model)
    assert not base.trainable_weights
    images = photos()
    preprocessed = import_module(f"keras.applications.{MODULES[backbone]}").preprocess_input(
        images.astype("float32")
    )
    give_batch_norm_statistics(base, preprocessed)
    models.unfreeze(model, last=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [w.path for w in loaded.trainable_weights] == [
        w.path for w in model.trainable_weights
    ]
    features = keras.Model(loaded.input, loaded.get_layer("pool").input)(
        images.astype("float32"), training=True
    )
    expected = np.asarray(base(preprocessed, training=False))
    # Deep random networks magnify rounding, so alike, not equal; another preprocessing gives
    # 0.8 at most.
    assert np.corrcoef(np.ravel(features), expected.ravel())[0, 1] > 0.98


def test_bundled_backbone_does_its_own_preprocessing():
    model = tiny()
    images = photos(2)
    features = keras.Model(model.input, model.get_layer("pool").input)(images)
    np.testing.assert_allclose(
        features, backbone_of(model)(images.astype("float32")), rtol=1e-5
    )


def test_the_head_is_pooling_dropout_and_the_logits():
    model = tiny(dropout=0.1)
    assert [layer.name for layer in model.layers][-3:] == ["pool", "dropout", "logits"]
    assert model.output_shape == (None, 3)
    assert model.get_layer("dropout").rate == 0.1
    assert model.count_params() - backbone_of(model).count_params() == 192 * 3 + 3


@pytest.mark.slow
def test_mixed_precision_ends_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for model in (
            tiny(),
            models.transfer_classifier("DenseNet121", 3, 32, weights=None),
            models.transfer_classifier("VGG16", 3, 32, weights=None),
            models.small_cnn(3, 16),
            models.dense_classifier(3, logits=False),
        ):
            assert model.compute_dtype == "float16"
            assert model.output.dtype == "float32"
            outputs = model.predict(
                np.full((2, *model.input_shape[1:]), 255, "uint8"), verbose=0
            )
            assert outputs.dtype == np.float32
            assert np.isfinite(outputs).all()
    finally:
        keras.config.set_dtype_policy("float32")


# --- frozen, unfrozen, saved ----------------------------------------------------------


def test_frozen_backbone_does_not_change_in_fit():
    model = tiny()
    before = [w.numpy() for w in backbone_of(model).weights]
    head_before = model.get_layer("logits").kernel.numpy()
    fit(model)
    for old, new in zip(before, backbone_of(model).weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(head_before, model.get_layer("logits").kernel)


@pytest.mark.parametrize("reloaded", [False, True])
def test_unfrozen_layers_learn_and_batch_norm_stays(reloaded, tmp_path):
    model = tiny()
    models.unfreeze(model, last=0.1)
    if reloaded:
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    last = {layer.name for layer in backbone_of(model).layers[-5:]}
    before, statistics_before = kernels(model), statistics(model)
    fit(model)
    for old, new in zip(statistics_before, statistics(model), strict=True):
        np.testing.assert_array_equal(old, new)
    changed = {
        path for path, old in before.items() if not np.array_equal(old, kernels(model)[path])
    }
    expected = {path for path in before if path.split("/")[-2] in last and "_bn" not in path}
    assert expected
    assert changed == expected


def test_training_mode_does_not_reach_the_backbones_batch_norm():
    model = tiny(dropout=0.0)
    models.unfreeze(model)
    images = photos().astype("float32")
    # First: a pass in training mode would move the statistics to match.
    inference = model(images, training=False)
    np.testing.assert_array_equal(model(images, training=True), inference)


def test_unfreeze_counts_layers_and_parameters():
    model = tiny()
    base = backbone_of(model)
    total = len(base.layers)
    norm = keras.layers.BatchNormalization

    def size(layers):
        return sum(layer.count_params() for layer in layers if not isinstance(layer, norm))

    for last, count in {1.0: total, 8.5 / total: 9, 0.5: total // 2, 0: 0}.items():
        expected = base.layers[total - count :]
        assert models.unfreeze(model, last) == size(expected)
        trained = {weight.path for weight in base.trainable_weights}
        assert trained == {
            weight.path
            for layer in expected
            if not isinstance(layer, norm)
            for weight in layer.weights
        }
    assert total % 2 == 0
    assert models.unfreeze(model) == size(base.layers) > size(base.layers[-9:]) > 0


@pytest.mark.parametrize("backbone", ["bundled", "MobileNetV2", "MobileNetV3Small"])
@pytest.mark.slow
def test_a_model_of_any_size_is_the_model_of_each_size(backbone):
    free = models.transfer_classifier(backbone, 3, None, weights=None)
    for side in (32, 64):
        fixed = models.transfer_classifier(backbone, 3, side, weights=None)
        fixed.set_weights(free.get_weights())
        images = photos(2, side)
        np.testing.assert_array_equal(free(images), fixed(images))


@pytest.mark.parametrize("last", [-0.1, 1.5, 3, float("nan")])
def test_unfreeze_refuses_what_is_no_fraction(last):
    with pytest.raises(ValueError, match="last must be finite, at least 0 and at most 1"):
        models.unfreeze(tiny(), last=last)


def test_unfreeze_wants_a_backbone():
    with pytest.raises(ValueError, match="has no backbone"):
        models.unfreeze(models.small_cnn(3, 16))


# --- weights --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"backbone": "VGG19"},
            "'bundled', 'MobileNetV2', 'MobileNetV3Small', 'VGG16', 'ResNet50', 'DenseNet121'",
        ),
        ({"num_classes": 1}, "num_classes must be finite, at least 2"),
        ({"image_size": 31}, "at least 32x32"),
        ({"dropout": -0.1}, "rate"),
        ({"alpha": 0.4, "weights": "imagenet"}, "`0.35`, `0.50`, `0.75`.*alpha=0.4"),
        ({"backbone": "VGG16", "alpha": 0.5}, "alpha is 0.5; VGG16 comes in one width"),
        ({"backbone": "bundled", "alpha": 0.5}, "alpha is 0.5; bundled comes in one width"),
        ({"weights": "no/such/file.h5"}, "'no/such/file.h5', which does not hold"),
        ({"weights": "bundled"}, "'bundled', which does not hold.*\"auto\""),
        ({"backbone": "bundled", "weights": "imagenet"}, "'imagenet', which does not hold"),
    ],
)
def test_transfer_classifier_refuses_what_it_cannot_build(options, words):
    arguments = {
        "backbone": "MobileNetV2",
        "num_classes": 5,
        "image_size": 32,
        "weights": None,
        **options,
    }
    with pytest.raises(ValueError, match=words):
        models.transfer_classifier(**arguments)


def test_weights_from_a_path_are_loaded(tmp_path):
    original = backbone_of(tiny())
    file = tmp_path / "w.weights.h5"
    original.save_weights(file)
    for path in (file, str(file)):
        keras.utils.set_random_seed(2)
        model = models.transfer_classifier("bundled", 3, 32, weights=path)
        for old, new in zip(original.weights, backbone_of(model).weights, strict=True):
            np.testing.assert_array_equal(old, new)


def test_weights_that_do_not_fit_are_named(tmp_path):
    whole, torn = tmp_path / "w.weights.h5", tmp_path / "torn.weights.h5"
    backbone_of(tiny()).save_weights(whole)
    torn.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"w\.weights\.h5', which does not hold.*mobilenetv2"):
        models.transfer_classifier("MobileNetV2", 3, 32, weights=whole)
    with pytest.raises(ValueError, match=r"torn\.weights\.h5', which does not hold"):
        models.transfer_classifier("bundled", 3, 32, weights=torn)


# Keras fixes its cache when it is imported, so what is tried on its downloads is tried in a
# process of its own. Its requests go to a server on this machine.
DOWNLOADS = """
import http.client, json, socket, socketserver, sys, threading, time, urllib.request, warnings
from pathlib import Path

import keras

from helpers import models

folder = Path(sys.argv[1])
original = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
original.save(folder / "served.h5")
warnings.simplefilter("error")


class Answers(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        if mode == "silent":
            time.sleep(60)
        content = (folder / "served.h5").read_bytes()
        head = f"HTTP/1.0 200 OK\\r\\nContent-Length: {len(content)}\\r\\n\\r\\n"
        self.request.sendall(head.encode())
        if mode == "stalled":
            self.request.sendall(content[:100])
            time.sleep(60)
        self.request.sendall(content)


class ThisMachine(urllib.request.HTTPSHandler):
    def https_open(self, request):
        request.host = f"127.0.0.1:{port}"
        return self.do_open(http.client.HTTPConnection, request)


def attempt(backbone, size=224, **options):
    began = time.perf_counter()
    try:
        model = models.transfer_classifier(backbone, 5, size, "imagenet", **options)
        ours = model.layers[2].get_weights()
        result = [(a == b).all().item() for a, b in zip(ours, original.get_weights())]
    except ConnectionError as error:
        result = str(error)
    left = sorted(file.name for file in (folder / "models").glob("*"))
    return [result, time.perf_counter() - began, left]


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as closed:
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
urllib.request.install_opener(urllib.request.build_opener(ThisMachine()))

found = {"offline": {backbone: attempt(backbone) for backbone in models.BACKBONES}}
port = server.server_address[1]
models.SERVER_PATIENCE = 1.0
for mode in ("silent", "stalled"):
    found[mode] = attempt("MobileNetV2")
found["patience afterwards"] = socket.getdefaulttimeout()
mode = "whole"
found["whole"] = attempt("MobileNetV2", size=None, alpha=0.35)
json.dump(found, open(folder / "found.json", "w"))
"""
SMALLEST_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """What came of attempts to download, and the empty Keras cache they began with."""
    folder = tmp_path_factory.mktemp("keras")
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOADS, folder],
        env=os.environ | {"KERAS_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "found.json").read_text()), folder


@pytest.mark.parametrize("backbone", models.BACKBONES)
@pytest.mark.slow
def test_offline_without_weights_says_what_to_do(backbone, downloads):
    found, folder = downloads
    message, seconds, left = found["offline"][backbone]
    assert seconds < 20
    assert not left
    assert models.BACKBONES[backbone].format(alpha="1.0") in message
    assert f"are not in {folder / 'models'}" in message
    assert "URL fetch failure on https://" in message
    assert "Kaggle" in message
    assert '"bundled"' in message
    assert "weights=None" in message


@pytest.mark.parametrize("server", ["silent", "stalled"])
@pytest.mark.slow
def test_a_server_that_does_not_go_on_ends_in_an_error_and_leaves_nothing(server, downloads):
    found, _ = downloads
    message, seconds, left = found[server]
    assert "Go online and try again" in message
    assert 1 <= seconds < 20
    assert not left
    assert found["patience afterwards"] is None


@pytest.mark.slow
def test_a_download_is_used_and_kept_in_keras_cache(downloads):
    """No warning is raised on the way, though the model takes images of any size."""
    found, _ = downloads
    same, _, left = found["whole"]
    assert len(same) > 200
    assert all(same)
    assert left == [SMALLEST_WEIGHTS]


@pytest.mark.parametrize("place", ["cache", "read-only cache", "home", "Kaggle"])
@pytest.mark.slow
def test_weights_of_another_size_are_found(place, monkeypatch, tmp_path):
    """With only the 224 pixel file at hand, 160 pixels use it and ask no one."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "keras" / "models"
    if place == "home":
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KERAS_HOME", "~/keras")
    if place == "Kaggle":
        monkeypatch.setenv("COURSE_KAGGLE_INPUT", str(tmp_path / "input"))
        folder = tmp_path / "input" / "datasets" / "somebody" / "weights"
    keras.utils.set_random_seed(3)
    original = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35
    )
    folder.mkdir(parents=True)
    original.save(folder / SMALLEST_WEIGHTS)
    if place == "read-only cache":
        folder.chmod(0o555)
        folder.parent.chmod(0o555)
    monkeypatch.setattr(models, "_download", None)
    model = models.transfer_classifier("MobileNetV2", 5, 160, alpha=0.35)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    for old, new in zip(original.weights, backbone_of(model).weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_imagenet_weights_from_keras_cache(realdata, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    shutil.copytree(realdata / "keras" / "models", tmp_path / "models")
    model = models.transfer_classifier("MobileNetV2", 5, None, alpha=0.35)
    assert backbone_of(model).count_params() == 410_208
    kernel = backbone_of(model).get_layer("Conv1").kernel.numpy()
    assert abs(kernel).max() > 0.5  # random ones stay below 0.2
