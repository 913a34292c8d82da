"""Write the benchmark tables between the marks of README.md and docs/*.md."""

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

from bench.kernel_reference import kernel_reference, named_tuples
from bench.tables import (
    agreement,
    beside,
    better,
    experiments,
    growth,
    kernels,
    large,
    paper,
    physics,
    ray,
    rollouts,
    scripts,
    training,
)
from bench.tables.engine import Page, render
from bench.tables.figures import FIGURES

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parents[1] / "results"
_BLOCK = re.compile(r"(?P<open>^[ \t]*<!-- bench:(?P<name>[\w-]+) -->[ \t]*$).*?(?P<close>^[ \t]*<!-- /bench -->)", re.M | re.S)
_FIGURE = re.compile(r"(?P<open><!-- figure:(?P<name>[\w-]+) -->)[^<\n]*(?P<close><!-- /figure -->)")

# Mark of a table, which is also the name of its result file: its page.
PAGES: dict[str, Page] = {
    **kernels.PAGES,
    **rollouts.PAGES,
    **training.PAGES,
    **scripts.PAGES,
    **ray.PAGES,
    **experiments.PAGES,
    **agreement.PAGES,
    **physics.PAGES,
    **paper.PAGES,
    **growth.PAGES,
    **large.PAGES,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table differs from its result file")
    parser.add_argument("--show", action="store_true", help="print all tables instead")
    args = parser.parse_args()
    made = tables()
    if args.show:
        print("\n\n".join(f"## {name}\n\n{table}" for name, table in made.items()))
        return 0
    stale = [path for path in documents() if update(path, made, write=not args.check)]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'stale tables' if args.check else 'tables written'}")
    return 1 if args.check and stale else 0


def documents() -> list[Path]:
    """Return the files that may have marks."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))) if path.exists()]


def update(path: Path, made: dict[str, str], write: bool) -> bool:
    """Put tables and figures between the marks of a file. Return True if that changes it. A mark of nothing known is an error."""

    def fill(match: re.Match[str]) -> str:
        if match["name"] not in made:
            raise SystemExit(f"{path.name}: no result file for bench:{match['name']}; there are {', '.join(made) or 'none'}")
        return f"{match['open']}\n{made[match['name']]}\n{match['close']}"

    def fill_in(match: re.Match[str]) -> str:
        if match["name"] not in FIGURES:
            raise SystemExit(f"{path.name}: no figure:{match['name']}; there are {', '.join(FIGURES)}")
        return f"{match['open']}{FIGURES[match['name']](_rows)}{match['close']}"

    before = path.read_text(encoding="utf-8")
    after = _FIGURE.sub(fill_in, _BLOCK.sub(fill, before))
    if write and after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def tables() -> dict[str, str]:
    """Return the Markdown of every table that has a result file, by the name of its mark."""
    made = {"named-tuples": named_tuples(), **paper.tables(), **beside.tables(), **better.tables()}
    for name, page in PAGES.items():
        path = RESULTS / f"{name.replace('-', '_')}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            made[name] = f"{render(page, result['rows'])}\n\n{_caption(result['machine'])}"
            if name == "kernels":
                made["kernel-reference"] = f"{kernel_reference(result['rows'])}\n\nTimes: {_caption(result['machine'])}"
            if name == "drop-in":
                made["drop-in-short"] = render(scripts.DROP_IN_SHORT, result["rows"])
                made["drop-in-script"] = _drop_in_script()
            if name == "physics":
                made["physics-short"] = f"{render(physics.SHORT, result['rows'])}\n\n{_caption(result['machine'])}"
    return made


def _rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a result file."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def _drop_in_script() -> str:
    """Return the text of the function of `drop_in.py` that makes the scripts, as code of a page."""
    source = (ROOT / "bench" / "drop_in.py").read_text(encoding="utf-8")
    found = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef) and each.name == "script"]
    return f"```python\n{ast.get_source_segment(source, found[0])}\n```"


def _caption(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    cpus = "1 CPU" if machine["threads"] == 1 else f"{machine['threads']} CPUs"
    where = f"{machine['cpu']}, {cpus}, {machine['system']}"
    return f"{where}, Python {machine['python']}, {versions}; {machine['date']}."


if __name__ == "__main__":
    raise SystemExit(main())
