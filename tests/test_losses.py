"""Losses, augmentations and the score by formulas in NumPy; signs of collapse by made-up cases."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mutual_info_score
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_binfogan import (
    AffineMove,
    BInfoGANTransformer,
    ColourMove,
    GaussianNoise,
    SwappedValues,
)
from sklearn_binfogan import _losses as losses
from sklearn_binfogan._augmentation import identity, resolve_augmentation, span_of_half
from sklearn_binfogan._base import new_training
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._collapse import Evidence, findings
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._scoring import MANY, evaluate
from sklearn_binfogan._supervision import LabelledBatch, label_nll

SPEC = CodeSpec((3, 4), 2, 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


# -- losses of the game ----------------------------------------------------------------------------


def test_nonsaturating_losses():
    real, fake = normal(20), normal(20, seed=1)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v.numpy()))

    discriminator = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    players = -np.log(sigmoid(fake)).mean() - np.log(1 - sigmoid(real)).mean()
    assert losses.nonsaturating(real, fake).item() == pytest.approx(discriminator)
    assert losses.nonsaturating(fake, real).item() == pytest.approx(players)


@pytest.mark.parametrize("name", losses.ADVERSARIAL_LOSSES)
def test_epsilon_in_the_logarithms_bounds_adversarial_losses(name):
    real, fake = torch.tensor([-40.0, 40.0]), torch.tensor([40.0, 40.0])
    certain, even = -np.log(1e-8), np.log(2)
    of_discriminator, of_players = {
        "nonsaturating": ((certain + 0) / 2 + certain, (certain + 0) / 2),
        "relativistic": ((certain + even) / 2, (0 + even) / 2),
    }[name]
    loss = losses.ADVERSARIAL_LOSSES[name]
    assert loss(real, fake, 1e-8).item() == pytest.approx(of_discriminator, rel=1e-5)
    assert loss(fake, real, 1e-8).item() == pytest.approx(of_players, rel=1e-5)


def test_epsilon_in_the_logarithms_bounds_categorical_nll():
    logits = torch.tensor([[50.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    codes = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0]])
    sides = [(-np.log(1e-8) + np.log(2)) / 2, np.log(3)]
    spec = CodeSpec((2, 3), 0, 0)
    found = losses.categorical_nll(spec, logits, codes, 1e-8).item()
    assert found == pytest.approx(sum(sides), rel=1e-5)


def test_relativistic_losses():
    real, fake = normal(20), normal(20, seed=1)
    difference = (fake - real).numpy()

    discriminator, players = (np.log1p(np.exp(s * difference)).mean() for s in (1, -1))

    assert losses.relativistic(real, fake).item() == pytest.approx(discriminator)
    assert losses.relativistic(fake, real).item() == pytest.approx(players)


def test_losses_stay_finite_for_large_logits():
    large = torch.tensor([1e4, -1e4])

    for loss in losses.ADVERSARIAL_LOSSES.values():
        assert torch.isfinite(loss(large, -large))
        assert torch.isfinite(loss(-large, large))


def test_categorical_nll_sums_over_codes():
    logits, codes = normal(6, 7), SPEC.draw(6, generator())[:, :7].double()

    q = SPEC.posterior(logits).numpy()

    expected = -(codes.numpy() * np.log(q)).sum(axis=1).mean()
    assert losses.categorical_nll(SPEC, logits, codes).item() == pytest.approx(expected)


def test_continuous_nll_is_a_unit_gaussian():
    mean, codes = normal(6, 2), normal(6, 2, seed=1)

    density = np.exp(-0.5 * (mean - codes).numpy() ** 2) / np.sqrt(2 * np.pi)

    expected = -np.log(density).sum(axis=1).mean()
    assert losses.continuous_nll(mean, codes).item() == pytest.approx(expected)
    assert losses.continuous_nll(mean[:, :0], codes[:, :0]).item() == 0


def test_squared_error_sums_over_pixels():
    one, other = normal(3, 2, 4, 4), normal(3, 2, 4, 4, seed=1)

    expected = ((one - other).numpy() ** 2).sum(axis=(1, 2, 3)).mean()

    assert losses.squared_error(one, other).item() == pytest.approx(expected)


def test_entropy():
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3] * 3])

    np.testing.assert_allclose(
        losses.entropy(probabilities).numpy(), [math.log(2), 0, math.log(3)], atol=1e-6
    )


@pytest.mark.parametrize("seed", range(3))
def test_mutual_information_against_sklearn(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    b = np.where(rng.random(40) < 0.5, a, b)

    p, q = torch.eye(3).double()[a], torch.eye(4).double()[b]

    expected = mutual_info_score(a, b)
    assert losses.mutual_information(p, q).item() == pytest.approx(expected, abs=1e-9)
    assert losses.mutual_information(p, p).item() == pytest.approx(mutual_info_score(a, a))


def test_mutual_information_by_head():
    p, q = normal(2, 9, 3).softmax(-1), normal(2, 9, 4, seed=1).softmax(-1)

    by_head = [losses.mutual_information(p[i], q[i]).item() for i in range(2)]

    np.testing.assert_allclose(losses.mutual_information(p, q).numpy(), by_head)


def test_code_overlap_sums_over_pairs():
    spec = CodeSpec((2, 3, 2), 0, 0)
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 2, 30), rng.integers(0, 3, 30), rng.integers(0, 2, 30)
    logits = spec.one_hot(torch.tensor(np.stack([a, b, c], axis=1))).double().log()

    expected = mutual_info_score(a, b) + mutual_info_score(a, c) + mutual_info_score(b, c)

    assert losses.code_overlap(spec, logits).item() == pytest.approx(expected)
    assert losses.code_overlap(CodeSpec((3,), 0, 0), logits[:, :3]).item() == 0


def test_code_overlap_is_not_rounded_to_bfloat16():
    spec = CodeSpec((10, 10), 0, 0)
    logits = normal(128, 20).float()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = losses.code_overlap(spec, logits)
    torch.testing.assert_close(rounded, losses.code_overlap(spec, logits))


def test_code_overlap_moves_later_codes_alone():
    spec = CodeSpec((3, 2), 0, 0)
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses.code_overlap(spec, logits).backward()
    first, second = spec.split(logits.grad)
    assert (first == 0).all()
    assert (second != 0).any()


def test_imbalance_is_what_the_entropy_lacks():
    mean = torch.tensor([[0.25] * 4, [1.0, 0, 0, 0], [0.3, 0.2, 0.25, 0.25]], dtype=torch.float64)

    exact, slack = losses.imbalance(mean, 0.0).numpy(), losses.imbalance(mean, 0.1).numpy()

    p = mean[2].numpy()
    np.testing.assert_allclose(
        exact, [0, math.log(4), math.log(4) + (p * np.log(p)).sum()], atol=1e-12
    )
    np.testing.assert_allclose(slack, np.maximum(exact - 0.1, 0), atol=1e-12)


def test_consistency_terms():
    logits, moved = normal(2, 5, 3), normal(2, 5, 3, seed=1)

    terms = losses.consistency_terms(logits, moved)

    q, q_moved = logits.softmax(-1).numpy(), moved.softmax(-1).numpy()
    np.testing.assert_allclose(terms.mean.numpy(), q.mean(axis=1))
    np.testing.assert_allclose(
        terms.uncertainty.numpy(), -(q * np.log(q)).sum(axis=-1).mean(axis=1)
    )
    np.testing.assert_allclose(
        terms.agreement.numpy(), -(q * np.log(q_moved)).sum(axis=-1).mean(axis=1)
    )


def test_imbalance_is_the_divergence_from_the_prior_by_size():
    prior = torch.tensor([0.5, 0.3, 0.2])
    mean = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    expected = 0.8 * np.log(0.8 / 0.5) + 0.1 * np.log(0.1 / 0.3) + 0.1 * np.log(0.1 / 0.2)
    np.testing.assert_allclose(losses.imbalance(mean, 0.0, prior), [0, expected], atol=1e-6)
    np.testing.assert_allclose(losses.imbalance(mean, 0.1, prior), [0, expected - 0.1], atol=1e-6)


def test_marginal_mismatch_is_the_squared_wasserstein_distance():
    quantiles = (torch.arange(100) + 0.5) / 50 - 1
    order = torch.randperm(100, generator=generator())
    codes = torch.stack([quantiles[order], quantiles + 0.5, torch.zeros(100)], dim=1)
    one = torch.ones(100, 1)
    # Uniform, and shifted by a half. A point is as far from all quantiles below it as it must be.
    for columns, expected in (([0], 0), ([1], 0.25), ([0, 1], 0.25), ([2], 0.99**2)):
        mismatch = losses.prior_mismatch(codes[:, columns], one)
        assert float(mismatch) == pytest.approx(expected, abs=1e-3)


def test_marginal_mismatch_is_within_categories():
    values = torch.linspace(-1, 1, 200)[:, None]
    low = (values < 0).float()
    halves = torch.cat([low, 1 - low], dim=1)
    assert float(losses.prior_mismatch(values, torch.ones(200, 1))) < 1e-3
    # Each half has a width of 1, and its middle half a unit off.
    expected = 0.25 + (2 / 12**0.5 - 1 / 12**0.5) ** 2
    assert float(losses.prior_mismatch(values, halves)) == pytest.approx(expected, abs=1e-2)
    several = torch.cat([halves, torch.ones(200, 1)], dim=1)  # a second code of one category
    torch.testing.assert_close(
        losses.prior_mismatch(values, several), losses.prior_mismatch(values, halves)
    )


def test_relative_change_does_not_depend_on_a_codes_scale():
    codes, change = torch.randn((2, 50, 3), generator=generator())
    scale = torch.tensor([0.1, 1.0, 10.0])
    relative = losses.relative_change(change, codes)
    torch.testing.assert_close(losses.relative_change(scale * change, scale * codes), relative)
    expected = (change.square().mean(dim=0) / codes.var(dim=0, correction=0)).sum()
    torch.testing.assert_close(relative, expected)
    assert torch.isfinite(losses.relative_change(change, torch.ones(50, 3)))


# -- labelled rows ---------------------------------------------------------------------------------


def test_label_nll_is_cross_entropy_over_the_heads_that_lets_a_tenth_be_wrong():
    spec = CodeSpec((3, 2), 0, 0)
    logits = torch.randn((2, 5, 5), generator=torch.Generator().manual_seed(0))
    categories = torch.tensor([[0, 1, 2, 0, 1], [2, 2, 1, 0, 0]])
    uniform = LabelledBatch(torch.empty(0), categories, torch.zeros(2, 3))

    q = 0.9 * logits[:, :, :3].softmax(dim=-1) + 0.1 / 3
    expected = sum(F.nll_loss(q[h].log(), categories[h]) for h in range(2))

    torch.testing.assert_close(label_nll(spec, logits, uniform), expected)


def test_a_label_against_all_evidence_is_let_go():
    """Gradient by the logit of the given category: that of cross-entropy would be -q(other)."""
    pulls = []
    for evidence in (0.0, 12.0):
        logits = torch.tensor([[[0.0, evidence]]], requires_grad=True)
        batch = LabelledBatch(torch.empty(0), torch.tensor([[0]]), torch.zeros(1, 2))
        (gradient,) = torch.autograd.grad(label_nll(CodeSpec((2,), 0, 0), logits, batch), logits)
        pulls.append(-gradient[0, 0, 0].item())

    assert pulls[0] > 0.4
    assert 0 < pulls[1] < 0.001


def test_label_nll_of_balanced_rows_teaches_the_posterior_under_the_prior():
    """Two classes that look the same: the best logits are then the log of their prior."""
    prior = torch.tensor([[0.9, 0.1]])
    batch = LabelledBatch(torch.empty(0), torch.tensor([[0, 1]]), prior.log())
    spec = CodeSpec((2,), 0, 0)
    logits = prior.log().expand(1, 2, 2).clone().requires_grad_()

    (gradient,) = torch.autograd.grad(label_nll(spec, logits, batch), logits)

    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(1, 2))


# -- augmentations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (3, 3, 9, 13)])
def test_affine_move(shape):
    x = torch.rand(shape, generator=generator())
    move = AffineMove()

    moved = move(x, generator(1))

    assert moved.shape == x.shape
    assert moved.dtype == x.dtype
    assert torch.equal(moved, move(x, generator(1)))
    assert not torch.equal(moved, move(x, generator(2)))
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-6


@pytest.mark.parametrize(("n_values", "deviation"), [(1, 0), (50, 1.5 * 5)])
def test_noise_reaches_the_next_value_where_most_rows_have_copies(n_values, deviation):
    rows = np.repeat(np.arange(n_values, dtype=float), 30)[:, None]

    assert GaussianNoise.from_neighbours(rows).deviation == deviation


@pytest.mark.parametrize("n_columns", [20, 300])
def test_copies_of_wide_rows_are_found_in_spite_of_rounding(n_columns):
    rows = np.random.default_rng(0).normal(size=(10, n_columns)).repeat(30, axis=0)

    for dtype in (np.float32, np.float64):
        assert 1 < GaussianNoise.from_neighbours(rows.astype(dtype)).deviation < 5


def test_an_oblong_image_is_turned_and_not_slanted():
    """Moments of a bar's pixels: it keeps its length, and leans by the angle at most."""
    x = torch.zeros(200, 1, 32, 64)
    x[:, :, 8:24, 31:33] = 1
    turned = AffineMove(rotation=0.3, scale=0, shear=0, shift=0)(x, generator())[:, 0]

    rows, columns = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(64) - 31.5, indexing="ij")
    along, across, both = (
        (turned * place).sum(dim=(1, 2)) for place in (rows**2, columns**2, rows * columns)
    )
    angle = 0.5 * torch.atan2(2 * both, along - across)
    assert 0.25 < angle.abs().max() < 0.31
    np.testing.assert_allclose(along + across, (along + across).mean(), rtol=0.05)


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (3, 3, 9, 13)])
def test_affine_move_of_no_size_is_the_identity(shape):
    x = torch.rand(shape, generator=generator())

    still = AffineMove(0, 0, 0, 0)(x, generator())

    np.testing.assert_allclose(still.numpy(), x.numpy(), atol=1e-5)


