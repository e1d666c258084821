"""Architectures: plain data, mostly sizes, from which the networks are built."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from torch import nn

from ._codes import CodeSpec
from ._networks import (
    Centred,
    ConvGenerator,
    DenseGenerator,
    Discriminator,
    Encoder,
    LocalContrast,
    conv_stack,
    dense_stack,
    elu,
    initialise_by_first_axis,
    initialise_truncated,
    leaky_relu,
    leaky_stack,
    relu,
    set_batch_norm,
)

LEAST_CHANNELS = 8  # of a stage that is added for larger images


class Networks(NamedTuple):
    """The three players."""

    encoder: Encoder
    generator: nn.Module
    discriminator: nn.Module


@runtime_checkable
class Architecture(Protocol):
    """What `architecture` accepts besides a name: an object that builds the networks.

    It may also have a method `recipe(n_rows)`, which gives values for parameters left at "auto" as
    a dict. Missing ones follow the built-in preset for the kind of data.
    """

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build encoder, generator and discriminator for input (n_features,) or (C, H, W)."""


@dataclass(frozen=True)
class MLPArchitecture:
    """Fully connected networks for tables; they also accept flattened images."""

    category_hidden: tuple[int, ...] = (64, 64)
    style_hidden: tuple[int, ...] = (64,)
    generator_hidden: tuple[int, ...] = (64, 64)
    discriminator_hidden: tuple[int, ...] = (64,)
    n_heads: int = 8
    # No field: checkpoints that know nothing of it go on.
    category_activation: ClassVar[Callable[[], nn.Module]] = staticmethod(nn.Tanh)

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks for rows of any shape, flattened."""
        n_features = math.prod(shape)
        category = dense_stack([n_features, *self.category_hidden], type(self).category_activation)
        encoder = Encoder(
            spec,
            nn.Sequential(nn.Flatten(), category),
            self.category_hidden[-1],
            nn.Sequential(nn.Flatten(), dense_stack([n_features, *self.style_hidden])),
            self.style_hidden[-1],
            self.n_heads,
        )
        generator = DenseGenerator(spec, shape, self.generator_hidden)
        hidden = self.discriminator_hidden
        joint = leaky_stack([n_features + spec.width, *hidden, *hidden])
        discriminator = Discriminator(nn.Flatten(), nn.Identity(), joint, hidden[-1])
        return Networks(encoder, generator, discriminator)


@dataclass(frozen=True)
class LabelledMLPArchitecture(MLPArchitecture):
    """The same where most rows have a label: classes may be of any shape, as clusters are not."""

    category_hidden: tuple[int, ...] = (256,)
    n_heads: int = 1
    category_activation: ClassVar[Callable[[], nn.Module]] = staticmethod(relu)


@dataclass(frozen=True)
class ConvArchitecture:
    """Small convolutional networks for images; by default for images below 16 pixels a side.

    Their depth follows the number of pixels. Images of more than `most_pixels` get a stage for
    each halving of their sides down to that number: before E's and D's convolutions, and after
    G's. A stage halves or doubles the sides. It has half the channels of the stage next to it, but
    at least 8. All of G's stages then are resize-convolutions. So the other layers, dense ones
    above all, are as large for any image as for one of `most_pixels`, and a step's cost grows at
    most as the pixels do.
    """

    category_channels: tuple[int, ...] = (16, 32, 128)
    category_strides: tuple[int, ...] = (1, 2, 2)
    category_dense: int = 256
    style_channels: tuple[int, ...] = (16, 32)
    style_dense: int = 128
    style_norm: bool = True  # group norm, which hides an image's brightness and contrast from z
    generator_channels: tuple[int, ...] = (64, 32)
    discriminator_channels: tuple[int, ...] = (32, 64)
    discriminator_dense: int = 256
    discriminator_code: tuple[int, ...] = (128, 128)
    n_heads: int = 6
    n_overclustering_heads: int = 2
    category_activation: Callable[[], nn.Module] = elu
    local_contrast: bool = False  # whether the category branch sees it instead of the pixels
    contrast_side: int = 17  # of its neighbourhood, in pixels
    generator_resizes: bool = False  # whether G has resize-convolutions, which leave no grid
    most_pixels: int = 0  # of an image without further stages; 0: no image gets any

    def deepened(self, n_stages: int) -> Self:
        """Give the networks that have some stages more, for images of any size."""
        return replace(
            self,
            category_channels=_with_stages_before(self.category_channels, n_stages),
            category_strides=(2,) * n_stages + self.category_strides,
            style_channels=_with_stages_before(self.style_channels, n_stages),
            generator_channels=_with_stages_before(self.generator_channels[::-1], n_stages)[::-1],
            discriminator_channels=_with_stages_before(self.discriminator_channels, n_stages),
            generator_resizes=True,
            contrast_side=(self.contrast_side - 1) * 2**n_stages + 1,
            most_pixels=0,
        )

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks for images of shape (C, H, W)."""
        n_stages = halvings(math.prod(shape[1:]), self.most_pixels)
        if n_stages:
            return self.deepened(n_stages).build(spec, shape)
        activation = self.category_activation
        seen = (1, *shape[1:]) if self.local_contrast else shape
        category, width = conv_stack(
            seen, self.category_channels, self.category_strides, "batch", activation
        )
        if self.local_contrast:
            category.insert(0, LocalContrast(self.contrast_side))
        category.extend(dense_stack([width, self.category_dense], activation, batch_norm=True))
        norm = "group" if self.style_norm else "none"
        style, width = conv_stack(shape, self.style_channels, norm=norm)
        if not self.style_norm:
            style.insert(0, Centred())
        style.extend(dense_stack([width, self.style_dense]))
        encoder = Encoder(
            spec,
            category,
            self.category_dense,
            style,
            self.style_dense,
            self.n_heads,
            self.n_overclustering_heads,
        )
        generator = ConvGenerator(
            spec, shape, self.generator_channels, resizes=self.generator_resizes
        )
        data, width = conv_stack(shape, self.discriminator_channels, activation=leaky_relu)
        data.extend(dense_stack([width, self.discriminator_dense], leaky_relu))
        width, code_width = self.discriminator_dense, self.discriminator_code[-1]
        codes = leaky_stack([spec.width, *self.discriminator_code])
        joint = leaky_stack([width + code_width, width])
        discriminator = Discriminator(data, codes, joint, width)
        return Networks(encoder, generator, discriminator)


