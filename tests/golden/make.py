"""Write the golden files of the current formats, each once, when its format is new.

A golden file is never written anew: it shows that files of its version still load.
"""

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cases import BUDGET, CHECKPOINT_NAME, SOME_GROUPS, TABLE, UNFINISHED, cut_off, fitted
from sklearn.exceptions import ConvergenceWarning

from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer, save
from sklearn_binfogan._architectures import MLPArchitecture
from sklearn_binfogan._upgrades import FORMAT_VERSION

FOLDER = Path(__file__).parent
# Presets make larger files.
SMALL = {**BUDGET, "architecture": MLPArchitecture((16,), (8,), (16,), (8,), n_heads=3)}


def write_tiny(path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(12, 3)).round(3)
    tiny = MLPArchitecture((4,), (4,), (4,), (4,), n_heads=2)
    gan = BInfoGANTransformer(
        2, n_continuous=1, n_noise=1, architecture=tiny, warmup_iter=3, max_iter=3, random_state=0
    ).fit(X)
    save(gan, path)
    codes = gan.transform(X)
    outputs = {
        "X": X.tolist(),
        "codes": codes.tolist(),
        "rows": gan.inverse_transform(codes).tolist(),
        "labels": gan.labels_.tolist(),
        "cluster_prior": gan.cluster_prior_.tolist(),
        "score": gan.score(X),
        "train_loss": gan.history_[:, "train_loss"],
    }
    path.with_suffix(".json").write_text(json.dumps(outputs) + "\n")


def write_transformer(path: Path) -> None:
    gan = BInfoGANTransformer(3, cluster_prior="learned", **SMALL).fit(TABLE)
    save(gan, path)
    write_outputs(path, gan, TABLE)


def write_classifier(path: Path) -> None:
    y = np.array(["one", "two", "three", "-1"])[SOME_GROUPS]
    gan = BInfoGANClassifier(3, **SMALL).fit(TABLE, y)
    save(gan, path)
    write_outputs(path, gan, TABLE)


def write_checkpoint(path: Path) -> None:
    X, params = UNFINISHED
    with TemporaryDirectory() as folder:
        cut_off(folder, 100, X, **params)
        (written,) = Path(folder).iterdir()
        assert written.name == CHECKPOINT_NAME
        path.write_bytes(written.read_bytes())
    write_outputs(path, fitted(X, **params), X)


def write_outputs(path: Path, gan: BInfoGANTransformer | BInfoGANClassifier, X: np.ndarray) -> None:
    outputs = {
        "predicted": gan.predict(X).tolist(),
        "codes": gan.transform(X).round(4).tolist(),
        "train_loss": [float(loss) for loss in gan.history_[:, "train_loss"]],
    }
    path.with_suffix(".json").write_text(json.dumps(outputs) + "\n")


FILES = {
    f"v{FORMAT_VERSION}": write_tiny,
    f"transformer_format{FORMAT_VERSION}": write_transformer,
    f"classifier_format{FORMAT_VERSION}": write_classifier,
    f"checkpoint_format{FORMAT_VERSION}": write_checkpoint,
}


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    for stem, write in FILES.items():
        path = FOLDER / f"{stem}.safetensors"
        if not path.exists():
            write(path)
            print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
