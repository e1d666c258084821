"""Collapse, noticed without labels, in plain words with the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import entr

from ._codes import CodeSpec
from .metrics import code_information

DEAD = 0.1  # a category with less than this part of the rows that its prior promises
MIN_EXPECTED = 10  # rows that the prior must promise before too few of them mean anything
MERGED = 0.35  # share of two categories' rows that T moves from one into the other
UNHEARD = 0.5  # share of a category's samples that E must name rightly
ALIKE = 0.5  # information that two codes share, relative to the smaller entropy
FLAT = 0.1  # R2 of a recovered continuous code, and variance of samples relative to that of rows
HEARD, UNMATCHED = 0.9, 0.1  # share of samples named; information about rows that survives T
SATURATED = 0.05  # a discriminator's loss relative to that of guessing


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a fitted model does with real rows and with its own samples.

    Parameters
    ----------
    spec : CodeSpec
    prior : list of ndarray
        Per categorical code the probability of each category.
    sizes : list of list of int
        Per categorical code the rows that each category holds, of all rows.
    rows, samples : ndarray of shape (n, n_features) and (m, n_features)
        Scaled as the networks see them.
    posterior, augmented_posterior : ndarray of shape (n, n_categorical)
        q(c | x) and q(c | T x) of the rows.
    drawn, found : ndarray of shape (m, width)
        Codes of the samples, and what E reads from the samples.
    mi_weight : float
        lambda.
    discriminator_loss : float
        Of the last steps of the game, relative to that of guessing; NaN if there was no game.
    """

    spec: CodeSpec
    prior: list[np.ndarray]
    sizes: list[list[int]]
    rows: np.ndarray
    samples: np.ndarray
    posterior: np.ndarray
    augmented_posterior: np.ndarray
    drawn: np.ndarray
    found: np.ndarray
    mi_weight: float
    discriminator_loss: float


def findings(evidence: Evidence) -> list[str]:
    """Every sign of collapse, a sentence each; empty if there is none."""
    if evidence.mi_weight == 0:
        return [
            "mi_weight=0 asks for no information between codes and rows, so that categories and "
            "continuous codes mean nothing: use a value above 0, such as 1."
        ]
    found = [*_empty_categories(evidence), *_dead_categories(evidence)]
    found += _merged_categories(evidence)
    found += _codes_alike(evidence)
    if not math.isnan(evidence.discriminator_loss):
        # What is wrong with categories of rows by themselves says more, and has another remedy.
        found += [] if found else _unmatched_categories(evidence)
        found += [*_unheard_categories(evidence), *_unheard_continuous(evidence)]
        found += [*_uniform_samples(evidence), *_saturated_discriminator(evidence)]
    return found


def _empty_categories(evidence: Evidence) -> Iterator[str]:
    for code, sizes in enumerate(map(np.array, evidence.sizes)):
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            yield (
                f"{_categories(evidence, code, empty).capitalize()} {_verb('hold', empty)} no row: "
                f"of {len(sizes)} categories rows fill {len(sizes) - len(empty)}. Use fewer "
                "n_clusters, or more warmup_iter."
            )


def _dead_categories(evidence: Evidence) -> Iterator[str]:
    for code, sizes in enumerate(map(np.array, evidence.sizes)):
        promised = evidence.prior[code] * sizes.sum()
        dead = np.flatnonzero((sizes > 0) & (sizes < DEAD * promised) & (promised >= MIN_EXPECTED))
        if len(dead):
            yield (
                f"{_categories(evidence, code, dead).capitalize()} {_verb('hold', dead)} almost no "
                "row: use fewer n_clusters, cluster_prior='learned' if clusters differ much in "
                "size, or more warmup_iter."
            )


def _merged_categories(evidence: Evidence) -> Iterator[str]:
    for code, part in enumerate(evidence.spec.category_slices):
        hard = _one_hot(evidence.posterior[:, part])
        flow = hard.T @ evidence.augmented_posterior[:, part] / np.maximum(hard.sum(0), 1)[:, None]
        for i, j in combinations(range(hard.shape[1]), 2):
            if (flow[i, j] + flow[j, i]) / 2 > MERGED:
                pair = _categories(evidence, code, [i, j]).capitalize()
                yield (
                    f"{pair} are not told apart: the augmentation moves rows from one into the "
                    "other. Use fewer n_clusters, more warmup_iter, or n_init > 1."
                )


