"""One fit over two processes, by DistributedDataParallel over gloo on the CPU."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.distributed import data_parallel

X, _ = make_blobs(400, n_features=6, centers=3, random_state=0)
N_PROCESSES, BATCH = 2, 32

# Norm-free networks, and no term that looks at a whole batch.
GAME_ALONE = {"consistency_weight": 0, "max_iter": 40, "random_state": 0, "device": "cpu"}

SCRIPT = """
import json, os, sys
import numpy as np
from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.distributed import data_parallel

folder, jobs = sys.argv[1], json.loads(sys.argv[2])
rank = int(os.environ["RANK"])
for name, parameters in jobs.items():
    X = np.load(f"{folder}/{name}.npy")
    if name == "unlike" and rank == 1:
        X = X[:300]
    gan = BInfoGANTransformer(**parameters)
    with data_parallel():
        gan.fit(X)
    epochs = [epoch for epoch in gan.history_ if epoch["phase"] == "game"]
    losses = [b["players_loss"] for e in epochs for b in e["batches"] if "players_loss" in b]
    np.savez(f"{folder}/{name}-{rank}", codes=gan.transform(X), losses=losses)
"""


def fit_in_processes(folder, jobs):
    """Fit by torchrun; give what it said, and the codes and losses that each process had.

    `jobs` are rows and parameters by name: all in one launch, as imports take most of the time.
    """
    for name, (rows, _) in jobs.items():
        np.save(folder / f"{name}.npy", rows)
    parameters = {name: params for name, (_, params) in jobs.items()}
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={N_PROCESSES}"]
    done = subprocess.run(
        [sys.executable, *launcher, script, folder, json.dumps(parameters)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    results = {
        name: [dict(np.load(path)) for path in sorted(folder.glob(f"{name}-[0-9].npz"))]
        for name in jobs
    }
    return done.stderr, results


def losses_of(gan):
    """Loss of G and E at every step of the game."""
    batches = [batch for epoch in gan.history_ for batch in epoch["batches"]]
    return np.array([b["players_loss"] for b in batches if "players_loss" in b])


IMAGES = np.random.default_rng(0).uniform(size=(40, 28 * 28))
TINY = {"batch_size": 8, "max_iter": 2, "random_state": None, "device": "cpu"}
JOBS = {
    "game": (X, {**GAME_ALONE, "n_clusters": 3, "batch_size": BATCH}),
    # Starts that no other process of joblib may take: the group's processes share each.
    "starts": (X, {**TINY, "n_clusters": 3, "warmup_iter": 10, "n_init": 2, "n_jobs": 2}),
    # Batch norm in E and G, and sizes that are decided after the first phase.
    "images": (
        X[:, :1] + X[:, 1:2] * np.linspace(0, 1, 64),
        {**TINY, "image_shape": [8, 8], "cluster_prior": "learned", "warmup_iter": 2},
    ),
}
# The second process gets fewer rows. It comes last, as its error ends the processes.
UNLIKE = {"unlike": (X, {"n_clusters": 3, **GAME_ALONE})}
# Batch norm in D as well, so that D and the others have a backward pass each.
LARGE = {"paper": (IMAGES, {**TINY, "image_shape": [28, 28], "architecture": "paper-mnist"})}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    errors, found = fit_in_processes(tmp_path_factory.mktemp("jobs"), JOBS | UNLIKE)
    assert all(len(found[name]) == N_PROCESSES for name in JOBS), errors
    return {**found, "errors": errors}


def test_same_losses_as_one_process_at_twice_the_batch(results):
    one = BInfoGANTransformer(3, batch_size=N_PROCESSES * BATCH, **GAME_ALONE).fit(X)
    losses = losses_of(one)
    for result in results["game"]:
        np.testing.assert_allclose(result["losses"], losses, rtol=1e-3)
        np.testing.assert_allclose(result["codes"], one.transform(X), atol=1e-2)
    other = BInfoGANTransformer(3, batch_size=BATCH, **GAME_ALONE).fit(X)
    assert np.abs(losses_of(other) / losses - 1).max() > 0.02  # the tolerance tells them apart


def assert_all_alike(one, other):
    for name in ("codes", "losses"):
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("name", JOBS)
def test_every_process_ends_with_the_same_model(results, name):
    assert_all_alike(*results[name])


@pytest.mark.nightly  # large networks
def test_every_process_ends_with_the_same_model_of_the_paper(tmp_path):
    errors, found = fit_in_processes(tmp_path, LARGE)
    assert len(found["paper"]) == N_PROCESSES, errors
    assert_all_alike(*found["paper"])


def test_other_rows_in_another_process_are_refused(results):
    assert results["unlike"] == []
    assert "got 300 rows, but the first one got 400" in results["errors"]


def test_without_torchrun():
    with pytest.raises(RuntimeError, match="torchrun"), data_parallel():
        pass
