"""What a training is built from, as plain frozen data."""

from dataclasses import dataclass

from ._architectures import Architecture
from ._augmentation import Augmentation
from ._codes import CodeSpec
from ._layout import Layout
from ._presets import Recipe

STEPS_PER_EPOCH = 50


@dataclass(frozen=True, eq=False)
class Settings:
    """What a training is built from: enough to rebuild it around stored weights."""

    spec: CodeSpec
    layout: Layout
    architecture: Architecture
    recipe: Recipe
    augment: Augmentation
    seed: int
