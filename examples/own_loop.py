"""Own the loop: ask for candidates, evaluate them any way you like, tell their returns.

Here a plain function drives Gymnasium's environment and rewards what the environment does not: the cart shall stand at x = 1.
"""

import gymnasium
import numpy as np

from fastars import ARS

env = gymnasium.make("CartPole-v1", max_episode_steps=200)
model = ARS("LinearPolicy", "CartPole-v1", policy_kwargs={"with_bias": True}, n_delta=16, delta_std=0.1, learning_rate=0.03, seed=0)


def episode(weights, seed):
    """The sum of 2 - |x - 1| over the steps, their number, and where the cart is in the end."""
    W, b = weights[:8].reshape(2, 4), weights[8:]
    observation, _ = env.reset(seed=seed)
    total, length, ended = 0.0, 0, False
    while not ended:
        observation, _, terminated, truncated, _ = env.step(np.argmax(W @ observation + b))
        total, length, ended = total + 2.0 - abs(observation[0] - 1.0), length + 1, terminated or truncated
    return total, length, observation[0]


for iteration in range(80):
    candidates = model.ask()  # (32, 10): theta + sigma delta, theta - sigma delta, ...
    returns, lengths, _ = zip(*[episode(weights, seed=iteration) for weights in candidates], strict=True)
    model.tell(returns, n_steps=sum(lengths))

_, lengths, places = zip(*[episode(model.theta, seed) for seed in range(1000, 1020)], strict=True)
where = f"x = {np.mean(places):.2f} +- {np.std(places):.2f}"
print(f"{model.num_timesteps} steps; 20 episodes of {np.mean(lengths):.0f} steps, which end at {where}")