def test_affine_move_shifts_by_a_share_of_half_the_side():
    x = torch.zeros(200, 1, 33, 33)
    x[:, 0, 16, 16] = 1

    moved = AffineMove(0, 0, 0, 0.25)(x, generator())

    columns = (moved.sum(dim=(1, 2)) * torch.arange(33)).sum(dim=1) - 16
    assert 3.5 < columns.abs().max() <= 0.25 * 16.5 + 1e-3


def test_warp_moves_parts_of_an_image_differently_and_little():
    ramp = torch.linspace(-1, 1, 28).expand(20, 1, 28, 28).contiguous()  # its value is its column
    warped = AffineMove(0, 0, 0, 0, warp=0.1)(ramp, generator())

    inside = (slice(None), 0, slice(4, -4), slice(4, -4))
    shift = (warped - ramp)[inside]
    assert 0.05 < shift.abs().max() < 0.15
    assert shift.std(dim=(1, 2)).min() > 0.005
    neighbours = (shift[:, :, 1:] - shift[:, :, :-1]).abs().max()
    assert neighbours < 0.5 * shift.abs().max()


@pytest.mark.parametrize(("shape", "warp"), [((1, 8, 8), 0.0), ((1, 28, 28), 0.12)])
def test_only_large_images_are_warped_by_default(shape, warp):
    assert resolved("auto", np.zeros((1, math.prod(shape))), shape).warp == warp


