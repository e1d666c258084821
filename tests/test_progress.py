"""What a fit tells its watchers: skorch's callbacks, the bar, the HTML repr."""

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from email.message import Message
from urllib.parse import unquote

import pytest
import tqdm
from sklearn.datasets import make_blobs
from skorch.callbacks import Callback, EarlyStopping

import sklearn_binfogan
from sklearn_binfogan import BInfoGANClassifier, BInfoGANTransformer

X, Y = make_blobs(60, centers=3, random_state=0)


def gan(**parameters):
    """Return an unfitted estimator of a small budget."""
    budget = {"n_clusters": 3, "warmup_iter": 60, "max_iter": 20, "random_state": 0}
    return BInfoGANTransformer(**(budget | parameters))


# -- without scikit-learn's callbacks --------------------------------------------------------------


def modules_of_ours():
    return [name for name in sys.modules if name.partition(".")[0] == "sklearn_binfogan"]


@pytest.fixture
def package_beside_an_older_scikit_learn(monkeypatch):
    """A module that is not there is how the package sees scikit-learn before 1.9."""
    for name in modules_of_ours():
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as patched:  # not for scikit-learn's own modules, imported later
        patched.setitem(sys.modules, "sklearn.callback", None)
        package = importlib.import_module("sklearn_binfogan")
    yield package
    for name in modules_of_ours():
        del sys.modules[name]


def test_older_versions_have_no_callbacks_but_fit(package_beside_an_older_scikit_learn):
    older = package_beside_an_older_scikit_learn.BInfoGANTransformer

    assert older is not BInfoGANTransformer
    assert not hasattr(older, "set_callbacks")
    assert older(3, warmup_iter=3, max_iter=3, random_state=0).fit(X).n_iter_ == 6


# -- skorch's callbacks ----------------------------------------------------------------------------


class Score(Callback):
    """Record the label-free score under a name of its own, higher is better."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("score", 1 - net.history[-1]["valid_loss"])


def test_early_stopping_on_the_label_free_score():
    stopping = EarlyStopping(
        "score", lower_is_better=False, patience=2, threshold=10.0, sink=lambda text: None
    )
    estimator = gan(callbacks=[Score(), stopping], warmup_iter=0, max_iter=2000).fit(X)

    scores = [row["score"] for row in estimator.history_]
    assert len(scores) == 3  # the first is the best, as none is better by a factor of 11
    assert estimator.n_iter_ == 150


# -- the bar of verbose=1, the repr of notebooks ---------------------------------------------------


def test_bar_shows_phase_step_losses_and_time_left(monkeypatch):
    shown = []
    set_postfix = tqdm.tqdm.set_postfix

    def then_look(bar, *args, **kwargs):
        set_postfix(bar, *args, **kwargs)
        shown.append(str(bar))

    monkeypatch.setattr(tqdm.tqdm, "set_postfix", then_look)
    estimator = gan(verbose=1).fit(X)

    assert [line.split(":")[0] for line in shown] == [
        "Consistency phase",
        "Consistency phase",
        "Game",
    ]
    assert "50/80 [" in shown[0]
    assert "<" in shown[0].split("[")[1]  # elapsed<left
    last = estimator.history_[-1]
    assert f"loss={last['train_loss']:.3g}" in shown[-1]
    assert f"loss of D={last['discriminator_loss']:.3g}" in shown[-1]
    assert f"1 - score={last['valid_loss']:.3g}" in shown[-1]


class Names(Callback):
    def on_train_begin(self, net, **kwargs):
        self.names = [name for name, _ in net.callbacks_]


@pytest.mark.parametrize("verbose", [0, 1])
def test_only_a_bar_that_is_wanted_is_a_callback(verbose):
    names = Names()
    gan(verbose=verbose, callbacks=[names]).fit(X)

    assert ("progress" in names.names) == bool(verbose)


NOTEBOOK = """
import sys, types
import IPython
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["ipywidgets"] = None
import sklearn_binfogan
from sklearn_binfogan._tqdm import tqdm
print(tqdm.__module__)
"""


def test_no_warning_in_notebooks_without_ipywidgets(tmp_path):
    """A stand-in for IPython in a kernel, where tqdm would draw a widget and can't."""
    (tmp_path / "IPython").mkdir()
    (tmp_path / "IPython" / "__init__.py").write_text("def get_ipython():\n    return object()\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-W", "error:IProgress not found", "-c", NOTEBOOK]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "tqdm.std"
    assert "IProgress" not in done.stderr


def test_widgets_where_there_are_ipywidgets(monkeypatch):
    spec = importlib.util.find_spec("sklearn_binfogan._tqdm")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    spec.loader.exec_module(module)

    assert module.tqdm is tqdm.auto.tqdm


ESTIMATORS = [BInfoGANTransformer, BInfoGANClassifier]
ADDRESS = "https://docs.invalid/en/stable"


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_html_repr_has_no_links_before_the_documentation_is_published(kind):
    assert sklearn_binfogan._base.DOCUMENTATION is None
    assert kind()._get_doc_link() == ""
    assert "href" not in kind()._repr_html_()


def test_addresses_are_one_setting(monkeypatch):
    package = Message()
    package["Project-URL"] = f"Documentation, {ADDRESS}"
    monkeypatch.setattr(sklearn_binfogan._base, "metadata", lambda name: package)

    assert sklearn_binfogan._base.published_at("Documentation") == ADDRESS
    assert sklearn_binfogan._base.published_at("Repository") is None


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_html_repr_links_to_the_documentation(kind, monkeypatch):
    monkeypatch.setattr(sklearn_binfogan._base, "DOCUMENTATION", ADDRESS)

    page = f"generated/sklearn_binfogan.{kind.__name__}.html"
    assert f'href="{ADDRESS}/{page}"' in kind()._repr_html_()


def tooltips(html):
    """Return for each name that has a tooltip the text that its link scrolls to."""
    found = re.findall(r'class="param-doc-link".*?href="([^"]*)">\s*(\w+)\s*<span', html, re.DOTALL)
    fragments = {name: unquote(link.partition("#:~:text=")[2]) for link, name in found}
    assert all(text.startswith(f"{name},-") for name, text in fragments.items())
    return {name: text.removeprefix(f"{name},-") for name, text in fragments.items()}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_row_of_the_html_repr_has_a_tooltip_and_a_link_that_scrolls(kind, monkeypatch):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brought tooltips of all rows")
    monkeypatch.setattr(sklearn_binfogan._base, "DOCUMENTATION", ADDRESS)
    estimator = kind(warmup_iter=5, max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, Y)

    shown = tooltips(estimator._repr_html_())
    fitted = {name for name in vars(estimator) if name.endswith("_") and name[0] != "_"}
    assert shown.keys() == estimator.get_params().keys() | fitted
    # What a page shows has single spaces.
    assert all(text == " ".join(text.split()) for text in shown.values())
