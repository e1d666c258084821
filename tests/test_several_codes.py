"""Several categorical codes learn different partitions; the diagnostic shows whether they do."""

import numpy as np
import pytest

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.metrics import code_information


def two_factors(n=400):
    """Rows of two independent factors of three values, each in columns of its own."""
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(n, 2))
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    X = np.hstack([centres[factors[:, 0]], centres[factors[:, 1]]])
    return X + rng.normal(scale=0.3, size=X.shape), factors


def test_two_codes_learn_two_partitions():
    X, factors = two_factors()
    gan = BInfoGANTransformer((3, 3), n_continuous=0, warmup_iter=300, max_iter=0, random_state=0)
    information = np.array(gan.fit(X).diagnostics_["code_information"])
    np.testing.assert_allclose(information, code_information(gan.labels_))
    assert information[0, 1] < 0.1
    # Together the two tell the nine kinds of rows apart, as two equal partitions never could.
    kinds = np.unique(np.hstack([factors, gan.predict(X)]), axis=0)
    assert len(kinds) < 2 * 9
    pairs = np.unique(gan.predict(X), axis=0)
    assert len(pairs) == 9


def test_one_code_has_no_such_diagnostic():
    X, _ = two_factors(60)
    gan = BInfoGANTransformer(3, warmup_iter=5, max_iter=5, random_state=0).fit(X)
    assert "code_information" not in gan.diagnostics_


BASE = np.repeat(np.arange(4), 50)


def test_information_of_known_codes():
    renamed, coarser = (BASE + 1) % 4, BASE // 2
    crossed, constant = np.tile(np.arange(5), 40), np.zeros(200)
    found = code_information(np.column_stack([BASE, renamed, coarser, crossed, constant]))
    expected = np.eye(5)
    expected[:3, :3] = 1
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_information_of_partly_shared_codes():
    """Of eight rows of a category five agree and one goes to each other: log 4 - H, by hand."""
    rows = [(k, (k + step) % 4) for k in range(4) for step in (0, 0, 0, 0, 0, 1, 2, 3)]
    p = np.array([5, 1, 1, 1]) / 8
    expected = 1 + (p * np.log(p)).sum() / np.log(4)
    assert code_information(rows)[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("labels", [[0, 1, 1], np.empty((0, 2)), [[0, np.nan]]])
def test_information_of_bad_input(labels):
    with pytest.raises(ValueError, match=r"labels"):
        code_information(labels)
