"""A policy leaves Python: train it, export it as a C header, compile a program around it, and let that drive Gymnasium's CartPole.

The program reads an observation per line and answers with an action. On a robot, sensors and motors take the place of the pipes.
"""

import subprocess

import gymnasium

from fastars import ARS
from fastars.exchange import c_header

PROGRAM = r"""
#include "policy.h"
#include <stdio.h>

int main(void) {
  policy_real observation[POLICY_N_OBS];
  policy_action action[POLICY_N_ACT];
  for (;;) {
    for (int j = 0; j < POLICY_N_OBS; j++)
      if (scanf("%lf", &observation[j]) != 1) return 0;
    policy_act(observation, action);
    printf("%d\n", (int)action[0]);
    fflush(stdout);
  }
}
"""

model = ARS("LinearPolicy", "CartPole-v1", seed=0).learn(100_000)
c_header.write(model, "policy.h")
with open("cart.c", "w") as file:
    file.write(PROGRAM)
subprocess.run(["cc", "-std=c99", "-O2", "-ffp-contract=off", "cart.c", "-o", "cart", "-lm"], check=True)

env = gymnasium.make("CartPole-v1")
with subprocess.Popen(["./cart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as cart:
    observation, _ = env.reset(seed=0)
    n_steps, n_equal, ended = 0, 0, False
    while not ended:
        print(*map(repr, observation.tolist()), file=cart.stdin)
        action = int(cart.stdout.readline())
        n_equal += action == model.predict(observation)[0]
        observation, _, terminated, truncated, _ = env.step(action)
        n_steps, ended = n_steps + 1, terminated or truncated
    cart.stdin.close()
print(f"the program in C balances the pole for {n_steps} steps; {n_equal} of its actions are those of Python")