def halvings(n_pixels: int, most_pixels: int) -> int:
    """Least number of halvings of both sides that leave at most `most_pixels`; 0 if that is 0."""
    ratio = n_pixels / most_pixels if most_pixels else 1.0
    return max(math.ceil(math.log(ratio, 4)), 0)


def _with_stages_before(channels: tuple[int, ...], n_stages: int) -> tuple[int, ...]:
    """Channels of stages, before which come others with half the channels of the next one."""
    for _ in range(n_stages):
        first = channels[0]
        channels = (max(first // 2, min(first, LEAST_CHANNELS)), *channels)
    return channels


@dataclass(frozen=True)
class PaperArchitecture:
    """The paper's networks (Hinz & Wermter 2018, supplement); by default those for MNIST.

    Encoder and generator have one entry per convolution, as the supplement's tables do. Initial
    weights and the numbers of batch norm are those of the reference code.
    """

    generator_channels: tuple[int, ...] = (64, 128, 64)
    generator_strides: tuple[int, ...] = (2, 1, 2)
    generator_kernels: tuple[int, ...] = ()  # empty: all 4
    encoder_channels: tuple[int, ...] = (32, 64, 128)
    encoder_strides: tuple[int, ...] = (1, 2, 2)
    encoder_dense: int = 1024
    discriminator_channels: tuple[int, ...] = (64, 128)
    discriminator_kernel: int = 3
    discriminator_dense: int = 512
    discriminator_code: tuple[int, ...] = (64, 128)
    discriminator_joint: int = 1024
    noise: tuple[float, ...] = (0.3, 0.5, 0.5)  # after the layers of D's trunks
    generator_deviation: float = 0.02  # of G's initial weights
    norm_epsilon: float = 1e-3
    norm_momentum: float = 1e-3  # running statistics decay by 0.999

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks for images of shape (C, H, W)."""
        generator = ConvGenerator(
            spec,
            shape,
            self.generator_channels,
            self.generator_strides,
            self.generator_kernels,
            norm_by_unit=True,
        )
        initialise_truncated(generator, self.generator_deviation)
        encoder, discriminator = self._encoder(spec, shape), self._discriminator(spec, shape)
        initialise_by_first_axis(encoder)
        initialise_by_first_axis(discriminator)
        networks = Networks(encoder, generator, discriminator)
        for network in networks:
            set_batch_norm(network, self.norm_epsilon, self.norm_momentum)
        return networks

    def _encoder(self, spec: CodeSpec, shape: tuple[int, ...]) -> Encoder:
        trunk, width = conv_stack(
            shape, self.encoder_channels, self.encoder_strides, "batch", padding=0
        )
        trunk.extend(dense_stack([width, self.encoder_dense], batch_norm=True))
        width = self.encoder_dense
        return Encoder(spec, trunk, width, trunk, width, style_reads_categories=False)

    def _discriminator(self, spec: CodeSpec, shape: tuple[int, ...]) -> Discriminator:
        data, width = conv_stack(
            shape,
            self.discriminator_channels,
            norm="batch",
            padding=0,
            noise=self.noise,
            kernel=self.discriminator_kernel,
        )
        dense = partial(dense_stack, batch_norm=True, noise=self.noise[2:])
        data.extend(dense([width, self.discriminator_dense]))
        width, joint_width = self.discriminator_dense, self.discriminator_joint
        codes = self._code_layers([spec.width, *self.discriminator_code, width])
        return Discriminator(data, codes, dense([2 * width, joint_width]), joint_width)

    def _code_layers(self, sizes: Sequence[int]) -> nn.Module:
        """Build 1 x 1 convolutions on codes, then a dense layer."""
        *channels, width = sizes
        as_map = (channels[0], 1, 1)
        strides = (1,) * (len(channels) - 1)
        layers, n_features = conv_stack(
            as_map, channels[1:], strides, "batch", padding=0, noise=self.noise, kernel=1
        )
        dense = dense_stack([n_features, width], batch_norm=True, noise=self.noise[2:])
        return nn.Sequential(nn.Unflatten(1, as_map), *layers, *dense)


ARCHITECTURES = (MLPArchitecture, LabelledMLPArchitecture, ConvArchitecture, PaperArchitecture)
