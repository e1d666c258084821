"""What a net is built from and trained by, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from ._architectures import Architecture
from ._augmentation import Augmentation
from ._codes import CodeSpec, Prior
from ._layout import Layout

RATE_FLOOR = 0.05
STEPS_PER_EPOCH = 50
CUDA_GRAPHS = "reduce-overhead"  # the mode of torch.compile that replays them
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """Every number of the training, resolved; names as the estimator's parameters."""

    mi_weight: float
    consistency_weight: float
    cycle_weight: float
    adversarial_loss: str
    warmup_iter: int
    max_iter: int
    batch_size: int
    learning_rate: float
    discriminator_learning_rate: float
    cluster_prior: str | Prior = "uniform"
    betas: tuple[float, float] = (0.5, 0.99)  # of Adam in the game
    rate_power: float = 1.0  # learning rates of the game decay by (1 - share of steps) ** power
    rate_floor: float = RATE_FLOOR  # to this share
    log_epsilon: float = 0.0  # added to probabilities before their logarithm, in the game's losses
    adversarial_weight: float = 1.0  # of G and E's adversarial term
    steadiness_weight: float = 0.0  # of T's change in the second half of the continuous codes
    marginal_weight: float = 0.0  # of the distance of E(x)'s continuous codes and z from U[-1, 1]
    label_weight: float = 0.0  # of labelled rows, where there are labels
    warmup_rate: float = 0.5  # learning rate of the consistency phase, relative to the game's
    precision: str = "float32"  # of the networks in training
    compile: bool | str = False  # or a mode of torch.compile


@dataclass(frozen=True, eq=False)
class Settings:
    """What a net is built from: enough to build it again around stored weights."""

    spec: CodeSpec
    layout: Layout
    architecture: Architecture
    recipe: Recipe
    augment: Augmentation
    seed: int
