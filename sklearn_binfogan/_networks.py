"""Encoder, generator and discriminator, built from sizes alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from ._codes import CodeSpec

FEW_CHANNELS = 1  # of an image
OVERCLUSTERING_RATIO = 4  # categories of an over-clustering head, per category
IN_COLOUR = 3  # channels
TINY = 1e-6


def elu() -> nn.Module:
    """Activation of encoder and generator, as in the paper."""
    # In-place is safe: the previous layer's backward does not need its output.
    return nn.ELU(inplace=True)


def relu() -> nn.Module:
    """Activation of the category branch for images of at least 16 pixels a side."""
    return nn.ReLU(inplace=True)


def leaky_relu() -> nn.Module:
    """Activation of the discriminator."""
    return nn.LeakyReLU(0.2, inplace=True)


class AdditiveNoise(nn.Module):
    """Gaussian noise in training, as between the layers of the paper's discriminator.

    Parameters
    ----------
    deviation : float
        Standard deviation.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation
        # Set by `Trainer`: the user's code owns torch's global generator.
        self.rng: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Add noise to x of any shape."""
        if not self.training:
            return x
        noise = torch.randn(x.shape, generator=self.rng, device=x.device, dtype=x.dtype)
        return x + self.deviation * noise


def dense_stack(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] = elu,
    batch_norm: bool = False,
    noise: Sequence[float] = (),
) -> nn.Sequential:
    """Fully connected layers, each with its activation; `noise` gives a deviation per layer."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(n_in, n_out, bias=not batch_norm))
        layers += [nn.BatchNorm1d(n_out)] if batch_norm else []
        layers.append(activation())
        layers += [AdditiveNoise(noise[i])] if noise else []
    return nn.Sequential(*layers)


def leaky_stack(sizes: Sequence[int]) -> nn.Module:
    """Fully connected layers of a discriminator, without norm."""
    return dense_stack(sizes, leaky_relu)


def _weighted_layers(network: nn.Module) -> Iterator[nn.Linear | nn.Conv2d | nn.ConvTranspose2d]:
    """Dense and convolutional layers that are not frozen, with their biases set to 0.

    The weights of a parametrised layer are computed from others, so it is left out.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if is_parametrized(module) or not module.weight.requires_grad:
                continue
            if module.bias is not None and module.bias.requires_grad:
                nn.init.zeros_(module.bias)
            yield module


def initialise(network: nn.Module) -> None:
    """Draw He-normal weights, and normal ones for transposed convolutions; biases are 0."""
    for layer in _weighted_layers(network):
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.05)
        else:
            nn.init.kaiming_normal_(layer.weight)


def initialise_truncated(network: nn.Module, deviation: float) -> None:
    """Draw truncated normal weights, as the paper does for G; biases are 0."""
    for layer in _weighted_layers(network):
        # Truncated at two deviations, like TensorFlow's initialiser of this name.
        nn.init.trunc_normal_(layer.weight, 0.0, deviation, -2 * deviation, 2 * deviation)


def initialise_by_first_axis(network: nn.Module) -> None:
    """Draw He-normal weights with the first axis of TensorFlow's as fan-in; biases are 0.

    This axis is the width of the input for a dense layer, but only the height of the kernel for a
    convolution. The reference initialises D and E in this way.
    """
    for layer in _weighted_layers(network):
        fan_in = layer.in_features if isinstance(layer, nn.Linear) else layer.kernel_size[0]
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))


def set_batch_norm(network: nn.Module, epsilon: float, momentum: float) -> None:
    """Set epsilon and momentum of every batch norm; running statistics decay by 1 - momentum."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps, module.momentum = epsilon, momentum


