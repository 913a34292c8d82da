"""ARS, the face of a training run: learn, predict, evaluate, save and load.

`learn` is in `learning`; the arithmetic of an iteration in `training.iteration`, a function from one `State` to the next; files in
`training.model_file`; the names of stable-baselines3 in `sb3`.
"""

from __future__ import annotations

import copy
import inspect
import logging
import os
import platform
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastars._compiled.ahead import ended_by_errors
from fastars._compiled.announcing import tell_on_stderr
from fastars._compiled.structs import FloatArray, Rollouts
from fastars._folding import print_line
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.memory import refuse_beyond_memory
from fastars._runtime.signals import HeldSignals
from fastars._validate import MOST_INT64, boolean, count, integer, positive_int, user_facing, warn_user
from fastars._version import __version__
from fastars.learning import Learning
from fastars.logger import Logger
from fastars.logger.monitor import EpisodeWriter
from fastars.samplers.candidates import Candidates
from fastars.samplers.failure import log_missing_returns
from fastars.sb3.attributes import LearnCall
from fastars.sb3.classes import register_with_theirs
from fastars.sb3.other_arguments import unknown_argument
from fastars.sb3.vec_env import unwrap_env
from fastars.training import model_file
from fastars.training.config import SETTINGS, Schedule
from fastars.training.failures import FailureLog
from fastars.training.iteration import Asked, NonFiniteReturnsError, ask, candidates_of, perturbed_thetas
from fastars.training.iteration_rows import Row
from fastars.training.policy import ARSLinearPolicy, ARSPolicy, policy_of_run
from fastars.training.run import Execution
from fastars.training.runner import drawn_seed, make_first_state, make_run
from fastars.training.seeds import evaluation_seeds
from fastars.training.state import CurrentState, State, refuse_other_state
from fastars.training.told import refuse_candidates, told_rollouts

if TYPE_CHECKING:
    from fastars.exchange.start import Start

__all__ = ["ARS", "LinearPolicy", "MlpPolicy", "NonFiniteReturnsError"]

LinearPolicy, MlpPolicy = ARSLinearPolicy, ARSPolicy  # by their names in stable-baselines3-contrib

_LOG = logging.getLogger("fastars")
_OUTSIDE: dict[str, Any] = {"_hearing": None, "_heard_steps": None, "_evaluated": None}  # of a copy, which no call of `learn` runs


