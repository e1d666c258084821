"""Other generators of tables, with the extra `table-peers`: `samples.py --peers` runs them.

All keep their defaults, also the number of epochs. CTGAN and TVAE (package `ctgan`) see all classes
at once, the class as a discrete column, the others as continuous ones. CTGAN draws on condition of
a class; rows that its class column then calls another one are left out, as SDV does. TVAE cannot be
told a class: it draws `POOL` times the rows, and each class takes its own from these. A class of
which too few rows are drawn repeats them, and may be missing. Adversarial random forests (`arfpy`)
and Gaussian copulas (`copulas`) are fitted per class: on vehicle and pima with seed 0 that was
better than forests that see the class as a column, and so were margins of all families that
copulas tries, compared with beta margins, SDV's default.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from joblib import parallel_config

CLASS = "class"
POOL = 10

Draw = Callable[[int, int], np.ndarray]  # class, number of rows -> rows


def frame(X: np.ndarray, y: np.ndarray | None = None):
    """Columns x0, x1, ... and, if classes are given, one of their names."""
    from pandas import DataFrame

    rows = DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    return rows if y is None else rows.assign(**{CLASS: y.astype(str)})


def of_class(drawn, label: int, n: int) -> np.ndarray:
    """The first n rows of a class; if there are fewer, the same again; if none, none."""
    own = drawn[drawn[CLASS] == str(label)].drop(columns=CLASS).to_numpy(np.float64)
    return np.resize(own, (n, own.shape[1])) if len(own) else own


def ctgan(X: np.ndarray, y: np.ndarray, seed: int, **budget: int) -> Draw:
    from ctgan import CTGAN

    model = _fitted(CTGAN(enable_gpu=False, **budget), X, y, seed)
    return lambda label, n: of_class(model.sample(POOL * n, CLASS, str(label)), label, n)


def tvae(X: np.ndarray, y: np.ndarray, seed: int, **budget: int) -> Draw:
    from ctgan import TVAE

    pool = _fitted(TVAE(enable_gpu=False, **budget), X, y, seed).sample(POOL * len(X))
    return lambda label, n: of_class(pool, label, n)


def _fitted(model, X: np.ndarray, y: np.ndarray, seed: int):
    """Fit a model of the package `ctgan`, which uses all cores unless it is told not to."""
    model.set_random_state(seed)
    with parallel_config("sequential"):
        model.fit(frame(X, y), [CLASS])
    return model


def forests(X: np.ndarray, y: np.ndarray, seed: int) -> Draw:
    from arfpy.arf import arf

    def draw(label: int, n: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002 - arfpy takes no other
        model = arf(frame(X[y == label]), verbose=False, random_state=seed)
        model.forde()
        return model.forge(n).to_numpy()

    return draw


def copula(X: np.ndarray, y: np.ndarray, seed: int) -> Draw:
    from copulas.multivariate import GaussianMultivariate

    def draw(label: int, n: int) -> np.ndarray:
        model = GaussianMultivariate(random_state=seed)
        model.fit(frame(X[y == label]))
        return model.sample(n).to_numpy()

    return draw


def quality(X: np.ndarray, y: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> float:
    """Score of SDMetrics' quality report: shapes of columns and trends of pairs; 1 is best."""
    from sdmetrics.reports import QualityReport

    real, drawn = frame(X, y), frame(rows, labels)
    kinds = {name: "categorical" if name == CLASS else "numerical" for name in real}
    columns = {name: {"sdtype": kind} for name, kind in kinds.items()}
    metadata = {"tables": {"rows": {"columns": columns}}}
    report = QualityReport()
    report.generate({"rows": real}, {"rows": drawn}, metadata, verbose=False)
    return float(report.get_score())
