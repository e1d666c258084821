"""Rows and codes: layouts, far values, codes, where real rows lie in them, and small parts."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.stats import ks_2samp
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch.profiler import ProfilerActivity, profile

from sklearn_binfogan import BInfoGANClassifier, _driver
from sklearn_binfogan._aggregate import MOST_MIXED, AggregatePosterior
from sklearn_binfogan._architectures import ConvArchitecture
from sklearn_binfogan._arrays import as_tensor, subsample
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._cells import (
    N_KMEANS,
    _pixels,
    kmeans,
    linear_heads,
    regrouped,
    regrouped_heads,
)
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._columns import ColumnKinds
from sklearn_binfogan._ellipses import all_there_is, ellipses
from sklearn_binfogan._layout import Layout, misfits, parse_image_shape
from sklearn_binfogan._marginals import Marginals
from sklearn_binfogan._neighbours import NeighbourGraph, separated_groups
from sklearn_binfogan._networks import Encoder, LocalContrast
from sklearn_binfogan._presets import AllLabels, Recipe, counting_labels, resolve_preset
from sklearn_binfogan._rows import Rows
from sklearn_binfogan._threads import seeded, undisturbed
from sklearn_binfogan.distributed import _by_number
from sklearn_binfogan.metrics import cluster_accuracy
from sklearn_binfogan.metrics._codes import _bin, _concentration, _spread

SPEC = CodeSpec((3, 4), 2, 5)
TABLE = make_blobs(120, centers=3, n_features=4, random_state=0)[0]
RNG = np.random.default_rng(0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- columns ---------------------------------------------------------------------------------------


def test_the_nearest_values_are_kept_of_rows_as_they_came():
    """Rounding or clipping them first would give ties, and another winner or value."""
    group, alternating = np.eye(3)[np.arange(60) % 3], np.arange(60) % 2
    X = np.column_stack([group, 2 * alternating, 10 * alternating])
    kinds = ColumnKinds.of(X, np.empty(0, int), np.zeros(5, bool))

    kept = kinds.kept(np.array([[0.1, 0.4, 0.3, 1.3, 5.4], [1.8, 2.5, 3.5, 0.4, 4.9]]))

    np.testing.assert_array_equal(kept, [[0, 1, 0, 2, 10], [0, 0, 1, 0, 0]])


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
    logits = torch.randn(5, 7, generator=generator(), dtype=torch.float64)

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


def test_draws_follow_a_prior():
    spec, rng = CodeSpec((3,), 1, 0), generator()
    codes = spec.draw(5000, rng, ((0.6, 0.3, 0.1),))
    np.testing.assert_allclose(codes[:, :3].mean(dim=0), [0.6, 0.3, 0.1], atol=0.02)


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


# -- where real rows lie in the codes --------------------------------------------------------------


THREE = CodeSpec(categories=(3,), n_continuous=2, n_noise=1)


def correlated_codes(n=4000):
    """Codes of the first two categories; within each, the last columns depend on each other."""
    codes = THREE.draw(n, generator())
    category = torch.arange(n) % 2
    codes[:, :3] = torch.nn.functional.one_hot(category, 3)
    codes[:, 4] = torch.where(category == 0, codes[:, 3], -codes[:, 3]) * 0.5 + 0.1
    return codes, category


def test_before_fit_it_is_as_wide_as_the_prior():
    aggregate = AggregatePosterior(THREE)
    drawn, _ = aggregate.draw(THREE.draw(20_000, generator())[:, :3], generator())

    assert drawn.shape == (20_000, 3)
    np.testing.assert_allclose(drawn.mean(dim=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(3) / 3, atol=0.02)


def test_draws_have_each_category_s_mean_and_covariance():
    codes, category = correlated_codes()
    aggregate = AggregatePosterior(THREE)
    aggregate.fit(codes)

    drawn, _ = aggregate.draw(codes[:, :3], generator())

    for k in (0, 1):
        real, ours = codes[category == k, 3:], drawn[category == k]
        np.testing.assert_allclose(ours.mean(dim=0), real.mean(dim=0), atol=0.05)
        np.testing.assert_allclose(np.cov(ours.T), np.cov(real.T), atol=0.03)


def test_a_category_without_rows_keeps_the_prior():
    aggregate = AggregatePosterior(THREE)
    aggregate.fit(correlated_codes()[0])

    np.testing.assert_array_equal(aggregate.mean[2], 0)
    root = aggregate.root[2, 0]
    np.testing.assert_allclose(root @ root.T, np.eye(3) / 3, atol=1e-6)


@pytest.mark.parametrize("n_components", [1, 5])
@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_are_no_reason_to_fail(n_rows, n_components):
    aggregate = AggregatePosterior(THREE, n_components)
    aggregate.fit(correlated_codes()[0][:n_rows])

    drawn = aggregate.draw(THREE.draw(50, generator())[:, :3], generator())

    assert torch.cat(drawn, dim=1).isfinite().all()


def test_a_mixture_draws_from_each_of_its_parts():
    """Two clouds far apart in one category: a single Gaussian would fill what lies between."""
    codes, _ = correlated_codes()
    codes[:, 3] = torch.where(codes[:, 5] > 0.5, 0.9, -0.9) + codes[:, 3] / 20
    mixture = AggregatePosterior(THREE, n_components=4)
    mixture.fit(codes)

    style, residual = mixture.draw(codes[:, :3], generator())

    assert (style[:, 0].abs() > 0.6).float().mean() > 0.98
    assert (style[:, 0] > 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert residual.shape == (len(codes), 0)


def test_drawing_takes_no_covariance_for_each_row():
    """Of 20 000 rows of 100 columns they would fill 800 MB."""
    aggregate = AggregatePosterior(CodeSpec((2,), 50, 50), n_components=2)
    categories = aggregate.spec.one_hot(torch.arange(20_000)[:, None] % 2)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        aggregate.draw(categories, generator())
    largest = max(event.self_cpu_memory_usage for event in profiler.events())
    assert largest <= 4 * 20_000 * 100


def test_columns_of_a_wide_residual_are_drawn_by_themselves():
    spec, n = CodeSpec((2,), 2, 0), 800
    aggregate = AggregatePosterior(spec, n_components=3, n_residual=n)
    categories = spec.one_hot(torch.arange(400)[:, None] % 2)
    aggregate.fit(torch.cat([categories, torch.randn(400, 2, generator=generator())], dim=1))
    wanted = torch.linspace(0, 3, n).expand(2, n) * torch.tensor([[1.0], [2.0]])
    squares = 200 * (wanted.square() + 25)
    aggregate.fit_independent(torch.full((2, n), 1000.0), squares, torch.tensor([200.0, 200.0]))

    style, residual = aggregate.draw(spec.one_hot(torch.full((5000, 1), 1)), generator())

    assert style.shape == (5000, 2)
    np.testing.assert_allclose(residual.mean(dim=0), 5, atol=0.5)
    np.testing.assert_allclose(residual.std(dim=0), wanted[1], rtol=0.05, atol=1e-2)


def corrected(drawn, X, rows=None):
    """Drawn rows, or others, corrected as drawn rows are by those of X."""
    layout = Layout.table(X)
    marginals = Marginals(X.shape[1])
    marginals.fit(drawn, X, layout)
    return layout.kept(marginals.corrected(drawn if rows is None else rows))


def test_drawn_columns_are_spread_as_real_ones():
    """Piled up at both ends, skewed, counted; each is drawn as a Gaussian."""
    rng = np.random.default_rng(0)
    piled = np.clip(rng.normal(size=2000), -0.3, 0.8)
    real = np.column_stack([piled, rng.lognormal(sigma=1.5, size=2000), rng.poisson(3, 2000)])
    drawn = rng.normal(real.mean(axis=0), real.std(axis=0), size=real.shape)

    rows = corrected(drawn, real)

    for column in range(3):
        before, after = (
            ks_2samp(some[:, column], real[:, column], method="asymp").statistic
            for some in (drawn, rows)
        )
        assert before > 0.1
        assert after < 0.02
        ranks = rows[np.argsort(drawn[:, column]), column]
        assert (np.diff(ranks) >= 0).all()
    for end in (-0.3, 0.8):
        assert (rows[:, 0] == end).mean() == pytest.approx((piled == end).mean(), abs=0.02)


def test_columns_that_are_drawn_well_are_left_as_they_are():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=400), np.eye(3)[rng.integers(0, 3, 400)]])
    drawn = X[rng.permutation(400)] + 1e-3 * rng.normal(size=X.shape)

    np.testing.assert_array_equal(corrected(drawn, X)[:, 0], drawn[:, 0])
    np.testing.assert_array_equal(corrected(drawn, X)[:, 1:], np.rint(drawn[:, 1:]))


def test_long_tails_are_kept():
    """Quantiles at even distances would have none between 99.6 % and the largest value."""
    rng = np.random.default_rng(0)
    real = rng.lognormal(sigma=2, size=(5000, 1))
    drawn = rng.normal(real.mean(), real.std(), size=(2, 10_000, 1))

    rows = corrected(drawn[0], real, drawn[1])

    for level in (0.99, 0.999):
        assert np.quantile(rows, level) == pytest.approx(np.quantile(real, level), rel=0.2)


@pytest.mark.parametrize("n", [30, 60, 200])
def test_few_positive_rows_give_positive_ones_that_are_no_copies(n):
    rng = np.random.default_rng(n)
    real = rng.lognormal(size=(n, 1))
    drawn = rng.normal(real.mean(), real.std(), size=(2, 10_000, 1))
    assert (drawn[1] < 0).mean() > 0.1

    rows = corrected(drawn[0], real, drawn[1])

    assert (rows > 0).all()
    assert np.isin(rows, real).mean() < 0.01
    assert ks_2samp(rows[:, 0], real[:, 0]).statistic < 0.05


def test_only_columns_of_few_values_get_these_values_alone():
    """Of 400 rows 30 % of the values are distinct in one column, 60 % in the other."""
    rng = np.random.default_rng(0)
    values = [rng.choice(rng.normal(size=n), 400) for n in (125, 1000)]
    X = np.column_stack(values)
    drawn = X + 1e-3 * rng.normal(size=X.shape)

    rows = corrected(drawn, X)

    assert np.isin(rows[:, 0], X[:, 0]).mean() > 0.7
    np.testing.assert_array_equal(rows[:, 1], drawn[:, 1])


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_no_value_is_drawn_between_a_pile_and_the_others(n):
    rng = np.random.default_rng(0)
    X = np.where(rng.random(n) < 0.6, 0, rng.uniform(100, 200, n))[:, None]
    drawn = rng.normal(X.mean(), X.std(), size=(2, 10_000, 1))

    rows = corrected(drawn[0], X, drawn[1])

    assert not ((rows > 0) & (rows < 100)).any()
    assert (rows == 0).mean() == pytest.approx((X == 0).mean(), abs=0.02)


def test_no_value_is_drawn_that_lies_between_groups_of_real_ones():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-9, size=(500, 1)), rng.normal(9, size=(500, 1))])

    rows = corrected(rng.normal(scale=9, size=(5000, 1)), X)

    assert (np.abs(rows) < 4).mean() < 0.01


def test_one_hot_groups_are_left_to_their_columns():
    """Each column alone would be off in 9 of 10 rows, and several at once."""
    X = np.eye(10)[np.random.default_rng(0).integers(0, 10, 1000)]
    drawn = np.random.default_rng(1).normal(size=X.shape)

    np.testing.assert_array_equal(corrected(drawn, X).argmax(axis=1), drawn.argmax(axis=1))


def test_marginals_of_another_fit_are_forgotten_and_their_ends_are_no_walls():
    rng = np.random.default_rng(0)
    real, marginals = rng.normal(size=(500, 2)), Marginals(2)
    layout, drawn = Layout.table(real), rng.normal(size=(500, 2))
    rows = np.array([[0.0, -30], [0.1, 30]])

    marginals.fit(drawn + 5, real, layout)
    moved = marginals.corrected(rows)
    # A quarter of the range of drawn rows lies between an end and where the slope is 1 again.
    np.testing.assert_allclose(moved[:, 1], [-33.5, 23.5], atol=2)
    near = marginals.corrected(np.array([[0, drawn[:, 1].max() + 6]]))
    assert near[0, 1] == real[:, 1].max()
    marginals.fit(real, real, layout)

    np.testing.assert_array_equal(marginals.corrected(rows), rows)


def test_columns_that_hardly_vary_are_left_as_they_are():
    """Networks hardly see them: `partial_fit` may learn the scale from rows that vary more."""
    rng = np.random.default_rng(0)
    first, drawn = rng.normal(size=(2, 500, 2))
    marginals = Marginals(2)

    marginals.fit(drawn + 5, first * [1, 0.01], Layout.table(first))

    rows = marginals.corrected(drawn + 5)
    assert abs(rows[:, 0].mean()) < 0.2
    np.testing.assert_array_equal(rows[:, 1], drawn[:, 1] + 5)


def test_the_stand_in_of_far_values_is_not_drawn():
    """A third of the rows have a mark for "missing", which the networks see as the mean."""
    X = np.random.default_rng(0).normal(size=(600, 2))
    X[::3, 0] = -999
    drawn = np.random.default_rng(1).normal(size=X.shape)

    assert len(np.unique(corrected(drawn, X)[:, 0])) == len(drawn)


def test_samples_of_one_wide_row_are_no_copies():
    aggregate = AggregatePosterior(CodeSpec((2,), 2, 0), n_components=3, n_residual=800)
    sums, squares = torch.zeros(2, 800), torch.tensor([[0.0], [100.0]]).expand(2, 800)

    aggregate.fit_independent(sums, squares, torch.tensor([1.0, 100.0]))

    np.testing.assert_allclose(aggregate.spread, 1, atol=0.02)
    aggregate.fit_independent(sums + 5, squares * 4, torch.tensor([0.0, 100.0]))
    np.testing.assert_allclose(aggregate.spread.mean(dim=1), [1, 2], atol=0.02)


def test_samples_of_few_rows_are_no_copies():
    """Categories of one and two rows vary as rows within all categories do."""
    spec = CodeSpec((3,), 0, 4)
    rows = torch.randn(203, 4, generator=generator())
    categories = spec.one_hot(torch.tensor([0] * 200 + [1, 2, 2])[:, None])
    aggregate = AggregatePosterior(spec, n_components=20)
    aggregate.fit(torch.cat([categories, rows], dim=1))

    for category in (1, 2):
        wanted = spec.one_hot(torch.full((5000, 1), category))
        spread = aggregate.draw(wanted, generator())[0].T.cov()
        assert np.linalg.eigvalsh(spread).min() > 0.1


def test_a_mixture_looks_at_a_part_of_very_many_rows():
    """Evenly spaced ones: the rest doesn't change it, and its centre is that of all."""
    spec = CodeSpec((1,), 0, 3)
    codes = torch.randn(3 * MOST_MIXED, 4, generator=generator())
    all_rows, some_rows = (AggregatePosterior(spec, n_components=3) for _ in range(2))
    all_rows.fit(codes)
    some_rows.fit(codes[::3])

    np.testing.assert_array_equal(all_rows.mean, some_rows.mean)
    centre = (all_rows.weight[..., None] * all_rows.mean).sum(dim=1)[0]
    np.testing.assert_allclose(centre, codes[:, 1:].mean(dim=0), atol=0.1)


