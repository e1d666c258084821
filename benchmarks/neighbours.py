"""The paper's algorithm, a BiGAN and an InfoGAN with the same budget on MNIST, seeds 100 to 102.

    python benchmarks/neighbours.py                # 3 000 steps -> results/neighbours.json
    python benchmarks/neighbours.py --steps 30000  # as many as the paper trains

- bidirectional: the paper's own algorithm.
- bigan: the same estimator with lambda 0 and a Z that is only noise, and k-means on E(x).
- infogan: a discriminator of images only; the head Q shares all but its last layer, as in Chen
  et al. 2016, and the category of an image is Q's. It is not part of the library.

All have the paper's networks at half width, the paper's batches, rates and losses, and
predict with running averages of their weights. Test images take the assignment of clusters to
digits found on training images. An interrupted run resumes after its last finished case.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from _shared import (
    FEW_SEEDS,
    HALF,
    QUICK,
    Measure,
    Row,
    groups_table,
    mnist,
    parser,
    print_table,
    reported,
    run,
    whole,
)
from sklearn.cluster import KMeans
from sklearn.utils import Bunch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan import _losses as losses
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import (
    AdditiveNoise,
    dense_stack,
    initialise_by_first_axis,
    set_batch_norm,
)
from sklearn_binfogan.metrics import match_clusters

N_STEPS = 3_000
SPEC = CodeSpec(categories=(10,), n_continuous=2, n_noise=16)
IMAGE = (1, 28, 28)
MI_WEIGHT = 1.0
Q_WIDTH = 128
AVERAGE_DECAY = 0.995  # as the library's

Labels = tuple[np.ndarray, np.ndarray]  # clusters of the training and of the test images


# -- the library's estimator ---------------------------------------------------------------------


def fitted(data: Bunch, seed: int, steps: int, **parameters: Any) -> BInfoGANTransformer:
    """An estimator that trains the paper's objective alone."""
    gan = BInfoGANTransformer(
        image_shape=data.image_shape,
        architecture=HALF,
        max_iter=steps,
        device="cpu",
        random_state=seed,
        **parameters,
    )
    return gan.fit(data.X_train)


def bidirectional(data: Bunch, seed: int, steps: int) -> Labels:
    """The paper's algorithm: categories are E's."""
    gan = fitted(data, seed, steps, mi_weight=MI_WEIGHT)
    return gan.labels_, gan.predict(data.X_test)


def bigan(data: Bunch, seed: int, steps: int) -> Labels:
    """A BiGAN whose Z has the same width but is all noise; categories are k-means' on E(x)."""
    gan = fitted(
        data,
        seed,
        steps,
        mi_weight=0.0,
        n_clusters=1,
        n_continuous=0,
        n_noise=SPEC.width,
        include_noise=True,
    )
    # The first column is the only category's probability: always 1.
    train, test = (gan.transform(X)[:, 1:] for X in (data.X_train, data.X_test))
    kmeans = KMeans(SPEC.n_categorical, n_init=10, random_state=seed).fit(train)
    return kmeans.labels_, kmeans.predict(test)


# -- InfoGAN ------------------------------------------------------------------------------------


class InfoGAN(nn.Module):
    """Generator, and a discriminator of images whose features the head Q reads too."""

    def __init__(self) -> None:
        super().__init__()
        networks = HALF.build(SPEC, IMAGE)
        half = HALF.networks
        sizes = [half.discriminator_dense, half.discriminator_joint]
        dense = dense_stack(sizes, batch_norm=True, noise=half.noise[2:])
        self.generator = networks.generator
        self.trunk = nn.Sequential(networks.discriminator.data_trunk, dense)
        self.output = nn.Linear(sizes[-1], 1)
        out = nn.Linear(Q_WIDTH, SPEC.n_categorical + SPEC.n_continuous)
        self.q = nn.Sequential(dense_stack([sizes[-1], Q_WIDTH], batch_norm=True), out)
        for own in (self.trunk, self.output, self.q):
            initialise_by_first_axis(own)
        set_batch_norm(self, half.norm_epsilon, half.norm_momentum)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D's logits (n,), and Q's outputs: logits of the category, then the continuous means."""
        features = self.trunk(x)
        return self.output(features).squeeze(1), self.q(features)

    def categories(self, x: Tensor) -> Tensor:
        """Most likely category of each image, (n,)."""
        return self.q(self.trunk(x))[:, : SPEC.n_categorical].argmax(dim=1)


def infogan_losses(model: InfoGAN, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Losses of D with its trunk, and of G and Q; lambda L_I is part of both."""
    codes = SPEC.draw(len(x), rng)
    real, _ = model.judge(x)
    fake, found = model.judge(model.generator(codes))
    n, epsilon = SPEC.n_categorical, HALF.recipe.log_epsilon
    information = losses.categorical_nll(SPEC, found[:, :n], codes[:, :n], epsilon)
    information = information + losses.continuous_nll(found[:, n:], codes[:, SPEC.continuous])
    return (
        losses.nonsaturating(real, fake, epsilon) + MI_WEIGHT * information,
        losses.nonsaturating(fake, real, epsilon) + MI_WEIGHT * information,
    )


