"""lambda weighs the mutual information of codes and rows, of real ones too."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from sklearn_binfogan import BInfoGANTransformer

X, Y = make_blobs(300, centers=4, n_features=5, random_state=1)


def fitted(mi_weight, **params):
    return BInfoGANTransformer(
        4, mi_weight=mi_weight, warmup_iter=200, max_iter=0, random_state=0, **params
    ).fit(X)


def entropy_of_clusters(gan):
    share = gan.predict_proba(X).mean(axis=0)
    return -(share * np.log(share.clip(1e-12))).sum() / np.log(4)


def test_lambda_moves_the_clusters():
    assert not np.array_equal(fitted(0.3).predict_proba(X), fitted(1.0).predict_proba(X))
    assert adjusted_rand_score(Y, fitted(1.0).labels_) > 0.9


def test_without_lambda_categories_say_nothing_and_a_finding_says_so():
    with pytest.warns(ConvergenceWarning, match="With mi_weight=0 nothing ties codes"):
        none = fitted(0.0)

    assert len(none.diagnostics_["findings"]) == 1
    assert none.score(X) < fitted(1.0).score(X)
    confidence = [gan.predict_proba(X).max(axis=1).mean() for gan in (none, fitted(1.0))]
    # Nothing asks E to be sure, or to use more than one category.
    assert confidence[0] < confidence[1] or entropy_of_clusters(none) < 0.5


@pytest.mark.parametrize("prior", ["learned", [0.4, 0.3, 0.2, 0.1]])
def test_with_other_priors_too(prior):
    one, three = (fitted(weight, cluster_prior=prior) for weight in (1.0, 3.0))
    assert not np.array_equal(one.predict_proba(X), three.predict_proba(X))
