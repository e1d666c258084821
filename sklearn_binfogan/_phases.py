"""The two phases of a training: each owns its step, optimisers, rates and what it freezes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ._codes import Prior
from ._consistency import Consistency
from ._marginals import MOST_COMPARED, MOST_DRAWN, Marginals
from ._partition import better_partition, learn_partition, uses_neighbours
from ._players import Players
from ._rows import Rows
from ._settings import Settings
from ._sharing import OneProcess
from ._state import sum_of_norms
from ._supervision import LabelledBatch, Supervision, label_nll
from ._terms import GamePass, discriminator_loss, players_terms, total

PHASES = CONSISTENCY, GAME = "consistency", "game"


@dataclass(eq=False)
class Common:
    """What both phases share.

    Parameters
    ----------
    settings : Settings
    players : Players
    rng : torch.Generator
        Draws codes and labelled rows, the same in all processes that share a fit.
    row_rng : torch.Generator
        Draws T and D's noise for the rows of this process.
    sharing : OneProcess
    prior : tuple of tuple of float, or None
        Probability of each category in the game; None: uniform.
    supervision : Supervision or None
        Labelled rows, if there are any.
    can_be_captured : bool
        False after a GPU has failed to capture a step.
    """

    settings: Settings
    players: Players
    rng: torch.Generator
    row_rng: torch.Generator
    sharing: OneProcess
    prior: Prior | None = None
    supervision: Supervision | None = None
    can_be_captured: bool = True

    def labelled_batch(self, categories_are_learned: bool) -> LabelledBatch | None:
        """Draw labelled rows; the first time, settle which categories stand for the classes."""
        if self.supervision is None:
            return None
        if self.supervision.assignment is None:
            self.supervision.assign(self.players.averaged_encoder, categories_are_learned)
        return self.supervision.draw()


class Phase(ABC):
    """A phase of the training: `begin`, then `step` for every batch.

    Parameters
    ----------
    common : Common
    budget : int
        Steps that the recipe gives the phase.
    average_decay : float
        Of the running averages of the weights.

    Attributes
    ----------
    n_steps : int
        Steps taken so far.
    optimizers : list of pairs
        Each optimiser and its initial learning rate.
    """

    name: ClassVar[str]
    optimizers: list[tuple[torch.optim.Adam, float]]
    rates: list[float | Tensor]  # of the next step; on a GPU tensors, which captured steps read

    def __init__(self, common: Common, budget: int, average_decay: float) -> None:
        self.common, self.budget, self.average_decay = common, budget, average_decay
        self.settings, self.players = common.settings, common.players
        self.recipe, self.spec = common.settings.recipe, common.settings.spec
        self.n_steps = 0
        self.decay = number_on(common.rng.device, average_decay)
        self.forward: nn.Module = self.players
        self.category_branch_is_frozen = False

    @abstractmethod
    def rate_factor(self, share: float) -> float:
        """Learning rates relative to their initial values, after a share of the steps."""

    @abstractmethod
    def update(self, x: Tensor, on_gradients: Callable[[], None]) -> dict[str, Tensor]:
        """Take one step of all optimisers on network input x; return losses, the main one first.

        `on_gradients` is called before each optimiser's step.
        """

    def begin(self) -> None:
        """Set the networks up for this phase."""
        self.players.train_categories(not self.category_branch_is_frozen)
        self.forward = self.common.sharing.forward_of(self.players)

    def end(self) -> None:
        """Release what only a running phase needs."""
        self.forward = self.players
        for optimizer, _ in self.optimizers:
            optimizer.zero_grad()

    def train_mode(self) -> None:
        """Put the networks that this phase trains into training mode."""
        self.players.train()
        if self.category_branch_is_frozen:
            self.players.encoder.category_trunk.eval()

    @property
    def stage(self) -> tuple[bool, ...]:
        """Which parts of the losses count at the next step; a captured step has one stage."""
        return ()

    def step(self, x: Tensor, on_gradients: Callable[[], None] = lambda: None) -> dict[str, Tensor]:
        """Set the rates, update the players and their averages; return the losses."""
        self.set_rates()
        recorded = self.move(x, on_gradients)
        self.n_steps += 1
        return recorded

    def set_rates(self) -> None:
        """Set the learning rates and the decay of the averages for the next step."""
        factor = self.rate_factor(min(self.n_steps / max(self.budget, 1), 1.0))
        for i, (optimizer, rate) in enumerate(self.optimizers):
            self.rates[i] = replaced(self.rates[i], rate * factor)
            optimizer.param_groups[0]["lr"] = self.rates[i]  # a callback may have set another
        n_steps = self.n_steps + 1
        self.decay = replaced(self.decay, min(self.average_decay, n_steps / (n_steps + 9)))

    def move(self, x: Tensor, on_gradients: Callable[[], None] = lambda: None) -> dict[str, Tensor]:
        """Update the players and their averages with the current rates; return the losses."""
        recorded = self.update(x, on_gradients)
        self.players.update_ema(self.decay)
        return recorded

    def norm_of_weights(self) -> Tensor:
        """Sum of the norms of the weights that the phase trains; see `sum_of_norms`."""
        weights = [w for optimizer, _ in self.optimizers for w in trained_weights(optimizer)]
        if not weights:
            return torch.zeros((), device=self.common.rng.device)
        return sum_of_norms(weights)

    def _losses(self, losses_of: Callable[[Tensor], Any], x: Tensor) -> Any:
        """Run the networks on a batch: the part of a step that builds the autograd graph."""
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            losses = self.forward(losses_of, x)
        if bf16:  # within the caller's autocast, the next step would use this step's cached weights
            torch.clear_autocast_cache()
        return losses


class ConsistencyPhase(Phase):
    """E's categories on real rows: confident, balanced, and the same for x and T(x)."""

    name = CONSISTENCY

    def __init__(self, common: Common) -> None:
        recipe = common.settings.recipe
        super().__init__(common, recipe.warmup_iter, recipe.warmup_average_decay)
        self.consistency = Consistency(self.settings, common.row_rng)
        rate = recipe.warmup_rate * recipe.learning_rate
        weights, _, _ = self.players.by_optimizer()
        self.optimizer = adam(weights, rate, recipe.warmup_betas)
        self.optimizers = [(self.optimizer, rate)]
        self.rates = [number_on(common.rng.device, rate) for _, rate in self.optimizers]

    def rate_factor(self, share: float) -> float:
        """Cosine decay."""
        floor = self.recipe.warmup_rate_floor
        return floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * share))

    @property
    def stage(self) -> tuple[bool, ...]:
        """Whether labels count, and whether every batch is to be balanced."""
        return self._labels_count, self.consistency.balances_batches(self.n_steps)

    @property
    def _labels_count(self) -> bool:
        return self.n_steps >= self.recipe.unlabelled_share * self.recipe.warmup_iter

    def update(self, x: Tensor, on_gradients: Callable[[], None]) -> dict[str, Tensor]:
        """Train the category branch alone."""
        labelled = None
        if self._labels_count:
            labelled = self.common.labelled_batch(self.n_steps > 0)
        loss = self._losses(partial(self.loss, labelled=labelled), x)
        backward(loss, self.optimizer)
        on_gradients()
        self.optimizer.step()
        return {"consistency_loss": loss}

    def loss(self, x: Tensor, labelled: LabelledBatch | None = None) -> Tensor:
        """Loss of the category branch on real rows, some of which may have labels."""
        return self.consistency.loss(self.players.encoder, x, self.n_steps, labelled)

    def settle_categories(self, rows: Rows, is_over: bool = True) -> None:
        """Fix the head to use from now on, and each category's probability in the game.

        If the phase is over, a graph of neighbours may find a better partition: the head of images
        is then one of regrouped cells, and that of tables learns the partition.
        """
        encoder, blocks = self.players.averaged_encoder, rows.deciding_blocks()
        supervision, is_image = self.common.supervision, self.settings.layout.is_image
        has_graph = uses_neighbours(self.settings) and supervision is None and is_over
        if not (has_graph and is_image and self.consistency.regroup(encoder, blocks)):
            self.consistency.settle(encoder, blocks, self._penalty())
        own = self.players.encoder
        own.head.copy_(encoder.head)
        own.category_head.load_state_dict(encoder.category_head.state_dict())
        if has_graph and not is_image:
            self._learn_better_partition(torch.cat(blocks))
        if supervision is None:
            self.common.prior = self.consistency.prior(encoder, blocks)
        elif self.spec.categories[0] > supervision.labels.n_classes:
            self.common.prior = self.consistency.shares(encoder, blocks)
        else:
            self.common.prior = supervision.prior(encoder)

    def quality(self, rows: Rows) -> float:
        """How good the categories are, without labels but for those that training knows."""
        blocks = rows.deciding_blocks()
        return self.consistency.quality(self.players.averaged_encoder, blocks, self._penalty())

    def _penalty(self) -> Tensor | float:
        """Loss of each sub-head on labelled rows, (n_heads,); 0 without any."""
        supervision = self.common.supervision
        if supervision is None:
            return 0.0
        return self.recipe.label_weight * supervision.head_nll(self.players.averaged_encoder)

    def _learn_better_partition(self, x: Tensor) -> None:
        """Train the category branch on a better partition of the rows, if there is one."""
        own, averaged = self.players.encoder, self.players.averaged_encoder
        learnt = (*own.category_trunk.parameters(), *own.category_head.parameters())
        if not any(weight.requires_grad for weight in learnt):  # a callback has frozen them
            return
        labels = better_partition(averaged, x, self.settings)
        if labels is None:
            return
        own.category_trunk.load_state_dict(averaged.category_trunk.state_dict())
        own.category_trunk.train()
        learn_partition(own, x, labels, self.settings)
        averaged.category_trunk.load_state_dict(own.category_trunk.state_dict())
        averaged.category_head.load_state_dict(own.category_head.state_dict())


