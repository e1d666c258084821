"""Files of models: equal after a round trip, whole after a crash, refused if anything is wrong."""

import io
import json
import os
import pickle
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import (
    CLASSES,
    assert_same_model,
    assert_same_tree,
    tiny,
    trained_arrays,
    weights,
)
from conftest import DIGITS as ALL_DIGITS
from conftest import TABLE as ALL_ROWS
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EarlyStopping

from sklearn_binfogan import (
    AffineMove,
    BInfoGANClassifier,
    BInfoGANTransformer,
    GaussianNoise,
    load,
    save,
)
from sklearn_binfogan import _container as container
from sklearn_binfogan._aggregate import AggregatePosterior
from sklearn_binfogan._architectures import ConvArchitecture, MLPArchitecture, PaperArchitecture
from sklearn_binfogan._augmentation import identity
from sklearn_binfogan._base import fitted_model
from sklearn_binfogan._codes import CodeSpec
from sklearn_binfogan._upgrades import FORMAT_VERSION
from sklearn_binfogan.exceptions import ScaleWarning

GOLDEN = Path(__file__).parent / "golden"
TABLE, DIGITS = ALL_ROWS[:40], ALL_DIGITS[:40]
SMALL_PAPER = PaperArchitecture(
    (8, 8, 8),
    encoder_channels=(4, 4, 8),
    encoder_dense=8,
    discriminator_channels=(4, 4),
    discriminator_dense=8,
    discriminator_code=(8, 8),
    discriminator_joint=8,
)
CASES = {
    "table": (TABLE, {}),
    "float32": (TABLE.astype(np.float32), {}),
    "images": (DIGITS, {"image_shape": (8, 8)}),
    "uint8 images": (DIGITS.astype(np.uint8), {"image_shape": [8, 8, 1]}),
    "large images": (np.random.default_rng(0).random((20, 256)), {"image_shape": (16, 16)}),
    "several codes": (TABLE, {"n_clusters": (3, 2)}),
    "one code alone": (TABLE, {"n_continuous": 0, "n_noise": 0}),
    "learned prior": (TABLE, {"cluster_prior": "learned"}),
    "given prior": (TABLE, {"cluster_prior": np.array([0.5, 0.3, 0.2])}),
    "several priors": (TABLE, {"n_clusters": (2, 1), "cluster_prior": [[0.25, 0.75], (1.0,)]}),
    "no warmup": (TABLE, {"warmup_iter": 0}),
    "no game": (TABLE, {"max_iter": 0}),
    "names": (pd.DataFrame(TABLE, columns=["a", "ä", "\0", '"']), {}),
    "noise": (TABLE, {"include_noise": True, "augmentation": GaussianNoise(0.2)}),
    "no augmentation": (TABLE, {"augmentation": None}),
    "numpy numbers": (TABLE, {"n_clusters": np.int64(3), "mi_weight": np.float32(0.3)}),
    "mlp": (TABLE, {"architecture": MLPArchitecture((8,), (8,), (8,), (8,), n_heads=2)}),
    "conv": (
        DIGITS,
        {
            "image_shape": (8, 8),
            "augmentation": AffineMove(warp=0.1),
            "architecture": ConvArchitecture(category_activation=torch.nn.Tanh),
        },
    ),
    "paper": (
        np.random.default_rng(0).random((20, 256)),
        {"image_shape": (16, 16), "architecture": SMALL_PAPER, "warmup_iter": "auto"},
    ),
}


def fit(X, **params):
    return tiny(**params).fit(X)


