"""Data that need not fit in memory: memory maps and arrays stored in chunks."""

import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

STATUS = Path("/proc/self/status")
MEGABYTE = 2**20
X, _ = make_blobs(1100, n_features=6, centers=3, random_state=0)


def model(**parameters):
    budget = {"warmup_iter": 5, "max_iter": 5, "random_state": 0}
    return BInfoGANTransformer(3, **{**budget, **parameters})


def memory_map(X, folder):
    rows = np.memmap(folder / "X", X.dtype, "w+", shape=X.shape)
    rows[:] = X
    rows.flush()
    return np.memmap(folder / "X", X.dtype, "r", shape=X.shape)


def zarr_array(X, folder):
    zarr = pytest.importorskip("zarr", reason="zarr is an optional test dependency")
    array = zarr.open(
        str(folder / "X.zarr"), mode="w", shape=X.shape, chunks=(200, 3)[: X.ndim], dtype=X.dtype
    )
    array[:] = X
    return array


def h5py_dataset(X, folder):
    h5py = pytest.importorskip("h5py", reason="h5py is an optional test dependency")
    return h5py.File(folder / "X.h5", "w").create_dataset("X", data=X, chunks=(200, 3)[: X.ndim])


class Sliced:
    """An array that has no more than a shape, a dtype and slices."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            raise TypeError("Only slices are supported.")
        return self.rows[rows].copy()


def sliced(X, folder):
    return Sliced(X)


def of_dtype(dtype):
    return (10 * (X - X.min(axis=0))).clip(0, 255).astype(dtype)


@cache
def fitted_in_memory(dtype):
    return model().fit(of_dtype(dtype))


@cache
def codes_of_chunks_in_memory():
    here = model()
    for start in range(0, len(X), 400):
        here.partial_fit(X[start : start + 400])
    return here.transform(X)


STORES = [memory_map, zarr_array, h5py_dataset, sliced]


@pytest.mark.parametrize("store", [zarr_array, h5py_dataset])
def test_stored_classes(store, tmp_path):
    y = np.arange(len(X)) % 3
    clf = BInfoGANClassifier(warmup_iter=3, max_iter=3).fit(X, store(y, tmp_path))

    np.testing.assert_array_equal(clf.classes_, [0, 1, 2])


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int32"])
@pytest.mark.parametrize("store", STORES)
def test_same_model_as_from_memory(store, dtype, tmp_path):
    rows = of_dtype(dtype)
    stored = store(rows, tmp_path)
    here, there = fitted_in_memory(dtype), model().fit(stored)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    np.testing.assert_array_equal(here.transform(rows), there.transform(stored))
    np.testing.assert_array_equal(here.predict(rows), there.predict(stored))
    assert here.score(rows) == there.score(stored)


@pytest.mark.parametrize("store", STORES)
def test_partial_fit_over_chunks(store, tmp_path):
    stored = store(X, tmp_path)
    there = model()
    for start in range(0, len(X), 400):
        there.partial_fit(stored[start : start + 400])
    np.testing.assert_array_equal(codes_of_chunks_in_memory(), there.transform(stored))


@pytest.mark.parametrize("store", STORES)
def test_bad_rows_are_refused(store, tmp_path):
    bad = X.copy()
    bad[-1, 2] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        model().fit(store(bad, tmp_path))
    (tmp_path / "narrow").mkdir()
    with pytest.raises(ValueError, match="6 features"):
        fitted_in_memory("float64").transform(store(X[:, :4], tmp_path / "narrow"))


def test_a_column_called_chunks():
    frame = pd.DataFrame(X, columns=["chunks", "dtype", "c", "d", "e", "f"])
    np.testing.assert_array_equal(model().fit(frame).labels_, model().fit(X).labels_)


def anonymous_bytes():
    """Memory of this process that no file backs."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


class Peak(threading.Thread):
    """Largest growth of anonymous memory while the `with` block runs, in `growth` bytes."""

    def __enter__(self):
        self.before, self.growth, self.running = anonymous_bytes(), 0, True
        self.start()
        return self

    def run(self):
        while self.running:
            self.growth = max(self.growth, anonymous_bytes() - self.before)
            time.sleep(0.005)

    def __exit__(self, *error):
        self.running = False
        self.join()


def growth_of_a_fit(n_rows, n_columns, folder, dtype=np.float64, in_memory=False, **parameters):
    """Fit many rows, as a rule of a memory map, and read the clusters of all of them."""
    rows = np.memmap(folder / "rows", dtype, "w+", shape=(n_rows, n_columns))
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, 10_000):
        # Small blocks: freed ones would be memory that a fit takes without growth.
        size = (min(10_000, n_rows - start), n_columns)
        rows[start : start + 10_000] = rng.integers(0, 256, size, dtype=np.uint8)
    rows.flush()
    if in_memory:
        rows = np.array(rows)
    model(**parameters).fit(rows[:5000])  # what torch sets up once is not counted
    with Peak() as peak:
        model(**parameters).fit(rows).predict(rows)
    return peak.growth


needs_status = pytest.mark.skipif(
    not STATUS.exists(), reason="anonymous memory is read from Linux's /proc"
)


@needs_status
def test_memory_of_a_fit_is_far_below_the_datas(tmp_path):
    n_rows, n_columns = 150_000, 200  # by itself a fit takes up to 90 MB
    assert growth_of_a_fit(n_rows, n_columns, tmp_path) < 8 * n_rows * n_columns / 2


@needs_status
@pytest.mark.parametrize("in_memory", [False, True])
def test_bytes_stay_bytes(in_memory, tmp_path):
    """As float32 they would take four times the memory."""
    n_rows, n_columns = 1_200_000, 100  # by itself a fit takes up to 95 MB
    # A graph of neighbours is of a few thousand rows, and takes long.
    growth = growth_of_a_fit(n_rows, n_columns, tmp_path, np.uint8, in_memory, n_neighbors=0)
    assert growth < n_rows * n_columns


@needs_status
@pytest.mark.nightly
def test_four_gigabytes_in_less_than_one(tmp_path):
    assert growth_of_a_fit(1_000_000, 512, tmp_path) < 1024 * MEGABYTE
