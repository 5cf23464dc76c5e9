"""The documentation: `make docs`, or `sphinx-build -W -b html docs docs/_build`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from sphinx.ext.napoleon import Config, GoogleDocstring

import sig

project = "sig"
author = "the pysig authors"
release = version = sig.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"sig {version}"
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# What stands in `single backticks` in a docstring is code, as in the sources.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"


def sections(app, what, name, obj, options, lines):
    """Understand `Args:` and `Raises:` where there can be some; in a property the first colon would be a type."""
    if what in ("class", "exception", "function", "method"):
        lines[:] = str(GoogleDocstring(lines, Config(), app, what, name, obj, options)).splitlines()


def setup(app):
    app.connect("autodoc-process-docstring", sections)
