"""Disentangled codes from unlabelled data: the Bidirectional-InfoGAN for scikit-learn."""

from ._augmentation import AffineMove, GaussianNoise
from ._transformer import BInfoGANTransformer

__version__ = "0.1.0"

__all__ = ["AffineMove", "BInfoGANTransformer", "GaussianNoise", "__version__"]
