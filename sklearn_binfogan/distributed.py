"""One fit over several processes, by torch's DistributedDataParallel.

Each process runs the same script on the same rows, started by torchrun. The processes draw the same
batch, and each takes every n-th row of it; gradients are averaged before each step of Adam, so that
all of them hold the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ._checkpoints import Keeper
from ._rows import Share, Source
from ._settings import Settings
from ._starts import NET
from ._supervision import Labels
from ._training import AdversarialNet

__all__ = ["data_parallel"]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Share every `fit` inside the ``with`` block among the processes that torchrun started.

    Every process must call the same `fit`, with the same rows (a memory map will do) and the same
    parameters; each ends with the same model. `batch_size` counts the rows of one process, so that
    two processes take the steps of one with twice the batch. The terms that look at a whole batch
    look at that of their process: batch norm, the balance of the consistency phase, and the
    marginal and steadiness terms. `partial_fit` is not shared.

    On machines with GPUs a process takes the one with the number of its local rank, unless `device`
    names another.

    Yields
    ------
    None
        The block runs as it stands.

    Raises
    ------
    RuntimeError
        If there is no process group and the script was not started by torchrun.
    ValueError
        In `fit`, if it has a `checkpoint_dir`, other rows than the first process, or too few.

    Examples
    --------
    In ``script.py``, run as ``torchrun --nproc-per-node 2 script.py``. Here a group of one process
    stands for what torchrun sets up; leave its two lines out.

    >>> import torch.distributed as dist
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.distributed import data_parallel
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0)
    >>> with data_parallel():
    ...     labels = gan.fit_predict(load_iris().data)
    >>> dist.destroy_process_group()
    """
    own = not dist.is_initialized()
    if own and "RANK" not in os.environ:
        raise RuntimeError(
            "There is no process group: start the script by torchrun, such as "
            "`torchrun --nproc-per-node 2 script.py`."
        )
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    # Without one, CUDA's processes would share a GPU, which NCCL refuses; the CPU's need none.
    has_own_gpu = local_rank < torch.cuda.device_count()
    with torch.cuda.device(local_rank) if has_own_gpu else nullcontext():
        if own:
            dist.init_process_group()
        before = NET.set(ParallelNet)
        try:
            yield
        finally:
            NET.reset(before)
            if own:
                dist.destroy_process_group()


class Losses(nn.Module):
    """A step's forward pass as a module, which is what DistributedDataParallel wraps."""

    def __init__(self, players: nn.Module) -> None:
        super().__init__()
        self.players = players

    def forward(self, losses_of: Callable[[Tensor], Any], x: Tensor) -> Any:
        """Losses of a batch."""
        return losses_of(x)


class ParallelNet(AdversarialNet):
    """The net of one process among several; what the first of them decides holds for all."""

    def __init__(self, settings: Settings, device: str = "cpu", *arguments: Any) -> None:
        if any(isinstance(argument, Keeper) for argument in arguments):
            raise ValueError(
                "checkpoint_dir is not for a fit that several processes share: each has random "
                "numbers of its own. Give checkpoint_dir=None."
            )
        super().__init__(_from_first(settings), _by_number(device), *arguments)
        self.share = Share(dist.get_rank(), dist.get_world_size())

    def _row_generator(self) -> torch.Generator:
        seed = self.settings.seed + self.share.rank
        return torch.Generator(self.device).manual_seed(seed)

    def load_rows(self, X: Source, labels: Labels | None = None) -> None:
        """Take rows to train on: the same ones in every process, at least one for each."""
        super().load_rows(X, labels)
        n_rows = _from_first(len(self.rows_))
        if n_rows != len(self.rows_):
            raise ValueError(
                f"Process {self.share.rank} was given {len(self.rows_)} rows, the first one "
                f"{n_rows}: give all the same X."
            )
        if len(self.train_index_) < self.share.n_processes:
            raise ValueError(
                f"n_samples={n_rows} is too few for {self.share.n_processes} processes."
            )

    def train_phase(
        self, phase: str, n_steps: int, order: Tensor, position: int | None = None
    ) -> None:
        """Train one phase; at its end all processes take over the state of the first."""
        super().train_phase(phase, n_steps, order, position)
        # Decisions at the end of a phase and the statistics of batch norm are each process's own.
        for tensor in self.module_.state_dict().values():
            dist.broadcast(tensor, 0)
        self.prior_ = _from_first(self.prior_)

    def _protect_categories(self) -> None:
        super()._protect_categories()
        # In a list, or skorch would take it for one more module of the net. Some weights have no
        # part in a phase's loss.
        self.losses_ = [DistributedDataParallel(Losses(self.module_), find_unused_parameters=True)]

    def _forward(self, losses_of: Callable[[Tensor], Any], x: Tensor) -> Any:
        return super()._forward(partial(self.losses_[0], losses_of), x)

    def _agreed(self, values: Tensor) -> Tensor:
        values = values.to(self.device)
        dist.all_reduce(values)
        return values / self.share.n_processes

    def forget_rows(self) -> None:
        """Let go of the rows and of the process group."""
        super().forget_rows()
        del self.losses_


def _by_number(device: str) -> str:
    """Name the current GPU, which after the block is another one, by its number."""
    return f"cuda:{torch.cuda.current_device()}" if device == "cuda" else device


def _from_first(value: Any) -> Any:
    """Give what the first process has, in all of them."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
