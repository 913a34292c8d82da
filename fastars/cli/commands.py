"""The sub-commands: what each takes, and the few calls into the package that it is."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars.cli import WrongUseError
from fastars.cli.environment import described, environment, parse_kwargs
from fastars.cli.report import print_environments, print_evaluation
from fastars.cli.run_folder import model_file, next_run_folder, refuse_used_folder
from fastars.presets import timesteps

if TYPE_CHECKING:
    from fastars.ars import ARS

_N_EVALUATIONS = 25  # of a run, unless --eval-freq says otherwise
_EVAL_EPISODES, _MUJOCO_EVAL_EPISODES = 100, 20  # 25 times 100 of 1,000 steps are more than most runs train


def _option(metavar: str, default: str) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


_BOOL = "{True,False}"
_Preset = Literal["fastars", "tuned", "paper", "modestyachts", "rllib", "sb3"]
_PRESETS = "{fastars,tuned,paper,modestyachts,rllib,sb3}"
_Variant = Literal["V1", "V1-t", "V2", "V2-t"]
_Shaping = Literal["none", "centered_ranks", "sign"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Those not given are the preset's, or else the defaults shown."""

    n_delta: Annotated[int | None, _option("INT", "8")] = None
    """Directions per iteration, each tried with both signs."""
    n_top: Annotated[int | None, _option("INT", "n_delta")] = None
    """Directions used for the step."""
    learning_rate: Annotated[float | None, _option("FLOAT", "0.02")] = None
    """Size of a step."""
    delta_std: Annotated[float | None, _option("FLOAT", "0.05")] = None
    """Exploration noise: deviation of the directions."""
    n_eval_episodes: Annotated[int | None, _option("INT", "1")] = None
    """Episodes per candidate."""
    preset: Annotated[_Preset | None, _option(_PRESETS, "tuned; with --variant, fastars")] = None
    """Whose choices to follow where implementations differ; tuned and paper also have hyperparameters for many an ENV."""
    variant: Annotated[_Variant | None, _option("{V1,V1-t,V2,V2-t}", "V1")] = None
    """The paper's names: V2 normalises observations, -t uses the top directions only."""
    normalize_observations: Annotated[bool | None, _option(_BOOL, "False")] = None
    """By the mean and deviation of all observations seen."""
    policy: Annotated[Literal["LinearPolicy", "MlpPolicy"] | None, _option("{LinearPolicy,MlpPolicy}", "LinearPolicy")] = None
    """Linear, or a network with hidden layers."""
    net_arch: Annotated[tuple[int, ...] | None, _option("INT [INT ...]", "64 64")] = None
    """Units of the hidden layers of an MlpPolicy."""
    activation_fn: Annotated[Literal["relu", "tanh"] | None, _option("{relu,tanh}", "relu")] = None
    """What they do."""
    with_bias: Annotated[bool | None, _option(_BOOL, "False; of an MlpPolicy, True")] = None
    """Give the layers of the policy a bias."""
    squash_output: Annotated[bool | None, _option(_BOOL, "False; of an MlpPolicy, True")] = None
    """Put actions between their bounds by a tanh."""
    zero_policy: Annotated[bool | None, _option(_BOOL, "True")] = None
    """Start from zero weights."""
    alive_bonus_offset: Annotated[float | None, _option("FLOAT", "0")] = None
    """Added to the training return for every step."""
    optimizer: Annotated[Literal["sgd", "adam"] | None, _option("{sgd,adam}", "sgd")] = None
    """What takes the step."""
    momentum: Annotated[float | None, _option("FLOAT", "0")] = None
    """Of sgd."""
    weight_decay: Annotated[float | None, _option("FLOAT", "0")] = None
    """Pull of the weights towards zero."""
    fitness_shaping: Annotated[_Shaping | None, _option("{none,centered_ranks,sign}", "none")] = None
    """Use ranks or signs in place of returns."""
    common_random_numbers: Annotated[bool | None, _option(_BOOL, "False")] = None
    """Both signs of a direction start from the same states."""
    on_nonfinite: Annotated[Literal["drop", "raise"] | None, _option("{drop,raise}", "drop")] = None
    """What a NaN or infinite return does."""
    noise_size: Annotated[int | None, _option("INT", "4194304")] = None
    """Entries of the noise table."""
    max_episode_steps: Annotated[int | None, _option("INT", "the time limit, or 10000")] = None
    """Steps after which an episode ends at the latest."""
    weighting: Annotated[str | None, _option("METHOD", "fixed")] = None
    """How the tasks of a vector reward are weighted: fixed, uniform, std, gradnorm, mgda, nash-mtl, upgrad, ..."""
    preference: Annotated[tuple[float, ...] | None, _option("FLOAT [FLOAT ...]", "1 for each")] = None
    """What each task is worth; with the weighting fixed, the weights themselves."""
    utopia: Annotated[tuple[float, ...] | None, _option("FLOAT [FLOAT ...]", "estimated")] = None
    """A return of each task that can't be surpassed."""

    def resolved(self) -> dict[str, Any]:
        """Arguments of `ARS`: what was given, and the preset that has the rest."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if "variant" not in given:
            given.setdefault("preset", "tuned")
        names = [name for name in ("net_arch", "activation_fn", "with_bias", "squash_output") if name in given]
        if names:
            given["policy_kwargs"] = {name: given.pop(name) for name in names}
        return given


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a policy, in compiled kernels where they know the environment, and keep it in a run folder."""

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ENV")]
    """Id of an environment: those of `fastars envs` are compiled, others stepped in Python. MODULE:ID imports MODULE first."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, _option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, such as max_episode_steps=500 'healthy_z_range=(0.5, inf)' xml_file=./my.xml."""
    total_timesteps: Annotated[int | None, _option("INT", "what ENV needs")] = None
    """Environment steps of training."""
    seed: Annotated[int | None, _option("INT", "drawn, and reported")] = None
    """All that is random follows from it."""
    n_threads: Annotated[int | None, _option("INT", "all CPUs")] = None
    """Threads of the rollouts; the result does not depend on it."""
    n_workers: int = 1
    """Processes that step an environment in Python; nor on this."""
    backend: Literal["numba", "numpy"] = "numba"
    """Compiled kernels, or the NumPy reference in a Gymnasium loop."""
    eval_episodes: Annotated[int | None, _option("INT", f"{_EVAL_EPISODES}; in MuJoCo, {_MUJOCO_EVAL_EPISODES}")] = None
    """Episodes of each evaluation, and of the final one."""
    eval_freq: Annotated[int | None, _option("INT", "25 times a run")] = None
    """Steps between evaluations; the best policy is kept."""
    log_interval: int = 1
    """Iterations between rows of progress.csv."""
    log_dir: Path = Path("runs")
    """Where the run gets a folder, such as runs/CartPole-v1_1."""
    run_folder: Annotated[Path | None, _option("PATH", "the next in --log-dir")] = None
    """The folder of this run; it must be new or empty."""
    settings: tyro.conf.OmitArgPrefixes[Settings]

    def run(self) -> int:
        """Train; the exit code."""
        if self.run_folder is not None:
            refuse_used_folder(self.run_folder)
        total, eval_freq, eval_episodes = self._counts()
        with _wrong_use():
            model = self._model()
        folder = self.run_folder or next_run_folder(self.log_dir, model.env_id.rpartition("/")[2])
        folder.mkdir(parents=True, exist_ok=True)
        from fastars.cli.training import Run

        Run(model, folder, total, eval_freq, eval_episodes, self.log_interval, self._named(model)).run()
        return 0

    def _named(self, model: ARS) -> list[str]:
        """What `fastars eval` must be told of the environment: a module to import, and arguments that it takes from no file."""
        items = [item for items in self.env_kwargs for item in items]
        if ":" not in self.env and (model.is_compiled or not items):
            return []
        return ["--env", self.env, *(["--env-kwargs", *items] if items else [])]

    def _counts(self) -> tuple[int, int, int]:
        """(steps of training, steps between evaluations, episodes of an evaluation)."""
        from fastars.envs import compiled_env_ids

        total, eval_freq, eval_episodes = self.total_timesteps, self.eval_freq, self.eval_episodes
        if total is None:
            total = timesteps(self.env)
        if eval_freq is None:
            eval_freq = max(total // _N_EVALUATIONS, 1)
        if eval_episodes is None:
            eval_episodes = _MUJOCO_EVAL_EPISODES if self.env in compiled_env_ids("mujoco") else _EVAL_EPISODES
        for name, value in (
            ("total_timesteps", total),
            ("eval_freq", eval_freq),
            ("eval_episodes", eval_episodes),
            ("log_interval", self.log_interval),
        ):
            if value < 1:
                raise WrongUseError(f"{name} must be an integer of at least 1, got {value}")
        return total, eval_freq, eval_episodes

    def _model(self) -> ARS:
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        from fastars.ars import ARS

        env = environment(self.env, kwargs)
        settings = self.settings.resolved()
        settings.setdefault("policy", "LinearPolicy")
        model = ARS(env=env, seed=self.seed, n_threads=self.n_threads, n_workers=self.n_workers, backend=self.backend, **settings)
        if hasattr(env, "close"):
            env.close()
        return model


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Replay a trained policy in plain Gymnasium."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, or the file of a model."""
    n_eval_episodes: int = 10
    """Episodes."""
    seed: int = 0
    """Episode i starts from env.reset(seed=seed + i). By default the same episodes as those of the final evaluation in training."""
    env: Annotated[str | None, _option("ENV", "the one of RUN")] = None
    """Id of the environment, for one that is registered only by MODULE:ID."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, _option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Its arguments, with --env: those of a RUN in an environment that is not compiled have to be repeated."""
    last: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The last policy of the run, not the best one."""

    def run(self) -> int:
        """Replay; the exit code."""
        import gymnasium

        if self.n_eval_episodes < 1:
            raise WrongUseError(f"n_eval_episodes must be an integer of at least 1, got {self.n_eval_episodes}")
        if not 0 <= self.seed < 2**63:
            raise WrongUseError(f"seed must be an integer from 0 to 2**63 - 1, got {self.seed}")
        if self.env_kwargs and self.env is None:
            raise WrongUseError("--env-kwargs needs --env")
        path = model_file(self.run_path, self.last)
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        from fastars.ars import ARS
        from fastars.envs import make
        from fastars.envs.terms import RewardTerms
        from fastars.evaluation import evaluate_policy

        model = ARS.load(path, env=None if self.env is None else environment(self.env, kwargs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said on loading
            env = make(self.env or model.env_id, **model.env_kwargs)
        weights = None if model.objectives is None else model.objectives.utility
        if weights is not None and not hasattr(env.unwrapped, "reward_space"):
            env = RewardTerms(env)
        try:
            returns, lengths = evaluate_policy(
                model, env, self.n_eval_episodes, return_episode_rewards=True, seed=self.seed, reward_weights=weights
            )
        finally:
            env.close()
        source = f"{path}, in Gymnasium {gymnasium.__version__} itself, without compiled rollouts"
        print_evaluation(described(model.env_id, model.env_kwargs), self.seed, returns, lengths, source)
        return 0


@dataclass(frozen=True, kw_only=True)
class Envs:
    """List the compiled environments."""

    def run(self) -> int:
        """List them; the exit code."""
        import gymnasium

        from fastars.envs import UnsupportedEnvError, compiled_env_ids, make

        specs, missing = {}, None
        for env_id in compiled_env_ids():
            spaces: tuple[Any, Any] = None, None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # CartPole-v0 is out of date, which is no news in a list
                try:
                    env = make(env_id)
                except UnsupportedEnvError as error:  # MuJoCo is not installed, or not one that fits
                    missing = str(error)
                else:
                    spaces = env.observation_space, env.action_space
                    env.close()
            specs[env_id.removeprefix("fastars/")] = gymnasium.spec(env_id), *spaces
        print_environments(specs, missing)
        return 0


def parse(arguments: Sequence[str]) -> Train | Eval | Envs:
    """The sub-command that the arguments ask for; leaves the process with help, or with exit code 2 and what is wrong."""
    commands: dict[str, Any] = {"train": Train, "eval": Eval, "envs": Envs}
    description = (
        "Augmented Random Search in compiled kernels. Begin with `fastars train CartPole-v1`. "
        "Besides, --version prints the version, and --traceback where an error came from."
    )
    parsed: Train | Eval | Envs = tyro.extras.subcommand_cli_from_dict(
        commands, prog="fastars", description=description, args=list(arguments)
    )
    return parsed


@contextlib.contextmanager
def _wrong_use() -> Iterator[None]:
    """Arguments that the package refuses are wrong use of the command."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise WrongUseError(str(error)) from error
