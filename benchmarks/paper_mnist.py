"""The paper's algorithm by itself on MNIST: its objective, losses and training, no term of ours.

    python benchmarks/paper_mnist.py          # half-width networks -> results/paper_half.json
    python benchmarks/paper_mnist.py --full   # the paper's networks -> results/paper_full.json

30 000 steps on 55 000 of the training images, as in the paper: hours on one core, minutes on a
GPU. A run that was cut off goes on from its last pass over the data. The curve uses training
labels; test images and labels are looked at once, at the end. Accuracy is one-to-one, by the
encoder's weights as they are, which the paper reports, and by their running averages, which
`predict` uses.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from _shared import (
    HALF,
    MNIST_SHAPE,
    Row,
    decimals,
    environment,
    folded,
    mnist,
    output_path,
    percent,
    reported,
    table,
    timed,
    write,
)
from sklearn.metrics import confusion_matrix
from sklearn.utils import Bunch
from threadpoolctl import threadpool_limits

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

N_STEPS = 30_000
MEASURES = ("score", "consistency", "recovery", "reconstruction", "agreement", "findings")
N_HELD_OUT = 5_000  # the reference trains on the other 55 000
N_LOOKED_AT = 10_000


def rows(quick: bool) -> Bunch:
    """MNIST without the rows that the reference holds out, or a little of it."""
    data = mnist(quick)
    if not quick:
        data.X_train, data.y_train = data.X_train[N_HELD_OUT:], data.y_train[N_HELD_OUT:]
    return data


def new_model(full: bool, seed: int, n_steps: int) -> BInfoGANTransformer:
    """An estimator that trains the paper's objective alone."""
    return BInfoGANTransformer(
        image_shape=MNIST_SHAPE,
        architecture="paper-mnist" if full else HALF,
        max_iter=n_steps,
        random_state=seed,
    )


@torch.no_grad()
def categories(gan: BInfoGANTransformer, X: np.ndarray, averaged: bool) -> np.ndarray:
    """Most likely category of each row, by the averages or by the weights as they are."""
    if averaged:
        return gan.predict(X)
    trainer, layout = fitted_model(gan).trainer, fitted_model(gan).layout
    encoder = trainer.players.encoder
    was_training = encoder.training
    encoder.eval()
    found = []
    for rows in np.array_split(X, -(-len(X) // 1000)):
        x = layout.to_network(torch.from_numpy(layout.scaled(rows, np.float32))).to(trainer.device)
        found.append(encoder.logits(x).argmax(dim=1).cpu().numpy())
    encoder.train(was_training)
    return np.concatenate(found)


def test_results(gan: BInfoGANTransformer, data: Any, averaged: bool) -> Row:
    """Accuracy on test images of the categories' assignment on training images."""
    digit_of, _ = match_clusters(data.y_train, categories(gan, data.X_train, averaged))
    digits = [digit_of.get(k, -1) for k in categories(gan, data.X_test, averaged).tolist()]
    counts = confusion_matrix(data.y_test, digits, labels=range(10))
    return {"test_accuracy": float((digits == data.y_test).mean()), "confusion": counts.tolist()}


def train_one_pass(gan: BInfoGANTransformer, data: Any) -> Row:
    """Train for one pass over the data and say where the model stands."""
    seconds = timed(gan.partial_fit, data.X_train)
    X, y = data.X_train[:N_LOOKED_AT], data.y_train[:N_LOOKED_AT]
    averages, as_they_are = (
        cluster_accuracy(y, categories(gan, X, averaged)) for averaged in (True, False)
    )
    return {
        "step": gan.n_iter_,
        "seconds": seconds,
        "train_accuracy": averages,
        "train_accuracy_as_they_are": as_they_are,
        "discriminator_loss": gan.history_[-1]["discriminator_loss"],
        **{name: gan.diagnostics_[name] for name in MEASURES},
    }


@reported(
    "The paper's algorithm by itself, half-width networks",
    "paper_half",
    "benchmarks/paper_mnist.py",
)
def section(content: Row) -> str:
    curve = content["curve"]
    done = sum(point["seconds"] for point in curve)
    state = f"{curve[-1]['step']} of {content['steps']} steps, {done / 60:.0f} minutes."
    final = table(
        ["measure", "measured"],
        [
            [
                "one-to-one test accuracy",
                percent(content["test_accuracy"])
                if "test_accuracy" in content
                else "not measured yet: the run is not at its end",
            ]
        ],
    )
    # Every pass over the data would be a long table: the last pass of each thousand steps.
    shown = {point["step"] // 1000: point for point in curve}.values()
    points = table(
        ["step", "training accuracy", "score", "agreement"],
        (
            [p["step"], percent(p["train_accuracy"]), decimals(p["score"]), percent(p["agreement"])]
            for p in shown
        ),
    )
    return "\n\n".join([state, final, folded("The course of the run", points)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--full", action="store_true", help="the paper's own widths")
    options.add_argument("--seed", type=int, default=100)
    options.add_argument("--steps", type=int, default=N_STEPS)
    options.add_argument("--quick", action="store_true", help="few rows and steps, to try it")
    options.add_argument("--state", type=Path, help="where the unfinished model is kept")
    options.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    options = options.parse_args()
    name = "paper_full" if options.full else "paper_half"
    output = output_path(options, name)
    unfinished = f"{name}_{options.seed}{'_quick' if options.quick else ''}.joblib"
    state = options.state or Path(tempfile.gettempdir()) / unfinished
    head = {"environment": environment(), "quick": options.quick}
    n_steps = 1 if options.quick else options.steps
    head |= {"seed": options.seed, "steps": n_steps}
    data = rows(options.quick)
    new = new_model(options.full, options.seed, n_steps)
    gan, curve = joblib.load(state) if state.exists() else (new, [])
    with threadpool_limits(1):
        while not curve or curve[-1]["step"] < n_steps:
            curve.append(train_one_pass(gan, data))
            joblib.dump((gan, curve), state)
            write(output, {**head, "curve": curve})
            print(curve[-1], flush=True)
        final = {
            **test_results(gan, data, averaged=True),
            "as_they_are": test_results(gan, data, averaged=False),
        }
    write(output, {**head, "curve": curve, **final})
    print(final)


if __name__ == "__main__":
    main()