@pytest.fixture(scope="module")
def model():
    return fit(TABLE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def file_of_model(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "model.safetensors"
    save(model, path)
    return path.read_bytes()


@pytest.fixture
def stored(file_of_model, path):
    path.write_bytes(file_of_model)
    return path


def assert_same_stored_model(one, other, X):
    """Equal in every result that a user sees, and in all that training goes on from."""
    assert_same_model(one, other, X)
    assert_same_tree(one.history_, other.history_)
    assert one.score(X) == other.score(X)
    assert one.n_features_in_ == other.n_features_in_
    assert_same_tree(
        getattr(one, "feature_names_in_", None), getattr(other, "feature_names_in_", None)
    )
    assert_same_tree(one.get_feature_names_out(), other.get_feature_names_out())


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_round_trip(case, path):
    X, params = CASES[case]
    one = fit(X, **params)

    save(one, path)
    other = load(path)

    assert set(vars(one)) == set(vars(other))
    for name, value in one.get_params().items():
        np.testing.assert_equal(other.get_params()[name], value)
    assert_same_stored_model(one, other, X)
    one.partial_fit(X)
    other.partial_fit(X)
    assert_same_stored_model(one, other, X)


def test_random_state_instance_goes_on_where_it_stands(path):
    generator = np.random.RandomState(0)
    generator.normal()  # keeps a second draw
    one = fit(TABLE, random_state=generator)

    save(one, path)
    other = load(path)

    assert other.random_state.normal(size=3).tolist() == generator.normal(size=3).tolist()
    np.testing.assert_array_equal(
        one.fit(TABLE).transform(TABLE), other.fit(TABLE).transform(TABLE)
    )


def test_a_loaded_model_is_saved_to_the_same_bytes(stored, tmp_path):
    again = tmp_path / "again.safetensors"

    save(load(stored), again)

    assert again.read_bytes() == stored.read_bytes()


def test_set_output_is_kept(path):
    one = fit(TABLE).set_output(transform="pandas")

    save(one, path)

    assert load(path).transform(TABLE).columns.tolist() == one.transform(TABLE).columns.tolist()


def test_parameters_may_differ_from_those_of_the_fit(path):
    one = fit(TABLE).set_params(n_clusters=7, n_continuous=0)

    save(one, path)

    assert load(path).n_clusters == 7
    np.testing.assert_array_equal(load(path).transform(TABLE), one.transform(TABLE))


def test_values_that_json_does_not_know(path):
    one = fit(TABLE)
    one.diagnostics_ = {"a": float("nan"), "b": [float("inf"), -float("inf")], "c": (1, None)}

    save(one, path)

    np.testing.assert_equal(load(path).diagnostics_, one.diagnostics_)


def test_after_partial_fit_alone(path):
    one = tiny().partial_fit(TABLE)

    save(one, str(path))

    assert_same_stored_model(one, load(str(path)), TABLE)


def test_loading_leaves_global_state_as_found(stored):
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002  # the global state is meant

    load(stored)

    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002  # as above


def test_device(stored):
    assert load(stored).device == "auto"
    assert load(stored, device="cpu").device == "cpu"
    assert load(stored, device=torch.device("cpu")).device == "cpu"
    for device in ("tpu", "cuda:99", None):
        with pytest.raises(ValueError, match="device"):
            load(stored, device=device)


def test_a_model_of_a_missing_device_goes_to_the_cpu(stored):
    repack(stored, lambda document, arrays: document["parameters"].update(device="cuda:99"))

    other = load(stored)

    assert other.device == "cuda:99"
    assert fitted_model(other).trainer.device == "cpu"


def test_file_is_plain_safetensors(model, stored):
    from safetensors import safe_open

    with safe_open(stored, framework="np") as opened:
        info = json.loads(opened.metadata()["sklearn_binfogan"])
        weight = opened.get_tensor("module.averaged_encoder.category_head.weight")

    assert info["format_version"] == FORMAT_VERSION
    # The metadata of some builds leaves out what follows the +.
    assert info["versions"]["torch"] in (torch.__version__, torch.__version__.split("+")[0])
    np.testing.assert_array_equal(weight, weights(model)["averaged_encoder.category_head.weight"])


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("v*.safetensors")), ids=lambda p: p.stem)
def test_golden_files_load(golden):
    expected = json.loads(golden.with_suffix(".json").read_text())
    X = np.array(expected["X"])

    gan = load(golden, device="cpu")

    np.testing.assert_allclose(gan.transform(X), expected["codes"], rtol=1e-6, atol=1e-9)
    rows = gan.inverse_transform(expected["codes"])
    np.testing.assert_allclose(rows, expected["rows"], rtol=1e-6, atol=1e-9)
    assert gan.labels_.tolist() == gan.predict(X).tolist() == expected["labels"]
    np.testing.assert_allclose(gan.cluster_prior_, expected["cluster_prior"])
    assert gan.history_[:, "train_loss"] == expected["train_loss"]
    assert gan.partial_fit(X).n_iter_ == 7


