"""What the estimators share: validation, budgets, restarts, codes in and out, pickling."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, cast

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
)
from torch import Tensor

from ._architectures import ARCHITECTURES, preset_recipe, resolve_architecture
from ._arrays import as_numpy, as_tensor
from ._augmentation import resolve_augmentation
from ._callbacks import CallbackSupportMixin, FitTasks
from ._checkpoints import Checkpoints
from ._codes import CodeSpec, Prior, is_count
from ._collapse import Evidence, findings
from ._input import warn_of_far_values
from ._layout import Layout, row_blocks
from ._networks import Encoder
from ._rows import Source, checked_rows
from ._scoring import evaluate, generated
from ._settings import CUDA_GRAPHS, PRECISIONS, Recipe, Settings
from ._starts import NET, Start, train, train_start, usable
from ._supervision import Labels
from ._threads import single_thread
from ._training import CONSISTENCY, GAME, PHASES, AdversarialNet
from .metrics import code_information

AUTO = StrOptions({"auto"})
POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 0, None, closed="left")
POSITIVE_COUNT = Interval(Integral, 1, None, closed="left")


class _BInfoGAN(CallbackSupportMixin, TransformerMixin):
    """Mixin of the estimators: it has no `fit`, and does not know what a category stands for.

    A class that uses it names it first and `BaseEstimator` last. Its `fit` sets `_net` and
    `_column_order`, the columns of the net's categories in public order, and calls `_describe`.
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
        "precision": [StrOptions(set(PRECISIONS))],
        "compile": ["boolean", StrOptions({CUDA_GRAPHS})],
        "callbacks": [list, None],
        "verbose": ["verbose"],
        "checkpoint_dir": [str, os.PathLike, None],
        "checkpoint_every": [POSITIVE_COUNT],
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
        precision: str = "float32",
        compile: bool | str = False,
        callbacks: Any = None,
        verbose: int = 0,
        checkpoint_dir: Any = None,
        checkpoint_every: int = 500,
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
        self.precision = precision
        self.compile = compile
        self.callbacks = callbacks
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state

    # The HTML repr of notebooks links to this page.
    _doc_link_module = "sklearn_binfogan"
    _doc_link_template = (
        "https://sklearn-binfogan.readthedocs.io/en/stable/generated/"
        "{estimator_module}.{estimator_name}.html"
    )

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
        warn_of_far_values(self, layout, X)
        architecture = resolve_architecture(self.architecture, layout.shape)
        auto = preset_recipe(architecture, layout.shape, len(X))
        n_noise = auto["n_noise"] if _is_auto(self.n_noise) else self.n_noise
        spec = CodeSpec.parse(self._categories(), self.n_continuous, n_noise)
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
        recipe = replace(recipe, cluster_prior=self._given_prior(spec))
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

    def _categories(self) -> Any:
        """Categories to learn, as `CodeSpec.parse` takes them."""
        return self.n_clusters

    def _given_prior(self, spec: CodeSpec) -> str | Prior:
        """How categories are drawn, as a recipe has it."""
        return spec.parse_prior(self.cluster_prior)

    def _fit_best(
        self,
        X: Source,
        order: Callable[[np.ndarray], list[list[int]]],
        tasks: FitTasks | None,
        labels: Labels | None = None,
    ) -> BaseException | None:
        """Train, and become the model; `order` numbers its clusters, from the net's labels of X.

        If training is stopped, become the model of the last good state, if there is one, and give
        the error to raise.
        """

        def become(net: AdversarialNet) -> None:
            self._net = net
            self._column_order = np.arange(self._spec.n_categorical)
            own = self._labels(X)
            self._describe(X, self._numbered(own, order(own)))

        device = resolve_device(self.device)
        checkpoints = Checkpoints(self.checkpoint_dir, self.checkpoint_every)
        settings = self._starts(X, checkpoints)
        checkpoints.open(settings, X, labels, device)
        try:
            become(self._best_start(settings, X, device, tasks, labels, checkpoints))
        except BaseException as error:
            start = checkpoints.last_good()
            if start is None:
                raise
            try:
                become(usable(start, X, device, self.callbacks, labels))
            except Exception:  # what stopped the fit makes the state useless too
                raise error from None
            return error
        checkpoints.remove()
        return None

    def _starts(self, X: Source, checkpoints: Checkpoints) -> list[Settings]:
        """Give the settings of each start; without a random_state an unfinished fit gives seeds."""
        drawn = check_random_state(self.random_state).randint(2**31 - 1, size=self.n_init)
        seeds = checkpoints.seeds(drawn) if self.random_state is None else drawn
        settings = self._settings(X, int(seeds[0]))
        return [replace(settings, seed=int(seed)) for seed in seeds]

    def _best_start(
        self,
        settings: Sequence[Settings],
        X: Source,
        device: str,
        tasks: FitTasks | None,
        labels: Labels | None,
        checkpoints: Checkpoints,
    ) -> AdversarialNet:
        """Train one net per settings and keep the one of highest label-free score.

        All starts train the consistency phase, which settles the clusters; only the better half
        goes on to the game.
        """
        common = (X, device, self.callbacks, bool(self.verbose))
        if len(settings) == 1:
            callbacks = self.callbacks if tasks is None else [tasks, *(self.callbacks or [])]
            keeper = checkpoints.keeper(Start(settings[0]), PHASES)
            net = train(
                settings[0], X, device, callbacks, bool(self.verbose), labels=labels, keeper=keeper
            )
            net.forget_rows()
            return net
        starts = [Start(s) for s in settings]
        recipe = settings[0].recipe
        if recipe.warmup_iter > 0 and recipe.max_iter > 0:
            starts = self._side_by_side(checkpoints, starts, (CONSISTENCY,), labels, *common)
            starts.sort(key=lambda start: start.consistency, reverse=True)
            better = starts[: -(-len(starts) // 2)]
            starts = self._side_by_side(checkpoints, better, (GAME,), labels, *common)
        else:
            starts = self._side_by_side(checkpoints, starts, PHASES, labels, *common)
        best = max(starts, key=lambda start: start.score)
        return self._restored(best.settings, best.state)

    def _side_by_side(
        self,
        checkpoints: Checkpoints,
        starts: Sequence[Start],
        phases: Sequence[str],
        labels: Labels | None,
        *common: Any,
    ) -> list[Start]:
        # Processes that share a fit train each start together.
        n_jobs = self.n_jobs if NET.get() is AdversarialNet else 1
        return Parallel(n_jobs=n_jobs)(
            delayed(train_start)(start, *common, phases, labels, checkpoints.keeper(start, phases))
            for start in starts
        )

    def _restored(self, settings: Settings, state: dict[str, Any]) -> AdversarialNet:
        try:
            device = resolve_device(self.device)
        except ValueError:  # a model from a GPU is loaded where there is none
            device = "cpu"
        return self._net_of(settings, device).restore(state)

    def _net_of(self, settings: Settings, device: str) -> AdversarialNet:
        return AdversarialNet(settings, device, self.callbacks, bool(self.verbose))

    def _orders_by_size(self, labels: np.ndarray) -> list[list[int]]:
        """Clusters of each code by falling size, from the net's own labels (n, n_codes)."""
        return [
            np.argsort(-np.bincount(column, minlength=k), kind="stable").tolist()
            for column, k in zip(labels.T, self._spec.categories, strict=True)
        ]

    def _numbered(self, labels: np.ndarray, orders: list[list[int]]) -> np.ndarray:
        """Put the clusters of each code into an order; give the labels in that numbering.

        The networks keep their own numbering; codes are reordered where they enter and leave.
        """
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
            self._posterior(X),
            self._posterior(layout.to_rows(moved)),
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
        X, spec = self._checked(X), self._spec
        return self._encode(X, spec.width if self.include_noise else spec.noise.start)

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
        codes = check_array(as_numpy(codes), dtype=[np.float64, np.float32])
        spec = self._spec
        if codes.shape[1] not in (spec.noise.start, spec.width):
            raise ValueError(
                f"codes have {codes.shape[1]} columns; inverse_transform takes "
                f"{spec.noise.start} (without z) or {spec.width} (with z)."
            )
        full = np.zeros((len(codes), spec.width), dtype=codes.dtype)
        full[:, : codes.shape[1]] = codes
        return self._decode(full)

    def _sampled(
        self,
        n_samples: int,
        chosen: Sequence[int | None],
        random_state: Any,
        prior: Prior | None,
        from_prior: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of drawn codes, and their categories (n, n_codes), some of which may be chosen."""
        if not is_count(n_samples, 1):
            raise ValueError(f"n_samples must be an int >= 1; got {n_samples!r}.")
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        spec = self._spec
        rng = torch.Generator().manual_seed(seed)
        codes = spec.draw(int(n_samples), rng, prior)
        labels = spec.labels(codes[:, : spec.n_categorical])
        for code, category in enumerate(chosen):
            if category is not None:
                labels[:, code] = category
        codes[:, : spec.n_categorical] = spec.one_hot(labels)
        if not from_prior:
            codes[:, spec.n_categorical :] = self._drawn_style(codes, rng)
        return self._decode(codes.numpy()), labels.numpy()

    def _drawn_style(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """Continuous codes and noise from the aggregate posterior, given public categories."""
        own = torch.empty_like(codes[:, : self._spec.n_categorical])
        own[:, as_tensor(self._column_order)] = codes[:, : self._spec.n_categorical]
        with single_thread():
            return self._net.module_.aggregate.draw(own, rng)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Give the names of the columns of `transform`.

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

    def _encode(self, X: Source, n_columns: int | None = None) -> np.ndarray:
        """Leading columns of the codes (n, width) of validated rows, clusters in public order."""
        shape = (len(X), self._spec.width if n_columns is None else n_columns)
        encoded = np.empty(shape, np.float64 if X.dtype == np.float64 else np.float32)
        for part, codes in zip(row_blocks(encoded), self._encoded_blocks(X), strict=True):
            part[:] = codes[:, : shape[1]]
        return encoded

    def _posterior(self, X: Source) -> np.ndarray:
        """q(c | x) of validated rows, (n, n_categorical), clusters in public order."""
        return np.concatenate(list(self._encoded_blocks(X, Encoder.posterior)))

    def _encoded_blocks(
        self, X: Source, read: Callable[[Encoder, Tensor], Tensor] = Encoder.__call__
    ) -> Iterator[np.ndarray]:
        """Encode block by block, for what needs less than all codes at once, or of all rows."""
        layout, spec = self._net.settings.layout, self._spec
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        encoder = cast(Encoder, self._inference_copy(self._net.module_.averaged_encoder, dtype))
        for block in row_blocks(X):
            rows = layout.to_network(torch.from_numpy(layout.scaled(block, dtype)))
            codes = self._computed(read, encoder, rows)
            codes[:, : spec.n_categorical] = codes[:, self._column_order]
            yield codes

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        """Rows of codes (n, width), clusters in public order."""
        generator = self._inference_copy(self._net.module_.averaged_generator, codes.dtype)
        own = codes.copy()
        own[:, self._column_order] = codes[:, : self._spec.n_categorical]
        blocks = map(torch.from_numpy, row_blocks(own))
        rows = [self._computed(generated, generator, block) for block in blocks]
        return self._net.settings.layout.to_rows(np.concatenate(rows))

    @staticmethod
    def _inference_copy(module: torch.nn.Module, dtype: Any) -> torch.nn.Module:
        """In float64 for float64 input: results then do not depend on how rows are batched."""
        if dtype != np.float64:
            return module
        copied = copy.deepcopy(module)
        on_apples_gpu = next(module.parameters()).device.type == "mps"  # which has no float64
        return (copied.cpu() if on_apples_gpu else copied).double()

    @staticmethod
    def _computed(
        compute: Callable[[Any, Tensor], Tensor], module: torch.nn.Module, block: Tensor
    ) -> np.ndarray:
        block = block.to(next(module.parameters()).device)
        with single_thread(), torch.no_grad():
            output: np.ndarray = compute(module, block).cpu().numpy()
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
            for codes in self._encoded_blocks(X, Encoder.posterior)
        ]
        return np.concatenate(blocks).astype(np.int64)

    def _squeezed(self, labels: np.ndarray) -> np.ndarray:
        return labels[:, 0] if labels.shape[1] == 1 else labels

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
