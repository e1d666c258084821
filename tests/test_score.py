"""The label-free score over numbers of clusters."""

import numpy as np
from sklearn.datasets import load_wine, make_blobs

from sklearn_binfogan import BInfoGANTransformer

BLOBS, KINDS = make_blobs(150, centers=[[0] * 4, [9] * 4, [-9, 9, -9, 9]], random_state=0)


def scores(X: np.ndarray, numbers: range) -> list[float]:
    return [
        BInfoGANTransformer(n_clusters=n, max_iter=20, random_state=0).fit(X).score(X)
        for n in numbers
    ]


def test_three_blobs_prefer_three():
    found = scores(BLOBS, range(1, 6))

    assert np.argmax(found) == 2
    assert found[1] > found[0]  # two kinds of three are better than none


def test_one_blob_prefers_one():
    X, _ = make_blobs(150, centers=1, n_features=5, random_state=0)

    assert np.argmax(scores(X, range(1, 5))) == 0


def test_empty_clusters_do_not_pay():
    X, _ = make_blobs(200, centers=2, n_features=3, cluster_std=0.5, random_state=1)
    # The graph of neighbours would fill all six.
    options = {"max_iter": 20, "n_neighbors": 0, "random_state": 0}
    two, six = (BInfoGANTransformer(n, **options).fit(X) for n in (2, 6))

    assert len(np.unique(six.labels_)) < 6
    assert two.score(X) > six.score(X)


def test_a_learned_partition_is_sure_only_where_it_is_right():
    """Else the right number of wines' kinds, found by their neighbours, would score lowest."""
    X = load_wine().data
    models = [BInfoGANTransformer(n, max_iter=0, random_state=0).fit(X) for n in (2, 3, 4)]

    scores = [model.score(X) for model in models]

    assert np.argmax(scores) == 1
    assert models[1].predict_proba(X).max(axis=1).min() < 0.999