def test_in_format_3_several_codes_shared_one_density(tmp_path):
    path = tmp_path / "codes"
    save(BInfoGANTransformer((3, 2), warmup_iter=5, max_iter=5).fit(TABLE), path)

    def share(document, arrays):
        for part in ("weight", "mean", "root"):
            arrays[f"module.aggregate.{part}"] = arrays[f"module.aggregate.{part}"][:1]

    repack(path, share, version=3)
    mean = fitted_model(load(path)).trainer.players.aggregate.mean
    assert len(mean) == 3
    assert (mean == mean[0]).all()


def test_every_format_version_has_golden_files():
    kinds = ("v", "transformer_format", "classifier_format", "checkpoint_format")
    expected = {f"{kind}{n}" for kind in kinds for n in range(1, FORMAT_VERSION + 1)}
    assert {path.stem for path in GOLDEN.glob("*.safetensors")} == expected


# -- joblib and pickle -----------------------------------------------------------------------------


@pytest.mark.parametrize("library", [pickle, joblib], ids=["pickle", "joblib"])
def test_pickle_and_joblib_carry_numpy_arrays(library, model):
    buffer = io.BytesIO()
    library.dump(model, buffer)
    buffer.seek(0)

    other = library.load(buffer)

    assert_same_stored_model(model, other, TABLE)
    assert b"torch" not in buffer.getvalue()
    assert trained_arrays(model)


# -- what can't be saved ---------------------------------------------------------------------------


class OwnArchitecture(MLPArchitecture):
    pass


@dataclass(frozen=True)
class OwnMove:
    def __call__(self, x, rng):
        return x


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"architecture": OwnArchitecture()}, ["architecture", "OwnArchitecture", "joblib"]),
        ({"augmentation": OwnMove()}, ["augmentation", "OwnMove", "joblib"]),
        ({"augmentation": lambda x, rng: x}, ["augmentation", "<lambda>", "joblib"]),
        ({"callbacks": [EarlyStopping()]}, ["callbacks=None", "joblib"]),
        ({"random_state": np.random.RandomState(np.random.PCG64(0))}, ["random_state", "int"]),
    ],
)
def test_code_is_refused_before_anything_is_written(params, words, tmp_path):
    one = fit(TABLE, **params)

    with pytest.raises(ValueError, match="can't be saved") as refused:
        save(one, tmp_path / "model.safetensors")

    assert not [word for word in words if word not in str(refused.value)]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "prior",
    [
        pd.Series([0.5, 0.25, 0.25]),
        torch.tensor([0.5, 0.25, 0.25]),
        np.array([0.5, 0.25, 0.25], dtype=object),
    ],
    ids=["Series", "tensor", "objects"],
)
def test_a_prior_in_another_kind_of_array_is_stored_as_numbers(prior, path):
    one = fit(TABLE, cluster_prior=prior)

    save(one, path)

    other = load(path)
    np.testing.assert_array_equal(other.cluster_prior, [0.5, 0.25, 0.25])
    np.testing.assert_array_equal(
        other.partial_fit(TABLE).transform(TABLE), one.partial_fit(TABLE).transform(TABLE)
    )


def test_a_prior_of_very_many_categories_is_stored(path):
    X = np.random.default_rng(0).normal(size=(1500, 3))
    prior = np.full(1100, 1 / 1100)
    one = fit(X, n_clusters=1100, cluster_prior=prior)

    save(one, path)

    np.testing.assert_array_equal(load(path).cluster_prior_, one.cluster_prior_)


def test_callbacks_can_be_taken_off(path):
    one = fit(TABLE, callbacks=[EarlyStopping()])

    save(one.set_params(callbacks=None), path)

    assert load(path).callbacks is None


def test_known_functions_are_stored_by_name(path):
    save(fit(TABLE, augmentation=identity), path)

    assert load(path).augmentation is identity


def test_damaged_weights_are_refused(model, tmp_path):
    one = pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        fitted_model(one).trainer.players.encoder.category_head.weight[0, 0] = float("nan")

    with pytest.raises(ValueError, match=r"encoder\.category_head\.weight.*NaN"):
        save(one, tmp_path / "model.safetensors")

    assert not list(tmp_path.iterdir())


def test_a_history_too_long_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(container, "MAX_DOCUMENT", 1000)

    with pytest.raises(ValueError, match="history_"):
        save(model, tmp_path / "model.safetensors")

    assert not list(tmp_path.iterdir())


