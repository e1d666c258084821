"""Label-free measures of how good a model is."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from ._augmentation import Augmentation
from ._codes import CodeSpec, Prior
from ._losses import entropy
from ._networks import Encoder

N_DRAWS = 512  # codes
# T is drawn several times for the same rows, up to this many in all: with one draw of few rows the
# starts of one configuration would differ by chance alone.
N_MOVES = 8192
MOVED = 512  # rows at a time, at least
GENERATED = 256  # rows at a time

# Starts of one configuration differ in the quality of their categories, which distinctness
# measures. The other two measures vary more, but by chance: see benchmarks/mnist_score.py.
SCORE_WEIGHTS = {"distinctness": 12, "recovery": 1, "reconstruction": 1}
# This many categories, perfectly distinct, have a distinctness of 1.
MANY = 100


@torch.no_grad()
def evaluate(
    encoder: Encoder,
    generator: nn.Module | None,
    x: Tensor,
    augment: Augmentation,
    rng: torch.Generator,
    prior: Prior | None = None,
    n_draws: int = N_DRAWS,
    n_moves: int = N_MOVES,
) -> dict[str, float]:
    """Measure a model on real data without labels.

    Parameters
    ----------
    encoder : Module
        In evaluation mode.
    generator : Module or None
        In evaluation mode; None: not trained yet, and its measures are 0.
    x : Tensor
        Network input.
    augment : callable
        T, as in the consistency phase.
    rng : torch.Generator
    prior : tuple of tuple of float or None
        Probability of each category of each code; None: uniform.
    n_draws : int
        Number of codes to draw.
    n_moves : int
        Smallest number of rows to augment: fewer rows are augmented several times.

    Returns
    -------
    measures : dict of float
        `consistency`: share of the categories' entropy that survives T, in [0, 1];
        `distinctness`: log(1 + N) / log(1 + 100), in [0, 1], where N is the number of distinct
        categories; see Notes;
        `recovery`: how well E(G(Z)) recovers c, in [0, 1];
        `reconstruction`: R2 of G(E(x)), at most 1;
        `agreement`: share of the categories of c that E(G(Z)) recovers;
        `score`: the mean of distinctness, recovery and reconstruction, each clipped to [0, 1],
        where distinctness counts twelve times.

    Notes
    -----
    log N = H(mean q(x)) - 2 CE(q(x), q(T x)) + log(used / K): the information about categories that
    survives T, minus what T destroys, minus what categories without rows leave unused. A border
    between two kinds of rows adds to the entropy H and hardly to the cross-entropy CE. A border
    through the middle of a kind adds more to 2 CE than to H. One category has N = 1, so fits with
    different numbers of categories can be compared.
    """
    spec = encoder.spec
    codes = encoder.posterior(x) if generator is None else encoder(x)
    log_augmented = _log_augmented(encoder, x, augment, rng, n_moves)
    measures = _stability(spec, codes[:, : spec.n_categorical], log_augmented)
    if generator is None:
        measures |= {"recovery": 0.0, "agreement": 0.0, "reconstruction": 0.0}
    else:
        drawn = spec.draw(n_draws, rng, prior).to(codes.dtype)
        measures |= _recovery(spec, drawn, encoder(generated(generator, drawn)))
        measures["reconstruction"] = r2(generated(generator, codes), x)
    cut = [min(max(measures[part], 0.0), 1.0) for part in SCORE_WEIGHTS]
    return {**measures, "score": float(np.average(cut, weights=[*SCORE_WEIGHTS.values()]))}


def _stability(spec: CodeSpec, q: Tensor, log_augmented: Tensor) -> dict[str, float]:
    """Consistency and distinctness, each the mean over the categorical codes."""
    kept, told_apart = [], []
    for p, log_p in zip(spec.split(q), spec.split(log_augmented), strict=True):
        information, lost = entropy(p.mean(dim=0)), -(p * log_p).sum(dim=1).mean()
        if p.shape[1] > 1:
            kept.append((information - lost) / math.log(p.shape[1]))
        used = len(p.argmax(dim=1).unique()) / p.shape[1]
        told_apart.append((information - 2 * lost).exp() * used)
    distinctness = torch.stack(told_apart).log1p().mean() / math.log1p(MANY)
    return {
        "consistency": float(torch.stack(kept).mean().clamp(0, 1)) if kept else 1.0,
        "distinctness": float(distinctness.clamp(0, 1)),
    }


def _log_augmented(
    encoder: Encoder, x: Tensor, augment: Augmentation, rng: torch.Generator, n_moves: int
) -> Tensor:
    """Mean of log q(c | T x) over the draws of T, (n, n_categorical)."""
    repeats = math.ceil(min(MOVED, n_moves) / len(x))
    repeated = x.repeat(repeats, *[1] * (x.dim() - 1))
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    n_passes = math.ceil(n_moves / len(repeated))
    for _ in range(n_passes):
        log_q = encoder.posterior(augment(repeated, rng)).clamp_min(1e-6).log()
        total = total + log_q.unflatten(0, (repeats, -1)).mean(dim=0) / n_passes
    return total


def _recovery(spec: CodeSpec, drawn: Tensor, found: Tensor) -> dict[str, float]:
    """How well E finds the codes that samples were drawn from, and how often the categories."""
    categories, q = drawn[:, : spec.n_categorical], found[:, : spec.n_categorical]
    pairs = zip(spec.split(categories), spec.split(q.clamp_min(1e-6).log()), strict=True)
    parts = [
        1 + (c * log_q).sum(dim=1).mean() / math.log(c.shape[1])
        for c, log_q in pairs
        if c.shape[1] > 1
    ]
    # The prior variance of a continuous code is 1/3: this is R2 against guessing its mean.
    error = (found - drawn)[:, spec.continuous].square().mean(dim=0)
    parts += list(1 - 3 * error)
    recovery = torch.stack(parts).clamp(0, 1).mean() if parts else torch.tensor(1.0)
    hits = spec.labels(q) == spec.labels(categories)
    return {"recovery": float(recovery), "agreement": float(hits.float().mean())}


def generated(generator: nn.Module, codes: Tensor) -> Tensor:
    """G of many codes, in blocks whose feature maps stay in the processor's caches."""
    return torch.cat([generator(block) for block in codes.split(GENERATED)])


def r2(prediction: Tensor, target: Tensor) -> float:
    """Share of the variance of all columns together that a prediction explains, at most 1."""
    residual = (target - prediction).square().sum()
    total = (target - target.mean(dim=0)).square().sum()
    return float(1 - residual / total.clamp_min(1e-12))
