"""The pages in docs/: links lead somewhere, every page is in the index, every snippet runs, here or where RUN_ELSEWHERE says."""

import ast
import contextlib
import inspect
import io
import os
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import gymnasium
import pytest

import fastars.cli
from fastars.training.config import Config

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ_ON_GITHUB = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
NEEDS_PEERS = "<!-- run: peers -->\n"  # before a snippet: `test_docs_peers.py` runs it
RUN_HERE = {"coming_from_rllib", "command", "index", "large_policies", "physics", "plots", "questions", "quick_start"}
RUN_ELSEWHERE = {
    "coming_from_sb3": "test_bench.py",  # the script of the benchmark
    "diagnostics": "test_examples.py",
    "environments": "test_examples.py",
    "files": "test_exchange.py",
    "kernels": "test_kernel_page.py",
    "multi_objective": "test_examples.py",
    "noise": "test_noise_page.py",
    "own_environment": "test_docs.py",  # its snippets are lines of its example, which runs
    "own_mujoco_task": "test_docs.py",
    "vector_environments": "test_vector_env.py",
    "weighting": "test_weighting.py",
}


def programs(page, language="python", needs_peers=False):
    """The snippets of a page."""
    found = re.findall(rf"({re.escape(NEEDS_PEERS)})?```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [program for mark, program in found if bool(mark) == needs_peers]


def commands(page):
    """The lines of a page that are typed into a shell, one for each command."""
    lines = "\n".join(programs(page, "sh")).replace("\\\n", "").replace("$seed", "1").splitlines()
    return [command.strip() for line in lines for command in line.split("&&")]


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken(page):
    """The relative links of a page that lead nowhere."""
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    found = []
    for link in links:
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", name):
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def in_the_index():
    """All pages that the toctrees name, from index.md on."""
    found, to_read = set(), [DOCS / "index"]
    while to_read:
        page = to_read.pop()
        found.add(page)
        if (text := page.with_suffix(".md")).exists():
            for tree in re.findall(r"```\{toctree\}\n(.*?)```", text.read_text(encoding="utf-8"), re.DOTALL):
                to_read += [page.parent / line for line in tree.splitlines() if line and not line.startswith(":")]
    return {page.relative_to(DOCS).as_posix() for page in found}


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=lambda page: page.stem)
def test_links_and_anchors_lead_somewhere(page):
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A b: c\n[x](page.md#a-b-c) [y](#a-b) [z](none.md) `[code](none.md)` [w](https://example.org/#none)\n")
    assert broken(page) == ["#a-b", "none.md"]


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=lambda page: page.stem)
def test_links_read_as_words(page):
    """A built page is no file. The files of a project (CHANGELOG.md) are known by their names."""
    assert re.findall(r"\[`?[a-z_/.]+\.(?:md|rst)`?\]\(", page.read_text(encoding="utf-8")) == []


def documented(docstring, section):
    """Return {name: text} of the entries of a numpydoc section."""
    _, _, rest = inspect.cleandoc(docstring).partition(f"\n{section}\n{'-' * len(section)}\n")
    body = re.split(r"\n\w+\n-+\n", rest)[0]
    entries = re.findall(r"^(\S+)(?: : .*)?((?:\n {4}.*)*)", body, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


@pytest.mark.parametrize(("described", "section"), [(fastars.ARS, "Parameters"), (Config, "Attributes")])
def test_each_setting_has_words_of_its_own(described, section):
    entries = documented(described.__doc__, section)
    names = list(inspect.signature(described).parameters)
    assert {name.lstrip("*") for name in entries} == set(names)
    assert [name for name, text in entries.items() if len(text.split()) < 3] == []


def test_defaults_of_the_page_are_those_of_a_model_without_a_preset():
    signature, config = inspect.signature(fastars.ARS), Config()
    said = dict(re.findall(r"^ {4}(\w+) : .*, default (.*)$", fastars.ARS.__doc__, re.MULTILINE))
    for name, text in said.items():
        default = signature.parameters[name].default
        assert ast.literal_eval(text) == (getattr(config, name) if default is None else default), name
    assert {name for name, each in signature.parameters.items() if each.default not in (None, each.empty)} <= set(said)


def test_every_page_is_in_the_index():
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in [*PAGES, *DOCS.rglob("*.rst")]}
    assert in_the_index() == pages


def test_every_snippet_is_run_by_a_test():
    pages = {page.stem for page in PAGES if programs(page)}
    assert pages == RUN_HERE | set(RUN_ELSEWHERE)
    for page, test in RUN_ELSEWHERE.items():
        assert page in (ROOT / "tests" / test).read_text()


@pytest.mark.parametrize("name", sorted(RUN_HERE))
def test_programs_of_a_page_run(name, tmp_path, monkeypatch):
    if name == "plots":
        pytest.importorskip("matplotlib", reason="curves are drawn by matplotlib")
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(programs(DOCS / f"{name}.md")), f"{name}.md", "exec"), {"__name__": "__main__"})


def test_the_index_says_what_its_program_prints(capsys):
    program = "\n".join(programs(DOCS / "index.md"))
    exec(compile(program, "index.md", "exec"), {})
    assert f": {capsys.readouterr().out.strip()}\n" in program


OF_EXAMPLES = pytest.mark.parametrize("name", ["own_environment", "own_mujoco_task"])


@OF_EXAMPLES
def test_functions_of_a_page_are_those_of_its_example(name):
    """The example runs in `test_examples.py`; the page has other comments, and `...` where it leaves lines out."""

    def lines(program):
        return {line.partition("#")[0].strip() for line in program.splitlines()}

    functions = [program for program in programs(DOCS / f"{name}.md") if "def " in program]
    assert len(functions) == 1
    assert lines(functions[0]) - lines((ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")) <= {"..."}


@pytest.mark.slow
@OF_EXAMPLES
def test_programs_of_a_page_run_with_the_functions_of_its_example(name, tmp_path, monkeypatch):
    """40 s, nearly all of them compilation of the same kernels as in `test_examples.py`."""
    if "mujoco" in name:
        pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    monkeypatch.chdir(tmp_path)
    names = {**runpy.run_path(str(ROOT / "examples" / f"{name}.py")), "gymnasium": gymnasium}
    program = programs(DOCS / f"{name}.md")[-1].replace('env = task.make(render_mode="human")', "env = task.make()")  # no screen
    exec(compile(program, f"{name}.md", "exec"), names)


def test_commands_of_the_quick_start_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = [command for command in commands(DOCS / "quick_start.md") if command.startswith("fastars ")]
    assert len(asked) == 6
    for command in asked:
        assert fastars.cli.main(shlex.split(command)[1:]) == 0, command
    assert "500.0" in capsys.readouterr().out
    assert {"config.toml", "progress.csv", "model.zip", "best_model.zip"} <= set(os.listdir("runs/CartPole-v1_1"))


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=lambda page: page.stem)
def test_commands_are_understood(page):
    """They are parsed alone: what they read is the user's, or takes minutes."""
    from fastars.cli.commands import parse

    for command in commands(page):
        words = shlex.split(command, comments=True)
        if words[:1] == ["fastars"]:
            with contextlib.redirect_stderr(io.StringIO()):
                assert callable(parse(words[1:]).run)
        elif words[:1] == ["python"] and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists()


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=lambda page: page.stem)
def test_extras_that_are_named_are_there(page):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"(?:['\"]\.|fastars)\[([a-z,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for extras in named for extra in extras.split(",")} <= set(known)


def test_every_test_that_a_promise_names_is_there():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (DOCS / "promises.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
