"""One fit over several processes, with torch's DistributedDataParallel.

torchrun starts the same script on the same rows in each process. All n processes draw the same
batch, and each takes every n-th row of it. Gradients are averaged before each step of Adam, so that
all processes hold the same weights.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ._codes import Prior
from ._rows import Share
from ._settings import Settings
from ._sharing import SHARING, OneProcess

__all__ = ["data_parallel"]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Share every `fit` inside the ``with`` block among the processes that torchrun started.

    Every process must call the same `fit`, with the same rows (a memory map will do) and the same
    parameters. All processes end with the same model. `batch_size` is the number of rows per
    process: two processes train like one with twice the batch size. Some terms depend on a whole
    batch: batch norm, the balance of the consistency phase, and the prior-matching and invariance
    terms. Each process computes them on its own part. `partial_fit` is not shared.

    On a machine with GPUs, a process uses the GPU whose number is its local rank, unless `device`
    names another.

    Yields
    ------
    None
        The block needs no value.

    Raises
    ------
    RuntimeError
        If there is no process group and torchrun did not start the script.
    ValueError
        In `fit`, if `checkpoint_dir` is given, if the number of rows differs from that of the first
        process, or if there are fewer rows than processes.

    Examples
    --------
    In ``script.py``, run as ``torchrun --nproc-per-node 2 script.py``. Here a group of one process
    replaces what torchrun sets up; leave out its two lines.

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
            "There is no process group: start the script with torchrun, for example "
            "`torchrun --nproc-per-node 2 script.py`."
        )
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    # NCCL refuses processes that share a GPU; processes on the CPU need none.
    has_own_gpu = local_rank < torch.cuda.device_count()
    with torch.cuda.device(local_rank) if has_own_gpu else nullcontext():
        if own:
            # Kept until exit: a second group may find the first one's addresses, and wait forever.
            dist.init_process_group()
            atexit.register(_leave_group)
        before = SHARING.set(SeveralProcesses())
        try:
            yield
        finally:
            SHARING.reset(before)


class SeveralProcesses(OneProcess):
    """One process among several. All follow the decisions of the first."""

    is_shared = True

    def __init__(self) -> None:
        self.share = Share(dist.get_rank(), dist.get_world_size())

    def agreed_settings(self, settings: Settings, device: str) -> tuple[Settings, str]:
        """Return the settings of the first process, and the device with the GPU's number."""
        return _from_first(settings), _by_number(device)

    def row_generator(self, rng: torch.Generator, seed: int) -> torch.Generator:
        """Return a generator that only this process has."""
        return torch.Generator(rng.device).manual_seed(seed + self.share.rank)

    def check_rows(self, n_rows: int, n_train: int) -> None:
        """Raise ValueError unless all processes have the same rows, at least one for each."""
        expected = _from_first(n_rows)
        if n_rows != expected:
            raise ValueError(
                f"Process {self.share.rank} got {n_rows} rows, but the first one got {expected}: "
                "pass the same X to all processes."
            )
        if n_train < self.share.n_processes:
            raise ValueError(
                f"n_samples={n_rows} is too few for {self.share.n_processes} processes."
            )

    def forward_of(self, players: nn.Module) -> nn.Module:
        """Average gradients over processes in the backward pass."""
        # Each phase leaves some weights out of its loss.
        return DistributedDataParallel(players, find_unused_parameters=True)

    def mean(self, values: Tensor) -> Tensor:
        """Mean of the values over processes."""
        dist.all_reduce(values)
        return values / self.share.n_processes

    def agreed_phase(self, players: nn.Module, prior: Prior | None) -> Prior | None:
        """Copy the networks and the prior of the first process at the end of a phase.

        Until then each process has its own statistics of batch norm and its own decisions.
        """
        for tensor in players.state_dict().values():
            dist.broadcast(tensor, 0)
        return _from_first(prior)


def _leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _by_number(device: str) -> str:
    """Add the number of the current GPU, since another one is current after the block."""
    return f"cuda:{torch.cuda.current_device()}" if device == "cuda" else device


def _from_first(value: Any) -> Any:
    """Return the value of the first process, in all of them."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
