"""Signs of collapse, found without labels, each a sentence with a remedy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import entr

from ._codes import CodeSpec
from .metrics import code_information

DEAD = 0.1  # a category is dead below this share of the rows that its prior predicts
MIN_EXPECTED = 10  # rows that the prior must predict before a category can count as dead
MERGED = 0.35  # two categories are merged if T moves more than this share of their rows across
IGNORED = 0.5  # G ignores a category if E recognises less than this share of its samples
ALIKE = 0.5  # two codes are alike if they share more than this part of the smaller entropy
FLAT = 0.1  # lowest R2 of a continuous code, and lowest variance of samples relative to rows
RECOGNISED, UNMATCHED = 0.9, 0.1  # share of samples; information about rows that survives T
SATURATED = 0.05  # the discriminator's loss relative to guessing


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a fitted model does with real rows and with its own samples.

    Parameters
    ----------
    spec : CodeSpec
    prior : list of ndarray
        For each categorical code, the probability of each category.
    sizes : list of list of int
        For each categorical code, the number of rows in each category, over all rows.
    rows, samples : ndarray of shape (n, n_features) and (m, n_features)
        As network input.
    posterior, augmented_posterior : ndarray of shape (n, n_categorical)
        q(c | x) and q(c | T x) of the rows.
    drawn, found : ndarray of shape (m, width)
        Codes of the samples, and the codes that E gives to the samples.
    mi_weight : float
        lambda.
    discriminator_loss : float
        Mean over the last epoch of the game, relative to guessing; NaN if there was no game.
    has_consistency_phase : bool
        Whether the categories were trained on rows, before the game or instead of it.
    has_cycle_terms : bool
        Whether G also learned to reconstruct rows.
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
    has_consistency_phase: bool
    has_cycle_terms: bool

    @property
    def longer_phase(self) -> str:
        """What trains the categories of rows for longer."""
        if self.has_consistency_phase:
            return "a larger warmup_iter"
        return "a consistency phase (consistency_weight and warmup_iter above 0)"


def findings(evidence: Evidence) -> list[str]:
    """Every sign of collapse, as one sentence each; empty if there is none."""
    if evidence.mi_weight == 0:
        return [
            "With mi_weight=0 nothing ties codes to rows, so categories and continuous codes mean "
            "nothing: use a value above 0, such as 1."
        ]
    found = [*_empty_categories(evidence), *_dead_categories(evidence)]
    found += _merged_categories(evidence)
    found += _codes_alike(evidence)
    if not math.isnan(evidence.discriminator_loss):
        # Findings about the categories of rows are more specific, and their remedy comes first.
        if not found and not evidence.has_consistency_phase:
            found += _unmatched_categories(evidence)
        found += [*_ignored_categories(evidence), *_ignored_continuous(evidence)]
        found += [*_uniform_samples(evidence), *_saturated_discriminator(evidence)]
    return found


def _empty_categories(evidence: Evidence) -> Iterator[str]:
    for code, sizes in enumerate(map(np.array, evidence.sizes)):
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            yield (
                f"{_categories(evidence, code, empty).capitalize()} {_hold(empty)} no "
                f"rows: only {len(sizes) - len(empty)} of {len(sizes)} categories have rows. Use "
                f"a smaller n_clusters, or {evidence.longer_phase}."
            )


def _dead_categories(evidence: Evidence) -> Iterator[str]:
    for code, sizes in enumerate(map(np.array, evidence.sizes)):
        promised = evidence.prior[code] * sizes.sum()
        dead = np.flatnonzero((sizes > 0) & (sizes < DEAD * promised) & (promised >= MIN_EXPECTED))
        if len(dead):
            yield (
                f"{_categories(evidence, code, dead).capitalize()} {_hold(dead)} almost no "
                "rows: use a smaller n_clusters, cluster_prior='learned' if clusters differ widely "
                f"in size, or {evidence.longer_phase}."
            )


def _merged_categories(evidence: Evidence) -> Iterator[str]:
    for code, part in enumerate(evidence.spec.category_slices):
        hard = _one_hot(evidence.posterior[:, part])
        flow = hard.T @ evidence.augmented_posterior[:, part] / np.maximum(hard.sum(0), 1)[:, None]
        for i, j in combinations(range(hard.shape[1]), 2):
            if (flow[i, j] + flow[j, i]) / 2 > MERGED:
                pair = _categories(evidence, code, [i, j]).capitalize()
                yield (
                    f"{pair} are not distinct: the augmentation moves rows from one into the "
                    f"other. Use a smaller n_clusters, {evidence.longer_phase}, or n_init > 1."
                )


def _codes_alike(evidence: Evidence) -> Iterator[str]:
    columns = [evidence.posterior[:, p].argmax(axis=1) for p in evidence.spec.category_slices]
    shared = code_information(np.stack(columns, axis=1))
    for i, j in zip(*np.nonzero(np.triu(shared > ALIKE, k=1)), strict=True):
        yield (
            f"Codes {i} and {j} are much alike: they share {shared[i, j]:.0%} of the information "
            f"of the smaller one. Use fewer categorical codes, or {evidence.longer_phase}."
        )


def _ignored_categories(evidence: Evidence) -> Iterator[str]:
    for code, part in enumerate(evidence.spec.category_slices):
        drawn = evidence.drawn[:, part]
        recognised = (drawn * _one_hot(evidence.found[:, part])).sum(axis=0)
        ignored = np.flatnonzero(recognised < IGNORED * drawn.sum(axis=0))
        if len(ignored):
            yield (
                f"The generator ignores {_categories(evidence, code, ignored)}: the encoder "
                "recognises less than half of these samples. Use a larger mi_weight or max_iter."
            )


def _ignored_continuous(evidence: Evidence) -> Iterator[str]:
    columns = evidence.spec.continuous
    error = np.square(evidence.found - evidence.drawn)[:, columns].mean(axis=0)
    # The prior variance of a continuous code is 1/3.
    ignored = np.flatnonzero(1 - 3 * error < FLAT)
    if len(ignored):
        names = ", ".join(f"continuous{i}" for i in ignored)
        yield (
            f"The generator ignores {names}: the encoder can't recover it from samples. Use a "
            "larger mi_weight or max_iter, or a smaller n_continuous."
        )


def _unmatched_categories(evidence: Evidence) -> Iterator[str]:
    """Codes whose categories E and G agree on, although the categories of rows are arbitrary.

    Without a consistency phase, only the game links the categories of samples to those of rows,
    through D. It fails if D becomes strong too early: E is then confident about categories that T
    changes into others. After a consistency phase this proves nothing: T also moves rows between
    thin groups that are found correctly.
    """
    for code, part in enumerate(evidence.spec.category_slices):
        q, augmented = evidence.posterior[:, part], evidence.augmented_posterior[:, part]
        drawn, found = evidence.drawn[:, part], evidence.found[:, part]
        n_categories = q.shape[1]
        if n_categories == 1:
            continue
        recognised = (drawn * _one_hot(found)).sum(axis=1).mean()
        cross_entropy = -(q * np.log(np.maximum(augmented, 1e-6))).sum(axis=1).mean()
        survives = (entr(q.mean(axis=0)).sum() - cross_entropy) / math.log(n_categories)
        if recognised >= RECOGNISED and survives < UNMATCHED:
            every = _categories(evidence, code, range(n_categories)).capitalize()
            yield (
                f"{every} do not match between samples and rows: the encoder recognises "
                f"{recognised:.0%} of the samples, but only {max(survives, 0):.0%} of its "
                f"information about rows survives the augmentation. Use {evidence.longer_phase}, a "
                "smaller discriminator_learning_rate, an architecture with more noise in its "
                "discriminator, or a larger max_iter."
            )


def _uniform_samples(evidence: Evidence) -> Iterator[str]:
    if evidence.samples.var(axis=0).sum() < FLAT * evidence.rows.var(axis=0).sum():
        yield (
            "The generator's samples are almost equal: use a smaller learning_rate, a larger "
            "mi_weight, or a larger max_iter."
        )


def _saturated_discriminator(evidence: Evidence) -> Iterator[str]:
    # With cycle terms G learns from rows, too, and well, however sure D is.
    if evidence.discriminator_loss < SATURATED and not evidence.has_cycle_terms:
        yield (
            "The discriminator is saturated: it tells real pairs from generated ones too easily, "
            "and the other networks learn little from it. Use a smaller "
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


def _hold(numbers: np.ndarray) -> str:
    return "holds" if len(numbers) == 1 else "hold"
