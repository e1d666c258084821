"""Training on one GPU: steps a second, MNIST, the paper's preset, the largest batch.

    python benchmarks/gpu.py    # -> results/gpu.json

Needs a CUDA device. Written without one at hand: no number of it has been measured yet.
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
    output_path,
    parser,
    percent,
    reported,
    table,
    timed,
    write,
)

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan.datasets import load_mnist
from sklearn_binfogan.metrics import cluster_accuracy

STEPS, WARM_UP_STEPS, SEED = 200, 20, 100
PAPER_STEPS = 30_000
FITS = ("eager", "compiled", "graph")  # ways of whole fits
WAYS: dict[str, dict[str, Any]] = {
    "eager": {},
    "eager, bf16": {"precision": "bf16"},
    "compiled": {"compile": True},
    "compiled, bf16": {"compile": True, "precision": "bf16"},
    "graph": {"compile": "reduce-overhead"},
    "graph, bf16": {"compile": "reduce-overhead", "precision": "bf16"},
}


def model(**parameters: Any) -> BInfoGANTransformer:
    return BInfoGANTransformer(
        image_shape=MNIST_SHAPE, device="cuda", random_state=SEED, **parameters
    )


def step_of(phase: str, X: np.ndarray, **parameters: Any) -> Callable[[], Any]:
    """A step of one phase as a fit takes it: batch, averages and record included."""
    trainer, batches = begun(model(**parameters), X, phase)
    net = trainer.net
    net.history.new_epoch()

    def step() -> None:
        net.history.new_batch()
        net.train_step(next(batches))

    return step


def steps_a_second(step: Callable[[], Any], n_steps: int) -> float:
    for _ in range(WARM_UP_STEPS):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    torch.cuda.synchronize()
    return n_steps / (time.perf_counter() - start)


def speeds(X: np.ndarray, n_steps: int) -> Row:
    """Steps a second of every way to run them, for the default networks and the paper's."""
    rates: Row = {}
    for way, parameters in WAYS.items():
        rates[way] = {
            phase: steps_a_second(step_of(phase, X, **parameters), n_steps)
            for phase in (CONSISTENCY, GAME)
        }
        paper = step_of(GAME, X, architecture="paper-mnist", **parameters)
        rates[way]["paper"] = steps_a_second(paper, n_steps)
    return rates


def fits(data: Any, **parameters: Any) -> Row:
    """Accuracy on the test images and seconds of a whole fit, by every way."""
    rows: Row = {}
    for way in FITS:
        gan = model(**WAYS[way], **parameters)
        seconds = timed(gan.fit, data.X_train)
        accuracy = float(cluster_accuracy(data.y_test, gan.predict(data.X_test)))
        rows[way] = {"seconds": seconds, "accuracy": accuracy, "steps": gan.n_iter_}
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
    speeds = content.get("steps_a_second", {})
    phases = list(next(iter(speeds.values()), {}))
    steps = ([way, *(f"{row[phase]:.0f}" for phase in phases)] for way, row in speeds.items())
    fits = (
        [name, way, f"{row['seconds']:.0f}", percent(row["accuracy"]), row["steps"]]
        for name in ("mnist", "paper")
        for way, row in content.get(name, {}).items()
    )
    largest = content.get("largest_batch", "not measured")
    parts = [
        f"{content['gpu']}. Largest batch that fits: {largest}.",
        "Steps a second:",
        table(["way", *phases], steps),
        "Whole fits of MNIST, by the default networks and by the paper's preset:",
        table(["networks", "way", "seconds", "test accuracy", "steps"], fits),
    ]
    return "\n\n".join(parts)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a CUDA device, and there is none.")
    torch.set_num_threads(1)
    data = load_mnist()
    tiny = QUICK if options.quick else {}
    paper_steps = 20 if options.quick else PAPER_STEPS
    measures: dict[str, Callable[[], Any]] = {
        "largest_batch": lambda: largest_batch(data.X_train),  # before graphs take memory
        "steps_a_second": lambda: speeds(data.X_train, 5 if options.quick else STEPS),
        "mnist": lambda: fits(data, **tiny),
        "paper": lambda: fits(data, architecture="paper-mnist", max_iter=paper_steps),
    }
    results: Row = {"environment": environment(), "gpu": torch.cuda.get_device_name()}
    for name, measure in measures.items():
        results[name] = measure()
        print(name, results[name], flush=True)
        write(output_path(options, "gpu"), results)


if __name__ == "__main__":
    main()