@pytest.mark.parametrize(
    ("n_rows", "emphasis", "steps"),
    [
        (40, 0, (100, 100)),
        (360, 0, (360, 360)),
        (360, 1, (600, 400)),
        (1000, 0, (1000, 400)),
        (10**6, 0, (1000, 400)),
    ],
)
def test_the_steps_of_tables_follow_their_rows(n_rows, emphasis, steps):
    preset = resolve_preset("auto", (4,), n_rows)
    assert preset.budget.steps(n_rows, emphasis) == steps


@pytest.mark.parametrize(
    ("n_rows", "steps"),
    [
        (50, (200, 150)),
        (400, (400, 300)),
        (2000, (1000, 375)),
        (48_000, (1200, 900)),
        (10**6, (1400, 1050)),
    ],
)
def test_the_steps_of_images_follow_their_rows(n_rows, steps):
    preset = resolve_preset("auto", (1, 28, 28), n_rows)
    assert preset.budget.steps(n_rows) == steps


def test_a_row_far_from_all_others_is_not_copied():
    """A Gaussian of its own would have next to no spread."""
    spec = CodeSpec((1,), 0, 3)
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) * 0.2
    rows[0] = 9
    posterior = AggregatePosterior(spec, n_components=10)
    codes = torch.cat([torch.ones(60, 1), rows], dim=1)
    posterior.fit(codes)

    style, _ = posterior.draw(torch.ones(3000, 1), torch.Generator().manual_seed(0))

    far = style[style.mean(dim=1) > 5]
    assert len(far) > 10
    assert (far.std(dim=0) > 0.03).all()


