"""Where a training begins: initial weights that the best of several short trainings found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._phases import CONSISTENCY
from ._settings import Settings
from ._trainer import Trainer


def begin_well(trainer: Trainer, settings: Settings) -> None:
    """Give a fresh trainer, with its rows, the category branch of the best short training.

    Bad categories are bad early: after a fifth of the steps the loss on all rows tells already
    which beginning will not end well. On small images such steps cost little.
    """
    recipe = settings.recipe
    n_steps = int(recipe.beginning_share * recipe.warmup_iter)
    if recipe.n_beginnings == 1 or n_steps == 0 or trainer.common.supervision is not None:
        return
    drawn = np.random.RandomState(settings.seed).randint(2**31 - 1, size=recipe.n_beginnings - 1)
    short = replace(recipe, warmup_iter=n_steps)
    best, quality = None, -np.inf
    for seed in (settings.seed, *drawn.tolist()):
        one = Trainer(
            replace(settings, seed=seed, recipe=short),
            trainer.device,
            sharing=trainer.common.sharing,
        )
        one.rows = trainer.rows
        one.train({CONSISTENCY: n_steps})
        found = one.quality()
        if found > quality:
            best, quality = one.players, found
    if best is not None:
        trainer.players.take_category_branch(best)
