"""The networks: those of the paper's supplement layer by layer, parts of ours, and users' own.

Parameter counts of the paper's networks are added up here from its tables: weights of a layer, then
either its batch norm's scale and shift or its bias.
"""

import copy
import pickle
import threading
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import DIGITS, TABLE, assert_same_model, tiny
from golden.cases import Cut, CutAfter
from sklearn.datasets import load_wine
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from sklearn_binfogan import BInfoGANTransformer, load, save
from sklearn_binfogan import _container as container
from sklearn_binfogan._architectures import MLPArchitecture, Networks, halvings
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._networks import (
    AdditiveNoise,
    DenseGenerator,
    Discriminator,
    Encoder,
    FoldedTransposed,
    LocalContrast,
    ResizeConvolution,
    _window_means,
    conv_stack,
    dense_stack,
    leaky_stack,
)
from sklearn_binfogan._presets import LARGE, PRESETS, resolve_preset
from sklearn_binfogan._upgrades import FORMAT_VERSION
from sklearn_binfogan.metrics import cluster_accuracy
from sklearn_binfogan.networks import make_encoder

WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
PAPERS = {
    "paper-mnist": (CodeSpec((10,), 2, 16), (1, 28, 28)),
    "paper-32x32": (CodeSpec((10,) * 4, 4, 64), (3, 32, 32)),
}
of_both_papers = pytest.mark.parametrize("name", PAPERS)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small_discriminator(data_trunk, data_width, spec):
    joint = leaky_stack([data_width + 4, 5])
    return Discriminator(data_trunk, leaky_stack([spec.width, 4]), joint, 5)


# -- the paper's networks --------------------------------------------------------------------------


@cache
def papers_networks(name):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return PRESETS[name].build(*PAPERS[name])


def layers_run(name):
    """Each layer with weights of E, G and D, and its output's shape without the batch, as run."""
    (spec, shape), (encoder, generator, discriminator) = PAPERS[name], papers_networks(name)
    images, codes = torch.zeros(2, *shape), torch.zeros(2, spec.width)
    run = []
    for network, inputs in (
        (encoder, [images]),
        (generator, [codes]),
        (discriminator, [images, codes]),
    ):
        run.append([])
        hooks = [
            module.register_forward_hook(
                lambda m, i, output, of=run[-1]: of.append((m, tuple(output.shape[1:])))
            )
            for module in network.modules()
            if isinstance(module, WEIGHTED)
        ]
        network(*inputs)
        for hook in hooks:
            hook.remove()
    return run


