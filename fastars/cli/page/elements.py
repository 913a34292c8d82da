"""HTML from Python: elements whose texts are escaped unless they are HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from fastars._printable import printable

_NO_BREAK = "\u00a0"  # the space between a number and its unit
_VOID = {"meta", "br", "path", "line", "polygon"}  # without content


class Html(str):
    """Text that is HTML already."""


def escaped(value: Any) -> Html:
    """Return a value as HTML. Text is made printable, and no character of it is markup; `Html` stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value), keep=_NO_BREAK)))


def element(name: str, *content: Any, **attributes: Any) -> Html:
    """Return an element.

    Parameters
    ----------
    name : str
        Name of the element.
    *content
        Texts and elements inside it. None is left out.
    **attributes
        Its attributes. `_` at the end of a name is dropped (`class_`), `_` inside of it is a hyphen. None is left out; True stands
        for an attribute without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{written}{'/' if name in ('path', 'line', 'polygon') else ''}>")
    return Html(f"<{name}{written}>{joined(content)}</{name}>")


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Return texts and elements one after the other; None is left out."""
    return Html(between.join(escaped(part) for part in parts if part is not None))


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(value)}"'


def table(caption: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]], marked: Iterable[int] = ()) -> Html:
    """Return a table. The first cell of each row is its header.

    Parameters
    ----------
    caption : str or Html
        Title of the table.
    columns : sequence of str
        Names of the columns. A `>` at the end aligns a column of numbers to the right, and breaks no number.
    rows : iterable of sequences
        Cells of the rows.
    marked : iterable of int
        Numbers of the rows that stand out.
    """
    kinds = ["number" if column.endswith(">") else None for column in columns]
    heads = [element("th", column.rstrip(">"), scope="col", class_=kind) for column, kind in zip(columns, kinds, strict=True)]
    strong, body = set(marked), []
    for number, cells in enumerate(rows):
        first, *rest = zip(cells, kinds, strict=True)
        written = [element("th", first[0], scope="row", class_=first[1])]
        written += [element("td", cell, class_=kind) for cell, kind in rest]
        body.append(element("tr", *written, class_="marked" if number in strong else None))
    whole = element("table", element("caption", caption), element("thead", element("tr", *heads)), element("tbody", *body))
    return element("div", whole, class_="table")


def facts(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Return a list of names and values. A value of None is left out with its name; a list of nothing is nothing."""
    rows = [joined((element("dt", name), element("dd", value))) for name, value in pairs if value is not None]
    return element("dl", *rows) if rows else Html()


def section(title: str, ident: str, *content: Any) -> Html:
    """Return a section with its heading, which a link can lead to."""
    return element("section", element("h2", title, id=ident), *content, aria_labelledby=ident)


def folded(title: str, *content: Any) -> Html:
    """Return content that is shown when its title is chosen. Paper shows it if it was open."""
    return element("details", element("summary", title), *content)


def commands(*lines: str) -> Html:
    """Return lines for a shell, as they can be copied. A narrow page breaks them between words, not at the hyphens of options."""
    words = (joined((element("span", word) for word in line.split(" ")), " ") for line in lines)
    return element("pre", element("code", joined(words, "\n")))
