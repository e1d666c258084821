"""A fit and a fitted model give the same bits whatever torch modes the caller is in."""

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_blobs

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

TABLE, CLASSES = make_blobs(60, centers=3, n_features=4, random_state=0)
DIGITS = load_digits().data[:40]
BUDGET = {"n_clusters": 3, "warmup_iter": 4, "max_iter": 4, "random_state": 0, "device": "cpu"}


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)


MODES = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "grad disabled": lambda: torch.set_grad_enabled(False),
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "another device by default": lambda: torch.device("meta"),
}
KINDS = {
    "table": (BInfoGANTransformer(**BUDGET), TABLE, None),
    "images": (BInfoGANTransformer(image_shape=(8, 8), **BUDGET), DIGITS, None),
    "starts": (BInfoGANTransformer(n_init=2, **BUDGET), TABLE, None),
    "labels": (BInfoGANClassifier(**BUDGET), TABLE, CLASSES),
}


def results(kind, of_fit, of_use):
    """Everything that a fit in one mode and its use in another give."""
    estimator, X, y = KINDS[kind]
    with of_fit():
        fitted = estimator.set_params(verbose=0).fit(X, y)
    with of_use():
        codes = fitted.transform(X)
        return [
            codes,
            fitted.transform(X.astype(np.float32)),
            fitted.predict(X),
            fitted.inverse_transform(codes),
            fitted.sample(5, random_state=0)[0],
            np.array(fitted.score(X, y)),
        ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_mode_changes_no_bit(kind, mode):
    plain = results(kind, nullcontext, nullcontext)
    for one, other in zip(plain, results(kind, MODES[mode], MODES[mode]), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_training_goes_on_outside_of_a_mode(mode):
    def twice(first):
        gan = BInfoGANTransformer(**BUDGET)
        with first():
            gan.partial_fit(TABLE)
        return gan.partial_fit(TABLE).transform(TABLE)

    np.testing.assert_array_equal(twice(MODES[mode]), twice(nullcontext))
