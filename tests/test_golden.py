"""Recorded fits give what they gave, and files of every earlier format still load.

`golden/cases.py` says how to record fits anew, `golden/make.py` writes the files of a new format.
"""

import json
import shutil

import numpy as np
import pytest
from golden.cases import (
    CASES,
    CHECKPOINT_NAME,
    FITS,
    FOLDER,
    TABLE,
    UNFINISHED,
    fitted,
    machine,
    record,
)
from skorch.callbacks import Callback

from sklearn_binfogan import load

KINDS = ("transformer", "classifier")
RECORDED = json.loads(FITS.read_text())
N_FORMATS = len(list(FOLDER.glob("v*.safetensors")))  # `test_persistence.py` sees to it


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_fit_gives_what_it_gave(name):
    there, here = RECORDED["machine"], machine()
    if there != here:
        changes = [
            f"{part} was {there[part]}, is {here[part]}"
            for part in there
            if there[part] != here[part]
        ]
        pytest.skip(f"bits differ between machines; recorded on another: {'; '.join(changes)}")

    assert record(name) == RECORDED["fits"][name]


def test_every_recorded_fit_is_a_case():
    assert RECORDED["fits"].keys() == CASES.keys()


def outputs_beside(path):
    return json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize(
    "stem", [f"{kind}_format{n}" for kind in KINDS for n in range(1, N_FORMATS + 1)]
)
def test_an_old_file_still_loads(stem):
    path = FOLDER / f"{stem}.safetensors"
    expected = outputs_beside(path)

    gan = load(path, device="cpu")

    assert gan.predict(TABLE).tolist() == expected["predicted"]
    np.testing.assert_allclose(gan.transform(TABLE), expected["codes"], rtol=0, atol=1e-4)
    assert gan.history_[:, "train_loss"] == expected["train_loss"]


class CountSteps(Callback):
    """Count into a list, which stays the same one where the callback is copied."""

    def __init__(self, steps):
        self.steps = steps

    def on_batch_end(self, net, training=False, **kwargs):
        self.steps.append(training)


@pytest.mark.parametrize("n", range(1, N_FORMATS))
def test_a_checkpoint_of_an_older_format_is_refused(tmp_path, n):
    """A fit can't be finished to the same bits by another version: what it holds has changed."""
    X, params = UNFINISHED
    shutil.copy(FOLDER / f"checkpoint_format{n}.safetensors", tmp_path / CHECKPOINT_NAME)

    said = f"format version is {n}, but this installation reads {N_FORMATS}"
    with pytest.raises(ValueError, match=said):
        fitted(X, checkpoint_dir=tmp_path, **params)


def test_a_number_that_a_checkpoint_does_not_know_was_what_its_default_says(tmp_path):
    X, params = UNFINISHED
    shutil.copy(FOLDER / f"checkpoint_format{N_FORMATS}.safetensors", tmp_path / CHECKPOINT_NAME)

    with pytest.raises(ValueError, match=r"from this one: n_neighbors was 0 and is 10\. Fit"):
        fitted(X, checkpoint_dir=tmp_path, **{**params, "n_neighbors": "auto"})


def test_a_fit_goes_on_from_a_stored_checkpoint(tmp_path):
    path = FOLDER / f"checkpoint_format{N_FORMATS}.safetensors"
    expected, steps, (X, params) = outputs_beside(path), [], UNFINISHED
    shutil.copy(path, tmp_path / CHECKPOINT_NAME)

    gan = fitted(X, checkpoint_dir=tmp_path, callbacks=[CountSteps(steps)], **params)

    assert sum(steps) == 10
    assert gan.n_iter_ == 110
    losses = gan.history_[:, "train_loss"]
    assert losses[:-1] == expected["train_loss"][:-1]
    # The last steps were taken here, and numbers of another processor differ a little.
    np.testing.assert_allclose(losses[-1], expected["train_loss"][-1], rtol=1e-2)
    assert gan.predict(X).tolist() == expected["predicted"]
    np.testing.assert_allclose(gan.transform(X), expected["codes"], rtol=0, atol=1e-2)
    assert list(tmp_path.iterdir()) == []
