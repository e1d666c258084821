"""BInfoGANTransformer: validation, budgets, the public face."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
)
from torch import Tensor

from ._architectures import ARCHITECTURES, preset_recipe, resolve_architecture
from ._augmentation import resolve_augmentation
from ._codes import CodeSpec, Prior, is_count
from ._collapse import Evidence, findings
from ._layout import Layout, row_blocks
from ._rows import Source, checked_rows
from ._scoring import evaluate
from ._settings import Recipe, Settings
from ._training import (
    CONSISTENCY,
    GAME,
    AdversarialNet,
    Start,
    single_thread,
    train,
    train_start,
)
from .metrics import code_information

MAX_SCORED = 10_000
AUTO = StrOptions({"auto"})
POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 0, None, closed="left")
POSITIVE_COUNT = Interval(Integral, 1, None, closed="left")


class BInfoGANTransformer(TransformerMixin, ClusterMixin, BaseEstimator):
    """Bidirectional-InfoGAN: disentangled codes, clusters and samples without labels.

    An encoder E, a generator G and a joint discriminator D(x, (z, c)) are trained against each
    other; a mutual-information term of weight `mi_weight` makes the code c mean something
    (Hinz & Wermter 2018, section 2). By default a consistency phase on real data comes first
    and settles the categories; with ``consistency_weight=0, cycle_weight=0,
    adversarial_loss="nonsaturating"`` the paper's objective is trained alone.

    Parameters
    ----------
    n_clusters : int or tuple of int, default=10
        Categories, at least 1; a tuple gives one number per categorical code.
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
    architecture : {"auto", "mlp", "conv", "paper-mnist", "paper-32x32"} or object, default="auto"
        Preset of the networks, or an object with ``build(spec, shape)``; "auto" is "conv" for
        images and "mlp" for tables. The paper's presets train the paper's objective, with its
        rates and numbers of steps; the codes stay those of `n_clusters` and `n_continuous`.
    mi_weight : float, default=1.0
        lambda of the paper, at least 0.
    consistency_weight : float or "auto", default="auto"
        Above 0, the categories are first trained to agree on x and T(x), and kept in the game;
        0 is the paper's own objective, without that phase. "auto" is 1. The value weighs the
        term where it is part of the game, which is with ``warmup_iter=0``.
    augmentation : {"auto", "affine", "colour", "noise"}, callable or None, default="auto"
        T: "affine" is small affine moves of images, with a local warp from 16 x 16 on; "colour"
        also changes contrast, brightness and tint; "noise" is for tables. "auto" is "colour" for
        images of three channels, "affine" for others, "noise" for tables. Or ``(x, rng) -> x`` on
        scaled tensors of shape (n, C, H, W) or (n, n_features) and a `torch.Generator`; ready ones
        are `AffineMove`, `ColourMove` and `GaussianNoise`. None: T(x) = x.
    cycle_weight : float or "auto", default="auto"
        Weight of |G(E(x)) - x|^2 + |E(G(Z)).z - z|^2 / 2; 0 in the paper. 0 also switches off the
        further terms on codes that the preset for images from 16 x 16 on has.
    adversarial_loss : {"auto", "nonsaturating", "relativistic"}, default="auto"
        "nonsaturating" is the paper's; "auto" is "relativistic".
    cluster_prior : {"uniform", "learned"} or array-like, default="uniform"
        How categories are drawn. "uniform" is the paper's. "learned" takes the sizes that the
        clusters of real rows have after the consistency phase, in which they may then be of very
        different size. An array gives one positive probability per category, in any order, adding
        up to 1: the largest goes to the largest cluster; for several codes a list of arrays.
    warmup_iter : int or "auto", default="auto"
        Steps of the consistency phase. "auto" follows the number of rows.
    max_iter : int or "auto", default="auto"
        Steps of the game. "auto" follows the number of rows. One of the two may be 0.
    batch_size : int or "auto", default="auto"
        Rows of a step.
    learning_rate, discriminator_learning_rate : float or "auto", default="auto"
        Adam's rates for (E, G) and for D.
    n_init : int, default=1
        Starts; all train the consistency phase, the better half of them plays the game, and the
        one of highest label-free `score` is kept.
    n_jobs : int or None, default=None
        Restarts run at the same time, by joblib.
    device : str, default="auto"
        "auto" (CUDA where there is a GPU, else the CPU), "cpu", "cuda", "cuda:1" or "mps".
    callbacks : list of skorch callbacks or None, default=None
        Called as in skorch; an epoch is 50 steps.
    verbose : int, default=0
        1 shows a progress bar.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        Clusters of the training rows, numbered by falling size.
    cluster_prior_ : ndarray of float64, shape (n_clusters,), or list of ndarray
        Probability with which `sample` draws each category; a list for several codes.
    n_iter_ : int
        Steps taken, of both phases.
    history_ : skorch.history.History
        Losses of every step and epoch, with `phase`, `train_loss` and a label-free
        `valid_loss` (1 - score on held-out rows; on all rows where there are under 500).
    diagnostics_ : dict
        Label-free measures on training rows: `consistency`, `recovery`, `reconstruction`,
        `agreement`, `score`, `cluster_sizes`; for several categorical codes `code_information`,
        the mutual information of each pair (`metrics.code_information`); and `findings`, a list
        of sentences on signs of collapse (dead or merged categories, codes that say the same or
        that the generator ignores, samples all alike, a saturated discriminator), empty if there
        are none. `fit` also gives them as a warning.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where it had string names.

    References
    ----------
    T. Hinz, S. Wermter: Inferencing Based on Unsupervised Learning of Disentangled
    Representations. ESANN 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_binfogan import BInfoGANTransformer
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> gan = BInfoGANTransformer(n_clusters=3, random_state=0).fit(X)
    >>> gan.transform(X).shape
    (60, 5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_clusters": [POSITIVE_COUNT, tuple],
        "n_continuous": [COUNT],
        "n_noise": [COUNT, AUTO],
        "include_noise": ["boolean"],
        "image_shape": [tuple, list, None],
        "architecture": [StrOptions({"auto", *ARCHITECTURES}), HasMethods(["build"])],
        "mi_weight": [NOT_NEGATIVE],
        "consistency_weight": [NOT_NEGATIVE, AUTO],
        "augmentation": [StrOptions({"auto", "affine", "colour", "noise"}), callable, None],
        "cycle_weight": [NOT_NEGATIVE, AUTO],
        "adversarial_loss": [StrOptions({"auto", "nonsaturating", "relativistic"})],
        "cluster_prior": [StrOptions({"uniform", "learned"}), "array-like"],
        "warmup_iter": [COUNT, AUTO],
        "max_iter": [COUNT, AUTO],
        "batch_size": [POSITIVE_COUNT, AUTO],
        "learning_rate": [POSITIVE, AUTO],
        "discriminator_learning_rate": [POSITIVE, AUTO],
        "n_init": [POSITIVE_COUNT],
        "n_jobs": [Integral, None],
        "device": [str],
        "callbacks": [list, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: Any = 10,
        *,
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
        cluster_prior: Any = "uniform",
        warmup_iter: Any = "auto",
        max_iter: Any = "auto",
        batch_size: Any = "auto",
        learning_rate: Any = "auto",
        discriminator_learning_rate: Any = "auto",
        n_init: int = 1,
        n_jobs: int | None = None,
        device: str = "auto",
        callbacks: Any = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_continuous = n_continuous
        self.n_noise = n_noise
        self.include_noise = include_noise
        self.image_shape = image_shape
        self.architecture = architecture
        self.mi_weight = mi_weight
        self.consistency_weight = consistency_weight
        self.augmentation = augmentation
        self.cycle_weight = cycle_weight
        self.adversarial_loss = adversarial_loss
        self.cluster_prior = cluster_prior
        self.warmup_iter = warmup_iter
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.discriminator_learning_rate = discriminator_learning_rate
        self.n_init = n_init
        self.n_jobs = n_jobs
        self.device = device
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    # -- fitting -------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> BInfoGANTransformer:
        """Train on X; an error leaves the estimator as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Float or uint8 rows.
        y : Ignored

        Returns
        -------
        self : BInfoGANTransformer

        Raises
        ------
        ValueError
            If X or a parameter is not as documented.
        FloatingPointError
            If a loss becomes NaN or infinite.

        Warns
        -----
        ConvergenceWarning
            If the result shows signs of collapse; the text says which, and the remedy.
        """
        with self._all_or_nothing(), single_thread():
            X = checked_rows(self, X, reset=True)
            device = resolve_device(self.device)
            seeds = check_random_state(self.random_state).randint(2**31 - 1, size=self.n_init)
            self._net = self._best_start([self._settings(X, int(s)) for s in seeds], X, device)
            self._column_order = np.arange(self._spec.n_categorical)
            labels = self._labels(X)
            self._describe(X, self._numbered_by_size(labels))
        signs: list[str] = self.diagnostics_["findings"]
        if signs:
            # Level 3 is the user's line: scikit-learn wraps `fit`.
            warnings.warn("\n".join(signs), ConvergenceWarning, stacklevel=3)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> BInfoGANTransformer:
        """Train for one pass over X, ceil(n_samples / batch_size) steps, from where it stands.

        The first `warmup_iter` steps of all calls are those of the consistency phase. Scaling
        and "auto" budgets are learned from the first call's rows. Clusters keep their numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        self : BInfoGANTransformer

        Raises
        ------
        ValueError, FloatingPointError
            As `fit`.
        """
        first = not hasattr(self, "_net")
        with self._all_or_nothing(), single_thread():
            X = checked_rows(self, X, reset=first)
            if first:
                seed = int(check_random_state(self.random_state).randint(2**31 - 1))
                settings = self._settings(X, seed)
                net = self._net_of(settings, resolve_device(self.device)).initialize()
                self._column_order = np.arange(settings.spec.n_categorical)
            else:
                net = self._restored(self._net.settings, self._net.export())
            self._continue(net, X)
            self._net = net
            self._describe(X, self._labels(X))
        return self

    def _continue(self, net: AdversarialNet, X: Source) -> None:
        recipe = net.settings.recipe
        net.load_rows(X)
        n_steps = -(-len(X) // recipe.batch_size)
        n_warmup = min(n_steps, max(recipe.warmup_iter - net.steps_[CONSISTENCY], 0))
        net.train_phases(n_warmup, n_steps - n_warmup)
        net.forget_rows()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take back every change to the estimator if an error comes up."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _settings(self, X: Source, seed: int) -> Settings:
        """Resolve every "auto" and check parameters against the data."""
        is_image = self.image_shape is not None
        layout = Layout.image(X, self.image_shape) if is_image else Layout.table(X)
        architecture = resolve_architecture(self.architecture, layout.shape)
        auto = preset_recipe(architecture, layout.shape, len(X))
        n_noise = auto["n_noise"] if _is_auto(self.n_noise) else self.n_noise
        spec = CodeSpec.parse(self.n_clusters, self.n_continuous, n_noise)
        if len(X) < max(spec.categories):
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={max(spec.categories)}.")
        scaled = layout.scaled(X[:: -(-len(X) // 2000)], np.float64)
        augment = resolve_augmentation(self.augmentation, scaled, layout.shape)
        return Settings(spec, layout, architecture, self._recipe(auto, spec), augment, seed)

    def _recipe(self, auto: dict[str, Any], spec: CodeSpec) -> Recipe:
        """Parameters as given, and from `auto` what is left to it or is no parameter."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(Recipe)
            if not _is_auto(getattr(self, field.name, "auto"))
        }
        recipe = Recipe(**{k: v for k, v in auto.items() if k != "n_noise"} | given)
        recipe = replace(recipe, cluster_prior=spec.parse_prior(self.cluster_prior))
        if recipe.consistency_weight == 0:
            recipe = replace(recipe, warmup_iter=0)
        if recipe.cycle_weight == 0:  # then none of our terms in the game: the paper's objective
            recipe = replace(
                recipe, adversarial_weight=1.0, steadiness_weight=0.0, marginal_weight=0.0
            )
        if recipe.cluster_prior == "learned" and recipe.warmup_iter == 0:
            raise ValueError(
                "cluster_prior='learned' is estimated in the consistency phase, and there is none: "
                "set warmup_iter and consistency_weight above 0, or give an array."
            )
        if recipe.warmup_iter == recipe.max_iter == 0:
            raise ValueError("warmup_iter and max_iter are both 0: there is nothing to train.")
        return recipe

    def _best_start(self, settings: Sequence[Settings], X: Source, device: str) -> AdversarialNet:
        """Train one net per settings and keep the one of highest label-free score.

        All starts train the consistency phase, which settles the clusters; only the better half
        goes on to the game.
        """
        common = (X, device, self.callbacks, bool(self.verbose))
        if len(settings) == 1:
            return train(settings[0], *common)
        starts = [Start(s) for s in settings]
        recipe = settings[0].recipe
        if recipe.warmup_iter > 0 and recipe.max_iter > 0:
            starts = self._side_by_side(starts, *common, (CONSISTENCY,))
            starts.sort(key=lambda start: start.consistency, reverse=True)
            starts = self._side_by_side(starts[: -(-len(starts) // 2)], *common, (GAME,))
        else:
            starts = self._side_by_side(starts, *common, (CONSISTENCY, GAME))
        best = max(starts, key=lambda start: start.score)
        return self._restored(best.settings, best.state)

    def _side_by_side(self, starts: Sequence[Start], *arguments: Any) -> list[Start]:
        return Parallel(n_jobs=self.n_jobs)(delayed(train_start)(s, *arguments) for s in starts)

    def _restored(self, settings: Settings, state: dict[str, Any]) -> AdversarialNet:
        try:
            device = resolve_device(self.device)
        except ValueError:  # a model from a GPU is loaded where there is none
            device = "cpu"
        return self._net_of(settings, device).restore(state)

    def _net_of(self, settings: Settings, device: str) -> AdversarialNet:
        return AdversarialNet(settings, device, self.callbacks, bool(self.verbose))

    def _numbered_by_size(self, labels: np.ndarray) -> np.ndarray:
        """Order the clusters of each code by falling size; give the labels in that numbering.

        The networks keep their own numbering; codes are reordered where they enter and leave.
        """
        orders = [
            np.argsort(-np.bincount(column, minlength=k), kind="stable").tolist()
            for column, k in zip(labels.T, self._spec.categories, strict=True)
        ]
        self._column_order = np.array(self._spec.category_columns(orders))
        columns = [np.argsort(order)[labels[:, i]] for i, order in enumerate(orders)]
        return np.stack(columns, axis=1)

    def _describe(self, X: Source, labels: np.ndarray) -> None:
        """Set the fitted attributes that the net, X and its labels determine."""
        self.labels_ = self._squeezed(labels)
        priors = self._priors()
        self.cluster_prior_ = priors[0] if len(priors) == 1 else priors
        self.n_iter_ = sum(self._net.steps_.values())
        self.history_ = self._net.history
        sizes = [
            np.bincount(column, minlength=k).tolist()
            for column, k in zip(labels.T, self._spec.categories, strict=True)
        ]
        rows = X[:: -(-len(X) // 2000)]
        self.diagnostics_: dict[str, Any] = {
            **self._evaluate(rows),
            "cluster_sizes": sizes[0] if len(sizes) == 1 else sizes,
            "findings": findings(self._evidence(rows)),
        }
        if len(sizes) > 1:
            self.diagnostics_["code_information"] = code_information(labels).tolist()

    def _evidence(self, X: np.ndarray) -> Evidence:
        """Gather what the signs of collapse are read from; the same draws at every call."""
        settings, rng = self._net.settings, torch.Generator().manual_seed(0)
        layout, spec = settings.layout, settings.spec
        scaled = layout.scaled(X, np.float32)
        moved = settings.augment(layout.to_network(torch.from_numpy(scaled)), rng).numpy()
        drawn = spec.draw(len(X), rng, self._drawing_prior()).numpy()
        samples = self._decode(drawn)
        return Evidence(
            spec,
            self._priors(),
            scaled,
            layout.scaled(samples, np.float32),
            self._encode(X)[:, : spec.n_categorical],
            self._encode(layout.to_rows(moved))[:, : spec.n_categorical],
            drawn,
            self._encode(samples),
            self._net.relative_discriminator_loss(),
        )

    # -- using a fitted model ------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        codes : ndarray of shape (n_samples, n_features_out)
            Per categorical code the posterior of each category, then the means of the
            continuous codes, then z if `include_noise`. float64 for float64 rows, else float32.
        """
        codes = self._encode(self._checked(X))
        return codes if self.include_noise else codes[:, : self._spec.noise.start]

    def predict(self, X: Any) -> np.ndarray:
        """Most likely category of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        """
        return self._squeezed(self._labels(self._checked(X)))

    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Posterior q(c | x) of each category.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_clusters)
            A list of such arrays for several categorical codes.
        """
        codes = self._encode(self._checked(X))
        parts = [codes[:, part] for part in self._spec.category_slices]
        return parts[0] if len(parts) == 1 else parts

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """Generate rows from codes, in the units of X.

        Parameters
        ----------
        codes : array-like of shape (n_samples, n_features_out)
            As `transform` gives them, with or without z; a missing z is 0. The categorical
            part may be soft.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the codes are of another width.
        """
        check_is_fitted(self)
        codes = check_array(codes, dtype=[np.float64, np.float32])
        spec = self._spec
        if codes.shape[1] not in (spec.noise.start, spec.width):
            raise ValueError(
                f"codes have {codes.shape[1]} columns; inverse_transform takes "
                f"{spec.noise.start} (without z) or {spec.width} (with z)."
            )
        full = np.zeros((len(codes), spec.width), dtype=codes.dtype)
        full[:, : codes.shape[1]] = codes
        return self._decode(full)

    def sample(
        self,
        n_samples: int = 1,
        *,
        cluster: Any = None,
        random_state: Any = None,
        from_prior: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw codes and generate rows of them.

        Categories are drawn from their prior, `cluster_prior_`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        cluster : int, sequence of int or None, or None, default=None
            Category to draw from; for several codes one int or None each.
        random_state : int, RandomState instance or None, default=None
        from_prior : bool, default=False
            Whether continuous codes and noise are uniform on [-1, 1], as in the game (paper,
            section 2). By default they are drawn where E puts real rows of the category: from
            a Gaussian with the mean and covariance of E(x) on up to 10 000 training rows
            (density estimation after training, Ghosh et al. 2020). With several categorical
            codes one Gaussian serves all categories.

        Returns
        -------
        X : ndarray of float32, shape (n_samples, n_features)
        labels : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
            The categories drawn, shaped as `predict` gives them.

        Raises
        ------
        ValueError
            If `n_samples` is below 1 or a cluster does not exist.
        """
        check_is_fitted(self)
        if not is_count(n_samples, 1):
            raise ValueError(f"n_samples must be an int >= 1; got {n_samples!r}.")
        chosen = self._chosen_clusters(cluster)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        spec = self._spec
        rng = torch.Generator().manual_seed(seed)
        codes = spec.draw(int(n_samples), rng, self._drawing_prior())
        labels = spec.labels(codes[:, : spec.n_categorical])
        for code, category in enumerate(chosen):
            if category is not None:
                labels[:, code] = category
        codes[:, : spec.n_categorical] = spec.one_hot(labels)
        if not from_prior:
            codes[:, spec.n_categorical :] = self._drawn_style(codes, rng)
        return self._decode(codes.numpy()), self._squeezed(labels.numpy())

    def _drawn_style(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """Continuous codes and noise from the aggregate posterior, given public categories."""
        own = torch.empty_like(codes[:, : self._spec.n_categorical])
        own[:, self._column_order] = codes[:, : self._spec.n_categorical]
        with single_thread():
            return self._net.module_.aggregate.draw(own, rng)

    def score(self, X: Any, y: Any = None) -> float:
        """Label-free quality: a mean of three measures, each in [0, 1]; higher is better.

        How much of the categories' entropy survives T on X, which counts four times, how well
        E(G(Z)) gives c back, and R2 of the reconstructions G(E(x)). None depends on `mi_weight`
        but through the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of more than 10 000 rows every second, third or so is looked at.
        y : Ignored

        Returns
        -------
        score : float
        """
        rows = self._checked(X)
        return self._evaluate(rows[:: -(-len(rows) // MAX_SCORED)])["score"]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only checked against the names and number of the columns of X.

        Returns
        -------
        names : ndarray of str
            `cluster3` for one categorical code, `cluster0_3` for several, then `continuous0`,
            then `noise0` if `include_noise`.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.asarray(self._spec.feature_names(self.include_noise), dtype=object)

    @property
    def _spec(self) -> CodeSpec:
        return self._net.settings.spec

    def _checked(self, X: Any) -> Source:
        check_is_fitted(self)
        return checked_rows(self, X, reset=False)

    def _encode(self, X: Source) -> np.ndarray:
        """Codes (n, width) of validated rows, clusters in public order."""
        return np.concatenate(list(self._encoded_blocks(X)))

    def _encoded_blocks(self, X: Source) -> Iterator[np.ndarray]:
        """Encode block by block, for what needs less than all codes at once."""
        layout, spec = self._net.settings.layout, self._spec
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        encoder = self._inference_copy(self._net.module_.averaged_encoder, dtype)
        for block in row_blocks(X):
            rows = layout.to_network(torch.from_numpy(layout.scaled(block, dtype)))
            codes = self._computed(encoder, rows)
            codes[:, : spec.n_categorical] = codes[:, self._column_order]
            yield codes

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        """Rows of codes (n, width), clusters in public order."""
        generator = self._inference_copy(self._net.module_.averaged_generator, codes.dtype)
        own = codes.copy()
        own[:, self._column_order] = codes[:, : self._spec.n_categorical]
        blocks = [self._computed(generator, torch.from_numpy(b)) for b in row_blocks(own)]
        return self._net.settings.layout.to_rows(np.concatenate(blocks))

    @staticmethod
    def _inference_copy(module: torch.nn.Module, dtype: Any) -> torch.nn.Module:
        """In float64 for float64 input: results then do not depend on how rows are batched."""
        return copy.deepcopy(module).double() if dtype == np.float64 else module

    def _computed(self, module: torch.nn.Module, block: Tensor) -> np.ndarray:
        with single_thread(), torch.no_grad():
            output: np.ndarray = module(block.to(self._net.device)).cpu().numpy()
        return output

    def _evaluate(self, X: np.ndarray) -> dict[str, float]:
        settings = self._net.settings
        rows = torch.from_numpy(settings.layout.scaled(X, np.float32)).to(self._net.device)
        # One seed for all models: scores are then comparable.
        rng = torch.Generator(self._net.device).manual_seed(0)
        module = self._net.module_
        with single_thread():
            return evaluate(
                module.averaged_encoder,
                module.averaged_generator,
                settings.layout.to_network(rows),
                settings.augment,
                rng,
                self._net.prior_,
            )

    def _priors(self) -> list[np.ndarray]:
        """Per categorical code the probability of each category, in public order."""
        spec = self._spec
        own = self._net.prior_ or [[1 / k] * k for k in spec.categories]
        columns = np.concatenate(own)[self._column_order]
        return [columns[part] for part in spec.category_slices]

    def _drawing_prior(self) -> Prior | None:
        """Give the prior in public order; None where it is uniform."""
        if self._net.prior_ is None:
            return None
        return tuple(tuple(probabilities.tolist()) for probabilities in self._priors())

    def _labels(self, X: Source) -> np.ndarray:
        """Most likely category of each code, int64 (n, n_codes), of validated rows."""
        parts = self._spec.category_slices
        blocks = [
            np.stack([codes[:, part].argmax(axis=1) for part in parts], axis=1)
            for codes in self._encoded_blocks(X)
        ]
        return np.concatenate(blocks).astype(np.int64)

    def _squeezed(self, labels: np.ndarray) -> np.ndarray:
        return labels[:, 0] if labels.shape[1] == 1 else labels

    def _chosen_clusters(self, cluster: Any) -> Sequence[int | None]:
        categories = self._spec.categories
        if cluster is None:
            return [None] * len(categories)
        single = len(categories) == 1 and not isinstance(cluster, Sequence | np.ndarray)
        chosen = [cluster] if single else list(cluster) if np.iterable(cluster) else []
        valid = len(chosen) == len(categories) and all(
            c is None or is_count(c, 0, k - 1) for c, k in zip(chosen, categories, strict=True)
        )
        if not valid:
            ranges = ", ".join(f"0 to {k - 1}" for k in categories)
            raise ValueError(
                f"cluster={cluster!r} does not exist: give one int or None per categorical "
                f"code, here {ranges}."
            )
        return chosen

    # -- scikit-learn and pickle ---------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a trained net."""
        return hasattr(self, "_net")

    def __sklearn_tags__(self) -> Tags:
        """Keep float32 and float64 through `transform`."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Carry CPU numpy arrays: a model from a GPU loads where there is none."""
        state = self.__dict__.copy()
        if "_net" in state:
            state["_net"] = (self._net.settings, self._net.export())
            del state["history_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the networks again around the stored arrays."""
        self.__dict__.update(state)
        if "_net" in state:
            self._net = self._restored(*state["_net"])
            self.history_ = self._net.history


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def resolve_device(device: str) -> str:
    """Check a device name; "auto" is CUDA where there is a GPU, else the CPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = device.partition(":")
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in available or (index and not index.isdigit()):
        raise ValueError(
            f"Unknown device {device!r}: use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
        )
    if not available[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device={device!r} is not available on this machine; use 'auto'.")
    return device
