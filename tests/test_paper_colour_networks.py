"""`architecture="paper-32x32"` is the table of the paper's supplement, layer by layer.

Parameter counts are added up here from the table: weights of a layer, then either its batch norm's
scale and shift or its bias.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_binfogan import BInfoGANTransformer
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import AdditiveNoise
from sklearn_binfogan._presets import PRESETS

SPEC = CodeSpec((10,) * 4, 4, 64)
N_CODES, SHAPE = 108, (3, 32, 32)
CODES = {"n_clusters": (10,) * 4, "n_continuous": 4}
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
IMAGES, DRAWN = torch.zeros(2, *SHAPE), torch.zeros(2, N_CODES)


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return PRESETS["paper-32x32"].build(SPEC, SHAPE)


def layers_run(network, *inputs):
    """Each layer with weights and the shape of its output without the batch, as they run."""
    run = []
    hooks = [
        module.register_forward_hook(lambda m, i, output: run.append((m, tuple(output.shape[1:]))))
        for module in network.modules()
        if isinstance(module, WEIGHTED)
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return run


def kernels_and_strides(run):
    return [(m.kernel_size[0], m.stride[0]) for m, _ in run if not isinstance(m, nn.Linear)]


def test_generator_layers(networks):
    run = layers_run(networks.generator, DRAWN)
    sizes = [(512, 4), (256, 8), (128, 16), (64, 32), (32, 32), (3, 32)]
    assert [shape for _, shape in run] == [(2048,), *((c, s, s) for c, s in sizes)]
    assert kernels_and_strides(run) == [(5, 2), (5, 2), (5, 2), (5, 2), (5, 1), (4, 1)]
    first = networks.generator.project[0]
    maps = next(m for m in networks.generator.modules() if isinstance(m, nn.Unflatten))
    assert (first.in_features, maps.unflattened_size) == (108, (512, 2, 2))
    assert isinstance(networks.generator.layers[-1], nn.Sigmoid)


def test_encoder_layers(networks):
    run = layers_run(networks.encoder, IMAGES)
    sizes = [(32, 30), (64, 14), (128, 12), (256, 5), (512, 2)]
    of_heads = [(40,), (68,)]
    assert [shape for _, shape in run] == [*((c, s, s) for c, s in sizes), (1024,), *of_heads]
    assert kernels_and_strides(run) == [(3, 1), (3, 2), (3, 1), (3, 2), (3, 2)]


def test_discriminator_layers(networks):
    run = layers_run(networks.discriminator, IMAGES, DRAWN)
    of_data = [(64, 15, 15), (128, 6, 6), (256, 2, 2), (1024,)]
    of_code = [(64, 1, 1), (128, 1, 1), (256, 1, 1), (1024,)]
    assert [shape for _, shape in run] == [*of_data, *of_code, (1024,), (1,)]
    assert kernels_and_strides(run) == [(4, 2)] * 3 + [(1, 1)] * 3


def with_norm(weights, units):
    return weights + 2 * units


def chain(sizes, kernel):
    """Count a chain of layers with batch norm, by their channels."""
    return sum(with_norm(a * b * kernel**2, b) for a, b in pairwise(sizes))


def test_parameter_counts(networks):
    generator = (
        with_norm(108 * 2048, 2048) + chain([512, 512, 256, 128, 64, 32], 5) + (32 * 3 * 4 * 4 + 3)
    )
    encoder = (
        chain([3, 32, 64, 128, 256, 512], 3)
        + with_norm(2048 * 1024, 1024)
        + (1024 * (40 + 4 + 64) + 108)
    )
    discriminator = (
        chain([3, 64, 128, 256], 4)
        + with_norm(2 * 2 * 256 * 1024, 1024)
        + chain([108, 64, 128, 256, 1024], 1)
        + with_norm(2048 * 1024, 1024)
        + (1024 + 1)
    )
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [encoder, generator, discriminator]


def test_activations_and_norms(networks):
    counts = [
        [
            sum(isinstance(m, kind) for m in network.modules())
            for kind in (nn.ELU, BATCH_NORMS, AdditiveNoise)
        ]
        for network in networks
    ]
    assert counts == [[6, 6, 0], [6, 6, 0], [9, 9, 0]]


def initial_deviations(network):
    """Of the weights of each layer, in order; all biases must be zero."""
    layers = [m for m in network.modules() if isinstance(m, WEIGHTED)]
    assert not any(m.bias is not None and m.bias.detach().any() for m in layers)
    return [m.weight.detach().std().item() for m in layers]


def he(first_axis):
    return (2 / first_axis) ** 0.5


def test_initial_weights(networks):
    # 0.02, cut at two deviations
    assert initial_deviations(networks.generator) == pytest.approx([0.0176] * 7, rel=0.05)
    expected = [*[he(3)] * 5, he(2048), he(1024), he(1024)]
    assert initial_deviations(networks.encoder) == pytest.approx(expected, rel=0.12)
    of_data, of_code = [*[he(4)] * 3, he(1024)], [*[he(1)] * 3, he(256)]
    expected = [*of_data, *of_code, he(2048), he(1024)]
    assert initial_deviations(networks.discriminator) == pytest.approx(expected, rel=0.12)


def test_numbers_of_batch_norm(networks):
    norms = [m for n in networks for m in n.modules() if isinstance(m, BATCH_NORMS)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-3)}
    first = next(m for m in networks.generator.modules() if isinstance(m, BATCH_NORMS))
    assert first.num_features == 2048  # each unit by itself


def test_ranges_of_the_encoder(networks):
    images = torch.rand(50, *SHAPE, generator=torch.Generator().manual_seed(0))
    codes = networks.encoder(images)
    for part in SPEC.category_slices:
        torch.testing.assert_close(codes[:, part].sum(dim=1), torch.ones(50))
    assert codes[:, SPEC.noise].abs().max() < 1


def test_training_is_the_papers():
    X = np.random.default_rng(0).integers(0, 256, (40, 3072), dtype=np.uint8)
    gan = BInfoGANTransformer(image_shape=(32, 32, 3), architecture="paper-32x32", **CODES)
    settings = gan._settings(X, seed=0)
    recipe = settings.recipe
    assert settings.spec == SPEC
    assert (recipe.max_iter, recipe.warmup_iter, recipe.batch_size) == (300_000, 0, 32)
    assert (recipe.learning_rate, recipe.discriminator_learning_rate) == (1e-4, 1e-4)
    assert recipe.mi_weight == 1
    assert (recipe.consistency_weight, recipe.cycle_weight) == (0, 0)
    assert recipe.adversarial_loss == "nonsaturating"
    assert (recipe.betas, recipe.rate_floor) == ((0.5, 0.999), 0.2)
    assert recipe.log_epsilon == 1e-8


def test_too_small_images_are_refused():
    X = np.random.default_rng(0).integers(0, 256, (40, 21 * 21 * 3), dtype=np.uint8)
    gan = BInfoGANTransformer(image_shape=(21, 21, 3), architecture="paper-32x32", max_iter=1)
    with pytest.raises(ValueError, match="Images of 21 x 21 pixels are too small"):
        gan.fit(X)


def test_fit_with_the_papers_codes():
    X = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
    gan = BInfoGANTransformer(
        image_shape=(32, 32, 3),
        architecture="paper-32x32",
        max_iter=1,
        batch_size=4,
        random_state=0,
        **CODES,
    )
    codes = gan.fit(X).transform(X)
    assert codes.shape == (12, 44)
    assert gan.labels_.shape == (12, 4)
    images, labels = gan.sample(2, cluster=(0, None, 3, None), random_state=0)
    assert images.shape == (2, 3072)
    assert labels[:, [0, 2]].tolist() == [[0, 3]] * 2
