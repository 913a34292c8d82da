"""Curves as figures of a page: lines and bands in SVG, which stretches to the width there is; all words beside them, in HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.cli.page.elements import Html, element, folded, joined, table
from fastars.cli.page.numbers import figure, round_numbers, tick, whole
from fastars.plot import Curve
from fastars.plot.solved import is_near

N_LOOKS = 6  # colours and dashes in page.css
_WIDTH, _HEIGHT = 1000, 500  # units of the drawing
_MAX_DOTS = 60  # points of a single run that are also dots, with their numbers
_MAX_ROWS = 25  # of a table of a curve
_N_TICKS = 5
_STRETCHED = "non-scaling-stroke"  # lines keep their width where the drawing is stretched


class Scale(NamedTuple):
    """The ranges of the axes."""

    left: float
    right: float
    bottom: float
    top: float

    def x(self, values: FloatArray) -> FloatArray:
        """Return horizontal places in the drawing."""
        return (values - self.left) / (self.right - self.left) * _WIDTH

    def y(self, values: FloatArray) -> FloatArray:
        """Return vertical places in the drawing, from its top."""
        return (self.top - values) / (self.top - self.bottom) * _HEIGHT


def chart(title: str, curves: Sequence[Curve], name: str = "mean return", note: str = "", solved: float | None = None) -> Html:
    """Return a figure of curves, with the numbers as tables below it.

    Parameters
    ----------
    title : str
        Title of the figure.
    curves : sequence of Curve
        At least one.
    name : str
        Name of the values.
    note : str
        A sentence below the figure.
    solved : float, optional
        Return from which the environment counts as solved: a line of its own.
    """
    scale = _scale(curves, solved)
    words = f"{title}: {name} after environment steps, {len(curves)} curve{'' if len(curves) == 1 else 's'}. Its numbers are below."
    keys = [element("li", _key(f"look{i % N_LOOKS}"), curve.label) for i, curve in enumerate(curves)]
    if solved is not None:
        keys.append(element("li", _key("solved"), _solved_text(solved, scale)))
    return element(
        "figure",
        element("figcaption", title),
        element("p", name, class_="name-y"),
        element(
            "div",
            _ticks_y(scale),
            element("div", _drawing(curves, scale, solved, words), class_="area"),
            _ticks_x(scale),
            class_="plot",
        ),
        element("p", "environment steps", class_="name-x"),
        element("ul", *keys, class_="legend") if len(keys) > 1 else None,
        element("p", note) if note else None,
        folded("The numbers of this figure", *(_numbers(curve) for curve in curves)),
    )


def _solved_text(at: float, scale: Scale) -> str:
    where = "" if scale.bottom <= at <= scale.top else f", {'above' if at > scale.top else 'below'} this figure"
    return f"solved: {at:,g} or more{where}"


def _scale(curves: Sequence[Curve], solved: float | None) -> Scale:
    """Return axes that hold all curves. The horizontal one begins at 0; a line "solved" that is far away has no place."""
    right = max(float(curve.x[-1]) for curve in curves)
    left = min(0.0, *(float(curve.x[0]) for curve in curves))
    low, high = min(float(curve.low.min()) for curve in curves), max(float(curve.high.max()) for curve in curves)
    if solved is not None and is_near(solved, low, high):
        low, high = min(low, solved), max(high, solved)
    space = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(left, right if right > left else left + 1.0, low - space, high + space)


def _drawing(curves: Sequence[Curve], scale: Scale, solved: float | None, words: str) -> Html:
    parts = [_line(0, float(scale.y(np.array(at))), _WIDTH, "grid") for at in _marks_y(scale)]
    if solved is not None and scale.bottom <= solved <= scale.top:
        parts.append(_line(0, float(scale.y(np.array(solved))), _WIDTH, "solved"))
    for i, curve in enumerate(curves):
        x, look = scale.x(curve.x), f"look{i % N_LOOKS}"
        if len(curve.runs) > 1:
            outline = [*zip(x, scale.y(curve.high), strict=True), *zip(x[::-1], scale.y(curve.low)[::-1], strict=True)]
            parts.append(element("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in outline), class_=f"band {look}"))
        course = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, scale.y(curve.center), strict=True))
        parts.append(element("path", d=course, class_=f"line {look}", vector_effect=_STRETCHED))
    # Dots come last, so that the pointer reaches them.
    parts += [_dots(curve, scale, f"look{i % N_LOOKS}") for i, curve in enumerate(curves) if _has_dots(curve)]
    return element("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", preserveAspectRatio="none", role="img", aria_label=words)


def _has_dots(curve: Curve) -> bool:
    return len(curve.runs) == 1 and len(curve.x) <= _MAX_DOTS


def _dots(curve: Curve, scale: Scale, look: str) -> Html:
    """Return a dot for each point, which shows its numbers under the pointer. A line without length has round ends."""
    dots = []
    for steps, value, a, b in zip(curve.x, curve.center, scale.x(curve.x), scale.y(curve.center), strict=True):
        words = element("title", f"{whole(steps)} steps: {figure(value)}")
        dots.append(element("g", words, element("path", d=f"M{a:.1f} {b:.1f}h0", vector_effect=_STRETCHED)))
    return element("g", *dots, class_=f"dots {look}")


def _line(left: float, y: float, right: float, kind: str) -> Html:
    return element("line", x1=f"{left:g}", x2=f"{right:g}", y1=f"{y:.1f}", y2=f"{y:.1f}", class_=kind, vector_effect=_STRETCHED)


def _key(kind: str) -> Html:
    """Return the sample of a line in a legend."""
    return element("svg", _line(1, 5, 35, f"line {kind}"), viewBox="0 0 36 10", class_="key", aria_hidden="true")


def _marks_y(scale: Scale) -> list[float]:
    return round_numbers(scale.bottom, scale.top, _N_TICKS)


def _ticks_y(scale: Scale) -> Html:
    marks = _marks_y(scale)
    texts = [tick(at) for at in marks]
    height = scale.top - scale.bottom
    places = [100.0 * (at - scale.bottom) / height for at in marks]
    spans = [element("span", text, style=f"bottom:{at:.2f}%") for text, at in zip(texts, places, strict=True)]
    return element("div", *spans, class_="ticks-y", aria_hidden="true", style=f"width:{max(map(len, texts), default=1) + 1}ch")


def _ticks_x(scale: Scale) -> Html:
    marks = round_numbers(scale.left, scale.right, _N_TICKS)
    if len(marks) > _N_TICKS + 1:  # on a phone there is no room for more
        marks = marks[::2]
    places = [100.0 * (at - scale.left) / (scale.right - scale.left) for at in marks]
    spans = [element("span", tick(at), style=f"left:{place:.2f}%") for at, place in zip(marks, places, strict=True)]
    return element("div", *spans, class_="ticks-x", aria_hidden="true")


def _numbers(curve: Curve) -> Html:
    """Return the numbers of a curve as a table, evenly spread rows if there are many points."""
    chosen = spread(len(curve.x), _MAX_ROWS)
    if len(curve.runs) == 1:
        rows = [[whole(curve.x[i]), figure(curve.center[i])] for i in chosen]
        return table(curve.label, ("steps>", "value>"), rows)
    values = curve.center, curve.low, curve.high
    rows = [[whole(curve.x[i]), *(figure(each[i]) for each in values)] for i in chosen]
    return table(curve.label, ("steps>", f"{curve.average_name}>", "band from>", "to>"), rows)


def spread(n: int, most: int) -> list[int]:
    """Return up to `most` of n indices, evenly spread, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))}) if n else []


def explanation(curves: Sequence[Curve]) -> str:
    """Return what line and band are, if a curve is of several runs."""
    names = {curve.average_name for curve in curves if len(curve.runs) > 1}
    if not names:
        return ""
    percent = math.floor(100 * curves[0].confidence + 0.5)
    return (
        f"A line is the {' or the '.join(sorted(names))} over seeds, a band its {percent}\u00a0% bootstrap interval. "
        "With less than about five seeds, the band is too narrow."
    )


def charts(figures: Sequence[Html]) -> Html | None:
    """Return several small figures side by side where there is room; None without any."""
    return element("div", joined(figures), class_="small") if figures else None
