"""BInfoGANClassifier: a few labels give the categories their meaning."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted

from ._arrays import as_numpy
from ._base import _BInfoGAN, orders_by_size
from ._callbacks import FitTasks
from ._codes import CodeSpec, Prior, is_count
from ._input import missing_labels, warn_user
from ._model import FittedModel
from ._presets import CONSTRAINTS, NOT_NEGATIVE, POSITIVE_COUNT
from ._rows import Source, checked_rows
from ._supervision import Labels, assigned_categories
from ._threads import undisturbed

UNLABELLED = -1
# `check_estimator` gives classifiers of three classes so few clusters, and wants no error.
MOST_SET_BY_CHECKS = 2
PRIOR_ROWS = 10  # of each class, as if labelled, where frequencies are estimated


class BInfoGANClassifier(_BInfoGAN, ClassifierMixin, BaseEstimator):
    """Bidirectional-InfoGAN whose categories follow a few labels: a semi-supervised classifier.

    It trains as `BInfoGANTransformer` does, on all rows. After the first third of the consistency
    phase, in which the categories form without labels, each class gets the category that its
    labelled rows fill most (an optimal assignment); from then on the cross-entropy of labelled
    rows, and of T of them, is part of the loss wherever the categories learn. The more rows have a
    label, the sooner labels count and the more they weigh. The rest, codes, samples and
    reconstructions, is as in the transformer.

    Parameters
    ----------
    n_clusters : int, None or tuple, default=None
        Categories. None: as many as there are classes. Fewer are an error; 1 and 2, which
        scikit-learn's checks set, are raised to the number of classes with a warning. More are
        free categories, which may come to hold what no label names. A tuple gives one number per
        categorical code, ``(None, 5)``: the first follows the classes, the others are free to
        discover something else.
    label_weight : float, default=1.0
        Weight of the labelled rows' cross-entropy, at least 0; it counts up to twice the more
        rows have a label. With 0 labels only name the
        categories: training is that of `BInfoGANTransformer`.
    n_continuous : int, default=2
        Number of continuous codes, at least 0.
    n_noise : int or "auto", default="auto"
        Size of the noise z, at least 0; "auto" is 8 for tables, 16 for images, and 32 for those
        from 16 x 16 pixels on; 16 and 64 with the paper's presets for MNIST and for 32 x 32.
    include_noise : bool, default=False
        Whether `transform` appends the encoding of z.
    image_shape : tuple of int or None, default=None
        (H, W) or (H, W, C) of images at least 8 x 8 whose flattened channels-last pixels are
        the rows of X; None for tables.
    architecture : str or object, default="auto"
        Preset of the networks: "mlp", "conv", "conv-contrast", "paper-mnist" or "paper-32x32"; or
        an object with ``build(spec, shape)`` (see `networks.make_encoder`). "auto" is "conv" for
        images and "mlp" for tables.
        With "conv-contrast" categories are read from the local contrast of images alone, in colour
        without what all channels have in common. The paper's presets train the paper's objective,
        with its rates and numbers of steps; the codes stay those of `n_clusters` and
        `n_continuous`.
    mi_weight : float, default=1.0
        lambda of the paper, at least 0. It weighs the mutual information of codes and rows wherever
        that is estimated: L_I of generated rows (paper, section 2), and I(c; x) = H(mean q) - H(q)
        of real rows in the consistency phase. With 0 codes mean nothing.
    consistency_weight : float or "auto", default="auto"
        Above 0, the categories are first trained to agree on x and T(x), and kept in the game; with
        0 there is no such phase, as in the paper. "auto" is 1. The value weighs the term where it
        is part of the game, which is with ``warmup_iter=0``.
    augmentation : {"auto", "affine", "light", "colour", "noise"}, callable or None, default="auto"
        T: "affine" is small affine moves of images, with a local warp from 16 x 16 on; "colour"
        also changes contrast, brightness and tint; "light" mirrors half of the images, changes
        contrast and brightness, and moves less; "noise" is for tables. "auto" is "colour" for
        images of three channels, for others "light" if some are much lighter than others, such as
        clothes, else "affine"; "noise" for tables. Or ``(x, rng) -> x`` on
        scaled tensors of shape (n, C, H, W) or (n, n_features) and a `torch.Generator`; ready ones
        are `AffineMove`, `ColourMove` and `GaussianNoise`. None: T(x) = x.
    cycle_weight : float or "auto", default="auto"
        Weight of ``|G(E(x)) - x|^2 + |E(G(Z)).z - z|^2 / 2``; 0 in the paper. 0 switches off these
        terms alone. The paper's objective is trained alone with ``consistency_weight=0,
        cycle_weight=0, adversarial_loss="nonsaturating"``.
    adversarial_loss : {"auto", "nonsaturating", "relativistic"}, default="auto"
        "nonsaturating" is the paper's; "auto" is "relativistic".
    cluster_prior : {"labels", "uniform"} or array-like, default="labels"
        How often each class is expected. "labels" takes the labelled rows' frequencies, drawn
        towards equal ones as if ten more rows of each class had a label; "uniform" takes equal
        ones. An array gives one positive probability per class, in the order of `classes_`,
        adding up to 1. Free categories are drawn as often as the consistency phase has found them.
    warmup_iter : int or "auto", default="auto"
        Steps of the consistency phase. "auto" follows the number of rows.
    max_iter : int or "auto", default="auto"
        Steps of the game. "auto" follows the number of rows. One of the two may be 0.
    batch_size : int or "auto", default="auto"
        Rows of a step.
    learning_rate : float or "auto", default="auto"
        Adam's rate for (E, G).
    discriminator_learning_rate : float or "auto", default="auto"
        Adam's rate for D.
    n_init : int, default=1
        Number of starts. All train the consistency phase; the one whose categories fit the rows
        and their labels best is kept and plays the game. Without that phase all play, and the one
        of highest `score` is kept.
    n_jobs : int or None, default=None
        How many starts run at the same time, by joblib.
    device : str, default="auto"
        "auto" (CUDA where there is a GPU, else the CPU), "cpu", "cuda", "cuda:1" or "mps".
    precision : {"float32", "bf16"}, default="float32"
        Arithmetic of the networks in training: "bf16" is torch's autocast to bfloat16, meant for
        GPUs. Losses, weights and all that a fitted model computes stay float32.
    compile : bool, default=False
        Whether to train compiled networks (`torch.compile`), which takes a C++ compiler, or Triton
        on a GPU, and time to compile at the start of each phase.
    cuda_graph : bool or "auto", default="auto"
        Whether a GPU replays whole training steps as a CUDA graph: the same arithmetic without
        waiting for Python. "auto": with the package's own networks and augmentations. True: with
        yours too; these must then do the same in every step, and draw from `rng` alone. Rows that
        the GPU has no room for, callbacks with `on_grad_computed` and fits shared by processes
        go without. Nothing changes on a CPU.
    callbacks : list of skorch callbacks or None, default=None
        Objects or classes, called in each phase as in skorch; an epoch is 50 steps. Some of
        skorch's can't work here and are refused: see the page on callbacks.
    verbose : int, default=0
        1 shows a progress bar: phase, steps, time left, and the losses of the last epoch.
    checkpoint_dir : str, path-like or None, default=None
        Folder for the checkpoints of one fit, as in `BInfoGANTransformer`.
    checkpoint_every : int, default=500
        Steps after which a checkpoint is due.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted. Category i of the first code stands for class i; free categories
        follow, by falling size.
    class_count_ : ndarray of int64, shape (n_classes,)
        Labelled rows of each class.
    labels_ : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        Categories of the training rows, the free ones too.
    cluster_prior_ : ndarray of float64, shape (n_clusters,), or list of ndarray
        Probability of each category in the game; a list for several codes.
    n_iter_ : int
        Steps taken, of both phases.
    history_ : skorch.history.History
        Losses of every step and epoch, as in `BInfoGANTransformer`.
    diagnostics_ : dict
        Label-free measures on training rows, and `findings`, as in `BInfoGANTransformer`.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where it had string names.

    See Also
    --------
    BInfoGANTransformer : The same without labels.

    Notes
    -----
    In `fit`, rows whose y is -1 have no label, as in scikit-learn's semi-supervised estimators;
    for classes that are strings the marker is "-1", or -1 in an array of objects. There is one
    exception: a y that holds exactly -1 and one other value, of one type, is an ordinary problem
    of two classes, all rows labelled.

    References
    ----------
    T. Hinz, S. Wermter: Inferencing Based on Unsupervised Learning of Disentangled
    Representations. ESANN 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANClassifier
    >>> X, y = make_blobs(60, centers=3, random_state=0)
    >>> few = np.where(np.arange(60) < 12, y, -1)
    >>> clf = BInfoGANClassifier(random_state=0).fit(X, few)
    >>> clf.predict_proba(X).shape
    (60, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        # Labels say what belongs together: no graph of neighbours does.
        **{name: given for name, given in CONSTRAINTS.items() if name != "n_neighbors"},
        "n_clusters": [POSITIVE_COUNT, tuple, None],
        "label_weight": [NOT_NEGATIVE],
        "cluster_prior": [StrOptions({"labels", "uniform"}), "array-like"],
    }

    def __init__(
        self,
        n_clusters: Any = None,
        *,
        label_weight: float = 1.0,
        n_continuous: int = 2,
        n_noise: Any = "auto",
        include_noise: bool = False,
        image_shape: Any = None,
        architecture: Any = "auto",
        mi_weight: float = 1.0,
        consistency_weight: Any = "auto",
        augmentation: Any = "auto",
        cycle_weight: Any = "auto",
        adversarial_loss: str = "auto",
        cluster_prior: Any = "labels",
        warmup_iter: Any = "auto",
        max_iter: Any = "auto",
        batch_size: Any = "auto",
        learning_rate: Any = "auto",
        discriminator_learning_rate: Any = "auto",
        n_init: int = 1,
        n_jobs: int | None = None,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        cuda_graph: bool | str = "auto",
        callbacks: Any = None,
        verbose: int = 0,
        checkpoint_dir: Any = None,
        checkpoint_every: int = 500,
        random_state: Any = None,
    ) -> None:
        self._set_parameters(locals())

    # -- fitting -------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> BInfoGANClassifier:
        """Train on X, some rows of which have a label.

        An error or Ctrl-C during training is raised again. Before that the estimator becomes the
        model of the last whole epoch of 50 steps; where there is none, or on an error before
        training, it stays as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Float or uint8 rows.
        y : array-like of shape (n_samples,)
            Class of each row, -1 where it is not known: see the notes of the class.

        Returns
        -------
        self : BInfoGANClassifier

        Raises
        ------
        ValueError
            If X, y or a parameter is not as documented, or if no row has a label, or if
            `checkpoint_dir` holds an unfinished fit of other data or parameters, or a damaged
            checkpoint.
        FloatingPointError
            If a loss or a weight becomes NaN or infinite.
        OSError
            If a checkpoint can't be written; the one before it stays.

        Warns
        -----
        ConvergenceWarning
            If the result shows signs of collapse; the text says which, and the remedy.
        ImageShapeWarning
            If rows look like images, and `image_shape` is None.
        ScaleWarning
            If values lie so far from all others of their column, or of an image's pixels, that they
            would spoil its scale.
        """
        tasks = FitTasks.of(self, X, y)
        with self._all_or_nothing(), undisturbed():
            X = checked_rows(self, X, reset=True)
            self.classes_, labels = self._parsed_labels(X, y)
            self.class_count_ = np.bincount(labels.classes)
            stopped = self._fit_best(X, partial(_orders_by_class, X, labels), tasks, labels)
        self._finish_fit(stopped, tasks)
        return self

    def _parsed_labels(self, X: Source, y: Any) -> tuple[np.ndarray, Labels]:
        """Check y; give the classes and where they are."""
        if y is None:
            raise ValueError(
                "BInfoGANClassifier requires y to be passed, but the target y is None. "
                "Without labels use BInfoGANTransformer."
            )
        y = as_numpy(y)
        check_markers(y)
        y = _check_y(y, estimator=self)
        check_consistent_length(X, y)
        return parsed_labels(y)

    def _categories(self) -> tuple[Any, ...]:
        """Categories to learn, at least one per class in the first code."""
        given = self.n_clusters if isinstance(self.n_clusters, tuple) else (self.n_clusters,)
        if not given:
            return given
        first, n_classes = given[0], len(self.classes_)
        if is_count(first, 1, n_classes - 1):
            self._refuse_few_clusters(int(first))
        elif first is not None:
            return given
        return (n_classes, *given[1:])

    def _refuse_few_clusters(self, first: int) -> None:
        n_classes = len(self.classes_)
        noun = "category" if first == 1 else "categories"
        message = (
            f"n_clusters={self.n_clusters!r} gives {first} {noun} for {n_classes} classes: "
            f"give at least {n_classes}, or None for as many as there are classes."
        )
        if first > MOST_SET_BY_CHECKS:
            raise ValueError(message)
        warn_user(f"{message} {n_classes} are taken.", UserWarning)

    def _label_share(self, n_rows: int) -> float:
        # With a weight of 0 training is that of the transformer.
        return float(self.class_count_.sum() / n_rows) if self.label_weight > 0 else 0.0

    def _given_prior(self, spec: CodeSpec) -> str | Prior:
        """Probabilities of the categories: of classes as expected, then of free ones."""
        n_classes, n_categories = len(self.classes_), spec.categories[0]
        of_classes = self._class_probabilities()
        if np.allclose(of_classes, 1 / n_classes):
            return "uniform"
        first = np.full(n_categories, 1 / n_categories)
        first[:n_classes] = of_classes * n_classes / n_categories
        others = (tuple([1 / k] * k) for k in spec.categories[1:])
        return (tuple(first.tolist()), *others)

    def _class_probabilities(self) -> np.ndarray:
        """Give the expected frequency of each class, (n_classes,)."""
        n_classes = len(self.classes_)
        if isinstance(self.cluster_prior, str):
            follow = self.cluster_prior == "labels" and self.label_weight > 0
            counts = self.class_count_ * follow + PRIOR_ROWS
            return counts / counts.sum()
        try:
            given = np.asarray(self.cluster_prior, dtype=np.float64)
        except (TypeError, ValueError):
            given = np.empty(0)
        if given.shape != (n_classes,) or given.min() <= 0 or abs(given.sum() - 1) > 1e-6:
            raise ValueError(
                "cluster_prior must be 'labels', 'uniform', or one positive probability for each "
                f"of the {n_classes} classes, adding up to 1; got {self.cluster_prior!r}."
            )
        return given

    # -- using a fitted model ------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Most likely class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Of the dtype of `classes_`.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class: q(c | x), without the free categories, scaled to sum to 1.

        `transform` has the free ones too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`. float64 for float64 rows, else float32.
        """
        X = self._checked(X)
        posterior = self._model.posterior(X)
        # Where the free categories leave nothing at all, classes are equally likely.
        bound = posterior[:, : len(self.classes_)] + np.finfo(posterior.dtype).tiny
        return bound / bound.sum(axis=1, keepdims=True)

    def sample(
        self,
        n_samples: int = 1,
        *,
        label: Any = None,
        random_state: Any = None,
        from_prior: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw codes of known classes and generate rows of them.

        For rows of a free category give its code to `inverse_transform`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        label : object, default=None
            Class to draw from, one of `classes_`; None: all of them, by their probabilities.
        random_state : int, RandomState instance or None, default=None
        from_prior : bool, default=False
            Whether continuous codes and noise are uniform on [-1, 1]; by default they are drawn
            where E puts real rows, as in `BInfoGANTransformer.sample`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the dtype of the rows of `fit`: float64 for float64, else float32.
        y : ndarray of shape (n_samples,)
            The classes drawn.

        Raises
        ------
        ValueError
            If `n_samples` is below 1 or there is no such class.
        """
        check_is_fitted(self)
        chosen = [self._class_number(label), *[None] * (len(self._model.spec.categories) - 1)]
        prior = self._prior_of_classes()
        X, labels = self._sampled(n_samples, chosen, random_state, prior, from_prior)
        return X, self.classes_[labels[:, 0]]

    def _class_number(self, label: Any) -> int | None:
        classes = self.classes_.tolist()
        if label is None:
            return None
        if label not in classes:
            raise ValueError(f"label={label!r} is no class: give one of {classes} or None.")
        return classes.index(label)

    def _prior_of_classes(self) -> Prior:
        """Give the prior in public order, without the free categories of the first code."""
        first, *others = (part.tolist() for part in self._model.priors)
        bound = np.array(first)
        bound[len(self.classes_) :] = 0
        return (tuple((bound / bound.sum()).tolist()), *map(tuple, others))


def _orders_by_class(
    X: Source, labels: Labels, model: FittedModel, own: np.ndarray
) -> list[list[int]]:
    """Order the first code's clusters by class, free ones and other codes by falling size."""
    first, *others = orders_by_size(model, own)
    few = labels.thinned()
    posterior = model.encode(X[few.rows])[:, model.spec.category_slices[0]]
    bound = assigned_categories(posterior, few.classes).tolist()
    return [bound + [k for k in first if k not in bound], *others]


def check_markers(y: Any) -> None:
    """Raise ValueError if a missing label is marked as a missing value, such as None or NaN."""
    found = missing_labels(y)
    if found is not None:
        rows, value = found
        shown = "NaN" if isinstance(value, float) else repr(value)
        others = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(
            f"Input y contains {shown} in row {rows[0]}{others}: "
            f"mark rows without a label by {UNLABELLED}, or by '{UNLABELLED}' if classes are "
            "strings."
        )


def parsed_labels(y: np.ndarray) -> tuple[np.ndarray, Labels]:
    """Read a semi-supervised target.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        -1, or "-1" among strings, is no label, unless there is but one other value.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted.
    labels : Labels

    Raises
    ------
    ValueError
        If no row has a label, or if labels are no classes.
    """
    rows = np.flatnonzero(~_is_marker(y))
    if len(rows) == 0:
        raise ValueError(
            f"No row has a label: y is {UNLABELLED} everywhere. BInfoGANClassifier needs at least "
            "one labelled row per class; without labels use BInfoGANTransformer."
        )
    if len(rows) < len(y) and _n_values(y[rows]) == 1 and _n_values(y) == 2:
        rows = np.arange(len(y))
    named = y[rows]
    if named.dtype == object and not any(isinstance(value, str) for value in named):
        named = np.array(named.tolist())
    check_classification_targets(named)
    classes, numbers = np.unique(named, return_inverse=True)
    return classes, Labels(rows, numbers.astype(np.int64))


def _is_marker(y: np.ndarray) -> np.ndarray:
    """Whether each row is marked as one without a label."""
    if y.dtype.kind in "biuf":
        return y == UNLABELLED
    return np.array([value in (UNLABELLED, str(UNLABELLED)) for value in y.tolist()], dtype=bool)


def _n_values(y: np.ndarray) -> int:
    """Count distinct values; 0 where they are of types that have no order."""
    try:
        return len(np.unique(y))
    except TypeError:
        return 0
