"""Labels of some rows: batches of labelled rows, and which category stands for which class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ._arrays import as_tensor
from ._codes import CodeSpec, Prior
from ._networks import Encoder
from ._rows import DECIDING_BLOCK, Rows
from ._settings import Settings

MAX_ASSIGNING = 10_000  # labelled rows that decide which category a class gets
TINY = 1e-6
WRONG_SHARE = 0.1  # of the labels, as the loss assumes


@dataclass(frozen=True, eq=False)
class Labels:
    """Which rows have a label.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_labelled,)
        Their numbers.
    classes : ndarray of int64, shape (n_labelled,)
        Their classes, numbered from 0; every class has a row.
    """

    rows: np.ndarray
    classes: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.classes.max()) + 1

    def thinned(self) -> "Labels":
        """Keep the first labels of each class, at most `MAX_ASSIGNING` in all."""
        most = max(MAX_ASSIGNING // self.n_classes, 1)
        of_class = [np.flatnonzero(self.classes == c)[:most] for c in range(self.n_classes)]
        kept = np.concatenate(of_class)
        return Labels(self.rows[kept], self.classes[kept])


def assigned_categories(posterior: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Assign each class a category of its own, so that posteriors agree most with the labels.

    Parameters
    ----------
    posterior : ndarray of shape (n, K)
        q(c | x) of labelled rows.
    classes : ndarray of int64, shape (n,)
        From 0 to n_classes - 1, at most K of them, each at least once.

    Returns
    -------
    categories : ndarray of int64, shape (n_classes,)
    """
    means = [posterior[classes == c].mean(axis=0) for c in range(int(classes.max()) + 1)]
    return linear_sum_assignment(np.stack(means), maximize=True)[1]


class LabelledBatch(NamedTuple):
    """Labelled rows, and the category that each sub-head should give them."""

    x: Tensor  # network input
    categories: Tensor  # of the first code, (n_heads, n)
    log_prior: Tensor  # of the categories of the first code, (n_heads, K)
    slack: float = 0.0  # nats by which the sizes of these may be further from the prior


def label_nll(spec: CodeSpec, logits: Tensor, labelled: LabelledBatch) -> Tensor:
    """-E[log((1 - e) q(c | x) + e / K)] of labelled rows in the first code, summed over heads.

    The loss assumes that a share e, `WRONG_SHARE`, of the labels is wrong. So a label that
    contradicts all other rows has little weight (forward correction, Patrini et al. 2017). Batches
    hold each class equally often, but the posterior should know the classes' own frequencies.
    Therefore their logarithm is subtracted from the logits (logit adjustment, Menon et al. 2021).

    Parameters
    ----------
    spec : CodeSpec
    logits : Tensor of shape (n_heads, n, n_categorical)
    labelled : LabelledBatch
    """
    adjusted = spec.split(logits)[0] - labelled.log_prior[:, None]
    q = adjusted.softmax(dim=-1).gather(-1, labelled.categories[..., None])
    given = (1 - WRONG_SHARE) * q + WRONG_SHARE / adjusted.shape[-1]
    return -given.log().mean(dim=1).sum()


