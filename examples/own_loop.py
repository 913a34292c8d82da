"""Own the loop: ask for candidates, evaluate them any way you like, tell their returns."""

import numpy as np

from fastars import ARS, evaluate_candidates

model = ARS("LinearPolicy", "CartPole-v1", n_delta=16, seed=0)
for iteration in range(30):
    candidates = model.ask()  # (32, 8): theta + sigma delta, theta - sigma delta, ...
    rollouts = evaluate_candidates("CartPole-v1", candidates, seeds=np.arange(32) + 32 * iteration)
    model.tell(rollouts.returns, n_steps=int(rollouts.lengths.sum()))

print(f"{model.num_timesteps} steps, mean return of 100 episodes {model.evaluate(100).returns.mean():.1f}")