SHAPES = {
    "paper-mnist": (
        [(32, 26, 26), (64, 12, 12), (128, 5, 5), (1024,), (10,), (18,)],
        [(3136,), (128, 14, 14), (64, 14, 14), (1, 28, 28)],
        [(64, 13, 13), (128, 6, 6), (512,), (64, 1, 1), (128, 1, 1), (512,), (1024,), (1,)],
    ),
    "paper-32x32": (
        [
            (32, 30, 30),
            (64, 14, 14),
            (128, 12, 12),
            (256, 5, 5),
            (512, 2, 2),
            (1024,),
            (40,),
            (68,),
        ],
        [(2048,), (512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (32, 32, 32), (3, 32, 32)],
        [
            (64, 15, 15),
            (128, 6, 6),
            (256, 2, 2),
            (1024,),
            (64, 1, 1),
            (128, 1, 1),
            (256, 1, 1),
            (1024,),
            (1024,),
            (1,),
        ],
    ),
}
# (kernel, stride) of E's, G's and D's convolutions.
KERNELS = {
    "paper-mnist": (
        [(3, 1), (3, 2), (3, 2)],
        [(4, 2), (4, 1), (4, 2)],
        [(3, 2), (3, 2), (1, 1), (1, 1)],
    ),
    "paper-32x32": (
        [(3, 1), (3, 2), (3, 1), (3, 2), (3, 2)],
        [(5, 2), (5, 2), (5, 2), (5, 2), (5, 1), (4, 1)],
        [(4, 2)] * 3 + [(1, 1)] * 3,
    ),
}


@of_both_papers
def test_layers(name):
    run = layers_run(name)

    assert tuple([shape for _, shape in layers] for layers in run) == SHAPES[name]
    found = [
        [(m.kernel_size[0], m.stride[0]) for m, _ in layers if not isinstance(m, nn.Linear)]
        for layers in run
    ]
    assert tuple(found) == KERNELS[name]


def test_colour_images_grow_from_two_pixels_a_side():
    generator = papers_networks("paper-32x32").generator
    maps = next(m for m in generator.modules() if isinstance(m, nn.Unflatten))

    assert (generator.project[0].in_features, maps.unflattened_size) == (108, (512, 2, 2))


def chain(sizes, kernel=1):
    """Count a chain of layers with batch norm, by their channels."""
    return sum(a * b * kernel**2 + 2 * b for a, b in pairwise(sizes))


PARAMETERS = {
    "paper-mnist": (
        chain([1, 32, 64, 128], 3) + chain([128 * 5 * 5, 1024]) + 1024 * (10 + 2 + 16) + 28,
        chain([28, 3136]) + chain([64, 128, 64], 4) + 64 * 1 * 4 * 4 + 1,
        chain([1, 64, 128], 3)
        + chain([128 * 6 * 6, 512])
        + chain([28, 64, 128, 512])
        + chain([1024, 1024])
        + 1025,
    ),
    "paper-32x32": (
        chain([3, 32, 64, 128, 256, 512], 3) + chain([2048, 1024]) + 1024 * (40 + 4 + 64) + 108,
        chain([108, 2048]) + chain([512, 512, 256, 128, 64, 32], 5) + 32 * 3 * 4 * 4 + 3,
        chain([3, 64, 128, 256], 4)
        + chain([2 * 2 * 256, 1024])
        + chain([108, 64, 128, 256, 1024])
        + chain([2048, 1024])
        + 1025,
    ),
}


def test_one_weight_counted_by_hand():
    assert chain([28, 3136]) == 28 * 3136 + 2 * 3136
    assert chain([64, 128], 4) == 64 * 128 * 16 + 2 * 128


@of_both_papers
def test_parameter_counts(name):
    counts = [sum(p.numel() for p in network.parameters()) for network in papers_networks(name)]
    assert tuple(counts) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("paper-mnist", [0.3, 0.5, 0.5, 0.3, 0.5, 0.5, 0.5]), ("paper-32x32", [])],
)
def test_noise_layers(name, expected):
    *others, discriminator = papers_networks(name)
    deviations = [m.deviation for m in discriminator.modules() if isinstance(m, AdditiveNoise)]

    assert deviations == expected
    assert not any(isinstance(m, AdditiveNoise) for network in others for m in network.modules())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("paper-mnist", [[4, 4], [3, 3], [7, 7]]), ("paper-32x32", [[6, 6], [6, 6], [9, 9]])],
)
def test_activations_and_norms(name, expected):
    networks = papers_networks(name)
    counts = [
        [sum(isinstance(m, kind) for m in network.modules()) for kind in (nn.ELU, BATCH_NORMS)]
        for network in networks
    ]

    assert counts == expected
    assert not any(isinstance(m, nn.GroupNorm) for n in networks for m in n.modules())
    assert isinstance(networks.generator.layers[-1], nn.Sigmoid)


@of_both_papers
def test_ranges_of_the_encoder(name):
    spec, shape = PAPERS[name]
    codes = papers_networks(name).encoder(torch.rand(50, *shape, generator=rng()))

    for part in spec.category_slices:
        torch.testing.assert_close(codes[:, part].sum(dim=1), torch.ones(50))
    assert codes[:, spec.noise].abs().max() < 1


def initial_deviations(network):
    """Of the weights of each layer, in order; all biases must be zero."""
    layers = [m for m in network.modules() if isinstance(m, WEIGHTED)]
    assert not any(m.bias is not None and m.bias.detach().any() for m in layers)
    return [m.weight.detach().std().item() for m in layers]


# Lengths of the first axis of E's and D's weights, by which their deviations go.
FIRST_AXES = {
    "paper-mnist": ([3, 3, 3, 3200, 1024, 1024], [3, 3, 4608, 1, 1, 128, 1024, 1024]),
    "paper-32x32": (
        [3, 3, 3, 3, 3, 2048, 1024, 1024],
        [4, 4, 4, 1024, 1, 1, 1, 256, 2048, 1024],
    ),
}


@of_both_papers
def test_initial_weights(name):
    encoder, generator, discriminator = papers_networks(name)

    # 0.02, cut at two deviations
    of_generator = initial_deviations(generator)
    assert of_generator == pytest.approx([0.0176] * len(of_generator), rel=0.05)
    assert max(w.abs().max() for w in generator.parameters() if w.dim() > 1) <= 0.04
    for network, axes in zip((encoder, discriminator), FIRST_AXES[name], strict=True):
        he = [(2 / first_axis) ** 0.5 for first_axis in axes]
        assert initial_deviations(network) == pytest.approx(he, rel=0.12)


