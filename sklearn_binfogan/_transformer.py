"""BInfoGANTransformer: clusters, codes and samples without labels."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._arrays import subsample
from ._base import _BInfoGAN, new_training, orders_as_before, renumbered, squeezed
from ._callback_rules import check_callbacks
from ._checks import is_count
from ._input import warn_of_misfits
from ._model import FittedModel
from ._parameters import changed_settings, resolve_device, settled_values
from ._phases import CONSISTENCY, GAME
from ._presets import CONSTRAINTS
from ._rows import Source, checked_rows
from ._threads import undisturbed
from ._trainer import Trainer

MAX_SCORED = 10_000


class BInfoGANTransformer(_BInfoGAN, ClusterMixin, BaseEstimator):
    """Bidirectional-InfoGAN: disentangled codes, clusters and samples without labels.

    An encoder E and a generator G are trained against a joint discriminator D(x, (z, c)). A
    mutual-information term of weight `mi_weight` makes the code c informative about the row
    (Hinz & Wermter 2018, section 2). By default a consistency phase on real data comes first
    and settles the categories. With ``consistency_weight=0, cycle_weight=0,
    adversarial_loss="nonsaturating"`` the paper's objective is trained alone.

    Parameters
    ----------
    n_clusters : int or tuple of int, default=10
        Number of clusters, at least 1; a tuple gives one number per categorical code.
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
    cluster_prior : {"uniform", "learned"} or array-like, default="uniform"
        How categories are drawn. "uniform" is the paper's. "learned" takes the cluster sizes of
        real rows after the consistency phase; clusters may then differ widely in size. An array
        gives one positive probability per category, in any order, adding up to 1; after a
        consistency phase the largest goes to the largest cluster. For several codes, give a list
        of arrays.
    n_neighbors : int or "auto", default="auto"
        Number of nearest neighbours of each row in a graph of up to 10 000 training rows, at the
        end of the consistency phase. For tables E may then learn other clusters than its own:
        those of k-means or of a Gaussian mixture, if neighbours share a cluster more often or
        rows are drawn from the mixture, or groups of any shape and size that gaps in the data
        separate, if they split few pairs of neighbours. For images (up to
        6 000, by pixels and by features) small groups of rows move to the cluster of their
        neighbours; clusters stay about equal in size. Of several categorical codes only the first
        is corrected, and only for images. 0: no graph. "auto" is 10, or 0 where it can't be used:
        with several codes of a table, an array as `cluster_prior`, "learned" for images, or fewer
        than 20 images per cluster.
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
        categories fit the rows best, judged without labels, then goes through the game. Without a
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
        Folder for the checkpoints of one fit, created if missing. A `fit` with the same data and
        parameters resumes from there, and ends with the same model, bit for bit, as if it had
        never been interrupted. With other data or parameters it raises an error. A finished fit
        removes its checkpoints. None: nothing is written.
    checkpoint_every : int, default=500
        Steps between checkpoints, at least 1. They are written at the end of an epoch of 50 steps.
    random_state : int, RandomState instance or None, default=None
        Seed of all random draws.

    Attributes
    ----------
    labels_ : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
        Clusters of the training rows, numbered from the largest to the smallest.
    cluster_prior_ : ndarray of float64, shape (n_clusters,), or list of ndarray
        Probability with which `sample` draws each category; a list for several codes.
    n_iter_ : int
        Steps taken in both phases together.
    history_ : skorch.history.History
        Losses of every step and epoch, with `phase`, `train_loss` and a label-free
        `valid_loss`: 1 - score on at most 256 rows, held out if there are 500 rows or more.
    diagnostics_ : dict
        Label-free measures on training rows: `consistency`, `distinctness`, `recovery`,
        `reconstruction`, `agreement`, `score`, `cluster_sizes`; for several categorical codes
        `code_information`, the mutual information of each pair (`metrics.code_information`); and
        `findings`, a list of sentences on signs of collapse (dead or merged categories, codes that
        hold the same information or that the generator ignores, samples that are all alike, a
        saturated discriminator), empty if there are none. `fit` also warns of them.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if these are strings.

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
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X.

        If an error or Ctrl-C stops training, the estimator becomes the model of the last complete
        epoch of 50 steps, and the error is raised again. If no epoch was completed, or on an error
        before training, the estimator stays as it was.

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
            If the result shows signs of collapse; the message names them and the remedies.
        ImageShapeWarning
            If rows look like images, and `image_shape` is None.
        ScaleWarning
            If some values of a column, or some pixels, lie so far from all others that they would
            spoil the scale.
        """
        return self._fit(X, y)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one more pass over X: ceil(n_samples / batch_size) steps.

        Over all calls together, the first `warmup_iter` steps are those of the consistency phase,
        and the game's parts are shares of `max_iter` steps after these.
        The first call's rows set the scaling and the "auto" numbers of steps. Most rows of X keep
        the numbers of their clusters, which are therefore not ordered by size. Calls of the
        consistency phase settle the clusters by their own rows: each should hold all clusters,
        and the last one many rows, or set `n_neighbors` to 0.

        Between calls, `set_params` may change the weights of the loss, rates, `batch_size`,
        `warmup_iter`, `max_iter`, `n_threads`, `precision`, `compile`, `cuda_graph`, `device`,
        `callbacks` and `verbose`; the next call uses the new values ("auto" keeps the value in
        use). What the first call has fixed, such as `n_clusters`, can't change.

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
            As in `fit`. ValueError also if a parameter was changed that can't change between calls.

        Warns
        -----
        ImageShapeWarning, ScaleWarning
            As in `fit`. ScaleWarning also if X does not fit the scale of the first call's rows, or
            has values that generated rows can't have.
        """
        first = not hasattr(self, "_model")
        with self._all_or_nothing(), undisturbed(self.n_threads):
            X = checked_rows(self, X, reset=first)
            before, trainer = None if first else self._model, self._continued(X, first)
            model = FittedModel(trainer, None if before is None else before.order)
            labels = model.predict(X)
            if before and trainer.steps[CONSISTENCY] > before.trainer.steps[CONSISTENCY]:
                # The phase may have chosen another sub-head, or learned another partition.
                orders = orders_as_before(model, labels, before.predict(X))
                model, labels = model.reordered(orders), renumbered(labels, orders)
            self._describe(model, labels, X)
        return self

    def _continued(self, X: Source, first: bool) -> Trainer:
        """Train for one pass over X: a new training, or a copy of the model's."""
        if first:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            trainer = new_training(self, X, seed)
        else:
            model = self._model
            warn_of_misfits(self, model.layout, X)
            self._validate_params()  # scikit-learn does so only in the first call
            check_callbacks(self.callbacks)
            now = settled_values(self._parameters())
            settings = changed_settings(model.settings, self._trained_by, now)
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
        with undisturbed(self.n_threads):
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
        with undisturbed(self.n_threads):
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
        """Draw codes and generate rows from them.

        Categories are drawn from their prior, `cluster_prior_`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        cluster : int, sequence of int or None, or None, default=None
            Category to draw from; None: all of them. For several codes, one int or None for each.
        random_state : int, RandomState instance or None, default=None
        from_prior : bool, default=False
            Whether continuous codes and noise are uniform on [-1, 1], as in the game (paper,
            section 2). By default they are drawn where E puts real rows of the category: from
            a density fitted to E(x) on up to 10 000 training rows (after training, Ghosh et al.
            2020). It is a mixture of up to 20 Gaussians, but one for the paper's presets. For
            tables it is also one of the residual x - G(E(x)), which is added to the rows; if there
            are very many columns, each of them is drawn by itself. With several categorical codes,
            it is that of the first code's category. Columns of tables then get the quantiles that
            they have in real rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            float32 if `fit` got float32 or uint8 rows, else float64.
        labels : ndarray of int64, shape (n_samples,) or (n_samples, n_codes)
            The categories drawn, in the shape that `predict` returns.

        Raises
        ------
        ValueError
            If `n_samples` is below 1 or a cluster does not exist.
        """
        check_is_fitted(self)
        chosen = self._chosen_clusters(cluster)
        X, labels = self._sampled(n_samples, chosen, random_state, from_prior)
        return X, squeezed(labels)

    def score(self, X: Any, y: Any = None) -> float:
        """Label-free quality: a mean of three measures, each in [0, 1]; higher is better.

        The measures are: how many categories stay distinct on X under T, on a logarithmic scale,
        which counts twelve times; how well E(G(Z)) recovers c; and R2 of the reconstructions
        G(E(x)). Models with different `n_clusters` can be compared. Models with different
        `image_shape` or `architecture` can't: each sees rows through its own augmentation and
        networks. `mi_weight` affects the measures only through the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of more than 10 000 rows, an evenly spaced part is used.
        y : Ignored

        Returns
        -------
        score : float
            In [0, 1].
        """
        rows = subsample(self._checked(X), MAX_SCORED)
        with undisturbed(self.n_threads):
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
