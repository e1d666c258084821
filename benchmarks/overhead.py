"""The time of a fit relative to a bare torch loop of the same networks, losses, batches and steps.

    python benchmarks/overhead.py    # -> results/overhead.json

Whole fits at the default budget. After each epoch of a fit the bare loop takes as many steps in the
same process, so that both run under the same load; each number is the median of the rounds' ratios
of CPU time. A fit also checks X, validates every 50 steps, records every loss, chooses among
sub-heads, labels its rows and looks for signs of collapse. The bare loop does none of this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _shared import (
    CONSISTENCY,
    GAME,
    MNIST_SHAPE,
    QUICK,
    Row,
    decimals,
    environment,
    output_path,
    parser,
    reported,
    table,
    write,
)
from sklearn.datasets import load_digits, make_blobs
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._base import new_training
from sklearn_binfogan._phases import backward
from sklearn_binfogan._settings import STEPS_PER_EPOCH
from sklearn_binfogan.datasets import load_mnist

ROUNDS = {"mnist_conv": 2, "digits_conv": 5, "tiny_mlp": 7}


def mnist() -> tuple[np.ndarray, dict[str, Any]]:
    return load_mnist().X_train, {"image_shape": MNIST_SHAPE}


def digits() -> tuple[np.ndarray, dict[str, Any]]:
    return load_digits().data, {"image_shape": (8, 8)}


def blobs() -> tuple[np.ndarray, dict[str, Any]]:
    return make_blobs(300, centers=4, random_state=0)[0], {"n_clusters": 4}


CASES: dict[str, Callable[[], tuple[np.ndarray, dict[str, Any]]]] = {
    "mnist_conv": mnist,
    "digits_conv": digits,
    "tiny_mlp": blobs,
}


def bare_phase(trainer: Any, name: str) -> Iterator[None]:
    """Forward, backward, Adam and running averages, nothing else; an epoch at a time."""
    phase = trainer.begin(name)
    batches = trainer.new_batches(phase.budget, STEPS_PER_EPOCH)
    while batches.remaining:
        for x in batches:
            if name == CONSISTENCY:
                backward(trainer.consistency.loss(x), trainer.consistency.optimizer)
            else:
                trainer.game.backward(*trainer.game.losses(x))
            for optimizer, _ in phase.optimizers:
                optimizer.step()
            phase.n_steps += 1
            trainer.players.update_ema(phase.average_decay)
        yield


def bare_fit(trainer: Any) -> Iterator[None]:
    """Both phases, an epoch at a time."""
    yield from bare_phase(trainer, CONSISTENCY)
    yield from bare_phase(trainer, GAME)


class Bare(Callback):
    """Takes an epoch of the bare loop after each of a fit; `seconds` of CPU time so far."""

    def __init__(self, trainer: Any) -> None:
        self.epochs, self.seconds = bare_fit(trainer), 0.0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        start = time.process_time()
        next(self.epochs)
        self.seconds += time.process_time() - start


def seconds_of_both(X: np.ndarray, parameters: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of the bare loop and of a fit, run in turns."""
    gan = BInfoGANTransformer(random_state=0, device="cpu", **parameters)
    bare = Bare(new_training(gan, X))
    gan = BInfoGANTransformer(callbacks=[bare], random_state=0, **parameters)
    start = time.process_time()
    gan.fit(X)
    both = time.process_time() - start
    if next(bare.epochs, "none left") != "none left":
        raise RuntimeError("The bare loop has not taken as many steps as the fit.")
    return bare.seconds, both - bare.seconds


def measure(name: str, rounds: int, quick: bool) -> Row:
    """Ratio of the two, round by round."""
    X, parameters = CASES[name]()
    if quick:
        X, parameters = X[:2000], parameters | QUICK
    bare, fitted = np.array([seconds_of_both(X, parameters) for _ in range(rounds)]).T
    ratios = fitted / bare
    return {
        "ratio": float(np.median(ratios)),
        "ratios": ratios.tolist(),
        "bare_seconds": float(np.median(bare)),
        "fit_seconds": float(np.median(fitted)),
    }


FITS = {
    "mnist_conv": "MNIST, default networks",
    "digits_conv": "digits, default networks",
    "tiny_mlp": "a table of 300 rows",
}


@reported(
    "A whole fit relative to a bare loop",
    "overhead",
    "benchmarks/overhead.py",
    "How many times as long a fit takes as a plain PyTorch loop of the same steps. The rest is "
    "validation, history, callbacks and scores.",
)
def section(content: Row) -> str:
    lines = (
        [
            name,
            decimals(content[key]),
            " to ".join(decimals(end(content["details"][key]["ratios"])) for end in (min, max)),
            f"{content['details'][key]['fit_seconds']:.1f}",
        ]
        for key, name in FITS.items()
        if key in content
    )
    header = ["fit", "over the bare loop", "range", "CPU seconds of a fit"]
    return table(header, lines)


def main() -> None:
    options = parser(__doc__.splitlines()[0]).parse_args()
    details: dict[str, Row] = {}
    for name in CASES:
        with threadpool_limits(1):
            details[name] = measure(name, 1 if options.quick else ROUNDS[name], options.quick)
        ratios = {case: row["ratio"] for case, row in details.items()}
        head = {"environment": environment(), "rounds": ROUNDS}
        write(output_path(options, "overhead"), {**head, **ratios, "details": details})
        print(name, details[name], flush=True)


if __name__ == "__main__":
    main()