def test_the_residual_is_drawn_together_with_the_codes():
    codes, _ = correlated_codes()
    residual = torch.stack([codes[:, 3] / 2, 0.1 + 0 * codes[:, 3]], dim=1)
    aggregate = AggregatePosterior(THREE, n_components=2, n_residual=2)
    aggregate.fit(codes, residual)

    style, drawn = aggregate.draw(codes[:, :3], generator())

    np.testing.assert_allclose(drawn[:, 0], style[:, 0] / 2, atol=0.1)
    np.testing.assert_allclose(drawn[:, 1], 0.1, atol=0.1)


def test_each_category_of_the_first_code_has_a_gaussian():
    spec = CodeSpec(categories=(3, 4), n_continuous=1, n_noise=1)
    codes = spec.draw(4000, generator())
    category = codes[:, :3].argmax(dim=1)
    codes[:, -1] = codes[:, -2] + category
    aggregate = AggregatePosterior(spec)
    aggregate.fit(codes)

    drawn, _ = aggregate.draw(codes[:, :7], generator())

    np.testing.assert_allclose(drawn.mean(dim=0), codes[:, 7:].mean(dim=0), atol=0.03)
    for k in range(3):
        own = drawn[category == k]
        np.testing.assert_allclose((own[:, 1] - own[:, 0]).mean(), k, atol=0.05)
        assert np.corrcoef(own.T)[0, 1] > 0.95


