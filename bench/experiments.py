"""The experiments of `examples/experiments` in full: `python -m bench.experiments [NAME ...]`, some minutes each.

What comes out goes to `results/<name>.json`, its picture to `docs/images/<name>.png` (which needs matplotlib), and
`python -m bench.tables` makes the tables of docs/experiments.md of it.
"""

import argparse
import json
import runpy
from pathlib import Path

from bench.machine import machine_info, take_two_cpus

ROOT = Path(__file__).parent.parent
EXPERIMENTS = {path.stem: path for path in sorted((ROOT / "examples" / "experiments").glob("*.py"))}


def main():
    from bench.pictures import write_picture

    parser = argparse.ArgumentParser(description="Run experiments in full; results and pictures are written.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}; default all")
    for name in parser.parse_args().names or EXPERIMENTS:
        write(Path(__file__).parent / "results" / f"{name}.json", runpy.run_path(str(EXPERIMENTS[name]))["run"]())
        write_picture(name)


def write(path, rows, machine=None):
    """Write a result file with one line per row. It names this machine and this day, if no other is given."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = f'{{"table": "{path.stem}", "machine": {json.dumps(machine or machine_info())}, "rows": [\n'
    path.write_text(f"{head}{lines}\n]}}\n", encoding="utf-8")


if __name__ == "__main__":
    take_two_cpus()
    main()
