"""Inside a training: its phases and their steps, supervision, states, and its fitted model.

What users see of a fit is tested elsewhere; here is what that can't show.
"""

import copy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CLASSES, DIGITS, TABLE, TINY, tiny
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from torch import Tensor, nn

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer
from sklearn_binfogan import _losses as losses
from sklearn_binfogan._architectures import MLPArchitecture
from sklearn_binfogan._base import fitted_model, new_training
from sklearn_binfogan._cells import group_cells, linear_heads
from sklearn_binfogan._checkpoints import Checkpoints, Keeper, Start
from sklearn_binfogan._consistency import Consistency, nearest
from sklearn_binfogan._driver import Job, trained
from sklearn_binfogan._layout import Layout
from sklearn_binfogan._model import FittedModel
from sklearn_binfogan._net import AdversarialNet, require_finite_weights
from sklearn_binfogan._networks import Encoder
from sklearn_binfogan._phases import PHASES, backward
from sklearn_binfogan._players import Players
from sklearn_binfogan._presets import Recipe, resolve_preset
from sklearn_binfogan._rows import Batches, Rows, Share
from sklearn_binfogan._sharing import SHARING, OneProcess
from sklearn_binfogan._supervision import Labels, Supervision, assigned_categories
from sklearn_binfogan._terms import detail, mutual_information
from sklearn_binfogan._threads import undisturbed
from sklearn_binfogan._trainer import Trainer

FEW = np.where(np.arange(len(CLASSES)) < 15, CLASSES, -1)


# -- attributes ------------------------------------------------------------------------------------


class Line(nn.Linear):
    """A module for a plain net of skorch's."""

    def __init__(self):
        super().__init__(1, 1)


