"""The Sphinx site: `make docs` builds it with warnings as errors."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "lipop"
author = "the lipop authors"
copyright = "the lipop authors"
version = release = installed_version("lipop")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "lipop_benchmarks",
    "lipop_docstrings",
    "lipop_plots",
    "lipop_tables",
]
exclude_patterns = ["_build", "_ext"]
default_role = "code"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_mock_imports = ["cupy"]
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # fields of dataclasses would otherwise be described twice

suppress_warnings = ["ref.python"]  # several classes have an attribute T; a plain "T" in a docstring links to none

html_theme = "furo"
html_title = f"lipop {release}"
