"""Does the game teach the categories more, if they are freed after it?

    python benchmarks/freed_categories.py    # seeds 100 to 104 -> results/freed_categories.json

In the game the category branch is frozen. Here the game goes on after the fit, for a quarter of its
steps at a fixed part of its first rates, with the category branch trained by all terms: the
adversarial one, the mutual information of samples, and the consistency term of real rows. In the
control the consistency term goes on alone. Accuracy is one-to-one, on the training rows, by the
running averages. MNIST and clothing: 20 000 training images; hands: 32 x 32 pixels.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from _shared import (
    GAME,
    QUICK,
    Measure,
    Row,
    groups_table,
    numbers_only,
    parser,
    print_table,
    reported,
    run,
    whole,
)
from image_categories import IMAGES as READERS
from samples import split

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._model import FittedModel
from sklearn_binfogan._trainer import Trainer
from sklearn_binfogan.metrics import cluster_accuracy

TABLES = ["wdbc", "vehicle", "segment", "satimage", "penbased", "twonorm"]
IMAGES = ["digits", "MNIST", "clothing", "hands"]
SEEDS = range(100, 105)
N_IMAGES = 20_000
SHARE = 0.25  # steps, relative to those of the game
FORMS = {  # rates relative to the game's first; whether all terms count or consistency alone
    "all terms, rates / 10": (0.1, True),
    "all terms, rates / 100": (0.01, True),
    "consistency alone, rates / 10": (0.1, False),
}


def rows_and_classes(data: str) -> tuple[np.ndarray, np.ndarray, tuple[int, ...] | None]:
    """Training rows, their classes and the shape of images."""
    if data in TABLES:
        X, _, y, _ = split(data, 0)
        return X, y, None
    read, shape, _ = READERS[data.lower()]
    found = read()
    X, y = found.X_train[:N_IMAGES], found.y_train[:N_IMAGES]
    if data == "hands":
        X, shape = block_means(X.reshape(-1, *shape)).reshape(len(X), -1), (32, 32, 3)
    return X, y, shape


def block_means(images: np.ndarray) -> np.ndarray:
    """Images (n, H / 2, W / 2, C) of the means over blocks of 2 x 2 pixels."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def measure(data: str, seed: int, quick: bool) -> Row:
    """Accuracy after a fit, and after each way to go on."""
    X, y, shape = rows_and_classes(data)
    if quick:
        X, y = X[:500], y[:500]
    gan = BInfoGANTransformer(
        n_clusters=len(np.unique(y)),
        image_shape=shape,
        random_state=seed,
        **(QUICK if quick else {}),
    )
    start = time.process_time()
    gan.fit(X)
    seconds = time.process_time() - start
    row = {"before": cluster_accuracy(y, gan.labels_), "fit_seconds": seconds}
    for form, (factor, with_game) in FORMS.items():
        labels = gone_on(fitted_model(gan), X, factor, with_game).predict(X)[:, 0]
        row[form] = cluster_accuracy(y, labels)
    return row


def gone_on(model: FittedModel, X: np.ndarray, factor: float, with_game: bool) -> FittedModel:
    """Train a copy of a model further, with its category branch freed."""
    trainer = Trainer(model.settings, state=model.state()).load_rows(X)
    n_steps = max(int(SHARE * trainer.steps[GAME]), 1)
    phase: Any = trainer.begin(GAME)
    phase.category_branch_is_frozen = False
    phase.train_mode()
    for weight in trainer.players.encoder.category_parameters():
        weight.requires_grad_(True)
    if not with_game:
        phase = trainer.consistency
    phase.rate_factor = lambda share: factor
    for x in trainer.new_batches(n_steps, n_steps):
        phase.step(x)
    return FittedModel(trainer, model.order)


MEASURES = [
    Measure("before", "after the fit"),
    *(Measure(form, f"{form}, gone on") for form in FORMS),
    Measure("fit_seconds", "CPU seconds of the fit", shown=whole, worst=max),
]


@reported(
    "Does the game teach the categories more?",
    "freed_categories",
    "benchmarks/freed_categories.py",
    "Cluster accuracy on the training rows after a fit, in whose game the category branch is "
    "frozen, and after a quarter of the game's steps more with the branch freed.",
)
def section(content: Row) -> str:
    rows = content["rows"]
    n_sets = len({row["data"] for row in rows})
    gains = {form: [row[form] - row["before"] for row in rows] for form in FORMS}
    means = "; ".join(
        f"{form}: {100 * np.mean(gain):+.2f} points, worst fit {100 * min(gain):+.1f}"
        for form, gain in gains.items()
    )
    summary = f"Mean change over {len(rows)} fits of {n_sets} sets: {means}."
    return f"{summary}\n\n{groups_table('data', rows, MEASURES)}"


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    seeds = options.seeds or SEEDS
    cases = [{"data": data, "seed": seed} for seed in seeds for data in [*TABLES, *IMAGES]]
    rows = run("freed_categories", partial(measure, quick=options.quick), cases, options)
    print_table(numbers_only(rows))


if __name__ == "__main__":
    main()