class Watch(Callback):
    """Note the attributes of the net, of its training and of the training's parts at each step."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, training=False, **kwargs):
        self.seen.append(attributes(net.training))


def attributes(trainer):
    """Return the names of the attributes of a training, its phases and what they share."""
    parts = {"trainer": trainer, "common": trainer.common, **trainer.phases}
    parts["losses of the consistency phase"] = trainer.consistency.consistency
    return {name: set(vars(part)) for name, part in parts.items()} | {"net": set(vars(trainer.net))}


@pytest.mark.parametrize(
    ("estimator", "X"),
    [
        (tiny(cluster_prior="learned", verbose=1, callbacks=[EarlyStopping()]), TABLE),
        (tiny(warmup_iter=0), TABLE),
        (tiny(n_clusters=(3, 2), n_init=2), TABLE),
        (tiny(image_shape=(8, 8), precision="bf16"), DIGITS[:60]),
        (BInfoGANClassifier(warmup_iter=60, max_iter=3, random_state=0), TABLE),
    ],
    ids=["learned prior", "no consistency phase", "starts", "images", "labels"],
)
def test_no_attribute_is_born_outside_init_and_none_is_deleted(estimator, X, tmp_path):
    watch = Watch()
    estimator.set_params(callbacks=[*(estimator.callbacks or []), watch])
    estimator.set_params(checkpoint_dir=tmp_path, checkpoint_every=1)
    labels = FEW if isinstance(estimator, BInfoGANClassifier) else None
    trained = fitted_model(estimator.fit(X, labels)).trainer

    born = attributes(Trainer(trained.settings))
    of_net = born.pop("net")
    net_alone = set(vars(AdversarialNet(trained)))
    # `initialize` gives every net of skorch's these.
    of_skorch = set(vars(NeuralNet(Line, nn.MSELoss).initialize()))

    assert watch.seen or estimator.n_init > 1  # starts train copies of their callbacks
    for found in (*watch.seen, attributes(trained)):
        net = found.pop("net")
        assert found == born
        assert net == of_net
    assert net_alone <= of_net
    assert of_net - net_alone <= of_skorch - net_alone


# -- steps -----------------------------------------------------------------------------------------


def test_gradients_lie_in_memory_as_their_weights():
    # torch's fused Adam pairs values by their place in memory.
    trainer = new_training(BInfoGANTransformer(3), TABLE[:50])
    weight = trainer.players.generator.output.weight
    factors = torch.arange(float(weight.numel())).reshape(weight.shape)
    loss = (weight.T.reshape(-1) * factors.T.reshape(-1)).sum()
    assert torch.autograd.grad(loss, weight, retain_graph=True)[0].stride() != weight.stride()
    backward(loss, trainer.game.optimizer)
    assert weight.grad.stride() == weight.stride()
    torch.testing.assert_close(weight.grad, factors)


def test_a_step_of_the_game_goes_through_d_once_a_side_and_trains_no_frozen_part():
    rows = TABLE[:50]
    trainer = new_training(BInfoGANTransformer(3), rows)
    trainer.consistency.n_steps = 1
    players, game = trainer.players, trainer.begin("game")
    n_judged, frozen = [], []
    players.discriminator.register_forward_hook(lambda *_: n_judged.append(1))
    players.encoder.category_trunk.register_forward_hook(
        lambda _, inputs, features: frozen.append((inputs[0].requires_grad, features.requires_grad))
    )

    game.step(trainer.rows.take(torch.arange(20)))

    assert len(n_judged) == 2  # real pairs and fake ones
    # Real rows leave no graph; through fakes G gets its gradient.
    assert frozen == [(False, False), (True, True)]
    assert all(w.grad is None for w in players.encoder.category_parameters())
    assert all(w.grad is not None for w in players.discriminator.parameters())


def test_details_count_after_a_part_of_the_game_and_leave_the_continuous_codes_alone():
    images = np.random.default_rng(0).integers(0, 256, (60, 256)).astype(np.float32)
    gan = BInfoGANTransformer(3, n_continuous=2, image_shape=(16, 16), max_iter=8)
    trainer = new_training(gan, images)
    game, x = trainer.begin("game"), trainer.rows.take(torch.arange(60))
    head = trainer.players.encoder.style_head.weight

    recorded = [set(game.step(x)) for _ in range(4)]
    trainer.players.generator.eval()  # otherwise all rows of a batch share in a gradient
    played = game.play(x)
    (gradient,) = torch.autograd.grad(detail(played), head)

    assert ["detail_loss" in names for names in recorded] == [False, False, True, True]
    assert set(played.whole.tolist()) == {0.0, 1.0}
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] != 0).any()


@pytest.mark.parametrize("parameters", [{"cycle_weight": 0}, {"n_noise": 0, "n_continuous": 2}])
def test_without_cycle_terms_or_noise_there_are_no_details(parameters):
    gan = BInfoGANTransformer(3, image_shape=(16, 16), max_iter=8, **parameters)
    trainer = new_training(gan, np.random.default_rng(0).random((60, 256)))
    game, x = trainer.begin("game"), trainer.rows.take(torch.arange(60))

    recorded = [set(game.step(x)) for _ in range(4)]

    assert "detail_loss" not in set.union(*recorded)
    assert ("cycle_loss" in recorded[0]) == ("cycle_weight" not in parameters)


def test_categories_of_colour_images_count_five_times_and_in_the_papers_objective_once():
    images = np.random.default_rng(0).integers(0, 256, (60, 768)).astype(np.uint8)
    gan = BInfoGANTransformer(3, n_continuous=0, image_shape=(16, 16, 3), max_iter=8)
    trainer = new_training(gan, images)
    played = trainer.begin("game").play(trainer.rows.take(torch.arange(60)))
    categories = played.codes[:, :3]

    nll = losses.categorical_nll(played.spec, played.fake_logits, categories)
    torch.testing.assert_close(mutual_information(played), 5 * nll)
    paper = {"consistency_weight": 0, "cycle_weight": 0, "adversarial_loss": "nonsaturating"}
    assert new_training(gan.set_params(**paper), images).settings.recipe.category_gain == 1


@pytest.mark.parametrize("factor", [100, 300, 1000, 3000])
def test_bf16_gradients_are_finite_where_d_is_all_but_sure(factor):
    trainer = new_training(BInfoGANTransformer(3, precision="bf16", device="cpu"), TABLE)
    players = trainer.players
    with torch.no_grad():  # for some rows verdicts then differ by about a hundred
        players.discriminator.output.weight.mul_(factor)
    trainer.consistency.n_steps = 1
    trainer.begin("game").step(trainer.rows.take(torch.arange(54)))
    assert all(w.grad is None or w.grad.isfinite().all() for w in players.generator.parameters())


def test_a_large_but_finite_weight_is_no_fault():
    trainer = fitted_model(tiny().fit(TABLE)).trainer
    with torch.no_grad():
        next(trainer.players.generator.parameters()).view(-1)[0] = 1e25

    assert not trainer.game.norm_of_weights().isfinite()  # the norm overflows
    require_finite_weights(trainer.players, "step 1")


@pytest.mark.parametrize(
    ("X", "params"),
    [(TABLE, {}), (DIGITS[:60], {"image_shape": (8, 8)})],
    ids=["table", "images"],
)
def test_compiled_networks(X, params, monkeypatch):
    compiled = []

    def compile_function(run):
        compiled.append(run)
        return run

    monkeypatch.setattr(torch, "compile", compile_function)
    gan = tiny(compile=True, **params).fit(X)
    players = fitted_model(gan).trainer.players
    encoder = players.encoder
    expected = {encoder.category_trunk, encoder.style_trunk, players.generator}
    assert {network.forward for network in expected} == set(compiled)
    assert len(compiled) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.gpu
@pytest.mark.parametrize("prior", ["uniform", np.array([0.5, 0.3, 0.2])])
@pytest.mark.parametrize("phase", ["consistency", "game"])
def test_a_step_does_not_wait_for_the_gpu(phase, prior):
    """Captured steps can't; those that are not captured need not either."""
    gan = BInfoGANTransformer(3, cluster_prior=prior, device="cuda", cuda_graph=False)
    trainer = new_training(gan, TABLE)
    trainer.consistency.n_steps = int(phase == "game")
    trainer.begin(phase)
    net = trainer.net
    net.history.new_epoch()

    def step():
        net.history.new_batch()
        net.train_step(trainer.rows.take(trainer.rows.train_index[:50]))

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# -- decisions at the end of the consistency phase -------------------------------------------------


