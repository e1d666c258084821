"""The progress bar of `verbose=1`: one bar over both phases."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm

SHOWN = {"train": "train_loss", "discriminator": "discriminator_loss", "valid": "valid_loss"}


class PhaseProgress(Callback):
    """Show phase, step, losses and time left in one tqdm bar.

    Parameters
    ----------
    n_steps : int
        Steps of all phases together.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

    def initialize(self) -> PhaseProgress:
        """Open the bar."""
        self.bar_ = tqdm(total=self.n_steps, unit="step", leave=True)
        return self

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Show the phase."""
        self.bar_.set_description(net.history[-1]["phase"])

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Advance by one step."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the last losses."""
        last = net.history[-1]
        self.bar_.set_postfix({name: last[key] for name, key in SHOWN.items() if key in last})

    def close(self) -> None:
        """Close the bar, however training ended."""
        self.bar_.close()
