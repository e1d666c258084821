"""How much of a step on the CPU is saved by each part of the code that exists only for speed.

    python benchmarks/cleverness.py    # -> results/cleverness.json

Each variant replaces one such part by plain torch, in a training of its own. The variants take
turns, step by step and each time in another order, so that a machine that slows down slows down all
of them. CPU seconds of one thread are compared. A part that saves less than a tenth of a step is
not worth its code; benchmarks/README.md keeps the table.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from _shared import (
    CONSISTENCY,
    GAME,
    MNIST_SHAPE,
    Row,
    begun,
    environment,
    output_path,
    parser,
    print_table,
    write,
)
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_binfogan import AffineMove, BInfoGANTransformer, _losses
from sklearn_binfogan._networks import ConvGenerator, ConvStack, FoldedTransposed
from sklearn_binfogan.datasets import load_mnist

N_ROWS, WARM_UP_STEPS = 4000, 3
IMAGE, TABLE = "MNIST", "table"
STEPS = {IMAGE: 6, TABLE: 60}  # of each variant and round
Around = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Variant:
    """A training, changed after it was built; `stepping` is entered around each step."""

    name: str
    change: Callable[[Any], None] = lambda trainer: None
    stepping: Around = nullcontext
    cases: tuple[tuple[str, str], ...] = ((IMAGE, CONSISTENCY), (IMAGE, GAME))
    parameters: dict[str, Any] = field(default_factory=dict)


ON_IMAGES = ((IMAGE, CONSISTENCY), (IMAGE, GAME))
EVERYWHERE = ((TABLE, CONSISTENCY), (TABLE, GAME), (IMAGE, GAME), (IMAGE, CONSISTENCY))
CONSISTENCIES = ((IMAGE, CONSISTENCY), (TABLE, CONSISTENCY))


# -- plain torch in place of each part ---------------------------------------------------------


def transpose(trainer: Any) -> None:
    """Make G's last layer torch's own."""
    for module in trainer.players.modules():
        if isinstance(module, FoldedTransposed):
            module.__class__ = nn.ConvTranspose2d


def plain_generate(generator: ConvGenerator, codes: Tensor) -> Tensor:
    """Leave G's first maps in their memory format."""
    images = generator.layers(generator.project(codes))
    return images[:, :, : generator.height, : generator.width]


def keep_activations(trainer: Any) -> None:
    for module in trainer.players.modules():
        if getattr(module, "inplace", False):
            module.inplace = False


def other_adam(trainer: Any, **how: bool) -> None:
    """Give each optimiser's place to one that is not fused."""
    for phase, name in (
        (trainer.consistency, "optimizer"),
        (trainer.game, "optimizer"),
        (trainer.game, "discriminator_optimizer"),
    ):
        group = getattr(phase, name).param_groups[0]
        adam = torch.optim.Adam(group["params"], group["lr"], group["betas"], **how)
        setattr(phase, name, adam)


def average_one_by_one(trainer: Any) -> None:
    players = trainer.players

    @torch.no_grad()
    def update_ema(decay: float) -> None:
        for average, source in zip(players._averages, players._sources, strict=True):
            average.lerp_(source, 1 - decay)

    players.update_ema = update_ema


def plain_terms(logits: Tensor, augmented_logits: Tensor) -> _losses.ConsistencyTerms:
    log_q, log_augmented = (each.log_softmax(dim=2) for each in (logits, augmented_logits))
    q = log_q.exp()
    return _losses.ConsistencyTerms(
        q.mean(dim=1),
        -(q * log_q).sum(dim=2).mean(dim=1),
        -(q.detach() * log_augmented).sum(dim=2).mean(dim=1),
    )


def plain_grid(move: AffineMove, x: Tensor, rng: torch.Generator) -> Tensor:
    """Draw a grid by torch's own functions."""
    u = 2 * torch.rand((6, len(x)), generator=rng) - 1
    angle, shear = move.rotation * u[0], move.shear * u[1]
    scale, shift = 1 + move.scale * u[2:4], move.shift * u[4:]
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2, -1)
    turn = scale[:, None] * torch.stack([turn[:, 0], shear * turn[:, 0] + turn[:, 1]], dim=1)
    matrices = torch.cat([turn, shift[:, None]], dim=1).permute(2, 0, 1)
    grid = F.affine_grid(matrices, list(x.shape), align_corners=False)
    u = 2 * torch.rand((len(x), 2, 5, 5), generator=rng) - 1
    warp = F.interpolate(u, x.shape[2:], mode="bicubic", align_corners=True)
    return grid + move.warp * warp.permute(0, 2, 3, 1)


