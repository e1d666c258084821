"""BInfoGANClassifier: a few labels give the categories their meaning."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted

from ._arrays import as_numpy
from ._base import _BInfoGAN
from ._checks import is_count
from ._codes import CodeSpec, Prior, probabilities
from ._input import UNLABELLED, has_label, missing_labels, warn_user
from ._presets import CONSTRAINTS, NOT_NEGATIVE, POSITIVE_COUNT
from ._rows import Source
from ._supervision import Labels
from ._threads import undisturbed

# `check_estimator` gives classifiers of three classes so few clusters, and wants no error.
MOST_SET_BY_CHECKS = 2
ONLY_LABELLED = "score only rows with a label."
PRIOR_ROWS = 10  # of each class, as if labelled, where frequencies are estimated


class BInfoGANClassifier(_BInfoGAN, ClassifierMixin, BaseEstimator):
    """Bidirectional-InfoGAN whose categories follow a few labels: a semi-supervised classifier.

    It trains as `BInfoGANTransformer` does, on all rows. In the first third of the consistency
    phase the categories form without labels. Then each class gets the category that fits its
    labelled rows best (an optimal assignment). From then on, the cross-entropy of the labelled
    rows and of their augmentations is part of the loss wherever the categories learn. The more
    rows have a label, the earlier labels count and the larger their weight. Codes, samples and
    reconstructions are as in the transformer.

    Parameters
    ----------
    n_clusters : int, None or tuple, default=None
        Number of categories. None: as many as there are classes. Fewer are an error, but 1 and 2,
        which scikit-learn's checks set, are raised to the number of classes with a warning.
        Categories beyond the classes are free: they may come to hold rows that no label names. A
        tuple gives one number per categorical code, such as ``(None, 5)``: the first code follows
        the classes, the others are free to discover something else.
    label_weight : float, default=1.0
        Weight of the labelled rows' cross-entropy, at least 0. It grows with the share of labelled
        rows, up to twice the value. With 0, labels only name the categories, and training is that
        of `BInfoGANTransformer`. Where all rows of a table have a label, nothing else trains the
        categories, and the value does not matter.
    n_continuous : int, default=2
        Number of continuous codes, from 0 to 1 000.
    n_noise : int or "auto", default="auto"
        Size of the noise z, from 0 to 1 000. "auto" is 8 for tables and for "mlp", 16 for images
        below 16 x 16 pixels and 32 for larger ones, 128 if these have several channels; with the
        paper's presets, 16 for MNIST and 64 for 32 x 32.
    include_noise : bool, default=False
        Whether `transform` appends the encoding of z.
    image_shape : tuple of int or None, default=None
        (H, W) or (H, W, C) of the images, at least 8 x 8 pixels. The rows of X are then flattened
        images, channels last. None: X is a table. The networks see pixels scaled to [0, 1], and
        grey images on a bright background as their negatives.
    architecture : str or object, default="auto"
        Preset of the networks: "mlp", "conv", "conv-contrast", "paper-mnist" or "paper-32x32"; or
        an object with ``build(spec, shape)`` (see `networks.make_encoder`). "auto" is "conv" for
        images and "mlp" for tables.
        With "conv-contrast" the categories see only the local contrast of images; in colour, what
        all channels have in common is removed. The paper's presets train the paper's objective,
        with its rates and numbers of steps; `n_clusters` and `n_continuous` still set the codes.
    mi_weight : float, default=1.0
        lambda of the paper, at least 0. It weighs the mutual information of codes and rows wherever
        that is estimated: L_I of generated rows (paper, section 2), and I(c; x) = H(mean q) - H(q)
        of real rows in the consistency phase. With 0, codes mean nothing.
    consistency_weight : float or "auto", default="auto"
        Above 0, a consistency phase first trains the categories to agree on x and T(x), and the
        game keeps them. With 0 there is no such phase, as in the paper, and `warmup_iter` is
        not used. "auto" is 1. The size of the value only matters with ``warmup_iter=0``, where
        the term is part of the game.
    augmentation : str, callable or None, default="auto"
        T, the random change that clusters should ignore. "affine" moves images slightly, with a
        local warp from 16 x 16 pixels on; "affine-light" also changes contrast and brightness, and
        "colour" the tint, too; "light" moves less, mirrors half of the images, and changes contrast
        and brightness; "noise" is for tables. "auto" is "colour" for images of three channels. For
        other images it is "light" if they have shades, as photographs of clothes have, or if, from
        16 x 16 pixels on, most have no background of one value; else "affine-light" if some are
        much lighter than others, and "affine" if not. For tables it is
        "noise": Gaussian, and columns of few values between which it does not reach take those of
        other rows, as do columns where many rows have one value, such as 0, far from all others
        (`SwappedValues`; in tables of up to 1 000 columns). A callable
        ``(x, rng) -> x`` gets a scaled tensor of shape (n, C, H, W) or (n, n_features) and a
        `torch.Generator`: use `AffineMove`, `ColourMove`, `GaussianNoise`, `SwappedValues` or your
        own, which is tried on eight rows before training. None: T(x) = x.
    cycle_weight : float or "auto", default="auto"
        Weight of ``|G(E(x)) - x|^2 + |E(G(Z)).z - z|^2 / 2``; 0 in the paper. In images
        with noise, the first part counts 21 times after a quarter of the game, or 6 times below 16
        x 16 pixels. 0 switches off only these terms.
        For the paper's objective alone, use ``consistency_weight=0, cycle_weight=0,
        adversarial_loss="nonsaturating"``.
    adversarial_loss : {"auto", "nonsaturating", "relativistic"}, default="auto"
        "nonsaturating" is the paper's; "auto" is "relativistic".
    cluster_prior : {"labels", "uniform"} or array-like, default="labels"
        How often each class is expected. "labels" takes the frequencies of the labelled rows,
        smoothed as if ten more rows of each class had a label; "uniform" expects all classes
        equally often. An array gives one positive probability per class, in the order of
        `classes_`, adding up to 1; with ``label_weight=0``, which is blind to classes, the largest
        goes to the largest cluster after a consistency phase. With free categories, the game and
        `sample` draw every category as often as the consistency phase found it.
    warmup_iter : int or "auto", default="auto"
        Steps of the consistency phase, at least 0. "auto" depends on the number of rows.
    max_iter : int or "auto", default="auto"
        Steps of the game, at least 0. "auto" depends on the number of rows. Only one of
        `warmup_iter` and `max_iter` may be 0.
    batch_size : int or "auto", default="auto"
        Rows per step, at least 1.
    learning_rate : float or "auto", default="auto"
        Adam's learning rate for E and G, above 0.
    discriminator_learning_rate : float or "auto", default="auto"
        Adam's learning rate for D, above 0.
    n_init : int, default=1
        Number of starts, from 1 to 10 000. All go through the consistency phase. The one whose
        categories fit the rows and their labels best then goes through the game. Without a
        consistency phase all play the game, and the one with the highest `score` is kept.
    n_jobs : int or None, default=None
        Number of starts to run in parallel, with joblib. Fewer run if `n_threads` is above 1 and
        all their threads together would outnumber the cores.
    n_threads : int or "auto", default=1
        Number of torch's threads that `fit` and every other method use on a CPU, from 1 to 1024.
        "auto": torch's own number. The same number gives the same bits; with another one results
        are close.
    device : str, default="auto"
        "auto" (CUDA if there is a GPU, else the CPU), "cpu", "cuda", "cuda:1" or "mps".
    precision : {"float32", "bf16", "auto"}, default="float32"
        Arithmetic of the networks in training: "bf16" is torch's autocast to bfloat16. Losses,
        weights and everything that a fitted model computes stay float32. "auto" is "bf16" for
        images on a CPU with instructions for bfloat16, where a step takes up to 30 % less time,
        and "float32" otherwise. So with "auto" the same seed gives different results on CPUs with
        and without these instructions.
    compile : bool, default=False
        Whether to compile the networks for training (`torch.compile`). This needs a C++ compiler,
        or Triton on a GPU, and takes time at the start of each phase.
    cuda_graph : bool or "auto", default="auto"
        Whether a GPU replays whole training steps as a CUDA graph: the same arithmetic without
        waiting for Python. "auto": only with the package's own networks and augmentations. True:
        with yours too; they must then do the same in every step, and draw only from `rng`. No
        graph is used if the rows do not fit on the GPU, if a callback has `on_grad_computed`, or
        if several processes share the fit. Nothing changes on a CPU.
    callbacks : list of skorch callbacks or None, default=None
        Objects or classes, called in each phase as in skorch; an epoch is 50 steps. Some of
        skorch's can't work here and are refused: see the page on callbacks.
    verbose : int, default=0
        1 shows a progress bar: phase, steps, time left, and the losses of the last epoch.
    checkpoint_dir : str, path-like or None, default=None
        Folder for the checkpoints of one fit, as in `BInfoGANTransformer`.
    checkpoint_every : int, default=500
        Steps between checkpoints, as in `BInfoGANTransformer`.
    random_state : int, RandomState instance or None, default=None
        Seed of all random draws.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted. Category i of the first code stands for class i; free categories
        follow, the largest first.
    class_count_ : ndarray of int64, shape (n_classes,)
        Labelled rows of each class.
    labels_ : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        Categories of the training rows, free ones included.
    cluster_prior_ : ndarray of float64, shape (n_clusters,), or list of ndarray
        Probability of each category in the game; a list for several codes.
    n_iter_ : int
        Steps taken in both phases together.
    history_ : skorch.history.History
        Losses of every step and epoch, as in `BInfoGANTransformer`.
    diagnostics_ : dict
        Label-free measures on training rows, and `findings`, as in `BInfoGANTransformer`.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if these are strings.

    See Also
    --------
    BInfoGANTransformer : The same without labels.

    Notes
    -----
    In `fit`, rows whose y is -1 have no label, as in scikit-learn's semi-supervised estimators.
    For classes that are strings, the marker is "-1", or -1 in an array of objects. There is one
    exception: a y that holds only -1 and one other value of the same type is an ordinary problem
    of two classes, with all rows labelled.

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
        # Labels say which rows belong together, so no graph of neighbours is used.
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
        n_threads: int | str = 1,
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
    def fit(self, X: Any, y: Any) -> Self:
        """Train on X, some rows of which have a label.

        If an error or Ctrl-C stops training, the estimator becomes the model of the last complete
        epoch of 50 steps, and the error is raised again. If no epoch was completed, or on an error
        before training, the estimator stays as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Float or uint8 rows.
        y : array-like of shape (n_samples,)
            Class of each row, -1 where it is unknown: see the notes of the class.

        Returns
        -------
        self : BInfoGANClassifier

        Raises
        ------
        ValueError
            If X, y or a parameter is not as documented, if no row has a label, or if
            `checkpoint_dir` holds an unfinished fit of other data or parameters, or a damaged
            checkpoint.
        FloatingPointError
            If a loss or a weight becomes NaN or infinite.
        OSError
            If a checkpoint can't be written; the one before it stays.

        Warns
        -----
        ConvergenceWarning
            If the result shows signs of collapse; the message names them and the remedies.
        ImageShapeWarning
            If rows look like images, and `image_shape` is None.
        ScaleWarning
            If some values of a column, or some pixels, lie so far from all others that they would
            spoil the scale.
        """
        return self._fit(X, y)

    def _parsed_labels(self, X: Source, y: Any) -> Labels:
        """Check y and learn the classes; return the labels of rows."""
        if y is None:
            raise ValueError(
                "BInfoGANClassifier requires y to be passed, but the target y is None. "
                "Without labels use BInfoGANTransformer."
            )
        y = as_numpy(y)
        check_labels(
            y,
            f"mark rows without a label with {UNLABELLED}, or with '{UNLABELLED}' if classes are "
            "strings.",
        )
        y = _check_y(y, estimator=self)
        check_consistent_length(X, y)
        self.classes_, labels = parsed_labels(y)
        self.class_count_ = np.bincount(labels.classes)
        return labels

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
            f"give at least {n_classes}, or None to use the number of classes."
        )
        if first > MOST_SET_BY_CHECKS:
            raise ValueError(message)
        warn_user(f"{message} Using {n_classes}.", UserWarning)

    def _label_share(self, n_rows: int) -> float:
        # With a weight of 0, training is that of the transformer.
        return float(self.class_count_.sum() / n_rows) if self.label_weight > 0 else 0.0

    def _given(self, spec: CodeSpec) -> dict[str, Any]:
        given = super()._given(spec)
        if spec.categories != (len(self.classes_),):  # labels do not say all
            given["unlabelled_weight"] = 1.0
        return given

    def _given_prior(self, spec: CodeSpec) -> str | Prior:
        """Probabilities of the categories: first those of the classes, then of free ones."""
        n_classes, n_categories = len(self.classes_), spec.categories[0]
        of_classes = self._class_probabilities()
        if np.allclose(of_classes, 1 / n_classes):
            return "uniform"
        first = np.full(n_categories, 1 / n_categories)
        first[:n_classes] = of_classes * n_classes / n_categories
        if self.label_weight == 0:  # as the transformer: the largest goes to the largest cluster
            first = np.sort(first)[::-1]
        others = (tuple([1 / k] * k) for k in spec.categories[1:])
        return (tuple(first.tolist()), *others)

    def _class_probabilities(self) -> np.ndarray:
        """Return the expected frequency of each class, (n_classes,)."""
        n_classes = len(self.classes_)
        if isinstance(self.cluster_prior, str):
            follow = self.cluster_prior == "labels" and self.label_weight > 0
            counts = self.class_count_ * follow + PRIOR_ROWS
            return counts / counts.sum()
        given = probabilities(self.cluster_prior, n_classes)
        if given is None:
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
            Classes, in the dtype of `classes_`.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class: q(c | x) without the free categories, scaled to sum to 1.

        `transform` returns the free categories, too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`. float32 for float32 and uint8 rows, else float64.
        """
        X = self._checked(X)
        with undisturbed(self.n_threads):
            posterior = self._model.posterior(X)
        # If the free categories take all probability, classes are equally likely.
        bound = posterior[:, : len(self.classes_)] + np.finfo(posterior.dtype).tiny
        return bound / bound.sum(axis=1, keepdims=True)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict` on the rows that have a label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            True classes. As in `fit`, numbers may be in an array of objects, and -1 marks rows
            without a label, unless it is one of `classes_`. These rows are left out, so that
            searches may split rows of both kinds. Other scorers of scikit-learn take -1 for a
            class.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        score : float
            In [0, 1].

        Raises
        ------
        ValueError
            If y is None, if a class is missing, or if no row has a label.
        """
        if y is None:
            raise ValueError("score requires y, the true classes of X; got None.")
        y = as_numpy(y)
        check_labels(y, ONLY_LABELLED)
        y, predicted, weights = np.asarray(y).ravel(), self.predict(X), as_numpy(sample_weight)
        check_consistent_length(predicted, y, weights)
        known = has_label(y, self.classes_.tolist())
        if not known.any():
            raise ValueError(f"No row has a label: y is {UNLABELLED} everywhere.")
        y = typed(y[known])
        if y.dtype == object and not _n_values(y):
            raise ValueError(f"y holds strings and numbers: {ONLY_LABELLED}")
        weights = None if weights is None else np.asarray(weights)[known]
        return float(accuracy_score(y, predicted[known], sample_weight=weights))

    def sample(
        self,
        n_samples: int = 1,
        *,
        label: Any = None,
        random_state: Any = None,
        from_prior: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw codes of the classes and generate rows from them.

        For rows of a free category, pass its code to `inverse_transform`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        label : object, default=None
            Class to draw from, one of `classes_`; None: classes are drawn by their probabilities.
        random_state : int, RandomState instance or None, default=None
        from_prior : bool, default=False
            Whether continuous codes and noise are uniform on [-1, 1]; by default they are drawn
            where E puts real rows, as in `BInfoGANTransformer.sample`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            float32 if `fit` got float32 or uint8 rows, else float64.
        y : ndarray of shape (n_samples,)
            The classes drawn.

        Raises
        ------
        ValueError
            If `n_samples` is below 1 or `label` is not one of `classes_`.
        """
        check_is_fitted(self)
        chosen = [self._class_number(label), *[None] * (len(self._model.spec.categories) - 1)]
        X, labels = self._sampled(n_samples, chosen, random_state, from_prior)
        return X, self.classes_[labels[:, 0]]

    def _class_number(self, label: Any) -> int | None:
        classes = self.classes_.tolist()
        if label is None:
            return None
        if np.ndim(label) or label not in classes:
            raise ValueError(f"label={label!r} is not a class: give one of {classes} or None.")
        return classes.index(label)

    def _drawing_prior(self) -> Prior:
        """Return the prior in public order, without the free categories of the first code."""
        first, *others = (part.tolist() for part in self._model.priors)
        bound = np.array(first)
        bound[len(self.classes_) :] = 0
        return (tuple((bound / bound.sum()).tolist()), *map(tuple, others))


