"""Versions and bounds are the same in all files of a release. `packages.py` builds the distributions and looks into them.

Broken on purpose -> red: another version in CITATION.cff (`version_is_one`); another `python_version` of mypy, 3.12 left out of
the classifiers, another version in README (`oldest_python`); a lower bound of tyro raised (`lowest_versions`); a test of peers, and
a file that is not there, among the fast ones (`fast_tests`). `packages.py`: `graft docs` left out of MANIFEST.in; no package data.
"""

import re
import tomllib
from pathlib import Path

import fastars

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OLDEST = PROJECT["project"]["requires-python"].removeprefix(">=")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_one_in_all_files():
    assert re.findall(r"^version: (.*)$", text("CITATION.cff"), re.MULTILINE) == [fastars.__version__]
    assert re.findall(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[0] == fastars.__version__


def test_the_oldest_python_is_one_in_all_files():
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{OLDEST.replace('.', '')}"
    assert f"\npython_version = {OLDEST}\n" in text("setup.cfg")
    listed = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))
    assert listed[0] == OLDEST
    assert [int(version[2:]) for version in listed] == list(range(int(listed[0][2:]), int(listed[-1][2:]) + 1))  # none is left out
    for page in ("README.md", "docs/quick_start.md"):
        assert re.findall(r"Python (3\.\d+) or newer", text(page)) == [OLDEST]


def test_the_page_of_platforms_has_the_lowest_versions():
    extras = PROJECT["project"]["optional-dependencies"]
    required = [*PROJECT["project"]["dependencies"], *extras["cli"], *extras["mujoco"], *extras["plot"]]
    bounds = dict(re.fullmatch(r"([\w-]+)>=([\d.]+).*", each).groups() for each in required if "[" not in each)
    listed = dict(re.findall(r"^\| (\w+) \| ([\d.]+) ", text("docs/platforms.md"), re.MULTILINE))
    assert {name: listed.get(name) for name in bounds} == bounds
    assert listed["Python"] == OLDEST


def test_the_fast_tests_are_test_files_that_need_no_peer():
    names = text("tests/fast.txt").splitlines()
    assert names == sorted(set(names))
    assert [name for name in names if not (ROOT / name).is_file() or name.endswith("_peers.py")] == []
