"""Subclasses of ARS, written for stable-baselines3-contrib, run with theirs and with ours.

Broken on purpose: evaluate_candidates not called -> both tests red.
"""

import gymnasium
import pytest

sb3_contrib = pytest.importorskip("sb3_contrib", reason="stable-baselines3-contrib is not installed: pip install '.[compat]'")

import torch as th  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402

import fastars  # noqa: E402

both = [sb3_contrib.ARS, fastars.ARS]


def made(cls):
    return cls("LinearPolicy", Monitor(gymnasium.make("CartPole-v1", max_episode_steps=7)), n_delta=3, seed=0)


def test_the_same_methods_are_called_with_the_same_things():
    def script(algorithm):
        class Own(algorithm):
            def __init__(self, *args, **kwargs):
                self.seen = []
                super().__init__(*args, **kwargs)

            def _setup_model(self):
                super()._setup_model()
                self.seen.append(("_setup_model", self.n_params))

            def _setup_learn(self, total_timesteps, *args, **kwargs):
                total, callback = super()._setup_learn(total_timesteps, *args, **kwargs)
                self.seen.append(("_setup_learn", total_timesteps, total, hasattr(callback, "on_step")))
                return total, callback

            def _do_one_update(self, callback, async_eval):
                self.seen.append(
                    ("_do_one_update", self._n_updates, self.num_timesteps, self._current_progress_remaining, async_eval)
                )
                super()._do_one_update(callback, async_eval)

            def evaluate_candidates(self, candidate_weights, callback, async_eval):
                returns = super().evaluate_candidates(candidate_weights, callback, async_eval)
                kinds = type(candidate_weights), tuple(candidate_weights.shape), type(returns), tuple(returns.shape)
                self.seen.append(("evaluate_candidates", kinds, returns.tolist(), self.num_timesteps))
                return returns + th.arange(self.pop_size)

            def dump_logs(self):
                self.seen.append(("dump_logs", self.num_timesteps))
                super().dump_logs()

            def predict(self, observation, state=None, episode_start=None, deterministic=False):
                return super().predict(observation, state, episode_start, deterministic)

        model = made(Own).learn(100)
        return model.seen

    theirs, ours = map(script, both)
    assert len(theirs) > 10
    assert ours == theirs


def test_a_loop_of_their_own_over_candidates_moves_the_weights():
    def script(algorithm):
        class Own(algorithm):
            def evaluate_candidates(self, candidate_weights, callback, async_eval):
                callback.on_rollout_start()
                returns = th.zeros(self.pop_size)
                for i in range(self.pop_size):
                    self.policy.load_from_vector(candidate_weights[i].cpu())
                    returns[i] = -((candidate_weights[i] - 0.5) ** 2).sum()
                    self.num_timesteps += 5
                    callback.on_step()
                callback.on_rollout_end()
                return returns

        class Count(BaseCallback):
            def _on_step(self):
                return True

        count = Count()
        model = made(Own).learn(300, callback=count)
        moved = th.as_tensor(model.policy.parameters_to_vector() if algorithm is fastars.ARS else model.weights)
        return count.n_calls, model.num_timesteps, model._n_updates, bool(moved.mean() > 0.01)

    theirs, ours = map(script, both)
    assert ours == theirs
    assert theirs[-1]
