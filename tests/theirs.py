"""Run the test suites of stable-baselines3 and of stable-baselines3-contrib with ARS in place of their algorithms.

    python tests/theirs.py                          their suites come from their source distributions, by pip
    python tests/theirs.py CHECKOUT [CHECKOUT ...]  folders that have a folder `tests`

Each suite runs twice (`theirs_plugin.py`): with ARS of stable-baselines3-contrib, then with ARS of fastars. Only tests that make
a model and pass with the first ARS count; the second run takes these alone. A suite that can't be had is skipped, with the reason.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("stable-baselines3", "sb3-contrib")
OURS, THEIRS = "fastars", "sb3_contrib"
NEEDED = ("stable_baselines3", "sb3_contrib", "torch", "pytest_timeout")
SECONDS = 60  # for a test
# Here ARS of stable-baselines3-contrib waits for the end of an episode that has none.
ENDLESS = "test_float64_action_space or (test_action_spaces and env2) or test_sde_multi_dim"


def main():
    parser = argparse.ArgumentParser(description="Run other people's tests with ARS in place of their algorithms.")
    parser.add_argument("checkouts", nargs="*", type=Path, metavar="CHECKOUT", help="folders that have a folder `tests`")
    parser.add_argument("--tally", type=Path, metavar="FILE", help="put the counts into FILE, as JSON")
    arguments = parser.parse_args()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"skipped: {', '.join(missing)} not installed: pip install '.[test,compat]'")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        suites = checkouts(arguments.checkouts) if arguments.checkouts else downloaded(Path(folder))
        rows = [counted(name, tests, Path(folder) / f"run{number}") for number, (name, tests) in enumerate(suites)]
    if rows and arguments.tally:
        sys.path.insert(0, str(ROOT))
        from bench.machine import machine_info

        arguments.tally.write_text(json.dumps({"table": "theirs", "machine": machine_info(), "rows": rows}, indent=1) + "\n")
    return 0


def checkouts(folders):
    """Return (name, folder of the tests) of checkouts."""
    return [(folder.name, folder / "tests") for folder in map(Path.resolve, folders)]


def downloaded(folder):
    """Return (name, folder of the tests) of the installed versions' source distributions, as far as they have tests."""
    suites = []
    for package in PACKAGES:
        name = f"{package}=={importlib.metadata.version(package)}"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder), name]
        if subprocess.run(command, check=False).returncode:
            print(f"{name} skipped: pip can't download its source distribution")
            continue
        archive = next(folder.glob(f"{package.replace('-', '_')}-*.tar.gz"))
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        tests = folder / archive.name.removesuffix(".tar.gz") / "tests"
        if tests.is_dir():
            suites.append((name.replace("==", " "), tests))
        else:
            print(f"{name} skipped: its source distribution has no tests; give a checkout")
    return suites


def counted(name, tests, folder):
    """Run a suite with both packages, print the counts and return them."""
    shutil.copytree(tests, folder / "tests")  # alone: beside them would lie the package, which would be imported
    theirs = outcomes(THEIRS, folder, ["tests"])
    passing = [test for test, result in theirs.items() if result["made"] and result["outcome"] == "passed"]
    (folder / "passing").write_text("\n".join(passing))
    ours = outcomes(OURS, folder, ["@passing"]) if passing else {}
    failed = {test: ours.get(test, {"error": "it did not run"})["error"] for test in passing if not is_passed(ours.get(test))}
    n_made = sum(result["made"] for result in theirs.values())
    print(
        f"{name}: {n_made} tests call an algorithm; {len(passing)} pass with {THEIRS}, "
        f"{len(passing) - len(failed)} of them with {OURS}"
    )
    for test, error in failed.items():
        print(f"  {test}: {' '.join(error.split())[:300]}")
    return {"suite": name, "made": n_made, "theirs": len(passing), "ours": len(passing) - len(failed), "failed": failed}


def is_passed(result):
    return result is not None and result["outcome"] == "passed"


def outcomes(package, folder, tests):
    """Return the results of tests with ARS of a package: {id: {"outcome", "error", "made"}}."""
    results = folder / f"{package}.json"
    paths = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "THEIRS_ARS": package, "THEIRS_RESULTS": str(results)}
    (folder / "pytest.ini").write_text("[pytest]\n")  # neither their settings nor ours
    options = ["-q", "-p", "theirs_plugin", "-p", "no:cacheprovider", "-c", "pytest.ini", "--continue-on-collection-errors"]
    options += ["-k", f"not ({ENDLESS})", f"--timeout={SECONDS}", "--tb=no"]
    with open(folder / f"{package}.log", "w") as log:
        subprocess.run([sys.executable, "-m", "pytest", *options, *tests], cwd=folder, env=environment, stdout=log, stderr=log)
    lines = map(json.loads, results.read_text().splitlines())
    return {line["test"]: line for line in lines}


if __name__ == "__main__":
    raise SystemExit(main())
