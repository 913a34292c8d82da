"""The picture of a search: the return of each trial, and the best one so far."""

from __future__ import annotations

import io
from typing import Any

from fastars._imports import need
from fastars.cli.tuning.definition import Definition

_BLUE, _RED, _GREY = "#0072B2", "#D55E00", "0.6"


def history(trials: list[Any], ended: list[Any], usual: Any, definition: Definition) -> bytes:
    """Return the picture as PNG.

    Parameters
    ----------
    trials : list of FrozenTrial
        All trials.
    ended : list of FrozenTrial
        Those that reached their end.
    usual : FrozenTrial or None
        The trial with the settings of `fastars train`.
    definition : Definition
        What the study searches.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    figure = need("matplotlib.figure", "plot", "a picture").Figure(figsize=(7.2, 4.0), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    ended = sorted(ended, key=lambda trial: trial.number)
    stopped = [trial for trial in trials if trial.state.name == "PRUNED" and trial.value is not None]
    numbers, values = [trial.number for trial in ended], [trial.value for trial in ended]
    if stopped:
        found = [trial.number for trial in stopped], [trial.value for trial in stopped]
        axes.plot(*found, "x", color=_GREY, markersize=5, label="stopped early, so far")
    axes.plot(numbers, values, "o", color=_BLUE, markersize=4, label="trial")
    tops = [max(values[: i + 1]) for i in range(len(values))]
    axes.step([*numbers, trials[-1].number], [*tops, tops[-1]], where="post", color=_BLUE, linewidth=1.5, label="best so far")
    if usual is not None:
        axes.axhline(usual.value, color=_RED, linestyle="--", linewidth=1.2, label="settings of fastars train")
    axes.set_xlabel("trial")
    axes.set_ylabel("return" if definition.n_seeds == 1 else f"return, over {definition.n_seeds} seeds")
    axes.set_title(f"{definition.env}: {len(trials)} trials", fontsize=10, loc="left", parse_math=False)
    axes.xaxis.set_major_locator(need("matplotlib.ticker", "plot").MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
