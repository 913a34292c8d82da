"""Keyword arguments as texts of a command line: `g=9.8`, `healthy_z_range=(0.5, inf)`, `xml_file=./my.xml`."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from typing import Any


def parse_keywords(option: str, items: Iterable[str]) -> dict[str, Any]:
    """Return the keyword arguments in texts. A value is a Python literal or `inf`; anything else is a text.

    Raises
    ------
    ValueError
        Naming the option, for a text without `=`, and for a name that comes twice.
    """
    kwargs: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{option} takes KEY=VALUE, got {item!r}")
        if name in kwargs:
            raise ValueError(f"{option} has {name} twice")
        kwargs[name] = _literal(text)
    return kwargs


def keyword_texts(kwargs: Mapping[str, Any]) -> list[str] | None:
    """Return the texts that `parse_keywords` reads as these arguments; None if there are none, as for a NaN."""
    texts = [
        f"{name}={value if isinstance(value, str) and _literal(value) == value else repr(value)}" for name, value in kwargs.items()
    ]
    try:
        found = parse_keywords("", texts)
    except ValueError:
        return None
    return texts if repr(found) == repr(dict(kwargs)) else None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(_Infinity().visit(ast.parse(text.strip(), mode="eval")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


class _Infinity(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(math.inf) if node.id == "inf" else node