@pytest.mark.parametrize(("name", "n_units"), [("paper-mnist", 3136), ("paper-32x32", 2048)])
def test_numbers_of_batch_norm(name, n_units):
    networks = papers_networks(name)
    norms = [m for n in networks for m in n.modules() if isinstance(m, BATCH_NORMS)]
    first = next(m for m in networks.generator.modules() if isinstance(m, BATCH_NORMS))

    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-3)}
    assert first.num_features == n_units  # each unit by itself


@pytest.mark.parametrize(
    ("name", "max_iter", "batch_size", "rates"),
    [
        ("paper-mnist", 30_000, 128, (5e-4, 1e-4)),
        ("paper-32x32", 300_000, 32, (1e-4, 1e-4)),
    ],
)
def test_training_is_the_papers(name, max_iter, batch_size, rates):
    spec, shape = PAPERS[name]
    preset = resolve_preset(name, shape, 40)
    recipe = preset.resolved(40, {})

    assert preset.n_noise == spec.n_noise
    assert (recipe.max_iter, recipe.warmup_iter, recipe.batch_size) == (max_iter, 0, batch_size)
    assert (recipe.learning_rate, recipe.discriminator_learning_rate) == rates
    assert recipe.mi_weight == 1
    assert (recipe.consistency_weight, recipe.cycle_weight) == (0, 0)
    assert recipe.adversarial_loss == "nonsaturating"
    assert (recipe.betas, recipe.rate_floor) == ((0.5, 0.999), 0.2)
    assert recipe.log_epsilon == 1e-8


class RecordRate(Callback):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.rates = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])


def bytes_of(n_rows, n_features):
    return np.random.default_rng(0).integers(0, 256, (n_rows, n_features), dtype=np.uint8)


SMALL_MNIST = PRESETS["paper-mnist"].with_networks(
    generator_channels=(8, 8, 8),
    encoder_channels=(4, 4, 8),
    encoder_dense=16,
    discriminator_channels=(4, 8),
    discriminator_dense=16,
    discriminator_code=(4, 8),
)
SMALL_COLOUR = PRESETS["paper-32x32"].with_networks(
    generator_channels=(8, 8, 8, 8, 4, 4),
    encoder_channels=(4, 4, 4, 8, 8),
    encoder_dense=16,
    discriminator_channels=(4, 4, 8),
    discriminator_dense=16,
    discriminator_code=(4, 4, 8),
    discriminator_joint=16,
)


def test_decay_to_a_fifth_with_power_one_half():
    record = RecordRate()
    BInfoGANTransformer(
        image_shape=(28, 28),
        architecture=SMALL_MNIST,
        max_iter=4,
        batch_size=4,
        callbacks=[record],
        random_state=0,
    ).fit(bytes_of(12, 784))

    expected = [5e-4 * (0.2 + 0.8 * (1 - step / 4) ** 0.5) for step in range(4)]
    np.testing.assert_allclose(record.rates, expected)


def test_the_papers_networks_need_images():
    with pytest.raises(ValueError, match="architecture='paper-mnist' needs images"):
        BInfoGANTransformer(architecture="paper-mnist").fit(np.zeros((20, 4)))


def test_too_small_images_are_refused():
    gan = BInfoGANTransformer(image_shape=(21, 21, 3), architecture="paper-32x32", max_iter=1)
    with pytest.raises(ValueError, match="Images of 21 x 21 pixels are too small"):
        gan.fit(bytes_of(40, 21 * 21 * 3))


def test_fit_with_the_papers_codes():
    X = bytes_of(12, 3072)
    gan = BInfoGANTransformer(
        n_clusters=(10,) * 4,
        n_continuous=4,
        image_shape=(32, 32, 3),
        architecture=SMALL_COLOUR,
        max_iter=1,
        batch_size=4,
        random_state=0,
    )

    assert gan.fit(X).transform(X).shape == (12, 44)
    assert len(gan.set_params(include_noise=True).get_feature_names_out()) == 108
    assert gan.labels_.shape == (12, 4)
    images, labels = gan.sample(2, cluster=(0, None, 3, None), random_state=0)
    assert images.shape == (2, 3072)
    assert labels[:, [0, 2]].tolist() == [[0, 3]] * 2


