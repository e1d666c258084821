"""Convolutions that run another way on the CPU than PyTorch's own: the same numbers, faster.

All is faster with the channels last in memory, but for group norm. Where an image has one channel,
the gradient by it, and where it has a few, the layer that makes it, are matrix products whose
patches are then added up.
"""

from __future__ import annotations

from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FEW_CHANNELS = 3


class Convolution(nn.Conv2d):
    """Square convolution whose output of an image lies in memory as `channels_last` says.

    By itself it would lie as the image does, and one of one channel lies both ways.

    Parameters
    ----------
    n_in, n_out, kernel, stride, padding : int
    bias, channels_last : bool
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        stride: int,
        padding: int,
        bias: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, kernel, stride, padding, bias=bias)
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, n_out, h', w') of images (n, n_in, h, w)."""
        if self.in_channels > FEW_CHANNELS or x.device.type != "cpu":
            return super().forward(x)
        x = _laid_out(x, self.channels_last)
        if self.in_channels > 1 or not x.requires_grad:
            return super().forward(x)
        shape = (self.stride[0], int(self.padding[0]))
        return cast(Tensor, _OfOneChannel.apply(x, self.weight, self.bias, *shape))


class ToMaps(nn.Unflatten):
    """Rows of features to maps, on the CPU with the channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Make maps (n, C, h, w) of rows (n, C * h * w)."""
        maps = super().forward(x)
        if x.device.type != "cpu":
            return maps
        return maps.contiguous(memory_format=torch.channels_last)


class Flatten(nn.Flatten):
    """Maps to rows of features; the gradient lies in memory as the maps do."""

    def forward(self, x: Tensor) -> Tensor:
        """Rows (n, C * h * w) of maps (n, C, h, w)."""
        if x.is_contiguous() or x.device.type != "cpu":
            return super().forward(x)
        return cast(Tensor, _FlattenChannelsLast.apply(x))


class FoldedTransposed(nn.ConvTranspose2d):
    """Square transposed convolution for few output channels, such as an image's."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Images (n, n_out, stride * h, stride * w) of features (n, n_in, h, w)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x, output_size)
        stride, padding = self.stride[0], int(self.padding[0])
        size = (stride * x.shape[2], stride * x.shape[3])
        patches = _patches_from(x, self.weight.transpose(0, 1))
        images = cast(Tensor, _SumOfPatches.apply(patches, size, stride, padding))
        return images if self.bias is None else images + self.bias[:, None, None]


def leave_to_compiler(network: nn.Module) -> None:
    """Make the layers PyTorch's own: the compiler sees to memory, and takes ours one by one.

    But for G's last layer, which is compiled together with all of G.
    """
    for module in network.modules():
        if isinstance(module, Convolution | ToMaps | Flatten):
            module.__class__ = type(module).__bases__[0]


def _laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """Images (n, C, H, W) in memory as asked for, of one channel too: `contiguous` leaves those."""
    if not channels_last:
        return x.flatten(1).unflatten(1, x.shape[1:])
    last = x.permute(0, 2, 3, 1)
    return last.flatten(1).unflatten(1, last.shape[1:]).permute(0, 3, 1, 2)


def _patches_from(maps: Tensor, weight: Tensor) -> Tensor:
    """Patches (side, side, C, n, h, w) that maps (n, n_maps, h, w) ask for.

    The weight is of shape (C, n_maps, side, side).
    """
    if maps.is_contiguous():
        columns = maps.transpose(0, 1).flatten(1)
    else:
        columns = maps.permute(0, 2, 3, 1).flatten(0, 2).T
    weight = weight.permute(2, 3, 0, 1)
    patches = weight.flatten(0, 2).contiguous() @ columns
    return patches.view(*weight.shape[:3], maps.shape[0], *maps.shape[2:])


def _patches_of(x: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """Patches (side, side, C, n, h, w) of images (n, C, H, W)."""
    padded = F.pad(x, (padding,) * 4)
    patches = padded.unfold(2, side, stride).unfold(3, side, stride)
    return patches.permute(4, 5, 1, 0, 2, 3).contiguous()


def _sum_of_patches(patches: Tensor, size: tuple[int, int], stride: int, padding: int) -> Tensor:
    """Images (n, C, H, W) of a size (H, W), to which patches are added where they were taken.

    Images are cut into blocks of one stride a side, of which patches cover some: each of those is
    added for all patches at once.
    """
    side, (n_maps, n, height, width) = len(patches), patches.shape[2:]
    rows, columns = (
        max(count + (side - 1) // stride, -(-(padding + length) // stride))
        for count, length in zip((height, width), size, strict=True)
    )
    padded = patches.new_zeros((n_maps, n, rows * stride, columns * stride))
    blocks = padded.unflatten(3, (-1, stride)).unflatten(2, (-1, stride))
    blocks = blocks.permute(3, 5, 0, 1, 2, 4)
    for i, j in product(range(0, side, stride), repeat=2):
        part = patches[i : i + stride, j : j + stride]
        at = slice(i // stride, i // stride + height), slice(j // stride, j // stride + width)
        blocks[: part.shape[0], : part.shape[1], :, :, *at] += part
    inner = padded[:, :, padding : padding + size[0], padding : padding + size[1]]
    return inner.transpose(0, 1).contiguous()


class _OfOneChannel(torch.autograd.Function):
    """PyTorch's convolution; its gradient by the image costs 15 times its arithmetic, ours 4."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape = (stride, padding)
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = (saved.to(grad.dtype) for saved in ctx.saved_tensors)
        stride, padding = ctx.shape
        by_x, by_weight, by_bias = ctx.needs_input_grad[:3]
        of_weight, of_bias = None, None
        if by_weight or by_bias:
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                *(grad, x, weight, [len(weight)], [stride] * 2, [padding] * 2, [1, 1]),
                *(False, [0, 0], 1, [False, by_weight, by_bias]),
            )
        of_x = None
        if by_x:
            patches = _patches_from(grad, weight.transpose(0, 1))
            of_x = _sum_of_patches(patches, x.shape[2:], stride, padding)
        return of_x, of_weight, of_bias, None, None


class _FlattenChannelsLast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.shape = maps.shape[1:]
        return maps.flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad.unflatten(1, ctx.shape).contiguous(memory_format=torch.channels_last)


class _SumOfPatches(torch.autograd.Function):
    """On its own, since to autograd each slice would be an operation."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, size: tuple[int, int], stride: int, padding: int
    ) -> Tensor:
        ctx.shape = (len(patches), stride, padding)
        return _sum_of_patches(patches, size, stride, padding)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _patches_of(grad, *ctx.shape), None, None, None
