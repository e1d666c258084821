"""Blocks of rows, and conversions between NumPy and torch."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import Tensor

BLOCK = 1024  # rows
NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def row_blocks(X: Any) -> Iterator[Any]:
    """Consecutive slices of at most `BLOCK` rows of any array that can be sliced."""
    return (X[rows] for rows in gen_batches(X.shape[0], BLOCK))


def extremes(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value of each column of any array that can be sliced."""
    ends = [(block.min(axis=0), block.max(axis=0)) for block in row_blocks(X)]
    lows, highs = zip(*ends, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def subsample(X: Any, n: int) -> Any:
    """At most `n` evenly spaced rows of any array that can be sliced."""
    return X[:: math.ceil(len(X) / n)]


def computed(values: Any) -> Any:
    """Compute a Dask array; return anything else unchanged."""
    return values.compute() if hasattr(values, "compute") else values


def as_numpy(values: Any) -> Any:
    """Turn a torch tensor, or a list of them, into a NumPy array; return anything else unchanged.

    The tensor may lie on any device and require a gradient. Float dtypes that NumPy lacks, such as
    bfloat16, become float32.

    Raises
    ------
    TypeError
        If the tensor is sparse.
    """
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        return np.stack([as_numpy(value) for value in values])
    if not isinstance(values, Tensor):
        return values
    if values.layout != torch.strided:
        raise TypeError(
            f"A sparse tensor was passed ({values.layout}), but dense data is required: use "
            "`X.to_dense()`."
        )
    if values.is_floating_point() and values.dtype not in NUMPY_FLOATS:
        values = values.detach().cpu().float()
    return values.numpy(force=True)


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """Copy an array or a tensor to a new tensor.

    Without the copy torch would warn about read-only arrays, such as memory maps and the arrays
    that joblib sends to other processes.
    """
    if isinstance(values, Tensor):
        return values.detach().clone()
    return torch.from_numpy(np.array(values))
