"""Habits of people who type the command: numbers, short options, names of other programs, misspelt names, flags.

Broken on purpose: numbers read as floats or as plain integers; a `--no-` that is not heard, a flag written the wrong way round;
no suggestions, hints, names of other programs or short names; no check of missing and of wrong values; the folder not on the path;
files overwritten; nothing said of a preset; the texts for programs left as they are.
"""

import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import ENVIRONMENT

from fastars import ARS
from fastars.cli import commands, main
from fastars.cli.arguments import whole_number
from fastars.cli.habits import HINTS
from fastars.cli.options import options_of

DATA = Path(__file__).parent / "data"
ARM = """
import gymnasium, numpy as np

class ArmEnv(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, length=1.0):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32), {}

    def step(self, action):
        self.n += 1
        return self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32), float(action[0]) * self.length, self.n == 5, False, {}

gymnasium.register("Arm-v0", ArmEnv, max_episode_steps=10)
"""


def refusal(args, capsys):
    """The error of a command that was used wrongly: one line, exit code 2."""
    assert main(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line.removeprefix("fastars: error: ")


# --- Numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000000", 10**6),
        ("1e6", 10**6),
        ("1E6", 10**6),
        ("1.5e6", 1_500_000),
        ("1_000_000", 10**6),
        ("1,000,000", 10**6),
        ("1M", 10**6),
        ("2.5M", 2_500_000),
        ("10k", 10**4),
        ("3.0", 3),
        ("-2", -2),
        ("9007199254740993", 2**53 + 1),  # no float
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_whole_numbers_are_read_as_people_write_them(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["1.5", "1e-3", "", "x", "nan", "inf", "1e", "1,5", "1,00", "0x10", "1m", "1 000", "1e999999999", "--"]
)
def test_what_is_no_whole_number_is_none(text):
    assert whole_number(text) is None


@given(st.integers(-(2**70), 2**70))
def test_an_integer_is_read_to_the_last_digit(number):
    assert whole_number(str(number)) == whole_number(f"{number:_}") == whole_number(f"{number:,}") == number


INTEGERS = [
    (name, option.name) for name, kind in commands.COMMANDS.items() for option in options_of(kind).named if option.kind is int
]


def test_every_sub_command_with_a_count_is_among_them():
    assert {"train", "resume", "eval", "verify", "enjoy", "video", "plot"} <= {name for name, _ in INTEGERS}


@pytest.mark.parametrize(("command", "option"), INTEGERS)
def test_every_integer_option_takes_1e3_and_refuses_a_fraction(command, option, capsys):
    known = options_of(commands.COMMANDS[command])
    given = [command, *(["X"] if known.positional else []), option]
    parsed = commands.parse([*given, "1e3"])
    field = option[2:].replace("-", "_")
    value = getattr(parsed if hasattr(parsed, field) else parsed.settings, field)
    assert value in (1000, (1000,))
    for text in ("1.5", "1e-3", "ten"):
        assert refusal([*given, text], capsys) == f"{option} must be a whole number, such as 1000000, 1e6 or 1M, got {text!r}"
    assert "must be a whole number" in refusal([*given, *(["5"] if known.by_name[option].is_list else []), "2.5"], capsys)


@pytest.mark.parametrize("args", [["-n", "1e3"], ["-n1e3"], ["-n=1e3"], ["--total_timesteps=1_000"], ["--n-timesteps", "1k"]])
def test_steps_have_the_names_of_rl_zoo(args):
    assert commands.parse(["train", "CartPole-v1", *args]).total_timesteps == 1000
    assert commands.parse(["resume", "run", *args]).total_timesteps == 1000


def test_a_number_that_is_none_is_refused(capsys):
    assert refusal(["train", "CartPole-v1", "--delta-std", "big"], capsys) == "--delta-std must be a number, got 'big'"
    assert refusal(["train", "CartPole-v1", "--seed"], capsys).startswith("--seed needs a value: a whole number")
    assert refusal(["train", "CartPole-v1", "--seed", "--monitor"], capsys).startswith("--seed needs a value")


# --- Short options, and those of other programs


@pytest.mark.parametrize("command", ["train", "eval", "enjoy", "video", "verify"])
def test_s_is_the_seed_everywhere(command):
    assert commands.parse([command, "X", "-s", "3"]).seed == commands.parse([command, "X", "--seed", "3"]).seed == 3


@pytest.mark.parametrize("flag", ["-f", "--log-folder", "--log-dir", "--log_folder"])
def test_f_is_the_folder_of_runs(flag):
    assert str(commands.parse(["train", "CartPole-v1", flag, "logs"]).log_dir) == "logs"


def test_the_environment_may_have_an_option():
    assert commands.parse(["train", "--env", "CartPole-v1", "-n", "10"]).env == "CartPole-v1"
    assert commands.parse(["train", "--env=CartPole-v1"]).env == "CartPole-v1"


@pytest.mark.parametrize("command", ["eval", "enjoy", "video", "verify"])
@pytest.mark.parametrize("flag", ["--episodes", "--n-episodes", "--n-eval-episodes", "--eval-episodes", "--n_eval_episodes"])
def test_every_name_of_a_number_of_episodes_is_one(command, flag):
    parsed = commands.parse([command, "run", flag, "7"])
    assert 7 in (getattr(parsed, "n_eval_episodes", None), getattr(parsed, "episodes", None))


def test_training_has_two_such_numbers_and_asks_which(capsys):
    assert "did you mean --eval-episodes or --n-eval-episodes?" in refusal(["train", "CartPole-v1", "--episodes", "7"], capsys)


def test_no_short_name_means_two_things():
    meanings = {}
    for kind in commands.COMMANDS.values():
        for name, option in options_of(kind).by_name.items():
            if name != option.name:
                assert meanings.setdefault(name, option.name) == option.name
    assert set(meanings) == {"-n", "-s", "-f", "-i"}


def test_a_list_leaves_the_environment_alone():
    parsed = commands.parse(["train", "--policy", "MlpPolicy", "--net-arch", "64", "1e2", "CartPole-v1"])
    assert (parsed.env, parsed.settings.net_arch) == ("CartPole-v1", (64, 100))
    parsed = commands.parse(["train", "--env-kwargs", "g=2.5", "max_episode_steps=30", "Pendulum-v1"])
    assert (parsed.env, parsed.env_kwargs) == ("Pendulum-v1", (("g=2.5", "max_episode_steps=30"),))


# --- Flags


BOOLEANS = [(name, option) for name, kind in commands.COMMANDS.items() for option in options_of(kind).named if option.kind is bool]


@pytest.mark.parametrize(("command", "option"), BOOLEANS)
def test_every_boolean_stands_alone_has_a_no_and_takes_a_word(command, option):
    known = options_of(commands.COMMANDS[command])
    given, field = [command, *(["X"] if known.positional else [])], option.name[2:].replace("-", "_")
    if option.name != "--to" and "--to" in known.by_name:
        given += ["--to", "npz"]

    def value(*words):
        parsed = commands.parse([*given, *words])
        return getattr(parsed if hasattr(parsed, field) else parsed.settings, field)

    negated = f"--no-{option.name[2:]}"
    assert [value(option.name), value(negated)] == [True, False]
    assert [value(option.name, word) for word in ("True", "False", "true", "no")] == [True, False, True, False]
    assert [value(f"{option.name}=1"), value(f"{option.name}=off"), value(f"{negated}=False")] == [True, False, True]
    assert [value(option.name, negated), value(negated, option.name)] == [False, True]  # the last one counts


def test_what_is_no_boolean_is_refused(capsys):
    assert refusal(["train", "CartPole-v1", "--with-bias=maybe"], capsys) == "--with-bias must be True or False, got 'maybe'"


# --- Misspelt names


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian", "CartPole-v1"], "there is no command 'trian'; did you mean 'train'?"),
        (["Evla", "run"], "there is no command 'Evla'; did you mean 'eval'?"),
        (["xyz"], "there is no command 'xyz'; it must be one of train, resume, "),
        ([], "the first argument must be a command, one of train, resume, "),
        (["--seed", "3"], "the first argument must be a command"),
        (["train", "CartPole-v1", "--n-delt", "8"], "fastars train has no option --n-delt; did you mean --n-delta"),
        (["train", "CartPole-v1", "--total", "8"], "did you mean --total-timesteps?"),
        (["train", "CartPole-v1", "-seed", "8"], "did you mean --seed?"),
        (["train", "CartPole-v1", "--no-progres"], "did you mean --no-progress?"),
        (["eval", "run", "--n-delta", "8"], "fastars eval has no option --n-delta; it is one of fastars train"),
        (["train", "CartPole-v1", "-x"], "fastars train has no option -x; fastars train --help lists them"),
        (["train", "CartPole-v1", "--algo", "ars"], "fastars train has no option --algo: ARS is the only algorithm here"),
        (["enjoy", "run", "--no-render"], "fastars enjoy has no option --no-render: fastars eval runs episodes without a window"),
        (
            ["train", "CartPole-v1", "--preset", "papr"],
            "--preset must be one of fastars, tuned, paper, modestyachts, rllib, sb3, got 'papr'; did you mean 'paper'?",
        ),
        (["train", "CartPole-v1", "--variant", "v2"], "--variant must be one of V1, V1-t, V2, V2-t, got 'v2'; did you mean 'V2'?"),
        (["export", "run", "--to", "onx"], "--to must be one of npz, onnx, c, sb3, original, got 'onx'; did you mean 'onnx'?"),
        (["export", "run"], "fastars export needs --to, one of npz, onnx, c, sb3, original"),
        (["train"], " ENV, such as CartPole-v1, or --config FILE"),
        (["eval"], "fastars eval needs RUN, the folder of a run, such as: fastars eval runs/CartPole-v1_1"),
        (["eval", "run", "other"], "fastars eval takes one RUN, got 'other' too"),
        (["doctor", "now"], "fastars doctor takes options only, got 'now' too"),
        (["train", "mo-mountaincar-v0", "--weighting", "gradnrom"], "did you mean 'gradnorm'?"),
        (["train", "CartPol-v1"], "there is no environment 'CartPol-v1'; did you mean 'CartPole-v1'"),
        (["train", "cartpole"], "did you mean 'CartPole-v1' or 'CartPole-v0'?"),
        (["warmup", "Pendulm-v1"], "did you mean 'Pendulum-v1'"),
        (
            ["train", "Pendulum-v1", "--env-kwargs", "gg=3"],
            "Pendulum-v1 has no argument gg for training; it has g, max_episode_steps",
        ),
    ],
)
def test_a_misspelt_name_is_one_line_with_a_near_one(args, message, capsys):
    assert message in refusal(args, capsys)


