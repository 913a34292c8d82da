"""Hold the steps of a peer against Gymnasium's, each from the observation before it."""

import gymnasium
import numpy as np

TOLERANCE = 2e-4  # a peer's state may be float32, of which an observation is rounded once more


def state(env_id, observation):
    """Return the state of a classic-control environment of which this is the observation."""
    if env_id == "Pendulum-v1":
        return np.array([np.arctan2(observation[1], observation[0]), observation[2]])
    if env_id == "Acrobot-v1":
        c1, s1, c2, s2, *speeds = observation
        return np.array([np.arctan2(s1, c1), np.arctan2(s2, c2), *speeds])
    return np.array(observation)


def assert_same_steps(env_id, trace, n_envs=8):
    """Compare the transitions of some environments that `trace` gives. Return their number."""
    env, counted = gymnasium.make(env_id).unwrapped, 0
    env.reset(seed=0)
    before, actions, after, counts = (np.asarray(each)[:, :n_envs] for each in trace)
    for step, k in zip(*np.nonzero(counts), strict=True):
        env.state = state(env_id, np.float64(before[step, k]))
        env.steps_beyond_terminated = None  # of CartPole
        action = actions[step, k]
        theirs = env.step(action if action.ndim else int(action))[0]
        np.testing.assert_allclose(after[step, k], theirs, rtol=TOLERANCE, atol=TOLERANCE)
        counted += 1
    return counted
