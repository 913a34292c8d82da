"""The sub-commands: their options, and the calls into the package that each makes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars._imports import need
from fastars.cli.doctor import Doctor, Warmup
from fastars.cli.environment import env_options, environment, parse_kwargs
from fastars.cli.errors import wrong_use
from fastars.cli.exchange import Export, Import
from fastars.cli.loading import ReplayOptions, replay
from fastars.cli.original import translate
from fastars.cli.page.command import Report
from fastars.cli.plan import Plan
from fastars.cli.plotting import Plot
from fastars.cli.progress import compiling
from fastars.cli.ray import Ray, connect
from fastars.cli.report import print_environments, print_presets
from fastars.cli.resume import Resume
from fastars.cli.run_folder import in_use, next_run_folder, refuse_used_folder
from fastars.cli.settings import Settings, option
from fastars.cli.terminal import console
from fastars.cli.verify import Verify
from fastars.cli.watch import Enjoy, Video
from fastars.training.presets import timesteps

if TYPE_CHECKING:
    from fastars.ars import ARS

_N_EVALUATIONS = 25  # per run, without --eval-freq
_EVAL_EPISODES, _MUJOCO_EVAL_EPISODES = 100, 20  # 25 times 100 episodes of 1,000 steps exceed most trainings


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a policy and keep it in a run folder. Episodes run in compiled kernels if these know the environment."""

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ENV")]
    """Id of an environment. Those that `fastars envs` lists are compiled, others run in Python. MODULE:ID imports MODULE first."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, such as max_episode_steps=500 'healthy_z_range=(0.5, inf)' xml_file=./my.xml."""
    total_timesteps: Annotated[int | None, option("INT", "what ENV needs")] = None
    """Environment steps of training."""
    seed: Annotated[int | None, option("INT", "drawn, and reported")] = None
    """Seed of everything random in the run."""
    n_threads: Annotated[int | None, option("INT", "all CPUs")] = None
    """Threads of the rollouts; the result does not depend on it."""
    n_workers: Annotated[int | None, option("INT", "1; with --ray, as many as fit")] = None
    """Processes that step an environment in Python; the result does not depend on it."""
    ray: Ray = None
    """Run episodes on Ray, in --n-workers actors with --n-threads CPUs each. ADDRESS: auto or HOST:PORT; else Ray starts here."""
    backend: Literal["numba", "numpy"] = "numba"
    """Compiled kernels, or the NumPy reference in a Gymnasium loop."""
    iterations: Annotated[int | None, option("INT", "no limit")] = None
    """Iterations of training, unless --total-timesteps ends it earlier."""
    eval_episodes: Annotated[int | None, option("INT", f"{_EVAL_EPISODES}; in MuJoCo, {_MUJOCO_EVAL_EPISODES}")] = None
    """Episodes of each evaluation, and of the final one."""
    eval_freq: Annotated[int | None, option("INT", "25 times a run")] = None
    """Steps between evaluations; the best policy is kept."""
    log_interval: int = 1
    """Iterations between rows of progress.csv."""
    monitor: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write a row per episode into 0.monitor.csv. A second of training may have a million episodes."""
    tensorboard: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write the log as events for TensorBoard."""
    save_freq: Annotated[int | None, option("INT", "never")] = None
    """Steps between checkpoints, model_<steps>_steps.zip. Besides, model.zip is written every 30 s."""
    keep_checkpoints: int = 5
    """Number of checkpoints that are kept; older ones are removed."""
    progress: bool = True
    """Show steps per second, the best return and the time left: a bar on a terminal, elsewhere a line every 10 s."""
    log_dir: Path = Path("runs")
    """Folder in which the run gets a new folder, such as runs/CartPole-v1_1."""
    run_folder: Annotated[Path | None, option("PATH", "the next in --log-dir")] = None
    """The folder of this run; it must be new or empty."""
    settings: tyro.conf.OmitArgPrefixes[Settings]

    def run(self) -> int:
        """Train and return the exit code."""
        if self.run_folder is not None:
            refuse_used_folder(self.run_folder)
        if self.tensorboard:
            need("tensorboardX", "tensorboard", "--tensorboard")
        with wrong_use():
            self._plan(most_steps=1)  # refuses wrong values before anything is compiled
            with compiling(console(stderr=True)):  # lanes are compared with MuJoCo at their first use
                model = self._model()
            plan = self._plan(2 * model.config.n_delta * model.config.n_eval_episodes * model.run.env.max_steps)
        folder = self.run_folder or next_run_folder(self.log_dir, model.env_id.rpartition("/")[2])
        folder.mkdir(parents=True, exist_ok=True)
        from fastars.cli.training import TrainingRun

        with in_use(folder):
            TrainingRun(model, folder, plan, env_options(model, self.env, self.env_kwargs), self.progress).run()
        return 0

    def _plan(self, most_steps: int) -> Plan:
        """Return the plan of the options, completed to suit the environment. An iteration takes at most `most_steps` steps."""
        from fastars.envs import compiled_env_ids

        total, eval_freq, eval_episodes = self.total_timesteps, self.eval_freq, self.eval_episodes
        if total is None:
            total = timesteps(self.env) if self.iterations is None else self.iterations * most_steps
        if eval_freq is None:
            eval_freq = max(total // _N_EVALUATIONS, 1)
        if eval_episodes is None:
            eval_episodes = _MUJOCO_EVAL_EPISODES if self.env in compiled_env_ids("mujoco") else _EVAL_EPISODES
        return Plan(
            total_timesteps=total,
            iterations=self.iterations,
            eval_freq=eval_freq,
            eval_episodes=eval_episodes,
            log_interval=self.log_interval,
            save_freq=self.save_freq,
            keep_checkpoints=self.keep_checkpoints,
            monitor=self.monitor,
            tensorboard=self.tensorboard,
        )

    def _model(self) -> ARS:
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        import gymnasium

        from fastars.ars import ARS
        from fastars.envs import compiled_env_ids

        env = environment(self.env, kwargs)
        settings = self.settings.resolved()
        settings.setdefault("policy", "LinearPolicy")
        # --n_workers of the original becomes threads of the kernels or processes, whichever the environment needs.
        is_either = self.ray is None and self.n_workers == self.n_threads and self.env in compiled_env_ids()
        settings |= {"n_threads": self.n_threads, "n_workers": None if is_either else self.n_workers, **connect(self.ray)}
        model = ARS(env=env, seed=self.seed, backend=self.backend, **settings)
        if isinstance(env, gymnasium.Env):
            env.close()
        return model


@dataclass(frozen=True, kw_only=True)
class Eval(ReplayOptions):
    """Replay a trained policy in plain Gymnasium."""

    n_eval_episodes: int = 10
    """Number of episodes."""

    def run(self) -> int:
        """Replay the episodes and return the exit code."""
        import gymnasium

        trained = self.load()
        replay(trained, self.n_eval_episodes, self.seed, f"in Gymnasium {gymnasium.__version__} itself, without compiled rollouts")
        return 0


@dataclass(frozen=True, kw_only=True)
class Envs:
    """List the compiled environments."""

    presets: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """List the tuned settings of each environment instead, with the returns that they reached."""

    def run(self) -> int:
        """Print the list and return the exit code."""
        if self.presets:
            print_presets()
            return 0
        import gymnasium

        from fastars.envs import UnsupportedEnvError, compiled_env_ids, make

        specs, missing = {}, None
        for env_id in compiled_env_ids():
            spaces: tuple[Any, Any] = None, None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # CartPole-v0 is out of date, which does not matter in a list
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


COMMANDS: dict[str, Any] = {
    "train": Train,
    "resume": Resume,
    "eval": Eval,
    "verify": Verify,
    "enjoy": Enjoy,
    "video": Video,
    "plot": Plot,
    "report": Report,
    "envs": Envs,
    "import": Import,
    "export": Export,
    "warmup": Warmup,
    "doctor": Doctor,
}


def parse(arguments: Sequence[str]) -> Any:
    """Return the sub-command with its options. For --help, and for wrong arguments (exit code 2), tyro ends the process."""
    description = (
        "Augmented Random Search in compiled kernels. Begin with `fastars train CartPole-v1`. "
        "--version prints the version. --traceback shows where an error came from."
    )
    return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="fastars", description=description, args=translate(arguments))