@pytest.mark.parametrize("args", [["train", "Nothing-v7"], ["warmup", "Nothing-v7"]])
def test_an_unknown_environment_says_where_to_look_and_how_to_name_ones_own(args, capsys):
    text = refusal(args, capsys)
    assert "`fastars envs` lists the compiled ones" in text
    assert "one of your own is MODULE:ENV" in text
    assert "fastars.compiled_env_ids" not in text


def test_every_hint_is_of_an_option_that_no_sub_command_has():
    known = {name for kind in commands.COMMANDS.values() for name in options_of(kind).by_name}
    assert not known & set(HINTS)


def test_no_error_has_a_box_or_a_none(capsys):
    for args in (["train", "CartPole-v1", "--preset", "x"], ["train", "--wrong"], ["plot", "--window", "x"], ["eval", "a", "b"]):
        text = refusal(args, capsys)
        assert "None" not in text
        assert not any("\u2500" <= character <= "\u257f" for character in text)


def test_what_tyro_itself_refuses_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(commands, "put_right", lambda arguments, _: list(arguments))
    text = refusal(["train", "CartPole-v1", "--preset", "papr"], capsys)
    assert "papr" in text
    assert not any("\u2500" <= character <= "\u257f" for character in text)


@pytest.mark.parametrize("args", [["help"], ["help", "train"], ["train", "--no-such", "--help"]])
def test_help_is_shown_whatever_else_is_there(args, capsys):
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 0
    assert "usage: fastars" in capsys.readouterr().out