SURE = 20.0


class ReadsColumns(nn.Module):
    """Sub-heads of two categories each: head i tells rows by the sign of column i."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.category_trunk = nn.Identity()
        self.register_buffer("head", torch.tensor(0))
        self.n_heads, self.n_overclustering_heads = n_heads, 0

    def sub_head_logits(self, features: Tensor) -> Tensor:
        columns = SURE * features.sign().T[: self.n_heads]
        return torch.stack([columns, -columns], dim=2)

    sub_head_logits_of = Encoder.sub_head_logits_of


def consistency(X: Tensor) -> Consistency:
    gan = BInfoGANTransformer(n_clusters=2, augmentation=None, device="cpu")
    return Consistency(new_training(gan, X.numpy()).settings, torch.Generator().manual_seed(0))


def test_near_rows_decide_between_heads_that_agree_with_themselves():
    """Both heads are sure, balanced and the same for x and T(x)."""
    near, far = 0.001, 10.0
    X = torch.tensor([[a * near, b * far] for a in (-1, 1) for b in (-1, 1)] * 25)
    encoder = ReadsColumns(n_heads=2)

    consistency(X).settle(encoder, [X[:60], X[60:]])

    assert encoder.head == 1


def test_a_single_row_settles_the_head():
    encoder = ReadsColumns(n_heads=2)

    consistency(torch.ones(4, 2)).settle(encoder, [torch.ones(1, 2)])

    assert encoder.head == 0


def test_nearest():
    rows = torch.tensor([[0.0], [1.0], [3.0], [100.0]])

    assert nearest(rows, 2).tolist() == [[0, 1], [1, 0], [2, 1], [3, 2]]
    assert nearest(rows, 9).shape == (4, 4)


def posteriors(cells, n_cells):
    return torch.nn.functional.one_hot(torch.tensor(cells), n_cells).float()


def test_cells_that_rows_move_between_form_a_group():
    # Cells 0 and 3 exchange rows, and so do 1 and 2; cell 4 keeps its own.
    cells = posteriors([0, 3, 0, 3, 1, 2, 2, 4], 5)
    moved = posteriors([3, 0, 0, 3, 2, 1, 2, 4], 5)
    groups = group_cells(cells, moved, 3)
    assert groups.sum(dim=1).tolist() == [1] * 5
    members = [set(np.flatnonzero(column)) for column in groups.T.numpy()]
    assert sorted(map(sorted, members)) == [[0, 3], [1, 2], [4]]


@pytest.mark.parametrize("n_groups", [1, 4])
def test_cells_without_rows_are_grouped_too(n_groups):
    groups = group_cells(posteriors([0, 0, 1], 4), posteriors([0, 0, 1], 4), n_groups)
    assert groups.shape == (4, n_groups)
    assert groups.sum(dim=0).min() >= 1


def test_linear_head_gives_the_posterior_back():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn((500, 6), generator=rng)
    posterior = (features @ torch.randn((6, 3), generator=rng)).softmax(dim=1)
    found = linear_heads(features, posterior[None]).logits(features)[0].softmax(dim=1)
    torch.testing.assert_close(found, posterior, atol=0.02, rtol=0)


def test_linear_head_for_one_category():
    heads = linear_heads(torch.randn(10, 4), torch.ones(1, 10, 1))
    assert heads.weights.shape == (1, 1, 4)
    assert heads.biases.shape == (1, 1)


# -- labelled rows ---------------------------------------------------------------------------------


def test_assignment_is_the_best_one_to_one():
    # Class 0 likes category 1 a little, class 1 likes it a lot.
    posterior = np.array([[0.45, 0.5, 0.05], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1]])

    assert assigned_categories(posterior, np.array([0, 1, 1])).tolist() == [0, 1]


def supervision(classes=(0, 0, 0, 1), prior="uniform", n_clusters=None):
    rows = np.arange(20.0).reshape(10, 2)
    classifier = BInfoGANClassifier(
        n_clusters, warmup_iter=1, max_iter=0, architecture=MLPArchitecture(n_heads=2)
    ).fit(rows, np.where(np.arange(10) < 2, np.arange(10), -1))
    settings = fitted_model(classifier).settings
    settings = replace(settings, recipe=replace(settings.recipe, cluster_prior=prior))
    source = Rows(rows, Layout.table(rows), "cpu", seed=0)
    labels = Labels(np.array([1, 4, 5, 9]), np.array(classes))
    return Supervision(labels, source, settings, torch.Generator().manual_seed(0)), source


class Stub:
    """An encoder whose two heads know class 1 by its row, and number the classes differently."""

    n_heads, category_trunk, head = 2, torch.nn.Identity(), torch.tensor(1)

    def __init__(self, row):
        self.row = row

    def sub_head_logits(self, features):
        is_one = (features == self.row).all(dim=1).float()
        logits = torch.stack([1 - is_one, is_one], dim=1)
        return torch.stack([logits, 3 * logits.flip(1)])

    sub_head_logits_of = Encoder.sub_head_logits_of


def test_labelled_batches_are_balanced_and_bound():
    supervised, rows = supervision()
    the_one = rows.take(torch.tensor([9]))
    supervised.assign(Stub(the_one), learned=True)

    batch = supervised.draw()

    assert supervised.assignment.tolist() == [[0, 1], [1, 0]]
    assert len(batch.x) == 64  # a quarter of the batch for tables
    first, second = batch.categories
    assert first.sum() == 32  # as many of class 1, which has one label, as of class 0
    assert torch.equal(second, 1 - first)
    assert torch.equal(batch.x[first == 1], the_one.expand(32, -1))
    of_class_0 = {tuple(row) for row in batch.x[first == 0].tolist()}
    assert of_class_0 == {tuple(row) for row in rows.take(torch.tensor([1, 4, 5])).tolist()}


def test_classes_take_the_first_categories_where_nothing_is_learned():
    supervised, rows = supervision()

    supervised.assign(Stub(rows.take(torch.tensor([9]))), learned=False)

    assert supervised.assignment.tolist() == [[0, 1], [0, 1]]


def test_prior_follows_the_binding():
    supervised, rows = supervision(prior=((0.8, 0.2),))
    stub = Stub(rows.take(torch.tensor([9])))
    supervised.assign(stub, learned=True)

    torch.testing.assert_close(
        supervised.draw().log_prior.exp(), torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    )
    assert supervised.prior(stub) == ((0.2, 0.8),)  # as its kept head, the second, numbers them


@pytest.mark.parametrize(("n_clusters", "in_use"), [(None, 2), (3, 3), (6, 3), ((5, 2), 3)])
def test_balance_asks_for_one_category_more_than_there_are_classes(n_clusters, in_use):
    supervised, rows = supervision(n_clusters=n_clusters)
    supervised.assign(Stub(rows.take(torch.tensor([9]))), learned=False)
    sizes = torch.zeros(1, supervised.spec.categories[0])
    sizes[0, :in_use] = 1 / in_use

    slack = supervised.draw().slack

    assert losses.imbalance(sizes, slack).item() == pytest.approx(0, abs=1e-6)
    assert losses.imbalance(sizes, slack - 0.01).item() > 0.005


def test_heads_are_judged_by_labelled_rows():
    supervised, rows = supervision()

    nll = supervised.head_nll(Stub(rows.take(torch.tensor([9]))))

    expected = [np.log1p(np.exp(-1.0)), np.log1p(np.exp(-3.0))]
    np.testing.assert_allclose(nll, expected, rtol=1e-5)


def test_free_categories_are_expected_as_often_as_a_class():
    y = np.repeat([0, 1, 2], [40, 13, 7])
    classifier = BInfoGANClassifier((4, 2), warmup_iter=3, max_iter=3, random_state=0).fit(TABLE, y)

    expected = fitted_model(classifier).settings.recipe.cluster_prior
    np.testing.assert_allclose(expected[0], [*(0.75 * np.array([50, 23, 17]) / 90), 0.25])
    np.testing.assert_allclose(expected[1], [0.5, 0.5])


def test_probabilities_where_free_categories_leave_nothing(monkeypatch):
    classifier = BInfoGANClassifier(4, warmup_iter=3, max_iter=3, random_state=0).fit(TABLE, FEW)
    nothing = np.zeros((2, 4), dtype=np.float32)
    monkeypatch.setattr(FittedModel, "posterior", lambda self, X: nothing)

    np.testing.assert_allclose(classifier.predict_proba(TABLE), np.full((2, 3), 1 / 3), rtol=1e-6)


# -- states ----------------------------------------------------------------------------------------


def leaves(state):
    """All arrays of a net's state."""
    optimizers = [values for each in state.optimizers for values in each.values()]
    arrays = [array for group in [state.module, *optimizers] for array in group.values()]
    return [*arrays, state.rng, state.balance]


