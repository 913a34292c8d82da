"""ARS, the trainer: the state of a run and the order of its steps.

Arithmetic on arrays is in `kernels` or, slowly, in `reference`.
"""

from __future__ import annotations

import logging
import math
import operator
import os
import platform
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastars import exchange, kernels, reference
from fastars._compiled.rng import STREAM_EVALUATION, STREAM_WEIGHTS
from fastars._compiled.structs import FAILED, UNSTABLE, FloatArray, NoiseArray, Rollouts, empty_rollouts
from fastars._runtime.cpus import available_cpus
from fastars._runtime.floats import IeeeFloats
from fastars._runtime.signals import HeldSignals, run_in_thread
from fastars._validate import positive_int, positive_seconds, seed_array
from fastars._version import __version__
from fastars.callbacks import close, make_callback, step
from fastars.envs import CompiledEnv, UnsupportedEnvError, environment
from fastars.logger import Logger
from fastars.logger.monitor import EpisodeWriter
from fastars.samplers import make_sampler
from fastars.samplers.noise_table import NoiseTable
from fastars.samplers.reference import ReferenceSampler
from fastars.sb3.model import SB3Model
from fastars.sb3.monitor import EpisodeInfos
from fastars.sb3.vec_env import EnvInput, unwrap_env
from fastars.training import model_file
from fastars.training.config import Config, Schedule, make_config
from fastars.training.diagnostics import Diagnosis, estimate_gradients
from fastars.training.failures import FailureLog
from fastars.training.objectives import Evidence, make_objectives, weighting_settings
from fastars.training.policy import Policy, policy_settings, random_weights
from fastars.training.update import estimate_step, filter_of, optimizer_step

_BACKENDS = ("numba", "numpy")
_SAMPLERS = ("local", "ray")
_NOISE_SIZE = 1 << 22
_MAX_EMPTY_ITERATIONS = 10
_LONG_CALL = 1 << 24  # entries of candidates; new memory takes 5 to 10 ns each, and Ctrl-C would wait

_LOG = logging.getLogger("fastars")


class NonFiniteReturnsError(RuntimeError, ValueError):
    """No pair had finite returns for 10 iterations, every episode of the first one failed, a pair had one that was not and
    `on_nonfinite="raise"`, or the step was not finite.

    A ValueError too, for which rl_zoo3 gives up a set of hyperparameters, and not the search.
    """


