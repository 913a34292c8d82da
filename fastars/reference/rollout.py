"""Rollouts as a plain Gymnasium loop, one episode after the other."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from .noise import perturb
from .policy import linear_action_scores

RUNNING, TERMINATED, TRUNCATED, NONFINITE = 0, 1, 2, 3


class Moments(NamedTuple):
    """Moments of the observations that were acted on, a row per episode."""

    count: Any  # (m,) observations
    mean: Any  # (m, n_obs)
    m2: Any  # (m, n_obs), sum of squared deviations from the mean


class Rollouts(NamedTuple):
    """What m episodes gave."""

    returns: Any  # (m,), NaN where the status is NONFINITE
    lengths: Any  # (m,), steps
    status: Any  # (m,)
    moments: Moments  # no rows if observations were not tracked


def rollouts(task, filter, weights, seeds, track):
    """Evaluate linear policies, weights (n, n_weights): episode j of m runs candidate j // (m // n) from `reset(seed=seeds[j])`."""
    name, kwargs = task.env.gymnasium()
    env = gymnasium.make(name, max_episode_steps=task.max_steps, disable_env_checker=True, **kwargs)
    per_candidate = len(seeds) // len(weights)
    episodes = [_rollout(env, task, filter, weights[j // per_candidate], int(seed)) for j, seed in enumerate(seeds)]
    env.close()
    n_obs = len(filter.mean)
    moments = [_moments(np.array(observations, np.float64).reshape(-1, n_obs)) for *_, observations in episodes] if track else []
    return Rollouts(
        returns=np.array([episode[0] for episode in episodes], np.float64),
        lengths=np.array([episode[1] for episode in episodes], np.int64),
        status=np.array([episode[2] for episode in episodes], np.int64),
        moments=Moments(
            count=np.array([row[0] for row in moments], np.int64),
            mean=np.array([row[1] for row in moments]).reshape(-1, n_obs),
            m2=np.array([row[2] for row in moments]).reshape(-1, n_obs),
        ),
    )


def _rollout(env, task, filter, weights, seed):
    """One episode: (return, length, status, observations acted on)."""
    total, length, status, observations = 0.0, 0, RUNNING, []
    observation, _ = env.reset(seed=seed)
    while status == RUNNING:
        if not np.isfinite(observation).all():
            status = NONFINITE
            break
        observations.append(observation)
        scores = linear_action_scores(weights, observation, filter, True)
        observation, reward, terminated, truncated, _ = env.step(_action(task, scores))
        total += float(reward)
        length += 1
        if not np.isfinite(reward):
            status = NONFINITE
        elif terminated:
            status = TERMINATED
        elif truncated:
            status = TRUNCATED
    return (np.nan if status == NONFINITE else total), length, status, observations


def _action(task, scores):
    """The action that scores stand for, as the kind of the action space says."""
    kind = type(task.actions).__name__
    if kind == "Argmax":
        return int(task.actions.start + np.argmax(scores))
    action = scores.astype(np.float32)
    return np.clip(action, task.low, task.high) if kind == "Clip" else action


def _moments(observations):
    """Count, mean and sum of squared deviations of observations (m, n_obs)."""
    if len(observations) == 0:
        return 0, np.zeros(observations.shape[1]), np.zeros(observations.shape[1])
    mean = observations.mean(axis=0)
    return len(observations), mean, ((observations - mean) ** 2).sum(axis=0)


def antithetic_rollouts(task, filter, theta, sigma, noise, indices, seeds, track):
    """Evaluate theta + sigma delta_i and theta - sigma delta_i. Without a bias, the zeros at theta's end are not perturbed."""
    n_fixed = 0 if task.policy.with_bias else len(task.low)
    candidates = perturb(theta[: len(theta) - n_fixed], sigma, noise, indices)
    return rollouts(task, filter, np.pad(candidates, ((0, 0), (0, n_fixed))), seeds, track)
