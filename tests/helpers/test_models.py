"""Parameter counts worked out by hand, preprocessing against keras.applications, what stays frozen, refusals."""

import shutil
import socket
import threading
import time
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


def tiny(weights=None, **options):
    keras.utils.set_random_seed(1)
    model = models.transfer_classifier("bundled", 3, 32, weights=weights, **options)
    if weights is None:
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


# --- dense_classifier and small_cnn -----------------------------------------------------------------------------------


def test_dense_classifier_has_the_notes_parameters():
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


def test_small_cnn_takes_sides_that_differ():
    assert models.small_cnn(4, (16, 40)).get_layer("flatten").output.shape == (None, 2 * 5 * 64)


@pytest.mark.parametrize(
    "build",
    [
        lambda **k: models.dense_classifier(4, (16, 16, 3), **k),
        lambda **k: models.small_cnn(4, 16, **k),
    ],
)
def test_images_in_0_to_255_are_scaled_inside(build):
    model = build()
    images = photos(size=16)
    rescaled = keras.Model(model.input, model.get_layer("rescaling").output)(
        images.astype("float32")
    )
    np.testing.assert_allclose(rescaled, images / 255.0, rtol=1e-6)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), model(images.astype("float32")), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda **k: models.dense_classifier(4, (16, 16, 3), **k),
        lambda **k: models.small_cnn(4, 16, **k),
    ],
)
def test_probabilities_are_the_softmax_of_the_logits(build):
    images = photos(size=16)
    keras.utils.set_random_seed(0)
    logits = build(logits=True).predict(images, verbose=0)
    keras.utils.set_random_seed(0)
    probabilities = build(logits=False).predict(images, verbose=0)
    assert abs(logits.sum(axis=1) - 1).min() > 1e-3
    np.testing.assert_allclose(probabilities, keras.ops.softmax(logits), rtol=1e-5)


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
        (lambda: models.dense_classifier(hidden=(0,)), "1 or more"),
        (lambda: models.dense_classifier(input_shape=()), "1 or more"),
        (lambda: models.small_cnn(0), "num_classes must be finite, at least 2"),
        (lambda: models.small_cnn(3, 7), "8 pixels or more"),
        (lambda: models.small_cnn(3, (16, 16, 3)), "height, width"),
        (lambda: models.small_cnn(3, dropout=1.0), "dropout must be"),
    ],
)
def test_builders_refuse_bad_sizes(build, words):
    with pytest.raises(ValueError, match=words):
        build()


# --- transfer_classifier ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", models.BACKBONES)
def test_preprocessing_is_the_backbones_own(backbone, tmp_path, monkeypatch):
    """With a backbone that does nothing, what it was given comes out: preprocess_input of the uint8 images."""

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
def test_real_backbones_are_frozen_inside_and_reload_as_they_were(backbone, tmp_path):
    model = models.transfer_classifier(backbone, 3, 32, weights=None)
    base = backbone_of(model)
    assert not base.trainable_weights
    images = photos()
    preprocessed = import_module(f"keras.applications.{MODULES[backbone]}").preprocess_input(
        images.astype("float32")
    )
    give_batch_norm_statistics(base, preprocessed)
    models.unfreeze(model, last=5)
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


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        ("pool", ["pool", "dropout", "logits"]),
        ("pool-dense-dense", ["pool", "dense_256", "dropout", "dense_128", "logits"]),
        ("pool-norm-dense", ["pool", "norm", "dense_256", "dropout", "logits"]),
        ("norm-pool", ["norm", "dropout", "pool", "logits"]),
    ],
)
def test_heads_end_in_the_logits(head, parts):
    model = tiny(head=head)
    assert [layer.name for layer in model.layers][-len(parts) :] == parts
    assert model.output_shape == (None, 3)
    softmax = tiny(head=head, logits=False)
    assert [layer.name for layer in softmax.layers][-2:] == ["logits", "probabilities"]