def test_moves_are_affine_plus_a_bicubic_interpolation():
    x, move = normal(3, 1, 28, 20), AffineMove(warp=0.5)
    grid = move._grid(x, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)
    u = 2 * torch.rand((6, 3), dtype=x.dtype, generator=rng) - 1
    angle, shear, scale, shift = 0.3 * u[0], 0.3 * u[1], 1 + 0.15 * u[2:4], 0.16 * u[4:]
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2, 3)
    turn = scale[:, None] * torch.stack([turn[:, 0], shear * turn[:, 0] + turn[:, 1]], dim=1)
    turn = turn * torch.tensor([[1, 28 / 20], [20 / 28, 1]])[..., None]  # from pixels
    matrices = torch.cat([turn, shift[:, None]], dim=1).permute(2, 0, 1)
    affine = F.affine_grid(matrices, list(x.shape), align_corners=False)
    u = 2 * torch.rand((3, 2, 5, 5), dtype=x.dtype, generator=rng) - 1
    smooth = F.interpolate(u, (28, 20), mode="bicubic", align_corners=True)
    torch.testing.assert_close(grid, affine + 0.5 * smooth.permute(0, 2, 3, 1))


def test_places_are_not_rounded_to_bfloat16():
    """A pixel's place would be off by a tenth of a pixel and more."""
    x, move = torch.rand(4, 3, 64, 64, generator=generator()), AffineMove(warp=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = move._grid(x, generator())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, move._grid(x, generator()))


