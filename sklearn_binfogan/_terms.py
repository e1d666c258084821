"""The game's objective as a table: one forward pass of all players, and the terms of G and E.

A new term is a function of the pass here or in `_losses`, a row of `TERMS`, and the field or
property of `Recipe` that weighs it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import _losses as losses
from ._codes import CodeSpec
from ._presets import Recipe


@dataclass(frozen=True, eq=False)
class GamePass:
    """One forward pass of all players on a batch of n rows; None if no term needs it."""

    spec: CodeSpec
    recipe: Recipe
    x: Tensor  # real rows
    codes: Tensor  # Z, (n, width)
    fake_logits: Tensor  # of q(c | G(Z)), (n, n_categorical)
    fake_style: Tensor  # continuous means and z of E(G(Z))
    real_categories: Tensor  # most likely categories of E(x), one-hot
    real_style: Tensor  # continuous means and z of E(x)
    real_pairs: Tensor  # logits of D(x, E(x)), (n,)
    fake_pairs: Tensor  # logits of D(G(Z), Z), (n,)
    reconstruction: Tensor | None = None  # G(E(x))
    whole: Tensor | None = None  # 1 for rows reconstructed from all their codes, else 0; (n,)
    change: Tensor | None = None  # E(T x) - E(x) in the continuous codes that T should not change
    consistency: Tensor | None = None  # loss of categories that learn in the game
    label: Tensor | None = None  # loss of labelled rows, for the same


@dataclass(frozen=True)
class Term:
    """One term of G and E's objective.

    Parameters
    ----------
    name : str
        The history has it as ``{name}_loss``, weighed.
    weight : str
        The field or property of `Recipe` that weighs it.
    value : callable
        Pass -> scalar, or None if the pass lacks what the term is about.
    at_weight_0 : bool
        Whether to compute and record it even if its weight is 0.
    """

    name: str
    weight: str
    value: Callable[[GamePass], Tensor | None]
    at_weight_0: bool = False


def discriminator_loss(game: GamePass) -> Tensor:
    """-V(D, G, E) of the paper's section 2, or its relativistic form."""
    loss = losses.ADVERSARIAL_LOSSES[game.recipe.adversarial_loss]
    return loss(game.real_pairs, game.fake_pairs, game.recipe.log_epsilon)


def guessing_loss(recipe: Recipe) -> float:
    """D's loss where it can't tell real pairs from fake ones."""
    loss = losses.ADVERSARIAL_LOSSES[recipe.adversarial_loss]
    return float(loss(torch.zeros(1), torch.zeros(1), recipe.log_epsilon))


def adversarial(game: GamePass) -> Tensor:
    """G and E's side of V(D, G, E), non-saturating or relativistic: the sides are exchanged."""
    loss = losses.ADVERSARIAL_LOSSES[game.recipe.adversarial_loss]
    return loss(game.fake_pairs, game.real_pairs, game.recipe.log_epsilon)


def mutual_information(game: GamePass) -> Tensor:
    """-L_I(G, E), up to the entropy of the codes (paper, section 2), with a gain of categories."""
    spec = game.spec
    continuous = game.fake_style[:, : spec.n_continuous]
    categories, epsilon = game.codes[:, : spec.n_categorical], game.recipe.log_epsilon
    categorical = losses.categorical_nll(spec, game.fake_logits, categories, epsilon)
    categorical = game.recipe.category_gain * categorical
    return categorical + losses.continuous_nll(continuous, game.codes[:, spec.continuous])


def cycle(game: GamePass) -> Tensor | None:
    """|G(E(x)) - x|^2 + |E(G(Z)).z - z|^2 / 2."""
    if game.reconstruction is None:
        return None
    spec = game.spec
    noise = game.fake_style[:, spec.n_continuous :]
    error = losses.squared_error(noise, game.codes[:, spec.noise])
    return losses.squared_error(game.reconstruction, game.x) + 0.5 * error


def detail(game: GamePass) -> Tensor | None:
    """|G(E(x)) - x|^2 of rows that keep all their codes."""
    if game.whole is None or game.reconstruction is None:
        return None
    rows = game.whole.view(-1, *[1] * (game.x.ndim - 1))
    return losses.squared_error(rows * game.reconstruction, rows * game.x)


def invariance(game: GamePass) -> Tensor | None:
    """How much T changes the second half of the continuous codes."""
    if game.change is None:
        return None
    return losses.relative_change(game.change, game.real_style[:, game.spec.invariant_codes])


def prior_matching(game: GamePass) -> Tensor:
    """How far E's continuous codes and z of real rows are from their prior."""
    return losses.prior_mismatch(game.real_style, game.real_categories)


TERMS = (
    Term("adversarial", "adversarial_weight", adversarial, at_weight_0=True),
    Term("mutual_information", "mi_weight", mutual_information, at_weight_0=True),
    Term("cycle", "cycle_weight", cycle),
    Term("detail", "detail_weight", detail),
    Term("invariance", "invariance_weight", invariance),
    Term("prior_matching", "prior_matching_weight", prior_matching),
    Term("consistency", "consistency_weight", lambda game: game.consistency),
    Term("label", "label_weight", lambda game: game.label),
)


def players_terms(game: GamePass) -> dict[str, Tensor]:
    """G and E's weighted terms by their names in the history."""
    found = {}
    for term in TERMS:
        weight = getattr(game.recipe, term.weight)
        value = term.value(game) if weight or term.at_weight_0 else None
        if value is not None:
            found[f"{term.name}_loss"] = weight * value
    return found


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum of weighted terms."""
    return torch.stack(list(terms.values())).sum()