# -- local contrast -------------------------------------------------------------------------------


def square_on(ground, ink):
    """Colour image (1, 3, 32, 32) of a square of one colour on another."""
    image = torch.tensor(ground)[None, :, None, None].expand(1, 3, 32, 32).clone()
    image[:, :, 12:20, 10:18] = torch.tensor(ink)[None, :, None, None]
    return image


def test_local_contrast_sees_form_alone():
    """Which colours differ, and how much, may change: only the floor lets a little through."""
    contrast = LocalContrast(floor=0.0)
    seen = contrast(square_on((0.7, 0.2, 0.5), (0.1, 0.4, 0.9)))
    assert seen.shape == (1, 1, 32, 32)
    assert seen[0, 0, 16, 10] > 10 * seen[0, 0, 2, 2]
    for colours in (
        ((0.1, 0.4, 0.9), (0.7, 0.2, 0.5)),
        ((0.0, 0.6, 0.3), (0.5, 0.5, 0.5)),
        ((0.1, 0.4, 0.2), (0.9, 0.9, 0.1)),
    ):
        np.testing.assert_allclose(contrast(square_on(*colours)), seen, atol=0.02)


def test_colour_shows_what_lightness_hides():
    """A pale stroke on a ground of black and white noise."""
    ground = 0.3 + 0.4 * torch.rand(1, 1, 32, 32, generator=rng()).expand(1, 3, 32, 32)
    image = ground.clone()
    image[:, 0, 12:20, 14:17] += 0.2
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[12:20, 14:17] = True
    colour, lightness = LocalContrast()(image)[0, 0], LocalContrast()(image[:, :1])[0, 0]
    assert colour[inside].min() > 3 * colour[~inside].max()
    assert lightness[inside].min() < lightness[~inside].max()


def test_local_contrast_of_grey_images():
    dark_on_light, light_on_dark = (
        LocalContrast(floor=0.0)(square_on(*colours)[:, :1])
        for colours in (((1.0,) * 3, (0.2,) * 3), ((0.1,) * 3, (0.3,) * 3))
    )
    assert dark_on_light.max() > 1
    np.testing.assert_allclose(dark_on_light, light_on_dark, atol=0.02)


def test_local_contrast_has_a_limit():
    x = torch.zeros(1, 1, 32, 32)
    x[0, 0, 16, 16] = 1.0
    assert LocalContrast(limit=2.0)(x).max() == 2.0
    assert LocalContrast(limit=1e3)(x).max() > 10


@pytest.mark.parametrize("side", [3, 17])
def test_window_means(side):
    x = torch.rand(2, 3, 9, 20, generator=rng())
    rows, columns = (_window_means(size, side, x) for size in (9, 20))
    expected = F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
    np.testing.assert_allclose(rows @ x @ columns.T, expected, atol=1e-6)


def test_local_contrast_of_an_even_image_is_finite_with_its_gradient():
    x = torch.full((2, 3, 9, 13), 0.5, requires_grad=True)
    seen = LocalContrast()(x)
    seen.sum().backward()
    assert seen.max() < 0.01
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("name", ["conv", "conv-contrast"])
def test_categories_may_be_read_from_it(name, side):
    shape = (3, side, side)
    preset = resolve_preset(name, shape, 500)
    networks = preset.build(CodeSpec((4,), 1, 2), shape)
    kinds = [type(module) for module in networks.encoder.category_trunk]
    assert (LocalContrast in kinds) == (name == "conv-contrast")
    without = replace(preset, networks=replace(preset.networks, local_contrast=False))
    assert without == resolve_preset("auto", shape, 500)  # the same in everything else
    assert LocalContrast not in [type(module) for module in networks.encoder.style_trunk]


# -- the depth follows the size -------------------------------------------------------------------

# Stages of E's style branch, G and D for images of each size.
STAGES = {
    (16, 16): 2,
    (17, 17): 2,
    (24, 24): 2,
    (28, 28): 2,
    (32, 32): 2,
    (16, 64): 2,  # as many pixels as 32 x 32
    (40, 60): 3,
    (64, 64): 3,
    (96, 96): 4,
    (128, 128): 4,
    (200, 200): 5,
    (256, 256): 5,
}
of_every_size = pytest.mark.parametrize(("size", "n_stages"), STAGES.items(), ids=str)
SPEC = CodeSpec((10,), 2, 32)


