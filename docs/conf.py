"""Configuration of the documentation: `sphinx-build -W -b html docs docs/_build/html`."""

import re
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import filippov  # noqa: E402

project = "filippov"
copyright = "the authors of filippov"
release = version = filippov.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "**.ipynb"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "filippov"
html_static_path = ["_static"]
html_css_files = ["player.css"]
html_show_sphinx = False
# No source copies: the pages link to nothing that has to be kept.
html_copy_source = False

autosummary_generate = True
autosummary_imported_members = True
# What a face exports is its __all__.
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# The type lines of the docstrings are mathematics ("(n,) array"), not links.
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["../gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "matplotlib_animations": True,
}

# Internal links are checked by the build itself (-W); other hosts cannot be asked everywhere this is built.
linkcheck_ignore = [r"https?://.*"]


def _plain_mathematics(text: str) -> str:
    """Escape what prose means as mathematics, |g_i| or f_*, and reST would read as markup; keep literals."""
    parts = re.split(r"(``.*?``|`[^`]*`_?)", text)
    return "".join(
        part if k % 2 else re.sub(r"(?<!\\)(\||(?<=\w)_(?!\w))", r"\\\1", part)
        for k, part in enumerate(parts)
    )


def _escape_docstring(app, what, name, obj, options, lines):
    fenced = False
    for k, line in enumerate(lines):
        fenced = fenced or line.strip() == ".. math::"
        if not fenced and not line.lstrip().startswith((">>>", "..")):
            lines[k] = _plain_mathematics(line)


def _escape_page(app, docname, source):
    if docname.startswith("auto_gallery/") and not docname.endswith("sg_execution_times"):
        lines = source[0].split("\n")
        source[0] = "\n".join(
            line if line.startswith((" ", "\t", "..")) else _plain_mathematics(line) for line in lines
        )


def setup(app):
    """Connect the two escapes."""
    # Before numpydoc (priority 500), which builds tables of its own.
    app.connect("autodoc-process-docstring", _escape_docstring, priority=400)
    app.connect("source-read", _escape_page)
