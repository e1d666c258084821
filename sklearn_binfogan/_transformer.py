"""BInfoGANTransformer: clusters, codes and samples without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._arrays import subsample
from ._base import _BInfoGAN, new_training, orders_by_size, resolve_device, squeezed
from ._callbacks import FitTasks
from ._codes import is_count
from ._input import warn_of_misfits
from ._model import FittedModel
from ._phases import CONSISTENCY, GAME
from ._presets import CONSTRAINTS
from ._rows import Source, checked_rows
from ._threads import undisturbed
from ._trainer import Trainer

MAX_SCORED = 10_000


class BInfoGANTransformer(_BInfoGAN, ClusterMixin, BaseEstimator):
    """Bidirectional-InfoGAN: disentangled codes, clusters and samples without labels.

    An encoder E, a generator G and a joint discriminator D(x, (z, c)) are trained against each
    other; a mutual-information term of weight `mi_weight` makes the code c mean something
    (Hinz & Wermter 2018, section 2). By default a consistency phase on real data comes first
    and settles the categories; with ``consistency_weight=0, cycle_weight=0,
    adversarial_loss="nonsaturating"`` the paper's objective is trained alone.

    Parameters
    ----------
    n_clusters : int or tuple of int, default=10
        Number of clusters, at least 1; a tuple gives one number per categorical code.
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
    cluster_prior : {"uniform", "learned"} or array-like, default="uniform"
        How categories are drawn. "uniform" is the paper's. "learned" takes the sizes that the
        clusters of real rows have after the consistency phase, in which they may then be of very
        different size. An array gives one positive probability per category, in any order, adding
        up to 1: the largest goes to the largest cluster; for several codes a list of arrays.
    n_neighbors : int or "auto", default="auto"
        Nearest neighbours of a row in a graph of up to 10 000 training rows. At the end of the
        consistency phase E learns k-means' clusters instead of its own if neighbours agree in them
        more, or groups that gaps in the data separate, of whatever shape and size, if they cut few
        pairs of neighbours. 0 for no graph. "auto" is 10 for tables with one categorical code,
        unless `cluster_prior` is an array, and 0 for images.
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
        best, judged without labels, is kept and plays the game. Without that phase all play, and
        the one of highest `score` is kept.
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
        Folder for the checkpoints of one fit, made if it is missing. A `fit` with the same data and
        parameters goes on from there, to the same result to the bit as if it had not been cut off;
        with others it raises an error. A finished fit removes its checkpoints. None: nothing is
        written.
    checkpoint_every : int, default=500
        Steps after which a checkpoint is due; it is written at the end of that epoch of 50 steps.
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
        Label-free measures on training rows: `consistency`, `distinctness`, `recovery`,
        `reconstruction`, `agreement`, `score`, `cluster_sizes`; for several categorical codes
        `code_information`, the mutual information of each pair (`metrics.code_information`); and
        `findings`, a list of sentences on signs of collapse (dead or merged categories, codes that
        say the same or that the generator ignores, samples all alike, a saturated discriminator),
        empty if there are none. `fit` also gives them as a warning.
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

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
        n_neighbors: Any = "auto",
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
    def fit(self, X: Any, y: Any = None) -> BInfoGANTransformer:
        """Train on X.

        An error or Ctrl-C during training is raised again. Before that the estimator becomes the
        model of the last whole epoch of 50 steps; where there is none, or on an error before
        training, it stays as it was.

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
            If X or a parameter is not as documented, or if `checkpoint_dir` holds an unfinished
            fit of other data or parameters, or a damaged checkpoint.
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
            stopped = self._fit_best(X, orders_by_size, tasks)
        self._finish_fit(stopped, tasks)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> BInfoGANTransformer:
        """Train for one pass over X, ceil(n_samples / batch_size) steps, from where it stands.

        The first `warmup_iter` steps of all calls are those of the consistency phase. Scaling
        and "auto" budgets are learned from the first call's rows. Clusters keep their numbers.

        Between calls `set_params` may change the weights of the loss, rates, `batch_size`,
        `warmup_iter`, `max_iter`, `precision`, `compile`, `cuda_graph`, `device`, `callbacks` and
        `verbose`; the next call trains by them ("auto" keeps the number that there was). What the
        first call has settled, such as `n_clusters`, can't change.

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
            As `fit`. ValueError also if a parameter was changed that can't change between calls.

        Warns
        -----
        ImageShapeWarning, ScaleWarning
            As `fit`. ScaleWarning also if X does not fit the scale of the first call's rows.
        """
        first = not hasattr(self, "_model")
        with self._all_or_nothing(), undisturbed():
            X = checked_rows(self, X, reset=first)
            order = None if first else self._model.order
            model = FittedModel(self._continued(X, first), order)
            self._describe(model, X, model.predict(X))
        return self

    def _continued(self, X: Source, first: bool) -> Trainer:
        """Train for one pass over X: from the beginning, or a copy of the model's training."""
        if first:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            trainer = new_training(self, X, seed)
        else:
            model = self._model
            warn_of_misfits(self, model.layout, X)
            settings = self._changed(model.settings)
            device = resolve_device(self.device)
            progress = bool(self.verbose)
            trainer = Trainer(settings, device, self.callbacks, progress, model.state())
            trainer.load_rows(X)
        recipe = trainer.settings.recipe
        n_steps = -(-len(X) // recipe.batch_size)
        n_warmup = min(n_steps, max(recipe.warmup_iter - trainer.steps[CONSISTENCY], 0))
        trainer.train({CONSISTENCY: n_warmup, GAME: n_steps - n_warmup})
        return trainer.forget_rows()

    # -- using a fitted model ------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Most likely category of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        """
        X = self._checked(X)
        return squeezed(self._model.predict(X))

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
        X = self._checked(X)
        posterior = self._model.posterior(X)
        parts = [posterior[:, part] for part in self._model.spec.category_slices]
        return parts[0] if len(parts) == 1 else parts

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
        X : ndarray of shape (n_samples, n_features)
            In the dtype of the rows of `fit`: float64 for float64, else float32.
        labels : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
            The categories drawn, shaped as `predict` gives them.

        Raises
        ------
        ValueError
            If `n_samples` is below 1 or a cluster does not exist.
        """
        check_is_fitted(self)
        chosen = self._chosen_clusters(cluster)
        prior = self._model.drawing_prior
        X, labels = self._sampled(n_samples, chosen, random_state, prior, from_prior)
        return X, squeezed(labels)

    def score(self, X: Any, y: Any = None) -> float:
        """Label-free quality: a mean of three measures, each in [0, 1]; higher is better.

        How many categories are told apart in spite of T on X, on a logarithmic scale, which counts
        twelve times; how well E(G(Z)) gives c back; and R2 of the reconstructions G(E(x)). Models
        of different `n_clusters` compare; those of different `image_shape` or `architecture` do
        not: each looks at rows through its own augmentation and networks. None depends on
        `mi_weight` but through the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of more than 10 000 rows every second, third or so is looked at.
        y : Ignored

        Returns
        -------
        score : float
        """
        rows = subsample(self._checked(X), MAX_SCORED)
        return self._model.evaluate(rows)["score"]

    def _chosen_clusters(self, cluster: Any) -> Sequence[int | None]:
        categories = self._model.spec.categories
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