def test_gaussian_noise():
    x = torch.zeros(500, 4)
    noise = GaussianNoise(0.5)

    noisy = noise(x, generator())

    assert torch.equal(noisy, noise(x, generator()))
    assert noisy.std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(GaussianNoise(0.0)(x, generator()), x)


def test_swapped_values_are_those_of_other_rows():
    x = torch.arange(2000.0)[:, None] + torch.tensor([0.0, 0.0, 10_000.0, 20_000.0, 0.0])
    swaps = SwappedValues(GaussianNoise(0.0), groups=(0, 1, 2, 2, 0), share=0.25)

    moved = swaps(x, generator())

    assert torch.equal(moved, swaps(x, generator()))
    assert torch.equal(moved[:, [0, 4]], x[:, [0, 4]])
    assert torch.equal(moved[:, 3] - moved[:, 2], x[:, 3] - x[:, 2])  # one-hot columns go together
    for column in (1, 2):
        assert set(moved[:, column].tolist()) <= set(x[:, column].tolist())
        assert (moved[:, column] != x[:, column]).float().mean() == pytest.approx(0.25, abs=0.04)
    both = (moved[:, [1, 2]] != x[:, [1, 2]]).all(dim=1).float().mean()
    assert both == pytest.approx(0.0625, abs=0.025)


def test_noise_is_added_after_the_swaps():
    swaps = SwappedValues(GaussianNoise(0.5), groups=(1, 0), share=0.5)

    moved = swaps(torch.zeros(2000, 2), generator())

    assert moved.std().item() == pytest.approx(0.5, rel=0.05)


def table_of_kinds(n_rows=240):
    """A binary column, three one-hot ones, then numbers, the first of them whole."""
    rng = np.random.default_rng(0)
    kind = np.eye(3)[rng.integers(0, 3, n_rows)]
    numbers = rng.normal(size=(n_rows, 4)) * [300, 1, 1, 1]
    numbers[:, 0] = numbers[:, 0].round()
    return np.column_stack([np.arange(n_rows) % 2, kind, numbers])


def swapped_columns(X, **parameters):
    """Numbers of the groups of columns that T swaps; None: it swaps none."""
    augment = new_training(BInfoGANTransformer(3, **parameters), X).settings.augment
    return getattr(augment, "groups", None)


