"""Numbers as texts of a page."""

from __future__ import annotations

import math

_LETTERS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def figure(value: float) -> str:
    """Write a return or another measured number with three to five digits: 475.0, 1,234.5, 4.75, -0.0124, 1.235e+07."""
    if not math.isfinite(value):
        return "no number" if math.isnan(value) else str(value)
    size = abs(value)
    if size >= 1e6 or 0.0 < size < 1e-3:
        return f"{value:.4g}"
    return f"{value:,.{1 if size >= 10 or size == 0 else 2 if size >= 1 else 4}f}"


def interval(low: float, high: float) -> str:
    """Write the ends of an interval."""
    return f"{figure(low)} to {figure(high)}"


def whole(value: float) -> str:
    """Write a count: 12,345."""
    return f"{value:,.0f}" if math.isfinite(value) else str(value)


def tick(value: float) -> str:
    """Write a round number at an axis: 500, 20 k, 1.5 M."""
    size = abs(value)
    for unit, letter in _LETTERS:
        if unit <= size < 1e12:
            return f"{value / unit:g} {letter}"
    return f"{value:g}"


def counted(n: int, what: str) -> str:
    """Write a number of things: 1 run, 12 runs."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def round_numbers(low: float, high: float, n: int) -> list[float]:
    """Return about n round numbers from `low` to `high`, at equal distances of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough * (1.0 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 if index == 0 else float(f"{index * step:.12g}") for index in range(first, last + 1)]