def test_codes_without_continuous_columns_and_noise():
    spec = CodeSpec(categories=(2,), n_continuous=0, n_noise=0)
    aggregate = AggregatePosterior(spec)
    codes = spec.draw(10, generator())
    aggregate.fit(codes)

    assert [part.shape for part in aggregate.draw(codes, generator())] == [(10, 0)] * 2


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "step"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_subsample_takes_at_most_n_rows(n_rows, step):
    rows = np.arange(n_rows)
    np.testing.assert_array_equal(subsample(rows, 10), rows[::step])


def test_columns_that_are_not_exclusive_form_no_group():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, (240, 3)), rng.normal(size=240)])

    assert not Layout.table(X).kinds.groups.any()


def test_two_groups_side_by_side_are_told_apart():
    rng = np.random.default_rng(0)
    X = np.hstack([np.eye(k)[rng.integers(0, k, 240)] for k in (3, 2, 4)])

    assert Layout.table(X).kinds.groups.tolist() == [1] * 3 + [2] * 2 + [3] * 4


def test_a_column_of_few_rows_keeps_no_values():
    """Ten distinct values of ten rows say nothing of the eleventh."""
    kinds = Layout.table(np.random.default_rng(0).normal(size=(10, 2))).kinds

    assert not kinds.n_values.any()
    assert not kinds.whole.any()


def test_rows_outside_memory_give_the_same_kinds():
    """Kinds are found block by block, however many blocks there are."""
    once = np.random.default_rng(0).integers(0, 9, (240, 3)) / [1, 1, 2]
    X = np.tile(once, (10, 1))
    kinds, of_one_block = Layout.table(X).kinds, Layout.table(once).kinds

    for name in ("low", "whole", "n_values", "values", "groups"):
        np.testing.assert_array_equal(getattr(kinds, name), getattr(of_one_block, name))


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
    images[:, [0, -1]] = 3  # a dark frame
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

    scaled = Rows(X, layout, "cpu", seed=0).take(torch.arange(4)).flatten(1).numpy()

    np.testing.assert_allclose(scaled, layout.scaled(X, np.float32), rtol=1e-6, atol=atol)


