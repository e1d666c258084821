"""Colour images of any size from 16 x 16 to 64 x 64: channels-last rows in and out."""

import numpy as np
import pytest
from conftest import assert_same_model

from sklearn_binfogan import BInfoGANTransformer, load, save

BUDGET = {"n_clusters": (3, 2), "warmup_iter": 2, "max_iter": 2, "batch_size": 8, "random_state": 0}


def noise_images(height, width):
    return np.random.default_rng(0).integers(256, size=(20, height * width * 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (33, 16), (63, 64)])
def test_any_size(height, width):
    X = noise_images(height, width)
    gan = BInfoGANTransformer(image_shape=(height, width, 3), **BUDGET).fit(X)
    assert gan.transform(X).shape == (20, 3 + 2 + 2)
    assert gan.inverse_transform(gan.transform(X)).shape == X.shape
    images, labels = gan.sample(3, random_state=0)
    assert images.shape == (3, X.shape[1])
    assert labels.shape == (3, 2)
    assert images.min() >= X.min()
    assert images.max() <= X.max()


def test_channels_come_last_in_and_out():
    """Of images that differ in red alone, no other channel may vary in what comes out."""
    X = np.zeros((64, 16, 16, 3))
    X[..., 0] = np.random.default_rng(0).random((64, 1, 1))
    X[:, :, :8, 2] = 1.0
    gan = BInfoGANTransformer(
        n_clusters=2, image_shape=(16, 16, 3), warmup_iter=5, max_iter=100, random_state=0
    )
    rebuilt = gan.fit(X.reshape(64, -1)).inverse_transform(gan.transform(X.reshape(64, -1)))
    mean = rebuilt.reshape(-1, 16, 16, 3).mean(axis=0)
    assert mean[:, :7, 2].mean() > 0.8
    assert mean[:, 9:, 2].mean() < 0.2
    assert mean[..., 1].mean() < 0.2
    assert 0.25 < mean[..., 0].mean() < 0.75


@pytest.mark.parametrize(
    ("image_shape", "message"),
    [
        ((32, 32), r"image_shape=\(32, 32\) has 1024 pixels, but X has 3072 features"),
        ((3, 32, 32), r"channels last; got \(3, 32, 32\)"),
    ],
)
def test_a_shape_that_does_not_fit(image_shape, message):
    gan = BInfoGANTransformer(image_shape=image_shape, **BUDGET)
    with pytest.raises(ValueError, match=message):
        gan.fit(noise_images(32, 32))


def test_colour_of_a_table_is_refused():
    with pytest.raises(ValueError, match="augmentation='colour' needs images"):
        BInfoGANTransformer(augmentation="colour").fit(np.random.default_rng(0).random((30, 4)))


def test_a_saved_model_keeps_its_colour_move(tmp_path):
    X = noise_images(16, 16)
    gan = BInfoGANTransformer(image_shape=(16, 16, 3), **BUDGET).fit(X)
    save(gan, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_same_model(again, gan, X)
    assert len(again.diagnostics_["code_information"]) == 2
    # T enters the steps that come next.
    for model in (gan, again):
        model.partial_fit(X)
    assert_same_model(again, gan, X)