class ARS(SB3Model):
    """Augmented Random Search (Mania, Guy & Recht 2018, arXiv 1803.07055), with rollouts in compiled kernels.

    Names and defaults are those of stable-baselines3-contrib's ARS. All that is random is a pure function of `seed` and the
    iteration: a run gives the same bits for any number of threads and however it is split by `save` and `load`, and each of its
    episodes can be replayed in plain Gymnasium from its seed.

    Parameters
    ----------
    policy : {"LinearPolicy", "MlpPolicy"} or class
        A class of stable-baselines3-contrib stands for its name.
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable or VecEnv of stable-baselines3
        An id, an environment, or a function that makes one. It runs in compiled kernels if it is one of those that
        `fastars.compiled_env_ids()` lists, unchanged; otherwise in Python. `model.sampler` says which, and why. Of a VecEnv, the
        environments inside; a `VecNormalize` around them decides how observations are normalised, keeps the statistics of the run,
        and `predict` then takes what comes out of it.
    n_delta : int
        Directions per iteration, each tried with both signs.
    n_top : int, optional
        Directions used for the step; default all. More than `n_delta` is a warning, and clamped.
    learning_rate, delta_std : float or callable
        Step size and exploration noise, or a function of the progress remaining (1 to 0).
    zero_policy : bool
        Start from zero weights.
    alive_bonus_offset : float
        Added to the training return for every step.
    n_eval_episodes : int
        Episodes per candidate.
    policy_kwargs : dict, optional
        Of a LinearPolicy: `with_bias` (default False), `squash_output` (False). Of an MlpPolicy: `net_arch` (default [64, 64]),
        `activation_fn` ("relu"; or "tanh", or torch's classes of these names), `with_bias` (True), `squash_output` (True).
    seed : int, optional
        Default: drawn from the operating system, and kept in `model.seed`.
    verbose : int
        1: a table of the log on the terminal.
    stats_window_size : int
        Episodes that the logged mean return and length are of: the last ones, or all of an iteration if they are more.
    tensorboard_log : str, optional
        Folder for TensorBoard; each `learn` logs to one of its own in it. Needs `fastars[tensorboard]`.
    device, _init_setup_model
        Accepted for scripts written for stable-baselines3-contrib, without effect: the kernels run on the CPU.
    preset : {"fastars", "tuned", "paper", "modestyachts", "rllib", "sb3"}, optional
        Whose choices to follow where the published implementations differ (`fastars.training.config`). "tuned" and "paper" also
        set the hyperparameters of environments that they know: the ones `fastars train` uses, and the ones the paper reports.
    variant : {"V1", "V1-t", "V2", "V2-t"}, optional
        The paper's names: V2 normalises observations, "-t" uses the top directions only. A preset's hyperparameters are of a
        variant; where it has none of this one, it sets its choices only.
    normalize_observations : bool, optional
    backend : {"numba", "numpy"}
        The compiled kernels, or the NumPy reference with a Gymnasium loop (of an environment that is compiled).
    n_threads : int, optional
        Of compiled environments. Default: the CPUs this process may use, by its affinity, the quota of its container,
        `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS`; on Ray, 1, and this is the number of CPUs of an actor.
    n_workers : int, optional
        Processes that step environments in Python; 1 is this process. Default: those of a `SubprocVecEnv`, otherwise 1. They start
        with the model, which waits for none of them. On Ray, actors, as many as fit by default.
    env_timeout : float, optional
        Seconds after which a step of an environment in a worker process is taken to hang; None: never.
    monitor_dir : str, optional
        Folder for `0.monitor.csv`, with return and length of every episode of training.
    compiled : bool, optional
        True: run in compiled kernels or raise. False: run in Python, even if it could be compiled.
    sampler : {"local", "ray"}
        Where episodes run: on this machine, or in actors of a Ray cluster, with the same results (`docs/ray.md`). Needs
        `fastars[ray]`.
    weighting : str, fastars.weighting.Method or callable, optional
        How the tasks of a vector reward are weighted: "fixed" (by `preference`, or 1 each: the default), "std", "gradnorm" or
        another name of `fastars.weighting.METHODS`; a method, of which `model.objectives.method` is then a copy of the model's own;
        or a function of the tasks' Gram matrix (T, T) and mean returns (T,) that gives weights (T,).
    preference : sequence of float, optional
        What each task is worth to you. Balancing takes away the scales that rewards come with; the balanced weights are multiplied
        by this.
    utopia : sequence of float, optional
        A return of each task that can't be surpassed, for methods that use losses (`fastars.training.objectives`).
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

    def __init__(
        self,
        policy: str,
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
        **settings: Any,
    ) -> None:
        if backend not in _BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(map(repr, _BACKENDS))}, got {backend!r}")
        if sampler not in _SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(map(repr, _SAMPLERS))}, got {sampler!r}")
        if sampler == "ray" and backend == "numpy":
            raise ValueError("sampler must be 'local' with backend 'numpy', got 'ray'")
        if n_threads is not None:
            n_threads = positive_int("n_threads", n_threads)
        if device not in ("cpu", "auto"):
            warnings.warn(f"device={device!r} has no effect: kernels run on the CPU", stacklevel=2)
        self._stats_window_size = positive_int("stats_window_size", stats_window_size)
        env_timeout = None if env_timeout is None else positive_seconds("env_timeout", env_timeout)
        if (max_episode_steps := settings.get("max_episode_steps")) is not None:
            max_episode_steps = positive_int("max_episode_steps", max_episode_steps)
        self._on_ray = sampler == "ray"
        self._given = unwrap_env(env)
        n_workers = n_workers if n_workers is None else positive_int("n_workers", n_workers)
        if n_workers is None and not self._on_ray:
            n_workers = self._given.n_processes
        self._compiled = compiled
        self._env = environment(self._given.env, compiled, max_episode_steps, tasks=weighting is not None)
        if not self._on_ray and n_workers != 1 and self._given.n_processes == 1 and isinstance(self._env, CompiledEnv):
            warnings.warn(
                f"n_workers={n_workers} has no effect: {self._env.id} runs in compiled kernels, on n_threads", stacklevel=2
            )
        settings |= policy_settings(policy, policy_kwargs)
        if self._given.normalizer is not None:
            settings = {**self._given.normalizer.settings(), **settings}
            normalize_observations = self._given.normalizer.agreed(normalize_observations)
        weighted = weighting_settings(self._env, weighting, settings.get("weighting_kwargs"), preference, utopia)
        if weighted and alive_bonus_offset:
            raise ValueError(
                f"alive_bonus_offset needs a scalar reward, got {alive_bonus_offset}: a preference says what being alive is worth"
            )
        settings |= weighted
        self.config: Config = make_config(
            preset,
            variant,
            self._env.id,
            n_delta=n_delta,
            n_top=n_top,
            learning_rate=learning_rate,
            delta_std=delta_std,
            zero_policy=zero_policy,
            n_eval_episodes=n_eval_episodes,
            normalize_observations=normalize_observations,
            seed=_entropy() if seed is None else seed,
            **{"alive_bonus_offset": alive_bonus_offset, **settings},
        )
        self.preset = preset or "fastars"
        self.backend = backend
        self.verbose = verbose
        self.policy = Policy(self._env, self.config, backend)
        self.policy.sees_normalized = self._given.normalizer is not None
        self.n_threads, self.n_workers = n_threads or available_cpus(), n_workers
        self._cpus_of_actor = n_threads or 1
        self._env_timeout = env_timeout
        self.sampler = self._sampler()
        self.objectives = make_objectives(self._env, weighting, self.config)
        self._failures = FailureLog(self, self._given.env)
        self.n_weights = self.policy.weights.size
        self._noise_size = self.config.noise_size or max(_NOISE_SIZE, 64 * self.n_weights)
        if self._noise_size < self.n_weights:
            raise ValueError(f"noise_size must be at least the {self.n_weights} weights of the policy, got {self._noise_size}")
        self._noise: NoiseTable | None = None
        self._logger: Any = Logger(formats=("stdout",) if verbose else ())
        self._has_own_logger = False
        self.tensorboard_log = tensorboard_log
        self._episode_file = None if monitor_dir is None else EpisodeWriter(Path(monitor_dir) / "0.monitor.csv", self._env.id)
        self._training_env: Any = None
        _LOG.info("%s runs %s", self._env.id, self.sampler.description)
        if verbose:
            print(f"{self._env.id} runs {self.sampler.description}")
        self._start()
        self.policy.trainer = weakref.ref(self)
        self.start_workers()

    def _take_env(self, given: EnvInput, env: Any) -> None:
        """Run in another environment with the same spaces."""
        if given.normalizer is not None:
            given.normalizer.agreed(self.config.normalize_observations)
        before = self._given, self._env, self.sampler
        self._given, self._env = given, env
        try:
            self.sampler = self._sampler()
            self.start_workers()
        except BaseException:
            self._given, self._env, self.sampler = before
            raise
        before[2].close()
        self.policy.sees_normalized = given.normalizer is not None
        self._agree_on_statistics()
        self._failures = FailureLog(self, given.env)
        self._training_env = None

    def _sampler(self) -> Any:
        env, config, structure = self._env, self.config, self.policy.structure
        if self.backend == "numpy":
            if not isinstance(env, CompiledEnv):
                raise UnsupportedEnvError(f"backend 'numpy' needs an environment that is compiled: {env.reason}")
            return ReferenceSampler(env, env.rollout_spec(structure, config.clip_actions, config.squash_output))
        if self._on_ray:
            from fastars.samplers.ray import RaySampler

            choices = config.clip_actions, config.squash_output
            return RaySampler(env, structure, *choices, self.n_workers, self._cpus_of_actor, self._env_timeout)
        workers = self.n_workers or 1, self._env_timeout
        return make_sampler(env, structure, config.clip_actions, config.squash_output, self.n_threads, *workers)

    def _start(self) -> None:
        """The state of a run before its first iteration."""
        if not self.config.zero_policy:
            stream = np.random.SeedSequence(self.config.seed, spawn_key=(STREAM_WEIGHTS, 0))
            generator = np.random.Generator(np.random.PCG64(stream))
            self.policy.weights = random_weights(self.policy.structure, self._env, generator)
        self.iteration = 0
        self.num_timesteps = 0
        self.num_episodes = 0
        self.num_updates = 0
        self.dropped_pairs = 0
        self.penalized_pairs = 0
        self.unstable_episodes = 0  # that a simulator ended
        self.env_failures = 0  # attempts at an episode in which an environment in Python failed
        self.worker_restarts = 0
        self._empty_iterations = 0
        self._gradient: FloatArray | None = None  # of the last iteration, by all directions
        self._progress_remaining = 1.0
        self._asked: tuple[int, np.ndarray, float] | None = None
        n_obs = self._env.n_obs
        self._moments: tuple[int, FloatArray, FloatArray] = (0, np.zeros(n_obs), np.zeros(n_obs))
        if self._given.normalizer is not None:
            self._moments = self._given.normalizer.moments() or self._moments
        self._recent = np.zeros(0), np.zeros(0, np.int64)  # returns and lengths of the last episodes
        n_slots = 2 if self.config.optimizer == "adam" else 1
        self._slots: list[FloatArray] = [np.zeros(self.n_weights) for _ in range(n_slots)]
        if self.config.normalize_observations:
            self.policy.filter = filter_of(self._ops, self.config, self._moments)
        self.record: dict[str, float | None] = {}

    @property
    def _ops(self) -> Any:
        return kernels if self.backend == "numba" else reference

    # --- What a run is

    @property
    def theta(self) -> FloatArray:
        """Flat weights of the policy, float64 (n_weights,)."""
        return self.policy.weights

    @property
    def seed(self) -> int:
        """The seed of everything random in the run."""
        return self.config.seed

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return self._env.id

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of `gymnasium.make` that the environment was made with, its time limit among them."""
        return {**self._env.kwargs, "max_episode_steps": self._env.max_steps}

    @property
    def is_compiled(self) -> bool:
        """Whether the environment runs in compiled kernels; `model.sampler` says why not."""
        return isinstance(self._env, CompiledEnv)

    @property
    def observation_space(self) -> Any:
        """The environment's observation space."""
        return self._env.observation_space

    @property
    def action_space(self) -> Any:
        """The environment's action space."""
        return self._env.action_space

    @property
    def noise(self) -> np.ndarray:
        """The noise table, float32: all of it, of which a run fills what its directions need; it depends on the seed alone."""
        return self._noise_table.whole()

    @property
    def _noise_table(self) -> NoiseTable:
        if self._noise is None:
            self._noise = NoiseTable(self._ops, self.seed, self._noise_size, self.n_threads)
        return self._noise

    # --- One iteration

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 1,
        tb_log_name: str = "ARS",
        reset_num_timesteps: bool = True,
        async_eval: Any = None,
        progress_bar: bool = False,
    ) -> ARS:
        """Train until at least `total_timesteps` environment steps are done.

        Parameters
        ----------
        total_timesteps : int
            Steps of training episodes; the iteration that reaches it is finished.
        callback : callback, callable or list of these, optional
            Of `fastars.callbacks` or of stable-baselines3; or a function `callback(locals, globals)`, with the model in
            `locals["self"]`. Called once per iteration, after its update; False stops training.
        log_interval : int, optional
            Iterations between rows of the log; None: no rows.
        tb_log_name : str
            Name of this run in `tensorboard_log`.
        reset_num_timesteps : bool
            Count from zero. False continues a loaded or stopped run towards `total_timesteps` more steps.
        async_eval : AsyncEval, optional
            Of fastars or of stable-baselines3-contrib: says in how many processes an environment in Python runs from now on. The
            rollouts are those of fastars.
        progress_bar : bool
            Show progress, speed and the time left. Needs `fastars[cli]`.

        Returns
        -------
        ARS
            This object. KeyboardInterrupt leaves it as it was after the last whole iteration.

        Raises
        ------
        NonFiniteReturnsError
            After 10 iterations in which no pair of candidates had finite returns.
        """
        total_timesteps = positive_int("total_timesteps", total_timesteps)
        watcher = make_callback(callback, progress_bar)
        if async_eval is not None:
            self.take_workers(async_eval)
        if reset_num_timesteps:
            self.num_timesteps = 0
        else:
            total_timesteps += self.num_timesteps
        self._configure_logger(tb_log_name, reset_num_timesteps)
        self._total_timesteps = total_timesteps
        self._learn_start = self.num_timesteps, time.perf_counter()
        watcher.init_callback(self)
        # And not locals(), in which the callback would hold itself, and with it the model and its noise table.
        shown = {"self": self, "total_timesteps": total_timesteps, "log_interval": log_interval, "tb_log_name": tb_log_name}
        watcher.on_training_start(shown, globals())
        try:
            while self.num_timesteps < total_timesteps and self._iterate(watcher, total_timesteps, log_interval):
                pass
        finally:
            close(watcher)
            getattr(self._logger, "flush", lambda: None)()
            if async_eval is not None:
                async_eval.close()
        watcher.on_training_end()
        return self

    def _iterate(self, watcher: Any, total_timesteps: int, log_interval: int | None) -> bool:
        """One iteration: rollouts, update, callbacks, log. False if a callback says stop."""
        self._progress_remaining = 1.0 - self.num_timesteps / total_timesteps
        watcher.on_rollout_start()
        steps_before = self.num_timesteps
        with HeldSignals(), IeeeFloats():
            indices, sigma = self._directions()
            candidates = self._candidates(indices, sigma)
        rollouts = self._evaluate(candidates)
        with HeldSignals(), IeeeFloats():
            self._update(indices, sigma, rollouts)
        self._write_episodes(rollouts)
        watcher.update_locals(_episodes(self.iteration, rollouts))
        goes_on = step(watcher, (self.num_timesteps - steps_before) // self.n_envs)
        watcher.on_rollout_end()
        if log_interval and self.iteration % log_interval == 0:
            self.dump_logs()
        return goes_on

    def ask(self) -> FloatArray:
        """The candidates of the next iteration, for a loop of your own.

        Returns
        -------
        ndarray of float64, shape (2 * n_delta, n_weights)
            Rows 2i and 2i + 1 are theta + sigma delta_i and theta - sigma delta_i.

        Raises
        ------
        ValueError
            If observations are normalised: returns alone don't tell what was observed.
        """
        if self.config.normalize_observations:
            raise ValueError("ask() and tell() need normalize_observations=False: returns don't tell what was observed")
        with HeldSignals(), IeeeFloats():
            indices, sigma = self._directions()
            candidates = self._candidates(indices, sigma)
        self._asked = self.iteration, indices, sigma
        return candidates

    def tell(self, returns: Any, n_steps: int = 0) -> None:
        """Take the step for the returns of the candidates that `ask` gave.

        Parameters
        ----------
        returns : array_like of float, shape (2 * n_delta,), or (2 * n_delta, n_tasks) for several tasks
            In the order of the candidates, with all that should count in them: `alive_bonus_offset` is not added. What a NaN or
            infinite return does, `on_nonfinite` says.
        n_steps : int
            Environment steps they took, for the counters.

        Raises
        ------
        RuntimeError
            Without a preceding `ask`, or if the run has gone on since.
        ValueError
            If the number of returns is wrong; `tell` can then be called again.
        """
        if self._asked is None or self._asked[0] != self.iteration:
            raise RuntimeError("tell() needs the candidates of this iteration: call ask() first")
        if not isinstance(n_steps, (int, np.integer)) or n_steps < 0:
            raise ValueError(f"n_steps must be an integer of at least 0, got {n_steps!r}")
        n_candidates = 2 * self.config.n_delta
        values = np.array(returns, dtype=np.float64)
        if self.objectives is None:
            values = values.ravel()
            if values.size != n_candidates:
                raise ValueError(f"returns must have {n_candidates} entries, got {values.size}")
            rollouts = empty_rollouts(n_candidates, self._env.n_obs, False)._replace(returns=values)
        else:
            if values.shape != (n_candidates, self.objectives.n_tasks):
                raise ValueError(f"returns must have shape ({n_candidates}, {self.objectives.n_tasks}), got {values.shape}")
            rollouts = empty_rollouts(n_candidates, self._env.n_obs, False)
            with np.errstate(over="ignore", invalid="ignore"):
                rollouts = rollouts._replace(returns=values @ self.objectives.weights, task_returns=values)
        _, indices, sigma = self._asked
        self._asked = None
        with HeldSignals(), IeeeFloats():
            self._update(indices, sigma, rollouts, n_episodes=1, n_steps=n_steps)

    def _directions(self) -> tuple[np.ndarray, float]:
        """Where the directions of this iteration stand in the noise table, and their scale."""
        config = self.config
        indices = self._ops.sample_indices(np.uint64(config.seed), self.iteration, config.n_delta, self._noise_size, self.n_weights)
        return indices, self._scheduled("delta_std")

    def _candidates(self, indices: np.ndarray, sigma: float) -> Any:
        if getattr(self.sampler, "takes_perturbed", False):
            from fastars.samplers.perturbed import Perturbed

            return Perturbed(self.theta, sigma, indices, self._noise_table)
        noise = self._noise_table.at(indices, self.n_weights)
        if 2 * len(indices) * self.n_weights < _LONG_CALL:
            return self._ops.perturb(self.theta, sigma, noise, indices)
        return run_in_thread(lambda: self._ops.perturb(self.theta, sigma, noise, indices))

    def _evaluate(self, candidates: FloatArray) -> Rollouts:
        """Roll out every candidate of this iteration."""
        config = self.config
        seeds = self._ops.episode_seeds(
            np.uint64(config.seed), self.iteration, config.n_delta, config.n_eval_episodes, config.common_random_numbers
        )
        with self._failures.of(self, candidates, seeds):
            return self.sampler.evaluate(
                candidates, self.policy.filter, seeds.ravel(), self._tracks, self._reward_weights("weights")
            )

    @property
    def _tracks(self) -> bool:
        """Whether the filter learns from training."""
        normalizer = self._given.normalizer
        return self.config.normalize_observations and (normalizer is None or normalizer.is_learning)

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked for: nobody needs NumPy's warning
    def _update(
        self, indices: np.ndarray, sigma: float, rollouts: Rollouts, n_episodes: int | None = None, n_steps: int | None = None
    ) -> None:
        """From returns to the next theta, filter and counters. Nothing changes before all of it is computed."""
        config, ops = self.config, self._ops
        shape = (config.n_delta, 2, n_episodes or config.n_eval_episodes)
        returns = ops.candidate_returns(
            rollouts.returns.reshape(shape),
            rollouts.lengths.reshape(shape),
            rollouts.status.reshape(shape),
            config.alive_bonus_offset,
        )
        if self.iteration == 0 and (rollouts.status == FAILED).all():
            raise NonFiniteReturnsError(f"{self._env.id} failed in every episode of the first iteration; the log says how")
        n_bad = n_dropped = config.n_delta - int(np.count_nonzero(ops.finite_pairs(returns)))
        if n_bad and config.on_nonfinite == "raise":
            raise NonFiniteReturnsError(f"{n_bad} of {config.n_delta} pairs had a NaN or infinite return; theta is unchanged")
        if n_bad and config.on_nonfinite == "penalize":
            returns = ops.penalized_returns(returns, rollouts.status.reshape(shape))
            n_dropped = config.n_delta - int(np.count_nonzero(ops.finite_pairs(returns)))
        noise = self._noise_table.at(indices, self.n_weights)
        gradient, selected, std, divisor = estimate_step(ops, config, returns, noise, indices, self.n_weights, self.n_threads)
        slots, step, learning_rate = self._slots, 0.0 * gradient, 0.0
        if len(selected):
            learning_rate = self._scheduled("learning_rate")
            slots, step = optimizer_step(ops, config, slots, self.num_updates, gradient, learning_rate, self.theta)
        moments, filter = self._moments, self.policy.filter
        if self._tracks:
            moments = ops.merge_moments(*moments, rollouts.moments)
            filter = filter_of(ops, config, moments)
        info = ops.info(self.theta, gradient, step)
        rows, full_gradient, evidence = self._look(noise, indices, sigma, rollouts, returns, selected)
        theta = self.theta + step
        if not np.isfinite(theta).all():
            largest = float(np.max(np.abs(gradient)))
            raise NonFiniteReturnsError(
                f"the step is not finite (learning_rate {learning_rate:g}, largest gradient {largest:g}); theta is unchanged"
            )

        recent = self._recent_episodes(rollouts)
        if self.objectives is not None and evidence is not None:
            self.objectives.update(evidence)  # a method of the user's may raise

        self.policy.weights, self.policy.filter = theta, filter
        self._slots, self._moments, self._gradient = slots, moments, full_gradient
        self._recent = recent
        if self._given.normalizer is not None and self._tracks:
            self._given.normalizer.follow(moments)
        self.iteration += 1
        self.num_updates += 1 if len(selected) else 0
        self.num_timesteps += int(rollouts.lengths.sum()) if n_steps is None else int(n_steps)
        self.num_episodes += len(rollouts.returns)
        self.dropped_pairs += n_dropped
        self.penalized_pairs += n_bad - n_dropped
        self.unstable_episodes += int(np.count_nonzero(rollouts.status == UNSTABLE))
        self._empty_iterations = self._empty_iterations + 1 if n_dropped == config.n_delta else 0
        self.record = {
            "rollout/ep_rew_mean": _mean(recent[0]),
            "rollout/ep_len_mean": float(recent[1].mean()),
            "rollout/return_std": std,
            "time/total_timesteps": self.num_timesteps,
            "train/iterations": self.iteration,
            "train/delta_std": sigma,
            "train/learning_rate": learning_rate,
            "train/step_size": learning_rate / (divisor * std + config.std_epsilon) if divisor * std > 0 else 0.0,
            "train/grad_norm": info.grad_norm,
            "train/grad_norm_sq": info.grad_norm_sq,
            "train/weights_norm": info.weights_norm,
            "train/weights_std": info.weights_std,
            "train/step_norm": info.step_norm,
            "train/update_ratio": None if math.isnan(info.update_ratio) else info.update_ratio,
            **rows,
            **({} if self.objectives is None else self.objectives.rows()),
            "health/nonfinite_returns": self.dropped_pairs + self.penalized_pairs,
            "health/unstable_episodes": self.unstable_episodes,
            "health/env_failures": self.env_failures,
            "health/worker_restarts": self.worker_restarts,
        }
        if self._empty_iterations >= _MAX_EMPTY_ITERATIONS:
            raise NonFiniteReturnsError(f"no pair of candidates had finite returns for {_MAX_EMPTY_ITERATIONS} iterations")

    def _recent_episodes(self, rollouts: Rollouts) -> tuple[FloatArray, np.ndarray]:
        """Returns and lengths of the last episodes. Those of several tasks are weighted as they are during the whole run."""
        objectives, returns = self.objectives, rollouts.returns
        if objectives is not None and not np.array_equal(objectives.weights, objectives.utility):
            returns = rollouts.task_returns @ objectives.utility
        n_before = max(self._stats_window_size - len(returns), 0)
        before = (each[max(len(each) - n_before, 0) :] for each in self._recent)
        after = returns, rollouts.lengths
        recent_returns, recent_lengths = (np.concatenate(each) for each in zip(before, after, strict=True))
        return recent_returns, recent_lengths

    def _reward_weights(self, which: str) -> FloatArray | None:
        """Weights of the tasks, None for a scalar reward."""
        return None if self.objectives is None else getattr(self.objectives, which)

    def _look(
        self, noise: NoiseArray, indices: np.ndarray, sigma: float, rollouts: Rollouts, returns: FloatArray, selected: np.ndarray
    ) -> tuple[dict[str, float], FloatArray | None, Evidence | None]:
        """What all pairs say of the gradient, selected or not: (rows of the log, it, what the tasks' weights follow from)."""
        if sigma == 0.0 or (self.objectives is None and not self.config.diagnostics):
            return {}, self._gradient, None
        objectives, n_delta = self.objectives, self.config.n_delta
        diagnosis = Diagnosis(self._env.task_names)
        diagnosis.previous = self._gradient
        tasks = returns[:, :, np.newaxis]
        if objectives is not None:
            tasks = rollouts.task_returns.reshape(n_delta, 2, -1, objectives.n_tasks).mean(axis=2)
        sums = self._noise_table.square_sums(self.n_weights)
        estimate = estimate_gradients(self._ops, tasks, noise, sums, indices, sigma, self.n_weights, self.n_threads)
        gradient = estimate.gradients[0] if objectives is None else objectives.weights @ estimate.gradients
        rows = diagnosis.rows(self._ops, estimate, gradient, returns, sigma, selected)
        rows |= diagnosis.spread_rows(self._ops, rollouts.returns.reshape(n_delta, 2, -1), rollouts.lengths.reshape(n_delta, 2, -1))
        if objectives is None or len(estimate.kept) == 0:
            return rows, diagnosis.previous, None
        found, gram, debiased = diagnosis.tasks(self._ops, estimate, tasks, objectives.weights)
        evidence = Evidence(found.returns, found.stds, gram, debiased, len(estimate.kept), self.n_weights)
        return rows | diagnosis.task_rows(found, objectives.weights), diagnosis.previous, evidence

    def _scheduled(self, name: str) -> float:
        """The value of a setting that may be a function of the progress remaining."""
        setting = getattr(self.config, name)
        if not callable(setting):
            return setting
        value = float(setting(self._progress_remaining))
        if not math.isfinite(value) or value < 0.0:
            raise ValueError(f"{name}({self._progress_remaining}) must be a finite number of at least 0, got {value}")
        return value

    # --- Use

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """(action, state) for one observation or a batch; the same actions that the rollout kernels take. See `Policy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)

    def evaluate(self, n_eval_episodes: int = 100, seed: int | None = None) -> Rollouts:
        """Returns of the policy itself, without noise, filter updates or alive bonus; those of several tasks are weighted by the
        preference, and `task_returns` has each.

        Parameters
        ----------
        n_eval_episodes : int
            Episodes.
        seed : int, optional
            Episode i starts as `env.reset(seed=seed + i)`. Default: seeds apart from those of training, the same at every call.

        Returns
        -------
        Rollouts
        """
        n_eval_episodes = positive_int("n_eval_episodes", n_eval_episodes)
        if seed is None:
            stream = np.random.SeedSequence(self.seed, spawn_key=(STREAM_EVALUATION, 0))
            seeds = stream.generate_state(n_eval_episodes).astype(np.uint64)
        else:
            seeds = seed_array([operator.index(seed) + i for i in range(n_eval_episodes)], n_eval_episodes)
        with self._failures.of(self, self.theta[np.newaxis], seeds):
            return self.sampler.evaluate(self.theta[np.newaxis], self.policy.filter, seeds, False, self._reward_weights("utility"))

    # --- Files

    def save(self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Write the whole run to one file, which `load` continues bit for bit. The file before it survives any error.

        A schedule given as a function is stored as its value at the start: pass it to `load` again.

        Parameters
        ----------
        path : str, path or binary file
            A path without a suffix gets `.zip`.
        exclude, include
            Accepted for scripts written for stable-baselines3: a file holds what the run needs, neither more nor less.
        """
        model_file.save(self, path)

    @classmethod
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
        """A model from a file that `save` wrote, or that stable-baselines3-contrib's ARS did. Nothing in the file is executed.

        Parameters
        ----------
        path : str, path or binary file
            The file.
        env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable or VecEnv of stable-baselines3, optional
            Default: the environment the file names. It has to be given where an id doesn't stand for it: one with wrappers, with
            attributes that were changed, or in Python with other arguments than those that are registered; and for a file of
            stable-baselines3-contrib, which does not name its own.
        custom_objects : dict, optional
            Its "learning_rate" (or "lr_schedule") and "delta_std" (or "delta_std_schedule") are used as if they were given by name.
        device, force_reset
            Without effect.
        trust : bool
            Also read the pickle of a `VecNormalize` that stable-baselines3 put beside its model (`fastars.exchange.read`).
        print_system_info : bool
            Print the versions of Python and packages.
        **settings
            Arguments of the constructor to change: hyperparameters, schedules, `n_threads`, `n_workers`, `sampler`, `env_timeout`,
            `backend`, `verbose`, `tensorboard_log`, `monitor_dir`, `stats_window_size`.

        Raises
        ------
        fastars.CheckpointError
            If it is no file of a model, damaged, or of a newer version, or if its environment has to be given.
        ValueError, TypeError
            For a policy other than the one in the file, or a setting that can't be changed.
        """
        if print_system_info:
            print(f"Python {platform.python_version()}, fastars {__version__}, NumPy {np.__version__}")
        for name, value in (custom_objects or {}).items():
            if name in _CUSTOM_OBJECTS:
                settings.setdefault(_CUSTOM_OBJECTS[name], value)
        if exchange.is_foreign(path):
            trained = exchange.read(path, trust)
            return exchange.to_model(trained, env, model_class=cls, **settings)
        model: ARS = model_file.load(cls, path, env, settings)
        return model

    def close(self) -> None:
        """End worker processes and let go of environments that the run made; the model stays usable, and makes them anew."""
        self.sampler.close()

    def __repr__(self) -> str:
        config = self.config
        return (
            f"ARS({config.policy!r}, {self._env.id!r}, variant={config.variant!r}, n_delta={config.n_delta}, n_top={config.n_top}, "
            f"seed={config.seed}, num_timesteps={self.num_timesteps})"
        )


_CUSTOM_OBJECTS = {
    "learning_rate": "learning_rate",
    "lr_schedule": "learning_rate",
    "delta_std": "delta_std",
    "delta_std_schedule": "delta_std",
}


def _episodes(iteration: int, rollouts: Rollouts) -> dict[str, Any]:
    """What callbacks see of an iteration, by the names of local variables in stable-baselines3."""
    returns = rollouts.returns
    infos = EpisodeInfos(returns, rollouts.lengths)
    return {
        "iteration": iteration,
        "rollouts": rollouts,
        "rewards": returns,
        "dones": np.ones(len(returns), bool),
        "infos": infos,
    }


def _entropy() -> int:
    """A seed from the operating system, below 2**32."""
    return int.from_bytes(os.urandom(4), "little")


def _mean(returns: FloatArray) -> float:
    """Mean of the finite returns, NaN if there are none."""
    finite = returns[np.isfinite(returns)]
    return float(finite.mean()) if len(finite) else math.nan
