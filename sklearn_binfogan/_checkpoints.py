"""Checkpoints of an unfinished fit: written every so often, and gone on from by an equal fit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _container as container
from ._layout import row_blocks
from ._portable import Arrays, decode_state, encode_state, require, take
from ._progress import LastGood
from ._rows import Source
from ._settings import Settings
from ._starts import Start
from ._supervision import Labels
from ._training import PHASES, Progress, as_arrays

# A change of what a checkpoint holds takes a new number; older ones are then refused.
CHECKPOINT_VERSION = 1
STATE = ("steps", "prior", "history")
KEYS = {"description", "seeds", "phase", "position", *STATE}


class Checkpoints:
    """Folder of the checkpoints of one fit, a file per start and phase.

    Parameters
    ----------
    folder : str, path-like or None
        Made if it is missing. None: nothing is written, states are only held in memory.
    every : int
        Steps after which a checkpoint is due; it is written at the end of that epoch.

    Raises
    ------
    ValueError
        If a checkpoint in the folder is damaged.
    OSError
        If the folder can't be made or read.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, every: int) -> None:
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self.keepers: dict[int, tuple[Settings, LastGood]] = {}  # by number of the start
        self.description: dict[str, str] = {}
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(f".{container.FORMAT}-*.tmp"):  # of a killed fit
                leftover.unlink(missing_ok=True)
        self.found = [read(path)[0] for path in self._files()]

    def _files(self) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob("checkpoint-*.safetensors"))

    def seeds(self, drawn: Sequence[int]) -> list[int]:
        """Give the seeds of the unfinished fit; without one, those that were drawn."""
        found = self.found[0]["seeds"] if self.found else []
        return found if len(found) == len(drawn) else [int(seed) for seed in drawn]

    def open(
        self, settings: Sequence[Settings], X: Source, labels: Labels | None, device: str
    ) -> None:
        """Make sure that the unfinished fit, if there is one, is the one that is asked for.

        Raises
        ------
        ValueError
            If data or parameters differ; it says which.
        """
        self.starts = [one.seed for one in settings]
        if self.folder is None:
            return
        self.description = describe(settings, X, labels, device)
        for document in self.found:
            found = document["description"]
            names = sorted(found.keys() | self.description.keys())
            changes = [
                f"{name} was {found.get(name)} and is {self.description.get(name)}"
                for name in names
                if found.get(name) != self.description.get(name)
            ]
            if changes:
                raise ValueError(
                    f"checkpoint_dir={str(self.folder)!r} holds an unfinished fit, and this is "
                    f"another: {'; '.join(changes)}. Fit with the same data and parameters to go "
                    "on with it, or give another folder, or remove its checkpoint files."
                )

    def keeper(self, start: Start, phases: Sequence[str]) -> LastGood:
        """Give the callback that keeps one start while it trains some phases."""
        number = self.starts.index(start.settings.seed)
        keeper = LastGood()
        if self.folder is not None:
            path = self.folder / f"checkpoint-{number}-{phases[-1]}.safetensors"
            head = {"description": self.description, "seeds": self.starts}
            keeper = Keeper(path, self.every, head)
        keeper.state = start.state or None
        self.keepers[number] = start.settings, keeper
        return keeper

    def last_good(self) -> Start | None:
        """Give the start that stands best by its loss on rows to judge by; None: none has begun."""
        held = [Start(one, keeper.state) for one, keeper in self.keepers.values() if keeper.state]
        return min(held, key=lambda start: start.state["history"][-1]["valid_loss"], default=None)

    def remove(self) -> None:
        """Forget a finished fit."""
        for path in self._files():
            path.unlink(missing_ok=True)