def test_what_is_no_fitted_model(model, path):
    with pytest.raises(NotFittedError):
        save(BInfoGANTransformer(), path)
    with pytest.raises(TypeError, match="Pipeline"):
        save(make_pipeline(model), path)
    with pytest.raises(TypeError):
        save(model, 1)
    assert not path.exists()


# -- crashes while writing -------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["os", "ctrl-c"])
def test_a_crash_leaves_the_old_file_whole(fails, error, model, stored, monkeypatch):
    before = stored.read_bytes()
    other = fit(TABLE, random_state=1)

    def fail(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, fails, fail)
        with pytest.raises(type(error)):
            save(other, stored)

    assert [p.name for p in stored.parent.iterdir()] == [stored.name]
    assert stored.read_bytes() == before
    assert_same_stored_model(model, load(stored), TABLE)


def test_file_and_folder_are_synced_around_the_renaming(model, path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, r=real: (calls.append(n), r(*a)))

    save(model, path)

    assert calls == ["fsync", "replace", "fsync"]


def test_a_full_disk(model, stored):
    before = stored.read_bytes()
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            save(model, stored)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [p.name for p in stored.parent.iterdir()] == [stored.name]
    assert stored.read_bytes() == before


def test_a_new_file_has_usual_permissions_and_a_link_stays_a_link(model, stored, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    assert stored.stat().st_mode == plain.stat().st_mode
    link = tmp_path / "link"
    link.symlink_to(stored)

    save(model, link)

    assert link.is_symlink()
    assert load(link).n_iter_ == model.n_iter_


@pytest.mark.skipif(os.name != "posix", reason="pipes and modes of POSIX")
def test_a_pipe_is_not_replaced_and_a_private_file_stays_private(model, tmp_path):
    pipe, private = tmp_path / "pipe", tmp_path / "private"
    os.mkfifo(pipe)
    private.touch(0o600)

    with pytest.raises(OSError, match="pipe is neither a new file nor a regular one"):
        save(model, pipe)
    save(model, private)

    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [pipe, private]


def test_targets_that_can_not_be_written(model, tmp_path):
    with pytest.raises(OSError):  # noqa: PT011  # which one differs between systems
        save(model, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*missing'"):
        save(model, tmp_path / "missing" / "model")
    assert not list(tmp_path.iterdir())


# -- files that must be refused --------------------------------------------------------------------


def repack(path, edit, version=FORMAT_VERSION):
    """Change a file's contents and give it a valid checksum, as a stranger could."""
    _, document, arrays = container.read(path, [FORMAT_VERSION])
    document = edit(document, arrays) or document
    container.write(path, version, document, arrays)


def refused(path):
    start = time.perf_counter()
    with pytest.raises(ValueError, match="can't be loaded") as error:
        load(path)
    assert time.perf_counter() - start < 5
    return str(error.value)


def setting(*keys_and_value):
    *keys, last, value = keys_and_value

    def edit(document, arrays):
        for key in keys:
            document = document[key]
        document[last] = value

    return edit


def array_setting(name, value):
    return lambda document, arrays: arrays.update({name: np.asarray(value)})


def in_settings(record, *keys_and_value):
    return setting("settings", "Settings", *record.split(), *keys_and_value)


def item_setting(name, index, value):
    def edit(document, arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][index] = value

    return edit


def swapped_bounds(document, arrays):
    for part, bound in {"low": 1, "high": 0}.items():
        item_setting(f"settings.layout.kinds.{part}", 0, bound)(document, arrays)


def without(*keys):
    return lambda document, arrays: [
        part.pop(key) for key in keys for part in (document, arrays) if key in part
    ][:0]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


WEIGHT = "module.encoder.category_head.weight"
RECORD = "architecture MLPArchitecture"
EDITS = {
    "missing weight": (without(WEIGHT), "missing"),
    "missing labels": (without("labels"), "missing"),
    "missing generator": (without("rng"), "missing"),
    "missing moment": (without("optimizers.0.0.exp_avg"), "missing"),
    "extra array": (array_setting("extra", [1.0]), "unknown arrays"),
    "extra weight": (array_setting("module.extra", [1.0]), "unknown arrays"),
    "extra moment": (array_setting("optimizers.0.99.step", 1.0), "unknown arrays"),
    "shape": (array_setting(WEIGHT, np.zeros((2, 2), np.float32)), "expected float32"),
    "dtype": (array_setting(WEIGHT, np.zeros((24, 64), np.float16)), "expected float32"),
    "nan weight": (item_setting(WEIGHT, (0, 0), np.nan), "NaN"),
    "infinite moment": (item_setting("optimizers.0.0.exp_avg", 0, np.inf), "NaN"),
    "negative moment": (item_setting("optimizers.0.0.exp_avg_sq", 0, -1), "below 0"),
    "negative steps": (item_setting("optimizers.0.0.step", (), -1), "below 0"),
    "nan scale": (item_setting("settings.layout.scale", 0, np.nan), "NaN"),
    "zero scale": (item_setting("settings.layout.scale", 0, 0), "scale"),
    "head": (item_setting("module.averaged_encoder.head", (), 8), "head"),
    "negative head": (item_setting("module.encoder.head", (), -1), "head"),
    "labels": (item_setting("labels", 0, 3), "label"),
    "negative labels": (item_setting("labels", 0, -1), "label"),
    "no labels": (array_setting("labels", np.zeros(0, np.int64)), "label"),
    "labels of two codes": (array_setting("labels", np.zeros((4, 2), np.int64)), "label"),
    "balance": (array_setting("balance", np.zeros((8, 2), np.float32)), "balance"),
    "generator left": (item_setting("rng", slice(8, 10), 255), "generator"),
    "generator position": (item_setting("rng", slice(16, 18), 255), "generator"),
    "generator's shape": (array_setting("rng", np.zeros((2, 2), np.uint8)), "generator"),
    "document": (lambda document, arrays: ["no", "dict"], "document"),
    # Python 3.12 follows deeper nesting, and finds that it is no prior.
    "nested document": (
        lambda document, arrays: {**document, "prior": nested(500)},
        "recursion" if sys.version_info < (3, 12) else "prior",
    ),
    "missing entry": (without("steps"), "document"),
    "extra entry": (setting("extra", 1), "document"),
    "unknown parameter": (setting("parameters", "extra", 1), "unknown parameters"),
    "parameters": (setting("parameters", [1]), "unknown parameters"),
    "absurd parameter": (setting("parameters", "n_init", -1), "n_init"),
    "parameter's type": (setting("parameters", "mi_weight", "one"), "mi_weight"),
    "callbacks": (setting("parameters", "callbacks", [1]), "callbacks"),
    "folder to write to": (setting("parameters", "checkpoint_dir", "/tmp"), "folder"),
    "unknown function": (
        setting("parameters", "augmentation", {"function": "os.system"}),
        "unknown kind",
    ),
    "unknown class": (setting("parameters", "augmentation", {"Popen": {}}), "unknown kind"),
    "unhashable kind": (setting("parameters", "augmentation", {"function": []}), "unknown kind"),
    "two kinds": (setting("parameters", "n_noise", {"tuple": [], "dict": {}}), "kind"),
    "random state": (
        setting(
            "parameters",
            "random_state",
            {"RandomState": {"key": 1, "pos": 9999, "has_gauss": 0, "gauss": 0.0}},
        ),
        "RandomState",
    ),
    "random state's fields": (
        setting("parameters", "random_state", {"RandomState": {"seed": 1}}),
        "",
    ),
    "settings": (setting("settings", None), "settings"),
    "unknown field": (in_settings(RECORD, "extra", 1), "unexpected keyword"),
    "missing field": (setting("settings", "Settings", {}), "missing"),
    "field's type": (in_settings("recipe Recipe", "betas", {"tuple": [0.5]}), "betas"),
    "negative field": (in_settings("recipe Recipe", "max_iter", -1), "max_iter"),
    "infinite field": (in_settings("recipe Recipe", "mi_weight", {"float": "inf"}), "mi_weight"),
    "learning rate": (in_settings("recipe Recipe", "learning_rate", -1.0), "learning rate"),
    "density": (in_settings("recipe Recipe", "density_components", 0), "components"),
    "density beyond memory": (
        in_settings("recipe Recipe", "density_components", 2**40),
        "expected float32",
    ),
    "weight of a density": (item_setting("module.aggregate.weight", (0, 0), -1), "below 0"),
    "no weight of a density": (item_setting("module.aggregate.weight", 0, 0), "weight"),
    "falling quantiles": (item_setting("module.marginals.real", (1, 0), -9), "falls"),
    "falling drawn ones": (item_setting("module.marginals.drawn", (1, 0), -9), "falls"),
    "endless quantiles": (
        item_setting("module.marginals.real", (-1, 0), int(np.float64(np.inf).view(np.int64))),
        "not finite",
    ),
    "bounds": (swapped_bounds, "bounds"),
    "kinds' width": (array_setting("settings.layout.kinds.whole", np.zeros(3)), "kinds"),
    "kinds' dtype": (
        array_setting("settings.layout.kinds.whole", np.zeros(4, np.float32)),
        "kinds",
    ),
    "no values": (array_setting("settings.layout.kinds.values", np.zeros((4, 0))), "kinds"),
    "many values": (item_setting("settings.layout.kinds.n_values", 0, 9), "values"),
    "group of one": (item_setting("settings.layout.kinds.groups", 0, 1), "group"),
    "half a group": (item_setting("settings.layout.kinds.groups", 0, 0.5), "whole"),
    "batch size": (in_settings("recipe Recipe", "batch_size", 0), "batch size"),
    "loss": (in_settings("recipe Recipe", "adversarial_loss", "none"), "loss"),
    "precision": (in_settings("recipe Recipe", "precision", "none"), "precision"),
    "threads": (in_settings("recipe Recipe", "n_threads", 0), "threads"),
    "compile": (in_settings("recipe Recipe", "compile", "none"), "compile"),
    "CUDA graph": (in_settings("recipe Recipe", "cuda_graph", "none"), "CUDA graphs"),
    "prior": (in_settings("recipe Recipe", "cluster_prior", "none"), "prior"),
    "prior's sum": (
        in_settings("recipe Recipe", "cluster_prior", {"tuple": [{"tuple": [1.0, 1.0, 1.0]}]}),
        "prior",
    ),
    "current prior": (setting("prior", {"tuple": [{"tuple": [1.0]}]}), "prior"),
    "seed": (in_settings("", "seed", 2**70), "seed"),
    "augmentation": (in_settings("", "augment", {"function": "elu"}), "augmentation"),
    "affine moves of a table": (in_settings("", "augment", {"AffineMove": {}}), "augmentation"),
    "architecture": (in_settings("", "architecture", {"GaussianNoise": {"deviation": 1}}), ""),
    "image networks for a table": (
        in_settings("", "architecture", {"ConvArchitecture": {}}),
        "architecture",
    ),
    "no categories": (in_settings("spec CodeSpec", "categories", {"tuple": []}), "categories"),
    "empty category": (in_settings("spec CodeSpec", "categories", {"tuple": [0]}), "categories"),
    "many categories": (
        in_settings("spec CodeSpec", "categories", {"tuple": [2**40]}),
        "expected float32",
    ),
    "noise beyond indices": (in_settings("spec CodeSpec", "n_noise", 2**45), "architecture"),
    "noise beyond memory": (in_settings("spec CodeSpec", "n_noise", 2**28), "expected float32"),
    "noise beyond numbers": (in_settings("spec CodeSpec", "n_noise", 2**62), "architecture"),
    "layer beyond memory": (
        in_settings(RECORD, "category_hidden", {"tuple": [2**20, 2**20]}),
        "expected float32",
    ),
    "layer beyond numbers": (
        in_settings(RECORD, "generator_hidden", {"tuple": [2**62, 2**62]}),
        "architecture",
    ),
    "many layers": (in_settings(RECORD, "style_hidden", {"tuple": [1] * 10**5}), "style_hidden"),
    "no layers": (in_settings(RECORD, "category_hidden", {"tuple": []}), "architecture"),
    "shape of rows": (in_settings("layout Layout", "shape", {"tuple": [2, 2]}), "shape"),
    "no columns": (in_settings("layout Layout", "shape", {"tuple": [0]}), "shape"),
    "more columns": (in_settings("layout Layout", "shape", {"tuple": [5]}), "scaling"),
    "dtype of rows": (in_settings("layout Layout", "row_dtype", "auto"), "dtype"),
    "order": (setting("column_order", [0, 0, 1]), "order"),
    "order's length": (setting("column_order", [0, 1]), "order"),
    "order's type": (setting("column_order", [0, 1, "2"]), "order"),
    "names": (setting("feature_names", ["a"]), "names"),
    "names' type": (setting("feature_names", [1, 2, 3, 4]), "names"),
    "output": (setting("output", {"dict": {"transform": "os"}}), "outputs"),
    "steps": (setting("steps", {"dict": {"consistency": -1, "game": 0}}), "steps"),
    "diagnostics": (setting("diagnostics", []), "diagnostics"),
    "history": (setting("history", [{"dict": {"phase": "game"}}]), "history"),
    "history's phase": (setting("history", [{"dict": {"phase": 1, "batches": []}}]), "history"),
    "huge number": (setting("parameters", "max_iter", {"float": "1e999"}), "kind"),
}


@pytest.mark.parametrize("case", EDITS)
def test_invalid_contents_are_refused(case, stored):
    edit, word = EDITS[case]
    repack(stored, edit)

    assert word in refused(stored)


@pytest.fixture(scope="module")
def classifier():
    few = np.where(np.arange(40) < 15, CLASSES[:40], -1)
    return BInfoGANClassifier(warmup_iter=3, max_iter=3, random_state=0).fit(TABLE, few)


CLASS_EDITS = {
    "unknown entry": lambda c: c.update(more=1),
    "missing entry": lambda c: c.pop("counts"),
    "unknown kind": lambda c: c.update(kind="complex128"),
    "structured kind": lambda c: c.update(kind="<i4,<i4"),
    "kind no string": lambda c: c.update(kind=["int64"]),
    "no classes": lambda c: c.update(values=[], counts=[]),
    "more classes than categories": lambda c: c.update(values=[0, 1, 2, 3], counts=[1] * 4),
    "not rising": lambda c: c.update(values=[1, 0, 2]),
    "twice the same": lambda c: c.update(values=[0, 0, 2]),
    "text among numbers": lambda c: c.update(values=[0, "1", 2]),
    "beyond the kind": lambda c: c.update(values=[0, 1, 2**70]),
    "no number": lambda c: c.update(values=[0, 1, None]),
    "count of 0": lambda c: c.update(counts=[1, 0, 1]),
    "counts of another length": lambda c: c.update(counts=[1, 1]),
    "counts no list": lambda c: c.update(counts="abc"),
}


@pytest.mark.parametrize("case", CLASS_EDITS)
def test_invalid_classes_are_refused(case, classifier, path):
    save(classifier, path)
    repack(path, lambda document, arrays: CLASS_EDITS[case](document["classes"]))

    refused(path)


@pytest.fixture(scope="module")
def model_of_far_values():
    data = TABLE.copy()
    data[[3, 4], 1] = -999
    with pytest.warns(ScaleWarning):
        return fit(data)


FAR_EDITS = {
    "one row of limits": array_setting("settings.layout.limits", np.zeros((3, 4))),
    "stand-in's dtype": array_setting("settings.layout.stand_in", np.zeros((2, 4), np.float32)),
    "no stand-in": in_settings("layout Layout", "stand_in", None),
}


@pytest.mark.parametrize("case", FAR_EDITS)
def test_limits_that_no_fit_gives_are_refused(case, model_of_far_values, path):
    save(model_of_far_values, path)
    load(path)
    repack(path, FAR_EDITS[case])

    assert "limits" in refused(path)


@pytest.mark.parametrize("n", [10**9, 0, -1, "3"])
def test_a_forged_number_of_categories_of_format_3_is_refused(stored, n):
    def forge(document, arrays):
        spec = document["settings"]["Settings"]["spec"]["CodeSpec"]
        spec["categories"]["tuple"][0] = n
        for part in ("weight", "mean", "root"):
            arrays[f"module.aggregate.{part}"] = arrays[f"module.aggregate.{part}"][:1]

    repack(stored, forge, version=3)
    refused(stored)


@pytest.mark.parametrize(("n_clusters", "n_features"), [((10, 3), 64), ((60, 3), 140)])
def test_a_large_density_of_format_3_is_cut_to_what_a_fit_has_now(n_clusters, n_features, path):
    X = np.random.default_rng(0).normal(size=(130, n_features))
    gan = fit(X, n_clusters=n_clusters)
    most = AggregatePosterior(CodeSpec((1,), 2, 8), 20, n_features)

    def as_of_format_3(document, arrays):
        arrays["module.aggregate.weight"] = np.full((1, 20), 0.05, np.float32)
        for part in ("mean", "root"):
            arrays[f"module.aggregate.{part}"] = getattr(most, part).numpy()

    save(gan, path)
    repack(path, as_of_format_3, version=3)

    rows, _ = load(path).sample(5, random_state=0)
    assert rows.shape == (5, n_features)
    assert np.isfinite(rows).all()


CORRECTIONS = ("module.marginals.drawn", "module.marginals.real")


def test_wide_tables_of_format_4_still_have_no_residual(path):
    X = np.random.default_rng(0).normal(size=(300, 360))
    save(fit(X, n_clusters=10), path)
    assert np.std(load(path).sample(200, random_state=0)[0]) == pytest.approx(1, abs=0.2)

    parts = [f"module.aggregate.{moment}" for moment in ("offset", "spread")]
    repack(path, without(*parts, *CORRECTIONS), version=4)

    assert np.std(load(path).sample(200, random_state=0)[0]) < 0.7


def test_columns_of_format_5_are_still_drawn_as_they_were(path):
    X = np.random.default_rng(0).lognormal(sigma=2, size=(300, 2))
    save(fit(X, n_clusters=2), path)
    assert load(path).sample(500, random_state=0)[0].min() > 0

    repack(path, without(*CORRECTIONS), version=5)

    assert load(path).sample(500, random_state=0)[0].min() < 0


def test_classes_are_as_wide_as_before(path):
    y = np.array(["a", "b", "-1"])[np.arange(len(TABLE)) % 3]
    classifier = BInfoGANClassifier(warmup_iter=2, max_iter=2, random_state=0).fit(TABLE, y)

    save(classifier, path)

    assert load(path).classes_.dtype == classifier.classes_.dtype == np.dtype("<U1")


def test_classes_that_a_file_cannot_hold_are_named(path):
    classes = CLASSES[:40].astype(np.float16)
    model = BInfoGANClassifier(warmup_iter=2, max_iter=2).fit(TABLE, classes)

    with pytest.raises(ValueError, match=r"classes of dtype 'float16' can't be stored; .*float32"):
        save(model, path)


def test_an_unknown_version_says_so(stored):
    repack(stored, lambda document, arrays: None, version=FORMAT_VERSION + 1)

    assert f"format version is {FORMAT_VERSION + 1}" in refused(stored)


DAMAGES = {
    "empty": lambda data: b"",
    "a few bytes": lambda data: data[:5],
    "truncated header": lambda data: data[:100],
    "truncated data": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "appended": lambda data: data + b"\0",
    "flipped last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "flipped header": lambda data: data.replace(b'"versions', b'"Versions'),
    "another shape": lambda data: data.replace(b'"shape":[24,64]', b'"shape":[64,24]'),
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"no model at all" * 100,
    "header of all lengths": lambda data: b"\xff" * 8 + data[8:],
    "no safetensors of ours": lambda data: b"\x02" + bytes(7) + b"{}",
    "nested header": lambda data: (10**5).to_bytes(8, "little") + b"[" * 10**5,
    "pickle": lambda data: pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_bytes_are_refused(case, stored):
    before = stored.read_bytes()
    stored.write_bytes(DAMAGES[case](before))

    assert stored.read_bytes() != before
    assert repr(str(stored)) in refused(stored)


def test_a_file_beyond_memory_is_refused(stored):
    with open(stored, "r+b") as stream:
        stream.truncate(2**42)  # sparse: takes no space on the disk

    assert "memory" in refused(stored)


def test_a_document_beyond_memory_is_refused(stored, monkeypatch):
    """A document of nested lists takes far more memory than its text."""
    _, document, arrays = container.read(stored, [FORMAT_VERSION])
    document["history"] = [[[0]]] * 10**6
    container.write(stored, FORMAT_VERSION, document, arrays)
    monkeypatch.setattr(container, "_physical_memory", lambda: 2**28)

    assert "JSON document may take more than fits" in refused(stored)


def test_sparse_zeros_are_refused(path):
    with open(path, "wb") as stream:
        stream.truncate(2**42)

    refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_does_not_hang(path):
    os.mkfifo(path)

    assert "regular" in refused(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
