"""The sub-commands: their options, and the calls into the package that each makes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fastars._imports import need
from fastars.cli.arguments import put_right
from fastars.cli.doctor import Doctor, Warmup
from fastars.cli.environment import env_options, environment, parse_kwargs
from fastars.cli.envs import Envs
from fastars.cli.errors import WrongUseError, wrong_use
from fastars.cli.exchange import Export, Import
from fastars.cli.help import laid_out
from fastars.cli.loading import ReplayOptions, replay
from fastars.cli.origin import described_origin, start_settings, starting_line
from fastars.cli.original import translate
from fastars.cli.page.command import Report
from fastars.cli.plan import USUAL_EPISODES, Plan, usual_eval_episodes
from fastars.cli.plotting import Plot
from fastars.cli.progress import Compilation
from fastars.cli.ray import Ray, connect
from fastars.cli.resume import Resume
from fastars.cli.run_folder import in_use, next_run_folder, refuse_used_folder
from fastars.cli.seeds import parse_seeds
from fastars.cli.settings import Settings, option
from fastars.cli.terminal import console, say
from fastars.cli.tuning.command import Tune
from fastars.cli.verify import Verify
from fastars.cli.watch import Enjoy, Video
from fastars.training.presets import environments, rows, task_name, timesteps

if TYPE_CHECKING:
    from fastars.ars import ARS

_N_EVALUATIONS = 25  # per run, without --eval-freq
_BOX = re.compile("[\u2500-\u257f]")  # characters with which tyro draws a box around an error


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a policy and keep it in a run folder. Episodes run in compiled kernels if these know the environment."""

    env: Annotated[str, tyro.conf.Positional, option("ENV", "the one of --config")] = ""
    """Id of an environment. Those that `fastars envs` lists are compiled, others run in Python. MODULE:ID imports MODULE first."""
    env_kwargs: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, option("KEY=VALUE [KEY=VALUE ...]", "none")] = ()
    """Arguments of gymnasium.make, such as max_episode_steps=500 'healthy_z_range=(0.5, inf)' xml_file=./my.xml."""
    config: Annotated[Path | None, option("FILE", "none")] = None
    """Environment, settings, seed and plan: best.toml of `fastars tune`, or config.toml of a run. Options given beside it win."""
    total_timesteps: Annotated[int | None, option("INT", "what ENV needs", "-n")] = None
    """Environment steps of training."""
    seed: Annotated[int | None, option("INT", "drawn, and reported", "-s")] = None
    """Seed of everything random in the run."""
    seeds: Annotated[str | None, option("N or LIST", "one seed")] = None
    """Several seeds, each in a folder of its own: 10 is 0 to 9, and with --seed 5 it is 5 to 14; also 0,3,7 or 3-7."""
    init: Annotated[Path | None, option("POLICY", "the settings' own", "-i")] = None
    """Start from a policy: a run folder, a model, lin_policy_plus.npz, or arrays in .npz or .npy (docs/files.md)."""
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
    eval_episodes: Annotated[int | None, option("INT", USUAL_EPISODES)] = None
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
    log_dir: Annotated[Path, tyro.conf.arg(aliases=("-f",))] = Path("runs")
    """Folder in which the run gets a new folder, such as runs/CartPole-v1_1."""
    run_folder: Annotated[Path | None, option("PATH", "the next in --log-dir")] = None
    """The folder of this run; it must be new or empty."""
    settings: tyro.conf.OmitArgPrefixes[Settings]

    def run(self) -> int:
        """Train and return the exit code."""
        if self.config is not None:
            from fastars.cli.run_config import stored_options

            options = stored_options(self.config, self.settings, env_is_given=bool(self.env))
            return dataclasses.replace(self, config=None, **self._not_given(options)).run()
        if not self.env:
            raise WrongUseError("fastars train takes ENV, such as CartPole-v1, or --config FILE")
        if self.run_folder is not None:
            refuse_used_folder(self.run_folder)
        if self.tensorboard:
            need("tensorboardX", "tensorboard", "--tensorboard")
        seeds = [] if self.seeds is None else parse_seeds(self.seeds, self.seed)
        compilation = Compilation(console(stderr=True))
        with wrong_use():
            self._plan(most_steps=1)  # refuses wrong values before anything is compiled
            with compilation.part(is_last=False):  # lanes are compared with MuJoCo at their first use
                model = self._model(seeds[0] if seeds else None)
            origin = {} if self.init is None else described_origin(self.init)  # now it is known to be a policy, and of its size
            self.settings.refuse_excess(model)
            plan = self._plan(2 * model.config.n_delta * model.config.n_eval_episodes * model.run.env.max_steps)
        folder = self.run_folder or next_run_folder(self.log_dir, model.env_id.rpartition("/")[2])
        folder.mkdir(parents=True, exist_ok=True)
        named = env_options(model, self.env, self.env_kwargs)
        of_run = {**origin, "env_options": named or None}  # a report names the environment by them
        if self.init is not None:
            say(starting_line(self.init))
        if seeds:
            model.close()
            kept = {**of_run, "n_workers": None if self.ray is not None else model.n_workers}
            return self._train_seeds(folder, seeds, plan, kept)
        from fastars.cli.training import TrainingRun

        with in_use(folder):
            run = TrainingRun(model, folder, plan, named, self.progress)
            run.compilation = compilation
            run.run(of_run)
        return 0

    def _not_given(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a file, without the ones that were given."""
        if self.total_timesteps is not None:  # then the iterations of the file are no limit, as for `fastars resume`
            options["iterations"] = self.iterations
        if self.seeds is not None:
            options["seed"] = self.seed
        return {name: value for name, value in options.items() if name == "settings" or getattr(self, name) in (None, "", ())}

    def _train_seeds(self, folder: Path, seeds: Sequence[int], plan: Plan, of_run: Mapping[str, Any]) -> int:
        """Begin the run of each seed, and then go on with all of them, as `fastars resume` does."""
        from fastars.cli.seed_runs import begin_seeds  # these import NumPy, and `--help` imports this module
        from fastars.cli.training import TrainingRun

        def new_run(seed: int, of_seed: Path) -> TrainingRun:
            model = self._model(seed, is_alone=True)
            return TrainingRun(model, of_seed, plan, env_options(model, self.env, self.env_kwargs))

        with in_use(folder):
            begin_seeds(folder, seeds, new_run, of_run)
        return Resume(
            run_folder=folder,
            trust=True,
            env=self.env,
            env_kwargs=self.env_kwargs,
            n_threads=self.n_threads,
            n_workers=self._workers(),
            ray=self.ray,
            progress=self.progress,
        ).run()

    def _workers(self) -> int | None:
        """Return the number of processes asked for. The original's --n_workers are threads where kernels run the episodes."""
        from fastars.envs import compiled_env_ids

        is_either = self.ray is None and self.n_workers == self.n_threads and self.env in compiled_env_ids()
        return None if is_either else self.n_workers

    def _plan(self, most_steps: int) -> Plan:
        """Return the plan of the options, completed to suit the environment. An iteration takes at most `most_steps` steps."""
        total, eval_freq, eval_episodes = self.total_timesteps, self.eval_freq, self.eval_episodes
        if total is None:
            total = timesteps(self.env) if self.iterations is None else self.iterations * most_steps
        if eval_freq is None:
            eval_freq = max(total // _N_EVALUATIONS, 1)
        if eval_episodes is None:
            eval_episodes = usual_eval_episodes(self.env)
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

    def _model(self, seed: int | None = None, is_alone: bool = False) -> ARS:
        """Return the model of the options, or of another seed. Alone, it has no processes: they belong to runs that go on."""
        kwargs = parse_kwargs(item for items in self.env_kwargs for item in items)
        import gymnasium

        from fastars.ars import ARS

        env = environment(self.env, kwargs)
        settings = self.settings.resolved()
        if self.init is not None:
            settings |= start_settings(self.init, self.settings)
        settings.setdefault("policy", "LinearPolicy")
        settings |= {"n_workers": 1} if is_alone else {"n_workers": self._workers(), **connect(self.ray)}
        settings |= {"n_threads": self.n_threads, "seed": self.seed if seed is None else seed}
        model = ARS(env=env, backend=self.backend, **settings)
        if isinstance(env, gymnasium.Env):
            env.close()
        self._warn_of_idle_preset(model)
        return model

    def _warn_of_idle_preset(self, model: ARS) -> None:
        """Warn of a preset that the user named for its hyperparameters, if it has none for this environment."""
        from fastars.training.config import suited_settings  # it imports NumPy, and `--help` imports this module

        name, variant = self.settings.preset or "", self.settings.variant
        known = environments(name)
        if not known or suited_settings(name, model.env_id, variant):
            return
        text = f"the preset {name} has no hyperparameters for {model.env_id}"
        if task_name(model.env_id) not in known:
            warnings.warn(f"{text}, and the usual defaults are taken; it has some for {', '.join(known)}", stacklevel=2)
        elif rows(name, model.env_id):
            warnings.warn(f"{text} in the variant {variant}, and the usual defaults are taken", stacklevel=2)


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


COMMANDS: dict[str, Any] = {
    "train": Train,
    "resume": Resume,
    "tune": Tune,
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
    """Return the sub-command with its options. For --help, tyro ends the process.

    Raises
    ------
    WrongUseError
        If there is no such sub-command or option, or a value is not allowed.
    """
    description = (
        "Augmented Random Search in compiled kernels. Begin with `fastars train CartPole-v1`. "
        "--version prints the version. --traceback shows where an error came from."
    )
    words = put_right(translate(arguments), COMMANDS)
    said = io.StringIO()
    try:
        with laid_out(words), contextlib.redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="fastars", description=description, args=words)
    except SystemExit as end:
        if end.code:  # for words that `put_right` let through
            raise WrongUseError(" ".join(_BOX.sub(" ", said.getvalue()).split())) from end
        raise
