"""Disentangled codes from unlabelled data: the Bidirectional-InfoGAN for scikit-learn."""

from ._augmentation import AffineMove, ColourMove, GaussianNoise, SwappedValues
from ._classifier import BInfoGANClassifier
from ._transformer import BInfoGANTransformer
from .persistence import load, save

__version__ = "0.2.0"

__all__ = [
    "AffineMove",
    "BInfoGANClassifier",
    "BInfoGANTransformer",
    "ColourMove",
    "GaussianNoise",
    "SwappedValues",
    "__version__",
    "load",
    "save",
]
