"""One fit over several processes, by torch's DistributedDataParallel.

Each process runs the same script on the same rows, started by torchrun. The processes draw the same
batch, and each takes every n-th row of it; gradients are averaged before each step of Adam, so that
all of them hold the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ._codes import Prior
from ._rows import Share
from ._settings import Settings
from ._sharing import SHARING, Forward, OneProcess

__all__ = ["data_parallel"]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Share every `fit` inside the ``with`` block among the processes that torchrun started.

    Every process must call the same `fit`, with the same rows (a memory map will do) and the same
    parameters; each ends with the same model. `batch_size` counts the rows of one process, so that
    two processes take the steps of one with twice the batch. The terms that look at a whole batch
    look at that of their process: batch norm, the balance of the consistency phase, and the
    prior-matching and invariance terms. `partial_fit` is not shared.

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
        before = SHARING.set(SeveralProcesses())
        try:
            yield
        finally:
            SHARING.reset(before)
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


class SeveralProcesses(OneProcess):
    """One process among several; what the first of them decides holds for all."""

    is_shared = True

    def __init__(self) -> None:
        self.share = Share(dist.get_rank(), dist.get_world_size())

    def agreed_settings(self, settings: Settings, device: str) -> tuple[Settings, str]:
        """Take the settings of the first process, and a GPU by its number."""
        return _from_first(settings), _by_number(device)

    def row_generator(self, rng: torch.Generator, seed: int) -> torch.Generator:
        """Give a generator of this process's own."""
        return torch.Generator(rng.device).manual_seed(seed + self.share.rank)

    def check_rows(self, n_rows: int, n_train: int) -> None:
        """Raise ValueError unless all processes have the same rows, at least one for each."""
        expected = _from_first(n_rows)
        if n_rows != expected:
            raise ValueError(
                f"Process {self.share.rank} was given {n_rows} rows, the first one {expected}: "
                "give all the same X."
            )
        if n_train < self.share.n_processes:
            raise ValueError(
                f"n_samples={n_rows} is too few for {self.share.n_processes} processes."
            )

    def forward_of(self, players: nn.Module) -> Forward:
        """Average gradients over processes in the backward pass."""
        # Some weights have no part in a phase's loss.
        return DistributedDataParallel(Losses(players), find_unused_parameters=True)

    def mean(self, values: Tensor) -> Tensor:
        """Mean of the values over processes."""
        dist.all_reduce(values)
        return values / self.share.n_processes

    def agreed_phase(self, players: nn.Module, prior: Prior | None) -> Prior | None:
        """Take over the state of the first process at the end of a phase.

        Decisions there and the statistics of batch norm are each process's own.
        """
        for tensor in players.state_dict().values():
            dist.broadcast(tensor, 0)
        agreed: Prior | None = _from_first(prior)
        return agreed


def _by_number(device: str) -> str:
    """Name the current GPU, which after the block is another one, by its number."""
    return f"cuda:{torch.cuda.current_device()}" if device == "cuda" else device


def _from_first(value: Any) -> Any:
    """Give what the first process has, in all of them."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