# --- The current folder


def in_folder(cwd, *args):
    """The command as its script starts it: without the current folder on Python's path."""
    command = [sys.executable, "-P", "-m", "fastars", *args]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with arm_env.py, and a run in it, in two worker processes."""
    cwd = tmp_path_factory.mktemp("arm")
    (cwd / "arm_env.py").write_text(ARM)
    (cwd / "json.py").write_text("raise SystemExit('a file of the folder hid a module of Python')")
    options = ("-n", "300", "--n-workers", "2", "--eval-episodes", "2", "--run-folder", "arm", "--n-delta", "2")
    result = in_folder(cwd, "train", "arm_env:Arm-v0", *options)
    assert result.returncode == 0, result.stderr
    return cwd


@pytest.fixture
def elsewhere(folder, monkeypatch):
    """This process in that folder, which its path does not have; the module is imported anew, and its id is gone."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "arm_env", raising=False)
    yield
    gymnasium.registry.pop("Arm-v0", None)
    sys.modules.pop("arm_env", None)


@pytest.mark.parametrize(
    "args",
    [
        ["eval", "arm", "--env", "arm_env:Arm-v0", "--episodes", "2"],
        ["eval", "arm", "--env", "arm_env:Arm-v0", "--env-kwargs", "length=2.0"],
        ["resume", "arm", "--env", "arm_env:Arm-v0", "-n", "500"],
        ["verify", "arm", "--env", "arm_env:Arm-v0", "--episodes", "2"],
        ["export", "arm", "--to", "npz", "--env", "arm_env:Arm-v0", "--overwrite"],
    ],
)
def test_a_module_of_the_current_folder_is_found(folder, args, elsewhere):
    assert main(args) == 0


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("arm_env:Arm-v1", "module arm_env registers no environment 'Arm-v1'; did you mean 'arm_env:Arm-v0'"),
        ("arm_env:ArmEnv", "gymnasium.register(id='ArmEnv-v0', entry_point='arm_env:ArmEnv')"),
        ("arm_evn:Arm-v0", "there is no module 'arm_evn', neither installed nor in this folder; did you mean 'arm_env'?"),
        ("arm_env.py:Arm-v0", "try arm_env:Arm-v0"),
        ("sub/arm_env:Arm-v0", "try sub.arm_env:Arm-v0"),
    ],
)
def test_a_module_or_an_id_in_it_that_is_not_there_is_explained(elsewhere, capsys, env_id, message):
    assert message in refusal(["train", env_id], capsys)


