"""A plugin of pytest for `theirs.py`: all algorithms of stable-baselines3 and stable-baselines3-contrib become ARS of one package.

THEIRS_ARS names the package (`sb3_contrib` or `fastars`), THEIRS_RESULTS the file that the results go to, a line of JSON for each
test: its id, its outcome, the error, and True if the test made a model.

The suites give each algorithm its own arguments, which they choose by comparing classes. So each name gets a class of its own,
derived from ARS; it drops arguments of the constructor that ARS of stable-baselines3-contrib does not have, for both packages
alike.
"""

import importlib.util
import inspect
import json
import os
import sys
import types

import pytest
import sb3_contrib
import stable_baselines3

ALGORITHMS = {
    stable_baselines3: ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3"),
    sb3_contrib: ("ARS", "CrossQ", "MaskablePPO", "QRDQN", "RecurrentPPO", "TQC", "TRPO"),
}
_PARAMETERS = set(inspect.signature(sb3_contrib.ARS.__init__).parameters)
_made = []  # names of the models that were made
_results = {}


def stand_in(name, ars):
    """Return a class of this name that is ARS, and drops arguments that ARS does not have."""

    def init(self, *args, **kwargs):
        _made.append(name)
        ars.__init__(self, *args, **{key: value for key, value in kwargs.items() if key in _PARAMETERS})

    return type(name, (ars,), {"__init__": init, "__module__": __name__})


def swap(package):
    """Replace the algorithms in the name spaces of both packages, and in this module, where a pickle looks for a class."""
    ars = importlib.import_module(package).ARS
    for module, names in ALGORITHMS.items():
        for name in names:
            globals()[name] = stand_in(name, ars)
            setattr(module, name, globals()[name])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    _made.clear()
    done = yield
    result = {"test": item.nodeid, **_results.pop(item.nodeid, {"outcome": "failed", "error": "no report"}), "made": bool(_made)}
    with open(os.environ["THEIRS_RESULTS"], "a") as file:  # at once: a later test may end the process
        file.write(json.dumps(result) + "\n")
    return done


def pytest_runtest_logreport(report):
    result = _results.setdefault(report.nodeid, {"outcome": "passed", "error": ""})
    if report.outcome != "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        result.update(outcome=report.outcome, error=str(getattr(crash, "message", report.longrepr)))


if "THEIRS_ARS" in os.environ:
    if importlib.util.find_spec("ale_py") is None:  # a file imports the games of Atari for one of its tests
        sys.modules["ale_py"] = types.ModuleType("ale_py")
    swap(os.environ["THEIRS_ARS"])
