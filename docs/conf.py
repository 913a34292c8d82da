"""Sphinx builds the documentation from these pages and the docstrings, without a network: `make docs`."""

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import fastars  # noqa: E402

project = "fastars"
author = "The fastars developers"
copyright = author
version = release = fastars.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
default_role = "py:obj"  # docstrings name things in single backticks: a link where there is something to link to

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # as on GitHub, where the pages are read, too
suppress_warnings = ["ref.python"]  # a name in backticks may be that of several things

autodoc_mock_imports = [] if importlib.util.find_spec("ray") else ["ray"]  # fastars[docs] has no Ray
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc says it with shapes
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"fastars {version}"
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["wide.css"]


def as_restructured_text(app, what, name, obj, options, lines):
    """Docstrings are written to be read as they are; here they become reStructuredText."""
    if "Attributes" in lines:
        first = lines.index("Attributes") + 2
        lines[first:] = one_entry_each(lines[first:])
    lines[:] = [line if line.lstrip().startswith((">>>", "...")) else escaped(line) for line in lines]


def one_entry_each(lines):
    """Napoleon takes `mean, std : ndarray` for one attribute: each name gets an entry of its own, with the same words."""
    entries = re.split(r"^(?=\S)", "\n".join(lines), flags=re.MULTILINE)
    result = ""
    for entry in entries:
        names, colon, rest = entry.partition(" :")
        several = colon and re.fullmatch(r"\w+(, \w+)+", names)
        result += "\n".join(name + colon + rest.rstrip("\n") for name in names.split(", ")) + "\n" if several else entry
    return result.split("\n")


def escaped(line):
    """|x| is a size or a norm, and no substitution; `x.y` and `f()` may be links, `.zip` and `f(x)` are code."""
    parts = re.split(r"(`[^`]+`)", line)
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("|", r"\|")
    for i in range(1, len(parts), 2):
        if not re.fullmatch(r"`\w[\w.]*(\(\))?`", parts[i]):
            parts[i] = f"`{parts[i]}`"
    return "".join(parts)


def leave_out_fields(app, what, name, obj, would_skip, options):
    """The fields of a NamedTuple stand in its signature, and have no words of their own."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # napoleon comes at 500
    app.connect("autodoc-skip-member", leave_out_fields)
