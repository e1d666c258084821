"""The recorded fits, one per kind of data and of training, and what is recorded of each.

`fits.json` holds the records and the machine that they come from: bits differ between processors.
`tests/test_golden.py` fits again and compares. A change that is meant to give other results records
them anew, and its commit says which and why::

    python tests/golden/record.py            # all of them
    python tests/golden/record.py table digits

Only what users have is called, so that the insides may change. Nothing is drawn to make the data:
they are the same on every machine.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

FOLDER = Path(__file__).parent
FITS = FOLDER / "fits.json"
BUDGET = {"warmup_iter": 60, "max_iter": 60, "batch_size": 32, "device": "cpu", "random_state": 0}


def table(n_rows: int, n_features: int = 5) -> np.ndarray:
    """Rows of three groups well apart, in multiples of 1/16: exact everywhere, in float32 too."""
    row, column = np.arange(n_rows)[:, None], np.arange(n_features)
    return 4.0 * (column % 3 == groups(n_rows)[:, None]) + ((7 * row + 5 * column) % 11) / 16


def groups(n_rows: int) -> np.ndarray:
    """Group of each row of `table`: about a half, a third and a sixth of them."""
    return np.array([0, 1, 0, 2, 1, 0])[np.arange(n_rows) % 6]


TABLE, GROUPS = table(180), groups(180)
SOME_GROUPS = np.where(np.arange(180) % 5 == 0, GROUPS, -1)
DIGITS, _ = load_digits(return_X_y=True)  # whole numbers, 0 to 16
SMALL = DIGITS[:200].reshape(-1, 8, 8)
LARGE = np.pad(SMALL.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
TINTS = np.array([[15, 8, 4], [4, 15, 8], [8, 4, 15]])[np.arange(200) % 3]
COLOUR = SMALL.repeat(2, axis=1).repeat(2, axis=2)[..., None] * TINTS[:, None, None]


def fitted(X: np.ndarray, n_clusters: Any = 3, **params: Any) -> BInfoGANTransformer:
    return BInfoGANTransformer(n_clusters, **{**BUDGET, **params}).fit(X)


def fitted_images(images: np.ndarray, **params: Any) -> BInfoGANTransformer:
    shape, steps = images.shape[1:], {"warmup_iter": 30, "max_iter": 30}
    return fitted(rows_of(images), 10, image_shape=shape, **{**steps, **params})


def rows_of(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.uint8)


def classifier() -> BInfoGANClassifier:
    return BInfoGANClassifier(4, **BUDGET).fit(TABLE, SOME_GROUPS)


def fitted_twice() -> BInfoGANTransformer:
    # 12 steps a call: the second one ends the consistency phase and begins the game.
    gan = BInfoGANTransformer(3, **{**BUDGET, "warmup_iter": 18, "batch_size": 16})
    return gan.partial_fit(TABLE).partial_fit(TABLE)


class Cut(Exception):
    """Stands for whatever ends a process."""


class CutAfter(Callback):
    """Raise when so many steps have been taken."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        self.n_steps -= training
        if self.n_steps < 0:
            raise Cut


def cut_off(folder: str | Path, n_steps: int, X: np.ndarray, **params: Any) -> None:
    """Leave the checkpoints of a fit in a folder."""
    unfinished = {"checkpoint_dir": folder, "checkpoint_every": 1, "callbacks": [CutAfter(n_steps)]}
    try:
        fitted(X, **unfinished, **params)
    except Cut:
        return
    raise RuntimeError(f"The fit ended before step {n_steps}.")


def resumed() -> BInfoGANTransformer:
    with TemporaryDirectory() as folder:
        for n_steps in (55, 60):  # in the consistency phase after 50, in the game after 110
            cut_off(folder, n_steps, TABLE)
        return fitted(TABLE, checkpoint_dir=folder)


# The fit of which `checkpoint_format1.safetensors` is left, 10 steps before its end. There were no
# graphs of neighbours then.
UNFINISHED: tuple[np.ndarray, dict[str, Any]] = (
    table(60),
    {"warmup_iter": 50, "n_neighbors": 0},
)
CHECKPOINT_NAME = "checkpoint-0-game.safetensors"  # in a `checkpoint_dir`

PAPER_ROWS = LARGE[:32]  # its networks are large
PAPER = {"consistency_weight": 0, "cycle_weight": 0, "adversarial_loss": "nonsaturating"}
# The rows of each fit, and the fit.
CASES: dict[str, tuple[np.ndarray, Callable[[], Any]]] = {
    "table": (TABLE, lambda: fitted(TABLE)),
    "several codes": (TABLE, lambda: fitted(TABLE, (2, 3))),
    "digits": (rows_of(SMALL), lambda: fitted_images(SMALL)),
    "28 x 28": (rows_of(LARGE), lambda: fitted_images(LARGE, warmup_iter=20, max_iter=20)),
    "colour": (rows_of(COLOUR), lambda: fitted_images(COLOUR)),
    "classifier": (TABLE, classifier),
    "learned prior": (TABLE, lambda: fitted(TABLE, cluster_prior="learned")),
    "learned prior on images": (
        rows_of(SMALL),
        lambda: fitted_images(SMALL, cluster_prior="learned"),
    ),
    "paper's objective": (TABLE, lambda: fitted(TABLE, **PAPER)),
    "paper's preset": (
        rows_of(PAPER_ROWS),
        lambda: fitted_images(PAPER_ROWS, architecture="paper-mnist", warmup_iter=0, max_iter=3),
    ),
    "restarts": (TABLE, lambda: fitted(TABLE, n_init=3)),
    "partial_fit": (TABLE, fitted_twice),
    "resumed": (TABLE, resumed),
}


def record(name: str) -> dict[str, Any]:
    """Fit, and give what is compared."""
    X, fit = CASES[name]
    gan = fit()
    codes = gan.transform(X)
    samples, drawn = gan.sample(50, random_state=1)
    prior_samples, _ = gan.sample(50, random_state=1, from_prior=True)
    return {
        "labels": digest(gan.labels_),
        "predicted": digest(gan.predict(X)),
        "codes": digest(codes),
        "rows": digest(gan.inverse_transform(codes)),
        "drawn": digest(drawn),
        "samples": digest(samples),
        "prior_samples": digest(prior_samples),
        "score": round(gan.score(X, GROUPS) if name == "classifier" else gan.score(X), 6),
        "train_loss": [round(float(loss), 6) for loss in gan.history_[:, "train_loss"]],
        "diagnostics": {
            measure: round(float(gan.diagnostics_[measure]), 6)
            for measure in ("consistency", "recovery", "reconstruction", "agreement")
        },
    }


def digest(values: np.ndarray) -> str:
    """SHA-256 of whole numbers as they are, of others as float32 of 4 decimals."""
    if values.dtype.kind == "f":
        values = np.round(values.astype(np.float32), 4) + np.float32(0)  # of -0 comes 0
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def machine() -> dict[str, str]:
    """What the bits of a fit depend on besides the package."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
    }


def processor() -> str:
    """Name and numbers of the processor, where Linux tells them: one name can mean several."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    parts = re.findall(r"^(?:model name|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE)
    return ", ".join(parts[:3]) or platform.processor()