def test_a_module_that_fails_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "falling_env.py").write_text("1 / 0")
    (tmp_path / "lacking_env.py").write_text("import no_such_package")
    assert main(["train", "falling_env:A-v0"]) == 2
    assert "module falling_env can't be imported: ZeroDivisionError: division by zero (--traceback" in capsys.readouterr().err
    assert main(["train", "lacking_env:A-v0"]) == 2
    assert "module lacking_env can't be imported: No module named 'no_such_package'" in capsys.readouterr().err


# --- What is said, and what is kept


@pytest.mark.parametrize("preset", ["paper", "tuned"])
def test_a_preset_without_settings_for_an_environment_says_so(preset, elsewhere):
    with pytest.warns(
        UserWarning, match=f"the preset {preset} has no hyperparameters for Arm-v0, and the usual defaults are taken"
    ):
        commands.parse(["train", "arm_env:Arm-v0", "--preset", preset])._model()


def test_the_paper_has_no_settings_for_cartpole_and_the_command_says_so():
    with pytest.warns(UserWarning, match="the preset paper has no hyperparameters for CartPole-v1.*; it has some for Swimmer, "):
        commands.parse(["train", "CartPole-v1", "--preset", "paper"])._model()
    with pytest.warns(UserWarning, match="has no hyperparameters for MountainCar-v0 in the variant V1,"):
        commands.parse(["train", "MountainCar-v0", "--preset", "tuned", "--variant", "V1"])._model()


