"""What tests share: made-up rows, tiny budgets, and comparisons of models to the bit."""

import os
from dataclasses import fields, is_dataclass

# Before scipy, scikit-learn and torch are imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Threads that wait for each other must sleep: on a busy machine they would spin most of the time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np  # as said above
from sklearn.datasets import load_digits, make_blobs

from sklearn_binfogan import BInfoGANTransformer

TABLE, CLASSES = make_blobs(60, centers=3, n_features=4, random_state=0)
DIGITS, DIGIT_CLASSES = load_digits(return_X_y=True)
TINY = {"n_clusters": 3, "warmup_iter": 3, "max_iter": 3, "random_state": 0}


def tiny(**params):
    """Return an unfitted estimator that trains for a few steps only."""
    return BInfoGANTransformer(**{**TINY, **params})


def assert_same_tree(one, other):
    """Equal to the bit; a NumPy number may have become Python's."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same_tree(*pair)
    else:
        assert one == other


def arrays_in(tree, place=""):
    """Return every array in nested dicts, lists and records, by its place."""
    if isinstance(tree, np.ndarray):
        return {place: tree}
    if isinstance(tree, dict):
        parts = list(tree.items())
    elif isinstance(tree, list | tuple):
        parts = list(enumerate(tree))
    elif is_dataclass(tree) and not isinstance(tree, type):
        parts = [(field.name, getattr(tree, field.name)) for field in fields(tree)]
    else:
        return {}
    return {k: v for key, part in parts for k, v in arrays_in(part, f"{place}.{key}").items()}


def trained_arrays(estimator):
    """Return all arrays that pickle carries of a model: weights, moments, generator and labels."""
    found = arrays_in(estimator.__getstate__())
    assert len(found) > 50
    return found


def weights(estimator):
    """Return the weights and statistics of all networks of a model, by their names."""
    found = trained_arrays(estimator)
    return {key.split(".module.")[1]: v for key, v in found.items() if ".module." in key}


def assert_same_model(one, other, X):
    """Equal in what training goes on from and in what users get of rows X."""
    assert_same_tree(*(trained_arrays(gan) for gan in (one, other)))
    for name in ("labels_", "cluster_prior_", "n_iter_", "diagnostics_"):
        assert_same_tree(getattr(one, name), getattr(other, name))
    codes = one.transform(X)
    for method, argument in (
        ("transform", X),
        ("predict", X),
        ("predict_proba", X),
        ("inverse_transform", codes),
    ):
        assert_same_tree(getattr(one, method)(argument), getattr(other, method)(argument))
    assert_same_tree(*(gan.sample(5, random_state=1) for gan in (one, other)))
