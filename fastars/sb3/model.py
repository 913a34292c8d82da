"""The methods that scripts written for stable-baselines3 call on a model: environments, parameters by name, the log.

Names, arguments and meanings are the same as there.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, ClassVar

import gymnasium
from gymnasium.vector import VectorEnv

from fastars._compiled.structs import Rollouts
from fastars._runtime.shared_generators import seed_generators
from fastars._runtime.signals import HeldSignals, OpenSignals
from fastars._validate import integer, positive_int, user_facing, warn_user
from fastars.envs import CompiledEnv, environment
from fastars.envs.absent import AbsentEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv
from fastars.logger import Logger, configure, tb_log_folder
from fastars.sb3.attributes import SB3Attributes
from fastars.sb3.log import logger_of_theirs
from fastars.sb3.parameters import named_weights, weights_with
from fastars.sb3.seeding import seed_given
from fastars.sb3.subclassing import warn_of_uncalled
from fastars.sb3.training_env import make_rendering, training_env
from fastars.sb3.vec_env import EnvInput, unwrap_env
from fastars.training.failures import FailureLog
from fastars.training.iteration_rows import Row
from fastars.training.physics import with_physics_of_run
from fastars.training.policy_classes import ALIASES
from fastars.training.policy_modules import imported_torch
from fastars.training.run import Execution
from fastars.training.runner import refuse_other_env
from fastars.training.state import CurrentState, ObsMoments

_NOT_IN_TENSORBOARD = ("time/time_elapsed", "time/total_timesteps", "train/iterations")  # the step of a row says the same
# The rows that stable-baselines3-contrib prints. All others are in the files.
_PRINTED = (
    *("rollout/ep_len_mean", "rollout/ep_rew_mean", "rollout/return_std", "time/fps", "time/time_elapsed", "time/total_timesteps"),
    *("train/delta_std", "train/iterations", "train/learning_rate", "train/step_size"),
)


class SB3Model(SB3Attributes):
    """Methods of `ARS` for scripts written for stable-baselines3."""

    policy_aliases: ClassVar[dict[str, Any]] = dict(ALIASES)

    tensorboard_log: str | None
    verbose: int
    _current: CurrentState
    _row: Row  # of the last iteration
    _failures: FailureLog
    _training_env: Any
    _is_seeded: bool  # True if the user gave a seed
    _logger: Any
    _episode_file: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        warn_of_uncalled(cls)

    def _setup_model(self) -> None:
        """Do nothing: the constructor, which calls it last, has done it. A subclass may add to it."""

    def _update_info_buffer(self, infos: Any, dones: Any = None) -> None:
        """Do nothing: the state keeps the last episodes. A subclass gets the infos of an iteration's episodes."""

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """Set the progress remaining, of which schedules are functions."""
        self._progress = 1.0 - num_timesteps / total_timesteps

    # --- Environments

    def get_env(self) -> Any:
        """Return the environment as a vector environment in the sense of stable-baselines3.

        It is the given one, if that is a vector environment. Otherwise it is a single environment: in a `DummyVecEnv` where the
        program has imported stable_baselines3, else in a `fastars.sb3.training_env.TrainingEnv` with the same methods. An
        environment that was given as an id renders "rgb_array", where it can. The first reset has the seed of the model, if one was
        given. Rollouts do not run in it. None for a model that was loaded without an environment, and has none yet.
        """
        if isinstance(self.run.env, AbsentEnv):
            return None
        if self._env_input.vec_env is not None:
            return self._env_input.vec_env
        if self._training_env is None:
            self._training_env = training_env(self._one_env())
            if self._is_seeded:
                self._seed_training_env()
        return self._training_env

    @property
    def env(self) -> Any:
        """The result of `get_env`."""
        return self.get_env()

    @env.deleter
    def env(self) -> None:
        """Let go of the environment that `get_env` made; rl_zoo3 deletes it."""
        self._training_env = None

    def _one_env(self) -> gymnasium.Env:
        """Return the environment that the user gave, or one made like it; of several, the first."""
        env: Any = self.run.env
        given = self._env_input.env
        if isinstance(env, EnvTuple):
            env, given = env.envs[0], given[0]
        if isinstance(given, gymnasium.Env):
            return given
        if isinstance(env, CompiledEnv):
            env_id, kwargs = env.gymnasium()
            more = {} if env.spec is not None else {**kwargs, "max_episode_steps": env.max_steps}
            return make_rendering(env_id, **more)
        if isinstance(given, str) and not env.task_names:
            return make_rendering(given)
        made: gymnasium.Env = env.maker()()
        return made

    def get_vec_normalize_env(self) -> Any:
        """Return the `VecNormalize` of stable-baselines3 around the given environment; None if there is none."""
        return self._vec_normalize_env

    @user_facing
    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Go on in another environment with the same spaces.

        Parameters
        ----------
        env : str, gymnasium.Env, VecEnv of stable-baselines3, ...
            As the constructor takes it.
        force_reset : bool
            Without effect: every episode begins with a reset.

        Raises
        ------
        ValueError
            If its spaces, tasks or normalisation differ; the model then keeps its environment.
        """
        given = unwrap_env(env)
        execution = self.run.execution
        found = environment(given.env, execution.compiled, self.config.max_episode_steps, tasks=bool(self.run.env.task_names))
        refuse_other_env(self.run, found)
        if self.config.physics == "lanes":
            found = with_physics_of_run(found, "lanes", None, execution.backend, is_stored=True)
        self._move_to(given, found, execution)

    def take_workers(self, async_eval: Any) -> int:
        """Run an environment in Python in as many processes as an `AsyncEval` has. Returns their number."""
        n_workers = len(getattr(async_eval, "remotes", ())) or positive_int("async_eval.n_workers", async_eval.n_workers)
        execution = self.run.execution
        if isinstance(self.run.env, GymEnv) and isinstance(self.run.env.env, VectorEnv):
            warn_user(f"async_eval has no effect: a {self.env_id} steps its environments by its own means")
        elif not isinstance(self.run.env, CompiledEnv) and n_workers != execution.n_workers:
            self._move_to(self._env_input, self.run.env, dataclasses.replace(execution, n_workers=n_workers))
        return n_workers

    def start_workers(self, wait: bool = False) -> None:
        """Start the worker processes of an environment in Python; they get ready while this process does other things."""
        self.run.sampler.start(wait)

    def _move_to(self, given: EnvInput, env: Any, execution: Execution) -> None:
        """Run in another environment, or with other workers. If that fails, the model stays as it was."""
        if given.normalizer is not None:
            given.normalizer.agreed(self.config.normalize_observations)
        run, before = self.run.in_env(env, given.normalizer, execution), self.run
        try:
            run.sampler.start()
        except BaseException:
            run.close()
            raise
        with HeldSignals():
            self.run, self._env_input, self._training_env = dataclasses.replace(run, is_compared=False), given.recorded(env), None
            self.policy.sees_normalized = given.normalizer is not None
            self._share_statistics()
            self._failures = FailureLog(given.env, env)
        before.close()

    def _share_statistics(self) -> None:
        """Make model and `VecNormalize` hold the same statistics: the wrapper's, if it has seen observations."""
        if self._env_input.normalizer is not None and self.config.normalize_observations:
            moments = self._env_input.normalizer.begin(self.state.moments)
            self._current.state = self.state._replace(moments=ObsMoments(*moments))

    # --- Parameters

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """Return copies of the weights, by the names that they have in stable-baselines3-contrib.

        Returns
        -------
        dict
            `{"policy": {"action_net.0.weight": ..., "action_net.0.bias": ..., "action_net.2.weight": ...}}`, arrays of float64 with
            shapes (outputs, inputs) and (outputs,); tensors of float64, if the program has imported PyTorch.
        """
        torch = imported_torch()
        as_given = (lambda array: array) if torch is None else torch.from_numpy
        return {"policy": {name: as_given(value.copy()) for name, value in named_weights(self.run, self.theta)}}

    @user_facing
    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """Set the weights.

        Parameters
        ----------
        load_path_or_dict : dict or path
            A dict as `get_parameters` returns it, with arrays or PyTorch's tensors; or the file of a model, of fastars or of
            stable-baselines3-contrib.
        exact_match : bool
            False: given names are set, and names that the policy does not have are passed over.
        device
            Without effect.

        Raises
        ------
        ValueError
            If the dict has another key than "policy"; `ParameterMismatchError` for missing or unknown names, and for other shapes.
            The model is then unchanged.
        """
        self.policy.load_from_vector(weights_with(self.run, self.theta, load_path_or_dict, exact_match))

    @user_facing
    def set_random_seed(self, seed: int | None = None) -> None:
        """Let all that is random from now on follow from `seed`; None changes nothing.

        The environments that were given, `get_env()` and their action spaces are seeded, and so are the generators of `random`,
        `np.random` and PyTorch, if that is imported, in this process.
        """
        if seed is not None:
            self.run = self.run.with_seed(integer("seed", seed, 0, 2**64 - 1))
            self._seed_surroundings()

    def _seed_surroundings(self, is_stored: bool = False) -> None:
        """Seed the environments of the user and, but for a model from a file, the generators that the process shares."""
        self._is_seeded = True
        if not is_stored:
            seed_generators(self.seed)
        seed_given(self._env_input, self.run.env, self.seed)
        if self._training_env is not None:
            self._seed_training_env()

    def _seed_training_env(self) -> None:
        self._training_env.seed(self.seed)
        self._training_env.action_space.seed(self.seed)

    # --- The log

    def set_logger(self, logger: Any) -> None:
        """Write the log to `logger` from now on, a logger of fastars or of stable-baselines3."""
        self._logger, self._has_own_logger = logger, True

    @property
    def logger(self) -> Any:
        """The logger that the rows go to."""
        return self._logger

    @property
    def record(self) -> dict[str, float | None]:
        """The row of the last iteration, computed when it is first looked at."""
        return self._row.values

    def dump_logs(self) -> None:
        """Write the row of the last iteration to the log."""
        elapsed = time.perf_counter() - self._call.start if self._call.start else 0.0  # 0 before the first call of learn
        fps = int((self.num_timesteps - self._call.first_step) / max(elapsed, 1e-9))
        self._row.add(lambda: {"time/time_elapsed": elapsed, "time/fps": fps})
        is_ours = isinstance(self._logger, Logger)
        if not (type(self._logger) is Logger and self._logger.is_silent):  # 8 us to record a row that nobody would read
            for key, value in {**self.record, "time/total_timesteps": self.num_timesteps}.items():
                if is_ours or value is not None:  # the logger of stable-baselines3 would print None
                    self._logger.record(key, value, _excluding(key, value))
        with HeldSignals() if is_ours else OpenSignals():
            self._logger.dump(self.num_timesteps)

    def _configure_logger(self, tb_log_name: str, reset_num_timesteps: bool) -> None:
        """Make the log of this call of `learn`, unless the user gave one. It is of theirs if the program has imported it."""
        if self._has_own_logger:
            return
        logger = logger_of_theirs(self.verbose, self.tensorboard_log, tb_log_name, reset_num_timesteps)
        if logger is None and self.tensorboard_log is not None:
            folder = tb_log_folder(self.tensorboard_log, tb_log_name, reset_num_timesteps)
            logger = configure(folder, [*(["stdout"] if self.verbose else []), "tensorboard"])
        if logger is not None:
            self._logger.close()
            self._logger = logger

    def _write_episodes(self, rollouts: Rollouts) -> None:
        """Write episodes into `Monitor` wrappers and the like, and into `monitor_dir`. A full disk loses rows, never the run."""
        try:
            for record in self._env_input.monitors:
                record.write(rollouts.returns, rollouts.lengths)
        except (OSError, ValueError) as error:  # ValueError: the file was closed
            warn_user(f"rows of the Monitor's file are lost, training goes on: {error}", RuntimeWarning)
            self._env_input = self._env_input._replace(monitors=())
        if self._episode_file is not None:
            self._episode_file.write(rollouts.returns, rollouts.lengths)


def _excluding(key: str, value: float | None) -> tuple[str, ...]:
    """Return the outputs that leave a value out: the terminal shows the rows of theirs, and counts of what went wrong."""
    is_printed = (key in _PRINTED and value is not None) or (key.startswith("health/") and bool(value))
    return (*(("tensorboard",) if key in _NOT_IN_TENSORBOARD else ()), *(() if is_printed else ("stdout",)))