class GamePhase(Phase):
    """E, G and D against each other (paper, section 2), with this library's further terms."""

    name = GAME

    def __init__(self, common: Common, consistency: ConsistencyPhase) -> None:
        recipe = common.settings.recipe
        super().__init__(common, recipe.max_iter, recipe.average_decay)
        self.consistency = consistency
        _, players, discriminator = self.players.by_optimizer()
        rate, rate_of_d = recipe.learning_rate, recipe.discriminator_learning_rate
        self.optimizer = adam(players, rate, recipe.betas)
        self.discriminator_optimizer = adam(discriminator, rate_of_d, recipe.betas)
        self.optimizers = [(self.optimizer, rate), (self.discriminator_optimizer, rate_of_d)]
        self.rates = [number_on(common.rng.device, rate) for _, rate in self.optimizers]

    def rate_factor(self, share: float) -> float:
        """Polynomial decay."""
        floor = self.recipe.rate_floor
        return floor + (1 - floor) * (1 - share) ** self.recipe.rate_power

    @property
    def stage(self) -> tuple[bool, ...]:
        """Whether details count."""
        return (self._details_count,)

    @property
    def _details_count(self) -> bool:
        starts = self.recipe.detail_start * self.recipe.max_iter
        # Without noise, nothing but the continuous codes could learn them.
        has_details = self.recipe.detail_weight > 0 and self.spec.n_noise > 0
        return has_details and self.n_steps >= starts

    def begin(self) -> None:
        """Freeze what the consistency phase has learned: poor early fakes would undo it."""
        encoder, learned = self.players.encoder, self.players.averaged_encoder
        has_learned = self.consistency.n_steps > 0
        self.category_branch_is_frozen = has_learned and not encoder.has_one_trunk
        if self.category_branch_is_frozen:
            encoder.category_trunk.load_state_dict(learned.category_trunk.state_dict())
            encoder.category_head.load_state_dict(learned.category_head.state_dict())
        super().begin()

    def update(self, x: Tensor, on_gradients: Callable[[], None]) -> dict[str, Tensor]:
        """Update D and (G, E) from the same batch, at the same time, as the paper does."""
        discriminator, terms = self._losses(self.losses, x)
        # Both gradients before either step: the steps change weights that the graph still needs.
        self.backward(discriminator, terms)
        for optimizer in (self.discriminator_optimizer, self.optimizer):
            on_gradients()
            optimizer.step()
        return {"players_loss": total(terms), "discriminator_loss": discriminator, **terms}

    def losses(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """D's loss and the terms of G and E, from one pass through all players."""
        game = self.play(x)
        return discriminator_loss(game), players_terms(game)

    def backward(self, discriminator: Tensor, terms: dict[str, Tensor]) -> None:
        """Set the gradients of D's loss for D, and of the sum of the terms for G and E."""
        backward(discriminator, self.discriminator_optimizer, retain_graph=True)
        backward(total(terms), self.optimizer)

    def play(self, x: Tensor) -> GamePass:
        """Run every player once on real rows and as many fakes."""
        players, spec, rng = self.players, self.spec, self.common.rng
        share = self.common.sharing.share
        n_drawn = len(x) * share.n_processes
        codes = share.of(spec.draw(n_drawn, rng, self.common.prior)).to(x.dtype)
        logits, style = players.encoder.read(x)
        real_codes = torch.cat([self._shown_categories(logits), style], dim=1)
        if self.recipe.cycle_weight > 0:
            mask = share.of(spec.nested_mask(n_drawn, rng))
            kept, whole = self._kept(real_codes, mask)
            fake, reconstruction = players.generator(torch.cat([codes, kept])).chunk(2)
        else:
            fake, reconstruction, whole = players.generator(codes), None, None
        fake_logits, fake_style = players.encoder.read(fake)
        categories = spec.harden(logits)
        return GamePass(
            spec,
            self.recipe,
            x,
            codes,
            fake_logits,
            fake_style,
            categories,
            style,
            # Separate passes: batch norm in D uses the statistics of each side, as in the paper.
            players.discriminator(x, real_codes),
            players.discriminator(fake, codes),
            reconstruction,
            whole,
            self._change_by_augmentation(x, categories, style),
            *self._losses_of_categories(x),
        )

    def _kept(self, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Codes of real rows to reconstruct these from, and which of the rows keep all codes.

        The second is None before details count. Then it is of shape (n,), and the continuous codes
        of such rows get no gradient: they would give up what they mean for a smaller error.
        """
        if not self._details_count:
            return codes * mask, None
        whole = mask.amin(dim=1, keepdim=True)
        held = torch.zeros_like(mask)
        held[:, self.spec.continuous] = whole
        return codes * (mask - held) + codes.detach() * held, whole[:, 0]

    def _change_by_augmentation(
        self, x: Tensor, categories: Tensor, style: Tensor
    ) -> Tensor | None:
        """How T changes the second half of the continuous codes, (n, n_continuous // 2).

        The first half is free to describe what T changes, such as a slant. Without this term the
        second half would usually describe it, too.
        """
        if self.recipe.invariance_weight == 0 or self.spec.n_continuous < 2:
            return None
        augmented = self.settings.augment(x, self.common.row_rng)
        change = self.players.encoder.style(augmented, categories) - style
        return change[:, self.spec.invariant_codes]

    def _losses_of_categories(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Losses of the consistency phase and of labelled rows, if categories learn in the game."""
        if self.category_branch_is_frozen:
            return None, None
        consistency = self.consistency.loss(x) if self.recipe.consistency_weight > 0 else None
        labelled = self.common.labelled_batch(self.consistency.n_steps > 0)
        if labelled is None:
            return consistency, None
        # Together with x: batch norm needs the statistics of typical rows.
        encoder = self.players.encoder
        features = encoder.category_trunk(torch.cat([x, labelled.x]))[len(x) :]
        return consistency, label_nll(self.spec, encoder.sub_head_logits(features), labelled)

    def _shown_categories(self, logits: Tensor) -> Tensor:
        """Categories of real rows as D sees them.

        One-hot if the category branch is frozen: soft ones would reveal which pairs are real. In
        the paper's own game D sees the posterior, and E learns from it.
        """
        if self.category_branch_is_frozen:
            return self.spec.harden(logits)
        return self.spec.posterior(logits)

    @torch.no_grad()
    def fit_aggregate(self, rows: Rows) -> None:
        """Fit the density of real data in the codes that G has learned.

        A row that has a label counts for the category of its class.
        """
        encoder, aggregate = self.players.averaged_encoder, self.players.aggregate
        supervision = self.common.supervision
        known = None if supervision is None else supervision.known_categories(encoder)
        codes, residuals = [], []
        sums = squares = counts = torch.zeros(())
        for numbers in rows.deciding_numbers():
            x = rows.take(numbers)
            labels = self.spec.labels(encoder.logits(x))
            if known is not None:
                labels[:, 0] = torch.where(known[numbers] < 0, labels[:, 0], known[numbers])
            categories = self.spec.one_hot(labels)
            codes.append(torch.cat([categories, encoder.style(x, categories)], dim=1))
            if aggregate.n_residual or aggregate.n_independent:
                residual = x - self.players.averaged_generator(codes[-1])
                if aggregate.n_residual:
                    residuals.append(residual)
                else:  # all of them could fill the memory
                    groups = categories[:, : self.spec.categories[0]]
                    sums, counts = sums + groups.T @ residual, counts + groups.sum(dim=0)
                    squares = squares + groups.T @ residual.square()
        aggregate.fit(torch.cat(codes), torch.cat(residuals) if residuals else None)
        if aggregate.n_independent:
            aggregate.fit_independent(sums, squares, counts)
        if self.players.marginals is not None:
            self._fit_marginals(self.players.marginals, rows, torch.cat(codes))

    def _fit_marginals(self, marginals: Marginals, rows: Rows, codes: Tensor) -> None:
        """Compare real rows with drawn ones of the same categories; with many, if there are few."""
        layout = self.settings.layout
        most = max(MOST_COMPARED // layout.n_features, 100)
        numbers = torch.cat(rows.deciding_numbers())[:most]
        categories = codes[: len(numbers), : self.spec.n_categorical].cpu()
        repeated = categories.repeat(max(min(most, MOST_DRAWN) // len(numbers), 1), 1)
        drawn = self.players.draw(repeated, torch.Generator().manual_seed(0)).numpy()
        real = np.asarray(rows.X[numbers.cpu().numpy()], np.float64)
        marginals.fit(layout.unscaled(drawn), real, layout)


def adam(weights: list[nn.Parameter], rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Create a fused Adam: its state lies on the device, and no step waits for the CPU."""
    can_be_captured = any(weight.device.type == "cuda" for weight in weights)
    return torch.optim.Adam(weights, rate, betas, fused=True, capturable=can_be_captured)


def number_on(device: torch.device, value: float) -> float | Tensor:
    """Return a number that changes from step to step; on a GPU a tensor, for captured steps."""
    return torch.tensor(value, device=device) if device.type == "cuda" else value


def replaced(number: float | Tensor, value: float) -> float | Tensor:
    """Return the new value of such a number; on a GPU it overwrites the old one."""
    return number.fill_(value) if isinstance(number, Tensor) else value


def trained_weights(optimizer: torch.optim.Adam) -> list[Tensor]:
    """Weights of an optimiser that are not frozen."""
    return [w for w in optimizer.param_groups[0]["params"] if w.requires_grad]


def backward(loss: Tensor, optimizer: torch.optim.Adam, retain_graph: bool = False) -> None:
    """Set the gradients of all weights of an optimiser; None if the loss does not depend on one.

    `torch.autograd.backward` gives each gradient the strides of its weight, on which torch's fused
    Adam relies. `torch.autograd.grad` would not.
    """
    optimizer.zero_grad()  # frozen weights, too: Adam would keep applying their last gradient
    weights = trained_weights(optimizer)
    if weights:  # a callback may have frozen all of them
        torch.autograd.backward(loss, inputs=weights, retain_graph=retain_graph)