class ARS(Learning):
    """Augmented Random Search (Mania, Guy & Recht 2018, arXiv 1803.07055), with rollouts in compiled kernels.

    Names and defaults are the same as in stable-baselines3-contrib's ARS. All that is random is a pure function of `seed` and the
    iteration: a run gives the same bits for any number of threads and any split by `save` and `load`, and each of its episodes can
    be replayed in plain Gymnasium from its seed.

    Where the signature says None, the preset decides. The defaults below are those without a preset.

    Parameters
    ----------
    policy : {"LinearPolicy", "MlpPolicy"} or class
        A class of stable-baselines3-contrib stands for its name. So does one that is derived from `ARSPolicy`, of fastars or of
        stable-baselines3-contrib, and gives it other layers.
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable or VecEnv of stable-baselines3
        An id, an environment, or a function that makes one. It runs in compiled kernels if `fastars.compiled_env_ids()` lists it
        and nothing in it was changed; otherwise in Python. `model.sampler` tells which, and the reason. A VecEnv is taken apart
        where it can be; otherwise its own `reset` and `step` are called. A `VecNormalize` outside of all other wrappers decides how
        observations are normalised and keeps the statistics of the run; `predict` then takes normalised observations.
    n_delta : int, default 8
        Directions per iteration, each tried with both signs.
    n_top : int, optional
        Directions used for the step; default all. More than `n_delta` is a warning, and clamped.
    learning_rate : float or callable, default 0.02
        Step size, or a function that returns it for the progress remaining (1 to 0).
    delta_std : float or callable, default 0.05
        Standard deviation of the exploration noise, or such a function.
    zero_policy : bool, default True
        Start from zero weights; otherwise from random ones.
    alive_bonus_offset : float, default 0
        Added to the training return for every step.
    n_eval_episodes : int, default 1
        Episodes per candidate.
    policy_kwargs : dict, optional
        For a LinearPolicy: `with_bias` (default False), `squash_output` (False). For an MlpPolicy: `net_arch` (default [64, 64]),
        `activation_fn` ("relu", "tanh", "swish" or "linear"; or the classes `ReLU`, `Tanh`, `SiLU`, `Identity` of PyTorch),
        `with_bias` (True), `squash_output` (True).
    seed : int, optional
        Default: drawn from the operating system, and kept in `model.seed`.
        A given seed is also that of the environment's next reset, of its action space, and of the generators of `random`,
        `np.random` and PyTorch, if that is imported, in this process, as in stable-baselines3.
    verbose : int, default 0
        1: a table of the log on stdout, and a line on stderr if kernels must be compiled. A terminal and a notebook always get
        that line.
    stats_window_size : int, default 100
        Episodes in the logged means of return and length: the last ones, or all of an iteration if they are more.
    tensorboard_log : str, optional
        Folder for TensorBoard, in which each call of `learn` makes a folder. Needs `fastars[tensorboard]`.
    device : str, default "cpu"
        Accepted for scripts written for stable-baselines3-contrib, without effect: the kernels run on the CPU.
    _init_setup_model : bool, default True
        False, as on loading: memory for training is not looked at before `learn`, and a physics that can't be had is a warning.
    preset : {"fastars", "tuned", "paper", "modestyachts", "rllib", "sb3"}, optional
        The choices to follow where the published implementations differ (`fastars.training.presets`). "tuned" and "paper" also
        set the hyperparameters of environments that they know: the ones `fastars train` uses, and the ones the paper reports.
    variant : {"V1", "V1-t", "V2", "V2-t"}, optional
        Names in the paper: V2 normalises observations, "-t" uses the top directions only. The hyperparameters of a preset belong to
        a variant; without any for this variant, the preset sets its choices only.
    normalize_observations : bool, default False
        Normalise observations by the mean and the deviation of all that training has seen, as `variant="V2"` does.
    backend : {"numba", "numpy"}, default "numba"
        The compiled kernels, or the NumPy reference with a Gymnasium loop (for a compiled environment).
    n_threads : int, optional
        Threads of compiled environments. Default: the CPUs that this process may use, by its affinity, the quota of its container,
        `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS`; on Ray, 1, and this is the number of CPUs of an actor.
    n_workers : int, optional
        Processes that step environments in Python; 1 is this process. Default: as many as a given `SubprocVecEnv` has, otherwise 1.
        They start with the model, which does not wait for them. On Ray: actors, by default as many as fit.
    env_timeout : float or None, default 60
        Seconds after which a step of an environment in a worker process counts as hung; None: never.
    monitor_dir : str, optional
        Folder for `0.monitor.csv`, with return and length of every episode of training.
    compiled : bool, optional
        True: run in compiled kernels or raise. False: run in Python, even if it could be compiled.
    sampler : {"local", "ray"}, default "local"
        The place of the episodes: this machine, or actors of a Ray cluster, with the same results (`docs/ray.md`). Needs
        `fastars[ray]`.
    weighting : str, fastars.weighting.Method or callable, optional
        The weighting of the tasks of a vector reward: "fixed" (by `preference`, or 1 each: the default), "std", "gradnorm" or
        another name in `fastars.weighting.METHODS`; a method, which is copied (`model.objectives.method` is the
        copy); or a function of the tasks' Gram matrix (T, T) and mean returns (T,) that returns weights (T,).
    preference : sequence of float, optional
        Worth of each task to you. Balancing takes away the scales of the rewards; the balanced weights are multiplied by this.
    utopia : sequence of float, optional
        A return of each task that can't be surpassed, for methods that use losses (`fastars.training.objectives`).
    physics : {"mujoco", "lanes"}, optional
        The physics of training episodes in MuJoCo's environments: `mj_step`, with the bits of Gymnasium; or forward dynamics of our
        own over SIMD lanes, many times as fast, which agree with it to rounding (`docs/physics.md`). A model that lanes can't step
        runs through `mj_step`, with a warning. Evaluations are in MuJoCo, always. Default: "mujoco"; with the preset "tuned",
        "lanes" where they are available.
    init : path, array_like, ARS or ARSPolicy, optional
        The policy to start from: weights, layers and statistics of observations are its own, all else is of the new run. A file of
        `save`, of `policy.save`, of stable-baselines3-contrib or of the original, or arrays (`docs/files.md`); an
        array is W (outputs, observations), or all weights in one vector. `zero_policy` then has no effect, and
        `normalize_observations` is as the policy was trained, unless it is given.
    **settings
        Any other field of `fastars.training.config.Config`: `noise_size`, `optimizer`, `momentum`, `weight_decay`,
        `fitness_shaping`, `common_random_numbers`, `max_episode_steps`, `on_nonfinite`, and the choices a preset sets.

    Examples
    --------
    >>> from fastars import ARS
    >>> model = ARS("LinearPolicy", "CartPole-v1", seed=0).learn(100_000)
    >>> model.evaluate(100).returns.mean() > 400
    True
    """

    @user_facing
    @ended_by_errors
    def __init__(
        self,
        policy: Any,
        env: Any,
        n_delta: int | None = None,
        n_top: int | None = None,
        learning_rate: Schedule | None = None,
        delta_std: Schedule | None = None,
        zero_policy: bool | None = None,
        alive_bonus_offset: float | None = None,
        n_eval_episodes: int | None = None,
        policy_kwargs: Mapping[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        seed: int | None = None,
        verbose: int = 0,
        device: str = "cpu",
        _init_setup_model: bool = True,
        *,
        preset: str | None = None,
        variant: str | None = None,
        normalize_observations: bool | None = None,
        backend: str = "numba",
        n_threads: int | None = None,
        n_workers: int | None = None,
        env_timeout: float | None = 60.0,
        monitor_dir: str | os.PathLike[str] | None = None,
        compiled: bool | None = None,
        sampler: str = "local",
        weighting: Any = None,
        preference: Sequence[float] | None = None,
        utopia: Sequence[float] | None = None,
        physics: str | None = None,
        init: Any = None,
        **settings: Any,
    ) -> None:
        if str(device).partition(":")[0] not in ("cpu", "auto"):
            warn_user(f"device={device!r} has no effect: kernels run on the CPU")
        for name in settings:
            if name not in SETTINGS:
                known = (*inspect.signature(ARS).parameters, *SETTINGS)
                raise TypeError(unknown_argument(f"{type(self).__name__}()", name, known))
        arguments = settings | {
            "n_delta": n_delta,
            "n_top": n_top,
            "learning_rate": learning_rate,
            "delta_std": delta_std,
            "zero_policy": zero_policy,
            "alive_bonus_offset": alive_bonus_offset,
            "n_eval_episodes": n_eval_episodes,
            "policy_kwargs": policy_kwargs,
            "seed": drawn_seed() if seed is None else seed,
            "preset": preset,
            "variant": variant,
            "normalize_observations": normalize_observations,
            "weighting": weighting,
            "preference": preference,
            "utopia": utopia,
            "physics": physics,
        }
        policy = self.policy_aliases.get(policy, policy) if isinstance(policy, str) else policy
        given = unwrap_env(env)
        start = None if init is None else _read_start(init)
        arguments |= {} if start is None else start.settings(policy, arguments, given.normalizer is not None)
        n_workers = given.n_processes if n_workers is None and sampler != "ray" else n_workers
        execution = Execution(backend, sampler, compiled, n_threads, n_workers, env_timeout)
        is_stored = not _init_setup_model  # a model from a file acts, whatever its training would need
        of_env = given.normalizer, given.n_processes
        if verbose:
            tell_on_stderr()
        self.run = make_run(policy, given.env, execution, arguments, *of_env, stats_window_size, is_stored)
        if not is_stored:
            self.run.refuse_training_beyond_memory()
        self.run.warn_of_few_places()
        self._env_input, self._training_env, self._is_seeded = given.recorded(self.run.env), None, False
        self._hold(make_first_state(self.run, weighting))
        if start is not None:
            self.restore(start.state(self.run, self.state))
        self._asked: tuple[FloatArray, Asked] | None = None
        self._call, self._progress, self._row = LearnCall(), 1.0, Row()
        self._failures = FailureLog(given.env, self.run.env)
        self._begin_log(verbose, tensorboard_log, monitor_dir, is_quiet=is_stored)
        if seed is not None:
            self._seed_surroundings(is_stored)
        self.start_workers()
        self._setup_model()

    def _begin_log(self, verbose: int, tensorboard_log: Any, monitor_dir: Any, is_quiet: bool) -> None:
        self.verbose = integer("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0)
        self.tensorboard_log = tensorboard_log
        self._logger, self._has_own_logger = Logger(formats=("stdout",) if verbose else ()), False
        self._episode_file = None if monitor_dir is None else EpisodeWriter(Path(monitor_dir) / "0.monitor.csv", self.env_id)
        _LOG.info("%s runs %s", self.env_id, self.sampler.description)
        if self.verbose and not is_quiet:
            print_line(f"{self.env_id} runs {self.sampler.description}")

    # --- The run

    def _hold(self, state: State, policy: ARSPolicy | None = None) -> None:
        """Set the state, and let the policy read its weights from it."""
        self._current = CurrentState(self.backend, self.config, state)
        if policy is None:
            policy = policy_of_run(self.run.env, self.config, self._current, self.backend, self._env_input.normalizer is not None)
        policy.belong_to(self._current, weakref.ref(self))
        self.policy = policy

    def __copy__(self) -> ARS:
        """Return a model with the present state. It shares sampler and files with this one; nothing done to one moves the other.

        Raises
        ------
        TypeError
            For a model in a `VecNormalize`, whose statistics both would move.
        """
        if self.run.normalizer is not None:
            raise TypeError(
                "copy.copy can't copy a model in a VecNormalize, which both would move: use copy.deepcopy, or save and load"
            )
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self), _row=copy.copy(self._row), _logger=copy.copy(self._logger), **_OUTSIDE)
        copied._hold(copy.deepcopy(self.state), copy.copy(self.policy))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), **_OUTSIDE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hold(self.state, self.policy)

    @property
    def state(self) -> State:
        """The run between two iterations, as one value. Assign a state of the same run to go on from there."""
        return self._current.state

    @state.setter
    def state(self, state: State) -> None:
        refuse_other_state(state, self._current.state)
        self._go_to(state)

    def restore(self, state: State) -> None:
        """Go on from the state in a file. A `VecNormalize` that has seen observations keeps its statistics."""
        self._current.state = state
        self._share_statistics()

    # --- Training

    @user_facing
    def ask(self, lazy: bool = False) -> FloatArray | Candidates:
        """Return the candidates of the next iteration, for a loop of your own.

        Parameters
        ----------
        lazy : bool
            True: each candidate is made when it is read, and there is no array of all of them: for large policies.

        Returns
        -------
        ndarray of float64, shape (2 * n_delta, n_weights), or Candidates
            Rows 2i and 2i + 1 are theta + sigma delta_i and theta - sigma delta_i. `Candidates` are read like this array, row by
            row.

        Raises
        ------
        ValueError
            If observations are normalised: returns do not tell the observations. If the candidates would not fit into memory.
        """
        lazy = boolean("lazy", lazy)
        if self.config.normalize_observations:
            raise ValueError("ask() and tell() need normalize_observations=False: the filter gets no observations")
        self.run.refuse_excess(training=True)
        if not lazy:
            self.run.refuse_candidates_beyond_memory()
        self.run.refuse_training_beyond_memory()
        with HeldSignals(), IeeeFloats():
            asked = ask(self.run, self.state, self._progress)
            candidates = (candidates_of if lazy else perturbed_thetas)(self.run, self.state, asked)
        self._asked = self.theta, asked
        return candidates

    @user_facing
    def tell(self, returns: Any, n_steps: int = 0) -> None:
        """Take the step for the returns of the candidates that `ask` gave.

        Parameters
        ----------
        returns : array_like of float, shape (2 * n_delta,), or (2 * n_delta, n_tasks) for several tasks
            In the order of the candidates. Nothing is added to them, so `alive_bonus_offset` has no effect. `on_nonfinite` decides
            about a NaN or infinite return.
        n_steps : int
            Environment steps of all candidates together, for the counters.

        Raises
        ------
        RuntimeError
            Without a preceding `ask`, or if the run has gone on since.
        ValueError
            If the number of returns is wrong; `tell` can then be called again.
        """
        if self._asked is None or self._asked[1].iteration != self.iteration:
            raise RuntimeError("tell() needs the candidates of this iteration: call ask() first")
        theta, asked = self._asked
        if asked.seed != self.seed or not np.array_equal(theta, self.theta):
            raise RuntimeError("tell() needs the seed and the weights that ask() made the candidates from: call ask() again")
        refuse_candidates(n_steps)
        n_steps = count("n_steps", n_steps, 0, MOST_INT64 - self.num_timesteps)
        rollouts = told_rollouts(self.run, self.objectives, returns)
        self._asked = None
        self._commit(self.state, asked, rollouts, n_steps)

    # --- Use

    @user_facing
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return (action, state) for one observation or a batch; the same actions as in rollouts. See `ARSPolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)

    @user_facing
    def evaluate(self, n_eval_episodes: int = 100, seed: int | None = None) -> Rollouts:
        """Evaluate the policy itself, without noise, filter updates or alive bonus, and in MuJoCo where training is over lanes.

        Returns of several tasks are weighted by the preference; `task_returns` has them one by one.

        Parameters
        ----------
        n_eval_episodes : int
            Episodes.
        seed : int, optional
            Episode i starts as `env.reset(seed=seed + i)`. Default: seeds that training does not use, the same at every call.

        Returns
        -------
        Rollouts

        Raises
        ------
        fastars.CheckpointError
            If the model was loaded without an environment, and has none yet.
        """
        n_eval_episodes = positive_int("n_eval_episodes", n_eval_episodes)
        self.run.refuse_absent_env()
        self.run.refuse_excess(training=False)
        refuse_beyond_memory(f"n_eval_episodes={n_eval_episodes} episodes", 64.0 * n_eval_episodes)
        if seed is None:
            seeds = evaluation_seeds(self.seed, n_eval_episodes)
        else:
            first = integer("seed", seed, 0, 2**64 - n_eval_episodes)
            seeds = np.arange(n_eval_episodes, dtype=np.uint64) + np.uint64(first)
        candidates = self.theta[np.newaxis]
        on_failure = self._failures.listener(self.run, self.state, candidates, seeds, self._log_folder)
        utility = None if self.objectives is None else self.objectives.utility
        with HeldSignals():
            rollouts = self.run.evaluation_sampler.evaluate(candidates, self.policy.filter, seeds, False, utility, on_failure)
            if rollouts.n_failures or rollouts.n_restarts:
                self._go_to(self.state.with_failures(rollouts.n_failures, rollouts.n_restarts))
        log_missing_returns(self.env_id, rollouts)
        return rollouts

    # --- Files

    @user_facing
    def save(self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Write the whole run to one file, which `load` continues bit for bit. The file before it survives any error.

        A schedule given as a function is stored as its value at the start: pass it to `load` again.

        Parameters
        ----------
        path : str, path or binary file
            A path without a suffix gets `.zip`.
        exclude : iterable of str, optional
            "verbose" and "tensorboard_log" can be left out: a model that is loaded then has their defaults. Other names have no
            effect, as a file holds exactly what the run needs.
        include : iterable of str, optional
            Names that stay, though they are in `exclude`.
        """
        left_out = set(exclude or ()) - set(include or ())
        folder = None if not self.tensorboard_log or "tensorboard_log" in left_out else os.fspath(self.tensorboard_log)
        log = model_file.LogSettings(0 if "verbose" in left_out else int(self.verbose), folder)
        model_file.save(path, self.run, self.state, log, self.policy.sees_normalized)

    @classmethod
    @user_facing
    def load(
        cls,
        path: Any,
        env: Any = None,
        device: Any = "auto",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        trust: bool = False,
        **settings: Any,
    ) -> ARS:
        """Return a model from a file of `save`, or of stable-baselines3-contrib's ARS. Nothing in the file is executed.

        Parameters
        ----------
        path : str, path or binary file
            The file.
        env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable or VecEnv of stable-baselines3, optional
            Default: the environment that the file names. Where an id does not describe it (wrappers, changed attributes, in Python
            other arguments than the registered ones), where the id is not registered here, and for a file of
            stable-baselines3-contrib, which names none, the model has no environment: `predict` works, and `learn` asks for
            `set_env`.
        custom_objects : dict, optional
            Its "learning_rate" (or "lr_schedule") and "delta_std" (or "delta_std_schedule") are used like arguments of these names.
        device, force_reset
            Without effect.
        trust : bool
            You know who made the file: its counts have no limits (`SECURITY.md`), its log goes to the folder that it names, and
            what it leads to is read: an XML file of MuJoCo's that its environment was made from, and the pickle of a `VecNormalize`
            that stable-baselines3 put beside its model (`fastars.exchange.read`).
        print_system_info : bool
            Print the versions of Python and packages.
        **settings
            Arguments of the constructor to change: hyperparameters, schedules, `n_threads`, `n_workers`, `sampler`, `env_timeout`,
            `backend`, `physics`, `verbose`, `tensorboard_log`, `monitor_dir`, `stats_window_size`.

        Raises
        ------
        fastars.CheckpointError
            If the file holds no model, is damaged or from a newer version; or if its environment has to be given, as the file is of
            a version that kept no spaces.
        ValueError, TypeError
            For another policy than in the file, or a setting that can't be changed.
        """
        if print_system_info:
            print_line(f"Python {platform.python_version()}, fastars {__version__}, NumPy {np.__version__}")
        for name, value in (custom_objects or {}).items():
            if name in _CUSTOM_OBJECTS:
                settings.setdefault(_CUSTOM_OBJECTS[name], value)
        from fastars import exchange  # here: most programs read no file of another program

        if exchange.is_foreign(path):
            trained = exchange.read_quietly(path, trust)
            return exchange.to_model(trained, env, model_class=cls, trust=trust, **settings)
        model: ARS = model_file.load(cls, path, env, settings, trust)
        return model

    def close(self) -> None:
        """End worker processes and close environments that the run made. The model stays usable, and makes them anew."""
        self.run.close()

    def __repr__(self) -> str:
        config = self.config
        physics = f", physics={config.physics!r}" if config.physics != "mujoco" else ""
        return (
            f"ARS({config.policy!r}, {self.env_id!r}, variant={config.variant!r}, n_delta={config.n_delta}, n_top={config.n_top}, "
            f"seed={config.seed}, num_timesteps={self.num_timesteps}{physics})"
        )


def _read_start(init: Any) -> Start:
    from fastars.exchange.start import read_start  # here: most runs start from nothing, and read no file of another program

    return read_start(init)


register_with_theirs(ARS, ARSPolicy, ARSLinearPolicy)

_CUSTOM_OBJECTS = {
    "learning_rate": "learning_rate",
    "lr_schedule": "learning_rate",
    "delta_std": "delta_std",
    "delta_std_schedule": "delta_std",
}
