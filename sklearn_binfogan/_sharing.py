"""What the processes that share a fit agree on; by default a fit has one process."""

from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ._codes import Prior
from ._rows import Share
from ._settings import Settings


class OneProcess:
    """A fit of one process: there is nothing to agree on.

    `distributed` overrides every method for fits that several processes share.
    """

    share = Share()
    is_shared = False

    def agreed_settings(self, settings: Settings, device: str) -> tuple[Settings, str]:
        """Return the settings of all processes, and the device of this one."""
        return settings, device

    def row_generator(self, rng: torch.Generator, seed: int) -> torch.Generator:
        """Return the generator of T and D's noise, which are drawn for this process's rows."""
        return rng

    def check_rows(self, n_rows: int, n_train: int) -> None:
        """Raise ValueError unless all processes have the same rows, and enough of them."""

    def forward_of(self, players: nn.Module) -> nn.Module:
        """Return the module that computes the losses of a batch, (losses_of, x) -> losses."""
        return players

    def mean(self, values: Tensor) -> Tensor:
        """Mean of the values over processes."""
        return values

    def agreed_phase(self, players: nn.Module, prior: Prior | None) -> Prior | None:
        """Make all processes continue with the networks and the prior of the first."""
        return prior


ONE_PROCESS = OneProcess()
# For fits that begin now; `distributed.data_parallel` replaces it within its block.
SHARING: ContextVar[OneProcess] = ContextVar("SHARING", default=ONE_PROCESS)
