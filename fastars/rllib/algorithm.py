"""RLlib's `ARS`: `train()` runs one iteration and gives a result with RLlib's keys."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import fastars
from fastars._compiled.structs import FloatArray, Rollouts
from fastars.files import checkpoint as checkpoint_file
from fastars.rllib.config import ARSConfig
from fastars.rllib.environments import refuse_unregistered
from fastars.rllib.policy import POLICY_ID, Policy
from fastars.training.stored_env import named

_MODEL, _COUNTS = "model.zip", "algorithm.zip"
_OF_ALGORITHM = ("learning_rate", "delta_std", "n_delta", "n_top", "alive_bonus_offset")
_STREAM = 0x52  # of episodes that evaluate, apart from those of training


class ARS:
    """RLlib's ARS over `fastars.ARS`, without Ray.

    What RLlib got wrong is not copied: workers draw different directions with a seed, too; `episode_reward_mean` is never NaN (the
    first iteration evaluates, whatever `eval_prob` says, and later ones carry the last mean on); to act on an observation does not
    change the filter; `restore` goes on bit for bit.

    Parameters
    ----------
    config : ARSConfig or dict
        RLlib's keys.
    env : str, callable or class, optional
        Instead of the one in `config`.

    Attributes
    ----------
    model : fastars.ARS
        What trains.
    iteration : int
        Iterations done.
    """

    def __init__(self, config: ARSConfig | Mapping[str, Any] | None = None, env: Any = None, **_: Any) -> None:
        own = config.copy() if isinstance(config, ARSConfig) else ARSConfig().update_from_dict(config or {})
        if env is not None:
            own.env = env
        arguments = own.arguments()
        self._config = own
        self.model = fastars.ARS(**arguments)
        if not self.model.is_compiled and own.num_rollout_workers > 1:
            self.model.close()
            self.model = fastars.ARS(**{**arguments, "seed": self.model.seed}, n_workers=own.num_rollout_workers)
        self._rewards: list[float] = []  # mean returns of the iterations that evaluated, the last ones
        self._length = 0.0  # mean length of the last episodes that evaluated
        self._timesteps = 0
        self._seconds = 0.0

    @classmethod
    def get_default_config(cls) -> ARSConfig:
        """The settings that hold where nothing else is said."""
        return ARSConfig()

    @property
    def config(self) -> dict[str, Any]:
        """The settings."""
        return self._config.to_dict()

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.model.iteration

    training_iteration = iteration

    def train(self) -> dict[str, Any]:
        """One iteration.

        Returns
        -------
        dict
            `episode_reward_mean`, `episode_len_mean` (also under `sampler_results`) of the unperturbed policy;
            `timesteps_this_iter`, `timesteps_total`, `episodes_total`, `training_iteration`, `time_this_iter_s`, `time_total_s`,
            `done`, `config`; where `evaluation_interval` says so, `evaluation`; and `info` with `weights_norm` and `grad_norm`
            (sums of squares), `weights_std`, `update_ratio` (infinite if the weights were 0), `episodes_this_iter`,
            `episodes_so_far`.
        """
        start, model = time.perf_counter(), self.model
        self._evaluate_sometimes()
        steps, episodes = model.num_timesteps, model.num_episodes
        model.learn(1, reset_num_timesteps=False)
        this_iter = model.num_timesteps - steps
        self._timesteps += this_iter
        seconds = time.perf_counter() - start
        self._seconds += seconds
        means = {"episode_reward_mean": float(np.mean(self._rewards)), "episode_len_mean": self._length}
        interval = self._config.evaluation_interval
        return {
            **means,
            **(self.evaluate() if interval and model.iteration % interval == 0 else {}),
            "sampler_results": dict(means),
            "episodes_total": model.num_episodes,
            "timesteps_this_iter": this_iter,
            "timesteps_total": self._timesteps,
            "num_env_steps_sampled": self._timesteps,
            "training_iteration": model.iteration,
            "time_this_iter_s": seconds,
            "time_total_s": self._seconds,
            "done": False,
            "date": datetime.now().strftime("%Y-%m-%d_%H-%M-%S"),
            "timestamp": int(time.time()),
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "config": self.config,
            "info": self._info(model.num_episodes - episodes),
        }

    def _info(self, n_episodes: int) -> dict[str, Any]:
        record, theta = self.model.record, self.model.theta
        ratio = record["train/update_ratio"]
        return {
            "weights_norm": float(np.square(theta).sum()),
            "weights_std": float(np.std(theta)),
            "grad_norm": float(record["train/grad_norm_sq"] or 0.0),
            "update_ratio": math.inf if ratio is None else float(ratio),
            "episodes_this_iter": n_episodes,
            "episodes_so_far": self.model.num_episodes,
        }

    def _evaluate_sometimes(self) -> None:
        """Episodes of the policy as it is: of each that RLlib begins, with probability `eval_prob`. The first iteration has one."""
        stream = np.random.SeedSequence(self.model.seed, spawn_key=(_STREAM, self.model.iteration))
        generator = np.random.Generator(np.random.PCG64(stream))
        n_episodes = int(generator.negative_binomial(self.model.n_delta, 1.0 - self._config.eval_prob))
        if n_episodes == 0 and self._rewards:
            return
        rollouts = self.model.evaluate(max(n_episodes, 1), seed=int(generator.integers(2**31)))
        rewards = self._with_offset(rollouts)
        self._rewards = [*self._rewards, float(rewards.mean())][-self._config.report_length :]
        self._length = float(rollouts.lengths.mean())

    def _with_offset(self, rollouts: Rollouts) -> FloatArray:
        return rollouts.returns - abs(self._config.offset) * rollouts.lengths

    def evaluate(self) -> dict[str, Any]:
        """`evaluation_duration` episodes of the policy, the same at each call, under "evaluation"."""
        rollouts = self.model.evaluate(self._config.evaluation_duration)
        rewards = rollouts.returns
        return {
            "evaluation": {
                "episode_reward_mean": float(rewards.mean()),
                "episode_reward_min": float(rewards.min()),
                "episode_reward_max": float(rewards.max()),
                "episode_len_mean": float(rollouts.lengths.mean()),
                "episodes_this_iter": len(rewards),
            }
        }

    # --- The policy

    def compute_single_action(self, observation: Any, *args: Any, full_fetch: bool = False, **kwargs: Any) -> Any:
        """The action for an observation; with `full_fetch`, (action, [], {})."""
        action = self.model.predict(observation)[0]
        return (action, [], {}) if full_fetch else action

    def get_policy(self, policy_id: str = POLICY_ID) -> Policy:
        """The policy, by the only id there is."""
        if policy_id != POLICY_ID:
            raise ValueError(f"ARS has no policy {policy_id!r}; it has {POLICY_ID!r}")
        return Policy(self.model)

    def get_weights(self, policies: Any = None) -> dict[str, FloatArray]:
        """Flat weights by the id of the policy."""
        return {POLICY_ID: self.get_policy().get_flat_weights()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set what `get_weights` gave."""
        self.get_policy().set_flat_weights(weights[POLICY_ID])

    # --- Files

    def save(self, checkpoint_dir: str | os.PathLike[str] | None = None) -> SavedFolder:
        """Write the run into a folder of its own in `checkpoint_dir` (default: the current one).

        Returns
        -------
        str
            The path of the folder. It has the attributes of Ray's result, too: `checkpoint.path`. `restore` continues it bit for
            bit, `from_checkpoint` makes the algorithm anew, and `fastars.ARS.load` reads the `model.zip` in it.
        """
        folder = Path(checkpoint_dir or ".") / f"checkpoint_{self.iteration:06d}"
        self.save_into(folder)
        return SavedFolder(folder)

    def save_into(self, folder: str | os.PathLike[str]) -> None:
        """Write the run into this folder itself."""
        folder = Path(folder)
        self.model.save(folder / _MODEL)
        state = {"iteration": self.iteration, "rewards": self._rewards, "length": self._length}
        state |= {"timesteps": self._timesteps, "seconds": self._seconds, "kind": "rllib", "config": self._config.stored()}
        checkpoint_file.save(folder / _COUNTS, state, {})

    @classmethod
    def from_checkpoint(cls, checkpoint: Any, config: ARSConfig | Mapping[str, Any] | None = None) -> ARS:
        """The algorithm that wrote a checkpoint, which goes on with the run bit for bit.

        Parameters
        ----------
        checkpoint : str, path, or what `save` gave
            The folder.
        config : ARSConfig or dict, optional
            Its settings. They have to be given where a file can't hold them: if the environment is a function or a class.

        Raises
        ------
        FileNotFoundError, fastars.CheckpointError
            If the folder does not hold one.
        ValueError
            For settings that are missing, and as for `restore`.
        """
        folder = _folder_of(checkpoint)
        if config is None:
            state, _ = checkpoint_file.load(folder / _COUNTS)
            with named(folder / _COUNTS, "an algorithm"):
                stored = dict(state.get("config", {}))
                config = ARSConfig().update_from_dict(stored)
                if "env" in stored:
                    refuse_unregistered(stored["env"], stored.get("env_config"))
            if missing := [name for name in ("env", "env_config") if name not in stored]:
                raise ValueError(f"{folder}: its {' and '.join(missing)} could not be put into the file: give config=...")
        algorithm = cls(config)
        try:
            algorithm.restore(folder)
        except BaseException:
            algorithm.stop()
            raise
        return algorithm

    def restore(self, checkpoint_path: Any) -> None:
        """Go on with the run in a folder that `save` wrote.

        Step size, noise, episodes and offset are those of this algorithm, so that Tune can change them between a checkpoint and its
        continuation; seed and noise table are those of the run.

        Raises
        ------
        fastars.CheckpointError
            If the folder does not hold one; the algorithm is then unchanged.
        ValueError
            If the run has another policy, filter or environment.
        """
        folder = _folder_of(checkpoint_path)
        state, _ = checkpoint_file.load(folder / _COUNTS)
        with named(folder / _COUNTS, "an algorithm"):
            rewards, length = [float(reward) for reward in state["rewards"]], float(state["length"])
            timesteps, seconds = int(state["timesteps"]), float(state["seconds"])
        fresh = self._config.arguments()
        own = {name: fresh[name] for name in _OF_ALGORITHM}
        model = fastars.ARS.load(folder / _MODEL, env=fresh["env"], n_workers=self.model.n_workers, **own)
        try:
            if state.get("kind") != "rllib" or state.get("iteration") != model.iteration:
                raise fastars.CheckpointError(f"{folder}: {_COUNTS} and {_MODEL} are not of the same iteration")
            self._refuse_other_policy(folder, model)
        except ValueError:
            model.close()
            raise
        self.model.close()
        self.model = model
        self._rewards, self._length, self._timesteps, self._seconds = rewards, length, timesteps, seconds

    def _refuse_other_policy(self, folder: Path, model: fastars.ARS) -> None:
        theirs, own = model.config, self.model.config
        if model.theta.shape != self.model.theta.shape or theirs.policy != own.policy:
            raise ValueError(f"{folder}: its policy has {model.n_weights} weights, that of this algorithm {self.model.n_weights}")
        if theirs.normalize_observations != own.normalize_observations:
            raise ValueError(f"{folder}: observation_filter must be that of the run, got {self._config.observation_filter!r}")

    def stop(self) -> None:
        """End worker processes."""
        self.model.close()

    def __repr__(self) -> str:
        return f"ARS({self.model!r})"


class SavedFolder(str):
    """A path, and what scripts for Ray 2.7 and later ask its result of `save` for: `checkpoint.path`."""

    @property
    def checkpoint(self) -> SavedFolder:
        """The folder."""
        return self

    @property
    def path(self) -> str:
        """Its path."""
        return str(self)


def _folder_of(checkpoint: Any) -> Path:
    """The folder of a path, of a checkpoint of Ray's, or of a result that has one."""
    found = getattr(checkpoint, "checkpoint", checkpoint)
    return Path(getattr(found, "path", found))
