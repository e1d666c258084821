"""The consistency phase: E's categories on real rows, and what is decided at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from . import _losses as losses
from ._codes import Prior
from ._networks import Encoder
from ._settings import Settings

HEAD_DRAWS = 4  # draws of T that choose among candidate heads
CONFIDENCE, CONFIDENCE_TABLE = 0.25, 0.5  # weight of H(q)
# Classes are never of exactly one size: after a first part in which every batch is balanced, only
# a running mean of the posterior is, and only up to a slack in nats.
BATCH_BALANCE_PART, BALANCE_MOMENTUM, BALANCE_SLACK = 1 / 3, 0.1, 0.004
BALANCE_SLACK_TABLE = 0.05
LEARNED_BALANCE = 0.5


class Consistency:
    """Losses and decisions of the phase; its only state is the running balance.

    Parameters
    ----------
    settings : Settings
    rng : torch.Generator
        Draws T.

    Attributes
    ----------
    balance : Tensor of shape (n_heads, n_categorical) or None
        Running mean of the posterior; None before the first step.
    """

    def __init__(self, settings: Settings, rng: torch.Generator) -> None:
        self.settings, self.spec, self.rng = settings, settings.spec, rng
        self.confidence = CONFIDENCE if settings.layout.is_image else CONFIDENCE_TABLE
        # Below 1 where sizes are learned: a dense cluster then is not worth cutting in two.
        learned = settings.recipe.cluster_prior == "learned"
        self.balance_weight = LEARNED_BALANCE if learned else 1.0
        self.balance: Tensor | None = None

    def loss(self, encoder: Encoder, x: Tensor, step: int) -> Tensor:
        """Sum over candidate heads: balanced, confident, and the same for x and T(x)."""
        features = encoder.category_trunk(x)
        moved = encoder.category_trunk(self.settings.augment(x, self.rng))
        logits, moved_logits = encoder.candidates(features), encoder.candidates(moved)
        terms = self._terms(logits, moved_logits)
        loss = sum((t.agreement + self.confidence * t.uncertainty).sum() for t in terms)
        loss = loss + self._imbalance(torch.cat([t.mean for t in terms], dim=1), step)
        loss = loss + losses.code_overlap(self.spec, self.spec.posterior(logits)).sum()
        return loss + self._fine_loss(encoder, features, moved)

    def _terms(self, logits: Tensor, moved_logits: Tensor) -> list[losses.Consistency]:
        """Terms of each categorical code."""
        pairs = zip(self.spec.split(logits), self.spec.split(moved_logits), strict=True)
        return [losses.consistency_terms(*pair) for pair in pairs]

    def _fine_loss(self, encoder: Encoder, features: Tensor, moved: Tensor) -> Tensor:
        """Sum the same terms over the auxiliary heads, which shape the trunk alone."""
        if not encoder.n_fine_heads:
            return features.new_zeros(())
        fine = losses.consistency_terms(encoder.fine_logits(features), encoder.fine_logits(moved))
        loss = (fine.agreement + self.confidence * fine.uncertainty).sum()
        return loss + losses.imbalance(fine.mean, 0.0).sum()

    def _imbalance(self, mean: Tensor, step: int) -> Tensor:
        """Balance of each code's categories: of the batch at first, of a running mean later."""
        before = mean.detach() if self.balance is None else self.balance
        self.balance = before.lerp(mean.detach(), BALANCE_MOMENTUM)
        slack = 0.0
        if step >= BATCH_BALANCE_PART * self.settings.recipe.warmup_iter:
            slack = BALANCE_SLACK if self.settings.layout.is_image else BALANCE_SLACK_TABLE
            # The running mean's value with the batch mean's whole gradient.
            mean = self.balance + mean - mean.detach()
        parts = zip(self.spec.split(mean), self._given_prior(mean), strict=True)
        imbalance = torch.stack([losses.imbalance(m, slack, prior).sum() for m, prior in parts])
        return self.balance_weight * imbalance.sum()

    def _given_prior(self, like: Tensor) -> list[Tensor | None]:
        """Per categorical code the user's prior, or None for a uniform one."""
        given = self.settings.recipe.cluster_prior
        if isinstance(given, str):
            return [None] * len(self.spec.categories)
        return [like.new_tensor(probabilities) for probabilities in given]

    @torch.no_grad()
    def best_head(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Tensor:
        """Candidate head of lowest loss on blocks of real rows."""
        logits = _candidates(encoder, blocks)
        loss = HEAD_DRAWS * losses.code_overlap(self.spec, self.spec.posterior(logits))
        for _ in range(HEAD_DRAWS):
            moved = _candidates(encoder, (self.settings.augment(x, self.rng) for x in blocks))
            for terms in self._terms(logits, moved):
                loss = loss + terms.agreement + self.confidence * terms.uncertainty
                loss = loss - self.balance_weight * losses.entropy(terms.mean)
        return loss.argmin()

    @torch.no_grad()
    def prior(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Prior | None:
        """Probability of each category in the game; None: uniform.

        Learned, it is the sizes on blocks of real rows; one given by the user is matched with
        them by size.
        """
        given = self.settings.recipe.cluster_prior
        if given == "uniform":
            return None
        posterior = self.spec.posterior(torch.cat([encoder.logits(x) for x in blocks]))
        sizes = [part.mean(dim=0) for part in self.spec.split(posterior)]
        if isinstance(given, str):
            return tuple(tuple(size.tolist()) for size in sizes)
        ranks = [size.argsort(descending=True).argsort().tolist() for size in sizes]
        return tuple(tuple(p[r] for r in rank) for p, rank in zip(given, ranks, strict=True))


def _candidates(encoder: Encoder, blocks: Iterable[Tensor]) -> Tensor:
    """Logits of all candidate heads, (n_heads, n, n_categorical)."""
    return torch.cat([encoder.candidates(encoder.category_trunk(x)) for x in blocks], dim=1)
