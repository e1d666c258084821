"""One step of the paper's presets against the reference's formulas, written here by themselves.

Both sides start from one set of weights, one batch, one draw of codes and one draw of D's noise.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._phases import GAME
from sklearn_binfogan._presets import PRESETS
from sklearn_binfogan._settings import Settings
from sklearn_binfogan._trainer import Trainer

N_ROWS = 6
EPSILON, LOG_EPSILON = 1e-3, 1e-8
CLOSE = {"rtol": 1e-5, "atol": 1e-7}

MNIST = PRESETS["paper-mnist"].with_networks(
    generator_channels=(6, 8, 6),
    encoder_channels=(4, 6, 8),
    encoder_dense=16,
    discriminator_channels=(6, 8),
    discriminator_dense=12,
    discriminator_code=(6, 8),
    discriminator_joint=16,
)
COLOUR = PRESETS["paper-32x32"].with_networks(
    generator_channels=(12, 10, 8, 6, 5, 4),
    encoder_channels=(4, 5, 6, 7, 8),
    encoder_dense=16,
    discriminator_channels=(5, 6, 7),
    discriminator_dense=12,
    discriminator_code=(5, 6, 7),
    discriminator_joint=16,
)


class Reference:
    """The supplement's layers as plain functions of weights that are taken in their order.

    Parameters
    ----------
    up, down, judge : sequence of (kernel, stride)
        Of G's, E's and D's convolutions.
    base : tuple of int
        Maps from which G starts.
    noise : sequence of float
        Deviation after each layer of D.
    """

    def __init__(self, up, down, judge, base, noise):
        self.up, self.down, self.judge, self.base, self.noise = up, down, judge, base, noise

    def generate(self, weights, codes):
        take = iter(weights)
        # Each unit is normalised by itself, before the units become maps.
        h = normalised_elu(F.linear(codes, next(take)), take).unflatten(1, self.base)
        for kernel, stride in self.up[:-1]:
            h = normalised_elu(transposed(h, next(take), kernel, stride), take)
        pixels = transposed(h, next(take), *self.up[-1]) + next(take)[:, None, None]
        return pixels.sigmoid()

    def encode(self, weights, x):
        """Logits of the categories; the other codes."""
        take, h = iter(weights), x
        for _, stride in self.down:
            h = normalised_elu(F.conv2d(h, next(take), stride=stride), take)
        h = normalised_elu(F.linear(h.flatten(1), next(take)), take)
        logits = F.linear(h, next(take), next(take))
        style = F.linear(h, next(take), next(take))
        return logits, style

    def discriminate(self, weights, x, codes, rng):
        take, h = iter(weights), x
        deviations = self.noise or (0,) * (len(self.judge) + 1)
        for (_, stride), deviation in zip(self.judge, deviations, strict=False):
            h = noisy(normalised_elu(F.conv2d(h, next(take), stride=stride), take), deviation, rng)
        of_rows = normalised_elu(F.linear(h.flatten(1), next(take)), take)
        of_rows = noisy(of_rows, deviations[-1], rng)
        h = codes[:, :, None, None]
        for deviation in deviations[:-1]:
            h = noisy(normalised_elu(F.conv2d(h, next(take)), take), deviation, rng)
        of_codes = normalised_elu(F.linear(h.flatten(1), next(take)), take)
        of_codes = noisy(of_codes, deviations[-1], rng)
        h = normalised_elu(F.linear(torch.cat([of_rows, of_codes], 1), next(take)), take)
        h = noisy(h, deviations[-1], rng)
        return F.linear(h, next(take), next(take))[:, 0]


def normalised_elu(h, take):
    scale, shift = next(take), next(take)
    axes = [0, *range(2, h.dim())]
    mean = h.mean(axes, keepdim=True)
    variance = (h - mean).square().mean(axes, keepdim=True)
    shape = (1, -1, *[1] * (h.dim() - 2))
    h = (h - mean) / (variance + EPSILON).sqrt() * scale.view(shape) + shift.view(shape)
    return F.elu(h)


def noisy(h, deviation, rng):
    if not deviation:
        return h
    return h + deviation * torch.randn(h.shape, generator=rng, dtype=h.dtype)


def transposed(h, weight, kernel, stride):
    """TensorFlow's transposed convolution with padding "same", but for odd kernels of stride 2.

    The library holds the weight of stride 1 as that of a convolution.
    """
    if stride == 1:
        weight = weight.flip(2, 3).transpose(0, 1)
    begin, size = (kernel - 1) // 2, stride * h.shape[-1]
    full = F.conv_transpose2d(h, weight, stride=stride)
    return full[:, :, begin : begin + size, begin : begin + size]


def log(p):
    return torch.log(p + LOG_EPSILON)


def step_of_reference(reference, spec, x, codes, rng, encoder, generator, discriminator):
    """Outputs, losses and gradients: all that one step computes."""
    n, n_continuous = spec.n_categorical, spec.n_continuous
    logits, style = reference.encode(encoder, x)
    fake = reference.generate(generator, codes)
    fake_logits, fake_style = reference.encode(encoder, fake)
    posterior = [part.softmax(1) for part in spec.split(logits)]
    mean, z = style[:, :n_continuous], style[:, n_continuous:].tanh()
    real_verdict = reference.discriminate(
        discriminator, x, torch.cat([*posterior, mean, z], 1), rng
    )
    fake_verdict = reference.discriminate(discriminator, fake, codes, rng)
    real, false = real_verdict.sigmoid(), fake_verdict.sigmoid()
    loss_of_d = -(log(real) + log(1 - false)).mean()
    adversarial = -(log(false) + log(1 - real)).mean()
    information = sum(
        -log((part.softmax(1) * chosen).sum(1)).mean()
        for part, chosen in zip(spec.split(fake_logits), spec.split(codes[:, :n]), strict=True)
    )
    error = fake_style[:, :n_continuous] - codes[:, spec.continuous]
    information = information + 0.5 * error.square().sum(1).mean()
    gradients = (
        *torch.autograd.grad(adversarial + information, [*encoder, *generator], retain_graph=True),
        *torch.autograd.grad(loss_of_d, discriminator),
    )
    constant = 0.5 * np.log(2 * np.pi) * n_continuous
    losses = [loss_of_d.item(), adversarial.item(), information.item() + constant]
    outputs = [fake, fake_logits, torch.cat([mean, z], 1), real_verdict, fake_verdict]
    return outputs, losses, gradients


CASES = {
    "mnist": (
        MNIST,
        CodeSpec((10,), 2, 16),
        (1, 28, 28),
        Reference(
            up=[(4, 2), (4, 1), (4, 2)],
            down=[(3, 1), (3, 2), (3, 2)],
            judge=[(3, 2), (3, 2)],
            base=(6, 7, 7),
            noise=(0.3, 0.5, 0.5),
        ),
    ),
    "colour": (
        COLOUR,
        CodeSpec((10, 10, 10, 10), 4, 64),
        (3, 32, 32),
        Reference(
            up=[(5, 2), (5, 2), (5, 2), (5, 2), (5, 1), (4, 1)],
            down=[(3, 1), (3, 2), (3, 1), (3, 2), (3, 2)],
            judge=[(4, 2), (4, 2), (4, 2)],
            base=(12, 2, 2),
            noise=(),
        ),
    ),
}


def new_training(preset, spec, shape):
    """Make a training in float64, ready for its first step of the game."""
    recipe = replace(preset.recipe, batch_size=N_ROWS)
    layout = Layout(shape, np.array(0.0), np.array(1.0))
    trainer = Trainer(Settings(spec, layout, preset, recipe, identity, 0))
    trainer.players.double().link()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():  # else all scales are 1 and all shifts and biases 0
        for weight in trainer.players.parameters():
            if weight.dim() == 1:
                weight.add_(0.2 * torch.randn(weight.shape, generator=rng, dtype=weight.dtype))
    trainer.begin(GAME)
    return trainer


@pytest.mark.parametrize("name", CASES)
def test_one_step_is_the_references(name):
    preset, spec, shape, reference = CASES[name]
    trainer = new_training(preset, spec, shape)
    players, rng = trainer.players, trainer.common.rng
    networks = players.encoder, players.generator, players.discriminator
    own = [list(network.parameters()) for network in networks]
    copies = [[w.detach().clone().requires_grad_() for w in weights] for weights in own]
    x = torch.rand(N_ROWS, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    before = rng.get_state()
    twin = torch.Generator()
    twin.set_state(before)
    codes = spec.draw(N_ROWS, twin).double()

    expected = step_of_reference(reference, spec, x, codes, twin, *copies)
    with torch.no_grad():
        game = trainer.game.play(x)
        fake = players.generator(codes)
    rng.set_state(before)
    net = trainer.net
    net.history.new_epoch()
    net.history.new_batch()
    net.train_step(x)

    outputs, losses, gradients = expected
    found = [fake, game.fake_logits, game.real_style, game.real_pairs, game.fake_pairs]
    for ours, theirs in zip(found, outputs, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), **CLOSE)
    recorded = net.history[-1]["batches"][-1]
    names = [f"{term}_loss" for term in ("discriminator", "adversarial", "mutual_information")]
    assert [recorded[loss] for loss in names] == pytest.approx(losses, rel=1e-5)
    weights = [weight for player in own for weight in player]
    for ours, theirs in zip(weights, gradients, strict=True):
        torch.testing.assert_close(ours.grad, theirs, **CLOSE)
        assert theirs.abs().max() > 1e-6