@pytest.mark.parametrize("args", [["CartPole-v1"], ["CartPole-v1", "--preset", "tuned"], ["CartPole-v1", "--preset", "sb3"]])
def test_nothing_is_said_of_a_preset_that_suits(args, recwarn):
    commands.parse(["train", *args])._model()
    assert not recwarn.list


@pytest.mark.parametrize(("to", "name"), [("npz", "policy.npz"), ("c", "policy.h"), ("original", "lin_policy_plus.npz")])
def test_an_export_keeps_what_is_there_unless_told_otherwise(tmp_path, capsys, to, name):
    for seed in (0, 1):
        ARS("LinearPolicy", "CartPole-v1", seed=seed, zero_policy=False).save(tmp_path / f"{seed}.zip")
    assert main(["export", str(tmp_path / "0.zip"), "--to", to]) == 0
    first = (tmp_path / name).read_bytes()
    capsys.readouterr()
    text = refusal(["export", str(tmp_path / "1.zip"), "--to", to], capsys)
    assert text == f"{tmp_path / name} exists: --overwrite replaces it, another --out keeps it"
    assert (tmp_path / name).read_bytes() == first
    assert main(["export", str(tmp_path / "1.zip"), "--to", to, "--overwrite"]) == 0
    assert (tmp_path / name).read_bytes() != first


def test_an_import_keeps_what_is_there_unless_told_otherwise(tmp_path, capsys):
    ARS("LinearPolicy", "CartPole-v1", seed=0).save(tmp_path / "a.zip")
    assert main(["export", str(tmp_path / "a.zip"), "--to", "npz"]) == 0
    arguments = ["import", str(tmp_path / "policy.npz"), "--env", "CartPole-v1", "--out", str(tmp_path / "a.zip")]
    capsys.readouterr()
    assert "a.zip exists: --overwrite replaces it" in refusal(arguments, capsys)
    assert main([*arguments, "--overwrite"]) == 0


def test_no_sub_command_that_takes_out_lacks_overwrite():
    for name, kind in commands.COMMANDS.items():
        known = options_of(kind).by_name
        if "--out" in known:
            assert "--overwrite" in known, name


@pytest.mark.parametrize(
    "args", [["eval", "runs/CartPol-v1_1"], ["resume", "CartPole-v1"], ["verify", "run/CartPole-v1_1"], ["plot", "x"]]
)
def test_a_run_that_is_not_there_has_a_near_one(tmp_path, monkeypatch, capsys, args):
    (tmp_path / "runs" / "CartPole-v1_1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    text = refusal(args, capsys)
    assert ("did you mean 'runs/CartPole-v1_1'?" in text) is (args != ["plot", "x"])


def test_a_policy_without_its_environment_names_the_option_and_no_function(elsewhere, capsys):
    assert main(["eval", "arm"]) == 1
    text = capsys.readouterr().err
    assert "it is not registered here; --env takes one: MODULE:ENV" in text
    assert "ARS.load" not in text


def test_a_policy_of_another_program_asks_for_the_option(capsys):
    assert main(["eval", str(DATA / "sb3_bias.zip")]) == 1
    text = capsys.readouterr().err
    assert re.search(r"give --env, such as --env [\w-]+\n", text)
    assert "set_env" not in text