def conv_stack(
    shape: tuple[int, ...],
    channels: Sequence[int],
    strides: Sequence[int] | None = None,
    norm: str = "none",
    activation: Callable[[], nn.Module] = elu,
    padding: int = 1,
    noise: Sequence[float] = (),
    kernel: int = 3,
) -> tuple["ConvStack", int]:
    """Square convolutions, flattened at the end.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the input.
    channels : sequence of int
        One entry per layer.
    strides : sequence of int or None
        One entry per layer; None: all 2.
    norm : {"none", "batch", "group"}
    activation : callable
    padding : int
    noise : sequence of float
        Deviation of the noise after each layer; empty for none.
    kernel : int
        Side of the convolutions, in pixels.

    Returns
    -------
    layers : ConvStack
    width : int
        Number of features of the flattened output.

    Raises
    ------
    ValueError
        If the convolutions leave nothing of the images.
    """
    n_in, height, width = shape
    strides = strides or (2,) * len(channels)
    layers: list[nn.Module] = []
    for i, (n_out, stride) in enumerate(zip(channels, strides, strict=True)):
        layers += [nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=norm != "batch")]
        layers += [*_norm(norm, n_out), activation()]
        layers += [AdditiveNoise(noise[i])] if noise else []
        n_in = n_out
        height, width = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
    if min(height, width) < 1:
        raise ValueError(
            f"Images of {shape[1]} x {shape[2]} pixels are too small for this architecture: its "
            "convolutions leave nothing of them. Use larger images, or architecture='conv'."
        )
    return ConvStack(*layers, nn.Flatten()), n_in * height * width


class ConvStack(nn.Sequential):
    """Layers for images, in the memory format that is fastest on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Features of images (n, C, H, W)."""
        # All layers but group norm are faster with channels last.
        grouped = any(isinstance(layer, nn.GroupNorm) for layer in self)
        order = torch.contiguous_format if grouped else torch.channels_last
        # `contiguous` would not change images of one channel, which have both formats at once.
        return super().forward(x.to(memory_format=order))