@pytest.mark.parametrize("augmentation", ["auto", "noise"])
def test_columns_of_values_far_apart_are_swapped(augmentation):
    X = table_of_kinds()

    groups = swapped_columns(X, augmentation=augmentation)

    assert groups == (2, 1, 1, 1, 0, 0, 0, 0)


def test_columns_of_many_equal_values_far_from_the_others_are_swapped():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(400, 4))
    amounts = (rng.random(400) < 0.4) * (9 + rng.normal(size=400))
    near = numbers[:, 0].clip(-1)  # a bound of many rows, without a gap

    assert swapped_columns(np.c_[numbers, amounts]) == (0, 0, 0, 0, 1)
    assert swapped_columns(np.c_[-amounts, numbers, np.ones(400)]) == (1, 0, 0, 0, 0, 0)
    assert swapped_columns(np.c_[numbers[:, 1:], near]) is None


def test_values_that_noise_reaches_are_not_swapped():
    X = np.random.default_rng(0).integers(0, 16, (400, 8)).astype(float)

    assert swapped_columns(X) is None
    assert swapped_columns(np.random.default_rng(0).normal(size=(400, 8))) is None


def test_a_move_of_the_users_is_left_as_it_is():
    X = table_of_kinds()

    assert swapped_columns(X, augmentation=GaussianNoise(0.1)) is None


def test_gaussian_noise_follows_the_neighbours():
    X = np.random.default_rng(0).normal(size=(300, 3))

    fine, coarse = (GaussianNoise.from_neighbours(scale * X).deviation for scale in (1, 2))

    assert coarse == pytest.approx(2 * fine)
    assert GaussianNoise.from_neighbours(X[:1]).deviation > 0
    assert GaussianNoise.from_neighbours(X[:2]).deviation > 0


def test_identity():
    x = torch.rand(2, 3)

    assert identity(x, generator()) is x


# -- augmentations of colour images ----------------------------------------------------------------


STILL = AffineMove(0, 0, 0, 0)


def resolved(augmentation, scaled, shape):
    """What an `augmentation` stands for, for images of a shape."""
    return resolve_augmentation(augmentation, scaled, Layout(shape, np.array(0.0), np.array(1.0)))


def random_images():
    return torch.rand((200, 3, 16, 16), generator=generator(9))


def test_colour_move_keeps_shape_and_input_and_follows_its_generator():
    x = random_images()
    before, move = x.clone(), ColourMove(AffineMove(), mirror=True, invert=True)
    moved = move(x, generator(1))
    assert (moved.shape, moved.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)
    assert torch.equal(moved, move(x, generator(1)))
    assert not torch.equal(moved, move(x, generator(2)))


def test_colour_move_is_one_straight_line_per_image_and_channel():
    """Contrast within exp(0.5 + 0.2), brightness within 0.3 + 0.2, by its parameters."""
    x = random_images()
    moved = ColourMove(STILL, contrast=0.5, brightness=0.3, cast=0.2)(x, generator())
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
    moved = ColourMove(STILL, 0, 0, 0, **{part: True})(x, generator())
    changed = x.flip(3) if part == "mirror" else 2 * x.mean(dim=(2, 3), keepdim=True) - x
    is_same = ((moved - x).abs() < 1e-4).all(dim=(1, 2, 3))
    is_changed = ((moved - changed).abs() < 1e-4).all(dim=(1, 2, 3))
    assert (is_same ^ is_changed).all()
    assert 0.4 < is_changed.float().mean() < 0.6


def test_clutter_lays_other_images_corners_over_the_middle():
    x = torch.zeros(100, 3, 16, 16)
    x[::2, 0, 7:9, 7:9] = 1.0  # a red dot in the middle of half of the images
    moved = ColourMove(STILL, 0, 0, 0, clutter=0.5)(x, generator())
    added = moved - x
    np.testing.assert_allclose(added.mean(dim=(2, 3)), 0, atol=1e-6)
    reached = (added[:, 0] > 0.02).any(dim=0)  # where dots of others came to lie
    assert reached.any()
    assert not reached[5:11, 5:11].any()
    assert 0.4 < added.max() <= 0.5
    untouched = ColourMove(STILL, 0, 0, 0)(x, generator())
    np.testing.assert_allclose(untouched, x, atol=1e-5)


@pytest.mark.parametrize(("shape", "kind"), [((3, 32, 32), ColourMove), ((1, 32, 32), AffineMove)])
def test_colour_is_the_default_for_three_channels(shape, kind):
    rows = np.zeros((1, int(np.prod(shape))))
    assert isinstance(resolved("auto", rows, shape), kind)
    assert isinstance(resolved("affine", rows, shape), AffineMove)


