"""The version of what files hold, and the way from older versions to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Content = tuple[dict[str, Any], Arrays]  # the document and the arrays of a file

# A change of what a file holds, or of what a stored field means, takes a new number, and a
# function below that brings a file of the version before up to it.
FORMAT_VERSION = 2


def upgraded(version: int, document: Any, arrays: Arrays) -> Content:
    """Bring what a file of an older version holds up to the present one, step by step."""
    for number in range(version, FORMAT_VERSION):
        document, arrays = UPGRADES[number](document, arrays)
    return document, arrays


def _from_1(document: Any, arrays: Arrays) -> Content:
    """Names became the field's own; numbers of the training moved into the recipe."""
    settings = _record(document["settings"], "Settings")
    if "PaperArchitecture" in settings["architecture"]:
        raise ValueError(
            "its networks are the paper's as they were before format 2, which had a fault: see the "
            "changelog. Fit the model anew"
        )
    for architecture in (settings["architecture"], document["parameters"].get("architecture")):
        if isinstance(architecture, dict):
            _without_training(architecture)
    shape = _record(settings["layout"], "Layout")["shape"]["tuple"]
    if len(shape) == 1:  # tables had other constants than images, which are the defaults now
        _record(settings["recipe"], "Recipe").update(confidence_weight=0.5, balance_slack=0.05)
    return _renamed(document), {_renamed_array(name): array for name, array in arrays.items()}


TRAINING_OF_NETWORKS = {
    "ConvArchitecture": (
        "learning_rate",
        "warmup_rate",
        "n_noise",
        "adversarial_weight",
        "cycle_weight",
        "invariance_weight",
        "prior_matching_weight",
        "game_share",
    ),
}


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


def _without_training(encoded: dict[str, Any]) -> None:
    for kind, names in TRAINING_OF_NETWORKS.items():
        for name in names:
            encoded.get(kind, {}).pop(name, None)


def _renamed(tree: Any) -> Any:
    """Rename keys wherever they stand: weights in recipes, losses in the history."""
    if isinstance(tree, dict):
        return {RENAMED.get(key, key): _renamed(value) for key, value in tree.items()}
    return [_renamed(item) for item in tree] if isinstance(tree, list) else tree


def _renamed_array(name: str) -> str:
    for old, new in RENAMED_LAYERS.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name


def _record(encoded: Any, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = encoded[kind]
    return content


UPGRADES: dict[int, Callable[[Any, Arrays], Content]] = {1: _from_1}
FORMAT_VERSIONS = [*UPGRADES, FORMAT_VERSION]