def test_heads_have_the_parameters_worked_out_by_hand():
    def added(head):
        model = tiny(head=head)
        return model.count_params() - backbone_of(model).count_params()

    assert added("pool") == 192 * 3 + 3
    assert added("pool-dense-dense") == (192 * 256 + 256) + (256 * 128 + 128) + (128 * 3 + 3)
    assert added("pool-norm-dense") == 4 * 192 + (192 * 256 + 256) + (256 * 3 + 3)
    assert added("norm-pool") == 4 * 192 + (192 * 3 + 3)


def test_dropout_of_the_head_can_be_chosen():
    assert tiny(head="pool-dense-dense").get_layer("dropout").rate == 0.5
    assert tiny(head="pool-dense-dense", dropout=0.1).get_layer("dropout").rate == 0.1


def test_mixed_precision_ends_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for model in (
            tiny(),
            tiny(logits=False),
            models.small_cnn(3, 16),
            models.dense_classifier(3),
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


# --- frozen, unfrozen, saved ------------------------------------------------------------------------------------------


def test_frozen_backbone_does_not_change_in_fit():
    model = tiny()
    before, head_before = (
        [w.numpy() for w in backbone_of(model).weights],
        model.get_layer("logits").kernel.numpy(),
    )
    fit(model)
    for old, new in zip(before, backbone_of(model).weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(head_before, model.get_layer("logits").kernel)


@pytest.mark.parametrize("reloaded", [False, True])
def test_unfrozen_layers_learn_and_batch_norm_stays(reloaded, tmp_path):
    model = tiny()
    models.unfreeze(model, last=5)
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


def test_unfreeze_counts_layers_fractions_and_parameters():
    model = tiny()
    base = backbone_of(model)

    def size(layers):
        norm = keras.layers.BatchNormalization
        return sum(layer.count_params() for layer in layers if not isinstance(layer, norm))

    total = len(base.layers)
    for last, layers in {
        None: total,
        1.0: total,
        total: total,
        9: 9,
        8.5 / total: 9,
        0.5: -(-total // 2),
        0: 0,
    }.items():
        assert models.unfreeze(model, last) == size(base.layers[total - layers :])
        trained = {weight.path for weight in base.trainable_weights}
        learning = [
            layer
            for layer in base.layers
            if any(weight.path in trained for weight in layer.weights)
        ]
        assert size(learning) == size(base.layers[total - layers :])
    assert size(base.layers[-9:]) > 0
    assert not base.trainable_weights


@pytest.mark.parametrize("backbone", ["bundled", "MobileNetV2", "MobileNetV3Small"])
def test_a_model_of_any_size_is_the_model_of_each_size(backbone):
    free = models.transfer_classifier(backbone, 3, None, weights=None)
    for height, width in ((32, 32), (64, 96)):
        fixed = models.transfer_classifier(backbone, 3, (height, width), weights=None)
        fixed.set_weights(free.get_weights())
        images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), "uint8")
        np.testing.assert_array_equal(free(images), fixed(images))


@pytest.mark.parametrize("last", [-1, 10_000, 0.0, 1.5, True, float("nan")])
def test_unfreeze_refuses_what_is_out_of_range(last):
    with pytest.raises(ValueError, match="give an integer from 0"):
        models.unfreeze(tiny(), last=last)


def test_unfreeze_wants_a_backbone():
    with pytest.raises(ValueError, match="has no backbone"):
        models.unfreeze(models.small_cnn(3, 16))


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"backbone": "VGG19"},
            "'bundled', 'MobileNetV2', 'MobileNetV3Small', 'VGG16', 'ResNet50', 'DenseNet121'",
        ),
        ({"num_classes": 1}, "num_classes must be finite, at least 2"),
        ({"image_size": 31}, "32 pixels or more"),
        ({"head": "dense"}, "'pool', 'pool-dense-dense'"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"alpha": 0.4}, "0.35, 0.5, 0.75, 1.0, 1.3, 1.4"),
        ({"backbone": "VGG16", "alpha": 0.5}, "VGG16 comes in 1.0"),
        ({"weights": "no/such/file.h5"}, "is no file"),
        ({"weights": "bundled"}, "does not have"),
        ({"backbone": "bundled", "weights": "imagenet"}, 'give "bundled"'),
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
    original.save_weights(tmp_path / "w.weights.h5")
    keras.utils.set_random_seed(2)
    loaded = backbone_of(
        models.transfer_classifier("bundled", 3, 32, weights=tmp_path / "w.weights.h5")
    )
    for old, new in zip(original.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_do_not_fit_are_named(tmp_path):
    backbone_of(tiny()).save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "torn.weights.h5").write_bytes((tmp_path / "w.weights.h5").read_bytes()[:5000])
    with pytest.raises(
        ValueError, match=r"w\.weights\.h5 does not hold the weights of MobileNetV2"
    ):
        models.transfer_classifier("MobileNetV2", 3, 32, weights=tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"torn\.weights\.h5 does not hold"):
        models.transfer_classifier("bundled", 3, 32, weights=tmp_path / "torn.weights.h5")