def _norm(name: str, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    return [nn.BatchNorm2d(channels) if name == "batch" else nn.GroupNorm(4, channels)]


class Centred(nn.Module):
    """Images in [-1, 1] instead of [0, 1]: layers without norm may learn little from the latter."""

    def forward(self, x: Tensor) -> Tensor:
        """Centre x of any shape."""
        return 2 * x - 1


class LocalContrast(nn.Module):
    """Distance of each pixel from the mean of its neighbourhood.

    In colour images only differences between channels count. An object on a cluttered background
    often differs from it in colour, while the pattern of the background is mostly equal in all
    channels. Distances are divided by their root mean square over the image, and clipped. This is
    a rectified local contrast normalisation, as in Jarrett et al. 2009.

    Parameters
    ----------
    side : int
        Side of the neighbourhood, in pixels; odd.
    floor : float
        Added to the root mean square, so that the noise of an even surface isn't amplified.
    limit : float
        Largest distance, so that a few extreme pixels don't outweigh all others.
    """

    def __init__(self, side: int = 17, floor: float = 0.02, limit: float = 2.0) -> None:
        super().__init__()
        self.side, self.floor, self.limit = side, floor, limit

    def forward(self, x: Tensor) -> Tensor:
        """Contrast (n, 1, H, W) of images (n, C, H, W)."""
        with torch.autocast(x.device.type, enabled=False):  # small differences of large numbers
            return self._contrast(x.to(torch.promote_types(x.dtype, torch.float32)))

    def _contrast(self, x: Tensor) -> Tensor:
        rows, columns = (_window_means(size, self.side, like=x) for size in x.shape[2:])
        # Two matrix products are far faster than pooling over a window of this size.
        difference = x - torch.einsum("hi,ncij,wj->nchw", rows, x, columns)
        if x.shape[1] == IN_COLOUR:
            difference = difference - difference.mean(dim=1, keepdim=True)
        squares = difference.square().sum(dim=1, keepdim=True)
        usual = (squares.mean(dim=(2, 3), keepdim=True) + TINY).sqrt() + self.floor
        # The root of 0 has no finite gradient.
        return (squares / usual.square() + TINY).sqrt().clamp_max(self.limit)


def _window_means(size: int, side: int, like: Tensor) -> Tensor:
    """Matrix (size, size) that takes the mean over the window around each place."""
    place = torch.arange(size, device=like.device)
    inside = ((place[:, None] - place).abs() <= side // 2).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


class NoOutput(nn.Module):
    """Replaces a linear layer of width 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Return no columns, (n, 0)."""
        return x[:, :0]


class Encoder(nn.Module):
    """E(x) = (q(c | x), mean of the continuous codes, z).

    The categories and the style codes have a branch each. So the game can train the style codes
    while the categories stay as the consistency phase left them.

    Parameters
    ----------
    spec : CodeSpec
    category_trunk, style_trunk : Module
        Network input -> (n, width) features; both may be the same module.
    category_width, style_width : int
        Widths of those features.
    n_heads : int
        Number of sub-heads on the category trunk; the consistency phase keeps the best.
    style_reads_categories : bool
        Whether the style codes depend on the most likely category. In the paper they do not.
    n_overclustering_heads : int
        Number of auxiliary heads with `OVERCLUSTERING_RATIO` times as many categories, which only
        train the trunk.
    draws_trunks : bool
        Whether to draw initial weights of the trunks, too, and not of the heads alone.
    """

    head: Tensor

    def __init__(
        self,
        spec: CodeSpec,
        category_trunk: nn.Module,
        category_width: int,
        style_trunk: nn.Module,
        style_width: int,
        n_heads: int = 1,
        n_overclustering_heads: int = 0,
        style_reads_categories: bool = True,
        draws_trunks: bool = True,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.n_heads, self.n_overclustering_heads = n_heads, n_overclustering_heads
        self.category_trunk = category_trunk
        self.category_head = nn.Linear(category_width, n_heads * spec.n_categorical)
        n_cells = n_overclustering_heads * OVERCLUSTERING_RATIO * max(spec.categories)
        self.overclustering_head = nn.Linear(category_width, n_cells) if n_cells else nn.Identity()
        self.style_trunk = style_trunk
        n_style = spec.n_continuous + spec.n_noise
        self.style_reads_categories = style_reads_categories
        joined = style_width + spec.n_categorical * style_reads_categories
        self.style_head = nn.Linear(joined, n_style) if n_style else NoOutput()
        self.register_buffer("head", torch.tensor(0))
        heads = (self.category_head, self.overclustering_head, self.style_head)
        for network in (self,) if draws_trunks else heads:
            initialise(network)
        nn.init.normal_(self.category_head.weight, std=category_width**-0.5)
        if isinstance(self.style_head, nn.Linear):
            nn.init.normal_(self.style_head.weight, std=0.05)

    def sub_head_logits(self, features: Tensor) -> Tensor:
        """Logits of all sub-heads, (n_heads, n, n_categorical), of features of the trunk."""
        logits = self._head_output(self.category_head, features)
        return logits.unflatten(1, (self.n_heads, -1)).transpose(0, 1)

    def sub_head_logits_of(self, blocks: Iterable[Tensor]) -> Tensor:
        """Logits of all sub-heads, (n_heads, n, n_categorical), of blocks of network input."""
        return torch.cat([self.sub_head_logits(self.category_trunk(x)) for x in blocks], dim=1)

    def overclustering_logits(self, features: Tensor) -> Tensor:
        """Logits of the over-clustering heads, (n_overclustering_heads, n, K)."""
        logits = self._head_output(self.overclustering_head, features)
        return logits.unflatten(1, (self.n_overclustering_heads, -1)).transpose(0, 1)

    def _head_output(self, head: nn.Module, features: Tensor) -> Tensor:
        """Output of a head, in the dtype of its weights, also under autocast."""
        return head(features).to(self.category_head.weight.dtype)

    def logits(self, x: Tensor) -> Tensor:
        """Logits of the kept head, (n, n_categorical)."""
        return self._kept(self.sub_head_logits(self.category_trunk(x)))

    def seen(self, x: Tensor) -> Tensor:
        """Images as the category trunk sees them: their contrast, where it begins with that."""
        first = next(self.category_trunk.children(), None)
        return first(x) if isinstance(first, LocalContrast) else x

    def kept_head(self) -> tuple[Tensor, Tensor]:
        """Weight (n_categorical, width) and bias (n_categorical,) of the kept head."""
        shape = (self.n_heads, -1)
        weights, biases = self.category_head.weight, self.category_head.bias
        return self._kept(weights.unflatten(0, shape)), self._kept(biases.unflatten(0, shape))

    @torch.no_grad()
    def set_kept_head(self, weight: Tensor, bias: Tensor) -> None:
        """Put a linear head, of shapes (K, width) and (K,), in place of the one that is kept."""
        n_heads, head = (self.n_heads, -1), self.head.view(1)
        self.category_head.weight.unflatten(0, n_heads).index_copy_(0, head, weight[None])
        self.category_head.bias.unflatten(0, n_heads).index_copy_(0, head, bias[None])

    def _kept(self, logits: Tensor) -> Tensor:
        """Logits of the kept head, without copying its number from the device."""
        return logits.index_select(0, self.head.view(1)).squeeze(0)

    def posterior(self, x: Tensor) -> Tensor:
        """q(c | x), (n, n_categorical)."""
        return self.spec.posterior(self.logits(x))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the kept head, (n, n_categorical), and the style codes, (n, the rest)."""
        features = self.category_trunk(x)
        logits = self._kept(self.sub_head_logits(features))
        style_features = features if self.has_one_trunk else self.style_trunk(x)
        return logits, self._style(style_features, self.spec.harden(logits))

    def style(self, x: Tensor, categories: Tensor) -> Tensor:
        """Style codes (n, n_continuous + n_noise), given one-hot categories."""
        return self._style(self.style_trunk(x), categories)

    @property
    def has_one_trunk(self) -> bool:
        """Whether both branches share their trunk, as in the paper."""
        return self.style_trunk is self.category_trunk

    def _style(self, features: Tensor, categories: Tensor) -> Tensor:
        """Continuous means, then z in (-1, 1), side by side."""
        if self.style_reads_categories:
            features = torch.cat([features, categories], dim=1)
        continuous, noise = self._head_output(self.style_head, features).split(
            [self.spec.n_continuous, self.spec.n_noise], dim=1
        )
        return torch.cat([continuous, noise.tanh()], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Codes (n, spec.width); the categorical part is the posterior q(c | x).

        The style branch reads the most likely category, as it did in training.
        """
        logits, style = self.read(x)
        return torch.cat([self.spec.posterior(logits), style], dim=1)

    def category_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the category branch."""
        yield from self.category_trunk.parameters()
        yield from self.category_head.parameters()
        yield from self.overclustering_head.parameters()


class DenseGenerator(nn.Module):
    """G(Z) for table rows: standardised columns, (n, n_features), or unbounded images."""

    def __init__(self, spec: CodeSpec, shape: tuple[int, ...], hidden: Sequence[int]) -> None:
        super().__init__()
        self.shape = shape
        self.layers = dense_stack([spec.width, *hidden])
        self.output = nn.Linear(hidden[-1], math.prod(shape))
        initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """Rows of codes (n, spec.width)."""
        return self.output(self.layers(codes)).unflatten(1, self.shape)


class ConvGenerator(nn.Module):
    """G(Z) for images in [0, 1]: dense, then transposed convolutions.

    Parameters
    ----------
    spec : CodeSpec
    shape : tuple of int
        (C, H, W) of the images, which are cropped if a side is no multiple of the strides' product.
    channels : sequence of int
        Channels of each layer's input.
    strides : sequence of int or None
        1 or 2 for each layer; None: all 2.
    kernels : sequence of int or None
        Side of each layer's kernel, at least 2; None: all 4.
    norm_by_unit : bool
        Whether the batch norm of the dense layer is per unit instead of per channel.
    resizes : bool
        Whether layers are resize-convolutions; strides are then 2 and kernels 3.
    """

    def __init__(
        self,
        spec: CodeSpec,
        shape: tuple[int, ...],
        channels: Sequence[int],
        strides: Sequence[int] | None = None,
        kernels: Sequence[int] | None = None,
        norm_by_unit: bool = False,
        resizes: bool = False,
    ) -> None:
        super().__init__()
        image_channels, self.height, self.width = shape
        strides = strides or (2,) * len(channels)
        kernels = kernels or (4,) * len(channels)
        factor = math.prod(strides)
        base = (channels[0], math.ceil(self.height / factor), math.ceil(self.width / factor))
        n_units = math.prod(base)
        normed_maps = [nn.Unflatten(1, base), nn.BatchNorm2d(base[0])]
        if norm_by_unit:
            normed_maps = [nn.BatchNorm1d(n_units), normed_maps[0]]
        dense = nn.Linear(spec.width, n_units, bias=False)
        self.project = nn.Sequential(dense, *normed_maps, elu())

        def enlarging(i: int, n_out: int, bias: bool) -> nn.Module:
            if resizes:
                return ResizeConvolution(channels[i], n_out, bias)
            return _transposed(channels[i], n_out, strides[i], kernels[i], bias)

        layers: list[nn.Module] = []
        for i, n_out in enumerate(channels[1:]):
            layers += [enlarging(i, n_out, False), nn.BatchNorm2d(n_out), elu()]
        pixels = enlarging(len(channels) - 1, image_channels, True)
        self.layers = nn.Sequential(*layers, pixels, nn.Sigmoid())
        initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """Images (n, C, H, W) of codes (n, spec.width)."""
        maps = self.project(codes)
        images = self.layers(maps.contiguous(memory_format=torch.channels_last))
        return images[:, :, : self.height, : self.width]


def _transposed(n_in: int, n_out: int, stride: int, kernel: int, bias: bool) -> nn.Module:
    """Square transposed convolution whose output is `stride` times as large; stride 1 or 2."""
    less, more = (kernel - 1) // 2, kernel // 2
    if stride == 1:
        # With stride 1 this is a convolution, which can pad unevenly as TensorFlow's "same" does.
        padding = nn.ZeroPad2d((more, less, more, less))
        return nn.Sequential(padding, nn.Conv2d(n_in, n_out, kernel, bias=bias))
    layer = FoldedTransposed if n_out <= FEW_CHANNELS else nn.ConvTranspose2d
    surplus = kernel % 2  # with an odd kernel the output would be a pixel too small
    return layer(n_in, n_out, kernel, stride, less, surplus, bias=bias)


class ResizeConvolution(nn.ConvTranspose2d):
    """Repeats each pixel 2 x 2 times and convolves the result with a kernel of 3 x 3.

    After Odena et al. 2016: a free transposed convolution draws the four pixels that come from one
    by weights of their own, which leaves a grid. This one is a transposed convolution, too, of a
    kernel of 4 x 4 that is the 3 x 3 one spread over 2 x 2 pixels: the large map of repeated
    pixels is never made.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
        super().__init__(n_in, n_out, kernel_size=3, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Features (n, n_out, 2 * h, 2 * w) of features (n, n_in, h, w)."""
        kernel = 4 * F.avg_pool2d(self.weight, 2, stride=1, padding=1)  # sums of 2 x 2
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class FoldedTransposed(nn.ConvTranspose2d):
    """Transposed convolution by `fold`: faster on the CPU for few output channels."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Images (n, n_out, stride * h, stride * w) of features (n, n_in, h, w)."""
        if x.device.type != "cpu":  # on a GPU `fold` takes one image after the other
            return super().forward(x, output_size)
        size = (self.stride[0] * x.shape[2], self.stride[0] * x.shape[3])
        patches = self.weight.flatten(1).T @ x.flatten(2)
        images = F.fold(
            patches, size, self.kernel_size, padding=int(self.padding[0]), stride=self.stride
        )
        return images if self.bias is None else images + self.bias[:, None, None]


class Discriminator(nn.Module):
    """D(x, Z): the logit of "this pair comes from the encoder", shape (n,).

    Parameters
    ----------
    data_trunk : Module
        Network input -> features, (n, width).
    code_trunk : Module
        Z -> features, (n, width).
    joint : Module
        Both side by side -> (n, joint_width) features, from which the logit is computed.
    joint_width : int
    """

    def __init__(
        self, data_trunk: nn.Module, code_trunk: nn.Module, joint: nn.Module, joint_width: int
    ) -> None:
        super().__init__()
        self.data_trunk, self.code_trunk, self.joint = data_trunk, code_trunk, joint
        self.output = nn.Linear(joint_width, 1)
        initialise(self)
        nn.init.normal_(self.output.weight, std=0.02)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """Logits (n,) of pairs of network input and codes (n, width)."""
        features = torch.cat([self.data_trunk(x), self.code_trunk(codes)], dim=1)
        logits = self.output(self.joint(features)).squeeze(1)
        return logits.to(self.output.weight.dtype)  # under autocast, too
