"""The progress bar, and a way to distinguish Ctrl-C from a callback that asks to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from skorch.callbacks import Callback

from ._tqdm import tqdm

# What the bar calls the losses of the history.
SHOWN = {"loss": "train_loss", "loss of D": "discriminator_loss", "1 - score": "valid_loss"}
PHASES = {"consistency": "Consistency phase", "game": "Game"}


class PhaseProgress(Callback):
    """Show phase, step, losses and time left in one tqdm bar.

    Parameters
    ----------
    n_steps : int
        Steps of all phases together.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.bar = tqdm(total=n_steps, unit="step", leave=True)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Show the phase."""
        self.bar.set_description(PHASES[net.history[-1]["phase"]])

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Advance by one step."""
        if training:
            self.bar.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the last losses."""
        last = net.history[-1]
        self.bar.set_postfix({name: last[key] for name, key in SHOWN.items() if key in last})


@contextmanager
def noticed_interrupts() -> Iterator[list[int]]:
    """Record the user's Ctrl-C, which is raised as usual.

    skorch's callbacks end training with a KeyboardInterrupt, too: this distinguishes the two.
    Python receives signals only in the main thread.
    """
    caught: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, handler)
