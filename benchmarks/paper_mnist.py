"""The paper's algorithm alone on MNIST: its objective, losses and training, no term of ours.

    python benchmarks/paper_mnist.py          # half-width networks -> results/paper_half.json
    python benchmarks/paper_mnist.py --full   # the paper's networks -> results/paper_full.json

30 000 steps on 55 000 of the training images, as in the paper: hours of one core for a seed,
minutes on a GPU, which trains several seeds at once. An interrupted run resumes from its last
checkpoint, at most 2 000 steps back, and its curve begins there. The curve uses training labels;
test images and labels are used once, at the end. Accuracy is one-to-one, with the encoder's
current weights, which the paper reports, and with their running averages, which `predict` uses.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _shared import (
    HALF,
    MNIST_SHAPE,
    QUICK,
    Measure,
    Row,
    decimals,
    folded,
    measures_table,
    mnist,
    parser,
    percent,
    print_measures,
    reported,
    run,
    table,
    whole,
)
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch
from skorch.callbacks import Callback

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

N_STEPS, SEEDS = 30_000, (100, 101)
LOOKS_EVERY = 1_000  # steps
N_HELD_OUT = 5_000  # the reference trains on the other 55 000
N_LOOKED_AT = 10_000
DIAGNOSTICS = ("score", "consistency", "recovery", "reconstruction", "agreement", "findings")


def images_of_the_paper(quick: bool) -> Bunch:
    """MNIST without the rows that the reference holds out, or a small part of it."""
    data = mnist(quick)
    if not quick:
        data.X_train, data.y_train = data.X_train[N_HELD_OUT:], data.y_train[N_HELD_OUT:]
    return data


def categories(trainer: Any, X: np.ndarray, averaged: bool) -> np.ndarray:
    """Most likely category of each row, by the averages or by the weights as they are."""
    players, layout = trainer.players, trainer.settings.layout
    encoder = players.averaged_encoder if averaged else players.encoder
    was_training = encoder.training
    encoder.eval()
    found = []
    with torch.no_grad():
        for rows in np.array_split(X, -(-len(X) // 1000)):
            scaled = torch.from_numpy(layout.scaled(rows, np.float32)).to(trainer.device)
            found.append(encoder.logits(layout.to_network(scaled)).argmax(dim=1).cpu().numpy())
    encoder.train(was_training)
    return np.concatenate(found)


class Looks(Callback):
    """Records the progress of a training every 1 000 steps; `wants_to_stop` may end it."""

    def __init__(
        self, X: np.ndarray, y: np.ndarray, wants_to_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self.X, self.y, self.wants_to_stop = X[:N_LOOKED_AT], y[:N_LOOKED_AT], wants_to_stop
        self.curve: list[Row] = []
        self.begun = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        trainer, step = net.training, net.training.steps["game"]
        if step and step % LOOKS_EVERY == 0:
            as_they_are, averages = (
                float(cluster_accuracy(self.y, categories(trainer, self.X, averaged)))
                for averaged in (False, True)
            )
            self.curve.append(
                {
                    "step": step,
                    "seconds": time.perf_counter() - self.begun,
                    "train_accuracy": averages,
                    "train_accuracy_as_they_are": as_they_are,
                    "discriminator_loss": net.history[-1]["discriminator_loss"],
                }
            )
            print(type(trainer.settings.architecture).__name__, self.curve[-1], flush=True)
        if self.wants_to_stop():
            raise KeyboardInterrupt


def test_results(gan: BInfoGANTransformer, data: Any, averaged: bool) -> Row:
    """Accuracy on test images of the categories' assignment on training images."""
    trainer = fitted_model(gan).trainer
    digit_of, _ = match_clusters(data.y_train, categories(trainer, data.X_train, averaged))
    digits = [digit_of.get(k, -1) for k in categories(trainer, data.X_test, averaged).tolist()]
    counts = confusion_matrix(data.y_test, digits, labels=range(10))
    return {"test_accuracy": float((digits == data.y_test).mean()), "confusion": counts.tolist()}


