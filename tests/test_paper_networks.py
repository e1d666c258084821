"""`architecture="paper-mnist"` is the table of the paper's supplement, layer by layer.

Parameter counts are added up here from the table: weights of a layer, then either its batch norm's
scale and shift or its bias.
"""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import AdditiveNoise
from sklearn_binfogan._presets import PRESETS

SPEC = CodeSpec((10,), 2, 16)
N_CODES, SHAPE = 28, (1, 28, 28)


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return PRESETS["paper-mnist"].build(SPEC, SHAPE)


def layer_outputs(network, kinds, *inputs):
    """Shapes without the batch of every layer of some kinds, in the order they run."""
    shapes = []
    hooks = [
        module.register_forward_hook(lambda m, i, output: shapes.append(tuple(output.shape[1:])))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return shapes


WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
IMAGES, CODES = torch.zeros(2, *SHAPE), torch.zeros(2, N_CODES)


def test_generator_layers(networks):
    shapes = layer_outputs(networks.generator, WEIGHTED, CODES)
    assert shapes == [(3136,), (128, 14, 14), (64, 14, 14), (1, 28, 28)]


def test_encoder_layers(networks):
    shapes = layer_outputs(networks.encoder, WEIGHTED, IMAGES)
    convolutions = [(32, 26, 26), (64, 12, 12), (128, 5, 5)]
    assert shapes == [*convolutions, (1024,), (10,), (18,)]


def test_discriminator_layers(networks):
    shapes = layer_outputs(networks.discriminator, WEIGHTED, IMAGES, CODES)
    of_data = [(64, 13, 13), (128, 6, 6), (512,)]
    of_code = [(64, 1, 1), (128, 1, 1), (512,)]
    assert shapes == [*of_data, *of_code, (1024,), (1,)]


def with_norm(weights, units):
    return weights + 2 * units


def test_parameter_counts(networks):
    generator = (
        with_norm(28 * 3136, 3136)
        + with_norm(64 * 128 * 4 * 4, 128)
        + with_norm(128 * 64 * 4 * 4, 64)
        + (64 * 1 * 4 * 4 + 1)
    )
    encoder = (
        with_norm(1 * 32 * 9, 32)
        + with_norm(32 * 64 * 9, 64)
        + with_norm(64 * 128 * 9, 128)
        + with_norm(128 * 5 * 5 * 1024, 1024)
        + (1024 * (10 + 2 + 16) + 28)
    )
    of_data = (
        with_norm(1 * 64 * 9, 64) + with_norm(64 * 128 * 9, 128) + with_norm(128 * 6 * 6 * 512, 512)
    )
    of_code = with_norm(28 * 64, 64) + with_norm(64 * 128, 128) + with_norm(128 * 512, 512)
    discriminator = of_data + of_code + with_norm(1024 * 1024, 1024) + (1024 + 1)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [encoder, generator, discriminator]


def test_noise_layers(networks):
    deviations = [
        module.deviation
        for module in networks.discriminator.modules()
        if isinstance(module, AdditiveNoise)
    ]
    assert deviations == [0.3, 0.5, 0.5, 0.3, 0.5, 0.5, 0.5]
    others = [*networks.encoder.modules(), *networks.generator.modules()]
    assert not any(isinstance(module, AdditiveNoise) for module in others)


def test_activations_and_norms(networks):
    counts = [
        [sum(isinstance(m, kind) for m in network.modules()) for kind in (nn.ELU, BATCH_NORMS)]
        for network in networks
    ]
    assert counts == [[4, 4], [3, 3], [7, 7]]
    assert not any(isinstance(m, nn.GroupNorm) for n in networks for m in n.modules())
    assert isinstance(networks.generator.layers[-1], nn.Sigmoid)


def test_ranges_of_the_encoder(networks):
    images = torch.rand(50, *SHAPE, generator=torch.Generator().manual_seed(0))
    codes = networks.encoder(images)
    torch.testing.assert_close(codes[:, :10].sum(dim=1), torch.ones(50))
    assert codes[:, SPEC.noise].abs().max() < 1


def initial_deviations(network):
    """Of the weights of each layer, in order; all biases must be zero."""
    layers = [m for m in network.modules() if isinstance(m, WEIGHTED)]
    assert not any(m.bias is not None and m.bias.detach().any() for m in layers)
    return [m.weight.detach().std().item() for m in layers]


def he(first_axis):
    return (2 / first_axis) ** 0.5


def test_initial_weights_of_the_generator(networks):
    # 0.02, cut at two deviations
    assert initial_deviations(networks.generator) == pytest.approx([0.0176] * 4, rel=0.05)
    assert max(w.abs().max() for w in networks.generator.parameters() if w.dim() > 1) <= 0.04


def test_initial_weights_of_the_encoder(networks):
    expected = [he(3), he(3), he(3), he(3200), he(1024), he(1024)]
    assert initial_deviations(networks.encoder) == pytest.approx(expected, rel=0.12)


def test_initial_weights_of_the_discriminator(networks):
    of_data, of_code = [he(3), he(3), he(4608)], [he(1), he(1), he(128)]
    expected = [*of_data, *of_code, he(1024), he(1024)]
    assert initial_deviations(networks.discriminator) == pytest.approx(expected, rel=0.12)


def test_numbers_of_batch_norm(networks):
    norms = [m for n in networks for m in n.modules() if isinstance(m, BATCH_NORMS)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-3)}
    first = next(m for m in networks.generator.modules() if isinstance(m, BATCH_NORMS))
    assert first.num_features == 3136  # each unit by itself


def test_training_is_the_papers():
    X = np.random.default_rng(0).integers(0, 256, (40, 784), dtype=np.uint8)
    gan = BInfoGANTransformer(image_shape=(28, 28), architecture="paper-mnist", random_state=0)
    recipe = gan._settings(X, seed=0).recipe
    assert (recipe.max_iter, recipe.warmup_iter, recipe.batch_size) == (30_000, 0, 128)
    assert (recipe.learning_rate, recipe.discriminator_learning_rate) == (5e-4, 1e-4)
    assert recipe.mi_weight == 1
    assert (recipe.consistency_weight, recipe.cycle_weight) == (0, 0)
    assert recipe.adversarial_loss == "nonsaturating"
    assert recipe.betas == (0.5, 0.999)
    assert recipe.log_epsilon == 1e-8


class RecordRate(Callback):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.rates = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])


def test_decay_to_a_fifth_with_power_one_half():
    record = RecordRate()
    X = np.random.default_rng(0).integers(0, 256, (12, 784), dtype=np.uint8)
    gan = BInfoGANTransformer(
        image_shape=(28, 28),
        architecture="paper-mnist",
        max_iter=4,
        batch_size=4,
        callbacks=[record],
        random_state=0,
    )
    gan.fit(X)
    expected = [5e-4 * (0.2 + 0.8 * (1 - step / 4) ** 0.5) for step in range(4)]
    np.testing.assert_allclose(record.rates, expected)


def test_needs_images():
    gan = BInfoGANTransformer(architecture="paper-mnist")
    with pytest.raises(ValueError, match="architecture='paper-mnist' needs images"):
        gan.fit(np.zeros((20, 4)))
