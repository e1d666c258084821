"""One training: players, their phases, the rows they learn from, and its state between epochs."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from ._arrays import as_tensor
from ._graphs import StepGraph, step_graph
from ._net import AdversarialNet, divergence, go_on_from, showing_progress
from ._networks import AdditiveNoise
from ._phases import CONSISTENCY, GAME, Common, ConsistencyPhase, GamePhase, Phase
from ._players import new_players
from ._rows import Batches, Rows, Source
from ._scoring import N_DRAWS, N_MOVES, evaluate
from ._settings import STEPS_PER_EPOCH, Settings
from ._sharing import ONE_PROCESS, OneProcess
from ._state import Progress, TrainingState
from ._supervision import Labels, Supervision
from ._threads import training_on, undisturbed

MAX_VALID_PER_EPOCH = 256  # validation rows, and draws; starts are compared on all


class Trainer:
    """Trains the players of one model, in phases, on skorch's loop.

    Parameters
    ----------
    settings : Settings
    device : str
    callbacks : list of skorch callbacks, or None
    progress : bool
        Whether to show a progress bar.
    state : TrainingState or None
        State to continue from; None: a new training.
    sharing : OneProcess
        What the processes that share the fit agree on.

    Attributes
    ----------
    net : AdversarialNet
        skorch's net, which callbacks see.
    phases : dict of Phase
        By name, in the order of training.
    phase : Phase
        The running phase, or the last one.
    """

    @undisturbed()
    def __init__(
        self,
        settings: Settings,
        device: str = "cpu",
        callbacks: Any = None,
        progress: bool = False,
        state: TrainingState | None = None,
        sharing: OneProcess = ONE_PROCESS,
    ) -> None:
        self.settings, self.device = sharing.agreed_settings(settings, device)
        self.progress = progress
        self.players = new_players(self.settings, self.device, tried_out=state is None)
        rng = torch.Generator(self.device).manual_seed(self.settings.seed)
        row_rng = sharing.row_generator(rng, self.settings.seed)
        for module in self.players.modules():
            if isinstance(module, AdditiveNoise):
                module.rng = row_rng
        prior = self.settings.recipe.given_prior
        self.common = Common(self.settings, self.players, rng, row_rng, sharing, prior)
        self.consistency = ConsistencyPhase(self.common)
        self.game = GamePhase(self.common, self.consistency)
        self.phases: dict[str, Phase] = {CONSISTENCY: self.consistency, GAME: self.game}
        self.phase: Phase = self.consistency
        self._rows: Rows | None = None
        self.batches: Batches | None = None
        self.graph: StepGraph | None = None
        self.net = AdversarialNet(self, self.device, callbacks).initialize()
        if state is not None:
            self._restore(state)

    @property
    def steps(self) -> dict[str, int]:
        """Steps taken, by phase."""
        return {name: phase.n_steps for name, phase in self.phases.items()}

    # -- rows and phases -----------------------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """Rows to train on, which must be loaded."""
        assert self._rows is not None
        return self._rows

    def load_rows(self, X: Source, labels: Labels | None = None) -> Self:
        """Set the rows to train on, and their labels."""
        self._rows = Rows(X, self.settings.layout, self.device, self.settings.seed)
        if labels is not None and self.settings.recipe.label_weight > 0:
            self.common.supervision = Supervision(labels, self.rows, self.settings, self.common.rng)
        self.common.sharing.check_rows(len(self.rows), len(self.rows.train_index))
        return self

    def forget_rows(self) -> Self:
        """Release the training rows: a fitted model must not hold its data."""
        self._rows = self.batches = self.common.supervision = self.graph = None
        return self

    def begin(self, phase: str) -> Phase:
        """Make a phase the running one, and set up the networks for its steps."""
        self.phase = self.phases[phase]
        self.phase.begin()
        self.phase.train_mode()
        if self._rows is not None:
            self.graph = step_graph(self.phase, self.rows, self.net.callbacks_)
        return self.phase

    def new_batches(self, n_steps: int, steps_per_epoch: int) -> Batches:
        """Return shuffled batches of the training rows for the running phase; see `Batches`."""
        return Batches(
            self.rows,
            self.settings.recipe.batch_size,
            n_steps,
            steps_per_epoch,
            self.common.rng,
            self.common.sharing.share,
            as_numbers=self.graph is not None,
        )

    def train(
        self,
        budget: Mapping[str, int],
        after_epoch: Callable[[Self], None] = lambda trainer: None,
        begun: Progress | None = None,
    ) -> None:
        """Train phases for some steps each, in turn.

        Parameters
        ----------
        budget : dict of int
            Steps by phase.
        after_epoch : callable
            Called with the trainer at the end of each epoch, after all callbacks.
        begun : Progress or None
            Progress of the first phase, if it is resumed.
        """
        n_steps = sum(budget.values())
        bar = showing_progress(self.net, n_steps) if self.progress else nullcontext()
        with training_on(self.device), bar:
            for name, n_steps in budget.items():
                if n_steps > 0 or begun is not None:
                    self._train_phase(name, n_steps, after_epoch, begun)
                begun = None
            if self.game.n_steps:
                self.game.fit_aggregate(self.rows)

    def _train_phase(
        self, name: str, n_steps: int, after_epoch: Callable[[Self], None], begun: Progress | None
    ) -> None:
        """Train for some steps of one phase, new or begun; a callback may end the phase early."""
        phase = self.begin(name)
        self.batches = self.new_batches(n_steps, STEPS_PER_EPOCH)
        if begun is not None:
            self.batches.index = as_tensor(begun.order).to(self.device)
            self.batches.position = begun.position
            if self.common.supervision is not None and begun.assignment is not None:
                self.common.supervision.assign_as(begun.assignment)
        try:
            self.net.run(self.batches.n_epochs, lambda: after_epoch(self))
        finally:
            phase.end()
            self.graph = None
        # Before any decision: a callback may restore the weights of an earlier epoch.
        self.net.notify("on_train_end", X=None, y=None)
        if phase is self.consistency:
            is_over = self.net.stopped or phase.n_steps >= phase.budget
            self.consistency.settle_categories(self.rows, is_over)
        self.common.prior = self.common.sharing.agreed_phase(self.players, self.common.prior)

    def complete(self) -> None:
        """Make the decisions that the end of an interrupted phase would have made."""
        if self.phase is self.consistency:
            self.consistency.settle_categories(self.rows)
        if self.game.n_steps:
            self.game.fit_aggregate(self.rows)

    # -- validation ----------------------------------------------------------------------------

    def validation_batch(self) -> Tensor:
        """Network input of the validation rows of an epoch."""
        return self.rows.validation(MAX_VALID_PER_EPOCH)

    def validation_score(self, x: Tensor) -> float:
        """Label-free score of the averaged networks."""
        return self.evaluate(x, MAX_VALID_PER_EPOCH, MAX_VALID_PER_EPOCH)["score"]

    def quality(self) -> float:
        """Measure, without labels, what starts of one fit are compared by.

        It is the quality of the categories, by what the consistency phase chooses its sub-head by;
        without such a phase it is the score of held-out rows.
        """
        if self.consistency.n_steps:
            return self.consistency.quality(self.rows)
        return self.evaluate(self.rows.validation())["score"]

    def evaluate(
        self, x: Tensor, n_draws: int = N_DRAWS, n_moves: int = N_MOVES
    ) -> dict[str, float]:
        """Label-free measures of the averaged networks on network input x.

        The draws are the same at every call and for all models, so that scores are comparable. A
        generator that has not been trained scores 0.
        """
        return evaluate(
            self.players.averaged_encoder,
            self.players.averaged_generator if self.game.n_steps else None,
            x,
            self.settings.augment,
            torch.Generator(self.device).manual_seed(0),
            self.common.prior,
            n_draws,
            n_moves,
        )

    # -- state ---------------------------------------------------------------------------------

    @property
    def _optimizers(self) -> list[torch.optim.Adam]:
        return [optimizer for phase in self.phases.values() for optimizer, _ in phase.optimizers]

    def state(self) -> TrainingState:
        """Everything that training has changed; the tensors are not copied."""
        return TrainingState(
            module=self.players.state_dict(),
            # Rates and betas follow from the settings.
            optimizers=[optimizer.state_dict()["state"] for optimizer in self._optimizers],
            rng=self.common.rng.get_state(),
            balance=self.consistency.consistency.balance,
            steps=self.steps,
            prior=self.common.prior,
            history=list(self.net.history),
        )

    def snapshot(self) -> TrainingState:
        """Copy the state between two epochs, with the progress of the running phase, on the device.

        Raises
        ------
        FloatingPointError
            If a weight or one of Adam's moments is NaN or infinite.
        """
        assert self.batches is not None
        state = self.state()
        broken = state.first_not_finite()
        if broken is not None:
            raise divergence(broken, "NaN or infinite", "the end of an epoch")
        supervision = self.common.supervision
        assignment = None if supervision is None else supervision.assignment
        progress = Progress(
            self.phase.name,
            self.batches.index.cpu().numpy().copy(),
            self.batches.position,
            None if assignment is None else assignment.cpu().numpy().copy(),
        )
        return replace(state.copied(), progress=progress)

    def _restore(self, state: TrainingState) -> None:
        # A copy: Adam keeps and changes the tensors that it is given.
        own = state.copied()
        self.players.load_state_dict(own.module)
        for optimizer, moments in zip(self._optimizers, own.optimizers, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        # The state from another kind of device has another length.
        if len(own.rng) == len(self.common.rng.get_state()):
            self.common.rng.set_state(torch.as_tensor(own.rng))
        if own.balance is not None:
            self.consistency.consistency.balance = own.balance.to(self.device)
        for name, phase in self.phases.items():
            phase.n_steps = state.steps[name]
        if state.progress is not None:
            self.phase = self.phases[state.progress.phase]
        self.common.prior = state.prior
        go_on_from(self.net, state.history)
