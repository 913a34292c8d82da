"""An optimiser from elsewhere: CMA-ES (`pip install cmaes`) trains a policy, the kernels run a generation's episodes at once."""

import numpy as np
from cmaes import CMA

from fastars import evaluate_candidates

N_EPISODES = 8  # per candidate

optimizer = CMA(mean=np.zeros(18), sigma=0.5, population_size=32, seed=0)  # W (3 actions, 6 observations)
for generation in range(40):
    candidates = np.array([optimizer.ask() for _ in range(optimizer.population_size)])
    seeds = np.tile(np.arange(N_EPISODES) + N_EPISODES * generation, len(candidates))  # the same episodes for all
    rollouts = evaluate_candidates("Acrobot-v1", candidates.repeat(N_EPISODES, axis=0), seeds)
    losses = -rollouts.returns.reshape(len(candidates), N_EPISODES).mean(axis=1)
    optimizer.tell(list(zip(candidates, losses, strict=True)))

best = np.tile(optimizer.mean, (100, 1))
returns = evaluate_candidates("Acrobot-v1", best, seeds=np.arange(10_000, 10_100)).returns
print(f"mean return of 100 episodes {returns.mean():.1f}")
