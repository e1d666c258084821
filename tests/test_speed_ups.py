"""What runs another way than it is written: the same numbers."""

import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.nn import functional as F

from sklearn_binfogan import AffineMove, BInfoGANTransformer
from sklearn_binfogan._networks import FoldedTransposed
from sklearn_binfogan._training import AdversarialNet


def test_gradients_lie_in_memory_as_their_weights():
    # torch's fused Adam pairs values by their place in memory.
    settings = BInfoGANTransformer(3)._settings(make_blobs(50, random_state=0)[0], seed=0)
    net = AdversarialNet(settings).initialize()
    weight = net.module_.generator.output.weight
    factors = torch.arange(float(weight.numel())).reshape(weight.shape)
    loss = (weight.T.reshape(-1) * factors.T.reshape(-1)).sum()
    assert torch.autograd.grad(loss, weight, retain_graph=True)[0].stride() != weight.stride()
    net._backward(loss, net.optimizer_)
    assert weight.grad.stride() == weight.stride()
    torch.testing.assert_close(weight.grad, factors)


@pytest.mark.parametrize("n_out", [1, 3])
def test_folded_transposed_convolution(n_out):
    folded = FoldedTransposed(5, n_out, 4, 2, padding=1).double()
    plain = nn.ConvTranspose2d(5, n_out, 4, 2, padding=1).double()
    plain.load_state_dict(folded.state_dict())
    x = torch.randn((2, 5, 6, 7), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(folded(x), plain(x))


def draw(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_moves_are_affine_plus_a_bicubic_interpolation():
    x, move = draw(3, 1, 28, 20), AffineMove(warp=0.5)
    grid = move._grid(x, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)
    u = 2 * torch.rand((6, 3), dtype=x.dtype, generator=rng) - 1
    angle, shear, scale, shift = 0.3 * u[0], 0.3 * u[1], 1 + 0.15 * u[2:4], 0.16 * u[4:]
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2, 3)
    turn = scale[:, None] * torch.stack([turn[:, 0], shear * turn[:, 0] + turn[:, 1]], dim=1)
    matrices = torch.cat([turn, shift[:, None]], dim=1).permute(2, 0, 1)
    affine = F.affine_grid(matrices, list(x.shape), align_corners=False)
    u = 2 * torch.rand((3, 2, 5, 5), dtype=x.dtype, generator=rng) - 1
    smooth = F.interpolate(u, (28, 20), mode="bicubic", align_corners=True)
    torch.testing.assert_close(grid, affine + 0.5 * smooth.permute(0, 2, 3, 1))
