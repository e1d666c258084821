"""One driver for all trainings of a fit: one start or many, new or resumed from a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from joblib import Parallel, cpu_count, delayed, effective_n_jobs

from ._checkpoints import Checkpoints, Keeper, Start, checked_progress
from ._phases import CONSISTENCY, GAME, PHASES
from ._rows import Source
from ._settings import Settings
from ._sharing import SHARING
from ._supervision import Labels
from ._threads import undisturbed
from ._trainer import Trainer


@dataclass(frozen=True, eq=False)
class Job:
    """What the starts of a fit have in common.

    Parameters
    ----------
    X : ndarray or StoredRows
    labels : Labels or None
    device : str
    callbacks : list of skorch callbacks, or None
    progress : bool
        Whether to show a progress bar.
    n_jobs : int or None
        Starts that train in parallel, with joblib.
    """

    X: Source
    labels: Labels | None
    device: str
    callbacks: Any = None
    progress: bool = False
    n_jobs: int | None = None


def train_best(job: Job, settings: Sequence[Settings], checkpoints: Checkpoints) -> Trainer:
    """Train one start per settings; return the one with the best categories, without its rows.

    All go through the consistency phase, which settles the clusters; only the best goes on to the
    game.
    """
    starts = [Start(each) for each in settings]
    if len(starts) == 1:
        return trained(job, checkpoints.keeper(starts[0], PHASES)).forget_rows()
    recipe = settings[0].recipe
    has_both = recipe.warmup_iter > 0 and recipe.max_iter > 0
    for phases in [(CONSISTENCY,), (GAME,)] if has_both else [PHASES]:
        starts = _side_by_side(job, starts, phases, checkpoints)
        starts = [max(starts, key=lambda start: start.quality)]
        checkpoints.keepers.clear()  # a fit that is stopped later is the chosen start
    (best,) = starts
    return Trainer(best.settings, job.device, state=best.state)


def _side_by_side(
    job: Job, starts: Sequence[Start], phases: Sequence[str], checkpoints: Checkpoints
) -> list[Start]:
    tasks = [(job, checkpoints.keeper(start, phases)) for start in starts]
    # Processes that share a fit train each start together. One task runs without joblib: some
    # backends leave the main thread, and only the main thread receives Ctrl-C.
    if SHARING.get().is_shared or job.n_jobs == 1 or len(tasks) == 1:
        return [train_start(*task) for task in tasks]
    n_jobs = _fitting_n_jobs(job.n_jobs, starts[0].settings.recipe.n_threads)
    return Parallel(n_jobs)(delayed(train_start)(*task) for task in tasks)


def _fitting_n_jobs(n_jobs: int | None, n_threads: int) -> int | None:
    """Let fewer starts run at the same time where their threads would outnumber the cores.

    Not fewer threads: results depend on their number. Where joblib's backend says how many jobs
    there are, it may know of other machines.
    """
    if n_jobs is None or n_threads == 1:
        return n_jobs
    return min(effective_n_jobs(n_jobs), max(cpu_count() // n_threads, 1))


def train_start(job: Job, keeper: Keeper) -> Start:
    """Train some phases of a start, in whatever process joblib runs it, and measure it."""
    settings = keeper.start.settings
    with undisturbed(settings.recipe.n_threads):
        trainer = trained(job, keeper)
        quality = trainer.quality()
        trainer.forget_rows()
        state = trainer.state().as_arrays()
    return Start(settings, state, quality)


def trained(job: Job, keeper: Keeper) -> Trainer:
    """Train some phases of a start; the trainer holds the rows until it forgets them.

    It resumes the unfinished training that the keeper has, or else begins from the start's state.
    """
    start, phases, unfinished = keeper.start, keeper.phases, keeper.unfinished()
    state, sharing = unfinished or start.state, SHARING.get()
    trainer = Trainer(start.settings, job.device, job.callbacks, job.progress, state, sharing)
    try:
        trainer.load_rows(job.X, job.labels)
        begun = None
        if unfinished is not None:
            begun = checked_progress(trainer, unfinished)
            keeper.start = replace(start, state=unfinished)
            phases = phases[phases.index(begun.phase) :]
        budget = {name: trainer.phases[name].budget - trainer.steps[name] for name in phases}
        trainer.train(budget, keeper.keep, begun)
    except BaseException:
        trainer.forget_rows()
        raise
    return trainer


def usable(job: Job, start: Start) -> Trainer:
    """Return an interrupted start's training, with the decisions made that end its phase."""
    trainer = Trainer(start.settings, job.device, state=start.state)
    trainer.load_rows(job.X, job.labels)
    if start.state is not None and start.state.progress is not None:
        trainer.complete()
    return trainer.forget_rows()
