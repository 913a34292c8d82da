"""Tune the size of steps and of noise: of twelve trials, the worse half is stopped again and again (ASHA)."""

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from fastars.tune import Trainable

ray.init("local", include_dashboard=False, logging_level="ERROR")  # ray.init("auto") on a node of a cluster
space = {
    "env": "CartPole-v1",
    "seed": 0,
    "steps_per_result": 5_000,
    "learning_rate": tune.loguniform(1e-3, 1.0),
    "delta_std": tune.loguniform(1e-3, 1.0),
}
scheduler = ASHAScheduler(time_attr="timesteps_total", max_t=80_000, grace_period=10_000, reduction_factor=2)
best_of = {"metric": "rollout/ep_rew_mean", "mode": "max"}
search = tune.TuneConfig(**best_of, num_samples=12, scheduler=scheduler, reuse_actors=True)  # a process takes seconds to start
results = tune.Tuner(Trainable, param_space=space, tune_config=search, run_config=tune.RunConfig(verbose=0)).fit()

best = results.get_best_result()
print(f"learning_rate {best.config['learning_rate']:.3f}, delta_std {best.config['delta_std']:.3f}: ", end="")
print(f"return {best.metrics['rollout/ep_rew_mean']:.0f}")
stopped = sum(result.metrics["timesteps_total"] < 80_000 for result in results)
print(f"{stopped} of {len(results)} trials were stopped early")