def networks_without_weights(size, n_channels=3, name="conv"):
    """The preset's networks for images of a size; meta tensors have shapes alone."""
    shape = (n_channels, *size)
    with torch.device("meta"):
        return resolve_preset(name, shape, 500).build(SPEC, shape)


def n_weights(networks):
    return sum(weight.numel() for network in networks for weight in network.parameters())


def n_operations(networks, size, n_channels=3):
    """Operations of one pass of every network over an image."""
    images, codes = torch.zeros(1, n_channels, *size), torch.zeros(1, SPEC.width)
    for network in networks:
        network.eval()
    with FlopCounterMode(display=False) as counter:
        networks.encoder.read(images.to("meta"))
        networks.generator(codes.to("meta"))
        networks.discriminator(images.to("meta"), codes.to("meta"))
    return counter.get_total_flops()


@of_every_size
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_stage_for_every_halving(size, n_stages, n_channels):
    networks = networks_without_weights(size, n_channels)
    images = torch.zeros(2, n_channels, *size, device="meta")
    convolutions = [
        [type(layer) for layer in trunk if isinstance(layer, WEIGHTED[1:])]
        for trunk in (
            networks.encoder.style_trunk,
            networks.discriminator.data_trunk,
            networks.generator.layers,
        )
    ]
    assert [len(layers) for layers in convolutions] == [n_stages] * 3
    codes = networks.encoder.eval()(images)
    assert codes.shape == (2, SPEC.width)
    assert networks.generator.eval()(codes).shape == images.shape
    assert networks.discriminator(images, codes).shape == (2,)


@of_every_size
def test_networks_stay_small(size, n_stages):
    networks, usual = networks_without_weights(size), networks_without_weights((32, 32))
    assert n_weights(networks) < 1.1 * n_weights(usual)
    area = max(size[0] * size[1] / 32**2, 1)
    cost = n_operations(networks, size) / n_operations(usual, (32, 32))
    assert cost < 1.05 * area


@pytest.mark.parametrize(("size", "area"), [((64, 64), 4), ((128, 128), 16)])
def test_a_pixel_of_a_larger_image_costs_less(size, area):
    few, many = networks_without_weights((32, 32)), networks_without_weights(size)
    assert n_operations(many, size) / n_operations(few, (32, 32)) < 0.6 * area


def test_channels_of_further_stages():
    networks = LARGE["conv"].networks
    assert networks.deepened(0) == replace(networks, most_pixels=0, generator_resizes=True)
    four_times = networks.deepened(2)
    assert four_times.category_channels == (8, 8, 16, 32, 64)
    assert four_times.category_strides == (2,) * 5
    assert four_times.style_channels == (8, 8, 16, 32)
    assert four_times.generator_channels == (64, 32, 16, 8)
    assert four_times.discriminator_channels == (8, 16, 32, 64)
    assert four_times.contrast_side == 65


def test_few_channels_are_not_halved():
    networks = replace(LARGE["conv"].networks, style_channels=(4, 32))
    assert networks.deepened(2).style_channels == (4, 4, 4, 32)


@pytest.mark.parametrize(
    ("n_pixels", "most_pixels", "expected"),
    [(1023, 1024, 0), (1024, 1024, 0), (1025, 1024, 1), (4096, 1024, 1), (4097, 1024, 2)]
    + [(4 ** (5 + n), 1024, n) for n in range(12)]
    + [(10**6, 0, 0)],
)
def test_halvings(n_pixels, most_pixels, expected):
    assert halvings(n_pixels, most_pixels) == expected


