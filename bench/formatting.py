"""Numbers of the benchmark tables as text."""


def seconds(value: float) -> str:
    """Return a duration with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{three_digits(value / size)} {unit}"
    return f"{three_digits(value / 1e-9)} ns"


def rate(value: float) -> str:
    """Return steps per second with three digits."""
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= size:
            return three_digits(value / size) + unit
    return three_digits(value)


def three_digits(value: float) -> str:
    """Return a number as 1.23, 12.3, 123 or 1,234."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def ratio(value: float) -> str:
    """Return a ratio of speeds or times with two or three digits."""
    return f"{value:.2f} x" if value < 9.995 else f"{value:,.0f} x"


def aimed(value: float, aim: float | None) -> str:
    """Return a ratio, and in brackets the ratio that the project aims at, if there is one."""
    return ratio(value) if aim is None else f"{ratio(value)} ({aim:g})"


def whole(value: float) -> str:
    """Return a number without decimals: 1,234."""
    return f"{value:,.0f}"


def code(value: str) -> str:
    """Return a name in the type of code."""
    return f"`{value}`"