class Keeper(LastGood):
    """Write the state of one start into its file, at the end of an epoch.

    Parameters
    ----------
    path : Path
    every : int
        Steps; the last epoch of a phase is always written.
    head : dict
        What else the file says.
    """

    def __init__(self, path: Path, every: int, head: dict[str, Any]) -> None:
        super().__init__()
        self.path, self.every, self.head = path, every, head
        self.written_at = 0

    def unfinished(self, settings: Settings) -> dict[str, Any] | None:
        """Read the file, if there is one."""
        if not self.path.exists():
            return None
        document, arrays = read(self.path)
        try:
            self.state = decode_interim(document, settings, arrays)
        except Exception as error:  # as in `read`
            raise damaged(self.path, error) from error
        self.written_at = sum(self.state["steps"].values())
        return self.state

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write, if it is due; the last good state is in memory before."""
        super().on_epoch_end(net, **kwargs)
        assert self.state is not None
        n_steps = sum(self.state["steps"].values())
        if n_steps - self.written_at < self.every and net.batches_.remaining > 0:
            return
        document, arrays = encode_interim(self.state)
        try:
            container.write(str(self.path), CHECKPOINT_VERSION, self.head | document, arrays)
        except OSError as error:
            error.add_note(f"{self.path} could not be written; the checkpoint before it is whole.")
            raise
        self.written_at = n_steps


def encode_interim(state: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Turn what `AdversarialNet.export_interim` gives into JSON values and arrays."""
    state, arrays = as_arrays(state), Arrays()
    document = encode_state(state, arrays)
    progress = state["progress"]
    arrays["order"] = progress.order
    if progress.binding is not None:
        arrays["binding"] = progress.binding
    return document | {"phase": progress.phase, "position": progress.position}, arrays


def decode_interim(document: dict[str, Any], settings: Settings, arrays: Arrays) -> dict[str, Any]:
    """Bring back what `AdversarialNet.export_interim` gave, as arrays.

    Raises
    ------
    ValueError
        If it is not the state of a net of these settings.
    """
    state = decode_state({key: document[key] for key in STATE}, settings, arrays)
    order = take(arrays, "order", "int64")
    binding = take(arrays, "binding", "int64") if "binding" in arrays else None
    phase, position = document["phase"], document["position"]
    require(phase in PHASES, "its phase is unknown")
    budget = [settings.recipe.warmup_iter, settings.recipe.max_iter][PHASES.index(phase)]
    require(state["steps"][phase] <= budget, "it has taken too many steps")
    require(order.ndim == 1, "its order of rows is not valid")
    fits = type(position) is int and 0 <= position <= len(order)
    require(fits, "its place among the rows is not valid")
    require(not arrays, f"it holds unknown arrays: {sorted(arrays)!r:.200}")
    return {**state, "progress": Progress(phase, order, position, binding)}


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a checkpoint file.

    Raises
    ------
    ValueError
        If it is damaged, or no checkpoint of this version.
    """
    try:
        document, arrays = container.read(str(path), [CHECKPOINT_VERSION])
        require(isinstance(document, dict) and document.keys() == KEYS, "it is no checkpoint")
        require(isinstance(document["description"], dict), "its description is not valid")
        seeds = document["seeds"]
        fits = isinstance(seeds, list) and all(type(s) is int and 0 <= s < 2**31 for s in seeds)
        require(fits and seeds, "its seeds are not valid")
        return document, arrays
    except OSError:
        raise
    except Exception as error:  # no list says what a damaged file makes decoders raise
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ValueError:
    """Error that says which checkpoint is of no use, and the remedy."""
    return ValueError(
        f"The checkpoint {str(path)!r} can't be used: {error}. Remove it to begin the fit anew."
    )


def describe(
    settings: Sequence[Settings], X: Source, labels: Labels | None, device: str
) -> dict[str, str]:
    """Name and value of everything that the result of a fit depends on.

    Of what is code only the name counts.
    """
    first = settings[0]
    description = {
        "device": device,
        "n_init": len(settings),
        "seeds from random_state": [one.seed for one in settings],
        "shape of X": X.shape,
        "dtype of X": X.dtype,
        "SHA-256 of X": digest(X),
        "SHA-256 of y": None if labels is None else digest(np.c_[labels.rows, labels.classes]),
        "shape of a row": first.layout.shape,
        "n_clusters": first.spec.categories,
        "n_continuous": first.spec.n_continuous,
        "n_noise": first.spec.n_noise,
        "architecture": first.architecture,
        "augmentation": first.augment,
    }
    recipe = {field.name: getattr(first.recipe, field.name) for field in fields(first.recipe)}
    return {name: described(value) for name, value in {**description, **recipe}.items()}


def described(value: Any) -> str:
    """Text that is the same for equal values in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [f"{field.name}={described(getattr(value, field.name))}" for field in fields(value)]
        return f"{type(value).__qualname__}({', '.join(parts)})"
    if isinstance(value, str | int | float | np.dtype | None):
        return str(value)
    if isinstance(value, list | tuple):
        return f"({', '.join(map(described, value))})"
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def digest(X: Source) -> str:
    """SHA-256 of the values of X, row by row."""
    found = hashlib.sha256()
    for block in row_blocks(X):
        found.update(np.ascontiguousarray(block).data)
    return found.hexdigest()
