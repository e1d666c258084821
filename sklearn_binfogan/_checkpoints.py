"""Checkpoints of an unfinished fit: written every so often, and gone on from by an equal fit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _container as container
from ._layout import row_blocks
from ._portable import (
    STATE_KEYS,
    Arrays,
    decode_progress,
    decode_state,
    encode_progress,
    encode_state,
    require,
)
from ._rows import Source
from ._settings import Settings
from ._sharing import SHARING
from ._state import Progress, TrainingState
from ._supervision import Labels
from ._trainer import Trainer
from ._upgrades import FORMAT_VERSION

# Of an older version a fit can't be finished to the same result: such checkpoints are refused.
KEYS = {"description", "seeds", "phase", "position", *STATE_KEYS}


@dataclass(frozen=True, eq=False)
class Start:
    """One of the starts of a fit.

    Parameters
    ----------
    settings : Settings
    trainer : Trainer or None
        Where it trained in this process; between processes its state travels instead.
    cut_off : TrainingState or None
        The state where there is no trainer; None: nothing trained yet.
    consistency, score : float
        Label-free measures, by which starts are compared.
    """

    settings: Settings
    trainer: Trainer | None = None
    cut_off: TrainingState | None = None
    consistency: float = 0.0
    score: float = 0.0

    @property
    def state(self) -> TrainingState | None:
        """What training has made of it; None: nothing yet."""
        return self.cut_off if self.trainer is None else self.trainer.state().as_arrays()

    def __reduce__(self) -> Any:
        """Travel as a state."""
        parts = (self.settings, None, self.state, self.consistency, self.score)
        return type(self), parts


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
        self.starts: list[int] = []  # their seeds
        self.keepers: dict[int, tuple[Settings, Keeper]] = {}  # by number of the start
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
        if SHARING.get().is_shared:
            raise ValueError(
                "checkpoint_dir is not for a fit that several processes share: each has random "
                f"numbers of its own. Give checkpoint_dir=None; got {str(self.folder)!r}."
            )
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

    def keeper(self, start: Start, phases: Sequence[str]) -> Keeper:
        """Give what keeps one start while it trains some phases."""
        number = self.starts.index(start.settings.seed)
        keeper = Keeper(start.state)
        if self.folder is not None:
            path = self.folder / f"checkpoint-{number}-{phases[-1]}.safetensors"
            head = {"description": self.description, "seeds": self.starts}
            keeper = FileKeeper(start.state, path, self.every, head)
        self.keepers[number] = start.settings, keeper
        return keeper

    def last_good(self) -> Start | None:
        """Give the start that stands best by its validation loss; None: none has begun."""
        states = [(one, keeper.state) for one, keeper in self.keepers.values()]
        held = [(one, state) for one, state in states if state is not None]
        if not held:
            return None
        settings, state = min(held, key=lambda pair: pair[1].history[-1]["valid_loss"])
        return Start(settings, cut_off=state)

    def remove(self) -> None:
        """Forget a finished fit."""
        for path in self._files():
            path.unlink(missing_ok=True)


class Keeper:
    """Hold the state of a training after its last whole epoch, for when it is cut off.

    Parameters
    ----------
    state : TrainingState or None
        Where the training begins; None: afresh.
    """

    def __init__(self, state: TrainingState | None = None) -> None:
        self.state = state

    def keep(self, trainer: Trainer) -> None:
        """Take the new state; raise FloatingPointError if it is not finite."""
        self.state = trainer.snapshot()

    def unfinished(self, settings: Settings) -> TrainingState | None:
        """State from which a training of these settings goes on; None: from the beginning."""
        return None


class FileKeeper(Keeper):
    """Write the state of one start into its file, at the end of an epoch.

    Parameters
    ----------
    state : TrainingState or None
    path : Path
    every : int
        Steps; the last epoch of a phase is always written.
    head : dict
        What else the file says.
    """

    def __init__(
        self, state: TrainingState | None, path: Path, every: int, head: dict[str, Any]
    ) -> None:
        super().__init__(state)
        self.path, self.every, self.head = path, every, head
        self.written_at = 0

    def unfinished(self, settings: Settings) -> TrainingState | None:
        """Read the file, if there is one."""
        if not self.path.exists():
            return None
        document, arrays = read(self.path)
        try:
            state = decode_state(document, settings, arrays)
            self.state = decode_progress(document, state, settings, arrays)
            require(not arrays, f"it holds unknown arrays: {sorted(arrays)!r:.200}")
        except Exception as error:  # as in `read`
            raise damaged(self.path, error) from error
        self.written_at = sum(self.state.steps.values())
        return self.state

    def keep(self, trainer: Trainer) -> None:
        """Write, if it is due; the last good state is in memory before."""
        super().keep(trainer)
        assert self.state is not None
        assert trainer.batches is not None
        n_steps = sum(self.state.steps.values())
        if n_steps - self.written_at < self.every and trainer.batches.remaining > 0:
            return
        document, arrays = encoded(self.state)
        try:
            container.write(str(self.path), FORMAT_VERSION, self.head | document, arrays)
        except OSError as error:
            error.add_note(f"{self.path} could not be written; the checkpoint before it is whole.")
            raise
        self.written_at = n_steps


def checked_progress(trainer: Trainer, state: TrainingState) -> Progress:
    """Give where a state stands; raise ValueError unless a training can go on from there."""
    progress = state.progress
    assert progress is not None
    assert trainer.rows is not None
    rows = np.sort(trainer.rows.train_index.cpu().numpy())
    if not np.array_equal(np.sort(progress.order), rows):
        raise ValueError("The checkpoint deals out other rows than those to train on.")
    if len(state.rng) != len(trainer.common.rng.get_state()):
        raise ValueError("The checkpoint holds the random state of another kind of device.")
    if progress.assignment is not None:
        _check_assignment(trainer, progress.assignment)
    return progress


def _check_assignment(trainer: Trainer, assignment: np.ndarray) -> None:
    supervision, spec = trainer.common.supervision, trainer.settings.spec
    n_classes = 0 if supervision is None else supervision.labels.n_classes
    fits = assignment.shape == (trainer.players.encoder.n_heads, n_classes)
    fits = fits and assignment.min() >= 0 and assignment.max() < spec.categories[0]
    if not fits or any(len(set(row)) < n_classes for row in assignment.tolist()):
        raise ValueError("The checkpoint assigns its categories to other classes.")


def encoded(state: TrainingState) -> tuple[dict[str, Any], Arrays]:
    """Turn a state between two epochs into JSON values and arrays."""
    arrays = Arrays()
    assert state.progress is not None
    document = encode_state(state.as_arrays(), arrays)
    return document | encode_progress(state.progress, arrays), arrays


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a checkpoint file.

    Raises
    ------
    ValueError
        If it is damaged, or no checkpoint of this version.
    """
    try:
        _, document, arrays = container.read(str(path), [FORMAT_VERSION])
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
