"""Searches, restarts and blocks of rows on the worker processes of a Dask cluster."""

import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

REASON = "needs the extra `dask`"
da = pytest.importorskip("dask.array", reason=REASON)
distributed = pytest.importorskip("distributed", reason=REASON)

X, _ = make_blobs(300, n_features=6, centers=3, random_state=0)


class Diary(Callback):
    """Leaves a file named by the process that trains."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        (self.folder / str(os.getpid())).touch()


def model(**parameters):
    budget = {"warmup_iter": 5, "max_iter": 5, "random_state": 0}
    return BInfoGANTransformer(3, **{**budget, **parameters})


def test_masked_values_are_refused():
    masked = da.ma.masked_less(da.from_array(X, chunks=100), 0)
    with pytest.raises(ValueError, match="of its values are masked"):
        model().fit(masked)

    y = da.ma.masked_equal(da.from_array(np.arange(300) % 3), 2)
    with pytest.raises(ValueError, match="in row 2 and 99 more"):
        BInfoGANClassifier(warmup_iter=5, max_iter=5).fit(X, y)

    gan = model().fit(X)
    codes = da.from_array(gan.transform(X), chunks=100)
    with pytest.raises(ValueError, match="codes is a masked array"):
        gan.inverse_transform(da.ma.masked_less(codes, 0))
    np.testing.assert_array_equal(
        gan.inverse_transform(codes), gan.inverse_transform(codes.compute())
    )


def pids(folder):
    return {int(path.name) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def workers():
    """Process ids of a cluster's two workers; the cluster is the default while it runs."""
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield set(client.run(os.getpid).values())


def test_search_on_two_workers(workers, tmp_path):
    grid = {"mi_weight": [0.1, 10]}
    here = GridSearchCV(model(), grid, cv=2, refit=False).fit(X)
    with joblib.parallel_config(backend="dask"):
        there = GridSearchCV(model(callbacks=[Diary(tmp_path)]), grid, cv=2, refit=False).fit(X)
    np.testing.assert_array_equal(
        here.cv_results_["mean_test_score"], there.cv_results_["mean_test_score"]
    )
    assert pids(tmp_path) == workers
    assert os.getpid() not in workers


def test_restarts_on_two_workers(workers, tmp_path):
    here = model(n_init=4).fit(X)
    with joblib.parallel_config(backend="dask"):
        there = model(n_init=4, callbacks=[Diary(tmp_path)]).fit(X)
    np.testing.assert_array_equal(here.transform(X), there.transform(X))
    assert pids(tmp_path) == {*workers, os.getpid()}  # the best start plays the game here


def test_blocks_of_a_dask_array(workers):
    gan = model().fit(X)
    rows = da.from_array(X, chunks=(70, -1))
    n_codes = len(gan.get_feature_names_out())
    codes = rows.map_blocks(gan.transform, dtype=X.dtype, chunks=(rows.chunks[0], (n_codes,)))
    labels = rows.map_blocks(gan.predict, dtype=np.int64, drop_axis=1)
    again = codes.map_blocks(gan.inverse_transform, dtype=X.dtype, chunks=rows.chunks)
    assert codes.shape == (300, n_codes)
    # Blocks of another size: a matrix product may round its last bit another way.
    here = gan.transform(X)
    np.testing.assert_allclose(codes.compute(), here, rtol=1e-12)
    np.testing.assert_array_equal(labels.compute(), gan.predict(X))
    np.testing.assert_allclose(again.compute(), gan.inverse_transform(here), rtol=1e-12)


def test_fit_reads_a_dask_array():
    rows = da.from_array(X, chunks=(70, 3))
    budget = {"warmup_iter": 3, "max_iter": 3}  # every batch is a graph of its own
    here, there = model(**budget).fit(X), model(**budget).fit(rows)
    np.testing.assert_array_equal(here.transform(X), there.transform(rows))


def test_classes_in_a_dask_array_are_scored():
    y = np.arange(300) % 3
    gan = BInfoGANClassifier(warmup_iter=5, max_iter=5).fit(X, da.from_array(y))
    assert gan.score(X, da.from_array(y)) == gan.score(X, y)


def test_dask_is_not_imported_without_need():
    code = """
import sys
import numpy as np
from sklearn_binfogan import BInfoGANTransformer

X = np.random.default_rng(0).normal(size=(20, 2))
BInfoGANTransformer(2, warmup_iter=2, max_iter=2, n_init=2).fit(X).predict(X)
sys.exit("dask" in sys.modules or "distributed" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_array_of_unknown_length_is_refused():
    frame = pytest.importorskip("dask.dataframe", reason=REASON)
    unknown = frame.from_array(X, chunksize=100).to_dask_array()

    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        model().fit(unknown)

    assert model().fit(unknown.compute_chunk_sizes()).n_features_in_ == X.shape[1]
