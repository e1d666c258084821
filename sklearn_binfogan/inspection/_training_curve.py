"""Losses and score over the epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import numpy as np

from ._display import Display
from ._view import Estimator, View

CURVES = ("train_loss", "discriminator_loss", "adversarial_loss")


@dataclass(eq=False, repr=False)
class TrainingCurveDisplay(Display):
    """Losses and label-free score per epoch, with the phases marked.

    The two phases sum different losses, so no line connects one phase to the other.

    Parameters
    ----------
    epochs : ndarray of int, shape (n_epochs,)
        Numbers of the epochs, from 1.
    phases : list of str, length n_epochs
        Phase of each epoch.
    losses : dict of str to ndarray of shape (n_epochs,)
        Mean of each loss in an epoch; NaN where a phase has no such loss.
    scores : ndarray of shape (n_epochs,)
        Label-free score on the validation rows, in [0, 1].

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the losses.
    score_ax_ : matplotlib Axes
        Axes of the score, over the same epochs.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> from sklearn_binfogan.inspection import TrainingCurveDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> display = TrainingCurveDisplay.from_estimator(gan)
    >>> display.phases
    ['consistency', 'consistency', 'game', 'game']
    """

    epochs: Any
    phases: Any
    losses: Any
    scores: Any

    @classmethod
    def from_estimator(
        cls, estimator: Estimator, *, curves: Sequence[str] = CURVES, ax: Any = None
    ) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : BInfoGANTransformer or BInfoGANClassifier
            Fitted.
        curves : sequence of str, \
                default=("train_loss", "discriminator_loss", "adversarial_loss")
            Losses to draw. A loss that the history lacks is left out.
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        history = View(estimator).estimator.history_
        found = {key for row in history for key in row if key.endswith("_loss")}
        losses = {
            name: np.array([row.get(name, np.nan) for row in history], dtype=np.float64)
            for name in sorted(found - {"valid_loss"})
        }
        display = cls(
            np.array([row["epoch"] for row in history]),
            [row["phase"] for row in history],
            losses,
            1 - np.array([row.get("valid_loss", np.nan) for row in history]),
        )
        return display.plot(ax=ax, curves=curves)

    def plot(self, *, ax: Any = None, curves: Sequence[str] = CURVES) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None opens a figure.
        curves : sequence of str, \
                default=("train_loss", "discriminator_loss", "adversarial_loss")
            Losses to draw. A loss that the history lacks is left out.

        Returns
        -------
        self : TrainingCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        ax = self._open(ax, (7, 4))
        self.score_ax_ = ax.twinx()
        for i, name in enumerate(name for name in curves if name in self.losses):
            self._plot_loss(name, f"C{i}")
        self.score_ax_.plot(self.epochs, self.scores, "--", color="k", label="score")
        for span in self._spans():
            first, last = self.epochs[span[0]] - 0.5, self.epochs[span[-1]] + 0.5
            phase = self.phases[span[0]]
            ax.axvspan(first, last, color="0.93" if phase == "consistency" else "none", zorder=0)
            ax.text(first, 1.01, f" {phase}", fontsize=8, transform=ax.get_xaxis_transform())
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.get_major_locator().set_params(integer=True)
        self.score_ax_.set(ylabel="label-free score", ylim=(0, 1.02))
        named = [line for a in (ax, self.score_ax_) for line in a.get_legend_handles_labels()[0]]
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}
        self.score_ax_.legend(handles=named, fontsize=8, ncols=4, **below)
        return self

    def _plot_loss(self, name: str, color: str) -> None:
        label: str | None = name.replace("_", " ")
        for span in self._spans():
            values = self.losses[name][span]
            if not np.isnan(values).all():
                self.ax_.plot(self.epochs[span], values, ".-", color=color, label=label)
                label = None  # one entry in the legend

    def _spans(self) -> list[list[int]]:
        """Positions of the epochs of each stretch of one phase."""
        numbered = groupby(enumerate(self.phases), key=lambda pair: pair[1])
        return [[i for i, _ in stretch] for _, stretch in numbered]
