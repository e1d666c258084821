"""The consistency phase: E's categories on real rows, and what is decided at its end."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from . import _losses as losses
from ._augmentation import rows_for_graph
from ._cells import MAX_REGROUPED, group_cells, linear_heads, regrouped_heads
from ._codes import Prior, on_device
from ._networks import Encoder
from ._settings import Settings
from ._supervision import LabelledBatch, label_nll

TINY = 1e-6
# Heads can be equally consistent and still cluster differently. Rows that are close in X tell more:
# no head was trained on them.
N_NEAREST, MAX_COMPARED = 16, 4_000
TOLERATED = 0.1  # part of the smaller entropy that the first code may share with a later one


class Consistency:
    """Losses and decisions of the phase. Its only state is the running balance.

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
        """Loss of all sub-heads: categories should be balanced, confident and equal for x and T(x).

        The categories of a labelled batch, and of its augmentation, should also match the labels.
        This batch goes through the trunk together with x, because it is too small for batch norm.
        """
        unlabelled_weight = self.recipe.unlabelled_weight
        if labelled is not None and unlabelled_weight == 0:
            x = x[:0]
        n = len(x)
        if labelled is not None:
            x = torch.cat([x, labelled.x])
        features = encoder.category_trunk(x)
        augmented = encoder.category_trunk(self.settings.augment(x, self.rng))
        slack = 0.0 if labelled is None else labelled.slack
        loss = x.new_zeros(())
        if n:
            loss = self._unlabelled_loss(encoder, features[:n], augmented[:n], step, slack)
        if labelled is None:
            return loss
        loss = unlabelled_weight * loss
        logits = [encoder.sub_head_logits(part[n:]) for part in (features, augmented)]
        terms = [label_nll(self.spec, part, labelled) for part in logits]
        weight = self.recipe.label_weight * self.recipe.label_gain
        return loss + weight * torch.stack(terms).mean()

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

    def _terms(self, logits: Tensor, augmented_logits: Tensor) -> list[losses.ConsistencyTerms]:
        """Terms of each categorical code."""
        pairs = zip(self.spec.split(logits), self.spec.split(augmented_logits), strict=True)
        return [losses.consistency_terms(*pair) for pair in pairs]

    def _overclustering_loss(self, encoder: Encoder, both: Tensor) -> Tensor:
        """Sum the same terms over the over-clustering heads, which only train the trunk."""
        if not encoder.n_overclustering_heads:
            return both.new_zeros(())
        terms = losses.consistency_terms(*encoder.overclustering_logits(both).chunk(2, dim=1))
        loss = (terms.agreement + self.confidence_weight * terms.uncertainty).sum()
        return loss + self.recipe.mi_weight * losses.imbalance(terms.mean, 0.0).sum()

    def _imbalance(self, mean: Tensor, step: int, first_slack: float) -> Tensor:
        """Imbalance of each code's categories: first in the batch, later in a running mean.

        `first_slack` is added to the slack of the first code.
        """
        if self.balance is None:
            self.balance = mean.detach().clone()
        self.balance.lerp_(mean.detach(), self.recipe.balance_momentum)
        slack = 0.0
        if not self.balances_batches(step):
            slack = self.recipe.balance_slack
            # The value of the running mean, with the gradient of the batch mean.
            mean = self.balance + mean - mean.detach()
        slacks = [slack + first_slack, *[slack] * (len(self.spec.categories) - 1)]
        parts = zip(self.spec.split(mean), slacks, self._given_prior(mean), strict=True)
        imbalance = torch.stack([losses.imbalance(*part).sum() for part in parts])
        return self.balance_weight * imbalance.sum()

    def balances_batches(self, step: int) -> bool:
        """Whether every batch is to be balanced at a step, not only their running mean."""
        return step < self.recipe.batch_balance_share * self.recipe.warmup_iter

    def _given_prior(self, like: Tensor) -> list[Tensor | None]:
        """Prior of each categorical code from the user; None: uniform."""
        given = self.recipe.given_prior
        if given is None:
            return [None] * len(self.spec.categories)
        # A prior of classes is in the order of the classes, not sorted.
        return [on_device(tuple(sorted(p, reverse=True)), like.device) for p in given]

    @torch.no_grad()
    def settle(
        self, encoder: Encoder, blocks: Sequence[Tensor], penalty: Tensor | float = 0.0
    ) -> None:
        """Choose the head that gives the categories from now on, by blocks of real rows.

        It is the sub-head with the smallest sum of loss and penalty, of shape (n_heads,). If sizes
        are to be learned, it is a new head, whose categories are groups of cells; cells are the
        categories of the over-clustering heads. The balance term, which keeps sub-heads from
        collapsing, makes their categories more equal in size, but a large cluster just fills more
        cells.
        """
        learned = self.recipe.cluster_prior == "learned"
        if learned and encoder.n_overclustering_heads and len(self.spec.categories) == 1:
            features = torch.cat([encoder.category_trunk(x) for x in blocks])
            heads = linear_heads(features, self._merged_cells(encoder, features, blocks)[None])
            encoder.head.zero_()
            encoder.set_kept_head(heads.weights[0], heads.biases[0])
        else:
            by_head = self._head_losses(encoder, blocks, self.rng) + penalty
            encoder.head.copy_(by_head.argmin())

    @torch.no_grad()
    def regroup(self, encoder: Encoder, blocks: Sequence[Tensor]) -> bool:
        """Keep a head whose cells have been regrouped by neighbours; False if rows are too few.

        Of several codes, those after the first stay as the best sub-head has them.
        """
        n_categories = self.spec.categories[0]
        some = blocks[: MAX_REGROUPED // len(blocks[0])]
        heads = regrouped_heads(encoder, some, self.settings)
        if heads is None:
            return False
        if len(self.spec.categories) > 1:
            self.settle(encoder, blocks)
            weight, bias = encoder.kept_head()
            heads = heads.followed_by(weight[n_categories:], bias[n_categories:])

        def logits_of(blocks: Iterable[Tensor]) -> Tensor:
            return heads.logits(torch.cat([encoder.category_trunk(x) for x in blocks]))

        logits = logits_of(some)
        loss = self._inconsistency(logits, logits_of, some, self.rng) + self._copying(logits)
        best = int(loss.argmin())
        encoder.set_kept_head(heads.weights[best], heads.biases[best])
        return True

    def _copying(self, logits: Tensor) -> Tensor:
        """Information in nats that the first code shares with later ones, (n_heads,).

        A small share of the smaller entropy is left out: true factors are rarely independent.
        """
        first, *later = self.spec.split(self.spec.posterior(logits))
        copied = logits.new_zeros(len(logits))
        for q in later:
            least = torch.minimum(*(losses.entropy(each.mean(dim=1)) for each in (first, q)))
            copied += (losses.mutual_information(first, q) - TOLERATED * least).clamp_min(0)
        return copied

    @torch.no_grad()
    def quality(
        self, encoder: Encoder, blocks: Sequence[Tensor], penalty: Tensor | float = 0.0
    ) -> float:
        """How good the kept head is, by the sum of loss and penalty that sub-heads are chosen by.

        Starts are compared by it: the same draws of T for all, and no draw of the training's own.
        """
        rng = torch.Generator(self.rng.device).manual_seed(0)
        by_head = self._head_losses(encoder, blocks, rng) + penalty
        return -float(by_head[encoder.head])

    def _head_losses(
        self, encoder: Encoder, blocks: Sequence[Tensor], rng: torch.Generator
    ) -> Tensor:
        """Loss of each sub-head on T(x) and on the rows nearest to x, (n_heads,)."""
        logits = encoder.sub_head_logits_of(blocks)
        loss = self._inconsistency(logits, encoder.sub_head_logits_of, blocks, rng)
        loss = loss + losses.code_overlap(self.spec, logits)
        loss = loss + self._disagreement_of_neighbours(blocks, logits)
        return self.recipe.unlabelled_weight * loss

    def _inconsistency(
        self,
        logits: Tensor,
        logits_of: Callable[[Iterable[Tensor]], Tensor],
        blocks: Sequence[Tensor],
        rng: torch.Generator,
    ) -> Tensor:
        """Loss of heads on T(x), (n_heads,), from their logits of x, (n_heads, n, K).

        `logits_of` gives their logits of other blocks of rows.
        """
        loss = logits.new_zeros(())
        for _ in range(self.recipe.head_draws):
            augmented = logits_of(self._augmented(blocks, rng))
            for terms in self._terms(logits, augmented):
                loss = loss + terms.agreement + self.confidence_weight * terms.uncertainty
                loss = loss - self.balance_weight * losses.entropy(terms.mean)
        return loss / self.recipe.head_draws

    def _disagreement_of_neighbours(self, blocks: Sequence[Tensor], logits: Tensor) -> Tensor:
        """Cross-entropy of a row's posterior and its neighbours' mean, over rows, (n_heads,)."""
        some = blocks[: -(-MAX_COMPARED // len(blocks[0]))]  # joining all would copy all images
        rows = torch.cat([x.flatten(1) for x in some])[:MAX_COMPARED]
        rows = rows_for_graph(self.settings.augment, rows, self.settings.seed)
        logits = logits[:, : len(rows)]
        mean = self.spec.posterior(logits)[:, nearest(rows, N_NEAREST)].mean(dim=2)
        terms = self._terms(logits, mean.clamp_min(TINY).log())
        return torch.stack([t.agreement for t in terms]).sum(dim=0)

    def _merged_cells(self, encoder: Encoder, features: Tensor, blocks: Sequence[Tensor]) -> Tensor:
        """q(c | x) of the rows, (n, K), by the over-clustering head with the best groups."""
        cells = encoder.overclustering_logits(features).softmax(dim=-1)
        augmented = torch.zeros_like(cells)
        for _ in range(self.recipe.head_draws):
            drawn = [encoder.category_trunk(x) for x in self._augmented(blocks, self.rng)]
            q = encoder.overclustering_logits(torch.cat(drawn)).softmax(dim=-1)
            augmented += q / self.recipe.head_draws
        pairs = zip(cells, augmented, strict=True)
        groups = torch.stack([group_cells(*pair, self.spec.n_categorical) for pair in pairs])
        q, q_augmented = cells @ groups, augmented @ groups
        terms = losses.consistency_terms(q.clamp_min(TINY).log(), q_augmented.clamp_min(TINY).log())
        loss = terms.agreement + self.confidence_weight * terms.uncertainty
        loss = loss - self.merged_balance_weight * losses.entropy(terms.mean)
        return q[loss.argmin()]

    def _augmented(self, blocks: Iterable[Tensor], rng: torch.Generator) -> Iterator[Tensor]:
        return (self.settings.augment(x, rng) for x in blocks)

    @torch.no_grad()
    def prior(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Prior | None:
        """Probability of each category in the game; None: uniform.

        A learned prior is the sizes of the categories on blocks of real rows. A prior from the
        user is matched with these sizes.
        """
        if self.recipe.cluster_prior == "uniform":
            return None
        given, shares = self.recipe.given_prior, self.shares(encoder, blocks)
        if given is None:
            return shares
        ranks = [np.argsort(np.argsort(-np.array(share), kind="stable")) for share in shares]
        return tuple(tuple(p[r] for r in rank) for p, rank in zip(given, ranks, strict=True))

    @torch.no_grad()
    def shares(self, encoder: Encoder, blocks: Sequence[Tensor]) -> Prior:
        """Share of real rows that each category holds."""
        posterior = torch.cat([encoder.posterior(x) for x in blocks])
        return tuple(tuple(part.mean(dim=0).tolist()) for part in self.spec.split(posterior))


def nearest(rows: Tensor, n: int) -> Tensor:
    """Numbers of the n rows nearest to each row, itself included; of all if there are fewer."""
    n = min(n, len(rows))
    # scikit-learn's search would copy rows from the device and start threads.
    near = [torch.cdist(some, rows).topk(n, largest=False).indices for some in rows.split(1000)]
    return torch.cat(near)
