"""Train with many seeds at once: each is a task of Ray, on one thread."""

import numpy as np
import ray

from fastars import ARS

ray.init("local", include_dashboard=False, logging_level="ERROR")  # ray.init("auto") on a node of a cluster


@ray.remote(num_cpus=1)
def final_return(seed):
    """Mean return of 20 episodes after training."""
    model = ARS("LinearPolicy", "CartPole-v1", seed=seed, n_threads=1).learn(100_000)
    return model.evaluate(20, seed=1000).returns.mean()


returns = np.sort(ray.get([final_return.remote(seed) for seed in range(20)]))
quarter = len(returns) // 4
print(f"{len(returns)} seeds: mean {returns.mean():.0f}, interquartile mean {returns[quarter:-quarter].mean():.0f}")
