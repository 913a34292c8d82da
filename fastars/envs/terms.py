"""Vectors of reward terms (forward, control, healthy, contact) for environments that report them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.utils import RecordConstructorArgs

from fastars._compiled.structs import FloatArray
from fastars._validate import user_facing
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.rewards import unbounded_rewards

# Names of reward terms in the info of a step of Gymnasium's MuJoCo environments, in its order. Hopper-v4 and Walker2d-v4 report no
# terms; Humanoid-v4 and Ant-v4 report some of them, Ant-v4 not always the same.
TERMS = {
    "Ant-v5": ("reward_forward", "reward_ctrl", "reward_contact", "reward_survive"),
    "HalfCheetah-v4": ("reward_run", "reward_ctrl"),
    "HalfCheetah-v5": ("reward_forward", "reward_ctrl"),
    "Hopper-v5": ("reward_forward", "reward_ctrl", "reward_survive"),
    "Humanoid-v5": ("reward_survive", "reward_forward", "reward_ctrl", "reward_contact"),
    "HumanoidStandup-v4": ("reward_linup", "reward_quadctrl", "reward_impact"),
    "HumanoidStandup-v5": ("reward_linup", "reward_quadctrl", "reward_impact"),
    "InvertedDoublePendulum-v5": ("reward_survive", "distance_penalty", "velocity_penalty"),
    "InvertedPendulum-v5": ("reward_survive",),
    "Pusher-v5": ("reward_dist", "reward_ctrl", "reward_near"),
    "Reacher-v4": ("reward_dist", "reward_ctrl"),
    "Reacher-v5": ("reward_dist", "reward_ctrl"),
    "Swimmer-v4": ("reward_fwd", "reward_ctrl"),
    "Swimmer-v5": ("reward_forward", "reward_ctrl"),
    "Walker2d-v5": ("reward_forward", "reward_ctrl", "reward_survive"),
}


class RewardTerms(gymnasium.Wrapper, RecordConstructorArgs):
    """Wrapper that gives the terms of the reward in place of their total.

    It runs in compiled kernels around an unchanged environment of `TERMS`, with the terms that stand there.

    Parameters
    ----------
    env : gymnasium.Env
    terms : sequence of str, optional
        Keys of a step's `info`, in the order of the vector. Default: the terms of Gymnasium's MuJoCo environment with this id.

    Attributes
    ----------
    reward_space : gymnasium.spaces.Box
        (n_terms,), float64, without bounds.
    reward_dim : int
        Number of terms.
    task_names : tuple of str
        Names of the terms, without `reward_`.

    Raises
    ------
    ValueError
        If `terms` are not given and the environment is not in `TERMS`, if no term is given, or one is given twice.
    TypeError
        If a term is not a text.

    Notes
    -----
    A step's `info["reward"]` is the total. InvertedPendulum-v5 has one term; in HumanoidStandup, the total is 1 more than the sum.

    Examples
    --------
    >>> import fastars, gymnasium
    >>> env = fastars.RewardTerms(gymnasium.make("HalfCheetah-v5"))
    >>> env.task_names
    ('forward', 'ctrl')
    >>> _ = env.reset(seed=0)
    >>> env.step(env.action_space.low)[1].shape
    (2,)
    """

    @user_facing
    def __init__(self, env: gymnasium.Env, terms: Sequence[str] | None = None) -> None:
        RecordConstructorArgs.__init__(self, terms=terms)
        super().__init__(env)
        self.terms = _known_terms(env) if terms is None else _checked_terms(terms)
        self.reward_space, self.task_names = unbounded_rewards(len(self.terms)), _names(self.terms)
        self.reward_dim = len(self.terms)

    def step(self, action: Any) -> tuple[Any, FloatArray, bool, bool, dict[str, Any]]:
        """Take a step; the reward is float64 (n_terms,).

        Raises
        ------
        KeyError
            If a term is not in the step's `info`.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        for term in self.terms:
            if term not in info:
                raise KeyError(
                    f"the info of a step must have {term!r}, a term of its reward; it has {', '.join(info) or 'nothing'}"
                )
        vector = np.array([info[term] for term in self.terms], np.float64)
        return observation, vector, terminated, truncated, {**info, "reward": reward}


def with_terms(compiled: CompiledEnv) -> CompiledEnv:
    """Return an environment in MuJoCo with the terms of its reward in place of their total.

    Raises
    ------
    UnsupportedEnvError
        If the terms are not compiled.
    """
    if compiled.model is None or compiled.id not in TERMS:
        raise UnsupportedEnvError(f"env {compiled.id!r}: its reward is a number, and no terms of it are compiled")
    from fastars.envs.mujoco.terms import Terms

    constants, spec, terms = Terms(compiled.constants.physics, compiled.constants), spec_with_terms(compiled.id), TERMS[compiled.id]
    return compiled._replace(constants=constants, spec=spec, reward_space=unbounded_rewards(len(terms)), task_names=_names(terms))


def spec_with_terms(env_id: str) -> EnvSpec:
    """Return the specification from which `gymnasium.make` makes an environment of `TERMS` with `RewardTerms` around it."""
    spec = copy.deepcopy(gymnasium.spec(env_id))
    spec.additional_wrappers = (WrapperSpec(RewardTerms.__name__, f"{__name__}:{RewardTerms.__name__}", {"terms": None}),)
    return spec


def _known_terms(env: gymnasium.Env) -> tuple[str, ...]:
    env_id = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    if env_id not in TERMS:
        raise ValueError(f"terms must be given as keys of a step's info: the terms of {env_id!r} are not known")
    return TERMS[env_id]


def _checked_terms(terms: Any) -> tuple[str, ...]:
    if isinstance(terms, str) or not all(isinstance(term, str) for term in terms):
        raise TypeError(f"terms must be a sequence of keys of a step's info, got {terms!r}")
    if len(terms) == 0 or len(set(terms)) < len(terms):
        raise ValueError(f"terms must be different keys of a step's info, at least one, got {terms!r}")
    return tuple(terms)


def _names(terms: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(term.removeprefix("reward_") for term in terms)