def measure(seed: int, full: bool, steps: int, quick: bool, folder: Path) -> Row:
    """One seed's curve, seconds, diagnostics and test results."""
    data = images_of_the_paper(quick)
    looks = Looks(data.X_train, data.y_train)
    gan = BInfoGANTransformer(
        image_shape=MNIST_SHAPE,
        architecture="paper-mnist" if full else HALF,
        max_iter=QUICK["max_iter"] if quick else steps,
        callbacks=[("looks", looks)],
        checkpoint_dir=folder / f"{'full' if full else 'half'}_{seed}",
        checkpoint_every=2_000,
        random_state=seed,
    )
    start = time.perf_counter()
    gan.fit(data.X_train)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "steps": gan.n_iter_,
        **test_results(gan, data, averaged=True),
        "test_accuracy_as_they_are": (own := test_results(gan, data, averaged=False))[
            "test_accuracy"
        ],
        "confusion_as_they_are": own["confusion"],
        **{name: gan.diagnostics_[name] for name in DIAGNOSTICS},
        "curve": looks.curve,
    }


MEASURES = [
    Measure("test_accuracy_as_they_are", "one-to-one test accuracy, weights as they are"),
    Measure("test_accuracy", "the same, running averages"),
    Measure("agreement", "E names the category of a sample"),
    Measure("score", "label-free score", shown=decimals),
    Measure("steps", "steps", shown=whole),
    Measure("seconds", "seconds, of seeds that share a machine", shown=whole, worst=max),
]


def curves(rows: Sequence[Row]) -> str:
    """Accuracy on training images along the steps, a column per seed."""
    at = {row["seed"]: {p["step"]: p for p in row["curve"]} for row in rows}
    steps = sorted({step for points in at.values() for step in points if step % 2_000 == 0})
    lines = (
        [
            step,
            *(
                percent(p[step]["train_accuracy_as_they_are"]) if step in p else ""
                for p in at.values()
            ),
        ]
        for step in steps
    )
    return table(["step", *at], lines)


def confusions(rows: Sequence[Row]) -> str:
    """Test images of all seeds by digit and by the digit of their category, in per cent."""
    total = np.sum([row["confusion_as_they_are"] for row in rows], axis=0)
    share = 100 * total / total.sum(axis=1, keepdims=True)
    return table(
        ["digit", *range(10)],
        ([digit, *(f"{value:.1f}" for value in row)] for digit, row in enumerate(share)),
    )


def text(content: Row) -> str:
    rows = content["rows"]
    return "\n\n".join(
        [
            "The paper reports 96.61 % on test images, the mean of ten runs.",
            measures_table(MEASURES, rows),
            folded("Accuracy on training images, by the weights as they are", curves(rows)),
            folded("Test images by digit and by the digit of their category, %", confusions(rows)),
        ]
    )


FULL = ("The paper's algorithm by itself", "paper_full", "benchmarks/paper_mnist.py --full")
HALF_WIDTH = (
    "The paper's algorithm by itself, half-width networks",
    "paper_half",
    "benchmarks/paper_mnist.py",
)
full_section = reported(*FULL)(text)
half_section = reported(*HALF_WIDTH)(text)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--full", action="store_true", help="the paper's own widths")
    options.add_argument("--steps", type=int, default=N_STEPS)
    options.add_argument(
        "--checkpoints", type=Path, help="their folder; by default a temporary one"
    )
    options = options.parse_args()
    name = "paper_full" if options.full else "paper_half"
    folder = options.checkpoints or Path(tempfile.gettempdir()) / "binfogan-paper"
    cases = [{"seed": seed} for seed in options.seeds or SEEDS]
    keep = {"full": options.full, "steps": options.steps, "quick": options.quick, "folder": folder}
    print_measures(run(name, partial(measure, **keep), cases, options))


if __name__ == "__main__":
    main()
