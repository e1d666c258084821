"""Steps of the paper's presets and of its objective alone, against formulas written here.

Both sides start from one set of weights, one batch, one draw of codes and one draw of D's noise.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._architectures import Networks
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._networks import (
    DenseGenerator,
    Discriminator,
    Encoder,
    dense_stack,
    leaky_stack,
)
from sklearn_binfogan._phases import GAME
from sklearn_binfogan._presets import PRESETS, Recipe
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


# -- with our own terms off: the paper's section 2 in plain numpy ----------------------------------
#
# D maximises V(D, G, E), G and E take the non-saturating form of V and minus lambda L_I, and both
# are updated from the same batch.

SPEC = CodeSpec((2, 3), 2, 2)
N_FEATURES = 3
RATE, DISCRIMINATOR_RATE = 1e-2, 3e-3
BETAS, ADAMS_EPSILON = (0.5, 0.99), 1e-8


class Tiny:
    """One hidden layer for every player."""

    def build(self, spec, shape):
        (n_features,) = shape
        encoder = Encoder(spec, dense_stack([n_features, 4]), 4, dense_stack([n_features, 5]), 5)
        generator = DenseGenerator(spec, (n_features,), (4,))
        codes, joint = leaky_stack([spec.width, 4]), leaky_stack([n_features + 4, 5])
        discriminator = Discriminator(nn.Identity(), codes, joint, 5)
        return Networks(encoder, generator, discriminator)


X = np.random.default_rng(0).normal(size=(N_ROWS, N_FEATURES))


def new_net(mi_weight=1.0, seed=0):
    """Make a net in float64, ready for its first step of the game."""
    recipe = Recipe(
        mi_weight=mi_weight,
        consistency_weight=0.0,
        cycle_weight=0.0,
        adversarial_loss="nonsaturating",
        warmup_iter=0,
        max_iter=100,
        batch_size=N_ROWS,
        learning_rate=RATE,
        discriminator_learning_rate=DISCRIMINATOR_RATE,
    )
    layout = Layout((N_FEATURES,), np.zeros(N_FEATURES), np.ones(N_FEATURES))
    trainer = Trainer(Settings(SPEC, layout, Tiny(), recipe, identity, seed))
    trainer.players.double().link()
    # Larger verdicts than at the start, where every D(x, Z) is close to one half.
    with torch.no_grad():
        trainer.players.discriminator.output.weight.mul_(30)
        trainer.players.encoder.style_head.weight.mul_(10)
    trainer.begin(GAME)
    trainer.net.owner = trainer  # the net itself does not keep its training alive
    return trainer.net


def drawn_codes(net):
    """Codes that the net's next step draws, without drawing them from its generator."""
    twin = torch.Generator()
    twin.set_state(net.training.common.rng.get_state())
    return SPEC.draw(N_ROWS, twin).numpy().astype(np.float64)


def step(net):
    """One step as training takes it; the losses it recorded."""
    net.history.new_epoch()
    net.history.new_batch()
    net.train_step(torch.from_numpy(X))
    return net.history[-1]["batches"][-1]


def weights(net):
    """Numpy copies of the weights of the three players."""
    return {
        name: value.detach().numpy().copy()
        for name, value in net.module_.named_parameters()
        if not name.startswith("averaged")
    }


# -- the numpy side: networks, formulas, gradients, Adam -------------------------------------------


def elu(v):
    return np.where(v > 0, v, np.expm1(np.minimum(v, 0)))


def leaky_relu(v):
    return np.where(v > 0, v, 0.2 * v)


