"""Networks as data: what each architecture builds from sizes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn

from ._codes import CodeSpec
from ._networks import (
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
    set_batch_norm,
)


class Networks(NamedTuple):
    """The three players."""

    encoder: Encoder
    generator: nn.Module
    discriminator: nn.Module


@runtime_checkable
class Architecture(Protocol):
    """What `architecture` accepts besides a name: an object that builds the networks.

    An object may also have `recipe(n_rows)`, a dict of values for `n_noise` and any field of
    `_presets.Recipe`; what it leaves out follows the built-in preset for the kind of data.
    """

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build encoder, generator and discriminator for input (n_features,) or (C, H, W)."""
        ...


@dataclass(frozen=True)
class MLPArchitecture:
    """Fully connected networks for tables (and, if asked for, flattened images)."""

    category_hidden: tuple[int, ...] = (64, 64)
    style_hidden: tuple[int, ...] = (64,)
    generator_hidden: tuple[int, ...] = (64, 64)
    discriminator_hidden: tuple[int, ...] = (64,)
    n_heads: int = 8

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks for rows of any shape, flattened."""
        n_features = math.prod(shape)
        encoder = Encoder(
            spec,
            nn.Sequential(nn.Flatten(), dense_stack([n_features, *self.category_hidden], nn.Tanh)),
            self.category_hidden[-1],
            nn.Sequential(nn.Flatten(), dense_stack([n_features, *self.style_hidden])),
            self.style_hidden[-1],
            self.n_heads,
        )
        generator = DenseGenerator(spec, shape, self.generator_hidden)
        discriminator = Discriminator(
            nn.Flatten(), n_features, spec.width, (), (*self.discriminator_hidden,) * 2
        )
        return Networks(encoder, generator, discriminator)


@dataclass(frozen=True)
class ConvArchitecture:
    """Small convolutional networks for images; by default for those under 16 pixels a side."""

    category_channels: tuple[int, ...] = (16, 32, 128)
    category_strides: tuple[int, ...] = (1, 2, 2)
    category_dense: int = 256
    style_channels: tuple[int, ...] = (16, 32)
    style_dense: int = 128
    generator_channels: tuple[int, ...] = (64, 32)
    discriminator_channels: tuple[int, ...] = (32, 64)
    discriminator_dense: int = 256
    discriminator_code: tuple[int, ...] = (128, 128)
    n_heads: int = 6
    n_overclustering_heads: int = 2
    category_activation: Callable[[], nn.Module] = elu
    local_contrast: bool = False  # whether that is what categories are read from

    def build(self, spec: CodeSpec, shape: tuple[int, ...]) -> Networks:
        """Build the networks for images of shape (C, H, W)."""
        activation = self.category_activation
        seen = (1, *shape[1:]) if self.local_contrast else shape
        category, width = conv_stack(
            seen, self.category_channels, self.category_strides, "batch", activation
        )
        if self.local_contrast:
            category.insert(0, LocalContrast())
        category.extend(dense_stack([width, self.category_dense], activation, batch_norm=True))
        style, width = conv_stack(shape, self.style_channels, (2, 2), "group")
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
        generator = ConvGenerator(spec, shape, self.generator_channels, "batch")
        data, width = conv_stack(shape, self.discriminator_channels, (2, 2), activation=leaky_relu)
        data.extend(dense_stack([width, self.discriminator_dense], leaky_relu))
        width = self.discriminator_dense
        discriminator = Discriminator(data, width, spec.width, self.discriminator_code, (width,))
        return Networks(encoder, generator, discriminator)


@dataclass(frozen=True)
class PaperArchitecture:
    """The paper's networks (Hinz & Wermter 2018, supplement); by default those for MNIST.

    Encoder and generator have one entry per convolution, as the supplement's tables do. Initial
    weights, numbers of batch norm and the logarithms' epsilon are those of the reference's code.
    """

    generator_channels: tuple[int, ...] = (64, 128, 64)
    generator_strides: tuple[int, ...] = (2, 1, 2)
    generator_kernels: tuple[int, ...] = ()  # none: 4 each
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
            "batch",
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
        channels = self.discriminator_channels
        data, width = conv_stack(
            shape,
            channels,
            (2,) * len(channels),
            "batch",
            padding=0,
            noise=self.noise,
            kernel=self.discriminator_kernel,
        )
        dense = partial(dense_stack, batch_norm=True, noise=self.noise[2:])
        data.extend(dense([width, self.discriminator_dense]))
        width = self.discriminator_dense
        return Discriminator(
            data,
            width,
            spec.width,
            (*self.discriminator_code, width),
            (self.discriminator_joint,),
            code_layers=self._code_layers,
            joint_layers=dense,
        )

    def _code_layers(self, sizes: Sequence[int]) -> nn.Module:
        """1 x 1 convolutions on codes, then a dense layer."""
        *channels, width = sizes
        as_map = (channels[0], 1, 1)
        strides = (1,) * (len(channels) - 1)
        layers, n_features = conv_stack(
            as_map, channels[1:], strides, "batch", padding=0, noise=self.noise, kernel=1
        )
        dense = dense_stack([n_features, width], batch_norm=True, noise=self.noise[2:])
        return nn.Sequential(nn.Unflatten(1, as_map), *layers, *dense)
