"""What scripts written for stable-baselines3 also call on a model: environments, parameters by name, the log.

Names, arguments and meanings are theirs.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np

from fastars import exchange
from fastars._compiled.structs import FloatArray, Rollouts
from fastars._validate import positive_int
from fastars.envs import CompiledEnv, environment, make
from fastars.envs.env_tuple import EnvTuple
from fastars.files import checkpoint
from fastars.kernels.policy import layer_sizes
from fastars.logger import Logger, configure, tb_log_folder
from fastars.sb3.attributes import SB3Attributes
from fastars.sb3.training_env import training_env
from fastars.sb3.vec_env import EnvInput, unwrap_env
from fastars.training.model_file import weights_in
from fastars.training.update import filter_of

# Of a linear policy in files of stable-baselines3-contrib before 1.7.
_OLD_NAMES = {"action_net.weight": "action_net.0.weight", "action_net.bias": "action_net.0.bias"}


_NOT_IN_TENSORBOARD = ("time/time_elapsed", "time/total_timesteps", "train/iterations")  # where the step says the same


class ParameterMismatchError(ValueError, RuntimeError):
    """Parameters don't fit the policy; the message names which. A RuntimeError too, as PyTorch's `load_state_dict` raises."""


class SB3Model(SB3Attributes):
    """The part of `ARS` that is there for scripts."""

    policy_aliases: ClassVar[dict[str, str]] = {"LinearPolicy": "LinearPolicy", "MlpPolicy": "MlpPolicy"}

    sampler: Any
    n_workers: int | None
    _env: Any
    _training_env: Any
    _compiled: bool | None
    _moments: tuple[int, FloatArray, FloatArray]
    _ops: Any
    _logger: Any
    _episode_file: Any
    tensorboard_log: str | None
    verbose: int
    record: dict[str, float | None]
    _noise: Any

    # --- Environments

    def _take_env(self, given: EnvInput, env: Any) -> None:
        raise NotImplementedError

    def _agree_on_statistics(self) -> None:
        """Let model and `VecNormalize` have the same: those of the wrapper, as in stable-baselines3, if it has seen anything."""
        if self._given.normalizer is not None and self.config.normalize_observations:
            self._moments = self._given.normalizer.begin(self._moments)
            self.policy.filter = filter_of(self._ops, self.config, self._moments)

    def get_env(self) -> Any:
        """The environment, as a vector environment in the sense of stable-baselines3.

        The one that was given, if it is one; otherwise a single environment in a `DummyVecEnv`, where the program has imported
        stable_baselines3, or in a `fastars.sb3.training_env.TrainingEnv` with the same methods. Rollouts don't run in it.
        """
        if self._given.vec_env is not None:
            return self._given.vec_env
        if self._training_env is None:
            self._training_env = training_env(self._one_env())
        return self._training_env

    @property
    def env(self) -> Any:
        """What `get_env` gives."""
        return self.get_env()

    @env.deleter
    def env(self) -> None:
        """Let go of the environment that `get_env` made; rl_zoo3 deletes it."""
        self._training_env = None

    def _one_env(self) -> gymnasium.Env:
        """The environment that the user gave, or one made like it; of several, the first."""
        env, given = self._env, self._given.env
        if isinstance(env, EnvTuple):
            env, given = env.envs[0], given[0]
        if isinstance(given, gymnasium.Env):
            return given
        if isinstance(env, CompiledEnv):
            env_id, kwargs = env.gymnasium()
            return make(env_id, **({} if env.spec is not None else {**kwargs, "max_episode_steps": env.max_steps}))
        made: gymnasium.Env = env.maker()()
        return made

    def get_vec_normalize_env(self) -> Any:
        """The `VecNormalize` of stable-baselines3 around the environment that was given; None if there is none."""
        return None if self._given.normalizer is None else self._given.normalizer.vec_normalize

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Go on in another environment, which has the same spaces.

        Parameters
        ----------
        env : str, gymnasium.Env, VecEnv of stable-baselines3, ...
            As the constructor takes it.
        force_reset : bool
            Without effect: every episode begins with a reset.

        Raises
        ------
        ValueError
            If its spaces, tasks or the way it normalises differ; the model then keeps the environment it has.
        """
        given = unwrap_env(env)
        found = environment(given.env, self._compiled, self.config.max_episode_steps, tasks=bool(self._env.task_names))
        for what in ("observation_space", "action_space", "task_names"):
            if getattr(found, what) != getattr(self._env, what):
                raise ValueError(
                    f"the {what} of env does not match that of the model: {getattr(found, what)} != {getattr(self._env, what)}"
                )
        self._take_env(given, found)

    # --- Parameters

    def get_parameters(self) -> dict[str, dict[str, FloatArray]]:
        """Copies of the weights, by the names that they have in stable-baselines3-contrib.

        Returns
        -------
        dict
            `{"policy": {"action_net.0.weight": ..., "action_net.0.bias": ..., "action_net.2.weight": ...}}`, arrays of float64 with
            shapes (outputs, inputs) and (outputs,).
        """
        return {"policy": {name: value.copy() for name, value in self._named_weights(self.policy.weights)}}

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """Set weights, in place.

        Parameters
        ----------
        load_path_or_dict : dict or path
            As `get_parameters` gives it, with arrays or PyTorch's tensors; or the file of a model, of fastars or of
            stable-baselines3-contrib.
        exact_match : bool
            False: those that are given are set, names that the policy does not have are passed over.
        device
            Without effect.

        Raises
        ------
        ValueError
            If the dict has another key than "policy"; `ParameterMismatchError` for missing or unknown names, and for shapes that
            differ. The model is then unchanged.
        """
        given = load_path_or_dict if isinstance(load_path_or_dict, Mapping) else self._parameters_in(load_path_or_dict)
        for key in given:
            if key != "policy":
                raise ValueError(f"Key {key} is an invalid object name: a model has the parameters of its 'policy'")
        if exact_match and "policy" not in given:
            raise ValueError("Names of parameters do not match: expected {'policy'}, got none")
        values = {_OLD_NAMES.get(name, name): _array(value) for name, value in given.get("policy", {}).items()}
        weights = self.policy.weights.copy()
        known = dict(self._named_weights(weights))
        missing, unknown = [[*(known.keys() - values.keys())], [*(values.keys() - known.keys())]]
        if exact_match and (missing or unknown):
            raise ParameterMismatchError(
                f"parameters don't match the policy: missing {', '.join(sorted(missing)) or 'none'}; "
                f"unknown {', '.join(sorted(unknown)) or 'none'}"
            )
        for name in values.keys() & known.keys():
            if values[name].shape != known[name].shape:
                raise ParameterMismatchError(f"{name} must have shape {known[name].shape}, got {values[name].shape}")
            known[name][...] = values[name]
        self.policy.load_from_vector(weights)

    def _parameters_in(self, path: Any) -> dict[str, Any]:
        """The parameters of a model in a file."""
        n_weights = self.policy.weights.size
        weights = exchange.read(path).weights if exchange.is_foreign(path) else weights_in(path, n_weights)
        if weights.size != n_weights:
            raise ParameterMismatchError(f"{checkpoint.name_of(path)}: it has {weights.size} weights, the policy has {n_weights}")
        return {"policy": dict(self._named_weights(weights))}

    def _named_weights(self, weights: FloatArray) -> Iterator[tuple[str, FloatArray]]:
        """Views of flat weights, by name: modules 0, 2, 4, ... are linear, those between them what hidden units do."""
        start, structure = 0, self.policy.structure
        sizes = layer_sizes(structure, self._env.n_obs, self._env.n_act)
        for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
            name = f"action_net.{2 * layer}"
            yield f"{name}.weight", weights[start : start + n_in * n_out].reshape(n_out, n_in)
            start += n_in * n_out
            if structure.with_bias:
                yield f"{name}.bias", weights[start : start + n_out]
                start += n_out

    def set_random_seed(self, seed: int | None = None) -> None:
        """Let all that is random from now on follow from `seed`; None changes nothing."""
        if seed is not None:
            self.config = dataclasses.replace(self.config, seed=operator.index(seed))
            self._noise = None

    # --- The log

    def set_logger(self, logger: Any) -> None:
        """Write the log to `logger`, ours or one of stable-baselines3, from now on."""
        self._logger, self._has_own_logger = logger, True

    @property
    def logger(self) -> Any:
        """Where the log goes."""
        return self._logger

    def dump_logs(self) -> None:
        """Write the row of the last iteration to the log."""
        start_steps, start = self._learn_start
        elapsed = time.perf_counter() - start
        self.record["time/time_elapsed"] = elapsed
        self.record["time/fps"] = (self.num_timesteps - start_steps) / max(elapsed, 1e-9)
        is_ours = isinstance(self._logger, Logger)
        for key, value in self.record.items():
            if is_ours or value is not None:  # theirs would print None
                self._logger.record(key, value, "tensorboard" if key in _NOT_IN_TENSORBOARD else None)
        self._logger.dump(self.num_timesteps)

    def _configure_logger(self, tb_log_name: str, reset_num_timesteps: bool) -> None:
        """A log of this call of `learn`, unless the user gave one."""
        if self._has_own_logger or self.tensorboard_log is None:
            return
        self._logger.close()
        folder = tb_log_folder(self.tensorboard_log, tb_log_name, reset_num_timesteps)
        self._logger = configure(folder, [*(["stdout"] if self.verbose else []), "tensorboard"])

    def take_workers(self, async_eval: Any) -> None:
        """Run an environment in Python in as many processes as an `AsyncEval` has."""
        n_workers = len(getattr(async_eval, "remotes", ())) or positive_int("async_eval.n_workers", async_eval.n_workers)
        if not isinstance(self._env, CompiledEnv) and n_workers != self.n_workers:
            before, self.n_workers = self.n_workers, n_workers
            try:
                self._take_env(self._given, self._env)
            except BaseException:
                self.n_workers = before
                raise

    def start_workers(self, wait: bool = False) -> None:
        """Start the processes of an environment in Python, if it has some: they get ready while this one does other things."""
        if hasattr(self.sampler, "start"):
            self.sampler.start(wait)

    def _write_episodes(self, rollouts: Rollouts) -> None:
        """Rows for the files of `monitor_dir` and of `Monitor` wrappers. A full disk loses them, never the run."""
        try:
            for file in self._given.monitors:
                file.write(rollouts.returns, rollouts.lengths)
        except (OSError, ValueError) as error:  # ValueError: the file was closed
            warnings.warn(f"rows of the Monitor's file are lost, training goes on: {error}", RuntimeWarning, stacklevel=3)
            self._given = self._given._replace(monitors=())
        if self._episode_file is not None:
            self._episode_file.write(rollouts.returns, rollouts.lengths)


def _array(value: Any) -> FloatArray:
    """An array, of a tensor too that PyTorch tracks."""
    detached = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    return np.asarray(detached, np.float64)
