"""A MuJoCo task of your own, compiled: a ball rolls on a beam, a motor tilts the beam, and the ball must stay on it.

The model is MJCF, the task three functions. They are compiled into the rollout kernel to train with, and run as plain Python in the
Gymnasium environment that `task.make()` gives: the returns are the same.
"""

from typing import NamedTuple

from fastars import ARS, MujocoTask, evaluate_policy

MODEL = """
<mujoco model="ball on beam">
  <option timestep="0.005"/>
  <worldbody>
    <body name="beam">
      <joint name="tilt" axis="0 1 0" damping="0.05"/>
      <geom type="box" size="0.5 0.05 0.01" mass="0.5"/>
    </body>
    <body name="ball" pos="0 0 0.05">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <joint name="roll" axis="0 1 0"/>
      <geom type="sphere" size="0.04" mass="0.1"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="tilt" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
  <sensor>
    <framepos objtype="body" objname="ball" reftype="body" refname="beam"/>
    <framelinvel objtype="body" objname="ball" reftype="body" refname="beam"/>
  </sensor>
</mujoco>
"""


class Beam(NamedTuple):
    half_length: float  # m
    control_cost: float


def observe(beam, sim, observation):
    observation[0] = sim.qpos[0]  # the beam's tilt, rad
    observation[1] = sim.qvel[0]
    observation[2] = sim.sensordata[0]  # where the ball is along the beam, m
    observation[3] = sim.sensordata[3]


def reward(beam, sim, action, before):
    offset = sim.sensordata[0] / beam.half_length
    return 1.0 - offset * offset - beam.control_cost * action[0] * action[0]


def terminated(beam, sim):
    return abs(sim.sensordata[0]) > beam.half_length


task = MujocoTask(
    MODEL,
    observe,
    reward,
    terminated,
    n_obs=4,
    constants=Beam(half_length=0.5, control_cost=0.01),
    frame_skip=4,
    max_episode_steps=500,
    reset_noise_scale=0.05,
    name="BallOnBeam-v0",
)

if __name__ == "__main__":
    model = ARS("LinearPolicy", task, n_delta=8, delta_std=0.5, learning_rate=0.1, seed=1)
    lengths = model.evaluate(20, seed=100).lengths
    print(f"untrained: the ball stays for {lengths.mean() * task.dt:.1f} s")

    model.learn(total_timesteps=100_000)
    ours = model.evaluate(20, seed=100)
    print(f"trained:   the ball stays for {ours.lengths.mean() * task.dt:.1f} s")

    mean, std = evaluate_policy(model, task.make(), n_eval_episodes=20, seed=100)
    print(f"kernels   {ours.returns.mean():.6f} +- {ours.returns.std():.6f}")
    print(f"Gymnasium {mean:.6f} +- {std:.6f}")
