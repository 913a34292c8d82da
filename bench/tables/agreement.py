"""The physics over lanes: its agreement with versions of MuJoCo, and the returns of trained policies."""

import re

from bench.tables.engine import Column, Page, Pivot, Row, Table


def _difference(row: Row) -> str:
    return f"{row['difference']:.0e}" if row["reason"] is None else "not supported"


AGREEMENT: Page = (
    Pivot(
        lambda rows: f"largest difference after one step, in {rows[0]['n_states']:,} states (v5), by version of MuJoCo",
        line="mujoco",
        column="env",
        cell=_difference,
        heading=lambda env: re.sub("(?<=[a-z])(?=[A-Z])", " ", env.removesuffix("-v5")),  # a browser breaks lines at spaces
    ),
)


def _mean(name: str) -> Column:
    titles = {"mujoco": "mean return in MuJoCo", "lanes": "over lanes", "moved": "in MuJoCo, starts moved by 1e-12"}
    return Column(titles[name], lambda row: f"{row[f'{name}_mean']:,.1f} +- {row[f'{name}_error']:.1f}")


def _against(name: str, title: str) -> tuple[Column, Column]:
    return (
        Column(f"{title}: Kolmogorov-Smirnov p", f"{name}_p", lambda p: f"{p:.2f}"),
        Column("equal pairs", f"{name}_equal", lambda part: f"{100 * part:.0f} %"),
    )


RETURNS: Page = (
    Table(
        (
            Column(
                lambda rows: f"{rows[0]['episodes']} episodes of a policy after",
                lambda row: f"{row['env']}, {row['steps']:,} steps",
            ),
            *map(_mean, ("mujoco", "lanes", "moved")),
            *_against("lanes", "lanes"),
            *_against("moved", "moved"),
        )
    ),
)

PAGES: dict[str, Page] = {"lane-agreement": AGREEMENT, "lane-returns": RETURNS}