@pytest.mark.parametrize(("side", "resizes"), [(32, False), (64, True)])
def test_larger_images_are_drawn_by_resize_convolutions(side, resizes):
    layers = networks_without_weights((side, side)).generator.layers
    kinds = [type(layer) for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    assert set(kinds) == {ResizeConvolution if resizes else nn.ConvTranspose2d}


def test_contrast_is_taken_over_the_same_share_of_larger_images():
    trunk = networks_without_weights((64, 64), name="conv-contrast").encoder.category_trunk
    assert trunk[0].side == 33


def test_a_file_from_before_keeps_its_networks(tmp_path):
    """Of images of 64 x 64 pixels the networks had the stages of smaller ones."""
    images, path = bytes_of(10, 64 * 64), tmp_path / "model.safetensors"
    before = LARGE["conv"].with_networks(most_pixels=0)
    gan = tiny(n_clusters=2, image_shape=(64, 64), architecture=before).fit(images)
    save(gan, path)
    _, document, arrays = container.read(path, [FORMAT_VERSION])
    given = document["parameters"]["architecture"]["Preset"]["networks"]
    for networks in (given, document["settings"]["Settings"]["architecture"]):
        assert networks["ConvArchitecture"].pop("most_pixels") == 0
        for name in ("contrast_side", "generator_resizes"):
            networks["ConvArchitecture"].pop(name)
    container.write(path, FORMAT_VERSION, document, arrays)
    assert_same_model(load(path), gan, images)


# -- convolutions ---------------------------------------------------------------------------------


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


class RepeatedThenConvolved(nn.ConvTranspose2d):
    """The same weights, by the steps that its name says."""

    def forward(self, x):
        x = F.interpolate(x, scale_factor=2)
        return F.conv2d(x, self.weight.transpose(0, 1).flip(2, 3), self.bias, padding=1)


@pytest.mark.parametrize("n_out", [1, 3, 8])
def test_resize_convolution(n_out):
    fast = ResizeConvolution(5, n_out).double()
    plain = RepeatedThenConvolved(5, n_out, 3, 2, 1).double()
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


def test_contrasts_are_not_rounded_to_bfloat16():
    x = torch.rand(4, 3, 64, 64, generator=rng())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = LocalContrast()(x)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, LocalContrast()(x))


# -- users' own networks --------------------------------------------------------------------------


class Linear:
    """A user's own architecture."""

    def build(self, spec, shape):
        n_features = int(np.prod(shape))
        encoder = Encoder(
            spec, dense_stack([n_features, 6]), 6, dense_stack([n_features, 5]), 5, n_heads=2
        )
        generator = DenseGenerator(spec, (n_features,), (7,))
        discriminator = small_discriminator(nn.Identity(), n_features, spec)
        return Networks(encoder, generator, discriminator)


class LinearWithRecipe(Linear):
    """One that also names its budget."""

    def recipe(self, n_rows):
        return {
            "n_noise": 3,
            "warmup_iter": 7,
            "max_iter": 4,
            "batch_size": 16,
            "learning_rate": 1e-3,
            "discriminator_learning_rate": 1e-3,
            "consistency_weight": 1.0,
            "cycle_weight": 0.1,
            "adversarial_loss": "relativistic",
        }


def test_architecture_object():
    estimator = tiny(architecture=Linear()).fit(TABLE)

    assert estimator.transform(TABLE).shape == (60, 5)
    assert_same_model(pickle.loads(pickle.dumps(estimator)), estimator, TABLE)


def test_architecture_object_with_a_recipe():
    auto = BInfoGANTransformer(3, architecture=LinearWithRecipe(), include_noise=True).fit(TABLE)

    assert auto.n_iter_ == 11
    assert auto.transform(TABLE).shape == (60, 3 + 2 + 3)


class Brought:
    """Networks that a user has made before, once."""

    def __init__(self, **changed):
        self.trunk, self.generator = nn.Linear(4, 16), nn.Linear(14, 4)
        self.changed = changed

    def build(self, spec, shape):
        encoder = make_encoder(spec, self.trunk, 16, nn.Linear(4, 16), 16)
        judge = small_discriminator(self.changed.get("stem", nn.Identity()), 4, spec)
        return encoder, self.generator, judge


def test_a_frozen_bias_and_parametrised_weights_are_kept():
    trunk = nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 16))
    trunk[0].bias.requires_grad_(False)
    parametrizations.weight_norm(trunk[1])
    before = copy.deepcopy(trunk.state_dict())

    make_encoder(CodeSpec((3,), 2, 9), trunk, 16, nn.Linear(4, 16), 16)

    changed = {name for name, w in trunk.state_dict().items() if not torch.equal(w, before[name])}
    assert changed == {"0.weight"}


def test_a_frozen_trunk_keeps_its_weights():
    brought = Brought()
    brought.trunk.requires_grad_(False)
    before = copy.deepcopy(brought.trunk.state_dict())

    gan = tiny(architecture=brought, n_noise=9).fit(TABLE)

    learned = fitted_model(gan).trainer.players.encoder.category_trunk.state_dict()
    for name, weight in before.items():
        assert torch.equal(learned[name], weight)


@pytest.mark.parametrize("keep_weights", [False, True])
def test_weights_are_drawn_anew_unless_they_are_to_be_kept(keep_weights):
    trunk = nn.Linear(4, 16)
    before = trunk.weight.detach().clone()

    make_encoder(CodeSpec((3,), 2, 9), trunk, 16, nn.Linear(4, 16), 16, keep_weights=keep_weights)

    assert torch.equal(trunk.weight, before) == keep_weights


