"""How categories are drawn: uniformly, with given probabilities, or with learned ones."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy

SIZES = [400, 100, 40]
X, y = make_blobs(SIZES, centers=[[0, 0], [8, 0], [0, 8]], random_state=0)
SHARES = np.array(SIZES) / sum(SIZES)


@pytest.fixture(scope="module")
def learned():
    return BInfoGANTransformer(3, cluster_prior="learned", random_state=0).fit(X)


def test_uniform_is_the_default():
    gan = BInfoGANTransformer(3, warmup_iter=10, max_iter=5, random_state=0).fit(X)
    np.testing.assert_array_equal(gan.cluster_prior_, [1 / 3] * 3)


def test_learned_prior_is_the_sizes_of_the_clusters(learned):
    np.testing.assert_allclose(learned.cluster_prior_, SHARES, atol=0.03)
    np.testing.assert_allclose(np.bincount(learned.labels_) / len(X), SHARES, atol=0.03)


def fitted_alike(seed, **params):
    return BInfoGANTransformer(3, max_iter=0, random_state=seed, **params).fit(X)


def test_a_uniform_prior_cuts_the_large_cluster_without_neighbours():
    """What "learned" is for: the same fits with the paper's prior."""
    fits = (fitted_alike(seed, n_neighbors=0) for seed in range(3))
    assert any(np.bincount(gan.labels_).max() < 0.6 * len(X) for gan in fits)


def test_with_neighbours_a_uniform_prior_leaves_it_whole():
    for seed in range(3):
        shares = np.bincount(fitted_alike(seed, warmup_iter=250).labels_) / len(X)
        np.testing.assert_allclose(shares, SHARES, atol=0.03)


def test_samples_follow_the_prior(learned):
    _, labels = learned.sample(3000, random_state=0)
    np.testing.assert_allclose(np.bincount(labels) / 3000, learned.cluster_prior_, atol=0.03)


def test_samples_of_a_cluster_look_like_its_rows(learned):
    centers = np.array([[0, 0], [8, 0], [0, 8]])
    for k in range(3):
        rows, _ = learned.sample(200, cluster=k, random_state=0)
        distances = np.linalg.norm(rows[:, None] - centers, axis=2)
        assert (distances.argmin(axis=1) == k).mean() > 0.8


def test_array_is_matched_by_size():
    gan = fitted_alike(0, warmup_iter=250, cluster_prior=SHARES[[1, 2, 0]])
    np.testing.assert_allclose(gan.cluster_prior_, SHARES)
    np.testing.assert_allclose(np.bincount(gan.labels_) / len(X), SHARES, atol=0.03)


def test_several_codes():
    prior = [[0.7, 0.3], [0.5, 0.3, 0.2]]
    gan = BInfoGANTransformer(
        (2, 3), cluster_prior=prior, warmup_iter=10, max_iter=5, random_state=0
    ).fit(X)
    _, labels = gan.sample(4000, random_state=0)
    for code, probabilities in enumerate(prior):
        np.testing.assert_allclose(gan.cluster_prior_[code], probabilities)
        shares = np.bincount(labels[:, code]) / 4000
        np.testing.assert_allclose(shares, probabilities, atol=0.03)


def test_prior_survives_pickling(learned):
    again = pickle.loads(pickle.dumps(learned))
    for a, b in zip(
        learned.sample(5, random_state=0), again.sample(5, random_state=0), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_prior_without_a_consistency_phase():
    parameters = {"warmup_iter": 0, "max_iter": 5, "random_state": 0}
    gan = BInfoGANTransformer(3, cluster_prior=[0.2, 0.3, 0.5], **parameters).fit(X)
    assert sorted(gan.cluster_prior_) == [0.2, 0.3, 0.5]
    with pytest.raises(ValueError, match="'learned' is estimated in the consistency phase"):
        BInfoGANTransformer(3, cluster_prior="learned", **parameters).fit(X)


@pytest.mark.parametrize(
    "prior",
    [
        [0.5, 0.5],
        [0.5, 0.4, 0.2],
        [1.0, 0.0, 0.0],
        [1.5, -0.2, -0.3],
        [[0.5, 0.3, 0.2]],
        ["a", "b", "c"],
        [0.5, 0.5, np.nan],
    ],
)
def test_bad_prior(prior):
    gan = BInfoGANTransformer(3, cluster_prior=prior, max_iter=1, warmup_iter=1)
    with pytest.raises(ValueError, match="one positive probability per category"):
        gan.fit(X)
    assert not hasattr(gan, "labels_")


def test_k_means_does_not_replace_learned_clusters_that_are_well_separated():
    """Its groups are more equal, and so say more about neighbours, but cut a large cluster."""
    rows, kinds = make_blobs([2000, 300, 100, 50], 4, cluster_std=1.2, random_state=850)

    gan = BInfoGANTransformer(4, cluster_prior="learned", max_iter=0, random_state=20).fit(rows)

    assert adjusted_rand_score(kinds, gan.labels_) > 0.95


def test_unknown_name():
    with pytest.raises(ValueError, match="cluster_prior"):
        BInfoGANTransformer(3, cluster_prior="even").fit(X)


def test_sizes_of_image_clusters_are_learned():
    """Digits thinned so that class sizes fall evenly from 174 to 30."""
    images, digits = load_digits(return_X_y=True)
    sizes = np.linspace(174, 30, 10).astype(int)
    kept = np.concatenate([np.flatnonzero(digits == k)[:n] for k, n in enumerate(sizes)])
    found = {}
    for prior in ("learned", "uniform"):
        gan = BInfoGANTransformer(
            10,
            image_shape=(8, 8),
            cluster_prior=prior,
            warmup_iter=250,
            max_iter=0,
            random_state=0,
        ).fit(images[kept])
        found[prior] = cluster_accuracy(digits[kept], gan.labels_)
        if prior == "learned":
            np.testing.assert_allclose(gan.cluster_prior_, sizes / sum(sizes), atol=0.04)
    assert found["learned"] > max(0.8, found["uniform"])