def test_a_snapshot_is_not_what_training_goes_on_with():
    rows = TABLE[:50]
    gan = BInfoGANTransformer(3, warmup_iter=3, max_iter=3, random_state=0).fit(rows)
    trainer = fitted_model(gan).trainer.load_rows(rows)
    trainer.batches = Batches(trainer.rows, 20, 5, 5, trainer.common.rng, Share(), False)
    trainer.begin("game")
    snapshot = trainer.snapshot()
    before = snapshot.as_arrays()
    assert all(isinstance(value, torch.Tensor) for value in snapshot.module.values())
    restored = Trainer(trainer.settings, state=snapshot).load_rows(rows)
    restored.begin("game")

    for training in (trainer, restored):
        training.phase.step(training.rows.take(torch.arange(20)))

        after = training.state().as_arrays()
        weight = "generator.output.weight"
        assert not np.array_equal(after.module[weight], before.module[weight])
        moments = (after.optimizers[1], before.optimizers[1])
        assert not all(np.array_equal(*(m[i]["exp_avg"] for m in moments)) for i in moments[0])
        for kept, expected in zip(leaves(snapshot.as_arrays()), leaves(before), strict=True):
            np.testing.assert_array_equal(kept, expected)


def test_a_start_that_went_on_later_equals_a_fit_without_a_break():
    several = tiny(n_init=2).fit(TABLE)
    model = fitted_model(several)
    seeds = np.random.RandomState(TINY["random_state"]).randint(2**31 - 1, size=2)

    settings = [replace(model.settings, seed=int(seed)) for seed in seeds]
    job = Job(TABLE, None, "cpu")
    with undisturbed():
        keepers = [Keeper(Start(each), PHASES, None, 1, {}) for each in settings]
        alone = [trained(job, keeper) for keeper in keepers]

    weights = model.trainer.players.state_dict()
    best = max(alone, key=lambda trainer: trainer.quality())
    for name, value in best.players.state_dict().items():
        assert torch.equal(value, weights[name])


