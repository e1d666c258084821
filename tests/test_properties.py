"""Whatever the shape, dtype, memory order and parameters: the contract holds."""

import os
import pickle
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sklearn_binfogan import BInfoGANTransformer, load, save

# Each example trains a model; derandomised, so that every run tries the same ones.
COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
QUICK = settings(max_examples=20, **COMMON)
LONG = settings(max_examples=int(os.environ.get("BINFOGAN_EXAMPLES", "500")), **COMMON)


def ordered(X, order):
    """Give the same rows in another memory order."""
    match order:
        case "F":
            return np.asfortranarray(X)
        case "strided":
            return np.repeat(X, 2, axis=0)[::2]
        case "reversed":
            return X[::-1].copy()[::-1]
        case "read-only":
            X = X.copy()
            X.flags.writeable = False
    return X


@st.composite
def tables(draw):
    n_rows, n_columns = draw(st.integers(3, 40)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, n_columns)) * 10.0 ** draw(st.integers(-6, 6))
    if draw(st.booleans()):  # ties, constant columns and duplicate rows
        X = X.round(draw(st.integers(-5, 1)))
    return X, {}


@st.composite
def images(draw):
    height, width, channels = draw(st.tuples(*[st.integers(8, 10)] * 2, st.sampled_from([1, 3])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.integers(0, 256, (draw(st.integers(3, 8)), height * width * channels))
    return X.astype(np.float64), {"image_shape": (height, width, channels)}


@st.composite
def cases(draw):
    """Rows, parameters and the memory order."""
    X, params = draw(st.one_of(tables(), tables(), tables(), images()))
    dtype = draw(st.sampled_from(["float64", "float32", "uint8", "int32"]))
    X = X.clip(0, 255).astype(dtype) if dtype == "uint8" else X.astype(dtype)
    several = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
    warmup_iter, max_iter = draw(
        st.sampled_from([(2, 2), (0, 2), (2, 0), (3, 1)]).filter(lambda pair: sum(pair))
    )
    params |= {
        "n_clusters": draw(st.one_of(st.integers(1, 3), several)),
        "n_continuous": draw(st.integers(0, 3)),
        "n_noise": draw(st.integers(0, 3)),
        "include_noise": draw(st.booleans()),
        "mi_weight": draw(st.sampled_from([0.0, 1.0, 10.0])),
        "cycle_weight": draw(st.sampled_from(["auto", 0, 0.5])),
        "adversarial_loss": draw(st.sampled_from(["relativistic", "nonsaturating"])),
        "cluster_prior": draw(
            st.sampled_from(["uniform", "learned"] if warmup_iter else ["uniform"])
        ),
        "augmentation": draw(st.sampled_from(["auto", None])),
        "batch_size": draw(st.integers(1, 50)),
        "warmup_iter": warmup_iter,
        "max_iter": max_iter,
        "random_state": draw(st.integers(0, 2**31 - 1)),
    }
    order = draw(st.sampled_from(["C", "F", "strided", "reversed", "read-only"]))
    return X, params, order


def results(gan, X):
    """Everything that a user gets from a model, by name."""
    codes = gan.transform(X)
    proba = gan.predict_proba(X)
    samples, labels = gan.sample(3, random_state=0)
    return {
        "codes": codes,
        "proba": proba if isinstance(proba, np.ndarray) else np.hstack(proba),
        "predict": gan.predict(X),
        "rows": gan.inverse_transform(codes),
        "samples": samples,
        "drawn": labels,
        "score": np.array(gan.score(X)),
        "labels": gan.labels_,
    }


def assert_same(one, other):
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def check_shapes(gan, X, found):
    n_clusters = gan.n_clusters if isinstance(gan.n_clusters, tuple) else (gan.n_clusters,)
    width = sum(n_clusters) + gan.n_continuous + gan.n_noise * gan.include_noise
    n_labels = (len(n_clusters),) if len(n_clusters) > 1 else ()
    assert found["codes"].shape == (len(X), width) == (len(X), len(gan.get_feature_names_out()))
    assert found["codes"].dtype == (np.float32 if X.dtype in ("uint8", "float32") else np.float64)
    assert found["rows"].shape == X.shape
    assert found["samples"].shape == (3, X.shape[1])
    assert found["predict"].shape == found["labels"].shape == (len(X), *n_labels)
    assert found["drawn"].shape == (3, *n_labels)
    assert found["labels"].dtype == np.int64
    for value in found.values():
        assert np.isfinite(value).all()
    assert 0 <= found["score"] <= 1
    proba = gan.predict_proba(X)
    for part in [proba] if isinstance(proba, np.ndarray) else proba:
        assert part.min() >= 0
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found["predict"], found["labels"])


def check_subsets(gan, X, found):
    """A row's codes do not depend on the rows beside it, nor on their order."""
    tolerance = 1e-7 if found["codes"].dtype == np.float64 else 1e-4
    halves = [gan.transform(X[:1]), gan.transform(X[1:])]
    np.testing.assert_allclose(np.vstack(halves), found["codes"], atol=tolerance)
    backwards = gan.transform(X[::-1])[::-1]
    np.testing.assert_allclose(backwards, found["codes"], atol=tolerance)


def check(case):
    X, params, order = case
    given_rows = ordered(X, order)
    before = given_rows.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan = BInfoGANTransformer(**params).fit(given_rows)
        found = results(gan, given_rows)
        np.testing.assert_array_equal(given_rows, before)
        check_shapes(gan, X, found)
        check_subsets(gan, X, found)
        assert_same(found, results(pickle.loads(pickle.dumps(gan)), X))
        with tempfile.TemporaryDirectory() as folder:
            save(gan, os.path.join(folder, "model"))
            assert_same(found, results(load(os.path.join(folder, "model")), X))
        twin = clone(gan)
        assert not hasattr(twin, "labels_")
        assert_same(found, results(twin.fit(np.ascontiguousarray(X)), X))


@QUICK
@given(cases())
def test_contract(case):
    check(case)


@pytest.mark.nightly
@LONG
@given(cases())
def test_contract_at_length(case):
    check(case)
