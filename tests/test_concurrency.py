"""Threads, forked and spawned processes, and what fifty fits leave behind."""

import gc
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_binfogan import BInfoGANTransformer, load, save

STATUS = Path("/proc/self/status")
TABLE, _ = make_blobs(60, centers=3, n_features=4, random_state=0)
ONLY_LINUX = pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")


def fitted_codes(seed):
    gan = BInfoGANTransformer(3, warmup_iter=5, max_iter=5, batch_size=16, random_state=seed)
    return gan.fit(TABLE).transform(TABLE)


@pytest.fixture(scope="module")
def model():
    return BInfoGANTransformer(3, warmup_iter=5, max_iter=5, random_state=0).fit(TABLE)


# -- threads ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eight_threads_give_the_serial_results(model, dtype):
    rows = [np.random.default_rng(i).normal(size=(50, 4)).astype(dtype) for i in range(64)]
    uses = [
        model.transform,
        model.predict,
        model.score,
        lambda X: model.inverse_transform(model.transform(X)),
        lambda X: model.sample(5, random_state=int(abs(X[0, 0]) * 1e6))[0],
    ]
    jobs = [(use, X) for X in rows for use in uses]
    serial = [use(X) for use, X in jobs]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: job[0](job[1]), jobs))

    for one, other in zip(serial, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_thread_count_survives_threads(model):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as pool:
            of_new_threads = pool.submit(torch.get_num_threads).result()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(model.transform, [TABLE] * 200))
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == of_new_threads
    finally:
        torch.set_num_threads(before)


def test_fits_in_threads_give_the_serial_results():
    serial = [fitted_codes(seed) for seed in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fitted_codes, range(4)))

    np.testing.assert_array_equal(serial, found)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_fits_in_threads_leave_the_threads_of_blas_as_they_were():
    with threadpool_limits(2):
        before = blas_threads()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fitted_codes, range(4)))
        assert blas_threads() == before


# -- processes -------------------------------------------------------------------------------------

METHODS = [
    m for m in ("fork", "spawn", "forkserver") if m in multiprocessing.get_all_start_methods()
]


@pytest.mark.parametrize("method", METHODS)
def test_fit_in_workers(method):
    """Also forked ones, though torch's threads are in use here: no deadlock."""
    serial = fitted_codes(0)
    torch.randn(500, 500) @ torch.randn(500, 500)

    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(fitted_codes, 0).result(timeout=240)

    np.testing.assert_array_equal(serial, found)


FORK = """
import os, signal, numpy as np, torch
from sklearn.datasets import make_blobs
from sklearn_binfogan import BInfoGANTransformer
torch.set_num_threads(2)
X, _ = make_blobs(60, centers=3, n_features=4, random_state=0)
def codes():
    gan = BInfoGANTransformer(3, warmup_iter=5, max_iter=5, random_state=0)
    return gan.fit(X).transform(X)
serial = codes()
big = torch.randn(2000, 500)
assert (big @ big.T).shape == (2000, 2000)  # torch's threads are started
child = os.fork()
if child == 0:
    signal.alarm(100)  # ends a child that hangs
    os._exit(0 if np.array_equal(codes(), serial) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_no_deadlock_after_fork_with_threads_of_torch():
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=240, env=environment)


# -- what stays behind -----------------------------------------------------------------------------


def anonymous_memory():
    """Bytes of memory of this process that no file backs."""
    gc.collect()
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def open_files():
    return len(os.listdir("/proc/self/fd"))


def children():
    return [p for p in Path("/proc/self/task").glob("*/children") if p.read_text().strip()]


def fit_many(n_fits, folder):
    """Fit, save, load and drop models; give the growth of memory, files and child processes."""

    def use(seed):
        path = folder / "model"
        gan = BInfoGANTransformer(
            3,
            warmup_iter=15,
            max_iter=5,
            batch_size=16,
            checkpoint_dir=folder / "checkpoints",
            checkpoint_every=10,
            random_state=seed,
        )
        save(gan.fit(TABLE), path)
        load(path).sample(3)

    for seed in range(3):  # what is loaded and cached once
        use(seed)
    before = anonymous_memory(), open_files(), len(children())
    for seed in range(n_fits):
        use(seed)
    after = anonymous_memory(), open_files(), len(children())
    return [one - other for one, other in zip(after, before, strict=True)]


@ONLY_LINUX
@pytest.mark.parametrize("n_fits", [8, pytest.param(50, marks=pytest.mark.nightly)])
def test_nothing_is_left_over(n_fits, tmp_path):
    memory, files, processes = fit_many(n_fits, tmp_path)

    assert memory < n_fits * 2**20  # 50 MB over 50 fits
    assert files == 0
    assert processes == 0
