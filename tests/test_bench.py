"""The benchmarks' result files and the tables made from them. Running the benchmarks is `make bench`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.presets import summarised
from fastars import presets

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


def run_tables(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench.tables", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_tables_in_the_documents_are_those_of_the_result_files():
    outcome = run_tables("--check")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_every_result_file_makes_a_table():
    outcome = run_tables("--show")
    assert outcome.returncode == 0, outcome.stderr
    for path in RESULTS:
        assert f"## {path.stem.replace('_', '-')}\n" in outcome.stdout


def test_results_of_presets_are_of_their_settings():
    for row in json.loads((ROOT / "bench" / "results" / "presets.json").read_text(encoding="utf-8"))["rows"]:
        assert [row["settings"]] == list(presets.rows("tuned", row["env"]) or [{}])
        assert row["total_timesteps"] == presets.timesteps(row["env"])
        assert presets.results()[row["env"]] == summarised(row)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_result_file_names_its_machine(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["table"] == path.stem
    assert result["rows"]
    assert {"cpu", "threads", "date", "python", "versions"} <= set(result["machine"])
