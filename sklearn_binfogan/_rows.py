"""The rows of X, in memory or not, and the batches drawn from them."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

from ._arrays import BLOCK, as_numpy, as_tensor, computed, row_blocks
from ._input import check_flat, check_unmasked, hint_at_images, validated
from ._layout import Layout

MIN_ROWS_TO_HOLD_OUT, MAX_VALID = 500, 1000
MAX_DECIDING, DECIDING_BLOCK = 10_000, 1000  # rows


class StoredRows:
    """A two-dimensional array outside memory, such as one of zarr or h5py, read in pieces.

    Parameters
    ----------
    source : array-like
        Has `shape` and can be sliced. It is faster if it can also be indexed by sorted row numbers.
    dtype : dtype
        Dtype of the rows that are read: float64, float32 or uint8.
    """

    def __init__(self, source: Any, dtype: Any) -> None:
        self.source = source
        self.shape: tuple[int, int] = tuple(source.shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read a slice of rows, or the rows with given numbers, in the order of the numbers."""
        if isinstance(rows, slice):
            return np.asarray(self.source[rows], dtype=self.dtype)
        # h5py accepts only sorted, distinct numbers.
        numbers, place = np.unique(rows, return_inverse=True)
        try:
            found = self.source[numbers]
        except (IndexError, TypeError):
            found = np.concatenate([np.asarray(self.source[i : i + 1]) for i in numbers.tolist()])
        return np.asarray(found, dtype=self.dtype)[place]


Source = np.ndarray | StoredRows


def checked_rows(estimator: Any, X: Any, reset: bool) -> Source:
    """Validate X as scikit-learn does; an array outside memory is read and checked in blocks.

    Parameters
    ----------
    estimator : estimator
        If `reset`, its `n_features_in_` and `feature_names_in_` are set. Otherwise X must agree
        with them.
    X : array-like of shape (n_samples, n_features)
        Memory maps and arrays that can be sliced (zarr, h5py, Dask) stay where they are.
        Torch tensors are treated like NumPy arrays.
    reset : bool

    Raises
    ------
    ValueError
        If X is empty, or not finite, two-dimensional and numeric, has other columns than in `fit`,
        or is a Dask array of unknown length.

    Warns
    -----
    ImageShapeWarning
        If `reset`, and the rows look like images but are used as a table.
    """
    X = as_numpy(X)
    check_flat(X)
    check_unmasked(X)
    if hasattr(X, "compute_chunk_sizes") and np.isnan(X.shape[0]):
        raise ValueError("X is a Dask array of unknown length: call X.compute_chunk_sizes() first.")
    if not _is_stored(X) or len(X.shape) != 2 or X.shape[0] == 0:
        rows: Source = validated(estimator, X, reset)
    else:
        for number, block in enumerate(row_blocks(X)):
            values = computed(block)
            check_unmasked(values)
            checked = validated(estimator, np.asarray(values), reset and number == 0)
        rows = StoredRows(X, checked.dtype)
    if reset:
        hint_at_images(estimator, rows)
    return rows