def linear(w, name, v):
    return v @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def softmax(v):
    e = np.exp(v - v.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def encode(w, x):
    """E(x): q(c | x) of both codes, their one-hot modes, continuous means, z."""
    logits = linear(w, "encoder.category_head", elu(linear(w, "encoder.category_trunk.0", x)))
    parts = [softmax(logits[:, :2]), softmax(logits[:, 2:])]
    modes = [np.eye(part.shape[1])[part.argmax(axis=1)] for part in parts]
    features = elu(linear(w, "encoder.style_trunk.0", x))
    style = linear(w, "encoder.style_head", np.hstack([features, *modes]))
    return np.hstack(parts), style[:, :2], np.tanh(style[:, 2:])


def generate(w, codes):
    return linear(w, "generator.output", elu(linear(w, "generator.layers.0", codes)))


def discriminate(w, x, codes):
    """D(x, Z), a probability."""
    joined = np.hstack([x, leaky_relu(linear(w, "discriminator.code_trunk.0", codes))])
    hidden = leaky_relu(linear(w, "discriminator.joint.0", joined))
    return sigmoid(linear(w, "discriminator.output", hidden))[:, 0]


def paper_losses(w, codes):
    """Return -V(D, G, E), the players' adversarial loss, and -(L_I - H(c))."""
    real = discriminate(w, X, np.hstack(encode(w, X)))
    rows = generate(w, codes)
    fake = discriminate(w, rows, codes)
    value = np.log(real).mean() + np.log(1 - fake).mean()
    adversarial = (-np.log(fake) - np.log(1 - real)).mean()
    q, mean, _ = encode(w, rows)
    log_categorical = (codes[:, :5] * np.log(q)).sum(axis=1)
    error = codes[:, 5:7] - mean
    log_continuous = (-0.5 * error**2 - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    return -value, adversarial, -(log_categorical + log_continuous).mean()


def gradient(loss, w, name, h=1e-5):
    """Central differences of a scalar loss(w) by one weight."""
    result = np.zeros_like(w[name])
    for index in np.ndindex(w[name].shape):
        moved = [copy.deepcopy(w), copy.deepcopy(w)]
        moved[0][name][index] += h
        moved[1][name][index] -= h
        result[index] = (loss(moved[0]) - loss(moved[1])) / (2 * h)
    return result


def adam_first_step(g, rate):
    m, v = (1 - BETAS[0]) * g, (1 - BETAS[1]) * g**2
    m_hat, v_hat = m / (1 - BETAS[0]), v / (1 - BETAS[1])
    return -rate * m_hat / (np.sqrt(v_hat) + ADAMS_EPSILON)


# -- tests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mi_weight", [0.0, 1.0, 2.5])
def test_losses_are_the_papers(mi_weight):
    net = new_net(mi_weight)
    discriminator, adversarial, information = paper_losses(weights(net), drawn_codes(net))

    recorded = step(net)

    assert recorded["discriminator_loss"] == pytest.approx(discriminator, rel=1e-10)
    assert recorded["adversarial_loss"] == pytest.approx(adversarial, rel=1e-10)
    assert recorded["mutual_information_loss"] == pytest.approx(mi_weight * information, rel=1e-10)
    total = adversarial + mi_weight * information
    assert recorded["players_loss"] == pytest.approx(total, rel=1e-10)
    assert "cycle_loss" not in recorded
    assert "consistency_loss" not in recorded


@pytest.mark.parametrize("mi_weight", [0.0, 1.0, 2.5])
def test_one_update_is_the_papers(mi_weight):
    net = new_net(mi_weight)
    before, codes = weights(net), drawn_codes(net)

    def discriminator_loss(w):
        return paper_losses(w, codes)[0]

    def players_loss(w):
        _, adversarial, information = paper_losses(w, codes)
        return adversarial + mi_weight * information

    step(net)

    after = weights(net)
    moved = 0
    for name, value in before.items():
        if (
            value.size == 0 or "overclustering_head" in name
        ):  # auxiliary heads play no part in the game
            np.testing.assert_array_equal(after[name], value)
            continue
        is_discriminator = name.startswith("discriminator")
        loss = discriminator_loss if is_discriminator else players_loss
        rate = DISCRIMINATOR_RATE if is_discriminator else RATE
        g = gradient(loss, before, name)
        found = dict(net.module_.named_parameters())[name].grad.numpy()
        np.testing.assert_allclose(found, g, rtol=1e-5, atol=1e-8, err_msg=name)
        update = adam_first_step(g, rate)
        settled = (g == 0) | (np.abs(g) > 1e-5)  # elsewhere epsilon meets the differences' error
        assert settled.mean() > 0.9
        np.testing.assert_allclose(
            (after[name] - value)[settled], update[settled], rtol=1e-4, atol=1e-9, err_msg=name
        )
        moved += int((update != 0).sum())
    assert moved > 100


def test_lambda_scales_the_mutual_information_gradient():
    def gradients(mi_weight):
        net = new_net(mi_weight)
        step(net)
        return {
            name: weight.grad.numpy().copy()
            for name, weight in net.module_.named_parameters()
            if weight.grad is not None
        }

    none, one, three = gradients(0.0), gradients(1.0), gradients(3.0)

    for name in one:
        np.testing.assert_allclose(
            three[name] - none[name], 3 * (one[name] - none[name]), atol=1e-12, err_msg=name
        )
        if name.startswith("discriminator"):
            np.testing.assert_array_equal(one[name], none[name])
    assert np.abs(one["generator.output.weight"] - none["generator.output.weight"]).max() > 1e-3
    assert np.abs(one["encoder.category_head.weight"]).max() > 1e-3


@pytest.mark.parametrize("image_shape", [None, (16, 16)], ids=["table", "large image"])
def test_options_of_the_paper_switch_our_terms_off(image_shape):
    n_features = N_FEATURES if image_shape is None else 256
    estimator = BInfoGANTransformer(
        n_clusters=3,
        image_shape=image_shape,
        consistency_weight=0,
        cycle_weight=0,
        adversarial_loss="nonsaturating",
        max_iter=3,
        random_state=0,
    ).fit(np.random.default_rng(0).normal(size=(60, n_features)))

    steps = [batch for epoch in estimator.history_ for batch in epoch["batches"]]
    batches = [batch for batch in steps if "players_loss" in batch]  # the rest are validation's
    assert {epoch["phase"] for epoch in estimator.history_} == {"game"}
    assert estimator.n_iter_ == len(batches) == 3
    losses_of_a_step = {name for name in batches[0] if name.endswith("_loss")}
    assert losses_of_a_step == {
        "train_loss",
        "players_loss",
        "discriminator_loss",
        "adversarial_loss",
        "mutual_information_loss",
    }
    assert fitted_model(estimator).settings.recipe.adversarial_weight == 1
    assert all(
        batch["players_loss"]
        == pytest.approx(batch["adversarial_loss"] + batch["mutual_information_loss"], rel=1e-5)
        for batch in batches
    )
