"""Short checks on real data; the measures of record are in benchmarks/."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import cluster_accuracy, prdc

DIGITS = load_digits()


@pytest.fixture(scope="module")
def digits_model():
    """One fit of the default recipe, about half a minute on one core."""
    return BInfoGANTransformer(image_shape=(8, 8), random_state=0).fit(DIGITS.data)


@pytest.mark.parametrize("seed", range(2))
def test_blobs(seed):
    X, y = make_blobs(150, centers=3, n_features=4, cluster_std=0.6, random_state=seed)

    labels = BInfoGANTransformer(n_clusters=3, random_state=seed).fit_predict(X)

    assert adjusted_rand_score(y, labels) > 0.9


def test_digits_are_clustered(digits_model):
    assert cluster_accuracy(DIGITS.target, digits_model.labels_) > 0.85


def test_generated_digits_are_named_after_their_code(digits_model):
    X, labels = digits_model.sample(500, random_state=0)

    assert np.mean(digits_model.predict(X) == labels) > 0.9


def test_digits_are_reconstructed(digits_model):
    digits_model.set_params(include_noise=True)
    try:
        rebuilt = digits_model.inverse_transform(digits_model.transform(DIGITS.data))
    finally:
        digits_model.set_params(include_noise=False)

    residual = ((DIGITS.data - rebuilt) ** 2).sum()
    assert 1 - residual / ((DIGITS.data - DIGITS.data.mean(axis=0)) ** 2).sum() > 0.7


def test_generated_digits_cover_the_real_ones(digits_model):
    X, _ = digits_model.sample(1000, random_state=0)

    found = prdc(DIGITS.data[:1000], X)

    assert found.precision > 0.85
    assert found.coverage > 0.8


def test_generated_digits_vary_within_a_cluster(digits_model):
    X, _ = digits_model.sample(100, cluster=0, random_state=0)

    assert X.std(axis=0).mean() > 0.5