def _codes_alike(evidence: Evidence) -> Iterator[str]:
    columns = [evidence.posterior[:, p].argmax(axis=1) for p in evidence.spec.category_slices]
    shared = code_information(np.stack(columns, axis=1))
    for i, j in zip(*np.nonzero(np.triu(shared > ALIKE, k=1)), strict=True):
        yield (
            f"Codes {i} and {j} say much the same: they share {shared[i, j]:.0%} of what the "
            "smaller tells. Use fewer categorical codes, or more warmup_iter."
        )


def _unheard_categories(evidence: Evidence) -> Iterator[str]:
    for code, part in enumerate(evidence.spec.category_slices):
        drawn = evidence.drawn[:, part]
        named = (drawn * _one_hot(evidence.found[:, part])).sum(axis=0)
        unheard = np.flatnonzero(named < UNHEARD * drawn.sum(axis=0))
        if len(unheard):
            yield (
                f"The generator ignores {_categories(evidence, code, unheard)}: the encoder names "
                "less than half of their samples rightly. Use a larger mi_weight or max_iter."
            )


def _unheard_continuous(evidence: Evidence) -> Iterator[str]:
    columns = evidence.spec.continuous
    error = np.square(evidence.found - evidence.drawn)[:, columns].mean(axis=0)
    # The prior variance of a continuous code is 1/3.
    unheard = np.flatnonzero(1 - 3 * error < FLAT)
    if len(unheard):
        names = ", ".join(f"continuous{i}" for i in unheard)
        yield (
            f"The generator ignores {names}: the encoder can't read it from samples. Use a "
            "larger mi_weight or max_iter, or fewer n_continuous."
        )


def _unmatched_categories(evidence: Evidence) -> Iterator[str]:
    """Categories that E and G agree on, while those of rows are arbitrary.

    Without a consistency phase the game alone must carry them over, through D. It fails to where D
    grows strong too early; E is then sure of categories that T turns into others.
    """
    for code, part in enumerate(evidence.spec.category_slices):
        q, augmented = evidence.posterior[:, part], evidence.augmented_posterior[:, part]
        n_categories = q.shape[1]
        if n_categories == 1:
            continue
        named = (evidence.drawn[:, part] * _one_hot(evidence.found[:, part])).sum(axis=1).mean()
        cross_entropy = -(q * np.log(np.maximum(augmented, 1e-6))).sum(axis=1).mean()
        survives = (entr(q.mean(axis=0)).sum() - cross_entropy) / math.log(n_categories)
        if named >= HEARD and survives < UNMATCHED:
            every = _categories(evidence, code, range(n_categories)).capitalize()
            yield (
                f"{every} do not match between samples and rows: the encoder names {named:.0%} of "
                f"the samples rightly, but {max(survives, 0):.0%} of what it says of rows "
                "survives the augmentation. Use a consistency phase (consistency_weight and "
                "warmup_iter above 0), a smaller discriminator_learning_rate, an architecture "
                "with more noise in its discriminator, or more max_iter."
            )


def _uniform_samples(evidence: Evidence) -> Iterator[str]:
    if evidence.samples.var(axis=0).sum() < FLAT * evidence.rows.var(axis=0).sum():
        yield (
            "The generator's samples are almost all alike: use a smaller learning_rate, a larger "
            "mi_weight, or more max_iter."
        )


def _saturated_discriminator(evidence: Evidence) -> Iterator[str]:
    if evidence.discriminator_loss < SATURATED:
        yield (
            "The discriminator is saturated: it tells real pairs from generated ones without "
            "effort, and the others learn little from it. Use a smaller "
            "discriminator_learning_rate, or adversarial_loss='relativistic'."
        )


def _one_hot(posterior: np.ndarray) -> np.ndarray:
    return np.eye(posterior.shape[1])[posterior.argmax(axis=1)]


def _categories(evidence: Evidence, code: int, numbers: Sequence[int] | np.ndarray) -> str:
    """Name categories: "category 3", "categories 1 and 4", "categories 3 to 19"."""
    listed = [int(number) for number in numbers]
    if len(listed) > 2 and listed == list(range(listed[0], listed[-1] + 1)):
        text = f"{listed[0]} to {listed[-1]}"
    else:
        *first, last = map(str, listed)
        text = f"{', '.join(first)} and {last}" if first else last
    noun = "category" if len(listed) == 1 else "categories"
    single = len(evidence.spec.categories) == 1
    return f"{noun} {text}" if single else f"{noun} {text} of code {code}"


def _verb(verb: str, numbers: np.ndarray) -> str:
    return f"{verb}s" if len(numbers) == 1 else verb