def test_quality_falls_with_labels_by_chance_and_costs_the_training_no_draw():
    """Of the sub-heads one is trained; another gets categories that say nothing of the rows."""
    gan = BInfoGANTransformer(3, warmup_iter=60, max_iter=0, n_neighbors=0)
    centers = np.repeat(np.eye(3) * 8, 40, axis=0)
    X = centers + np.random.default_rng(0).normal(size=centers.shape)
    trainer = new_training(gan, X)
    trainer.train({"consistency": 60})
    drawn = trainer.common.rng.get_state()
    good = trainer.quality()
    assert trainer.quality() == good
    assert torch.equal(trainer.common.rng.get_state(), drawn)

    head = trainer.players.averaged_encoder.category_head
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(0))
    assert trainer.quality() < good - 0.5


def test_without_a_consistency_phase_starts_are_compared_by_score():
    gan = tiny(warmup_iter=0, max_iter=3)
    trainer = new_training(gan, TABLE)
    trainer.train({"game": 3})
    assert trainer.rows is not None
    assert trainer.quality() == trainer.evaluate(trainer.rows.validation())["score"]


def test_checkpoints_of_shared_fits_are_refused(tmp_path):
    class Shared(OneProcess):
        is_shared = True

    before = SHARING.set(Shared())
    try:
        with pytest.raises(ValueError, match="checkpoint_dir=None"):
            Checkpoints(tmp_path, 10).open([], TABLE, None, "cpu")
    finally:
        SHARING.reset(before)