def shapes_on_black(light):
    """A square per image (n, 16 * 16), as light as told, at a place of its own."""
    images = np.zeros((len(light), 16, 16))
    for i, value in enumerate(light):
        images[i, i % 5 : i % 5 + 9, i % 7 : i % 7 + 9] = value
    return images.reshape(len(light), -1)


@pytest.mark.parametrize("negative", [False, True])
def test_light_that_differs_between_grey_images_is_ignored(negative):
    even, uneven = shapes_on_black(np.ones(40)), shapes_on_black(np.linspace(0.2, 1, 40))
    if negative:
        even, uneven = 1 - even, 1 - uneven

    of_strokes = resolved("auto", even, (1, 16, 16))
    of_uneven = resolved("auto", uneven, (1, 16, 16))

    assert of_strokes == resolved("affine", even, (1, 16, 16))
    assert of_uneven == resolved("affine-light", even, (1, 16, 16))
    assert of_uneven.move == of_strokes
    assert of_uneven.brightness > 0
    assert of_uneven.cast == 0
    assert not of_uneven.mirror


@pytest.mark.parametrize("negative", [False, True])
def test_shades_within_grey_images_are_those_of_things(negative):
    images = shapes_on_black(np.ones(40)).reshape(-1, 16, 16)
    for i, image in enumerate(images):
        image[:12] *= 0.2 + 0.02 * i  # a dark part beside a light one
    images[:, 15, 15] = 1  # whatever the brightness, all have one range
    if negative:
        images = 1 - images

    of_things = resolved("auto", images.reshape(40, -1), (1, 16, 16))

    assert of_things == resolved("light", images.reshape(40, -1), (1, 16, 16))
    assert of_things.mirror
    assert of_things.move.rotation < AffineMove().rotation


