"""Decoding in helpers.images."""

import io

import numpy as np
import pytest
import tensorflow as tf
from image_sets import gradient, jpeg
from PIL import Image

from helpers import images


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def squared(encoded: bytes, size: int) -> np.ndarray:
    """Centre square and bilinear resize, by TensorFlow's plain ops."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
    side = min(image.shape[:2])
    top = (image.shape[0] - side) // 2
    left = (image.shape[1] - side) // 2
    resized = tf.image.resize(image[top : top + side, left : left + side], (size, size))
    return np.floor(resized.numpy() + 0.5).astype(int)


@pytest.mark.parametrize("shape", [(60, 40), (40, 61), (47, 47), (100, 48)])
@pytest.mark.parametrize("kind", ["jpg", "png", "grey jpg", "grey png"])
def test_an_image_becomes_its_centre_square(shape, kind):
    image = gradient(*shape)
    if "grey" in kind:
        image = image.convert("L")
    encoded = png(image) if "png" in kind else jpeg(image)
    square = images.decode_square(encoded, 32).numpy()
    assert square.dtype == np.uint8
    np.testing.assert_array_equal(square, squared(encoded, 32))


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 9])
def test_a_large_jpeg_is_scaled_while_decoding(factor):
    encoded = jpeg(gradient(24 * factor, 30 * factor))
    square = images.decode_square(encoded, 24).numpy()
    assert square.shape == (24, 24, 3)
    assert np.abs(square - squared(encoded, 24)).max() <= 8


def test_scaling_while_decoding_aliases_less():
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    encoded = jpeg(Image.fromarray(noise))
    assert images.decode_square(encoded, 24).numpy().std() < 0.5 * squared(encoded, 24).std()


def test_only_what_can_be_decoded_to_its_end_is_sound():
    picture = gradient(40, 50)
    for encoded in (jpeg(picture), png(picture)):
        assert images.is_sound(encoded)
        assert not images.is_sound(encoded[: len(encoded) // 2])
    for nothing in (b"", b"<html>not found</html>"):
        assert not images.is_sound(nothing)
