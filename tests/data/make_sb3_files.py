"""Makes the files of stable-baselines3-contrib in this folder, and what its policies do: `python tests/data/make_sb3_files.py`.

`old.zip` is as versions before 1.7 wrote it: the layer of a linear policy has no number, and schedules print nothing.
"""

import io
import json
import zipfile
from collections import OrderedDict
from pathlib import Path

import gymnasium
import numpy as np
import torch
from sb3_contrib import ARS
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

FOLDER = Path(__file__).parent
CASES = {
    "linear": ("LinearPolicy", "Pendulum-v1", {}),
    "bias": ("LinearPolicy", "CartPole-v1", {"with_bias": True}),
    "mlp": ("MlpPolicy", "Pendulum-v1", {"net_arch": [4, 3]}),
    "tanh": ("MlpPolicy", "CartPole-v1", {"net_arch": [3], "activation_fn": torch.nn.Tanh, "with_bias": False}),
}


def main():
    expected = {}
    for name, (policy, env_id, policy_kwargs) in CASES.items():
        env = DummyVecEnv([lambda env_id=env_id: gymnasium.make(env_id)])
        if name == "linear":
            env = VecNormalize(env)
        model = ARS(policy, env, n_delta=3, n_top=2, delta_std=0.3, learning_rate=0.1, seed=1, policy_kwargs=policy_kwargs)
        model.learn(1000)
        model.save(FOLDER / f"sb3_{name}.zip")
        if name == "linear":
            env.save(str(FOLDER / "sb3_linear_vecnormalize.pkl"))
        observations = np.random.default_rng(0).normal(size=(20, *env.observation_space.shape)).astype(np.float32) * 2
        given = env.normalize_obs(observations) if name == "linear" else observations
        expected |= {f"{name}_observations": observations, f"{name}_actions": model.predict(given)[0]}
    np.savez(FOLDER / "sb3_actions.npz", **expected)
    write_old()


def write_old():
    with zipfile.ZipFile(FOLDER / "sb3_bias.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    state = torch.load(io.BytesIO(members["policy.pth"]), weights_only=True)
    file = io.BytesIO()
    torch.save(OrderedDict((name.replace(".0.", "."), tensor) for name, tensor in state.items()), file)
    members["policy.pth"] = file.getvalue()
    data = json.loads(members["data"])
    for name in ("delta_std_schedule", "lr_schedule"):
        del data[name]["value_schedule"]
    members["data"] = json.dumps(data, indent=4).encode()
    with zipfile.ZipFile(FOLDER / "sb3_old.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    main()
