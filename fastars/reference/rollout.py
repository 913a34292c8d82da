"""Rollouts as a plain Gymnasium loop, one episode after the other."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from .noise import perturb
from .policy import action_scores, fill_actions

RUNNING, TERMINATED, TRUNCATED, NONFINITE = 0, 1, 2, 3


class Moments(NamedTuple):
    """Moments of the observations that the policy acted on, a row per episode."""

    count: Any  # (m,) observations
    mean: Any  # (m, n_obs)
    m2: Any  # (m, n_obs), sum of squared deviations from the mean


class Rollouts(NamedTuple):
    """Results of m episodes."""

    returns: Any  # (m,), NaN where the status is NONFINITE
    lengths: Any  # (m,), steps
    status: Any  # (m,)
    moments: Moments  # no rows if observations were not tracked
    task_returns: Any  # (m, n_tasks), the sum of each reward where a step gives several
    n_failures: int = 0  # this loop has no second attempts
    n_restarts: int = 0  # and no worker processes


def rollouts(spec, filter, weights, seeds, track):
    """Evaluate candidates, weights (n, n_weights): episode j of m runs candidate j // (m // n) from `reset(seed=seeds[j])`."""
    name, kwargs = spec.env.gymnasium()
    env = gymnasium.make(name, max_episode_steps=spec.max_steps, disable_env_checker=True, **kwargs)
    per_candidate = len(seeds) // len(weights)
    episodes = [_rollout(env, spec, filter, weights[j // per_candidate], int(seed)) for j, seed in enumerate(seeds)]
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
        task_returns=np.array([episode[3] for episode in episodes], np.float64).reshape(len(seeds), -1),
    )


def _rollout(env, spec, filter, weights, seed):
    """Run one episode: (return, length, status, returns of tasks, observations acted on)."""
    reward_weights = np.array(spec.reward_weights, np.float64)
    totals = np.zeros(len(reward_weights))
    total, length, status, observations = 0.0, 0, RUNNING, []
    policy = spec.policy
    if not hasattr(policy, "net_arch"):
        policy = policy._replace(with_bias=True)  # there are zeros in its weights, in place of a bias
    observation, _ = env.reset(seed=seed)
    while status == RUNNING:
        if not np.isfinite(observation).all():
            status = NONFINITE
            break
        observations.append(observation)
        scores = action_scores(policy, weights, observation, filter)
        observation, reward, terminated, truncated, _ = env.step(_action(spec, scores))
        if len(reward_weights):
            with np.errstate(all="ignore"):
                totals += reward
                reward = np.dot(reward, reward_weights)
        total += float(reward)
        length += 1
        if not np.isfinite(reward):
            status = NONFINITE
        elif terminated:
            status = TERMINATED
        elif truncated:
            status = TRUNCATED
    if status == NONFINITE:
        total, totals = np.nan, np.full(len(totals), np.nan)
    return total, length, status, totals, observations


def _action(spec, scores):
    """Return the action for scores as Gymnasium takes it."""
    is_discrete = type(spec.actions).__name__ == "Argmax"
    action = np.empty((1, 1), np.int64) if is_discrete else np.empty((1, len(scores)), np.float32)
    fill_actions(spec.actions, spec.low, spec.high, scores[None], action)
    return int(action[0, 0]) if is_discrete else action[0]


def _moments(observations):
    """Return count, mean and sum of squared deviations of observations (m, n_obs)."""
    if len(observations) == 0:
        return 0, np.zeros(observations.shape[1]), np.zeros(observations.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # `merge_moments` leaves out rows that are not finite
        mean = observations.mean(axis=0)
        return len(observations), mean, ((observations - mean) ** 2).sum(axis=0)


def antithetic_rollouts(spec, filter, theta, sigma, noise, indices, seeds, track):
    """Evaluate the candidates theta +- sigma delta_i. The zeros in place of a linear bias are not perturbed."""
    n_fixed = 0 if spec.policy.with_bias or hasattr(spec.policy, "net_arch") else len(spec.low)
    candidates = perturb(theta[: len(theta) - n_fixed], sigma, noise, indices)
    return rollouts(spec, filter, np.pad(candidates, ((0, 0), (0, n_fixed))), seeds, track)
