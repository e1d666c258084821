"""With our own terms off, losses and one update are the paper's, computed here in plain numpy.

The formulas are those of the paper's section 2: D maximises V(D, G, E), G and E take the
non-saturating form of V and minus lambda L_I, and both are updated from the same batch.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._architectures import Networks
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._networks import DenseGenerator, Discriminator, Encoder, dense_stack
from sklearn_binfogan._phases import GAME
from sklearn_binfogan._presets import Recipe
from sklearn_binfogan._settings import Settings
from sklearn_binfogan._trainer import Trainer

SPEC = CodeSpec((2, 3), 2, 2)
N_ROWS, N_FEATURES = 6, 3
RATE, DISCRIMINATOR_RATE = 1e-2, 3e-3
BETAS, EPSILON = (0.5, 0.99), 1e-8


class Tiny:
    """One hidden layer for every player."""

    def build(self, spec, shape):
        (n_features,) = shape
        encoder = Encoder(spec, dense_stack([n_features, 4]), 4, dense_stack([n_features, 5]), 5)
        generator = DenseGenerator(spec, (n_features,), (4,))
        discriminator = Discriminator(nn.Identity(), n_features, spec.width, (4,), (5,))
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
    return -rate * m_hat / (np.sqrt(v_hat) + EPSILON)


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
        max_iter=60,
        random_state=0,
    ).fit(np.random.default_rng(0).normal(size=(60, n_features)))

    steps = [batch for epoch in estimator.history_ for batch in epoch["batches"]]
    batches = [batch for batch in steps if "players_loss" in batch]  # the rest are validation's
    assert {epoch["phase"] for epoch in estimator.history_} == {"game"}
    assert estimator.n_iter_ == len(batches) == 60
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
