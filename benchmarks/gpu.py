"""Training on one GPU: the time of a step with each setting, fits of MNIST, the largest batch.

    python benchmarks/gpu.py    # -> results/gpu.json

Needs a CUDA device. Whole runs of the paper's preset: `paper_mnist.py --full`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _shared import (
    CONSISTENCY,
    GAME,
    MNIST_SHAPE,
    QUICK,
    Row,
    begun,
    environment,
    mnist,
    output_path,
    parser,
    percent,
    reported,
    table,
    timed,
    write,
)

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._threads import training_on
from sklearn_binfogan.metrics import cluster_accuracy

STEPS, WARM_UP_STEPS, SEED = 200, 20, 100
FITS = ("graph", "graph, bf16")  # ways of whole fits
WAYS: dict[str, dict[str, Any]] = {
    "graph": {},
    "graph, bf16": {"precision": "bf16"},
    "eager": {"cuda_graph": False},
}
# For each part of a fit, the parameters that train only this part.
PARTS: dict[str, dict[str, Any]] = {"clusters": {"max_iter": 0}, "whole fit": {}}


def model(**parameters: Any) -> BInfoGANTransformer:
    return BInfoGANTransformer(
        image_shape=MNIST_SHAPE, device="cuda", random_state=SEED, **parameters
    )


def step_of(phase: str, X: np.ndarray, **parameters: Any) -> Callable[[], Any]:
    """A step of one phase as a fit takes it, but for what comes once an epoch."""
    trainer, batches = begun(model(**parameters), X, phase)
    trainer.net.history.new_epoch()

    def step() -> None:
        trainer.net.history.new_batch()  # the net alone would not keep its trainer alive
        trainer.net.train_step(next(batches))

    return step


def milliseconds(step: Callable[[], Any], n_steps: int) -> float:
    """Mean time of a step, after some that warm up and are captured."""
    for _ in range(WARM_UP_STEPS):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start) / n_steps


def steps(X: np.ndarray, n_steps: int) -> Row:
    """Milliseconds of a step with each setting, for the default networks and the paper's."""
    rows: Row = {}
    for way, parameters in WAYS.items():
        paper = {"architecture": "paper-mnist", **parameters}
        cases = ((CONSISTENCY, CONSISTENCY, parameters), (GAME, GAME, parameters))
        with training_on("cuda"):
            rows[way] = {
                name: milliseconds(step_of(phase, X, **given), n_steps)
                for name, phase, given in (*cases, ("paper", GAME, paper))
            }
    return rows


def fits(data: Any, **parameters: Any) -> Row:
    """Accuracy on the test images and seconds of MNIST's clusters and of a whole fit."""
    rows: Row = {}
    for way in FITS:
        for part, budget in PARTS.items():
            gan = model(**WAYS[way], **parameters | budget)
            seconds = timed(gan.fit, data.X_train)
            accuracy = float(cluster_accuracy(data.y_test, gan.predict(data.X_test)))
            rows[f"{part}, {way}"] = {"seconds": seconds, "accuracy": accuracy}
    return rows


def largest_batch(X: np.ndarray) -> int:
    """Largest power of two of rows of which a step of the game fits."""
    size = 256
    while True:
        try:
            step_of(GAME, np.resize(X, (2 * size + 1000, X.shape[1])), batch_size=size)()
        except torch.OutOfMemoryError:
            return size // 2
        torch.cuda.empty_cache()
        size *= 2


@reported("On a GPU", "gpu", "benchmarks/gpu.py")
def section(content: Row) -> str:
    steps = content.get("milliseconds_a_step", {})
    names = list(next(iter(steps.values()), {}))
    lines = ([way, *(f"{row[name]:.2f}" for name in names)] for way, row in steps.items())
    fits = (
        [name, f"{row['seconds']:.1f}", percent(row["accuracy"])]
        for name, row in content.get("mnist", {}).items()
    )
    largest = content.get("largest_batch", "not measured")
    parts = [
        f"{content['gpu']}. The largest batch of the game's steps that fits: {largest}.",
        'Milliseconds of a step of 128 images of MNIST; "paper" is the paper\'s preset:',
        table(["way", *names], lines),
        "Fits of MNIST's 60 000 images by the default networks:",
        table(["fit", "seconds", "test accuracy"], fits),
    ]
    return "\n\n".join(parts)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a CUDA device, and there is none.")
    torch.set_num_threads(1)
    data = mnist(options.quick)
    tiny = QUICK if options.quick else {}
    measures: dict[str, Callable[[], Any]] = {
        "milliseconds_a_step": lambda: steps(data.X_train, 5 if options.quick else STEPS),
        "mnist": lambda: fits(data, **tiny),
        "largest_batch": lambda: largest_batch(data.X_train),
    }
    results: Row = {"environment": environment(), "gpu": torch.cuda.get_device_name()}
    for name, measure in measures.items():
        results[name] = measure()
        print(name, results[name], flush=True)
        write(output_path(options, "gpu"), results)


if __name__ == "__main__":
    main()