@pytest.fixture
def site(monkeypatch, tmp_path):
    """An empty Keras cache, and a stand-in for the weights' site at a closed port of this machine."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(models, "WEIGHTS_SITE", f"http://127.0.0.1:{port}")
    return tmp_path / "keras" / "models"


@pytest.mark.parametrize("backbone", models.BACKBONES)
def test_offline_without_weights_says_what_to_do(backbone, site):
    started = time.perf_counter()
    with pytest.raises(ConnectionError) as caught:
        models.transfer_classifier(backbone, 5, 224)
    assert time.perf_counter() - started < 20
    message = str(caught.value)
    name = models.BACKBONES[backbone].weights.format(alpha=1.0, size=224).split("/")[-1]
    assert name in message
    assert str(site) in message
    assert models.WEIGHTS_SITE in message
    assert '"bundled"' in message
    assert "weights=None" in message


def test_a_site_that_never_answers_does_not_hang(site, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(
            models, "WEIGHTS_SITE", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setattr(models, "PATIENCE", 1.0)
        started = time.perf_counter()
        with pytest.raises(ConnectionError, match="Go online"):
            models.transfer_classifier("MobileNetV2", 5, 224)
        assert time.perf_counter() - started < 20  # a socket left to itself waits for ever


def test_a_download_that_stalls_ends_in_an_error_and_leaves_nothing(site, monkeypatch):
    def stall(server):
        while True:
            connection, _ = server.accept()
            request = connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            if request.startswith(b"HEAD"):
                connection.close()
            else:
                connection.sendall(b"x" * 100)
                kept.append(connection)

    kept = []
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=stall, args=(server,), daemon=True).start()
    monkeypatch.setattr(models, "WEIGHTS_SITE", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setattr(models, "PATIENCE", 0.5)
    with pytest.raises(ConnectionError, match="Go online"):
        models.transfer_classifier("MobileNetV2", 5, 224)
    assert kept
    assert not list(site.glob("*"))
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("attached", [False, True])
def test_weights_of_another_size_do_cached_or_attached_on_kaggle(
    site, monkeypatch, tmp_path, attached
):
    """With only the 224 pixel file at hand, 160 pixels use it and ask no one."""
    if attached:
        monkeypatch.setenv("COURSE_KAGGLE_INPUT", str(tmp_path / "input"))
        site = tmp_path / "input" / "datasets" / "somebody" / "weights"
    keras.utils.set_random_seed(3)
    original = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35
    )
    site.mkdir(parents=True)
    original.save(site / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")
    model = models.transfer_classifier("MobileNetV2", 5, 160, alpha=0.35)
    for old, new in zip(original.weights, backbone_of(model).weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_imagenet_weights_from_keras_cache(realdata, site, monkeypatch):
    shutil.copytree(realdata / "keras" / "models", site)
    model = models.transfer_classifier("MobileNetV2", 5, 96, alpha=0.35)
    assert backbone_of(model).count_params() == 410_208
    kernel = backbone_of(model).get_layer("Conv1").kernel.numpy()
    assert abs(kernel).max() > 0.5  # random ones stay below 0.2
