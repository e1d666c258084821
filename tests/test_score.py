"""The label-free score over numbers of clusters."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import Tensor, nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._scoring import MANY, evaluate

BLOBS, KINDS = make_blobs(300, centers=[[0] * 4, [9] * 4, [-9, 9, -9, 9]], random_state=0)


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
    X, _ = make_blobs(300, centers=1, n_features=5, random_state=0)

    assert np.argmax(scores(X, range(1, 5))) == 0


def test_empty_clusters_do_not_pay():
    X, _ = make_blobs(200, centers=2, n_features=3, cluster_std=0.5, random_state=1)
    two, six = (BInfoGANTransformer(n, max_iter=20, random_state=0).fit(X) for n in (2, 6))

    assert len(np.unique(six.labels_)) < 6
    assert two.score(X) > six.score(X)
