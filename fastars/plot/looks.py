"""Colours and sizes of pictures."""

from __future__ import annotations

from typing import Literal, NamedTuple

Theme = Literal["light", "dark"]
Size = Literal["page", "phone"]


class Look(NamedTuple):
    """Colours of a picture."""

    paper: str
    ink: str
    faint: str  # captions, and the line of a solved environment
    grid: str
    lines: tuple[str, ...]


class Form(NamedTuple):
    """Measures of a picture."""

    single: tuple[float, float]  # inches of a picture with one panel
    panel: tuple[float, float]  # inches of each of several panels
    n_columns: int  # of panels, at most
    dpi: int


# Lines have the colours of Okabe & Ito, which people with any kind of colour vision can tell apart; on dark paper, lighter ones.
LOOKS: dict[str, Look] = {
    "light": Look("white", "0.1", "0.4", "0.9", ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")),
    "dark": Look("#131416", "0.92", "0.65", "0.2", ("#56B4E9", "#F08A3C", "#2BC49A", "#E6A0C8", "#F0E442", "#8FB8FF", "#FFFFFF")),
}
FORMS: dict[str, Form] = {
    "page": Form((6.4, 4.2), (3.9, 3.6), 2, 150),
    "phone": Form((3.6, 3.6), (3.6, 3.4), 1, 220),  # 792 pixels wide: two for each of a narrow screen
}