# -- a fitted model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    X[:50] += 4
    return BInfoGANTransformer(
        n_clusters=3, n_continuous=1, n_noise=2, warmup_iter=20, max_iter=20, random_state=0
    ).fit(X)


def test_sample_draws_given_the_category(fitted):
    """Each category's codes are set to a value of its own: rows must be that code's."""
    clone = copy.deepcopy(fitted)
    aggregate = fitted_model(clone).trainer.players.aggregate
    aggregate.root.zero_()
    aggregate.mean.copy_(torch.arange(3)[:, None, None] / 3)
    aggregate.mean[..., -3:] = 0  # of the residual
    fitted_model(clone).order = np.array([1, 2, 0])  # where the net keeps each public category

    rows, labels = clone.sample(60, random_state=0)

    codes = np.zeros((60, 6), dtype=np.float32)
    codes[np.arange(60), labels] = 1
    codes[:, 3:] = fitted_model(clone).order[labels][:, None] / 3
    clone.include_noise = True
    np.testing.assert_allclose(rows, clone.inverse_transform(codes), atol=1e-5)


def test_sample_from_the_prior_does_not_look_at_the_data(fitted):
    clone = copy.deepcopy(fitted)
    fitted_model(clone).trainer.players.aggregate.mean.fill_(5)

    there, here = (g.sample(20, random_state=0, from_prior=True)[0] for g in (clone, fitted))

    np.testing.assert_array_equal(there, here)
    assert (clone.sample(20, random_state=0)[0] != fitted.sample(20, random_state=0)[0]).any()


def test_training_finds_where_real_rows_lie(fitted):
    fresh = Players(fitted_model(fitted).settings).aggregate

    assert not torch.equal(fitted_model(fitted).trainer.players.aggregate.mean, fresh.mean)
    assert not torch.equal(fitted_model(fitted).trainer.players.aggregate.root, fresh.root)


def test_ablations_change_one_thing_each(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    from mnist_ablation import SYSTEMS

    default = resolve_preset("auto", (1, 28, 28), 60_000)
    for name in ("cycle", "invariance", "prior matching"):
        budget = dict(SYSTEMS[f"both, no {name}"])
        preset = resolve_preset(budget.pop("architecture"), (1, 28, 28), 60_000)
        assert budget == SYSTEMS["both"]
        with_all, without = (p.resolved(60_000, budget) for p in (default, preset))
        changed = {
            field.name
            for field in fields(Recipe)
            if getattr(with_all, field.name) != getattr(without, field.name)
        }
        assert changed == {f"{name.replace(' ', '_')}_weight"}
        assert preset.networks == default.networks