def _is_stored(X: Any) -> bool:
    """Whether X is a memory map, or an array of another library that lies outside memory."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap)
    is_array = all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
    in_memory = issparse(X) or hasattr(X, "iloc") or hasattr(X, "__dlpack__")
    return is_array and not in_memory


class Rows:
    """The rows of a training: those to train on and those to validate.

    A GPU with room for all rows gets a copy: uint8 unscaled, floats scaled. Otherwise they stay
    where they are. A tenth of the rows is held out for validation, if there are 500 or more. A
    held-out row keeps its label: it is still used as a labelled row.

    Parameters
    ----------
    X : ndarray or StoredRows
    layout : Layout
    device : str
    seed : int
        Equal rows and an equal seed give the same validation rows.

    Attributes
    ----------
    train_index, valid_index : Tensor of int64
        Numbers of the rows to train on and of the validation rows. With fewer than 500 rows both
        hold all of them.
    """

    def __init__(self, X: Source, layout: Layout, device: str, seed: int) -> None:
        self.X, self.layout, self.device = X, layout, torch.device(device)
        self.resident = self._copied() if _has_room(self.device, X) else None
        # uint8 rows are scaled on the device.
        self.center, self.scale, *self.far = (
            as_tensor(values).float().to(self.device)
            for values in (layout.center, layout.scale, layout.limits, layout.stand_in)
            if values is not None
        )
        rng = torch.Generator(device).manual_seed(seed)
        order = torch.randperm(len(X), generator=rng, device=device)
        n_valid = n_held_out(len(X))
        self.train_index = order[n_valid:]
        self.valid_index = order[:n_valid] if n_valid else order

    def __len__(self) -> int:
        return len(self.X)

    def take(self, index: Tensor) -> Tensor:
        """Network input of some rows."""
        if self.resident is None:
            rows = torch.from_numpy(self._unscaled_bytes(self.X[index.cpu().numpy()]))
            rows = rows.to(self.device)
        else:
            rows = self.resident[index]
        if rows.dtype == torch.uint8:
            rows = (rows.float() - self.center) / self.scale
            if self.far:
                limits, stand_in = self.far
                rows = torch.where(rows < limits[0], stand_in[0], rows)
                rows = torch.where(rows > limits[1], stand_in[1], rows)
        return self.layout.to_network(rows)

    def validation(self, at_most: int | None = None) -> Tensor:
        """Network input of the validation rows."""
        return self.take(self.valid_index[:at_most])

    def deciding_numbers(self) -> tuple[Tensor, ...]:
        """Numbers of up to 10 000 training rows, in blocks, to choose heads and priors by."""
        return self.train_index[:MAX_DECIDING].split(DECIDING_BLOCK)

    def deciding_blocks(self) -> list[Tensor]:
        """Network input of these rows."""
        return [self.take(numbers) for numbers in self.deciding_numbers()]

    def _copied(self) -> Tensor:
        """Copy all rows to the device, block by block."""
        dtype = torch.uint8 if self.X.dtype == np.uint8 else torch.float32
        resident = torch.empty(tuple(self.X.shape), dtype=dtype, device=self.device)
        for part, block in zip(resident.split(BLOCK), row_blocks(self.X), strict=True):
            part.copy_(torch.from_numpy(self._unscaled_bytes(block)))
        return resident

    def _unscaled_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Scale floats, to float32; leave uint8, which takes less memory on the device."""
        return np.array(rows) if rows.dtype == np.uint8 else self.layout.scaled(rows, np.float32)


def _has_room(device: torch.device, X: Source) -> bool:
    """Whether the device is a GPU that can hold all rows and still train on them."""
    if device.type != "cuda":  # Apple's GPUs share the CPU's memory
        return device.type != "cpu"
    n_bytes = math.prod(X.shape) * (1 if X.dtype == np.uint8 else 4)
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return n_bytes <= free / 2


def n_held_out(n_rows: int) -> int:
    """Give the number of validation rows that are not trained on."""
    return min(n_rows // 10, MAX_VALID) if n_rows >= MIN_ROWS_TO_HOLD_OUT else 0


class Share(NamedTuple):
    """The part of a step's draws that one of several processes takes."""

    rank: int = 0
    n_processes: int = 1

    def of(self, drawn: Tensor) -> Tensor:
        """Take every `n_processes`-th row, beginning with row `rank`."""
        return drawn[self.rank :: self.n_processes]


class Batches:
    """Shuffled batches for a number of steps, split into epochs.

    Parameters
    ----------
    rows : Rows
    batch_size, n_steps, steps_per_epoch : int
    rng : torch.Generator
    share : Share
        This process's share. All processes draw the same batch, with `batch_size` rows for each of
        them, and each takes its share.
    as_numbers : bool
        Whether to give the numbers of a batch's rows instead of their network input.

    Attributes
    ----------
    index : Tensor of int64
        Numbers of the rows to train on, in the order in which they are dealt out.
    position : int
        Place in `index` where the next batch begins; at its end the rows are shuffled.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        n_steps: int,
        steps_per_epoch: int,
        rng: torch.Generator,
        share: Share,
        as_numbers: bool,
    ) -> None:
        self.rows, self.index, self.rng, self.share = rows, rows.train_index, rng, share
        n_rows = self.position = len(self.index)
        self.batch_size = min(batch_size, n_rows // share.n_processes) * share.n_processes
        self.remaining, self.steps_per_epoch = n_steps, steps_per_epoch
        self.as_numbers = as_numbers

    @property
    def n_next(self) -> int:
        """Steps of the next epoch."""
        return min(self.steps_per_epoch, self.remaining)

    @property
    def n_epochs(self) -> int:
        """Epochs that remain."""
        return math.ceil(self.remaining / self.steps_per_epoch)

    def __iter__(self) -> Iterator[Tensor]:
        n_steps = self.n_next
        self.remaining -= n_steps
        for _ in range(n_steps):
            numbers = self._next()
            yield numbers if self.as_numbers else self.rows.take(numbers)

    def _next(self) -> Tensor:
        if self.position + self.batch_size > len(self.index):
            order = torch.randperm(len(self.index), generator=self.rng, device=self.rng.device)
            self.index, self.position = self.index[order], 0
        batch = self.share.of(self.index[self.position : self.position + self.batch_size])
        self.position += self.batch_size
        # Batch norm needs two rows.
        return batch if len(batch) > 1 else batch.repeat(2)
