"""What the estimators share: validation, the fit around its driver, codes in and out, pickling."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, Self

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.base import TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import _check_feature_names_in, check_array, check_is_fitted

from ._arrays import as_numpy, computed, subsample
from ._augmentation import check_augmentation, resolve_augmentation
from ._callback_rules import check_callbacks, check_copyable, copied_callbacks
from ._callbacks import CallbackSupportMixin, FitTasks
from ._checkpoints import Checkpoints
from ._checks import check_count, check_flag
from ._codes import CodeSpec, Prior, is_auto
from ._collapse import findings
from ._driver import Job, train_best, usable
from ._input import check_unmasked, warn_of_far_values, warn_user
from ._layout import Layout
from ._model import FittedModel
from ._parameters import chosen_by_machine, given_to_recipe, resolve_device, settled_values
from ._partition import check_neighbours
from ._phases import CONSISTENCY, GAME
from ._presets import resolve_preset
from ._rows import Source, checked_rows
from ._settings import Settings
from ._supervision import Labels, assigned_categories
from ._threads import undisturbed
from ._trainer import Trainer
from .metrics import code_information

MAX_LOOKED_AT = 2000  # rows, for T and for diagnostics
N_TRIED = 8  # rows that a user's T is tried on


def published_at(name: str) -> str | None:
    """Address of that name under `project.urls` in pyproject.toml; None: not published yet."""
    try:
        entries = metadata("sklearn-binfogan").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a source tree
        return None
    return dict(entry.split(", ", 1) for entry in entries).get(name)


DOCUMENTATION = published_at("Documentation")


class _BInfoGAN(CallbackSupportMixin, TransformerMixin):
    """Mixin of the estimators, whose `fit` calls `_fit`, which sets `_model`.

    A class that uses it names it first and `BaseEstimator` last.
    """

    def _set_parameters(self, given: dict[str, Any]) -> None:
        """Store what `__init__` was given, its local variables, and nothing else."""
        own = {name: value for name, value in given.items() if name not in ("self", "__class__")}
        self.__dict__.update(own)

    def _parameters(self) -> dict[str, Any]:
        """Values of the package's parameters, which the `__init__` of a subclass may have fixed."""
        return {name: getattr(self, name) for name in self._parameter_constraints}

    _doc_link_module = "sklearn_binfogan"

    @property
    def _doc_link_template(self) -> str:
        """Page of an estimator, to which the HTML repr of notebooks links; empty: no links."""
        page = "/generated/{estimator_module}.{estimator_name}.html"
        return DOCUMENTATION + page if DOCUMENTATION else ""

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Undo every change to the estimator if an error is raised."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _settings(self, X: Source, seed: int) -> Settings:
        """Resolve every "auto" and check parameters against the data."""
        check_callbacks(self.callbacks)
        is_image = self.image_shape is not None
        layout = Layout.image(X, self.image_shape) if is_image else Layout.table(X)
        warn_of_far_values(self, layout, X)
        preset = resolve_preset(self.architecture, layout.shape, len(X))
        n_noise = preset.n_noise if is_auto(self.n_noise) else self.n_noise
        spec = CodeSpec.parse(self._categories(), self.n_continuous, n_noise)
        if len(X) < max(spec.categories):
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={max(spec.categories)}.")
        scaled = layout.scaled(subsample(X, MAX_LOOKED_AT), np.float64)
        augment = resolve_augmentation(self.augmentation, scaled, layout)
        if callable(self.augmentation):
            some = layout.to_network(torch.from_numpy(scaled[:N_TRIED].astype(np.float32)))
            check_augmentation(augment, some.to(resolve_device(self.device)))
        given = self._given(spec) | chosen_by_machine(self._parameters(), is_image)
        given["cluster_prior"] = self._given_prior(spec)
        share = self._label_share(len(X))
        recipe = preset.resolved(len(X), given, share)
        settings = Settings(spec, layout, preset.networks_for(share), recipe, augment, seed)
        if given.get("n_neighbors", 0):
            check_neighbours(settings, len(X))
        return settings

    def _given(self, spec: CodeSpec) -> dict[str, Any]:
        """Give the fields of a recipe that the user's parameters set."""
        return given_to_recipe(self._parameters())

    def _categories(self) -> Any:
        """Categories to learn, as `CodeSpec.parse` takes them."""
        return self.n_clusters

    def _label_share(self, n_rows: int) -> float:
        """Share of the rows that have a label."""
        return 0.0

    def _given_prior(self, spec: CodeSpec) -> str | Prior:
        """How categories are drawn, in the form that `Recipe` holds."""
        return spec.parse_prior(self.cluster_prior)

    def _fit(self, X: Any, y: Any) -> Self:
        """Check X and y, train, and become the model; warn of its findings."""
        tasks = FitTasks(self, X, y) if getattr(self, "_skl_callbacks", None) else None
        with self._all_or_nothing(), undisturbed(self.n_threads):
            X = checked_rows(self, X, reset=True)
            stopped = self._fit_best(X, self._parsed_labels(X, y), tasks)
        if stopped is not None:
            raise stopped
        if tasks is not None:
            tasks.end()
        signs: list[str] = self.diagnostics_["findings"]
        if signs:
            warn_user("\n".join(signs), ConvergenceWarning)
        return self

    def _parsed_labels(self, X: Source, y: Any) -> Labels | None:
        """Check y; return the labels of rows, if they are used."""
        return None

    def _fit_best(
        self, X: Source, labels: Labels | None, tasks: FitTasks | None
    ) -> BaseException | None:
        """Train, and become the model, its clusters numbered by class, then by size.

        If training is stopped, become the model of the last good state, if there is one, and return
        the error to raise.
        """

        def become(trainer: Trainer) -> None:
            self._describe(*numbered(FittedModel(trainer), X, labels), X)

        device = resolve_device(self.device)
        checkpoints = Checkpoints(self.checkpoint_dir, self.checkpoint_every)
        settings = self._starts(X, checkpoints)
        checkpoints.open(settings, X, labels, device)
        job = Job(X, labels, device, self.callbacks, bool(self.verbose), self.n_jobs)
        watched = job
        if tasks is not None and len(settings) == 1:
            tasks.numbered = lambda model: numbered(model, X, labels)[0]
            watched = replace(job, callbacks=[tasks, *(self.callbacks or [])])
        try:
            become(train_best(watched, settings, checkpoints))
        except BaseException as error:
            start = checkpoints.last_good()
            if start is None:
                raise
            try:
                become(usable(job, start))
            except Exception:  # what stopped the fit makes the state useless too
                raise error from None
            return error
        checkpoints.remove()
        return None

    def _starts(self, X: Source, checkpoints: Checkpoints) -> list[Settings]:
        """Return the settings of each start.

        Without a random_state, the seeds are those of the unfinished fit, if there is one.
        """
        drawn = check_random_state(self.random_state).randint(2**31 - 1, size=int(self.n_init))
        seeds = checkpoints.seeds(drawn) if self.random_state is None else drawn
        settings = self._settings(X, int(seeds[0]))
        return [replace(settings, seed=int(seed)) for seed in seeds]

    def _describe(self, model: FittedModel, labels: np.ndarray, X: Source) -> None:
        """Become a model; set the fitted attributes that it, X and the labels of X determine."""
        self._model = model
        self._trained_by = settled_values(self._parameters())
        self._set_derived()
        self.labels_ = squeezed(labels)
        sizes = [of_code.tolist() for of_code in cluster_sizes(model, labels)]
        rows = subsample(X, MAX_LOOKED_AT)
        self.diagnostics_: dict[str, Any] = {
            **model.evaluate(rows),
            "cluster_sizes": sizes[0] if len(sizes) == 1 else sizes,
            "findings": findings(model.evidence(rows, sizes)),
        }
        if len(sizes) > 1:
            self.diagnostics_["code_information"] = code_information(labels).tolist()

    def _set_derived(self) -> None:
        """Set the fitted attributes that the model alone determines."""
        priors = self._model.priors
        self.cluster_prior_ = priors[0] if len(priors) == 1 else priors
        self.n_iter_ = sum(self._model.trainer.steps.values())
        self.history_ = self._model.history

    # -- using a fitted model ------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        codes : ndarray of shape (n_samples, n_features_out)
            For each categorical code the posterior of its categories, then the means of the
            continuous codes, then z if `include_noise`. float32 for float32 and uint8 rows, else
            float64.
        """
        X, spec = self._checked(X), self._model.spec
        with undisturbed(self.n_threads):
            return self._model.encode(X, spec.width if self.include_noise else spec.noise.start)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Generate rows from codes, in the units of the rows of `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as `transform` returns them, with or without z; a missing z is 0. Categories need
            not be one-hot.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            float32 if `fit` got float32 or uint8 rows, else float64. In tables, as in `sample`,
            columns of whole numbers are rounded, bounded columns stay within their bounds, and
            columns of few values and one-hot groups only take values that occur in the rows of
            `fit`.

        Raises
        ------
        ValueError
            If the codes have another number of columns, if some are masked, or if they are so large
            that rows overflow.

        Warns
        -----
        ConvergenceWarning
            If the game, which trains the generator, has had no step.
        """
        check_is_fitted(self)
        codes = as_numpy(computed(X))
        check_unmasked(codes, "codes")
        codes = check_array(codes, dtype=[np.float64, np.float32])
        spec = self._model.spec
        if codes.shape[1] not in (spec.noise.start, spec.width):
            raise ValueError(
                f"codes have {codes.shape[1]} columns; inverse_transform takes "
                f"{spec.noise.start} (without z) or {spec.width} (with z)."
            )
        self._warn_of_untrained_generator()
        full = np.zeros((len(codes), spec.width), dtype=codes.dtype)
        full[:, : codes.shape[1]] = codes
        with undisturbed(self.n_threads):
            rows = self._model.decode(full)
        if not np.isfinite(rows).all():
            largest = np.abs(codes).max()
            raise ValueError(
                f"The generator gives infinite rows for codes of magnitude {largest:.3g}: codes of "
                "real rows are about -1 to 1."
            )
        return rows

    def _sampled(
        self, n_samples: int, chosen: Sequence[int | None], random_state: Any, from_prior: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of drawn codes, and their categories (n, n_codes), some of which may be chosen."""
        check_count("n_samples", n_samples)
        check_flag("from_prior", from_prior)
        self._warn_of_untrained_generator()
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        prior = self._drawing_prior()
        with undisturbed(self.n_threads):
            return self._model.sample(int(n_samples), chosen, seed, prior, from_prior)

    def _warn_of_untrained_generator(self) -> None:
        trainer = self._model.trainer
        if trainer.steps[GAME] == 0:
            warn_user(
                "The generator is untrained: the game has had no step, only the consistency phase, "
                f"which has had {trainer.steps[CONSISTENCY]} of "
                f"{trainer.settings.recipe.warmup_iter}. Set max_iter above 0, or call partial_fit "
                "more often.",
                ConvergenceWarning,
            )

    def _drawing_prior(self) -> Prior | None:
        """Probabilities by which `sample` draws categories, in public order; None: uniform."""
        return self._model.drawing_prior

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

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
        return np.asarray(self._model.spec.feature_names(self.include_noise), dtype=object)

    def _checked(self, X: Any) -> Source:
        check_is_fitted(self)
        return checked_rows(self, X, reset=False)

    # -- scikit-learn and pickle ---------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a fitted model."""
        return hasattr(self, "_model")

    def __sklearn_tags__(self) -> Tags:
        """Keep float32 and float64 through `transform`."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_clone__(self) -> Any:
        """Clone, with callbacks of any class: scikit-learn would copy only their parameters."""
        if not getattr(self, "callbacks", None):
            return super().__sklearn_clone__()
        plain = object.__new__(type(self))
        plain.__dict__.update(self.__dict__, callbacks=None)
        twin = super(_BInfoGAN, plain).__sklearn_clone__()
        twin.callbacks = copied_callbacks(self.callbacks)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Store NumPy arrays, so that a model from a GPU loads on a machine without one."""
        check_copyable(self.callbacks)
        state = self.__dict__.copy()
        if "_model" in state:
            state["_model"] = (self._model.settings, self._model.state(), self._model.order)
            del state["history_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the networks around the stored arrays."""
        self.__dict__.update(state)
        if "_model" in state:
            settings, of_training, order = state["_model"]
            try:
                device = resolve_device(self.device)
            except ValueError:  # a model from a GPU, loaded on a machine without one
                device = "cpu"
            self._model = FittedModel(Trainer(settings, device, state=of_training), order)
            self._set_derived()


def new_training(estimator: _BInfoGAN, X: Source, seed: int = 0) -> Trainer:
    """Return the training that a fit of validated rows would begin, with its rows loaded.

    For `partial_fit`, tests and benchmarks: `new_training(gan, X).begin("game").step(x)`.
    """
    settings = estimator._settings(X, seed)
    device, progress = resolve_device(estimator.device), bool(estimator.verbose)
    return Trainer(settings, device, estimator.callbacks, progress).load_rows(X)


def fitted_model(estimator: _BInfoGAN) -> FittedModel:
    """Return the model of an estimator; raise NotFittedError if there is none."""
    if not isinstance(estimator, _BInfoGAN):
        raise TypeError(
            "A BInfoGANTransformer or a BInfoGANClassifier is needed; got a "
            f"{type(estimator).__name__}. Of a Pipeline, pass the step, such as `pipe[-1]`."
        )
    check_is_fitted(estimator)
    return estimator._model


def cluster_sizes(model: FittedModel, labels: np.ndarray) -> list[np.ndarray]:
    """Rows in each cluster of each code, from labels (n, n_codes)."""
    pairs = zip(labels.T, model.spec.categories, strict=True)
    return [np.bincount(column, minlength=k) for column, k in pairs]


def numbered(
    model: FittedModel, X: Source, labels: Labels | None
) -> tuple[FittedModel, np.ndarray]:
    """Give clusters numbers by class, then by size; return the model and the labels of X."""
    own = model.predict(X)
    orders = [np.argsort(-sizes, kind="stable").tolist() for sizes in cluster_sizes(model, own)]
    if labels is not None:
        few = labels.thinned()
        posterior = model.encode(X[few.rows])[:, model.spec.category_slices[0]]
        bound = assigned_categories(posterior, few.classes).tolist()
        orders[0] = bound + [k for k in orders[0] if k not in bound]
    return model.reordered(orders), renumbered(own, orders)


def renumbered(labels: np.ndarray, orders: list[list[int]]) -> np.ndarray:
    """Renumber labels (n, n_codes): the first cluster of each code's order becomes 0, and so on."""
    columns = [np.argsort(order)[labels[:, i]] for i, order in enumerate(orders)]
    return np.stack(columns, axis=1)


def orders_as_before(model: FittedModel, labels: np.ndarray, before: np.ndarray) -> list[list[int]]:
    """Clusters of each code, in the order by which most rows keep their labels of `before`."""
    orders = []
    for i, k in enumerate(model.spec.categories):
        shared = np.bincount(before[:, i] * k + labels[:, i], minlength=k**2).reshape(k, k)
        # Clusters without rows keep their numbers where these are free.
        _, own = linear_sum_assignment(shared + np.eye(k) / 2, maximize=True)
        orders.append(own.tolist())
    return orders


def squeezed(labels: np.ndarray) -> np.ndarray:
    """Labels (n, n_codes) as users see them: (n,) for a single code."""
    return labels[:, 0] if labels.shape[1] == 1 else labels