def test_deep_trunks_of_rectified_units_do_not_put_all_rows_into_one_cluster():
    class Deep(Brought):
        def build(self, spec, shape):
            sizes = (13, *[64] * 6)
            trunks = [
                nn.Sequential(
                    *(layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), nn.ReLU()))
                )
                for _ in range(2)
            ]
            encoder = make_encoder(spec, trunks[0], 64, trunks[1], 64, n_heads=8)
            judge = small_discriminator(nn.Identity(), 13, spec)
            return encoder, nn.Linear(spec.width, 13), judge

    X, y = load_wine(return_X_y=True)
    # Without a graph of neighbours, which would mend a bad beginning.
    budget = {"warmup_iter": 200, "max_iter": 0, "n_neighbors": 0, "random_state": 0}
    gan = BInfoGANTransformer(3, architecture=Deep(), **budget).fit(X)

    assert cluster_accuracy(y, gan.labels_) > 0.9


def test_networks_that_cannot_be_copied_are_refused():
    class Old(Brought):
        def build(self, spec, shape):
            encoder, generator, judge = super().build(spec, shape)
            judge.output = nn.utils.weight_norm(judge.output)
            return encoder, generator, judge

    with (
        pytest.warns(FutureWarning, match="weight_norm"),
        pytest.raises(ValueError, match="must return networks that can be copied"),
    ):
        tiny(architecture=Old(), n_noise=9).fit(TABLE)


class Mean(nn.Module):
    def forward(self, x, codes):
        return x.mean()


class Listed(nn.Linear):
    def forward(self, x):
        return [super().forward(x)]


@pytest.mark.parametrize(
    ("player", "network", "message"),
    [
        (0, nn.Linear(4, 14), "encoder of networks.make_encoder; got a Linear"),
        (
            1,
            nn.Linear(14, 1),
            r"generator must turn a batch of 256 .*\(256, 4\); got \(256, 1\)",
        ),
        (1, nn.Linear(13, 4), "generator fails on a batch .* of shape .* cannot be multiplied"),
        (1, Listed(14, 4), r"generator must turn .*\(256, 4\); got a list"),
        (2, Mean(), r"discriminator must turn a batch .*\(256,\); got \(\)"),
        (2, nn.Linear(4, 1), "discriminator fails on a batch .* 3 were given"),
    ],
)
def test_networks_are_tried_before_training(player, network, message):
    class Changed(Brought):
        def build(self, spec, shape):
            networks = list(super().build(spec, shape))
            networks[player] = network
            return networks

    with pytest.raises(ValueError, match=message):
        tiny(architecture=Changed(), n_noise=9).fit(TABLE)


def test_a_discriminator_may_compare_the_rows_of_a_batch():
    class Comparing(Discriminator):
        def forward(self, x, codes):
            distances = torch.cdist(x, x).topk(8, largest=False).values
            return super().forward(x, codes) + distances.mean(dim=1)

    class WithComparing(Brought):
        def build(self, spec, shape):
            networks = super().build(spec, shape)
            networks[2].__class__ = Comparing
            return networks

    gan = tiny(architecture=WithComparing(), n_noise=9).fit(TABLE)

    assert np.isfinite(gan.sample(5, random_state=0)[0]).all()


def test_a_discriminator_may_give_a_column():
    class Column(Discriminator):
        def forward(self, x, codes):
            return super().forward(x, codes)[:, None]

    class WithColumn(Brought):
        def build(self, spec, shape):
            networks = super().build(spec, shape)
            networks[2].__class__ = self.changed["judge"]
            return networks

    brought = WithColumn(judge=Discriminator)
    one = tiny(architecture=brought, n_noise=9).fit(TABLE)
    brought.changed["judge"] = Column
    other = tiny(architecture=brought, n_noise=9).fit(TABLE)

    assert_same_model(one, other, TABLE)


def test_a_lock_in_a_network_is_refused():
    brought = Brought()
    brought.generator.lock = threading.Lock()

    with pytest.raises(ValueError, match="networks that can be copied, but: cannot pickle"):
        tiny(architecture=brought, n_noise=9).fit(TABLE)


