"""The repetition of a run: the command with all that decides it, the versions, and the hash of the weights."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from fastars._version import __version__
from fastars.cli.page.elements import Html, commands, element, facts
from fastars.cli.page.facts import Facts
from fastars.cli.plan import Plan
from fastars.cli.settings import Preset, Settings, option_name
from fastars.training import presets
from fastars.training.config import make_config

_OF_POLICY = ("net_arch", "activation_fn", "with_bias", "squash_output")  # a network has defaults of its own
_OPTIONS = tuple(field.name for field in dataclasses.fields(Settings) if field.name not in ("preset", "variant"))
_INSTALLED = ("numba", "numpy", "gymnasium", "mujoco")
_FOLDER = "runs/again"


def repeat_content(runs: Sequence[Facts]) -> Iterator[Html]:
    """Yield how to repeat the runs."""
    versions = list({_install(each.config.get("versions", {})): None for each in runs})
    for text in versions:
        if text:
            yield element("p", "With the versions that it was run with, another machine of the same kind gives the same bits:")
            yield commands(text)
    for number, each in enumerate(runs, 1):
        if len(runs) > 1:
            yield element("h3", str(each.folder))
        folder = _FOLDER if len(runs) == 1 else f"{_FOLDER}_{number}"
        yield commands(shlex.join([*train_command(each), "--run-folder", folder]), shlex.join(["fastars", "report", folder]))
        yield from _notes(each)
        yield facts(_hashes(each))
        if len(runs) == 1:
            yield element("p", "With the folder of the run, its episodes can be checked and watched:")
            yield commands(*_other_commands(each))


def _install(versions: Mapping[str, Any]) -> str:
    """Return the command that installs the packages a run was made with."""
    pinned = [f"{name}=={versions[name]}" for name in _INSTALLED if name in versions]
    return shlex.join(["pip", "install", *pinned]) if pinned else ""


def _notes(each: Facts) -> Iterator[Html]:
    wrote, config = each.config.get("versions", {}).get("fastars"), each.config
    if wrote not in (None, __version__):
        yield element("p", f"fastars {wrote} made this run, and fastars {__version__} this page: its presets may differ.")
    if others := _without_option(config):
        yield element("p", f"No option of the command gives these settings: {', '.join(others)}.")
    if "init" in config["run"]:
        digest = element("code", f"sha256 {config['run'].get('init_sha256')}")
        yield element("p", f"It starts from the policy in {config['run']['init']}, of which first_model.zip is a copy: ", digest)
    if not each.is_finished:
        yield element("p", f"The run was stopped after {each.steps:,} steps, or is not done yet; the command runs to its end.")
    if (first := config["run"].get("first_timesteps")) is not None:
        text = f"It was planned for {first} steps first, and trained on by fastars resume. The command gives the same last policy; "
        yield element("p", f"{text}the run may have one evaluation more, at the end of its first part.")


def _hashes(each: Facts) -> Iterator[tuple[str, Any]]:
    yield "seed", each.seed
    for name, policy in (("model.zip", each.last), ("best_model.zip", each.best)):
        if policy is not None:
            yield f"weights of {name}", element("code", f"sha256 {policy.digest}")


def _other_commands(each: Facts) -> list[str]:
    run, options = str(each.folder), _env_options(each)
    return [
        shlex.join(["fastars", "verify", run, *options]),
        shlex.join(["fastars", "eval", run, "--n-eval-episodes", "100", *options]),
        shlex.join(["fastars", "video", run, *options]),
        *([] if each.is_finished else [shlex.join(["fastars", "resume", run, *options])]),
    ]


def train_command(each: Facts) -> list[str]:
    """Return the command that trains the run again: every option that decides it, without the folder."""
    run, stored = each.config["run"], each.config["settings"]
    assumed = assumed_settings(each.config)
    env, *kwargs = _environment(each)
    command = ["fastars", "train", env, *(["--env-kwargs", *kwargs] if kwargs else [])]
    preset = _preset(each.config)
    # The command takes "tuned" by itself; named for an environment that it does not know, it warns.
    command += ["--seed", str(each.seed), *([] if preset == "tuned" else ["--preset", preset])]
    if "init" in run:
        command += ["--init", str(run["init"])]
    if run.get("backend", "numba") != "numba":
        command += ["--backend", str(run["backend"])]
    for name in _OPTIONS:
        is_mlp = name in _OF_POLICY and stored.get("policy") == "MlpPolicy"
        is_of_start = name in ("policy", "normalize_observations") and "init" in run  # else they are those of that policy
        is_chosen_here = name == "physics" and preset == "tuned" and _is_mujoco(each.env_id)
        is_implied = name == "n_top" and stored.get(name) == stored.get("n_delta") != assumed["n_delta"]
        if name in stored and (stored[name] != assumed.get(name) or is_mlp or is_of_start or is_chosen_here) and not is_implied:
            command += [option_name(name), *_texts(stored[name])]
    return [*command, *_plan_options(each.plan)]


def assumed_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that `fastars train` takes for the preset and the environment of a run if no other option is given."""
    preset, env_id = _preset(config), str(config["env"].get("id", ""))
    assumed = make_config(env_id=env_id, **Settings(preset=preset).resolved()).to_dict()
    return {**assumed, "physics": presets.physics(preset)} if _is_mujoco(env_id) else assumed


def _preset(config: Mapping[str, Any]) -> Preset:
    """Return the preset of a run: "fastars" if it has none, or one that this version does not know."""
    preset = config["run"].get("preset")
    return cast(Preset, preset) if isinstance(preset, str) and preset in presets.CHOICES else "fastars"


def _without_option(config: Mapping[str, Any]) -> list[str]:
    assumed, stored = assumed_settings(config), config["settings"]
    names = (name for name in stored if name not in _OPTIONS and name != "diagnostics")
    return [f"{name}={stored[name]}" for name in names if stored[name] != assumed.get(name)]


def _is_mujoco(env_id: str) -> bool:
    from fastars.envs import compiled_env_ids

    return env_id in compiled_env_ids("mujoco")


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _plan_options(plan: Plan) -> list[str]:
    """Return the options that give a plan; counts that are the usual ones are left out."""
    texts = []
    for field in dataclasses.fields(Plan):
        value = getattr(plan, field.name)
        is_idle = field.name == "keep_checkpoints" and plan.save_freq is None
        if value == field.default or is_idle:
            continue
        texts += [option_name(field.name)] if value is True else [option_name(field.name), str(value)]
    return texts


def _environment(each: Facts) -> list[str]:
    """Return the id of the environment as `fastars train` takes it, and its arguments as texts."""
    if options := _env_options(each):
        return [options[1], *options[3:]]
    from fastars.envs.keywords import keyword_texts

    kwargs = {
        name: tuple(value) if isinstance(value, list) else value for name, value in each.config["env"].items() if name != "id"
    }
    return [each.env_id, *(keyword_texts(_changed(each.env_id, kwargs)) or ())]


def _env_options(each: Facts) -> list[str]:
    """Return the options that name the environment, if the run needs them: --env, and --env-kwargs."""
    options = each.config["run"].get("env_options")
    is_whole = isinstance(options, list) and len(options) > 1 and all(isinstance(option, str) for option in options)
    return list(options) if is_whole else []


def _changed(env_id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are not the registered ones; of an environment that is unknown here, all."""
    import gymnasium

    from fastars.cli.environment import changed_kwargs
    from fastars.envs import compiled_env_ids  # which are in the registry then

    is_known = env_id in compiled_env_ids() or env_id in gymnasium.registry
    return changed_kwargs(env_id, kwargs) if is_known else dict(kwargs)
