"""A fit and a fitted model give the same bits whatever torch modes the caller is in."""

from contextlib import contextmanager, nullcontext
from functools import cache

import numpy as np
import pytest
import torch
from conftest import CLASSES, TABLE
from conftest import DIGITS as ALL_DIGITS

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

DIGITS = ALL_DIGITS[:40]
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
    "bfloat16": (BInfoGANTransformer(precision="bf16", **BUDGET), TABLE, None),
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


@cache
def plain(kind):
    return results(kind, nullcontext, nullcontext)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_changes_no_bit(kind, mode):
    for one, other in zip(plain(kind), results(kind, MODES[mode], MODES[mode]), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@cache
def fitted_twice(first):
    gan = BInfoGANTransformer(**BUDGET)
    with first():
        gan.partial_fit(TABLE)
    return gan.partial_fit(TABLE).transform(TABLE)


@pytest.mark.parametrize("mode", MODES)
def test_training_goes_on_outside_of_a_mode(mode):
    np.testing.assert_array_equal(fitted_twice(MODES[mode]), fitted_twice(nullcontext))
