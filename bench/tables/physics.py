"""Tables of the physics over lanes: its agreement with versions of MuJoCo, and the returns of trained policies."""

from bench.tables.engine import Page, Pivot, Row


def _difference(row: Row) -> str:
    return f"{row['difference']:.0e}" if row["reason"] is None else "not supported"


AGREEMENT: Page = (
    Pivot(
        lambda rows: f"largest difference after one step, of a field's size, in {rows[0]['n_states']:,} states",
        line="env",
        column="mujoco",
        cell=_difference,
    ),
)

PAGES: dict[str, Page] = {"lane-agreement": AGREEMENT}