def shades(n_images, side):
    """Slopes from dark to light, (n, side * side), in a direction of their own, equally light."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    angles = np.linspace(0, 2 * np.pi, n_images, endpoint=False)[:, None, None]
    return (np.cos(angles) * x + np.sin(angles) * y).reshape(n_images, -1)


def test_grey_images_that_fill_their_frame_have_the_moves_of_things():
    assert resolved("auto", shades(40, 16), (1, 16, 16)).brightness > 0
    assert isinstance(resolved("auto", shades(40, 8), (1, 8, 8)), AffineMove)

    square = shapes_on_black(np.ones(40))
    drawn = square + 0.05 * np.random.default_rng(0).normal(size=square.shape)
    assert isinstance(resolved("auto", drawn, (1, 16, 16)), AffineMove)


def test_half_of_the_pixels_of_a_slope_span_half_of_its_values():
    slope = np.arange(100.0)[None]
    assert span_of_half(slope) == pytest.approx(0.5, abs=0.02)
    assert span_of_half(7 - 3 * slope) == span_of_half(slope)
    assert span_of_half(1.0 * (slope > 40)) == 0
    assert span_of_half(np.concatenate([slope, np.ones((2, 100))])) == span_of_half(slope)


def test_images_without_light_have_the_moves_of_strokes():
    assert isinstance(resolved("auto", np.zeros((3, 64)), (1, 8, 8)), AffineMove)


def test_reflection_brings_nothing_black_into_an_image():
    x = torch.full((50, 3, 16, 16), 0.6)
    np.testing.assert_allclose(AffineMove(reflect=True)(x, generator()), x, atol=1e-5)
    assert AffineMove()(x, generator()).min() == 0


def test_photographs_are_reflected_by_default():
    rows = np.zeros((1, 3072))
    assert resolved("auto", rows, (3, 32, 32)).move.reflect
    assert not resolved("affine", rows[:, :1024], (1, 32, 32)).reflect


# -- the label-free score --------------------------------------------------------------------------


class NamesColumns(nn.Module):
    """Takes rows for posteriors of one code."""

    def __init__(self, n_categories: int) -> None:
        super().__init__()
        self.spec = CodeSpec.parse(n_categories, 0, 1)

    def posterior(self, x: Tensor) -> Tensor:
        return x


def shuffled(x: Tensor, rng: torch.Generator) -> Tensor:
    return x[torch.randperm(len(x), generator=rng)]


def one_hot(labels: list[int], n_categories: int) -> Tensor:
    return torch.eye(n_categories)[labels]


def n_told_apart(q: Tensor, augment=identity) -> float:
    """N of the distinctness, read back."""
    rng = torch.Generator().manual_seed(0)
    measures = evaluate(NamesColumns(q.shape[1]), None, q, augment, rng)
    return math.expm1(measures["distinctness"] * math.log1p(MANY))


@pytest.mark.parametrize("n_categories", [1, 2, 3, 10, 100])
def test_categories_without_doubt_are_counted(n_categories):
    q = one_hot(list(range(n_categories)) * 2, n_categories)

    assert n_told_apart(q) == pytest.approx(n_categories, rel=1e-4)


def test_categories_without_rows_cost():
    used = one_hot([0, 1, 2] * 100, 3)
    spare = one_hot([0, 1, 2] * 100, 5)

    assert n_told_apart(spare) == pytest.approx(0.6 * n_told_apart(used), rel=1e-4)


def test_a_merged_pair_counts_less_than_two_and_more_than_one():
    assert n_told_apart(one_hot([0, 1, 1] * 100, 2)) < 2
    assert n_told_apart(one_hot([0, 1, 1] * 100, 2)) > 1


def test_what_chance_decides_counts_less_than_one_category():
    doubt = torch.full((200, 2), 0.5)
    by_chance = one_hot([0, 1] * 100, 2)

    assert n_told_apart(doubt) < 0.5
    assert n_told_apart(by_chance, shuffled) < 0.5


def test_many_categories_stay_within_bounds():
    q = one_hot(list(range(300)), 300)
    rng = torch.Generator().manual_seed(0)

    assert evaluate(NamesColumns(300), None, q, identity, rng)["distinctness"] == 1


# -- signs of collapse: in hand-made evidence of each, and not in a sound model's ------------------

FOUR = CodeSpec((4,), 2, 1)
N = 400
RNG = np.random.default_rng(0)


def sound(**changes):
    """Evidence of a model in which nothing is wrong, but for the changes."""
    labels = np.arange(N) % 4
    codes = RNG.uniform(-1, 1, (N, FOUR.width))
    codes[:, :4] = np.eye(4)[labels]
    rows = RNG.normal(size=(N, 5))
    kept = {
        "spec": FOUR,
        "prior": [np.full(4, 0.25)],
        "rows": rows,
        "samples": rows,
        "posterior": np.eye(4)[labels],
        "augmented_posterior": np.eye(4)[labels],
        "drawn": codes,
        "found": codes,
        "mi_weight": 1.0,
        "discriminator_loss": 0.8,
        "has_consistency_phase": False,
        "has_cycle_terms": False,
    }
    merged = {**kept, **changes}
    parts = merged["spec"].category_slices
    posterior = merged["posterior"]
    sizes = [
        np.bincount(posterior[:, p].argmax(axis=1), minlength=p.stop - p.start).tolist()
        for p in parts
    ]
    return Evidence(**{"sizes": sizes, **merged})


def one_finding(evidence):
    (sentence,) = findings(evidence)
    return sentence


def test_nothing_wrong():
    assert findings(sound()) == []


def test_no_information_is_the_one_finding():
    assert "mi_weight=0" in one_finding(sound(mi_weight=0.0, sizes=[[N, 0, 0, 0]]))


def test_dead_category():
    labels = np.arange(N) % 3
    evidence = sound(posterior=np.eye(4)[labels], augmented_posterior=np.eye(4)[labels])
    evidence.sizes[0][3] = 5
    assert "Category 3 holds almost no row" in one_finding(evidence)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([N, N, N, 0], "Category 3 holds no rows: only 3 of 4 categories"),
        ([N, 0, N, 0], "Categories 1 and 3 hold no rows: only 2 of 4 categories"),
        ([N, 0, 0, 0], "Categories 1 to 3 hold no rows: only 1 of 4 categories"),
        ([9, 0, 9, 9], "Category 1 holds no row"),  # few rows too
    ],
)
def test_empty_categories_are_always_found(sizes, text):
    assert text in one_finding(sound(sizes=[sizes]))


@pytest.mark.parametrize(
    ("has_phase", "remedy"), [(True, "a larger warmup_iter"), (False, "a consistency phase")]
)
def test_only_a_phase_that_there_is_can_be_longer(has_phase, remedy):
    evidence = sound(sizes=[[N, N, N, 0]], has_consistency_phase=has_phase)
    assert f"or {remedy}" in one_finding(evidence)


def test_a_rare_category_with_its_prior_is_not_dead():
    labels = np.repeat([0, 1, 2, 3], [190, 100, 98, 12])
    posterior = np.eye(4)[labels]
    prior = [np.array([0.47, 0.25, 0.25, 0.03])]
    evidence = sound(posterior=posterior, augmented_posterior=posterior, prior=prior)
    assert findings(evidence) == []


def test_few_rows_say_nothing_about_categories_that_hold_a_few():
    assert findings(sound(sizes=[[20, 20, 20, 1]])) != []
    assert findings(sound(sizes=[[6, 7, 6, 1]])) == []


def test_merged_categories():
    labels = np.arange(N) % 4
    arbitrary = np.where(labels == 3, RNG.integers(2, 4, N), labels)
    arbitrary = np.where(labels == 2, RNG.integers(2, 4, N), arbitrary)
    evidence = sound(augmented_posterior=np.eye(4)[arbitrary])
    assert "Categories 2 and 3 are not distinct" in one_finding(evidence)


def test_unheard_category():
    found = sound().drawn.copy()
    evidence = sound(drawn=found)
    lost = found.copy()
    lost[:, :4] = np.eye(4)[np.where(found[:, 1] == 1, 0, found[:, :4].argmax(axis=1))]
    evidence = sound(drawn=found, found=lost)
    assert "generator ignores category 1:" in one_finding(evidence)


def test_unheard_continuous_code():
    found = sound().drawn.copy()
    lost = found.copy()
    lost[:, 5] = 0
    assert "generator ignores continuous1:" in one_finding(sound(drawn=found, found=lost))


def confident(labels, certainty=0.99):
    return np.where(np.eye(4)[labels] == 1, certainty, (1 - certainty) / 3)


def test_categories_of_rows_that_do_not_match_those_of_samples():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 3 == 0, labels, RNG.integers(0, 4, N))
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    sentence = one_finding(sound(**posteriors))
    assert "do not match between samples and rows" in sentence
    assert "100% of the samples, but only 0% of its information about rows" in sentence
    assert "Use a consistency phase" in sentence
    assert findings(sound(**posteriors, discriminator_loss=float("nan"))) == []
    assert findings(sound(**posteriors, has_consistency_phase=True)) == []


def test_rows_that_mostly_keep_their_category_match():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 8, labels, RNG.integers(0, 4, N))
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    assert findings(sound(**posteriors)) == []


def test_categories_that_samples_do_not_show_either_are_not_called_unmatched():
    labels = np.arange(N) % 4
    moved = np.where(np.arange(N) % 3 == 0, labels, RNG.integers(0, 4, N))
    drawn = sound().drawn
    lost = drawn.copy()
    lost[:, :4] = np.eye(4)[np.where(np.arange(N) % 5, labels, (labels + 1) % 4)]
    posteriors = {"posterior": confident(labels), "augmented_posterior": confident(moved)}
    assert findings(sound(**posteriors, drawn=drawn, found=lost)) == []


def test_samples_all_alike():
    rows = RNG.normal(size=(N, 5))
    evidence = sound(rows=rows, samples=0.1 * rows)
    assert "almost equal" in one_finding(evidence)


def test_saturated_discriminator():
    assert "discriminator is saturated" in one_finding(sound(discriminator_loss=0.01))
    assert not findings(sound(discriminator_loss=0.01, has_cycle_terms=True))


def test_without_a_game_the_generator_is_not_judged():
    rows = RNG.normal(size=(N, 5))
    evidence = sound(rows=rows, samples=0 * rows, discriminator_loss=float("nan"))
    assert findings(evidence) == []


def test_several_codes_are_named():
    spec = CodeSpec((2, 2), 0, 1)
    codes = np.tile(np.eye(2), (N // 2, 2))
    drawn = np.c_[codes, np.zeros(N)]
    evidence = sound(
        spec=spec,
        prior=[np.full(2, 0.5)] * 2,
        posterior=np.c_[codes[:, :2], np.tile([1, 0], (N, 1))],
        augmented_posterior=np.c_[codes[:, :2], np.tile([1, 0], (N, 1))],
        drawn=drawn,
        found=drawn,
    )
    assert "Category 1 of code 1 holds no row" in one_finding(evidence)


@pytest.mark.parametrize(("alike", "n_findings"), [(True, 1), (False, 0)])
def test_codes_that_say_the_same_are_found(alike, n_findings):
    spec, base = CodeSpec((4, 4), 0, 0), np.repeat(np.arange(4), N // 4)
    labels = np.column_stack([base, (base + 1) % 4 if alike else np.arange(N) % 4])
    codes = np.hstack([np.eye(4)[column] for column in labels.T])
    found = findings(
        sound(
            spec=spec,
            prior=[np.full(4, 0.25)] * 2,
            posterior=codes,
            augmented_posterior=codes,
            drawn=codes,
            found=codes,
        )
    )

    assert len(found) == n_findings
    assert all("Codes 0 and 1 are much alike: they share 100%" in text for text in found)


X, _ = make_blobs(300, centers=3, random_state=0)


def test_fit_warns_in_the_users_line():
    gan = BInfoGANTransformer(3, mi_weight=0, random_state=0, warmup_iter=50, max_iter=10)
    with pytest.warns(ConvergenceWarning, match="mi_weight=0") as caught:
        gan.fit(X)
    assert caught[0].filename == __file__
    assert all(line in str(caught[0].message) for line in gan.diagnostics_["findings"])


def test_a_sound_fit_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan = BInfoGANTransformer(3, random_state=0).fit(X)
    assert gan.diagnostics_["findings"] == []


@pytest.mark.parametrize("shape", [None, (8, 8)])
def test_more_categories_than_distinct_rows_are_noticed_once(shape):
    """Without a warning of k-means."""
    two = np.random.default_rng(0).random((2, 64 if shape else 2)).repeat(150, axis=0)
    gan = BInfoGANTransformer(6, image_shape=shape, random_state=0, warmup_iter=20, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="hold no row") as caught:
        gan.fit(two)
    assert len(caught) == 1
