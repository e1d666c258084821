"""Colour images of any size from 16 x 16 to 64 x 64: channels-last rows in and out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_binfogan import AffineMove, BInfoGANTransformer, ColourMove, load, save
from sklearn_binfogan._augmentation import resolve_augmentation
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import LocalContrast, _window_means
from sklearn_binfogan._presets import resolve_preset

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
        ((3, 32, 32), r"at least 8 x 8; got \(3, 32, 32\)"),
    ],
)
def test_a_shape_that_does_not_fit(image_shape, message):
    gan = BInfoGANTransformer(image_shape=image_shape, **BUDGET)
    with pytest.raises(ValueError, match=message):
        gan.fit(noise_images(32, 32))


# -- T for colour images ---------------------------------------------------------------------------

STILL = AffineMove(0, 0, 0, 0)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images():
    return torch.rand((200, 3, 16, 16), generator=rng(9))


def test_colour_move_keeps_shape_and_input_and_follows_its_generator():
    x = random_images()
    before, move = x.clone(), ColourMove(AffineMove(), mirror=True, invert=True)
    moved = move(x, rng(1))
    assert (moved.shape, moved.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)
    assert torch.equal(moved, move(x, rng(1)))
    assert not torch.equal(moved, move(x, rng(2)))


def test_colour_move_is_one_straight_line_per_image_and_channel():
    """Contrast within exp(0.5 + 0.2), brightness within 0.3 + 0.2, by its parameters."""
    x = random_images()
    moved = ColourMove(STILL, contrast=0.5, brightness=0.3, cast=0.2)(x, rng())
    mean, moved_mean = x.mean(dim=(2, 3)), moved.mean(dim=(2, 3))
    gain = moved.std(dim=(2, 3)) / x.std(dim=(2, 3))
    line = moved_mean[..., None, None] + gain[..., None, None] * (x - mean[..., None, None])
    np.testing.assert_allclose(moved.numpy(), line.numpy(), atol=1e-4)
    lift = moved_mean - mean
    assert 0.4 < lift.abs().max() <= 0.5 + 1e-4
    assert 0.55 < gain.log().abs().max() <= 0.7 + 1e-4
    # Brightness is common to the channels, the cast is not.
    common = lift.mean(dim=1, keepdim=True)
    assert 0.1 < (lift - common).abs().max() < 0.3


@pytest.mark.parametrize("part", ["mirror", "invert"])
def test_half_of_the_images_are_mirrored_or_inverted(part):
    x = random_images()
    moved = ColourMove(STILL, 0, 0, 0, **{part: True})(x, rng())
    changed = x.flip(3) if part == "mirror" else 2 * x.mean(dim=(2, 3), keepdim=True) - x
    is_same = ((moved - x).abs() < 1e-4).all(dim=(1, 2, 3))
    is_changed = ((moved - changed).abs() < 1e-4).all(dim=(1, 2, 3))
    assert (is_same ^ is_changed).all()
    assert 0.4 < is_changed.float().mean() < 0.6


def test_clutter_lays_other_images_corners_over_the_middle():
    x = torch.zeros(100, 3, 16, 16)
    x[::2, 0, 7:9, 7:9] = 1.0  # a red dot in the middle of half of the images
    moved = ColourMove(STILL, 0, 0, 0, clutter=0.5)(x, rng())
    added = moved - x
    np.testing.assert_allclose(added.mean(dim=(2, 3)), 0, atol=1e-6)
    reached = (added[:, 0] > 0.02).any(dim=0)  # where dots of others came to lie
    assert reached.any()
    assert not reached[5:11, 5:11].any()
    assert 0.4 < added.max() <= 0.5
    untouched = ColourMove(STILL, 0, 0, 0)(x, rng())
    np.testing.assert_allclose(untouched, x, atol=1e-5)


@pytest.mark.parametrize(("shape", "kind"), [((3, 32, 32), ColourMove), ((1, 32, 32), AffineMove)])
def test_colour_is_the_default_for_three_channels(shape, kind):
    rows = np.zeros((1, int(np.prod(shape))))
    assert isinstance(resolve_augmentation("auto", rows, shape), kind)
    assert isinstance(resolve_augmentation("affine", rows, shape), AffineMove)


def test_colour_of_a_table_is_refused():
    with pytest.raises(ValueError, match="augmentation='colour' needs images"):
        BInfoGANTransformer(augmentation="colour").fit(np.random.default_rng(0).random((30, 4)))


def test_a_saved_model_keeps_its_colour_move(tmp_path):
    X = noise_images(16, 16)
    gan = BInfoGANTransformer(image_shape=(16, 16, 3), **BUDGET).fit(X)
    save(gan, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert fitted_model(again).settings.augment == fitted_model(gan).settings.augment
    np.testing.assert_array_equal(again.transform(X), gan.transform(X))
    assert again.diagnostics_["code_information"] == gan.diagnostics_["code_information"]


# -- local contrast --------------------------------------------------------------------------------


def square_on(ground, ink):
    """Colour image (1, 3, 32, 32) of a square of one colour on another."""
    image = torch.tensor(ground)[None, :, None, None].expand(1, 3, 32, 32).clone()
    image[:, :, 12:20, 10:18] = torch.tensor(ink)[None, :, None, None]
    return image


def test_local_contrast_sees_form_alone():
    """Which colours differ, and how much, may change: only the floor lets a little through."""
    contrast = LocalContrast(floor=0.0)
    seen = contrast(square_on((0.7, 0.2, 0.5), (0.1, 0.4, 0.9)))
    assert seen.shape == (1, 1, 32, 32)
    assert seen[0, 0, 16, 10] > 10 * seen[0, 0, 2, 2]
    for colours in (
        ((0.1, 0.4, 0.9), (0.7, 0.2, 0.5)),
        ((0.0, 0.6, 0.3), (0.5, 0.5, 0.5)),
        ((0.1, 0.4, 0.2), (0.9, 0.9, 0.1)),
    ):
        np.testing.assert_allclose(contrast(square_on(*colours)), seen, atol=0.02)


def test_colour_shows_what_lightness_hides():
    """A pale stroke on a ground of black and white noise."""
    ground = 0.3 + 0.4 * torch.rand(1, 1, 32, 32, generator=rng()).expand(1, 3, 32, 32)
    image = ground.clone()
    image[:, 0, 12:20, 14:17] += 0.2
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[12:20, 14:17] = True
    colour, lightness = LocalContrast()(image)[0, 0], LocalContrast()(image[:, :1])[0, 0]
    assert colour[inside].min() > 3 * colour[~inside].max()
    assert lightness[inside].min() < lightness[~inside].max()


def test_local_contrast_of_grey_images():
    dark_on_light, light_on_dark = (
        LocalContrast(floor=0.0)(square_on(*colours)[:, :1])
        for colours in (((1.0,) * 3, (0.2,) * 3), ((0.1,) * 3, (0.3,) * 3))
    )
    assert dark_on_light.max() > 1
    np.testing.assert_allclose(dark_on_light, light_on_dark, atol=0.02)


def test_local_contrast_has_a_limit():
    x = torch.zeros(1, 1, 32, 32)
    x[0, 0, 16, 16] = 1.0
    assert LocalContrast(limit=2.0)(x).max() == 2.0
    assert LocalContrast(limit=1e3)(x).max() > 10


@pytest.mark.parametrize("side", [3, 17])
def test_window_means(side):
    x = torch.rand(2, 3, 9, 20, generator=rng())
    rows, columns = (_window_means(size, side, x) for size in (9, 20))
    expected = F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
    np.testing.assert_allclose(rows @ x @ columns.T, expected, atol=1e-6)


def test_local_contrast_of_an_even_image_is_finite_with_its_gradient():
    x = torch.full((2, 3, 9, 13), 0.5, requires_grad=True)
    seen = LocalContrast()(x)
    seen.sum().backward()
    assert seen.max() < 0.01
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("name", ["conv", "conv-contrast"])
def test_categories_may_be_read_from_it(name, side):
    shape = (3, side, side)
    preset = resolve_preset(name, shape, 500)
    networks = preset.build(CodeSpec((4,), 1, 2), shape)
    kinds = [type(module) for module in networks.encoder.category_trunk]
    assert (LocalContrast in kinds) == (name == "conv-contrast")
    without = replace(preset, networks=replace(preset.networks, local_contrast=False))
    assert without == resolve_preset("auto", shape, 500)  # the same in everything else
    assert LocalContrast not in [type(module) for module in networks.encoder.style_trunk]


def test_reflection_brings_nothing_black_into_an_image():
    x = torch.full((50, 3, 16, 16), 0.6)
    np.testing.assert_allclose(AffineMove(reflect=True)(x, rng()), x, atol=1e-5)
    assert AffineMove()(x, rng()).min() == 0


def test_photographs_are_reflected_by_default():
    rows = np.zeros((1, 3072))
    assert resolve_augmentation("auto", rows, (3, 32, 32)).move.reflect
    assert not resolve_augmentation("affine", rows[:, :1024], (1, 32, 32)).reflect
