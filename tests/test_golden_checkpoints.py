"""Checkpoints of every schema there ever was load, and their runs go on to the bits they went on to then.

Broken on purpose: `num_updates` not restored -> the hash of filter_adam after three iterations is red; an array renamed in `save`
and `load` -> every file is red.
"""

import hashlib
import json
import sys
from pathlib import Path

import faulty_envs
import pytest

from fastars import ARS, CheckpointError
from fastars.files import manifest

GOLDEN = Path(__file__).parent / "data" / "golden"
HASHES = json.loads((GOLDEN / "hashes.json").read_text())
FILES = [(schema, name) for schema, names in HASHES.items() for name in names]
sys.path.insert(0, str(GOLDEN.parent))

from make_golden_checkpoints import RUNS, iterate  # noqa: E402


@pytest.mark.parametrize(("schema", "name"), FILES)
def test_a_golden_run_goes_on(schema, name):
    expected = HASHES[schema][name]
    model = ARS.load(GOLDEN / schema / f"{name}.zip", env=faulty_envs.Line if name == "python" else None)
    assert hashlib.sha256(model.theta.tobytes()).hexdigest() == expected["saved"]
    assert iterate(model) == expected["three iterations later"]


def test_there_are_golden_files_of_every_schema():
    assert sorted(HASHES) == [f"schema_{number}" for number in range(1, manifest.SCHEMA + 1)]
    assert sorted(HASHES[f"schema_{manifest.SCHEMA}"]) == sorted(RUNS)


def test_a_schema_of_the_future_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "SCHEMA", manifest.SCHEMA + 1)
    ARS("LinearPolicy", "CartPole-v1", seed=0).save(tmp_path / "model.zip")
    monkeypatch.undo()
    with pytest.raises(
        CheckpointError, match=r"model\.zip: written by a newer fastars \(schema 2; this one reads 1\): upgrade fastars"
    ):
        ARS.load(tmp_path / "model.zip")
