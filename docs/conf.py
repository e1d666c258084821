"""Sphinx configuration: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import os
import re
import warnings

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TQDM_DISABLE", "1")  # a page would show every step of a bar

import sklearn_binfogan  # tqdm reads its variable when it is imported

# Of fits in the gallery with a short budget: of no use to a reader.
warnings.filterwarnings("ignore", category=UserWarning)

project = "sklearn-binfogan"
author = "the sklearn-binfogan developers"
project_copyright = author
release = sklearn_binfogan.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
nitpicky = True  # internal links are checked: one that leads nowhere is a warning
# Links to other packages would need their inventories, from the network, at every build.
nitpick_ignore_regex = [("py:.*", r"(sklearn|skorch|torch|numpy|matplotlib)\..*")]
suppress_warnings = ["config.cache"]  # the gallery's sorting keys can't be pickled

autosummary_generate = True
# Of two names that differ by case alone, which some file systems hold to be one.
autosummary_filename_map = {
    f"sklearn_binfogan.metrics.{name}": f"sklearn_binfogan.metrics.{name.lower()}_result"
    for name in ("DCI", "PRDC")
}
autodoc_typehints = "none"  # numpydoc's sections say more
numpydoc_show_class_members = False
myst_heading_anchors = 4

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The others take minutes: they are shown with committed pictures, and not run.
    "filename_pattern": "plot_(digits|table|memory_map)",
    "image_scrapers": ("matplotlib",),
    "notebook_images": True,  # committed pictures travel within a notebook
    "download_all_examples": False,
    "min_reported_time": 1,
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "images/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "header_links_before_dropdown": 7,
}
html_sidebars = {"index": [], "installation": [], "faq": [], "changelog": []}


def without_labels(app, what, name, obj, options, lines):
    """Take labels of scikit-learn's own pages out of docstrings inherited from it."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        role = r":(?:ref|term):`([^`<]+?)(?:\s*<[^`]*)?`"
        lines[:] = re.sub(role, r"\1", "\n".join(lines)).split("\n")


def setup(app):
    """Connect to what Sphinx offers."""
    app.connect("autodoc-process-docstring", without_labels)