def check_labels(y: Any, remedy: str) -> None:
    """Raise ValueError if a label is a missing value, such as None or NaN."""
    found = missing_labels(y)
    if found is not None:
        rows, value = found
        shown = "NaN" if isinstance(value, float) else repr(value)
        others = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(f"Input y contains {shown} in row {rows[0]}{others}: {remedy}")


def parsed_labels(y: np.ndarray) -> tuple[np.ndarray, Labels]:
    """Read a semi-supervised target.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        -1, or "-1" among strings, means no label, unless there is only one other value.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted.
    labels : Labels

    Raises
    ------
    ValueError
        If no row has a label, or if the labels are not classes.
    """
    rows = np.flatnonzero(has_label(y))
    if len(rows) == 0:
        raise ValueError(
            f"No row has a label: y is {UNLABELLED} everywhere. BInfoGANClassifier needs at least "
            "one labelled row per class; without labels use BInfoGANTransformer."
        )
    is_bool = isinstance(y[rows[0]], bool | np.bool_)  # then -1 is of another type
    if len(rows) < len(y) and _n_values(y[rows]) == 1 and _n_values(y) == 2 and not is_bool:
        rows = np.arange(len(y))
    named = typed(y[rows])
    check_classification_targets(named)
    classes, numbers = np.unique(named, return_inverse=True)
    return classes, Labels(rows, numbers.astype(np.int64))


def typed(y: np.ndarray) -> np.ndarray:
    """Turn an array of objects into one of numbers, unless some are strings."""
    is_plain = y.dtype == object and not any(isinstance(value, str) for value in y.tolist())
    # Strings are as wide as the values need: `y` may have been part of a wider array.
    return np.array(y.tolist()) if is_plain or y.dtype.kind == "U" else y


def _n_values(y: np.ndarray) -> int:
    """Count distinct values; 0 if their types can't be ordered."""
    try:
        return len(np.unique(y))
    except TypeError:
        return 0
