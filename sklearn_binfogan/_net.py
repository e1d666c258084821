"""skorch's part of a training: the loop over epochs, callbacks and history."""

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring, PrintLog
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from ._callback_rules import LOGGERS_OF_NUMBERS, check_callbacks
from ._graphs import StepGraph, overrides
from ._phases import GamePhase, Phase
from ._players import Players
from ._progress import PhaseProgress, noticed_interrupts
from ._rows import Batches
from ._settings import Settings
from ._terms import TERMS


class Training(Protocol):
    """What the net needs from the training that it runs: see `Trainer`."""

    settings: Settings
    players: Players
    phase: Phase
    batches: Batches | None
    graph: StepGraph | None
    game: GamePhase

    def validation_batch(self) -> Tensor:
        """Network input of the validation rows of an epoch."""

    def validation_score(self, x: Tensor) -> float:
        """Label-free score of the averaged networks."""


class AdversarialNet(NeuralNet):
    """skorch's net: each hook delegates to the training.

    Parameters
    ----------
    training : Training
    device : str
    callbacks : list of skorch callbacks, or None
    """

    def __init__(self, training: Training, device: str = "cpu", callbacks: Any = None) -> None:
        # skorch requires a module and a criterion; the hooks below replace both.
        super().__init__(
            Players,
            nn.Identity,
            train_split=None,
            batch_size=1,
            callbacks=callbacks,
            verbose=1,  # otherwise callbacks that print would be silent
            device=device,
        )
        # Without a reference cycle, memory is freed as soon as the training is released.
        self.training: Training = weakref.proxy(training)
        self.stopped = False  # whether a callback asked to stop
        self._unread: list[tuple[list[str], Tensor]] = []  # losses of steps, not yet in the history

    @property
    def settings(self) -> Settings:
        """What the training is built from."""
        return self.training.settings

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        names = ["discriminator_loss", *(f"{term.name}_loss" for term in TERMS)]
        return [
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
            *((name, PassthroughScoring(name, None, on_train=True)) for name in names),
        ]

    def initialize_module(self) -> Self:
        """Take the players of the training."""
        self.module_ = self.training.players
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> Self:
        """Expose the optimiser of E and G to callbacks; the phases own all optimisers."""
        self.optimizer_ = self.training.game.optimizer
        return self

    def initialize_callbacks(self) -> Self:
        """Initialise callbacks; classes among them are instantiated."""
        super().initialize_callbacks()
        check_callbacks(self.callbacks_)
        for _, callback in self.callbacks_:
            if isinstance(callback, LOGGERS_OF_NUMBERS):
                callback.keys_ignored_.add("phase")
        return self

    def run(self, n_epochs: int, after_epoch: Callable[[], None]) -> None:
        """Train the running phase for some epochs; a callback may end it early.

        At the end of each epoch, after all callbacks, `after_epoch` is called.

        skorch's `partial_fit` would also swallow the user's Ctrl-C. Here a phase only ends quietly
        if a callback raises the interrupt, as `EarlyStopping` does.
        """
        self.stopped = False
        with noticed_interrupts() as interrupts:
            try:
                self.notify("on_train_begin", X=None, y=None)
                for _ in range(n_epochs):
                    self.fit_loop(None, epochs=1)
                    after_epoch()
            except KeyboardInterrupt:
                if interrupts or not self.stopped:
                    raise

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """Return stand-ins that tell skorch the length of an epoch: its steps, and one batch.

        The rows themselves come from `get_iterator`.
        """
        assert self.training.batches is not None
        return range(self.training.batches.n_next), range(1)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Shuffled batches to train on; validation rows as one batch."""
        return self.training.batches if training else [self.training.validation_batch()]

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Start a new printed table, since each phase has losses of its own."""
        super().on_train_begin(net, X, y, **kwargs)
        for _, callback in self.callbacks_:
            if isinstance(callback, PrintLog):
                callback.initialize()

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Name the phase in the history and put the players into training mode."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.history.record("phase", self.training.phase.name)
        self.training.phase.train_mode()
        if self.training.graph is not None:
            self.training.graph.must_check = True

    def run_single_epoch(self, iterator: Any, training: bool, *args: Any, **kwargs: Any) -> None:
        """Take the steps of an epoch, or evaluate the validation rows."""
        self._unread.clear()  # losses of an interrupted epoch
        super().run_single_epoch(iterator, training, *args, **kwargs)
        self._read_losses()

    def train_step(self, batch: Tensor, **fit_params: Any) -> dict[str, Tensor]:
        """Take one step of the running phase; every loss goes into the history.

        On a GPU losses are read at the end of the epoch, so that no step waits for them, unless a
        callback observes each step.
        """
        phase, graph, reads_late = self.training.phase, self.training.graph, self._reads_late
        if graph is not None and not reads_late:
            graph.must_check = True  # a callback that observes steps may change them
        recorded = phase.step(batch, self._on_gradients) if graph is None else graph.step(batch)
        # `stack` copies: a captured step overwrites the same tensors.
        values = torch.stack([value.detach() for value in recorded.values()])
        self._unread.append((list(recorded), values))
        if reads_late:
            return {"loss": torch.tensor(math.nan)}
        self._read_losses()
        return {"loss": torch.tensor(self.history[-1]["batches"][-1][next(iter(recorded))])}

    @property
    def _reads_late(self) -> bool:
        if torch.device(self.device).type != "cuda":
            return False
        others = [pair for pair in self.callbacks_ if not isinstance(pair[1], PhaseProgress)]
        return not overrides(others, "on_batch_begin", "on_grad_computed", "on_batch_end")

    def _read_losses(self) -> None:
        """Put the losses of all steps since the last reading into the history, in one transfer.

        Raises
        ------
        FloatingPointError
            If a loss or a weight is not finite.
        """
        if not self._unread:
            return
        names, values = zip(*self._unread, strict=True)
        self._unread.clear()
        phase = self.training.phase
        norm = phase.norm_of_weights().view(1)
        *losses, norm = phase.common.sharing.mean(torch.cat([*values, norm])).tolist()
        read = iter(losses)
        for behind, of_step in zip(range(len(names), 0, -1), names, strict=True):
            now = f"step {phase.n_steps - behind + 1} of the {phase.name} phase"
            batch = self.history[-1]["batches"][-behind]
            for name in of_step:
                value = next(read)
                if not math.isfinite(value):
                    raise divergence(name, value, now)
                batch[name] = value
            if "train_loss" in batch:  # skorch recorded a placeholder, before the loss was read
                batch["train_loss"] = batch[of_step[0]]
        if not math.isfinite(norm):
            require_finite_weights(self.training.players, now)

    def _on_gradients(self) -> None:
        # Each of several callbacks must be able to iterate over all weights.
        weights = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=weights, training=True)

    def validation_step(self, batch: Tensor, **fit_params: Any) -> dict[str, Tensor]:
        """1 - score of the averaged networks on the validation rows; an untrained G scores 0."""
        loss = torch.tensor(1 - self.training.validation_score(batch), device=batch.device)
        return {"loss": self.training.phase.common.sharing.mean(loss)}

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Notify callbacks of an event; remember whether one asked to stop."""
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt:
            self.stopped = True
            raise


def go_on_from(net: AdversarialNet, history: list[dict[str, Any]]) -> None:
    """Take over a history, and compare further losses with the best of it."""
    net.history_ = History(history)
    ours = {name for name, _ in net._default_callbacks}
    for name, callback in net.callbacks_:
        if name in ours and callback.lower_is_better:
            seen = [epoch[name] for epoch in net.history if name in epoch]
            callback.best_score_ = min(seen, default=math.inf)


@contextmanager
def showing_progress(net: AdversarialNet, n_steps: int) -> Iterator[None]:
    """Show a progress bar of some steps within the block."""
    progress = PhaseProgress(n_steps)
    net.callbacks_.append(("progress", progress))
    try:
        yield
    finally:
        net.callbacks_.remove(("progress", progress))
        progress.bar.close()


def require_finite_weights(players: nn.Module, now: str) -> None:
    """Raise FloatingPointError if a weight is NaN or infinite."""
    for name, weight in players.named_parameters():
        if not weight.isfinite().all():
            raise divergence(name, "NaN or infinite", now)


def divergence(what: str, became: Any, when: str) -> FloatingPointError:
    """Return an error that says what diverged when, and the remedy."""
    return FloatingPointError(
        f"{what} became {became} at {when}: training stopped. Try a smaller learning_rate, or look "
        "for extreme values in X."
    )
