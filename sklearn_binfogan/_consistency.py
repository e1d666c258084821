"""The consistency phase: E's categories on real rows, and what is decided at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import _losses as losses
from ._codes import Prior, on_device
from ._networks import Encoder
from ._settings import Settings
from ._supervision import LabelledBatch, label_nll

TINY = 1e-6
# Heads can be equally consistent and still cluster differently. Rows that are close in X say more:
# no head was trained on that.
N_NEAREST, MAX_COMPARED = 16, 4_000
WEIGHT_DECAY = 1e-4  # of the head that learns merged cells


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
        self.settings, self.spec, self.recipe = settings, settings.spec, settings.recipe
        self.rng = rng
        recipe = self.recipe
        learned = recipe.cluster_prior == "learned"
        # Both terms are I(c; x) = H(mean q) - H(q) of real rows, which lambda weighs.
        self.confidence_weight = recipe.mi_weight * recipe.confidence_weight
        self.balance_weight = recipe.mi_weight * (
            recipe.learned_balance_weight if learned else recipe.balance_weight
        )
        self.merged_balance_weight = recipe.mi_weight * recipe.merged_balance_weight
        self.balance: Tensor | None = None

    def loss(
        self, encoder: Encoder, x: Tensor, step: int, labelled: LabelledBatch | None = None
    ) -> Tensor:
        """Sum over sub-heads: balanced, confident, and the same for x and T(x).

        With labels also right on a labelled batch and T of it. It goes through the trunk together
        with x: batch norm by a few rows alone would be another network.
        """
        n = len(x)
        if labelled is not None:
            x = torch.cat([x, labelled.x])
        features = encoder.category_trunk(x)
        augmented = encoder.category_trunk(self.settings.augment(x, self.rng))
        slack = 0.0 if labelled is None else labelled.slack
        loss = self._unlabelled_loss(encoder, features[:n], augmented[:n], step, slack)
        if labelled is None:
            return loss
        logits = [encoder.sub_head_logits(part[n:]) for part in (features, augmented)]
        terms = [label_nll(self.spec, part, labelled) for part in logits]
        return loss + self.recipe.label_weight * torch.stack(terms).mean()

    def _unlabelled_loss(
        self, encoder: Encoder, features: Tensor, augmented: Tensor, step: int, slack: float
    ) -> Tensor:
        both = torch.cat([features, augmented])
        logits, augmented_logits = encoder.sub_head_logits(both).chunk(2, dim=1)
        terms = self._terms(logits, augmented_logits)
        loss = sum((t.agreement + self.confidence_weight * t.uncertainty).sum() for t in terms)
        loss = loss + self._imbalance(torch.cat([t.mean for t in terms], dim=1), step, slack)
        loss = loss + losses.code_overlap(self.spec, logits).sum()
        return loss + self._overclustering_loss(encoder, both)

    def _terms(self, logits: Tensor, augmented_logits: Tensor) -> list[losses.Consistency]:
        """Terms of each categorical code."""
        pairs = zip(self.spec.split(logits), self.spec.split(augmented_logits), strict=True)
        return [losses.consistency_terms(*pair) for pair in pairs]

    def _overclustering_loss(self, encoder: Encoder, both: Tensor) -> Tensor:
        """Sum the same terms over the over-clustering heads, which shape the trunk alone."""
        if not encoder.n_overclustering_heads:
            return both.new_zeros(())
        fine = losses.consistency_terms(*encoder.overclustering_logits(both).chunk(2, dim=1))
        loss = (fine.agreement + self.confidence_weight * fine.uncertainty).sum()
        return loss + self.recipe.mi_weight * losses.imbalance(fine.mean, 0.0).sum()

    def _imbalance(self, mean: Tensor, step: int, first_slack: float) -> Tensor:
        """Balance of each code's categories: of the batch at first, of a running mean later.

        The first code's may be off by `first_slack` more.
        """
        before = mean.detach() if self.balance is None else self.balance
        self.balance = before.lerp(mean.detach(), self.recipe.balance_momentum)
        slack = 0.0
        if step >= self.recipe.batch_balance_share * self.recipe.warmup_iter:
            slack = self.recipe.balance_slack
            # The running mean's value with the batch mean's whole gradient.
            mean = self.balance + mean - mean.detach()
        slacks = [slack + first_slack, *[slack] * (len(self.spec.categories) - 1)]
        parts = zip(self.spec.split(mean), slacks, self._given_prior(mean), strict=True)
        imbalance = torch.stack([losses.imbalance(*part).sum() for part in parts])
        return self.balance_weight * imbalance.sum()

    def _given_prior(self, like: Tensor) -> list[Tensor | None]:
        """Per categorical code the user's prior, or None for a uniform one."""
        given = self.recipe.cluster_prior
        if isinstance(given, str):
            return [None] * len(self.spec.categories)
        # Those of classes come in the order of the classes.
        return [on_device(tuple(sorted(p, reverse=True)), like.device) for p in given]

    @torch.no_grad()
    def settle(
        self, encoder: Encoder, blocks: Sequence[Tensor], penalty: Tensor | float = 0.0
    ) -> None:
        """Fix the head that gives the categories from now on, judged on blocks of real rows.

        It is the best of the sub-heads, whose losses get a penalty of shape (n_heads,) first.
        Where sizes are to be learned it is a new one that names groups of the cells of the
        over-clustering heads: the balance that keeps sub-heads from collapse also draws their sizes
        together, while a large cluster just fills more cells.
        """
        learned = self.recipe.cluster_prior == "learned"
        if learned and encoder.n_overclustering_heads and len(self.spec.categories) == 1:
            features = torch.cat([encoder.category_trunk(x) for x in blocks])
            weight, bias = linear_head(features, self._merged_cells(encoder, features, blocks))
            encoder.category_head.weight[: len(weight)] = weight
            encoder.category_head.bias[: len(weight)] = bias
            encoder.head.zero_()
        else:
            encoder.head.copy_((self._head_losses(encoder, blocks) + penalty).argmin())

    def _head_losses(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Tensor:
        """Loss of each sub-head on T(x) and on the rows nearest to x, (n_heads,)."""
        logits = _sub_head_logits(encoder, blocks)
        loss = self.recipe.head_draws * losses.code_overlap(self.spec, logits)
        for _ in range(self.recipe.head_draws):
            augmented = _sub_head_logits(encoder, self._augmented(blocks))
            for terms in self._terms(logits, augmented):
                loss = loss + terms.agreement + self.confidence_weight * terms.uncertainty
                loss = loss - self.balance_weight * losses.entropy(terms.mean)
        return loss / self.recipe.head_draws + self._disagreement_of_neighbours(blocks, logits)

    def _disagreement_of_neighbours(self, blocks: Sequence[Tensor], logits: Tensor) -> Tensor:
        """Cross-entropy of a row's posterior and the mean around it, over rows, (n_heads,)."""
        rows = torch.cat([x.flatten(1) for x in blocks])[:MAX_COMPARED]
        logits = logits[:, : len(rows)]
        around = self.spec.posterior(logits)[:, nearest(rows, N_NEAREST)].mean(dim=2)
        terms = self._terms(logits, around.clamp_min(TINY).log())
        return torch.stack([t.agreement for t in terms]).sum(dim=0)

    def _merged_cells(self, encoder: Encoder, features: Tensor, blocks: Sequence[Tensor]) -> Tensor:
        """q(c | x), (n, K), by the over-clustering head whose grouped cells are best."""
        cells = encoder.overclustering_logits(features).softmax(dim=-1)
        augmented = torch.zeros_like(cells)
        for _ in range(self.recipe.head_draws):
            features_augmented = [encoder.category_trunk(x) for x in self._augmented(blocks)]
            augmented += (
                encoder.overclustering_logits(torch.cat(features_augmented)).softmax(dim=-1)
                / self.recipe.head_draws
            )
        pairs = zip(cells, augmented, strict=True)
        groups = torch.stack([group_cells(*pair, self.spec.n_categorical) for pair in pairs])
        q, q_augmented = cells @ groups, augmented @ groups
        terms = losses.consistency_terms(q.clamp_min(TINY).log(), q_augmented.clamp_min(TINY).log())
        loss = terms.agreement + self.confidence_weight * terms.uncertainty
        return q[
            (
                loss
                - self.recipe.mi_weight
                * self.recipe.merged_balance_weight
                * losses.entropy(terms.mean)
            ).argmin()
        ]

    def _augmented(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        return (self.settings.augment(x, self.rng) for x in blocks)

    @torch.no_grad()
    def prior(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Prior | None:
        """Probability of each category in the game; None: uniform.

        Learned, it is the sizes on blocks of real rows; one given by the user is matched with
        them by size.
        """
        given = self.recipe.cluster_prior
        if given == "uniform":
            return None
        sizes = self.sizes(encoder, blocks)
        if isinstance(given, str):
            return sizes
        ranks = [np.argsort(np.argsort(-np.array(size), kind="stable")) for size in sizes]
        return tuple(tuple(p[r] for r in rank) for p, rank in zip(given, ranks, strict=True))

    @torch.no_grad()
    def sizes(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Prior:
        """Share of real rows that each category holds."""
        posterior = torch.cat([encoder.posterior(x) for x in blocks])
        return tuple(tuple(part.mean(dim=0).tolist()) for part in self.spec.split(posterior))


def _sub_head_logits(encoder: Encoder, blocks: Iterable[Tensor]) -> Tensor:
    """Logits of all sub-heads, (n_heads, n, n_categorical)."""
    return torch.cat([encoder.sub_head_logits(encoder.category_trunk(x)) for x in blocks], dim=1)


def nearest(rows: Tensor, n: int) -> Tensor:
    """Numbers of the n rows nearest to each row, itself included; of all where there are fewer."""
    n = min(n, len(rows))
    # By torch: scikit-learn's search would take rows off the device, and threads of its own.
    near = [torch.cdist(some, rows).topk(n, largest=False).indices for some in rows.split(1000)]
    return torch.cat(near)


def group_cells(cells: Tensor, augmented: Tensor, n_groups: int) -> Tensor:
    """Group cells that T moves rows between, by average linkage.

    Parameters
    ----------
    cells, augmented : Tensor of shape (n, n_cells)
        Posteriors of the rows and of T of the rows.
    n_groups : int
        From 1 to n_cells.

    Returns
    -------
    groups : Tensor of shape (n_cells, n_groups)
        1 where a cell belongs to a group, else 0.
    """
    from sklearn.cluster import AgglomerativeClustering  # here: it is slow to import

    flow = cells.T @ augmented
    flow = flow + flow.T
    stays = flow.diagonal().clamp_min(TINY).sqrt()
    distance = 1 - (flow / stays[:, None] / stays).clamp(0, 1)
    linkage = AgglomerativeClustering(n_groups, metric="precomputed", linkage="average")
    labels = torch.from_numpy(linkage.fit_predict(distance.cpu().double().numpy()))
    return F.one_hot(labels, n_groups).to(cells)


def linear_head(features: Tensor, posterior: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (K, width) and bias (K,) of the linear layer whose softmax is closest to (n, K)."""
    weight = features.new_zeros((posterior.shape[1], features.shape[1]), requires_grad=True)
    bias = features.new_zeros(len(weight), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            error = F.cross_entropy(F.linear(features, weight, bias), posterior)
            loss = error + WEIGHT_DECAY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(loss)
    return weight.detach(), bias.detach()
