"""Write the golden file of the current format version, once, when the version is new.

A golden file is never written anew: it shows that files of its version still load.
"""

import json
from pathlib import Path

import numpy as np

from sklearn_binfogan import BInfoGANTransformer, save
from sklearn_binfogan._architectures import MLPArchitecture
from sklearn_binfogan.persistence import FORMAT_VERSION

FOLDER = Path(__file__).parent


def main() -> None:
    stem = FOLDER / f"v{FORMAT_VERSION}"
    path = stem.with_suffix(".safetensors")
    if path.exists():
        raise SystemExit(f"{path} exists")
    X = np.random.default_rng(0).normal(size=(12, 3)).round(3)
    small = MLPArchitecture((4,), (4,), (4,), (4,), n_heads=2)
    gan = BInfoGANTransformer(
        2, n_continuous=1, n_noise=1, architecture=small, warmup_iter=3, max_iter=3, random_state=0
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
    stem.with_suffix(".json").write_text(json.dumps(outputs) + "\n")


if __name__ == "__main__":
    main()
