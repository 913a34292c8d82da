"""The fixed part of a training run: settings, environment, noise and sampler."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from fastars._compiled.structs import FloatArray, LinearPolicy, MlpPolicy
from fastars._runtime.cached import CachedProperty
from fastars._runtime.cpus import available_cpus
from fastars._runtime.memory import refuse_beyond_memory
from fastars._validate import one_of, positive_int, positive_seconds, warn_user
from fastars.envs import CompiledEnv, UnsupportedEnvError
from fastars.envs.absent import AbsentEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.envs.physics_choice import in_mujoco, physics_of
from fastars.files.errors import CheckpointError
from fastars.kernels.policy_layout import n_weights
from fastars.samplers import Sampler, make_sampler
from fastars.samplers.absent import AbsentSampler
from fastars.samplers.noise_table import NoiseTable
from fastars.training.backends import BACKENDS, backend_module
from fastars.training.config import Config
from fastars.training.policy_structure import policy_structure

_MOST_WORKERS = 2**16  # threads or processes
_SAMPLERS = ("local", "ray")
_NOISE_SIZE = 1 << 22
_LARGE_NOISE_SIZE = 1 << 28  # 1 GiB; a policy of more than 4 million weights has fewer places where a direction may start
_BYTES_OF_EPISODE = 64
_COPIES_OF_WEIGHTS = 6  # theta before and after, gradient, step, two slots of an optimizer


class ObsNormalizer(Protocol):
    """A normaliser around the environment that shares its statistics with the run: a `VecNormalize`."""

    @property
    def is_learning(self) -> bool:
        """True if its statistics change with the observations that it sees."""

    def settings(self) -> dict[str, Any]:
        """Return the fields of `Config` that normalise as it does."""

    def agreed(self, normalize_observations: bool | None) -> bool:
        """Return True if observations are normalised; raise ValueError if the setting contradicts the normaliser."""

    def moments(self) -> tuple[int, FloatArray, FloatArray] | None:
        """Return (count, mean, m2) of the observations that it has seen; None if it has seen none."""


@dataclass(frozen=True)
class Execution:
    """Backend, sampler, threads and processes of a run. They do not change its results.

    Attributes
    ----------
    backend : {"numba", "numpy"}
    sampler : {"local", "ray"}
    compiled : bool or None
        True: the environment must run in compiled kernels; False: it runs in Python; None: compiled if it can be.
    n_threads : int or None
        Threads of compiled environments; on Ray, CPUs of an actor.
    n_workers : int or None
        Processes that step environments in Python; on Ray, actors.
    env_timeout : float or None
        Seconds that a call of an environment in a worker process may take; None: for ever.
    """

    backend: str = "numba"
    sampler: str = "local"
    compiled: bool | None = None
    n_threads: int | None = None
    n_workers: int | None = None
    env_timeout: float | None = 60.0

    def __post_init__(self) -> None:
        one_of("backend", self.backend, BACKENDS)
        one_of("sampler", self.sampler, _SAMPLERS)
        if self.on_ray and self.backend == "numpy":
            raise ValueError("sampler must be 'local' with backend 'numpy', got 'ray'")
        for name in ("n_threads", "n_workers"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive_int(name, getattr(self, name), _MOST_WORKERS))
        if self.env_timeout is not None:
            object.__setattr__(self, "env_timeout", positive_seconds("env_timeout", self.env_timeout))

    @property
    def threads(self) -> int:
        """Threads that compute in this process: the given number, or all CPUs that it may use."""
        return self.n_threads or available_cpus()

    @property
    def on_ray(self) -> bool:
        """True if episodes run in actors of a Ray cluster."""
        return self.sampler == "ray"


class Excess(NamedTuple):
    """Reasons to refuse a run from a file, which asks for more than a file may (`file_limits`). An empty text: there is none."""

    training: str = ""
    episodes: str = ""  # in the environment of the run, also for an evaluation


@dataclass(frozen=True, kw_only=True)
class Run:
    """All that stays the same from one iteration to the next.

    Attributes
    ----------
    config : Config
        The settings.
    preset : str
        The preset that they came from.
    env : CompiledEnv, GymEnv, EnvTuple or AbsentEnv
        The environment, as the samplers see it.
    policy : LinearPolicy or MlpPolicy
        The structure of the policy, as the kernels see it.
    execution : Execution
        Threads, processes and other machinery.
    noise : NoiseTable
        The directions.
    sampler : Sampler
        It runs the episodes of training.
    evaluator : Sampler or None
        It runs the episodes of evaluations. None: `sampler` does, as the physics is MuJoCo's.
    normalizer : ObsNormalizer or None
        A `VecNormalize` around the environment.
    stats_window_size : int
        Episodes that the logged mean return is taken over.
    is_compared : bool
        False: its physics is that of a file, and has yet to be compared with MuJoCo.
    excess : Excess
        What its file asks for, and may not.
    """

    config: Config
    preset: str
    env: CompiledEnv | GymEnv | EnvTuple | AbsentEnv
    policy: LinearPolicy | MlpPolicy
    execution: Execution
    noise: NoiseTable
    sampler: Sampler
    evaluator: Sampler | None
    normalizer: ObsNormalizer | None
    stats_window_size: int
    is_compared: bool = True
    excess: Excess = dataclasses.field(default_factory=Excess)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields: modules can't be pickled."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @CachedProperty
    def backend(self) -> ModuleType:
        """`fastars.kernels`, or its NumPy twin `fastars.reference`."""
        return backend_module(self.execution.backend)

    @CachedProperty
    def n_weights(self) -> int:
        """Weights of the policy."""
        return int(n_weights(self.policy, self.env.n_obs, self.env.n_act))

    @CachedProperty
    def n_threads(self) -> int:
        """Threads that compute in this process."""
        return self.execution.threads

    @property
    def updates_obs_stats(self) -> bool:
        """True if training rollouts update the observation statistics."""
        return self.config.normalize_observations and (self.normalizer is None or self.normalizer.is_learning)

    @property
    def evaluation_sampler(self) -> Sampler:
        """The sampler of evaluations, which are never over lanes."""
        return self.sampler if self.evaluator is None else self.evaluator

    def close(self) -> None:
        """Close the samplers. The next use of one opens it again."""
        self.sampler.close()
        if self.evaluator is not None:
            self.evaluator.close()

    def refuse_excess(self, training: bool) -> None:
        """Raise a CheckpointError if the file of the run asks for more than it may: for its episodes, or also for its training."""
        if reason := (self.excess.training if training else "") or self.excess.episodes:
            raise CheckpointError(reason)

    def refuse_absent_env(self) -> None:
        """Raise a CheckpointError if the model was loaded without an environment, and has none yet."""
        if isinstance(self.env, AbsentEnv):
            raise CheckpointError(self.env.reason)

    def refuse_training_beyond_memory(self) -> None:
        """Raise if the episodes of an iteration (seed, return, length, moments), or the noise table, would not fit into memory."""
        config, n_candidates = self.config, 2 * self.config.n_delta
        names = f"n_delta={config.n_delta} and n_eval_episodes={config.n_eval_episodes}"
        of_moments = n_candidates * 16 * self.env.n_obs
        refuse_beyond_memory(names, n_candidates * config.n_eval_episodes * _BYTES_OF_EPISODE + of_moments)
        refuse_beyond_memory(f"noise_size={self.noise.size} numbers", 4 * self.noise.size)

    def warn_of_few_places(self) -> None:
        """Warn if the noise table is hardly larger than the policy."""
        size, n_weights, n_delta = self.noise.size, self.n_weights, self.config.n_delta
        # Directions from fewer places than weights do not span all weights. Of n directions, n / places share the place of another.
        places, wanted = size - n_weights + 1, max(n_weights, 10 * n_delta)
        if places < wanted:
            warn_user(
                f"noise_size={size} has {places} places where a direction of {n_weights} weights can start: directions repeat, and "
                f"some changes of the policy are never tried. Use at least {wanted + n_weights - 1} with n_delta={n_delta}"
            )

    def refuse_candidates_beyond_memory(self) -> None:
        """Raise if an array of all candidates of an iteration would not fit into memory."""
        n_bytes = 16 * self.config.n_delta * self.n_weights
        refuse_beyond_memory(f"n_delta={self.config.n_delta} candidates of {self.n_weights} weights", n_bytes)

    def with_seed(self, seed: int) -> Run:
        """Return the run with another seed for all that is random from now on."""
        config = dataclasses.replace(self.config, seed=seed)
        return dataclasses.replace(self, config=config, noise=_noise_table(config, self.n_weights, self.execution))

    def in_env(self, env: Any, normalizer: ObsNormalizer | None, execution: Execution | None = None) -> Run:
        """Return the run in another environment with the same spaces. Its samplers are new; the old ones stay open.

        The run goes on with the physics of the environment.
        """
        execution = execution or self.execution
        config = dataclasses.replace(self.config, physics=physics_of(env))
        sampler, evaluator = _new_samplers(env, self.policy, config, execution)
        changed = dataclasses.replace(self, config=config, env=env, normalizer=normalizer, execution=execution)
        return dataclasses.replace(changed, sampler=sampler, evaluator=evaluator)


def new_run(
    config: Config,
    env: CompiledEnv | GymEnv | EnvTuple | AbsentEnv,
    execution: Execution,
    preset: str | None,
    normalizer: ObsNormalizer | None,
    stats_window_size: int,
) -> Run:
    """Return the fixed part of a run, with the physics that `env` has.

    Raises
    ------
    ValueError
        If the noise table would be smaller than the policy, or if the policy needs more memory than there is.
    UnsupportedEnvError
        If the backend can't run this environment.
    """
    config = dataclasses.replace(config, physics=physics_of(env))
    policy = policy_structure(config)
    size = int(n_weights(policy, env.n_obs, env.n_act))
    refuse_beyond_memory(f"policy_kwargs with net_arch={list(config.net_arch)}", size * 8 * _COPIES_OF_WEIGHTS)
    noise = _noise_table(config, size, execution)
    sampler, evaluator = _new_samplers(env, policy, config, execution)
    return Run(
        config=config,
        preset=preset or "fastars",
        env=env,
        policy=policy,
        execution=execution,
        noise=noise,
        sampler=sampler,
        evaluator=evaluator,
        normalizer=normalizer,
        stats_window_size=positive_int("stats_window_size", stats_window_size),
    )


def default_noise_size(n_weights: int) -> int:
    """Return the number of entries of the noise table of a policy, if nobody asks for another one."""
    return max(_NOISE_SIZE, min(64 * n_weights, _LARGE_NOISE_SIZE), 2 * n_weights)


def _noise_table(config: Config, n_weights: int, execution: Execution) -> NoiseTable:
    size = config.noise_size or default_noise_size(n_weights)
    if size < n_weights:
        raise ValueError(f"noise_size must be at least the {n_weights} weights of the policy, got {size}")
    return NoiseTable(backend_module(execution.backend), config.seed, size, execution.threads)


def _new_samplers(env: Any, policy: Any, config: Config, execution: Execution) -> tuple[Sampler, Sampler | None]:
    """Return the samplers of training and, if it is another one, of evaluations, which run on this machine."""
    evaluator: Sampler | None = None
    if config.physics == "lanes":
        here = dataclasses.replace(execution, sampler="local", n_threads=None if execution.on_ray else execution.n_threads)
        evaluator = _new_sampler(in_mujoco(env), policy, config, here)
    return _new_sampler(env, policy, config, execution), evaluator


def _new_sampler(env: Any, policy: Any, config: Config, execution: Execution) -> Sampler:
    """Return the sampler of a policy in an environment, with the machinery asked for."""
    how = config.clip_actions, config.squash_output
    if isinstance(env, AbsentEnv):
        return AbsentSampler(env)
    if execution.backend == "numpy":
        if not isinstance(env, CompiledEnv):
            raise UnsupportedEnvError(f"backend 'numpy' needs an environment that is compiled: {env.reason}")
        from fastars.samplers.reference import ReferenceSampler

        return ReferenceSampler(env, env.rollout_spec(policy, *how))
    if execution.on_ray:
        from fastars.samplers.ray import RaySampler

        return RaySampler(env, policy, *how, execution.n_workers, execution.n_threads or 1, execution.env_timeout)
    return make_sampler(env, policy, *how, execution.threads, execution.n_workers or 1, execution.env_timeout)