class Supervision:
    """Draws labelled rows evenly over their classes, and assigns categories to classes.

    Only categories of the first code are assigned. Further codes, and categories beyond the number
    of classes, stay free.

    Parameters
    ----------
    labels : Labels
    rows : Rows
    settings : Settings
        If `cluster_prior` holds numbers, they are the probabilities of the classes.
    rng : torch.Generator

    Attributes
    ----------
    assignment : Tensor of int64, shape (n_heads, n_classes), or None
        Category of each class by sub-head; None before `assign`.
    log_prior : Tensor of shape (n_heads, K)
        Of the categories of the first code, up to a constant; set with `assignment`.
    """

    def __init__(
        self, labels: Labels, rows: Rows, settings: Settings, rng: torch.Generator
    ) -> None:
        self.labels, self.rows, self.spec, self.rng = labels, rows, settings.spec, rng
        self.class_prior = settings.recipe.given_prior
        self.n_drawn = max(int(settings.recipe.labelled_share * settings.recipe.batch_size), 1)
        self.assignment: Tensor | None = None
        by_class = np.argsort(labels.classes, kind="stable")
        counts = np.bincount(labels.classes)
        self._by_class = torch.from_numpy(labels.rows[by_class]).to(rng.device)
        self._counts = torch.from_numpy(counts).to(rng.device)
        self._starts = torch.from_numpy(np.cumsum(counts) - counts).to(rng.device)

    def assign(self, encoder: Encoder, learned: bool) -> None:
        """Decide which category of each sub-head stands for which class.

        If the encoder has `learned` categories, labelled rows decide. Otherwise classes take the
        first categories.
        """
        assignment = np.tile(np.arange(self.labels.n_classes), (encoder.n_heads, 1))
        if learned:
            labels, posteriors = self._labelled_posteriors(encoder)
            assignment = np.stack([assigned_categories(p, labels.classes) for p in posteriors])
        self.assign_as(assignment)

    def assign_as(self, assignment: np.ndarray) -> None:
        """Use an assignment that was found before, (n_heads, n_classes)."""
        by_class = self.class_prior[0] if self.class_prior else [1.0] * self.spec.categories[0]
        prior = [self._by_category(assigned, by_class) for assigned in assignment.tolist()]
        self.assignment = torch.from_numpy(assignment).to(self.rng.device)
        self.log_prior = torch.tensor(prior, device=self.rng.device).log()

    def draw(self) -> LabelledBatch:
        """Draw a batch with nearly equal numbers of rows of each class; needs an assignment."""
        assert self.assignment is not None
        n_classes, rng = len(self._counts), self.rng
        first = torch.randint(n_classes, (1,), generator=rng, device=rng.device)
        classes = (first + torch.arange(self.n_drawn, device=rng.device)) % n_classes
        u = torch.rand(self.n_drawn, generator=rng, device=rng.device)
        counts = self._counts[classes]
        places = self._starts[classes] + (u * counts).long().clamp_max(counts - 1)
        x = self.rows.take(self._by_class[places])
        return LabelledBatch(x, self.assignment[:, classes], self.log_prior, self._slack())

    def _slack(self) -> float:
        """Slack of the balance for free categories: together they need not be larger than a class.

        The number of classes without labels is unknown, and free categories must not take rows of
        classes that have labels.
        """
        n_categories = self.spec.categories[0]
        return math.log(n_categories / min(self.labels.n_classes + 1, n_categories))

    def head_nll(self, encoder: Encoder) -> Tensor:
        """-E[log q(c | x)] of all labelled rows by sub-head, (n_heads,); classes count equally."""
        labels, posteriors = self._labelled_posteriors(encoder)
        counts = np.bincount(labels.classes)
        means = []
        for posterior in posteriors:
            own = assigned_categories(posterior, labels.classes)[labels.classes]
            nll = -np.log(posterior[np.arange(len(own)), own].clip(TINY))
            means.append((np.bincount(labels.classes, nll) / counts).mean())
        return torch.tensor(means, device=self.rng.device)

    def prior(self, encoder: Encoder) -> Prior | None:
        """Probabilities of the categories as the kept head numbers them; None: uniform."""
        if self.class_prior is None:
            return None
        of_classes, *others = self.class_prior
        return (self._by_category(self._assigned(encoder).tolist(), of_classes), *others)

    def known_categories(self, encoder: Encoder) -> Tensor:
        """Category of every row by its label, int64 (n_rows,), as the kept head numbers them.

        -1 where there is no label.
        """
        known = np.full(len(self.rows), -1)
        known[self.labels.rows] = self._assigned(encoder)[self.labels.classes]
        return torch.from_numpy(known).to(self.rng.device)

    def _assigned(self, encoder: Encoder) -> np.ndarray:
        """Category of each class, as the kept head numbers them."""
        labels, posteriors = self._labelled_posteriors(encoder)
        return assigned_categories(posteriors[int(encoder.head)], labels.classes)

    @staticmethod
    def _by_category(assigned: list[int], by_class: Sequence[float]) -> tuple[float, ...]:
        """Reorder probabilities: the first are those of classes, the rest of free categories."""
        free = [k for k in range(len(by_class)) if k not in assigned]
        own = dict(zip(assigned + free, by_class, strict=True))
        return tuple(own[k] for k in range(len(own)))

    @torch.no_grad()
    def _labelled_posteriors(self, encoder: Encoder) -> tuple[Labels, np.ndarray]:
        """Labelled rows and their posteriors in the first code, (n_heads, n, K)."""
        labels = self.labels.thinned()
        blocks = as_tensor(labels.rows).to(self.rng.device).split(DECIDING_BLOCK)
        logits = encoder.sub_head_logits_of(map(self.rows.take, blocks))
        return labels, self.spec.split(logits)[0].softmax(dim=-1).cpu().numpy()