@pytest.mark.parametrize("name", ["batch_size", "warmup_iter", "n_noise", "cycle_weight"])
def test_a_recipe_may_leave_a_number_to_the_preset(name):
    class Auto(LinearWithRecipe):
        def recipe(self, n_rows):
            return super().recipe(n_rows) | {name: "auto"}

    gan = BInfoGANTransformer(3, architecture=Auto()).fit(TABLE)

    assert gan.n_iter_ == (104 if name == "warmup_iter" else 11)


def test_every_fit_has_networks_of_its_own():
    brought = Brought()
    one, other = (tiny(architecture=brought, n_noise=9).fit(TABLE) for _ in range(2))

    assert_same_model(one, other, TABLE)


def test_a_weight_of_encoder_and_generator_is_stepped_once():
    class Tied(Brought):
        def build(self, spec, shape):
            encoder, generator, judge = super().build(spec, shape)
            encoder.style_trunk = encoder.category_trunk = nn.Sequential(nn.Linear(4, 16))
            encoder.style_trunk[0].bias = generator[0].bias
            return encoder, generator, judge

    tied = Tied()
    tied.generator = nn.Sequential(nn.Linear(14, 16), nn.Linear(16, 4))
    gan = tiny(architecture=tied, n_noise=9, max_iter=5).fit(TABLE)

    trainer = fitted_model(gan).trainer
    bias = trainer.players.generator[0].bias
    assert int(trainer.game.optimizer.state[bias]["step"]) == 5


def test_shared_weights_of_opponents_are_refused():
    brought = Brought()
    brought.changed["stem"] = nn.Sequential(brought.trunk, nn.Linear(16, 4))
    with pytest.raises(ValueError, match="discriminator shares weights"):
        tiny(architecture=brought, n_noise=9).fit(TABLE)


def test_buffers_that_are_not_finite_are_refused():
    brought = Brought()
    brought.generator.register_buffer("mask", torch.full((2,), -torch.inf))
    with pytest.raises(ValueError, match="buffer 'mask' is not finite"):
        tiny(architecture=brought, n_noise=9).fit(TABLE)


def test_augmentations_that_give_no_numbers_are_refused():
    with pytest.raises(ValueError, match="must return finite numbers"):
        tiny(augmentation=lambda x, rng: (x - 1e9).log()).fit(TABLE)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("adversarial_loss", "x")])
def test_bad_numbers_of_a_recipe_are_quoted(name, value):
    class Bad(Linear):
        def recipe(self, n_rows):
            return {name: value}

    with pytest.raises(ValueError, match=rf"'{name}' parameter of Bad.recipe must be .*{value}"):
        BInfoGANTransformer(3, architecture=Bad()).fit(TABLE)


def test_mlp_flattens_images():
    estimator = tiny(image_shape=(8, 8), architecture="mlp").fit(DIGITS[:60])

    rows = estimator.inverse_transform(estimator.transform(DIGITS[:60]))
    assert rows.shape == (60, 64)


class Own:
    """Networks of a user's own; no dataclass, and nothing that a file could hold."""

    def build(self, spec, shape):
        return Networks(*MLPArchitecture((8,), (8,), (8,), (8,), n_heads=2).build(spec, shape))


def shake(x, rng):
    return x + 0.1 * torch.randn(x.shape, generator=rng)


def test_a_cut_off_fit_with_code_of_the_user_goes_on(tmp_path):
    params = {
        "architecture": Own(),
        "augmentation": shake,
        "warmup_iter": 60,
        "max_iter": 60,
        "batch_size": 16,
    }
    with pytest.raises(Cut):
        tiny(checkpoint_dir=tmp_path, callbacks=[CutAfter(70)], **params).fit(TABLE)
    assert list(tmp_path.iterdir())

    resumed = tiny(checkpoint_dir=tmp_path, **params).fit(TABLE)

    assert_same_model(resumed, tiny(**params).fit(TABLE), TABLE)


@pytest.mark.parametrize(("channels", "has_norm", "n_noise"), [(1, True, 32), (3, False, 128)])
@pytest.mark.parametrize("name", ["auto", "conv-contrast"])
def test_style_codes_of_colour_images_know_contrasts(name, channels, has_norm, n_noise):
    preset = resolve_preset(name, (channels, 20, 24), 500)
    spec = CodeSpec((3,), 2, preset.n_noise)
    style = preset.build(spec, (channels, 20, 24)).encoder.style_trunk

    assert preset.n_noise == n_noise
    assert any(isinstance(module, nn.GroupNorm) for module in style.modules()) == has_norm
