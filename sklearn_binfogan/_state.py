"""The state of a training, as checkpoints, files and restarts hold it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ._arrays import as_tensor
from ._codes import Prior

Array = Any  # an ndarray, or a tensor on any device
ARRAYS = ("module", "optimizers", "rng", "balance")  # the fields that hold arrays


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a phase stands between two epochs."""

    phase: str
    order: np.ndarray  # int64: numbers of the rows to train on, as they are dealt out
    position: int  # in `order`, of the next batch
    assignment: np.ndarray | None  # int64, (n_heads, n_classes): see `Supervision`


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that training changes, as NumPy arrays or as tensors on any device."""

    module: dict[str, Array]  # weights and statistics of all players, by name
    optimizers: list[dict[int, dict[str, Array]]]  # Adam's moments: consistency, (E, G), D
    rng: Array
    balance: Array | None  # of the consistency phase: see `Consistency`
    steps: dict[str, int]  # by phase
    prior: Prior | None
    history: list[dict[str, Any]]
    progress: Progress | None = None  # of an unfinished phase

    def as_arrays(self) -> Self:
        """Copy every tensor to a NumPy array."""
        return self._mapped(_to_numpy)

    def copied(self) -> Self:
        """Copy every array to a tensor on the same device."""
        arrays = [array for _, array in self.named_arrays()]
        copies = iter(_copies([array for array in arrays if _is_on_gpu(array)]))
        return self._mapped(lambda array: next(copies) if _is_on_gpu(array) else as_tensor(array))

    def first_not_finite(self) -> str | None:
        """Return the name of a tensor that holds NaN or infinity; None if there is none."""
        named = list(self.named_arrays())
        of_gpu = [array for _, array in named if _is_on_gpu(array) and array.is_floating_point()]
        if not of_gpu or sum_of_norms(of_gpu).isfinite():
            named = [(name, array) for name, array in named if not _is_on_gpu(array)]
        return next((name for name, array in named if not array.isfinite().all()), None)

    def named_arrays(self) -> Iterator[tuple[str, Array]]:
        """All arrays with dotted names, such as "module.encoder.head"."""
        return (leaf for name in ARRAYS for leaf in _leaves(getattr(self, name), name))

    def _mapped(self, convert: Callable[[Array], Array]) -> Self:
        return replace(self, **{name: _mapped(getattr(self, name), convert) for name in ARRAYS})


def _is_on_gpu(array: Array) -> bool:
    return isinstance(array, Tensor) and array.device.type == "cuda"


def sum_of_norms(tensors: list[Tensor]) -> Tensor:
    """Sum of the norms of tensors of one device, without waiting for a GPU.

    It is infinite or NaN if an entry is, and also if finite entries exceed 1e19.
    """
    filled = [tensor.detach() for tensor in tensors if tensor.numel()]  # models without style codes
    return torch.stack(torch._foreach_norm(filled)).sum()


def _copies(tensors: list[Tensor]) -> list[Tensor]:
    """Copy tensors of one device together, since launching hundreds of copies takes long."""
    copies = [torch.empty_like(tensor) for tensor in tensors]
    for dtype in {tensor.dtype for tensor in tensors}:
        same = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
        torch._foreach_copy_([copies[i] for i in same], [tensors[i].detach() for i in same])
    return copies


def _to_numpy(tensor: Tensor) -> np.ndarray:
    copied = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    return copied.numpy()


def _mapped(tree: Any, convert: Callable[[Array], Array]) -> Any:
    """Convert every array in nested dicts and lists."""
    if isinstance(tree, np.ndarray | Tensor):
        return convert(tree)
    if isinstance(tree, dict):
        return {key: _mapped(value, convert) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_mapped(value, convert) for value in tree]
    return tree


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, Array]]:
    """Arrays in nested dicts and lists, each with its dotted name."""
    if isinstance(tree, np.ndarray | Tensor):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{name}.{key}")
