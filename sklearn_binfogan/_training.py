"""The adversarial net on skorch: a consistency phase on real data, then the game."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring
from skorch.history import History
from torch import Tensor, nn

from . import _losses as losses
from ._arrays import as_tensor
from ._codes import Prior
from ._consistency import Consistency
from ._networks import AdditiveNoise
from ._players import Players
from ._progress import LastGood, PhaseProgress, noticed_interrupts
from ._rows import Batches, Rows, Share, Source
from ._scoring import N_DRAWS, evaluate
from ._settings import CUDA_GRAPHS, RATE_FLOOR, STEPS_PER_EPOCH, Settings
from ._supervision import LabelledBatch, Labels, Supervision, label_nll
from ._threads import seeded

PHASES = CONSISTENCY, GAME = "consistency", "game"
UNLABELLED_PART = 1 / 3  # of the consistency phase, before classes get their categories

TENSORS = ("module", "optimizers", "rng", "balance")  # what of a net's state is tensors

MIN_ROWS_TO_HOLD_OUT, MAX_VALID = 500, 1000
MAX_VALID_PER_EPOCH = 256  # of those, and of draws; starts are compared on all
MAX_JUDGED = 10_000  # rows that choose among candidate heads
AVERAGE_DECAY = {CONSISTENCY: 0.99, GAME: 0.995}


class Game(NamedTuple):
    """One forward pass of all players on a batch."""

    codes: Tensor  # Z
    fake_logits: Tensor  # logits of q(c | G(Z))
    fake_style: Tensor  # continuous means and z of E(G(Z))
    real_categories: Tensor  # most likely categories of E(x), one-hot
    real_style: Tensor  # continuous means and z of E(x)
    reconstruction: Tensor  # G(E(x)); empty if no term asks for it
    change: Tensor  # E(T x) - E(x) in the continuous codes that T should not change
    real_verdict: Tensor  # logits of D(x, E(x))
    fake_verdict: Tensor  # logits of D(G(Z), Z)


class Progress(NamedTuple):
    """Where a phase stands between two epochs."""

    phase: str
    order: np.ndarray  # int64: numbers of the rows to train on, as they are dealt out
    position: int  # in `order`, of the next batch
    binding: np.ndarray | None  # int64, (n_heads, n_classes): see `Supervision`


class AdversarialNet(NeuralNet):
    """Private skorch net: builds the players, trains the phases, records every loss.

    Parameters
    ----------
    settings : Settings
    device : str
    callbacks : list of skorch callbacks, or None
    progress : bool
        Whether to show a progress bar.
    keeper : LastGood or None
        Sees every epoch last; only while phases are trained.
    """

    def __init__(
        self,
        settings: Settings,
        device: str = "cpu",
        callbacks: Any = None,
        progress: bool = False,
        keeper: LastGood | None = None,
    ) -> None:
        # skorch wants a module and a criterion; ours are built in the documented hooks below.
        super().__init__(
            Players,
            nn.Identity,
            train_split=None,
            batch_size=1,
            callbacks=callbacks,
            verbose=0,
            device=device,
        )
        self.settings = settings
        self.progress = progress
        self.keeper = keeper

    share = Share()  # one process takes everything

    # -- skorch's documented hooks -------------------------------------------------------------

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        terms = ["discriminator", "adversarial", "mutual_information", "cycle"]
        terms += ["steadiness", "marginal", "label"]
        names = [f"{term}_loss" for term in terms]
        return [
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
            *((name, PassthroughScoring(name, None, on_train=True)) for name in names),
        ]

    def initialize_module(self) -> AdversarialNet:
        """Build the players from the seed, leaving torch's global generator as found."""
        with seeded(self.settings.seed):
            self.module_ = Players(self.settings).float()
        compiled = self.settings.recipe.compile
        if compiled:
            self.module_.compile_players(compiled if isinstance(compiled, str) else None)
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> AdversarialNet:
        """One Adam per group of weights: see `Players.by_optimizer`."""
        recipe, players = self.settings.recipe, self.module_
        players.link()
        category, both, discriminator = players.by_optimizer()
        self.warmup_optimizer_ = self._adam(category, recipe.learning_rate, (0.9, 0.99))
        self.optimizer_ = self._adam(both, recipe.learning_rate, recipe.betas)
        self.discriminator_optimizer_ = self._adam(
            discriminator, recipe.discriminator_learning_rate, recipe.betas
        )
        self.rng_ = torch.Generator(self.device).manual_seed(self.settings.seed)
        self.row_rng_ = self._row_generator()
        for module in players.modules():
            if isinstance(module, AdditiveNoise):
                module.rng = self.row_rng_
        self.steps_ = {CONSISTENCY: 0, GAME: 0}
        self.consistency_ = Consistency(self.settings, self.row_rng_)
        self.supervision_: Supervision | None = None
        given = recipe.cluster_prior
        self.prior_: Prior | None = None if isinstance(given, str) else given
        return self

    def _row_generator(self) -> torch.Generator:
        """Give the generator of T and D's noise, which are drawn for the rows of this process."""
        return self.rng_

    @staticmethod
    def _adam(parameters: Any, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
        # Fused, its state lies on the device: no step waits for the CPU.
        return torch.optim.Adam(parameters, rate, betas, fused=True)

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, Any]:
        """Stand-ins that tell skorch how long an epoch is: one item per step, and one batch.

        The rows themselves come from `get_iterator`.
        """
        return range(self.batches_.n_next), range(1)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Shuffled batches to train on; rows to judge by as one batch."""
        if training:
            return self.batches_
        return [self.rows_.take(self.valid_index_[:MAX_VALID_PER_EPOCH])]

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Name the phase in the history and put the players into training mode."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self.history.record("phase", self.phase_)
        self.module_.train()
        if self.protected_:
            self.module_.encoder.category_trunk.eval()

    def train_step(self, batch: Tensor, **fit_params: Any) -> dict[str, Tensor]:
        """One step of the running phase; every loss goes into the history."""
        self._set_rates()
        step = self.consistency_step if self.phase_ == CONSISTENCY else self.game_step
        recorded = step(batch)
        n = self.steps_[self.phase_] = self.steps_[self.phase_] + 1
        self.module_.follow(min(AVERAGE_DECAY[self.phase_], n / (n + 9)))
        # One transfer for all losses: each would be a synchronisation on a GPU.
        losses_and_size = torch.stack([*map(Tensor.detach, recorded.values()), self._size()])
        *values, size = self._agreed(losses_and_size).tolist()
        for name, value in zip(recorded, values, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(_fault(name, value, self._now()))
            self.history.record_batch(name, value)
        if not math.isfinite(size):
            self._require_finite_weights()
        return {"loss": torch.tensor(values[0])}

    def _size(self) -> Tensor:
        """Sum of the norms of the weights that the running phase trains.

        Infinite or NaN if a weight is; also if finite ones are beyond 1e19.
        """
        warmup, *of_game = self._all_optimizers()
        trained = [warmup] if self.phase_ == CONSISTENCY else of_game
        weights = [w.detach() for each in trained for w in self._weights(each) if w.numel()]
        return torch.stack(torch._foreach_norm(weights)).sum()

    def _require_finite_weights(self) -> None:
        for name, weight in self.module_.named_parameters():
            if not weight.isfinite().all():
                raise FloatingPointError(_fault(name, "NaN or infinite", self._now()))

    def _now(self) -> str:
        return f"step {self.steps_[self.phase_]} of the {self.phase_} phase"

    def validation_step(self, batch: Tensor, **fit_params: Any) -> dict[str, Tensor]:
        """1 - score of the averaged networks on the rows to judge by; G scores after its start."""
        score = self.evaluate(batch, MAX_VALID_PER_EPOCH)["score"]
        return {"loss": self._agreed(torch.tensor(1 - score))}

    def _agreed(self, values: Tensor) -> Tensor:
        """Values that are the same in all processes that share the fit: here, the only one."""
        return values

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Pass an event on; remember whether a callback asked to stop."""
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt:
            self.stopped_ = True
            raise

    # -- phases --------------------------------------------------------------------------------

    def load_rows(self, X: Source, labels: Labels | None = None) -> None:
        """Take rows to train on; a tenth is held out to judge by, where there are enough.

        Labelled rows that are held out still count as labelled.
        """
        self.rows_ = Rows(X, self.settings.layout, self.device)
        if labels is not None and self.settings.recipe.label_weight > 0:
            self.supervision_ = Supervision(labels, self.rows_, self.settings, self.rng_)
        n_rows = len(self.rows_)
        # From the seed alone: a net that goes on with the same rows holds out the same ones.
        rng = torch.Generator(self.device).manual_seed(self.settings.seed)
        order = torch.randperm(n_rows, generator=rng, device=self.device)
        n_valid = min(n_rows // 10, MAX_VALID) if n_rows >= MIN_ROWS_TO_HOLD_OUT else 0
        self.train_index_ = order[n_valid:]
        self.valid_index_ = order[:n_valid] if n_valid else order

    def forget_rows(self) -> None:
        """Let go of the training rows: a fitted model must not hold its data."""
        for name in ("rows_", "train_index_", "valid_index_", "batches_"):
            if hasattr(self, name):
                delattr(self, name)
        self.keeper = self.supervision_ = None

    def train_phases(self, budget: dict[str, int], begun: Progress | None = None) -> None:
        """Train phases for some steps each, in turn; the first may have begun before.

        The keeper, if any, sees each epoch's end after all other callbacks.
        """
        with self._extra_callbacks(sum(budget.values())):
            for phase, n_steps in budget.items():
                if begun is not None:
                    if self.supervision_ is not None and begun.binding is not None:
                        self.supervision_.bind_as(begun.binding)
                    order = as_tensor(begun.order).to(self.device)
                    self.train_phase(phase, n_steps, order, begun.position)
                    begun = None
                elif n_steps > 0:
                    self.train_phase(phase, n_steps, self.train_index_)
            if self.steps_[GAME]:
                self.fit_aggregate()

    @contextmanager
    def _extra_callbacks(self, n_steps: int) -> Iterator[None]:
        """Show a progress bar and call the keeper, only while phases are trained."""
        callbacks: list[tuple[str, Any]] = self.callbacks_
        n_before = len(callbacks)
        bar = PhaseProgress(n_steps).initialize() if self.progress else None
        extra = {"progress": bar, "keeper": self.keeper}
        callbacks += [(name, each) for name, each in extra.items() if each is not None]
        try:
            yield
        finally:
            del callbacks[n_before:]
            if bar is not None:
                bar.close()

    def train_phase(
        self, phase: str, n_steps: int, order: Tensor, position: int | None = None
    ) -> None:
        """Train for some steps of one phase; a callback may end the phase early.

        skorch's `partial_fit` would also swallow the user's Ctrl-C: here only an interrupt
        that a callback raises, as `EarlyStopping` does, ends the phase quietly.
        """
        self.phase_, self.stopped_ = phase, False
        batch_size = self.settings.recipe.batch_size
        source, rng = (self.rows_, order), self.rng_
        self.batches_ = Batches(
            *source, batch_size, n_steps, STEPS_PER_EPOCH, rng, self.share, position
        )
        self._protect_categories()
        self.notify("on_train_begin", X=None, y=None)
        with noticed_interrupts() as interrupts:
            try:
                self.fit_loop(None, epochs=math.ceil(n_steps / STEPS_PER_EPOCH))
            except KeyboardInterrupt:
                if interrupts or not self.stopped_:
                    raise
        if phase == CONSISTENCY:
            self.settle_categories()
        self.notify("on_train_end", X=None, y=None)

    def settle_categories(self) -> None:
        """Fix the head to use from now on, and each category's probability in the game."""
        encoder, blocks = self.module_.averaged_encoder, self._judged_blocks()
        weight, supervision = self.settings.recipe.label_weight, self.supervision_
        penalty = weight * supervision.head_nll(encoder) if supervision else 0.0
        self.consistency_.settle(encoder, blocks, penalty)
        own = self.module_.encoder
        own.head.copy_(encoder.head)
        own.category_head.load_state_dict(encoder.category_head.state_dict())
        if supervision is None:
            self.prior_ = self.consistency_.prior(encoder, blocks)
        elif supervision.labels.leave_free(self.settings.spec):
            self.prior_ = self.consistency_.sizes(encoder, blocks)
        else:
            self.prior_ = supervision.prior(encoder)

    @torch.no_grad()
    def fit_aggregate(self) -> None:
        """Find where real data lies in the codes that G now knows."""
        encoder = self.module_.averaged_encoder
        codes = torch.cat([encoder(block) for block in self._judged_blocks()])
        self.module_.aggregate.fit(codes)

    def _judged_blocks(self) -> list[Tensor]:
        return [self.rows_.take(i) for i in self.train_index_[:MAX_JUDGED].split(1000)]

    def _protect_categories(self) -> None:
        """Freeze in the game what the consistency phase has learned: bad early fakes undo it."""
        players = self.module_
        learned_before = self.phase_ == GAME and self.steps_[CONSISTENCY] > 0
        self.protected_ = learned_before and not players.encoder.has_one_trunk
        if self.protected_:
            learned = players.averaged_encoder
            players.encoder.category_trunk.load_state_dict(learned.category_trunk.state_dict())
            players.encoder.category_head.load_state_dict(learned.category_head.state_dict())
        for parameter in players.encoder.category_parameters():
            parameter.requires_grad_(not self.protected_)
            parameter.grad = None  # Adam would go on with a frozen weight's last gradient

    def _set_rates(self) -> None:
        """Cosine decay in the consistency phase, polynomial decay in the game."""
        recipe, step = self.settings.recipe, self.steps_[self.phase_]
        if self.phase_ == CONSISTENCY:
            share = min(step / max(recipe.warmup_iter, 1), 1.0)
            decay, floor = 0.5 + 0.5 * math.cos(math.pi * share), RATE_FLOOR
        else:
            share = min(step / max(recipe.max_iter, 1), 1.0)
            decay, floor = (1 - share) ** recipe.rate_power, recipe.rate_floor
        factor = floor + (1 - floor) * decay
        rate = recipe.learning_rate
        rates = [recipe.warmup_rate * rate, rate, recipe.discriminator_learning_rate]
        for optimizer, initial_rate in zip(self._all_optimizers(), rates, strict=True):
            optimizer.param_groups[0]["lr"] = initial_rate * factor

    # -- consistency phase: E's categories on real data -----------------------------------------

    def consistency_step(self, x: Tensor) -> dict[str, Tensor]:
        """Train the category branch alone."""
        labelled = None
        if self.steps_[CONSISTENCY] >= UNLABELLED_PART * self.settings.recipe.warmup_iter:
            labelled = self._labelled_batch()
        loss = self._forward(partial(self.consistency_loss, labelled=labelled), x)
        self._backward(loss, self.warmup_optimizer_)
        self._step(self.warmup_optimizer_)
        return {"consistency_loss": loss}

    def consistency_loss(self, x: Tensor, labelled: LabelledBatch | None = None) -> Tensor:
        """Loss of the category branch on real rows, some of which may have labels."""
        step = self.steps_[CONSISTENCY]
        return self.consistency_.loss(self.module_.encoder, x, step, labelled)

    def _labelled_batch(self) -> LabelledBatch | None:
        """Draw labelled rows; the first time, settle which categories stand for the classes."""
        supervision = self.supervision_
        if supervision is None:
            return None
        if supervision.binding is None:
            supervision.bind(self.module_.averaged_encoder, self.steps_[CONSISTENCY] > 0)
        return supervision.draw()

    # -- the game ------------------------------------------------------------------------------

    def game_step(self, x: Tensor) -> dict[str, Tensor]:
        """Update D and (G, E) from the same batch, at the same time, as the paper does."""
        discriminator_loss, terms = self._forward(self.game_losses, x)
        # Both gradients before either step: the steps change weights that the graph holds.
        self._game_backward(discriminator_loss, terms)
        self._step(self.discriminator_optimizer_)
        self._step(self.optimizer_)
        return {
            "players_loss": torch.stack(list(terms.values())).sum(),
            "discriminator_loss": discriminator_loss,
            **terms,
        }

    def game_losses(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """D's loss and the terms of G and E, from one pass through all players."""
        game = self.play(x)
        return self.discriminator_loss(game), self.players_terms(game, x)

    def _game_backward(self, discriminator_loss: Tensor, terms: dict[str, Tensor]) -> None:
        """Gradients of D's loss by D's weights, and of the terms' sum by those of G and E."""
        if self.module_.discriminator_couples_rows:
            self._backward(discriminator_loss, self.discriminator_optimizer_, retain_graph=True)
            self._backward(torch.stack(list(terms.values())).sum(), self.optimizer_)
        else:
            # D's gradient becomes the adversarial term's on its way to G and E: see `_judge`.
            others = [term for name, term in terms.items() if name != "adversarial_loss"]
            total = torch.stack([discriminator_loss, *others]).sum()
            self._backward(total, self.discriminator_optimizer_, self.optimizer_)

    def play(self, x: Tensor) -> Game:
        """Run every player once on real rows and as many fakes."""
        players, spec = self.module_, self.settings.spec
        n_drawn = len(x) * self.share.n_processes
        codes = self.share.of(spec.draw(n_drawn, self.rng_, self.prior_)).to(x.dtype)
        logits, style = players.encoder.read(x)
        real_codes = torch.cat([self._shown_categories(logits), style], dim=1)
        if self.settings.recipe.cycle_weight > 0:
            kept = real_codes * self.share.of(spec.nested_mask(n_drawn, self.rng_))
            fake, reconstruction = players.generator(torch.cat([codes, kept])).chunk(2)
        else:
            fake, reconstruction = players.generator(codes), x[:0]
        fake_logits, fake_style = players.encoder.read(fake)
        verdicts = self._judge(x, real_codes, fake, codes)
        categories = spec.harden(logits)
        change = self._change_by_augmentation(x, categories, style)
        return Game(
            codes, fake_logits, fake_style, categories, style, reconstruction, change, *verdicts
        )

    def _change_by_augmentation(self, x: Tensor, categories: Tensor, style: Tensor) -> Tensor:
        """How T changes the second half of the continuous codes, (n, n_continuous // 2).

        The first half is free to say what T changes, such as a slant; without this the second half
        would as a rule only say more of it.
        """
        spec = self.settings.spec
        columns = spec.steady_codes
        if self.settings.recipe.steadiness_weight == 0 or spec.n_continuous < 2:
            return style[:, :0]
        moved = self.settings.augment(x, self.row_rng_)
        return (self.module_.encoder.style(moved, categories) - style)[:, columns]

    def _judge(
        self, x: Tensor, real_codes: Tensor, fake: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of D for the real and for the fake pairs.

        Each side goes through D by itself: with batch norm in D it is judged by its own statistics,
        as in the paper. Without, one pass back serves both players: what flows back into E's codes
        and G's rows is turned into their own gradient, row by row.
        """
        discriminator = self.module_.discriminator
        if self.module_.discriminator_couples_rows:
            return discriminator(x, real_codes), discriminator(fake, codes)
        ratios: list[Tensor] = []
        real_codes = _scaled_backward(real_codes, lambda: ratios[0])
        fake = _scaled_backward(fake, lambda: ratios[1])
        real, false = discriminator(x, real_codes), discriminator(fake, codes)
        recipe = self.settings.recipe
        for_players = losses.gradient_ratios(recipe.adversarial_loss, real, false)
        ratios += [recipe.adversarial_weight * ratio for ratio in for_players]
        return real, false

    def _shown_categories(self, logits: Tensor) -> Tensor:
        """Categories of real rows as D sees them.

        One-hot where the category branch is frozen: soft ones would tell real pairs from fake
        ones. In the paper's own game D sees the posterior, and E learns from it.
        """
        spec = self.settings.spec
        return spec.harden(logits) if self.protected_ else spec.posterior(logits)

    def discriminator_loss(self, game: Game) -> Tensor:
        """-V(D, G, E), or its relativistic form."""
        loss, _ = losses.ADVERSARIAL_LOSSES[self.settings.recipe.adversarial_loss]
        return loss(game.real_verdict, game.fake_verdict)

    def players_terms(self, game: Game, x: Tensor) -> dict[str, Tensor]:
        """G and E's weighted terms: adversarial, -lambda L_I, cycle, consistency."""
        recipe, spec = self.settings.recipe, self.settings.spec
        _, adversarial = losses.ADVERSARIAL_LOSSES[recipe.adversarial_loss]
        n_continuous = spec.n_continuous
        information = losses.categorical_nll(
            spec, game.fake_logits, game.codes[:, : spec.n_categorical]
        ) + losses.continuous_nll(game.fake_style[:, :n_continuous], game.codes[:, spec.continuous])
        terms = {
            "adversarial_loss": recipe.adversarial_weight
            * adversarial(game.real_verdict, game.fake_verdict),
            "mutual_information_loss": recipe.mi_weight * information,
        }
        if recipe.cycle_weight > 0:
            noise = losses.squared_error(
                game.fake_style[:, n_continuous:], game.codes[:, spec.noise]
            )
            rows = losses.squared_error(game.reconstruction, x)
            terms["cycle_loss"] = recipe.cycle_weight * (rows + 0.5 * noise)
        real = game.real_style[:, :n_continuous]
        if game.change.numel():
            change = losses.relative_change(game.change, real[:, spec.steady_codes])
            terms["steadiness_loss"] = recipe.steadiness_weight * change
        if recipe.marginal_weight > 0:
            mismatch = losses.marginal_mismatch(game.real_style, game.real_categories)
            terms["marginal_loss"] = recipe.marginal_weight * mismatch
        if recipe.consistency_weight > 0 and not self.protected_:
            terms["consistency_loss"] = recipe.consistency_weight * self.consistency_loss(x)
        labelled = None if self.protected_ else self._labelled_batch()
        if labelled is not None:
            terms["label_loss"] = recipe.label_weight * self._label_loss(labelled, x)
        return terms

    def _label_loss(self, labelled: LabelledBatch, x: Tensor) -> Tensor:
        """-E[log q(c | x)] of labelled rows, in the batch norm of a batch of any rows."""
        encoder = self.module_.encoder
        features = encoder.category_trunk(torch.cat([x, labelled.x]))[len(x) :]
        return label_nll(self.settings.spec, encoder.candidates(features), labelled)

    def _forward(self, losses_of: Callable[[Tensor], Any], x: Tensor) -> Any:
        """Run the networks on a batch: everything of a step that builds the graph."""
        if self.settings.recipe.compile == CUDA_GRAPHS and x.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # the last step's tensors may go
        bf16 = self.settings.recipe.precision == "bf16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            return losses_of(x)

    def _backward(
        self, loss: Tensor, *optimizers: torch.optim.Adam, retain_graph: bool = False
    ) -> None:
        """Set the gradient of all weights of some optimizers; None where the loss has no part.

        On its way into `grad` a gradient takes over the strides of its weight, which
        `torch.autograd.grad` would not see to and torch's fused Adam relies on.
        """
        weights = [weight for optimizer in optimizers for weight in self._weights(optimizer)]
        for weight in weights:
            weight.grad = None
        torch.autograd.backward(loss, inputs=weights, retain_graph=retain_graph)

    def _step(self, optimizer: torch.optim.Adam) -> None:
        self.notify(
            "on_grad_computed", named_parameters=self.get_all_learnable_params(), training=True
        )
        optimizer.step()

    @staticmethod
    def _weights(optimizer: torch.optim.Adam) -> list[Tensor]:
        return [w for w in optimizer.param_groups[0]["params"] if w.requires_grad]

    # -- judging and storing -------------------------------------------------------------------

    def evaluate(self, x: Tensor, n_draws: int = N_DRAWS) -> dict[str, float]:
        """Label-free measures of the averaged networks; the same draws at every call."""
        rng = torch.Generator(self.device).manual_seed(0)
        return evaluate(
            self.module_.averaged_encoder,
            self.module_.averaged_generator if self.steps_[GAME] else None,
            x,
            self.settings.augment,
            rng,
            self.prior_,
            n_draws,
        )

    def relative_discriminator_loss(self) -> float:
        """D's loss over the last epoch of the game, relative to guessing; NaN without a game."""
        losses_of_game = [e["discriminator_loss"] for e in self.history if e["phase"] == GAME]
        if not losses_of_game:
            return math.nan
        guess = self.discriminator_loss(Game(*[torch.zeros(1)] * len(Game._fields)))
        return float(losses_of_game[-1] / guess)

    def export(self) -> dict[str, Any]:
        """Everything that training has changed, as CPU numpy arrays and plain values."""
        return as_arrays(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "module": self.module_.state_dict(),
            # Rates and betas follow from the settings.
            "optimizers": [o.state_dict()["state"] for o in self._all_optimizers()],
            "rng": self.rng_.get_state(),
            "balance": self.consistency_.balance,
            "steps": dict(self.steps_),
            "prior": self.prior_,
            "history": list(self.history),
        }

    def export_interim(self) -> dict[str, Any]:
        """State between two epochs, with where the running phase stands.

        Tensors are copies that stay on the device; `as_arrays` turns them into what `export` gives.

        Raises
        ------
        FloatingPointError
            If a weight or a moment of Adam's is NaN or infinite.
        """
        state = self._state()
        _require_finite(state)
        state = _with_tensors(state, lambda tensor: tensor.detach().clone())
        batches = self.batches_
        order = _to_numpy(batches.index)
        bound = self.supervision_.binding if self.supervision_ is not None else None
        binding = None if bound is None else _to_numpy(bound)
        progress = Progress(self.phase_, order, batches.position, binding)
        return {**state, "progress": progress}

    def restore(self, state: dict[str, Any]) -> AdversarialNet:
        """Initialise, then take over an exported state."""
        self.initialize()
        # Copies: Adam goes on with the very tensors that it is given.
        tensors = {k: _mapped(state[k], np.ndarray | Tensor, _to_tensor) for k in TENSORS}
        self.module_.load_state_dict(tensors["module"])
        for optimizer, saved in zip(self._all_optimizers(), tensors["optimizers"], strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": saved})
        # The state of another kind of device is of another length.
        if len(tensors["rng"]) == len(self.rng_.get_state()):
            self.rng_.set_state(tensors["rng"])
        balance = tensors["balance"]
        self.consistency_.balance = None if balance is None else balance.to(self.device)
        self.steps_ = dict(state["steps"])
        self.prior_ = state["prior"]
        self.history_ = History(state["history"])
        self._remember_best()
        return self

    def _remember_best(self) -> None:
        """Go on comparing losses with the best of the restored history."""
        ours = {name for name, _ in self._default_callbacks}
        for name, callback in self.callbacks_:
            if name in ours and callback.lower_is_better:
                seen = [epoch[name] for epoch in self.history if name in epoch]
                callback.best_score_ = min(seen, default=math.inf)

    def _all_optimizers(self) -> list[torch.optim.Adam]:
        return [self.warmup_optimizer_, self.optimizer_, self.discriminator_optimizer_]


def _scaled_backward(tensor: Tensor, factors: Callable[[], Tensor]) -> Tensor:
    """Give the same tensor, of which each row's gradient is multiplied by a factor."""
    tensor = tensor.view_as(tensor)
    if tensor.requires_grad:
        ones = [1] * (tensor.dim() - 1)
        tensor.register_hook(lambda g: g * factors().reshape(-1, *ones).to(g.dtype))
    return tensor


def _require_finite(state: dict[Any, Any] | list[Any], where: str = "") -> None:
    """Raise FloatingPointError if a tensor in nested dicts and lists has a NaN or infinity."""
    items: Iterable[Any] = state.items() if isinstance(state, dict) else enumerate(state)
    for key, value in items:
        if isinstance(value, dict | list) and key != "history":
            _require_finite(value, f"{where}{key}.")
        elif isinstance(value, Tensor) and not value.isfinite().all():
            raise FloatingPointError(
                _fault(f"{where}{key}", "NaN or infinite", "the end of an epoch")
            )


def _fault(what: str, became: Any, when: str) -> str:
    return (
        f"{what} became {became} at {when}: training stopped. Try a smaller learning_rate, or look "
        "for extreme values in X."
    )


def as_arrays(state: dict[str, Any]) -> dict[str, Any]:
    """Turn all tensors of a state into CPU numpy arrays."""
    return _with_tensors(state, _to_numpy)


def _with_tensors(state: dict[str, Any], convert: Callable[[Tensor], Any]) -> dict[str, Any]:
    return {**state, **{key: _mapped(state[key], Tensor, convert) for key in TENSORS}}


def _to_numpy(tensor: Tensor) -> np.ndarray:
    copied = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    return copied.numpy()


def _to_tensor(array: np.ndarray | Tensor) -> Tensor:
    return as_tensor(array)


def _mapped(tree: Any, kind: Any, convert: Callable[[Any], Any]) -> Any:
    """Convert every leaf of one kind in nested dicts, lists and tuples."""
    if isinstance(tree, kind):
        return convert(tree)
    if isinstance(tree, dict):
        return {key: _mapped(value, kind, convert) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(value, kind, convert) for value in tree)
    return tree
