"""Make the table of hashes of short runs, and say which differ from the one before: `python tests/data/make_theta_hashes.py`.

`tests/test_theta_hashes.py` holds every commit against it, and says what is in it. Make it anew where bits are meant to change. On
another machine, make it before a change, on the commit that the change starts from. Needs `fastars[test,compat]`.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import test_theta_hashes  # noqa: E402
import test_theta_hashes_peers  # noqa: E402


def hashes(row):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return test_theta_hashes.hashes(test_theta_hashes.run(row, Path(folder)))


def shown(table):
    """As JSON, with a line for each row."""
    sections = []
    for section, rows in table.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()]
        sections.append(f" {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def main():
    path = test_theta_hashes.TABLE
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    table = {"machine": test_theta_hashes.machine()}
    for module in (test_theta_hashes, test_theta_hashes_peers):
        table[module.__name__] = {name: hashes(row) for name, row in module.ROWS.items()}
        for name, found in table[module.__name__].items():
            known = before.get(module.__name__, {}).get(name, {})
            if changed := [part for part in found if found[part] != known.get(part)]:
                print(f"{name}: {', '.join(changed)}")
    path.write_text(shown(table), encoding="utf-8")


if __name__ == "__main__":
    main()
