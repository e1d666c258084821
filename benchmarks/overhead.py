"""What a fit costs over a bare torch loop of the same networks, losses, batches and steps.

    python benchmarks/overhead.py    # -> results/overhead.json

Whole fits at the default budget. After each epoch of a fit the bare loop takes as many steps in the
same process, so that both meet the same machine; each number is the median of the rounds' ratios of
CPU time. A fit also checks X, judges itself every 50 steps, records every loss, chooses among
candidate heads, labels its rows and looks for signs of collapse: the bare loop does none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _report import Row, environment, output_path, parser, write
from sklearn.datasets import load_digits, make_blobs
from sklearn_binfogan._training import AVERAGE_DECAY, CONSISTENCY, GAME, AdversarialNet
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._rows import Batches
from sklearn_binfogan._settings import STEPS_PER_EPOCH
from sklearn_binfogan.datasets import load_mnist

ROUNDS = {"mnist_conv": 2, "digits_conv": 5, "tiny_mlp": 7}


def mnist() -> tuple[np.ndarray, dict[str, Any]]:
    return load_mnist().X_train, {"image_shape": (28, 28)}


def digits() -> tuple[np.ndarray, dict[str, Any]]:
    return load_digits().data, {"image_shape": (8, 8)}


def table() -> tuple[np.ndarray, dict[str, Any]]:
    return make_blobs(300, centers=4, random_state=0)[0], {"n_clusters": 4}


CASES: dict[str, Callable[[], tuple[np.ndarray, dict[str, Any]]]] = {
    "mnist_conv": mnist,
    "digits_conv": digits,
    "tiny_mlp": table,
}


def new_net(X: np.ndarray, parameters: dict[str, Any]) -> AdversarialNet:
    """The net that a fit would train, with its rows."""
    settings = BInfoGANTransformer(random_state=0, **parameters)._settings(X, seed=0)
    net = AdversarialNet(settings).initialize()
    net.load_rows(X)
    return net


def bare_phase(net: AdversarialNet, phase: str, n_steps: int) -> Iterator[None]:
    """Forward, backward, Adam and running averages, nothing else; an epoch at a time."""
    players = net.module_.train()
    net.phase_ = phase
    net._protect_categories()
    if net.protected_:
        players.encoder.category_trunk.eval()
    batch_size = net.settings.recipe.batch_size
    batches = Batches(net.rows_, net.train_index_, batch_size, n_steps, STEPS_PER_EPOCH, net.rng_)
    while batches.remaining:
        for x in batches:
            if phase == CONSISTENCY:
                net._backward(net.consistency_loss(x), net.warmup_optimizer_)
                net.warmup_optimizer_.step()
            else:
                net._game_backward(*net.game_losses(x))
                net.discriminator_optimizer_.step()
                net.optimizer_.step()
            net.steps_[phase] += 1
            players.update_ema(AVERAGE_DECAY[phase])
        yield


def bare_fit(net: AdversarialNet) -> Iterator[None]:
    """Both phases, an epoch at a time."""
    yield from bare_phase(net, CONSISTENCY, net.settings.recipe.warmup_iter)
    yield from bare_phase(net, GAME, net.settings.recipe.max_iter)


class Bare(Callback):
    """Takes an epoch of the bare loop after each of a fit; `seconds` of CPU time so far."""

    def __init__(self, net: AdversarialNet) -> None:
        self.epochs, self.seconds = bare_fit(net), 0.0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        start = time.process_time()
        next(self.epochs)
        self.seconds += time.process_time() - start


def seconds_of_both(X: np.ndarray, parameters: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of the bare loop and of a fit, run in turns."""
    bare = Bare(new_net(X, parameters))
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
        parameters |= {"warmup_iter": 5, "max_iter": 5}
    bare, fitted = np.array([seconds_of_both(X, parameters) for _ in range(rounds)]).T
    ratios = fitted / bare
    return {
        "ratio": float(np.median(ratios)),
        "ratios": ratios.tolist(),
        "bare_seconds": float(np.median(bare)),
        "fit_seconds": float(np.median(fitted)),
    }


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
