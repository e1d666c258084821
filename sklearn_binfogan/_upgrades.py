"""The format version of files, and upgrades from older versions."""

from typing import Any

import numpy as np

from ._aggregate import MOST_NUMBERS, needs_too_many_numbers
from ._container import Arrays
from ._marginals import n_quantiles

Content = tuple[dict[str, Any], Arrays]  # the document and the arrays of a file


def upgraded(version: int, document: Any, arrays: Arrays) -> Content:
    """Upgrade the contents of a file to the current version, one version at a time."""
    for upgrade in UPGRADES[version - 1 :]:
        document, arrays = upgrade(document, arrays)
    return document, arrays


def _from_1(document: Any, arrays: Arrays) -> Content:
    """Upgrade from 1: names changed, and numbers of the training moved into the recipe."""
    settings = document["settings"]["Settings"]
    if "PaperArchitecture" in settings["architecture"]:
        raise ValueError(
            "it holds the paper's networks from before format 2, which had a fault: see the "
            "changelog. Fit the model again"
        )
    for architecture in (settings["architecture"], document["parameters"].get("architecture")):
        if isinstance(architecture, dict):
            for name in MOVED_TO_RECIPE:
                architecture.get("ConvArchitecture", {}).pop(name, None)
    if len(settings["layout"]["Layout"]["shape"]["tuple"]) == 1:
        # Tables had constants of their own. The defaults are now those of images.
        settings["recipe"]["Recipe"].update(confidence_weight=0.5, balance_slack=0.05)
    for part in (settings["recipe"]["Recipe"], document["parameters"]):
        part["compile"] = bool(part.get("compile"))  # it could also name a mode of torch.compile
    document["trained_by"] = {}
    return _renamed(document), {_renamed_array(name): array for name, array in arrays.items()}


MOVED_TO_RECIPE = (
    *("learning_rate", "warmup_rate", "n_noise", "adversarial_weight", "cycle_weight"),
    *("invariance_weight", "prior_matching_weight", "game_share"),
)
RENAMED = {
    "steadiness_weight": "invariance_weight",
    "steadiness_loss": "invariance_loss",
    "marginal_weight": "prior_matching_weight",
    "marginal_loss": "prior_matching_loss",
    "n_fine_heads": "n_overclustering_heads",
}
RENAMED_LAYERS = {
    "fine_head": "overclustering_head",
    "discriminator.verdict": "discriminator.output",
}


def _renamed(tree: Any) -> Any:
    """Rename keys at any depth: weights in recipes, losses in the history."""
    if isinstance(tree, dict):
        return {RENAMED.get(key, key): _renamed(value) for key, value in tree.items()}
    return [_renamed(item) for item in tree] if isinstance(tree, list) else tree


def _renamed_array(name: str) -> str:
    for old, new in RENAMED_LAYERS.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name


def _from_2(document: Any, arrays: Arrays) -> Content:
    """Upgrade from 2: the density of E(x) was one Gaussian per category, and is now a mixture.

    Tables had no kinds of columns, and still have none, so their samples do not change.
    """
    name = "module.aggregate."
    arrays = dict(arrays)
    if f"{name}mean" in arrays:
        arrays[f"{name}weight"] = np.ones((len(arrays[f"{name}mean"]), 1), np.float32)
        for part in ("mean", "root"):
            if f"{name}{part}" in arrays:
                arrays[f"{name}{part}"] = arrays[f"{name}{part}"][:, None]
    return document, arrays


def _from_3(document: Any, arrays: Arrays) -> Content:
    """Upgrade from 3: all categories of several codes shared one density.

    Now each category of the first code has one. They are all equal, so samples do not change. Where
    that would be too many numbers, residuals and the lightest Gaussians are left out, as in a fit.
    """
    names = [f"module.aggregate.{part}" for part in ("weight", "mean", "root")]
    if any(name not in arrays for name in names) or len(arrays[names[0]]) != 1:
        return document, arrays
    spec = document["settings"]["Settings"]["spec"]["CodeSpec"]
    n_categories, n_style = spec["categories"]["tuple"][0], spec["n_continuous"] + spec["n_noise"]
    weight, mean, root = (arrays[name] for name in names)
    if n_categories * mean.shape[2] ** 2 > MOST_NUMBERS:
        mean, root = mean[:, :, :n_style], root[:, :, :n_style, :n_style]
    most = max(MOST_NUMBERS // (n_categories * max(mean.shape[2], 1) ** 2), 1)
    kept = np.sort(np.argsort(-weight[0], kind="stable")[:most])
    cut = [part[:, kept] for part in (weight, mean, root)]
    # Views, since the number of categories has not been checked yet.
    copies = [np.broadcast_to(part, (n_categories, *part.shape[1:])) for part in cut]
    return document, arrays | dict(zip(names, copies, strict=True))


def _from_4(document: Any, arrays: Arrays) -> Content:
    """Upgrade from 4: wide tables had no residual. They still have none: it is 0."""
    settings = document["settings"]["Settings"]
    spec, n_features = settings["spec"]["CodeSpec"], _n_residual(settings)
    n_style, n_groups = spec["n_continuous"] + spec["n_noise"], spec["categories"]["tuple"][0]
    if needs_too_many_numbers(n_groups, n_style, n_features):
        # A view, since neither number has been checked yet.
        none = np.broadcast_to(np.float32(0), (n_groups, n_features))
        arrays = arrays | {"module.aggregate.spread": none}
    return document, arrays


def _from_5(document: Any, arrays: Arrays) -> Content:
    """Upgrade from 5: columns of drawn rows were not corrected, and still are not.

    In wide tables the mean of the residual was left out, and still is.
    """
    n_features = _n_residual(document["settings"]["Settings"])
    spread = arrays.get("module.aggregate.spread")
    if spread is not None:
        none = np.broadcast_to(np.float32(0), spread.shape)
        arrays = arrays | {"module.aggregate.offset": none}
    if n_features > 0:
        none = np.broadcast_to(np.int64(0), (n_quantiles(n_features), n_features))
        arrays = arrays | {f"module.marginals.{part}": none for part in ("drawn", "real")}
    return document, arrays


def _n_residual(settings: Any) -> int:
    """Columns that have a residual: those of tables, if the density is a mixture."""
    shape = settings["layout"]["Layout"]["shape"]["tuple"]
    is_mixed = settings["recipe"]["Recipe"].get("density_components", 1) > 1
    return shape[0] if len(shape) == 1 and is_mixed else 0


# If the contents of a file change, or the meaning of a stored field, add a function that upgrades
# files of the version before.
UPGRADES = (_from_1, _from_2, _from_3, _from_4, _from_5)
FORMAT_VERSION = len(UPGRADES) + 1
FORMAT_VERSIONS = range(1, FORMAT_VERSION + 1)
