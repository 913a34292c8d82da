"""The rules of `tests/house_rules.py` find what is planted, and the project keeps them.

Broken on purpose -> red: attributes alone looked at (`_is_found`: imports, look-ups); modules taken for private names, `cls` and a
class's own name not known (`_is_no_reach`); the owner of a reach dropped, gone reaches not reported (`_not_listed`); the first word
of a docstring compared as it is written (`_openings`).
"""

import subprocess
import sys
from collections import Counter

import house_rules
import pytest
from house_rules import openings_in, reach_faults, reaches_in


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("model._env", ["model._env"]),
        ("model._env = 3", ["model._env"]),
        ("self.model._env.close()", ["self.model._env"]),
        ("f(model)._env[0]._slots", ["f(model)._env[0]._slots", "f(model)._env"]),
        ("class A:\n    def same(self, other):\n        return self._y == other._y", ["other._y"]),
        ("class A:\n    pass\nA._y", ["A._y"]),
        ("import os\nos._exit(1)", ["os._exit"]),
        ("from numba.core.caching import _Cache", ["numba.core.caching._Cache"]),
        ("from fastars.envs.gym import _private, public", ["fastars.envs.gym._private"]),
        ("from .gym import _private", ["fastars.envs.gym._private"]),
        ("from ..ars import _private", ["fastars.ars._private"]),
        ("getattr(model, '_env')", ["getattr(model, '_env')"]),
        ("hasattr(sampler, 'start')", ["hasattr(sampler, 'start')"]),
        ("getattr(self.sampler, 'n_failures', 0)", ["getattr(self.sampler, 'n_failures', 0)"]),
        ("hasattr(self._sampler, 'start')", ["hasattr(self._sampler, 'start')"]),
    ],
)
def test_a_planted_reach_is_found(code, found):
    assert reaches_in(code, "fastars.envs") == found


@pytest.mark.parametrize(
    "code",
    [
        "model.env",
        "self._env",
        "class A:\n    def f(self):\n        return self._y, A._y, super()._y",
        "class A:\n    @classmethod\n    def f(cls):\n        return cls._y",
        "point._replace(x=1)",
        "Point._fields",
        "model.__dict__",
        "def f(model: 'ARS._private') -> 'ARS._other': ...",
        "'model._env'",
        "import fastars._compiled.jit\nfastars._compiled.jit.njit",
        "from fastars import _validate",
        "from fastars._compiled import jit",
        "from . import _validate",
        "getattr(sampler, 'start')",
        "getattr(model, 'env', None)",
    ],
)
def test_what_is_one_s_own_or_public_is_no_reach(code):
    assert reaches_in(code) == []


def test_a_reach_not_listed_and_a_listed_one_that_is_gone_are_faults():
    found = {"a.py": Counter({"model._env": 2, "os._exit": 1})}
    assert reach_faults(found, {("a.py", "model._env"), ("a.py", "os._exit")}) == []
    assert reach_faults(found, {("a.py", "os._exit"), ("b.py", "model._env")}) == [
        "a.py: model._env is a reach that tests/house_rules.py does not list",
        "b.py: model._env is listed in tests/house_rules.py, and gone",
    ]


def test_question_words_are_found_as_openings_of_docstrings():
    method = '    def f(self):\n        """How, and more.\n\n        Not this."""\n'
    code = f'''"""What a module does."""\nclass A:\n    """Whether: a class."""\n{method}'''
    assert openings_in(code) == [(1, "What a module does."), (3, "Whether: a class."), (5, "How, and more.")]
    assert openings_in('"""Return what is asked."""\ndef f():\n    """Wherever it is."""\n    """What: no docstring."""\n') == []


def test_each_exception_has_a_reason():
    assert all(len(reason.split()) > 3 for reasons in house_rules.STAY.values() for reason in reasons.values())
    assert house_rules.STAY


def test_the_package_keeps_the_rules():
    done = subprocess.run([sys.executable, house_rules.__file__], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("\n") == 2


def test_a_broken_rule_is_an_exit_code_and_a_line(monkeypatch, capsys):
    path = next(iter(house_rules.STAY))
    monkeypatch.setitem(house_rules.STAY, path, {})
    monkeypatch.setattr(sys, "argv", ["house_rules.py"])
    assert house_rules.main() == 1
    said = capsys.readouterr().out
    assert f"{path}: " in said
