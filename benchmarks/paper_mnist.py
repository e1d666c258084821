"""The paper's algorithm by itself on MNIST: its objective, losses and training, no term of ours.

    python benchmarks/paper_mnist.py          # half-width networks -> results/paper_half.json
    python benchmarks/paper_mnist.py --full   # the paper's networks -> results/paper_full.json

30 000 steps: about 110 minutes on one core at half width, six times that at full width, minutes
on a GPU. A run that was cut off goes on from its last pass over the data. The curve uses the
training labels; test images and labels are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
from _report import RESULTS, Row, environment, write
from threadpoolctl import threadpool_limits

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._architectures import PaperArchitecture
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.metrics import cluster_accuracy, match_clusters

N_STEPS = 30_000
HALF = PaperArchitecture(
    generator_channels=(64, 64),
    generator_strides=(2, 2),
    encoder_channels=(16, 32, 64),
    encoder_strides=(2, 2, 1),
    encoder_dense=512,
    discriminator_channels=(32, 64),
    discriminator_dense=256,
    discriminator_code=(32, 64),
    discriminator_joint=512,
)


def new_model(full: bool, seed: int, n_steps: int) -> BInfoGANTransformer:
    """An estimator that trains the paper's objective alone."""
    return BInfoGANTransformer(
        image_shape=(28, 28),
        architecture="paper-mnist" if full else HALF,
        max_iter=n_steps,
        random_state=seed,
    )


def test_accuracy(gan: BInfoGANTransformer, data: Any) -> float:
    """Accuracy on test images of the categories' assignment on training images."""
    digit_of, _ = match_clusters(data.y_train, gan.labels_)
    digits = [digit_of.get(k, -1) for k in gan.predict(data.X_test).tolist()]
    return float((digits == data.y_test).mean())


def train_one_pass(gan: BInfoGANTransformer, data: Any) -> Row:
    """Train for one pass over the data and say where the model stands."""
    start = time.perf_counter()
    gan.partial_fit(data.X_train)
    return {
        "step": gan.n_iter_,
        "seconds": time.perf_counter() - start,
        "train_accuracy": cluster_accuracy(data.y_train, gan.labels_),
        "score": gan.diagnostics_["score"],
        "agreement": gan.diagnostics_["agreement"],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--full", action="store_true", help="the paper's own widths")
    options.add_argument("--seed", type=int, default=100)
    options.add_argument("--steps", type=int, default=N_STEPS)
    options.add_argument("--state", type=Path, help="where the unfinished model is kept")
    options.add_argument("--output", type=Path, help="the JSON file; by default in results/")
    options = options.parse_args()
    name = "paper_full" if options.full else "paper_half"
    state = options.state or Path(tempfile.gettempdir()) / f"{name}_{options.seed}.joblib"
    output = options.output or RESULTS / f"{name}.json"
    head = {"environment": environment(), "seed": options.seed, "steps": options.steps}
    data = load_mnist()
    new = new_model(options.full, options.seed, options.steps)
    gan, curve = joblib.load(state) if state.exists() else (new, [])
    with threadpool_limits(1):
        while not curve or curve[-1]["step"] < options.steps:
            curve.append(train_one_pass(gan, data))
            joblib.dump((gan, curve), state)
            write(output, {**head, "curve": curve})
            print(curve[-1], flush=True)
        final = {"test_accuracy": test_accuracy(gan, data)}
    write(output, {**head, "curve": curve, **final})
    print(final)


if __name__ == "__main__":
    main()
