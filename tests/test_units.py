"""The small parts: codes, layouts, losses, augmentations, metrics."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from sklearn_binfogan import AffineMove, GaussianNoise
from sklearn_binfogan import _losses as losses
from sklearn_binfogan._arrays import subsample
from sklearn_binfogan._augmentation import identity, resolve_augmentation
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout, parse_image_shape
from sklearn_binfogan._rows import Rows
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

SPEC = CodeSpec((3, 4), 2, 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


# -- codes -----------------------------------------------------------------------------------------


def test_code_layout():
    assert SPEC.category_slices == (slice(0, 3), slice(3, 7))
    assert SPEC.n_categorical == 7
    assert (SPEC.continuous, SPEC.noise) == (slice(7, 9), slice(9, 14))
    assert SPEC.width == 14


@pytest.mark.parametrize(
    ("n_clusters", "categories"),
    [(3, (3,)), ((3, 4), (3, 4)), (np.int64(2), (2,)), ((np.int32(1),), (1,))],
)
def test_code_parse(n_clusters, categories):
    spec = CodeSpec.parse(n_clusters, 1, 2)

    assert spec.categories == categories
    assert all(type(k) is int for k in spec.categories)


@pytest.mark.parametrize("n_clusters", [0, -1, 2.0, "3", None, (), (3, 0), True, (True,), [3]])
def test_code_parse_names_what_it_got(n_clusters):
    with pytest.raises(ValueError, match="n_clusters") as caught:
        CodeSpec.parse(n_clusters, 1, 2)
    assert repr(n_clusters) in str(caught.value)


def test_drawn_codes_follow_the_prior():
    codes = SPEC.draw(4000, generator()).numpy()

    assert codes.shape == (4000, 14)
    for part, k in zip(SPEC.category_slices, SPEC.categories, strict=True):
        assert set(np.unique(codes[:, part])) == {0.0, 1.0}
        np.testing.assert_array_equal(codes[:, part].sum(axis=1), 1)
        np.testing.assert_allclose(codes[:, part].mean(axis=0), 1 / k, atol=0.03)
    rest = codes[:, SPEC.n_categorical :]
    assert rest.min() >= -1
    assert rest.max() <= 1
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(rest.var(axis=0), 1 / 3, atol=0.02)
    np.testing.assert_array_equal(codes, SPEC.draw(4000, generator()).numpy())


def test_code_without_continuous_and_noise():
    spec = CodeSpec((1,), 0, 0)

    np.testing.assert_array_equal(spec.draw(3, generator()).numpy(), np.ones((3, 1)))


def test_one_hot_and_labels_are_inverse():
    labels = torch.tensor([[0, 3], [2, 0], [1, 1]])

    columns = SPEC.one_hot(labels)

    assert columns.tolist()[0] == [1, 0, 0, 0, 0, 0, 1]
    assert torch.equal(SPEC.labels(columns), labels)
    assert torch.equal(SPEC.harden(columns * 0.6 + 0.05), columns)


def test_posterior_is_a_softmax_per_code():
    logits = normal(5, 7)

    q = SPEC.posterior(logits).numpy()

    for part in SPEC.category_slices:
        e = np.exp(logits.numpy()[:, part])
        np.testing.assert_allclose(q[:, part], e / e.sum(axis=1, keepdims=True))


def test_feature_names():
    assert CodeSpec((2,), 1, 1).feature_names(True) == [
        "cluster0",
        "cluster1",
        "continuous0",
        "noise0",
    ]
    assert CodeSpec((1, 2), 0, 3).feature_names(False) == ["cluster0_0", "cluster1_0", "cluster1_1"]


def test_category_columns():
    assert SPEC.category_columns([[2, 0, 1], [3, 2, 1, 0]]) == [2, 0, 1, 6, 5, 4, 3]


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "step"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_subsample_takes_at_most_n_rows(n_rows, step):
    rows = np.arange(n_rows)
    np.testing.assert_array_equal(subsample(rows, 10), rows[::step])


def test_table_layout_standardises_and_undoes():
    X = np.random.default_rng(0).normal(7, [1, 100, 0.01], (50, 3))
    layout = Layout.table(X)

    scaled = layout.scaled(X, np.float64)

    assert not layout.is_image
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), 1)
    np.testing.assert_allclose(layout.to_rows(scaled), X)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -3e-7])
def test_constant_column_is_centred_only(value):
    X = np.full((30, 2), value)
    X[:, 1] = np.arange(30)

    scaled = Layout.table(X).scaled(X, np.float32)

    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 1), (8, 9, 3)])
def test_image_layout_is_channels_last(shape):
    n_features = math.prod(shape)
    images = np.random.default_rng(0).integers(3, 250, (5, *shape)).astype(float)
    X = images.reshape(5, n_features)
    layout = Layout.image(X, shape)

    scaled = layout.scaled(X, np.float64)
    network = layout.to_network(torch.from_numpy(scaled)).numpy()

    channels = (*shape, 1)[2]
    assert layout.is_image
    assert layout.n_features == n_features
    assert layout.shape == (channels, 8, 9)
    assert (scaled.min(), scaled.max()) == (0, 1)
    expected = (images.reshape(5, 8, 9, channels) - X.min()) / (X.max() - X.min())
    np.testing.assert_allclose(network, expected.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(layout.to_rows(network), X)


@pytest.mark.parametrize(
    ("layout_of", "atol"), [(lambda X: Layout.image(X, (8, 8)), 0), (Layout.table, 1e-6)]
)
def test_bytes_are_scaled_as_floats_are(layout_of, atol):
    X = np.random.default_rng(0).integers(0, 256, (4, 64)).astype(np.uint8)
    layout = layout_of(X)

    scaled = Rows(X, layout, "cpu").take(torch.arange(4)).flatten(1).numpy()

    np.testing.assert_allclose(scaled, layout.scaled(X, np.float32), rtol=1e-6, atol=atol)


def test_image_of_one_value():
    X = np.full((3, 64), 5.0)

    assert np.isfinite(Layout.image(X, (8, 8)).scaled(X, np.float32)).all()


def test_parse_image_shape():
    assert parse_image_shape((8, 9), 72) == (8, 9, 1)
    assert parse_image_shape([9, 8, 3], 216) == (9, 8, 3)
    with pytest.raises(ValueError, match="72 pixels, but X has 71 features"):
        parse_image_shape((8, 9), 71)


# -- losses ----------------------------------------------------------------------------------------


def test_nonsaturating_losses():
    real, fake = normal(20), normal(20, seed=1)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v.numpy()))

    discriminator = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    players = -np.log(sigmoid(fake)).mean() - np.log(1 - sigmoid(real)).mean()
    assert losses.nonsaturating_discriminator(real, fake).item() == pytest.approx(discriminator)
    assert losses.nonsaturating_players(real, fake).item() == pytest.approx(players)


@pytest.mark.parametrize("name", losses.ADVERSARIAL_LOSSES)
def test_epsilon_in_the_logarithms_bounds_adversarial_losses(name):
    real, fake = torch.tensor([-40.0, 40.0]), torch.tensor([40.0, 40.0])
    certain, even = -np.log(1e-8), np.log(2)
    of_discriminator, of_players = {
        "nonsaturating": ((certain + 0) / 2 + certain, (certain + 0) / 2),
        "relativistic": ((certain + even) / 2, (0 + even) / 2),
    }[name]
    for loss, expected in zip(
        losses.ADVERSARIAL_LOSSES[name], (of_discriminator, of_players), strict=True
    ):
        assert loss(real, fake, 1e-8).item() == pytest.approx(expected, rel=1e-5)


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

    assert losses.relativistic_discriminator(real, fake).item() == pytest.approx(discriminator)
    assert losses.relativistic_players(real, fake).item() == pytest.approx(players)


def test_losses_stay_finite_for_large_logits():
    large = torch.tensor([1e4, -1e4])

    for discriminator, players in losses.ADVERSARIAL_LOSSES.values():
        assert torch.isfinite(discriminator(large, -large))
        assert torch.isfinite(players(large, -large))


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
    assert resolve_augmentation("auto", np.zeros((1, math.prod(shape))), shape).warp == warp


@pytest.mark.parametrize(("n_continuous", "n_noise"), [(2, 3), (1, 0), (0, 3), (0, 0), (4, 1)])
def test_nested_mask(n_continuous, n_noise):
    spec = CodeSpec((3, 2), n_continuous, n_noise)

    mask = spec.nested_mask(4000, generator())

    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert (mask[:, : spec.n_categorical] == 1).all()
    kept = mask[:, spec.n_categorical :].sum(dim=1).long()
    # A prefix is kept: all, or at least the first continuous code and never a part of z.
    expected = torch.arange(n_continuous + n_noise) < kept[:, None]
    assert torch.equal(mask[:, spec.n_categorical :].bool(), expected)
    possible = {n_continuous + n_noise, *range(min(n_continuous, 1), n_continuous + 1)}
    assert set(kept.tolist()) == possible
    if n_noise:
        assert (kept == n_continuous + n_noise).double().mean() == pytest.approx(0.5, abs=0.03)


def test_gaussian_noise():
    x = torch.zeros(500, 4)
    noise = GaussianNoise(0.5)

    noisy = noise(x, generator())

    assert torch.equal(noisy, noise(x, generator()))
    assert noisy.std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(GaussianNoise(0.0)(x, generator()), x)


def test_gaussian_noise_follows_the_neighbours():
    X = np.random.default_rng(0).normal(size=(300, 3))

    fine, coarse = (GaussianNoise.from_neighbours(scale * X).deviation for scale in (1, 2))

    assert coarse == pytest.approx(2 * fine)
    assert GaussianNoise.from_neighbours(X[:1]).deviation > 0
    assert GaussianNoise.from_neighbours(X[:2]).deviation > 0


def test_identity():
    x = torch.rand(2, 3)

    assert identity(x, generator()) is x


# -- metrics ---------------------------------------------------------------------------------------


def test_match_clusters_is_one_to_one():
    y = np.array(["a"] * 5 + ["b"] * 4 + ["c"] * 3)
    labels = np.array([7, 7, 7, 7, 2, 2, 2, 2, 2, 7, 7, 0])

    mapping, accuracy = match_clusters(y, labels)

    assert mapping == {7: "a", 2: "b", 0: "c"}
    assert accuracy == pytest.approx(9 / 12)
    assert cluster_accuracy(y, labels) == accuracy


def test_match_clusters_ignores_numbering():
    y = np.random.default_rng(0).integers(0, 5, 100)

    assert match_clusters(y, (y + 2) % 5)[1] == 1
    assert match_clusters(y, np.zeros(100))[1] == pytest.approx(np.bincount(y).max() / 100)


def test_match_clusters_with_more_clusters_than_classes():
    mapping, accuracy = match_clusters([0, 0, 0, 1], [5, 5, 6, 7])

    assert mapping == {5: 0, 7: 1}
    assert accuracy == pytest.approx(0.75)


@pytest.mark.parametrize(("y", "labels"), [([], []), ([0, 1], [0]), ([[0], [1]], [[0], [1]])])
def test_match_clusters_of_bad_input(y, labels):
    with pytest.raises(ValueError, match="1-D, non-empty and of one length"):
        match_clusters(y, labels)


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