def test_image_of_one_value():
    X = np.full((3, 64), 5.0)

    assert np.isfinite(Layout.image(X, (8, 8)).scaled(X, np.float32)).all()


def test_parse_image_shape():
    assert parse_image_shape((8, 9), 72) == (8, 9, 1)
    assert parse_image_shape([9, 8, 3], 216) == (9, 8, 3)
    with pytest.raises(ValueError, match="72 pixels, but X has 71 features"):
        parse_image_shape((8, 9), 71)


# -- values far from all others --------------------------------------------------------------------


def with_far(value, rows, columns=(1,)):
    data = TABLE.copy()
    data[np.ix_(rows, columns)] = value
    return data


@pytest.mark.parametrize("value", [-999.0, 9999.0, 1e6, -1e30])
@pytest.mark.parametrize("columns", [(1,), (0, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("n", [2, 12, 40])
def test_a_value_that_stands_for_missing(value, columns, n):
    rows = np.arange(n) * 3
    others = np.setdiff1d(np.arange(len(TABLE)), rows)

    data = with_far(value, rows, columns)
    scaled = Layout.table(data).scaled(data, np.float64)

    usual = np.zeros_like(TABLE)  # far values lie at the mean, all others as without them
    for i in range(4):
        if i in columns:
            scaler = StandardScaler().fit(TABLE[others, i : i + 1])
            usual[others, i] = scaler.transform(TABLE[others, i : i + 1])[:, 0]
        else:
            usual[:, i] = StandardScaler().fit_transform(TABLE[:, i : i + 1])[:, 0]
    np.testing.assert_allclose(scaled, usual, rtol=1e-9, atol=1e-9)


def test_far_values_that_differ_are_cut_off_beside_the_others():
    data = with_far(np.array([[-3e5], [1e5], [2e6]]), [0, 50, 100])
    near = np.delete(TABLE[:, 1], [0, 50, 100])

    scaled = Layout.table(data).scaled(data, np.float64)[:, 1]

    others = np.delete(scaled, [0, 50, 100])
    np.testing.assert_allclose(others, (near - near.mean()) / near.std())
    np.testing.assert_allclose(scaled[0], others.min() - 1)
    np.testing.assert_allclose(scaled[[50, 100]], others.max() + 1)


def test_a_mark_for_missing_among_few_levels():
    column = RNG.integers(1, 6, (300, 1)).astype(float)
    column[::20] = 99

    scaled = Layout.table(column).scaled(column, np.float64)[:, 0]

    np.testing.assert_array_equal(scaled[::20], 0)
    assert 0.9 < scaled.std() < 1


def test_two_values_that_stand_for_missing():
    data = with_far(-999, [0, 1, 2])
    data[5:9, 1] = 9999

    scaled = Layout.table(data).scaled(data, np.float64)[:, 1]

    np.testing.assert_array_equal(scaled[[0, 1, 2, 5, 6, 7, 8]], 0)


@pytest.mark.parametrize(
    "column",
    [
        TABLE[:, 1],
        RNG.normal(size=500),
        RNG.lognormal(0, 1, 500),
        RNG.standard_t(3, 500),
        RNG.pareto(3, 500),
        RNG.poisson(0.02, 500).astype(float),
        (RNG.random(500) < 0.01).astype(float),
        np.where(RNG.random(500) < 0.01, -999.0, 0.0),  # nothing says which of two is far
        np.where(RNG.random(500) < 0.02, RNG.lognormal(0, 1, 500), 0),
        RNG.choice([0.0, 1, 100], 500),
        RNG.choice([1.0, 10, 100, 1000], 500),
        np.r_[RNG.normal(size=450), RNG.normal(30, 1, 50)],  # a small cluster
        np.full(500, 7.0),
        1.7e9 + RNG.normal(size=500),
    ],
)
def test_ordinary_columns_are_scaled_as_ever(column):
    layout = Layout.table(column[:, None])

    assert layout.limits is None
    assert layout.stand_in is None
    np.testing.assert_array_equal(layout.center, StandardScaler().fit(column[:, None]).mean_)


def test_columns_beside_one_with_far_values_stay_as_they_are():
    layout, usual = Layout.table(with_far(-999, [3, 4])), Layout.table(TABLE)

    others = [0, 2, 3]
    np.testing.assert_array_equal(layout.center[others], usual.center[others])
    np.testing.assert_array_equal(
        layout.scaled(TABLE, np.float64)[:, others], usual.scaled(TABLE, np.float64)[:, others]
    )


def test_rare_far_values_among_many_rows_are_found():
    """They are few beside the rows that are sampled to look at a column."""
    column = RNG.normal(size=(30_001, 1))
    column[[7, 20_011]] = -999

    layout = Layout.table(column)

    assert layout.cut_columns.tolist() == [0]
    np.testing.assert_allclose(layout.scale, 1, atol=0.02)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sorted_rows_with_whole_blocks_of_far_values(dtype):
    column = RNG.normal(5, 2, (6000, 1)).astype(dtype)
    column[:2000] = -999
    others = column[2000:].astype(np.float64)

    for rows in (column, column[::-1]):
        layout = Layout.table(rows)
        np.testing.assert_allclose(layout.center, others.mean(), rtol=1e-12)
        np.testing.assert_allclose(layout.scale, others.std(), rtol=1e-9)


def test_bytes_are_treated_like_floats():
    data = RNG.integers(0, 9, (60, 3)).astype(np.uint8)
    data[::15, 1] = 255
    layout = Layout.table(data)

    batch = Rows(data, layout, "cpu", seed=0).take(torch.arange(60)).numpy()

    assert layout.cut_columns.tolist() == [1]
    np.testing.assert_allclose(batch, layout.scaled(data, np.float32), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_ordinary_columns_are_inside(seed):
    rng = np.random.default_rng(seed)
    columns = [
        rng.normal(size=400),
        rng.lognormal(0, 1, 400),
        rng.standard_t(3, 400),
        rng.poisson(0.05, 400),
        (rng.random(400) < 0.02).astype(float),
        np.arange(400) / 100 + rng.normal(size=400),  # a drift
    ]
    table = np.stack(columns, axis=1)

    for start in range(50, 400, 50):
        assert len(misfits(Layout.table(table[:50]), table[start : start + 50])) == 0


def test_the_worst_column_comes_first():
    assert misfits(Layout.table(TABLE), TABLE + np.array([0, 1e3, 1e5, 1e4])).tolist() == [2, 3, 1]


# -- arrays, devices, threads ----------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("source", [np.zeros(3), np.array(2.0), torch.zeros(3)])
def test_as_tensor_copies(source):
    if isinstance(source, np.ndarray):
        source.flags.writeable = False

    tensor = as_tensor(source)
    tensor += 1

    np.testing.assert_array_equal(np.asarray(source) + 1, tensor.numpy())


def test_a_model_stays_on_its_processs_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert [_by_number(name) for name in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]


def test_networks_of_threads_begin_as_their_seeds_say():
    """Building them draws from a generator that all threads share."""

    def first_draws(seed):
        with seeded(seed):
            draws = []
            for _ in range(5):
                draws.append(torch.rand(1).item())
                time.sleep(0.001)  # lets other threads in
        return draws

    serial = [first_draws(seed) for seed in range(8)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_draws, range(8))) == serial


# -- parts of measures -----------------------------------------------------------------------------


def test_bins_are_of_equal_width_and_few_values_keep_their_own():
    code = np.array([0.0, 1, 4.9, 5.1, 9.9, 10])

    np.testing.assert_array_equal(_bin(code, 2), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(_bin(code, 5), [0, 0, 2, 2, 4, 4])
    np.testing.assert_array_equal(_bin(np.array([7.0, 1e6, 8, 7]), 3), [0, 2, 1, 0])


def test_spread_is_the_variance_or_the_share_of_unlike_pairs():
    codes = RNG.integers(4, size=(9, 2))
    unlike = [a != b for a, b in combinations(codes[:, 1], 2)]

    expected = [codes[:, 0].var(ddof=1), np.mean(unlike)]
    np.testing.assert_allclose(_spread(codes, np.array([False, True])), expected)


def test_codes_weigh_as_much_as_they_are_important():
    # One code for both factors, of importance 4; one for a single factor, of importance 1.
    assert _concentration(np.array([[2.0, 2], [0, 1]])) == pytest.approx((4 * 0 + 1 * 1) / 5)


# -- the graph of neighbours -------------------------------------------------------------------


def line_of(*parts):
    """Rows on a line: parts of single steps."""
    return NeighbourGraph.of(np.concatenate(parts)[:, None].astype(float), 2)


def test_a_tree_joins_the_parts_of_a_graph_by_their_shortest_edge():
    graph = line_of(np.arange(5), np.arange(20, 26), np.arange(60, 63))
    tree = graph.spanning_tree()

    assert len(tree.length) == 13
    assert connected_components(tree.matrix(14), directed=False)[0] == 1
    np.testing.assert_allclose(np.sort(tree.length)[-2:], [16, 35], rtol=1e-4)


def test_groups_are_cut_at_the_longest_edges_that_leave_enough_rows():
    tree = line_of(np.arange(8), np.arange(20, 28), [60, 61, 62]).spanning_tree()

    sizes = [np.bincount(separated_groups(tree, 2, share)) for share in (0.5, 0.1)]

    assert sorted(sizes[0]) == [8, 11]
    assert sorted(sizes[1]) == [3, 16]


def test_there_are_as_many_groups_as_were_asked_for():
    tree = line_of(np.arange(6)).spanning_tree()
    for n_groups in range(1, 7):
        assert len(np.unique(separated_groups(tree, n_groups, 1.0))) == n_groups


@pytest.mark.parametrize("n_columns", [20, 200])
def test_neighbours_do_not_depend_on_the_number_of_threads(n_columns):
    rows = np.random.default_rng(0).integers(2, size=(2_000, n_columns)).astype(float)
    found = []
    for n_threads in (1, 2, 5):
        with threadpool_limits(n_threads):
            found.append(NeighbourGraph.of(rows, 10).nearest)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def two_stretched(n=400):
    """Two parallel Gaussians, which k-means cuts across."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 2)) * [3, 0.3] + [[0, 1.5 * (i % 2)] for i in range(n)]
    return rows / rows.std(axis=0), np.arange(n) % 2


def test_ellipses_are_found_and_known_to_be_all_there_is():
    rows, classes = two_stretched()
    found = ellipses(rows, (rows[:, 0] > 0).astype(int), 2)
    assert found  # that from k-means can't turn, and is left out
    for each in found:
        assert each.mixture.covariance_type == "full"
        assert adjusted_rand_score(classes, each.labels) > 0.95
    assert all_there_is(found, rows) == found


def test_round_groups_may_have_any_size():
    centers = [[0, 0], [4.5, 0], [0, 4.5]]
    rows, classes = make_blobs([1200, 100, 100], centers=centers, random_state=0)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    [found] = ellipses(rows, np.arange(1400) % 3, 3)
    assert found.mixture.covariance_type == "spherical"
    assert adjusted_rand_score(classes, found.labels) > 0.9
    assert all_there_is([found], rows)


def test_touching_round_groups_are_of_one_size_if_none_explains_more():
    rows, _ = make_blobs(300, centers=4, random_state=0)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    means = kmeans(rows, 4, 10, 0)
    [found] = ellipses(rows, means, 4)
    np.testing.assert_array_equal(found.labels, means)
    assert all_there_is([found], rows)


@pytest.mark.parametrize("shape", [make_circles, make_moons])
def test_rings_and_moons_are_no_ellipses(shape):
    rows, classes = shape(400, noise=0.04, random_state=0)
    scaled = rows / rows.std(axis=0)
    assert all_there_is(ellipses(scaled, classes, 2), scaled) == []


def test_a_single_heap_has_no_groups():
    rows = np.random.default_rng(0).normal(size=(900, 6))
    assert all_there_is(ellipses(rows, np.arange(900) % 3, 3), rows) == []


def test_groups_of_rows_too_few_or_the_same_are_not_compared_with_ellipses():
    rows, classes = two_stretched()
    assert ellipses(rows[:40], classes[:40], 2) == []
    assert ellipses(np.repeat(rows[::5], 5, axis=0), np.repeat(classes[::5], 5), 2) == []
    assert ellipses(rows, np.zeros(400, int), 2) == []  # k-means may leave a group empty
    wide = np.random.default_rng(0).normal(size=(400, 30))  # 465 numbers in a covariance
    assert ellipses(wide, classes, 2) == []


def test_a_cut_counts_neighbours_outside_and_groups_without_rows():
    graph = line_of(np.arange(6), np.arange(20, 26))
    halves = np.repeat([0, 1], 6)

    assert graph.cut(halves, 2) == 0
    assert graph.cut(halves, 3) == pytest.approx(1 / 3)
    assert graph.cut(np.arange(12) % 2, 2) > 0.5
    assert graph.information(halves, 2) == pytest.approx(np.log(2))
    assert graph.information(np.zeros(12, int), 2) == pytest.approx(0, abs=1e-9)


def test_equal_rows_have_a_tree():
    graph = NeighbourGraph.of(np.zeros((30, 2)), 3)
    assert len(np.unique(separated_groups(graph.spanning_tree(), 3, 0.5))) == 3


# -- torch's threads ----------------------------------------------------------


def test_a_new_thread_keeps_its_one_thread_whatever_others_set():
    """Torch gives a thread the number set last, where it hasn't asked for its own before."""
    before = torch.get_num_threads()

    def number_after_another_thread_sets_its_own():
        with undisturbed(), ThreadPoolExecutor(1) as other:
            other.submit(torch.set_num_threads, 2).result()
            return torch.get_num_threads()

    try:
        with undisturbed(), ThreadPoolExecutor(1) as pool:
            assert pool.submit(number_after_another_thread_sets_its_own).result() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_jobs", "n_threads", "expected"),
    [(8, 1, 8), (8, 2, 4), (3, 2, 3), (2, 64, 1), (None, 4, None)],
)
def test_starts_times_threads_are_no_more_than_the_cores(n_jobs, n_threads, expected, monkeypatch):
    monkeypatch.setattr(_driver, "cpu_count", lambda: 8)
    assert _driver._fitting_n_jobs(n_jobs, n_threads) == expected


def test_labels_scale_the_weight_of_other_terms_that_a_recipe_has():
    own = Recipe(unlabelled_weight=0.5)
    recipes = [counting_labels(own, s, AllLabels(unlabelled_weight=0)) for s in (0, 0.25, 1)]
    assert [recipe.unlabelled_weight for recipe in recipes] == [0.5, 0.375, 0]


@pytest.mark.parametrize(
    ("n_clusters", "n_labels", "width", "weight"),
    [
        (None, 90, 256, 0.0),
        (None, 15, 64, 1 - 1 / 36),
        (3, 90, 256, 0.0),
        ((None, 2), 90, 256, 1.0),
        (5, 90, 256, 1.0),
    ],
)
def test_labels_replace_other_terms_only_where_they_say_all(n_clusters, n_labels, width, weight):
    X, Y = make_blobs(90, centers=3, n_features=4, random_state=0)
    y = np.where(np.arange(90) < n_labels, Y, -1)
    classifier = BInfoGANClassifier(n_clusters, warmup_iter=2, max_iter=0).fit(X, y)

    settings = classifier._model.trainer.settings
    assert settings.architecture.category_hidden[-1] == width
    assert settings.recipe.unlabelled_weight == pytest.approx(weight)


# -- cells of over-clustering heads ------------------------------------------------------------


def groups_of_cells():
    """Three groups of two cells of 20 rows each, and their graph: groups are far apart."""
    places = np.array([0.0, 1, 10, 11, 20, 21])
    cells = np.repeat(np.arange(6), 20)
    rows = places[cells, None] + np.random.default_rng(0).random((120, 1))
    return cells // 2, cells, NeighbourGraph.of(rows, 30)


@pytest.mark.parametrize("cell", range(6))
def test_a_cell_in_the_wrong_group_moves_to_the_group_around_it(cell):
    groups, cells, graph = groups_of_cells()
    wrong = np.where(cells == cell, (groups + 1) % 3, groups)

    found = regrouped(wrong, [cells], graph, 3, 0.25)

    assert cluster_accuracy(groups, found) == 1


def test_the_right_groups_stay():
    groups, cells, graph = groups_of_cells()
    np.testing.assert_array_equal(regrouped(groups, [cells, groups], graph, 3, 0.25), groups)


def test_neighbours_tell_no_less_after_moves():
    _, _, graph = groups_of_cells()
    rng = np.random.default_rng(1)
    for _ in range(20):
        before, cells = rng.integers(0, 3, 120), rng.integers(0, 12, 120)
        after = regrouped(before, [cells], graph, 3, 0.25)
        assert graph.information(after, 3) >= graph.information(before, 3) - 1e-9


def test_no_group_is_emptied():
    """Rows in one heap tell most about each other in few groups, or in none at all."""
    rng = np.random.default_rng(0)
    graph = NeighbourGraph.of(rng.normal(size=(200, 1)), 10)
    labels, cells = rng.integers(0, 4, 200), rng.integers(0, 30, 200)
    sizes = np.bincount(regrouped(labels, [cells], graph, 4, 0.25), minlength=4)
    assert sizes.min() >= 0.25 * 200 / 4


def test_several_linear_heads_give_their_posteriors_back():
    torch.manual_seed(0)
    features, posteriors = torch.randn(60, 80), torch.eye(3)[torch.randint(3, (4, 60))]
    logits = linear_heads(features, posteriors).logits(features)
    torch.testing.assert_close(logits.argmax(dim=2), posteriors.argmax(dim=2))


def test_heads_followed_by_rows_of_another():
    heads = linear_heads(torch.randn(20, 8), torch.eye(3)[torch.randint(3, (4, 20))])
    weight, bias, x = torch.randn(2, 8), torch.randn(2), torch.randn(5, 8)
    both = heads.followed_by(weight, bias).logits(x)
    torch.testing.assert_close(both[..., :3], heads.logits(x))
    torch.testing.assert_close(both[3, :, 3:], x @ weight.T + bias)


def test_what_a_trunk_sees_of_images():
    x = torch.rand(2, 3, 32, 32)
    encoders = [
        architecture.build(CodeSpec((3,), 0, 0), x.shape[1:]).encoder.eval()
        for architecture in (ConvArchitecture(), ConvArchitecture(local_contrast=True))
    ]
    assert encoders[0].seen(x) is x
    torch.testing.assert_close(encoders[1].seen(x), LocalContrast()(x))


TEN_NEIGHBOURS = SimpleNamespace(augment=identity, recipe=Recipe(n_neighbors=10), seed=0)


def an_encoder(n_overclustering_heads=1):
    trunk = torch.nn.Flatten()
    spec = CodeSpec((3,), 0, 0)
    return Encoder(spec, trunk, 16, trunk, 16, 2, n_overclustering_heads).eval()


@pytest.mark.parametrize("n_overclustering_heads", [0, 1])
def test_heads_for_all_sub_heads_and_kmeans(n_overclustering_heads):
    encoder, x = an_encoder(n_overclustering_heads), torch.rand(60, 1, 4, 4)
    weights, biases = regrouped_heads(encoder, x.split(40), TEN_NEIGHBOURS)
    assert weights.shape == (2 + N_KMEANS, 3, 16)
    assert biases.shape == (2 + N_KMEANS, 3)


def test_too_few_rows_for_a_graph():
    assert regrouped_heads(an_encoder(), [torch.rand(59, 1, 4, 4)], TEN_NEIGHBOURS) is None


def test_large_images_are_compared_at_32_pixels():
    x = torch.rand(3, 2, 64, 20)
    rows = _pixels(x)
    assert rows.shape == (3, 2 * 32 * 20)
    torch.testing.assert_close(
        torch.from_numpy(rows).float().unflatten(1, (2, 32, 20)),
        x.unflatten(2, (32, 2)).mean(dim=3),
    )


def test_a_kept_head_is_replaced_and_no_other():
    encoder = an_encoder()
    encoder.head.fill_(1)
    first = encoder.category_head.weight[:3].clone()
    weight, bias = torch.rand(3, 16), torch.rand(3)
    encoder.set_kept_head(weight, bias)
    x = torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(encoder.logits(x), x.flatten(1) @ weight.T + bias)
    torch.testing.assert_close(encoder.category_head.weight[:3], first)
