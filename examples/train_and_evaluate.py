"""Train a linear policy on a compiled environment, check it in plain Gymnasium, save it and load it again."""

import tempfile
from pathlib import Path

from fastars import ARS, evaluate_policy

model = ARS("LinearPolicy", "MountainCarContinuous-v0", variant="V2", n_delta=16, delta_std=0.5, learning_rate=0.1, seed=1)
model.learn(total_timesteps=1_000_000)

ours = model.evaluate(20, seed=100)
mean, std = evaluate_policy(model, "MountainCarContinuous-v0", n_eval_episodes=20, seed=100)
print(f"kernels   {ours.returns.mean():.3f} +- {ours.returns.std():.3f}")
print(f"Gymnasium {mean:.3f} +- {std:.3f}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "car.zip"
    model.save(path)
    print(ARS.load(path))
