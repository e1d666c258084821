"""Checkpoints of an unfinished fit, from which a fit with the same data and parameters resumes."""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from . import _container as container
from ._arrays import row_blocks
from ._container import Arrays
from ._portable import (
    STATE_KEYS,
    decode_progress,
    decode_state,
    encode_progress,
    encode_state,
    require,
)
from ._presets import Recipe
from ._rows import Source
from ._settings import Settings
from ._sharing import SHARING
from ._state import Progress, TrainingState
from ._supervision import Labels
from ._trainer import Trainer
from ._upgrades import FORMAT_VERSION

# Checkpoints of older versions are refused: a resumed fit could not end with the same result.
KEYS = {"description", "seeds", "phase", "position", *STATE_KEYS}
NAMES = "checkpoint-[0-9]*-*.safetensors"  # number of the start, and its last phase


@dataclass(frozen=True, eq=False)
class Start:
    """One of the starts of a fit, in the form that is sent between processes.

    Parameters
    ----------
    settings : Settings
    state : TrainingState or None
        The state that training has reached; None: nothing is trained yet.
    quality : float
        Of the categories; starts are compared by it.
    """

    settings: Settings
    state: TrainingState | None = None
    quality: float = 0.0


class Checkpoints:
    """Folder with the checkpoints of one fit, a file per start and phase.

    Parameters
    ----------
    folder : str, path-like or None
        None: states stay in memory, nothing is written.
    every : int
        Steps between checkpoints; they are written at the end of an epoch.

    Raises
    ------
    ValueError
        If the path is empty, or a checkpoint in the folder is damaged.
    OSError
        If the folder can't be read.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, every: int) -> None:
        if folder == "":
            raise ValueError(
                "checkpoint_dir must be the path of a folder or None; got ''. The current folder "
                "is '.'."
            )
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self.starts: list[int] = []  # their seeds
        self.keepers: dict[int, Keeper] = {}  # by the number of the start
        self.description: dict[str, str] = {}
        if self.folder is not None:
            for leftover in self.folder.glob(f".{NAMES}-*.tmp"):  # of a killed fit
                leftover.unlink(missing_ok=True)
        self.found = [read(path)[0] for path in self._files()]

    def _files(self) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob(NAMES))

    def seeds(self, drawn: Sequence[int]) -> list[int]:
        """Seeds of the unfinished fit; if there is none, those that were drawn."""
        found = self.found[0]["seeds"] if self.found else []
        return found if len(found) == len(drawn) else [int(seed) for seed in drawn]

    def open(
        self, settings: Sequence[Settings], X: Source, labels: Labels | None, device: str
    ) -> None:
        """Check that the unfinished fit, if there is one, has the same data and parameters.

        A missing folder is created.

        Raises
        ------
        ValueError
            If it has others; the message says what differs.
        """
        self.starts = [one.seed for one in settings]
        if self.folder is None:
            return
        if SHARING.get().is_shared:
            raise ValueError(
                "Several processes share this fit, so checkpoint_dir must be None; got "
                f"{str(self.folder)!r}. Pass checkpoint_dir=None."
            )
        self.description = describe(settings, X, labels, device)
        for document in self.found:
            # A parameter that was added after the checkpoint had its default value then.
            found = described_recipe(Recipe()) | document["description"]
            names = sorted(found.keys() | self.description.keys())
            changes = [
                f"{name} was {found.get(name)} and is {self.description.get(name)}"
                for name in names
                if found.get(name) != self.description.get(name)
            ]
            if changes:
                raise ValueError(
                    f"checkpoint_dir={str(self.folder)!r} holds an unfinished fit that differs "
                    f"from this one: {'; '.join(changes)}. Fit with the same data and parameters "
                    "to finish it, pass another folder, or remove its checkpoint files."
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self.folder):  # raises if the first checkpoint could not be written
            pass

    def keeper(self, start: Start, phases: Sequence[str]) -> "Keeper":
        """Create the keeper of one start while it trains some phases."""
        number = self.starts.index(start.settings.seed)
        name = f"checkpoint-{number}-{phases[-1]}.safetensors"
        path = None if self.folder is None else self.folder / name
        head = {"description": self.description, "seeds": self.starts}
        self.keepers[number] = Keeper(start, phases, path, self.every, head)
        return self.keepers[number]

    def last_good(self) -> Start | None:
        """Return the start with the smallest validation loss so far; None: none has begun."""
        begun = [k.start for k in self.keepers.values() if k.start.state is not None]
        return min(begun, key=_validation_loss, default=None)

    def remove(self) -> None:
        """Remove the checkpoints of a finished fit."""
        for path in self._files():
            path.unlink(missing_ok=True)


def _validation_loss(start: Start) -> float:
    """Return the validation loss of the last complete epoch; infinite if there is none."""
    assert start.state is not None
    losses = [epoch["valid_loss"] for epoch in start.state.history if "valid_loss" in epoch]
    return losses[-1] if losses else math.inf


@dataclass(eq=False)
class Keeper:
    """Holds the state of a training after its last whole epoch, in case it is interrupted.

    Parameters
    ----------
    start : Start
        With the last state; at first that before this training.
    phases : sequence of str
        Which the start trains.
    path : Path or None
        The file that the state is also written to, at the end of an epoch; None: no file.
    every : int
        Steps between checkpoints; the last epoch of a phase is always written.
    head : dict
        Other entries of the document.
    """

    start: Start
    phases: Sequence[str]
    path: Path | None
    every: int
    head: dict[str, Any]
    written_at: int = 0

    def unfinished(self) -> TrainingState | None:
        """State of an unfinished training of this start, from its file; None: there is none."""
        if self.path is None or not self.path.exists():
            return None
        document, arrays = read(self.path)
        try:
            state = decode_state(document, self.start.settings, arrays)
            progress = decode_progress(document, state.steps, self.start.settings, arrays)
            require(progress.phase in self.phases, "it is of another phase")
            require(not arrays, f"it holds unknown arrays: {sorted(arrays)!r:.200}")
        except Exception as error:  # a damaged file may raise anything in the decoders
            raise damaged(self.path, error) from error
        self.written_at = sum(state.steps.values())
        return replace(state, progress=progress)

    def keep(self, trainer: Trainer) -> None:
        """Take over the new state, and write it if a checkpoint is due.

        Raise FloatingPointError if it is not finite.
        """
        state = trainer.snapshot()
        self.start = replace(self.start, state=state)
        assert trainer.batches is not None
        n_steps = sum(state.steps.values())
        is_due = n_steps - self.written_at >= self.every or trainer.batches.remaining == 0
        if self.path is None or not is_due:
            return
        assert state.progress is not None
        arrays = Arrays()
        document = self.head | encode_state(state.as_arrays(), arrays)
        document |= encode_progress(state.progress, arrays)
        try:
            container.write(str(self.path), FORMAT_VERSION, document, arrays)
        except OSError as error:
            before = "the previous checkpoint is intact" if self.path.exists() else "there is none"
            error.add_note(f"{self.path} could not be written; {before}.")
            raise
        self.written_at = n_steps


def checked_progress(trainer: Trainer, state: TrainingState) -> Progress:
    """Return the progress of a state; raise ValueError unless a training can resume from it."""
    progress = state.progress
    assert progress is not None
    rows = np.sort(trainer.rows.train_index.cpu().numpy())
    if not np.array_equal(np.sort(progress.order), rows):
        raise ValueError("The checkpoint is for other rows than those to train on.")
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


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a checkpoint file.

    Raises
    ------
    ValueError
        If it is damaged, or not a checkpoint of this version.
    """
    try:
        _, document, arrays = container.read(str(path), [FORMAT_VERSION])
        require(isinstance(document, dict) and document.keys() == KEYS, "it is not a checkpoint")
        require(isinstance(document["description"], dict), "its description is not a dict")
        seeds = document["seeds"]
        fits = isinstance(seeds, list) and all(type(s) is int and 0 <= s < 2**31 for s in seeds)
        require(fits and seeds, "its seeds are not a list of ints")
        return document, arrays
    except OSError:
        raise
    except Exception as error:  # a damaged file may raise anything in the decoders
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ValueError:
    """Return an error that names a checkpoint that can't be used, and the remedy."""
    return ValueError(
        f"The checkpoint {str(path)!r} can't be used: {error}. Remove it to start the fit again."
    )


def describe(
    settings: Sequence[Settings], X: Source, labels: Labels | None, device: str
) -> dict[str, str]:
    """Name and value, as text, of everything that the result of a fit depends on.

    The value of a class or function is its name.
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
    found = {name: described(value) for name, value in description.items()}
    return found | described_recipe(first.recipe)


def described_recipe(recipe: Recipe) -> dict[str, str]:
    """Name and value, as text, of every number of a training."""
    return {field.name: described(getattr(recipe, field.name)) for field in fields(recipe)}


def described(value: Any) -> str:
    """Text of a value; equal values have the same text in every process."""
    if isinstance(value, np.generic):
        value = value.item()
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
