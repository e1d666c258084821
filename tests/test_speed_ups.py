"""What runs another way than it is written: the same numbers."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.nn import functional as F

from sklearn_binfogan import AffineMove, BInfoGANTransformer
from sklearn_binfogan._base import fitted_model, new_training
from sklearn_binfogan._networks import FoldedTransposed, conv_stack
from sklearn_binfogan._phases import backward
from sklearn_binfogan._rows import Batches
from sklearn_binfogan._trainer import Trainer


def test_gradients_lie_in_memory_as_their_weights():
    # torch's fused Adam pairs values by their place in memory.
    trainer = new_training(BInfoGANTransformer(3), make_blobs(50, random_state=0)[0])
    weight = trainer.players.generator.output.weight
    factors = torch.arange(float(weight.numel())).reshape(weight.shape)
    loss = (weight.T.reshape(-1) * factors.T.reshape(-1)).sum()
    assert torch.autograd.grad(loss, weight, retain_graph=True)[0].stride() != weight.stride()
    backward(loss, trainer.optimizer)
    assert weight.grad.stride() == weight.stride()
    torch.testing.assert_close(weight.grad, factors)


def test_a_step_of_the_game_goes_through_d_once_a_side_and_trains_no_frozen_part():
    rows = make_blobs(50, random_state=0)[0]
    trainer = new_training(BInfoGANTransformer(3), rows)
    trainer.consistency.n_steps = 1
    players, game = trainer.players, trainer.begin("game")
    n_judged, frozen = [], []
    players.discriminator.register_forward_hook(lambda *_: n_judged.append(1))
    players.encoder.category_trunk.register_forward_hook(
        lambda _, inputs, features: frozen.append((inputs[0].requires_grad, features.requires_grad))
    )

    game.step(trainer.rows.rows.take(torch.arange(20)))

    assert len(n_judged) == 2  # real pairs and fake ones
    # Real rows leave no graph; through fakes G gets its gradient.
    assert frozen == [(False, False), (True, True)]
    assert all(w.grad is None for w in players.encoder.category_parameters())
    assert all(w.grad is not None for w in players.discriminator.parameters())


def leaves(state):
    """All arrays of a net's state."""
    optimizers = [values for each in state.optimizers for values in each.values()]
    arrays = [array for group in [state.module, *optimizers] for array in group.values()]
    return [*arrays, state.rng, state.balance]


def test_a_snapshot_is_not_what_training_goes_on_with():
    rows = make_blobs(50, random_state=0)[0]
    gan = BInfoGANTransformer(3, warmup_iter=3, max_iter=3, random_state=0).fit(rows)
    trainer = fitted_model(gan).trainer.load_rows(rows)
    source, rng = (trainer.rows.rows, trainer.rows.train_index), trainer.common.rng
    trainer.batches = Batches(*source, 20, 5, 5, rng)
    trainer.begin("game")
    snapshot = trainer.snapshot()
    before = snapshot.as_arrays()
    assert all(isinstance(value, torch.Tensor) for value in snapshot.module.values())
    restored = Trainer(trainer.settings, state=snapshot).load_rows(rows)
    restored.begin("game")

    for trained in (trainer, restored):
        trained.phase.step(trained.rows.rows.take(torch.arange(20)))

        after = trained.state().as_arrays()
        weight = "generator.output.weight"
        assert not np.array_equal(after.module[weight], before.module[weight])
        moments = (after.optimizers[1], before.optimizers[1])
        assert not all(np.array_equal(*(m[i]["exp_avg"] for m in moments)) for i in moments[0])
        for kept, expected in zip(leaves(snapshot.as_arrays()), leaves(before), strict=True):
            np.testing.assert_array_equal(kept, expected)


def draw(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def assert_same_function(fast, plain, x):
    """Same outputs, and same gradients by the input and all weights."""
    plain.load_state_dict(fast.state_dict())
    results = []
    for layer in (fast, plain):
        given = x.clone().requires_grad_()
        output = layer(given)
        loss = (output * draw(*output.shape)).sum()
        results.append([output, *torch.autograd.grad(loss, [given, *layer.parameters()])])
        results[-1].append(layer(x))  # by its own way where x needs no gradient
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("kernel", [2, 4, 5])
def test_folded_transposed_convolution(n_out, kernel):
    sizes = (5, n_out, kernel, 2, (kernel - 1) // 2, kernel % 2)
    fast, plain = FoldedTransposed(*sizes).double(), nn.ConvTranspose2d(*sizes).double()
    assert_same_function(fast, plain, draw(2, 5, 6, 7))


@pytest.mark.parametrize(
    ("norm", "order"),
    [
        ("batch", torch.channels_last),
        ("none", torch.channels_last),
        ("group", torch.contiguous_format),
    ],
)
@pytest.mark.parametrize("n_in", [1, 3])
def test_memory_of_maps(norm, order, n_in):
    # Real rows come as (n, H, W, C), fakes and moved rows as (n, C, H, W).
    stack, _ = conv_stack((n_in, 8, 8), (4,), (2,), norm)
    maps = []
    stack[0].register_forward_hook(lambda _, inputs, output: maps.append(output))
    for x in (torch.rand(2, 8, 8, n_in).permute(0, 3, 1, 2), torch.rand(2, n_in, 8, 8)):
        stack(x)
        assert maps.pop().is_contiguous(memory_format=order)


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
