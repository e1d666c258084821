"""The loss terms as short pure functions. Each returns a scalar unless it says otherwise.

V(D, G, E) and L_I(G, E) are the paper's (section 2). The consistency, relativistic and cycle
terms are this library's.
"""

import math
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ._codes import CodeSpec

Adversarial = Callable[[Tensor, Tensor, float], Tensor]


def minus_log_sigmoid(logits: Tensor, epsilon: float = 0.0) -> Tensor:
    """-log(p + epsilon) of probabilities p = sigmoid(logits), of the logits' shape."""
    if epsilon == 0:
        return F.softplus(-logits)
    return -(logits.sigmoid() + epsilon).log()


def nonsaturating(real: Tensor, fake: Tensor, epsilon: float = 0.0) -> Tensor:
    """-V(D, G, E): -log D(x, E(x)) - log(1 - D(G(Z), Z)), from logits of shape (n,).

    G and E's side is the same with the two exchanged: -log D(G(Z), Z) - log(1 - D(x, E(x))).
    """
    return minus_log_sigmoid(real, epsilon).mean() + minus_log_sigmoid(-fake, epsilon).mean()


def relativistic(real: Tensor, fake: Tensor, epsilon: float = 0.0) -> Tensor:
    """softplus(D(fake) - D(real)) on pairs: the relativistic pairing GAN.

    G and E's side is the same with the two exchanged.
    """
    return minus_log_sigmoid(real - fake, epsilon).mean()


ADVERSARIAL_LOSSES: dict[str, Adversarial] = {
    "nonsaturating": nonsaturating,
    "relativistic": relativistic,
}


def categorical_nll(spec: CodeSpec, logits: Tensor, codes: Tensor, epsilon: float = 0.0) -> Tensor:
    """-E[log q(c | G(z, c))] of the categorical codes, summed over codes.

    Parameters
    ----------
    logits : Tensor of shape (n, n_categorical)
    codes : Tensor of shape (n, n_categorical), one-hot per code
    epsilon : float
        Added to each probability before its logarithm is taken.
    """
    parts = zip(spec.split(logits), spec.split(codes), strict=True)
    return torch.stack([_cross_entropy(part, target, epsilon) for part, target in parts]).sum()


def _cross_entropy(logits: Tensor, one_hot: Tensor, epsilon: float) -> Tensor:
    if epsilon == 0:
        return F.cross_entropy(logits, one_hot)
    chosen = (logits.softmax(dim=1) * one_hot).sum(dim=1)
    return -(chosen + epsilon).log().mean()


def continuous_nll(mean: Tensor, codes: Tensor) -> Tensor:
    """-E[log q(c | G(z, c))] of a factored Gaussian of unit variance, summed over codes."""
    constant = 0.5 * math.log(2 * math.pi) * codes.shape[1]
    return 0.5 * (mean - codes).square().sum(dim=1).mean() + constant


def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Squared error summed over everything but the rows, averaged over rows."""
    return (reconstruction - target).square().flatten(1).sum(dim=1).mean()


def relative_change(change: Tensor, codes: Tensor) -> Tensor:
    """Mean squared change of each code relative to its variance, summed over codes.

    Otherwise the model could cheat by shrinking the codes.

    Parameters
    ----------
    change, codes : Tensor of shape (n, n_codes)
    """
    variance = codes.var(dim=0, correction=0).clamp_min(1e-6)
    return (change.square().mean(dim=0) / variance).sum()


def prior_mismatch(codes: Tensor, categories: Tensor) -> Tensor:
    """Squared Wasserstein distance of each code's values from U[-1, 1] within each category.

    Averaged over rows, summed over codes. In one dimension the optimal transport pairs sorted
    values with sorted quantiles.

    Parameters
    ----------
    codes : Tensor of shape (n, n_codes)
    categories : Tensor of shape (n, n_categorical), one-hot per categorical code
    """
    agreeing = categories @ categories.T
    same = agreeing == agreeing.diagonal()  # the same category of every code
    below = (codes.detach()[:, None] > codes.detach()) & same[:, :, None]
    share = (below.sum(dim=1) + 0.5) / same.sum(dim=1, keepdim=True)
    return (codes - (2 * share - 1)).square().mean(dim=0).sum()


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats along the last axis; shape without that axis."""
    return torch.special.entr(probabilities).sum(dim=-1)


def mutual_information(p: Tensor, q: Tensor) -> Tensor:
    """Mutual information in nats of two codes with posteriors p (..., n, K) and q (..., n, L)."""
    with torch.autocast(p.device.type, enabled=False):  # bfloat16 is too coarse
        joint = p.transpose(-1, -2) @ q / p.shape[-2]
    marginals = entropy(p.mean(dim=-2)) + entropy(q.mean(dim=-2))
    return marginals - entropy(joint.flatten(-2))


def code_overlap(spec: CodeSpec, logits: Tensor) -> Tensor:
    """Sum over pairs of categorical codes of their mutual information, shape (...,).

    It keeps several codes from learning the same partition. In each pair only the later code gets a
    gradient; otherwise the first code would give way to the others.
    """
    if len(spec.categories) == 1:
        return logits.new_zeros(())
    pairs = combinations(spec.split(spec.posterior(logits)), 2)
    return torch.stack([mutual_information(p.detach(), q) for p, q in pairs]).sum(dim=0)


class ConsistencyTerms(NamedTuple):
    """Terms of the consistency loss per sub-head, each of shape (n_heads,)."""

    mean: Tensor  # mean posterior, (n_heads, K)
    uncertainty: Tensor  # H(q), averaged over rows
    agreement: Tensor  # CE(stopgrad q(x), q(T x)), averaged over rows


def consistency_terms(logits: Tensor, augmented_logits: Tensor) -> ConsistencyTerms:
    """Compare q(x) with q(T x), from logits of shape (n_heads, n, K)."""
    # Rows last: a softmax over a short last axis is far slower.
    log_q, log_augmented = (
        each.transpose(1, 2).contiguous().log_softmax(dim=1) for each in (logits, augmented_logits)
    )
    q = log_q.exp()
    return ConsistencyTerms(
        q.mean(dim=2),
        -(q * log_q).sum(dim=1).mean(dim=1),
        -(q.detach() * log_augmented).sum(dim=1).mean(dim=1),
    )


def imbalance(mean: Tensor, slack: float, prior: Tensor | None = None) -> Tensor:
    """KL(mean || prior) in nats, minus a slack and at least 0; shape (n_heads,).

    Parameters
    ----------
    mean : Tensor of shape (n_heads, K)
        Mean posterior.
    slack : float
    prior : Tensor of shape (K,) in descending order, or None for the uniform one
        Categories are matched with it by size, since nothing else identifies them.
    """
    if prior is None:
        divergence = math.log(mean.shape[-1]) - entropy(mean)
    else:
        ranked = mean.sort(dim=-1, descending=True).values
        divergence = -(ranked * prior.log()).sum(dim=-1) - entropy(mean)
    return (divergence - slack).clamp_min(0)
