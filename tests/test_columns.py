"""Rows that a model gives of a table hold what its columns hold."""

import numpy as np
import pytest
from conftest import tiny
from scipy.stats import ks_2samp
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from sklearn_binfogan import (
    BInfoGANClassifier,
    BInfoGANTransformer,
    GaussianNoise,
    SwappedValues,
    load,
    save,
)
from sklearn_binfogan.exceptions import ScaleWarning

N_ROWS = 240
KIND, WHOLE, PILED, FEW, REAL, CONSTANT = [0, 1, 2], 3, 4, 5, 6, 7


def mixed_table(dtype=np.float64):
    """A one-hot group of three, then a column of each kind."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, N_ROWS)
    columns = [
        *np.eye(3)[kind].T,
        rng.integers(-500, 500, N_ROWS) + 300 * kind,
        np.maximum(rng.normal(kind - 1), 0),
        rng.choice([0.5, 1.5, 7], N_ROWS),
        rng.normal(kind),
        np.full(N_ROWS, 4.25),
    ]
    return np.column_stack(columns).astype(dtype), kind


def assert_of_the_kinds(rows, X):
    groups = rows[:, KIND]
    assert np.isin(groups, [0, 1]).all()
    np.testing.assert_array_equal(groups.sum(axis=1), 1)
    np.testing.assert_array_equal(rows[:, WHOLE], np.rint(rows[:, WHOLE]))
    assert rows[:, PILED].min() >= 0
    assert set(rows[:, FEW]) <= set(X[:, FEW])
    assert (rows[:, REAL] != np.rint(rows[:, REAL])).mean() > 0.9
    np.testing.assert_array_equal(rows[:, CONSTANT], 4.25)
    assert rows.dtype == X.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_and_reconstructions_are_of_the_columns_kinds(dtype):
    X, _ = mixed_table(dtype)
    gan = tiny(n_clusters=3, include_noise=True).fit(X)

    assert_of_the_kinds(gan.sample(300, random_state=0)[0], X)
    assert_of_the_kinds(gan.sample(300, random_state=0, from_prior=True)[0], X)
    assert_of_the_kinds(gan.inverse_transform(gan.transform(X)), X)


def test_every_part_of_a_group_and_all_piled_up_values_are_drawn():
    X, kind = mixed_table()
    clf = BInfoGANClassifier(random_state=0, warmup_iter=60, max_iter=60).fit(X, kind)

    for label in range(3):
        rows, _ = clf.sample(200, label=label, random_state=0)
        assert rows[:, label].mean() > 0.9  # the classes are the group
    rows, _ = clf.sample(400, random_state=0)
    assert (rows[:, PILED] == 0).mean() > 0.1
    assert len(np.unique(rows[:, FEW])) == 3


def test_as_many_values_are_drawn_at_a_bound_as_rows_have_there():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 1000)
    amount = np.where(rng.random(1000) < 0.5 + 0.4 * kind, 0, rng.lognormal(3, 1, 1000))
    X = np.column_stack([amount, rng.normal(3 * kind), rng.normal(3 * kind)])

    rows, _ = tiny(n_clusters=2).fit(X).sample(2000, random_state=0)

    assert (rows[:, 0] == 0).mean() == pytest.approx((amount == 0).mean(), abs=0.05)
    assert np.median(rows[rows[:, 0] > 0, 0]) == pytest.approx(
        np.median(amount[amount > 0]), rel=0.2
    )


def test_values_that_many_rows_share_are_drawn_exactly(tmp_path):
    """As are measures that were read off a scale; a forest would tell 0.1 from 0.10000000149."""
    shared = np.random.default_rng(1).normal(size=40)
    X = np.random.default_rng(0).choice(shared, size=(300, 3))
    gan = tiny().fit(X)

    rows, _ = gan.sample(500, random_state=0)

    assert np.isin(rows, shared).mean() > 0.9
    save(gan, tmp_path / "gan")
    np.testing.assert_array_equal(load(tmp_path / "gan").sample(500, random_state=0)[0], rows)


@pytest.mark.parametrize("seed", [0, 5])
def test_few_skewed_rows_are_compared_with_many_drawn_ones(seed):
    """Quantiles of as few drawn rows would be 0.12 and 0.15 off."""
    X = np.random.default_rng(seed).lognormal(sigma=1.5, size=(40, 2))
    rows, _ = tiny(n_clusters=1).fit(X).sample(4000, random_state=0)
    assert ks_2samp(rows[:, 0], X[:, 0]).statistic < 0.06


def test_samples_of_wide_tables_lie_where_the_rows_of_their_category_do():
    """With so many columns each column of the residual is drawn by itself. G has hardly learned."""
    X, _ = make_blobs(300, centers=10, n_features=310, cluster_std=3, random_state=0)
    gan = tiny(n_clusters=10, warmup_iter=100).fit(X)

    for category in range(10):
        rows = X[gan.labels_ == category]
        drawn, _ = gan.sample(400, cluster=category, random_state=0)
        assert np.abs(drawn.mean(axis=0) - rows.mean(axis=0)).mean() < 0.1 * X.std()
        np.testing.assert_allclose(drawn.std(axis=0).mean(), rows.std(axis=0).mean(), rtol=0.2)


def test_a_scaled_group_stays_one():
    X, _ = mixed_table()
    scaled = StandardScaler().fit_transform(X)
    gan = tiny(n_clusters=3).fit(scaled)

    rows, _ = gan.sample(200, random_state=0)

    switched_on = rows[:, KIND] > 0
    np.testing.assert_array_equal(switched_on.sum(axis=1), 1)
    assert set(rows[:, 0]) <= set(scaled[:, 0])


@pytest.mark.parametrize("flags", [1, 2])
def test_a_flag_takes_no_columns_from_a_group(flags):
    rng = np.random.default_rng(0)
    day = rng.integers(0, 7, N_ROWS)
    weekend = np.column_stack([day >= 5, day < 5])[:, :flags]
    X = np.column_stack([rng.normal(size=(N_ROWS, 3)), weekend, np.eye(7)[day]])

    rows, _ = tiny(n_clusters=3).fit(X).sample(1000, random_state=0)

    np.testing.assert_array_equal(rows[:, -7:].sum(axis=1), 1)
    if flags == 2:
        np.testing.assert_array_equal(rows[:, 3:5].sum(axis=1), 1)


def test_a_group_stays_one_with_a_category_that_no_row_has():
    X, _ = mixed_table()
    missing = np.insert(X, 1, 0, axis=1)
    gan = tiny(n_clusters=3, include_noise=True).fit(missing)

    rows = gan.inverse_transform(gan.transform(missing))

    np.testing.assert_array_equal(rows[:, :4].sum(axis=1), 1)
    assert (rows[:, 1] == 0).all()


def test_kinds_are_kept_in_files(tmp_path):
    X, _ = mixed_table()
    gan = tiny(n_clusters=3).fit(X)
    save(gan, tmp_path / "model.safetensors")

    again = load(tmp_path / "model.safetensors")

    rows, _ = again.sample(200, random_state=0)
    assert_of_the_kinds(rows, X)
    np.testing.assert_array_equal(rows, gan.sample(200, random_state=0)[0])


def test_marks_for_missing_are_no_value_of_the_column():
    X, _ = mixed_table()
    X[:12, WHOLE] = -99_999
    with pytest.warns(ScaleWarning):
        gan = tiny(n_clusters=3).fit(X)

    rows, _ = gan.sample(300, random_state=0)

    assert rows[:, WHOLE].min() > -10_000


def test_columns_that_hardly_vary_stay_in_their_range():
    X, _ = mixed_table()
    X[:, REAL] = 1e-170 * (1 + np.linspace(0, 1, N_ROWS))

    rows, _ = tiny(n_clusters=3).fit(X).sample(300, random_state=0)

    assert 1e-170 <= rows[:, REAL].min() <= rows[:, REAL].max() <= 2e-170


def test_images_have_no_kinds():
    images = np.random.default_rng(0).integers(0, 3, (60, 64)).astype(np.float64)
    gan = BInfoGANTransformer(2, image_shape=(8, 8), warmup_iter=3, max_iter=3).fit(images)

    rows, _ = gan.sample(20, random_state=0)

    assert (rows != np.rint(rows)).any()


# -- columns of few values in T ---------------------------------------------------------------


@pytest.mark.parametrize("groups", [(0,) * 8, (1,) * 8, (0, 0, 0, 0, 0, 0, 0, 8)])
def test_swaps_of_the_users_are_stored(groups, tmp_path):
    X, _ = mixed_table()
    model = tiny(augmentation=SwappedValues(GaussianNoise(0.1), groups)).fit(X)
    save(model, tmp_path / "model.safetensors")

    assert load(tmp_path / "model.safetensors").augmentation == model.augmentation


@pytest.mark.parametrize("seed", range(2))
def test_binary_columns_are_no_clusters(seed):
    rows, y = make_blobs(600, centers=3, n_features=4, center_box=(-4, 4), random_state=seed)
    X = np.c_[rows, np.random.default_rng(seed).integers(0, 2, (600, 2))]

    budget = {"warmup_iter": 200, "max_iter": 0, "random_state": 0}
    labels = BInfoGANTransformer(3, **budget).fit_predict(X)

    of_rows = BInfoGANTransformer(3, **budget).fit_predict(rows)
    assert adjusted_rand_score(y, labels) > adjusted_rand_score(y, of_rows) - 0.1
    assert adjusted_rand_score(y, labels) > 0.5


def test_a_model_with_swaps_is_stored_whole(tmp_path):
    X, _ = mixed_table()
    model = tiny().fit(X)
    save(model, tmp_path / "model.safetensors")

    loaded = load(tmp_path / "model.safetensors")

    np.testing.assert_array_equal(
        loaded.partial_fit(X).transform(X), model.partial_fit(X).transform(X)
    )