def batches(images: Tensor, size: int, steps: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Shuffled batches of network input, pass after pass."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(images), generator=rng)
        index, order = order[:size], order[size:]
        yield network_input(images[index])


def network_input(images: Tensor) -> Tensor:
    """Rows of bytes as images in [0, 1]."""
    return images.unflatten(1, IMAGE).float() / 255


def new_infogan(seed: int, rng: torch.Generator) -> tuple[InfoGAN, AveragedModel]:
    """Initial networks and what will be their running average; torch's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = InfoGAN()
    average = get_ema_multi_avg_fn(AVERAGE_DECAY)
    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True).eval()
    for module in model.modules():
        if isinstance(module, AdditiveNoise):
            module.rng = rng
    return model, averaged


def optimizers(model: InfoGAN, steps: int) -> list[tuple[torch.optim.Adam, LambdaLR]]:
    """Adam and its decaying rate for D with its trunk, and for G and Q."""
    recipe = HALF.recipe
    power, floor = recipe.rate_power, recipe.rate_floor
    players = [
        (recipe.discriminator_learning_rate, (model.trunk, model.output)),
        (recipe.learning_rate, (model.generator, model.q)),
    ]
    adams = [
        torch.optim.Adam(nn.ModuleList(m).parameters(), rate, recipe.betas, fused=True)
        for rate, m in players
    ]
    return [
        (adam, LambdaLR(adam, lambda step: floor + (1 - floor) * (1 - step / steps) ** power))
        for adam in adams
    ]


def train_infogan(X: np.ndarray, seed: int, steps: int) -> InfoGAN:
    """The running average of an InfoGAN trained on rows of bytes, in eval mode."""
    rng = torch.Generator().manual_seed(seed)
    model, averaged = new_infogan(seed, rng)
    images = torch.from_numpy(np.array(X))
    both = optimizers(model, steps)
    weights = [adam.param_groups[0]["params"] for adam, _ in both]
    for x in batches(images, HALF.recipe.batch_size, steps, rng):
        # Both gradients before either step: D and (G, Q) learn from the same batch.
        terms = infogan_losses(model, x, rng)
        gradients = [
            torch.autograd.grad(loss, w, retain_graph=True)
            for loss, w in zip(terms, weights, strict=True)
        ]
        for (adam, rate), w, gradient in zip(both, weights, gradients, strict=True):
            for weight, g in zip(w, gradient, strict=True):
                weight.grad = g
            adam.step()
            rate.step()
        averaged.update_parameters(model)
    return averaged.module


@torch.no_grad()
def infogan_labels(model: InfoGAN, X: np.ndarray) -> np.ndarray:
    """Q's category of each row of bytes."""
    blocks = torch.from_numpy(np.array(X)).split(1000)
    return torch.cat([model.categories(network_input(block)) for block in blocks]).numpy()


def infogan(data: Bunch, seed: int, steps: int) -> Labels:
    """An InfoGAN: categories are Q's on D's features of real images."""
    model = train_infogan(data.X_train, seed, steps)
    return infogan_labels(model, data.X_train), infogan_labels(model, data.X_test)


# -- measures ----------------------------------------------------------------------------------

SYSTEMS = {"bidirectional": bidirectional, "bigan": bigan, "infogan": infogan}


def measure(system: str, seed: int, steps: int, data: Bunch) -> Row:
    """Accuracies of one system; the seconds are those of training and labelling all images."""
    torch.set_num_threads(1)  # threadpoolctl does not reach torch's own threads
    start = time.perf_counter()
    train, test = SYSTEMS[system](data, seed, steps)
    seconds = time.perf_counter() - start
    digit_of, accuracy = match_clusters(data.y_train, train)
    digits = [digit_of.get(k, -1) for k in test.tolist()]
    return {
        "train_accuracy": accuracy,
        "test_accuracy": float((digits == data.y_test).mean()),
        "seconds": seconds,
    }


def by_system(rows: list[Row]) -> list[Row]:
    """Mean and worst accuracy of each system over the seeds."""
    table = []
    for system in SYSTEMS:
        train, test = (
            [row[name] for row in rows if row["system"] == system]
            for name in ("train_accuracy", "test_accuracy")
        )
        table.append(
            {
                "system": system,
                "seeds": len(test),
                "train_mean": float(np.mean(train)),
                "train_worst": min(train),
                "test_mean": float(np.mean(test)),
                "test_worst": min(test),
            }
        )
    return table


@reported(
    "Its neighbours: InfoGAN and BiGAN",
    "neighbours",
    "benchmarks/neighbours.py",
    "The paper's game and the two models that it combines, half-width networks, few steps.",
)
def section(content: Row) -> str:
    measures = [
        Measure("test_accuracy", "test accuracy"),
        Measure("train_accuracy", "training accuracy"),
        Measure("steps", "steps", "", whole),
        Measure("seconds", "seconds", "", whole, max),
    ]
    return groups_table("system", content["rows"], measures)


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument(
        "--steps", type=int, default=N_STEPS, help="of training; the paper takes 30 000"
    )
    options = options.parse_args()
    steps = min(options.steps, QUICK["max_iter"]) if options.quick else options.steps
    cases = [
        {"system": system, "seed": seed, "steps": steps}
        for seed in options.seeds or FEW_SEEDS
        for system in SYSTEMS
    ]
    rows = run("neighbours", partial(measure, data=mnist(options.quick)), cases, options)
    print_table(rows)
    print_table(by_system(rows))


if __name__ == "__main__":
    main()
