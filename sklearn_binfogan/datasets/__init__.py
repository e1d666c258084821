"""Readers of public data sets, which are not part of the package, and generated data sets."""

from ._celeba import load_celeba
from ._mnist import load_mnist
from ._photos import make_mnist_on_photos
from ._shapes import make_shapes
from ._svhn import load_svhn

__all__ = ["load_celeba", "load_mnist", "load_svhn", "make_mnist_on_photos", "make_shapes"]