def replaced(target: Any, name: str, by: Any) -> Around:
    return lambda: mock.patch.object(target, name, by)


VARIANTS = [
    Variant("as it is", cases=EVERYWHERE),
    Variant("as it is, again", cases=EVERYWHERE),
    Variant("images as they lie", stepping=replaced(ConvStack, "forward", nn.Sequential.forward)),
    Variant(
        "G's maps as they lie",
        stepping=replaced(ConvGenerator, "forward", plain_generate),
        cases=((IMAGE, GAME),),
    ),
    Variant("ConvTranspose2d", transpose, cases=((IMAGE, GAME),)),
    Variant("Adam not fused (foreach)", partial(other_adam, foreach=True), cases=EVERYWHERE),
    Variant("Adam not fused (default)", other_adam, cases=EVERYWHERE),
    Variant("averages one by one", average_one_by_one, cases=EVERYWHERE),
    Variant("activations not in place", keep_activations, cases=EVERYWHERE),
    Variant(
        "softmax over the last axis",
        stepping=replaced(_losses, "consistency_terms", plain_terms),
        cases=CONSISTENCIES,
    ),
    Variant("T by affine_grid", stepping=replaced(AffineMove, "_grid", plain_grid)),
    Variant("compiled", parameters={"compile": True}, cases=((IMAGE, CONSISTENCY),)),
]


# -- the clock ---------------------------------------------------------------------------------


class Steps:
    """A training of a variant that takes steps of one phase."""

    def __init__(self, variant: Variant, phase: str, X: np.ndarray, parameters: Row) -> None:
        gan = BInfoGANTransformer(device="cpu", **parameters, **variant.parameters)
        self.trainer, self.batches = begun(gan, X, phase, variant.change)
        self.net, self.variant = self.trainer.net, variant
        self.net.history.new_epoch()

    def seconds(self) -> float:
        """CPU seconds of one whole step, its records among them."""
        self.net.history.new_batch()
        with self.variant.stepping():
            start = time.process_time()
            self.net.train_step(next(self.batches))
            return time.process_time() - start


def data(kind: str) -> tuple[np.ndarray, Row]:
    """Rows to step on: how long a step takes doesn't depend on the values of a table."""
    if kind == IMAGE:
        return load_mnist().X_train[:N_ROWS], {"image_shape": MNIST_SHAPE}
    return make_blobs(N_ROWS, 16, centers=10, random_state=0)[0], {"n_clusters": 10}


def interleaved(runs: list[Steps], n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """CPU seconds (n_steps, n_runs); each step the runs come in another order."""
    times = np.empty((n_steps, len(runs)))
    for i in range(n_steps):
        for j in rng.permutation(len(runs)):
            times[i, j] = runs[j].seconds()
    return times


def measure(kind: str, phase: str, variants: list[Variant], n_rounds: int, n_steps: int) -> Any:
    """Medians of steps; ratios to the first variant by round."""
    X, parameters = data(kind)
    runs = [Steps(variant, phase, X, parameters) for variant in variants]
    rng = np.random.default_rng(0)
    interleaved(runs, WARM_UP_STEPS, rng)
    rounds = np.array([interleaved(runs, n_steps, rng) for _ in range(n_rounds)])
    medians = np.median(rounds, axis=1)
    ratios = medians / medians[:, :1]
    for j, variant in enumerate(variants):
        yield {
            "kind": kind,
            "phase": phase,
            "variant": variant.name,
            "cpu_ms": 1e3 * float(np.median(medians[:, j])),
            "ratio": float(np.median(ratios[:, j])),
            "least": float(ratios[:, j].min()),
            "most": float(ratios[:, j].max()),
        }


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--case", nargs=2, help="one kind and phase")
    options.add_argument("--only", nargs="+", default=[], help="parts of names of variants")
    options = options.parse_args()
    n_rounds = 1 if options.quick else options.rounds
    can_compile = shutil.which("g++") is not None and not options.quick
    rows: list[Row] = []
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for case in [tuple(options.case)] if options.case else EVERYWHERE:
            chosen = [v for v in VARIANTS if case in v.cases and (can_compile or not v.parameters)]
            if options.only:
                chosen = chosen[:1] + [
                    v for v in chosen[1:] if any(o in v.name for o in options.only)
                ]
            rows += measure(*case, chosen, n_rounds, 2 if options.quick else STEPS[case[0]])
            head = {"environment": environment(), "rounds": n_rounds, "steps": STEPS}
            write(output_path(options, "cleverness"), {**head, "rows": rows})
    print_table(rows)


if __name__ == "__main__":
    main()
