"""Words for an argument of `ARS` that it does not have: one of another algorithm, of the policy, or misspelt."""

from __future__ import annotations

from collections.abc import Iterable

from fastars._validate import did_you_mean
from fastars.training.setting_checks import POLICY_KWARGS

_EPISODES = "n_delta and n_eval_episodes say how many episodes an iteration has"
_BUFFER = "ARS has no replay buffer and no target network"
_LOSS = "ARS has no losses and no gradients of them"
_NOISE = "delta_std is the exploration noise of ARS"
_OF_OTHERS = {  # arguments of the other algorithms of stable-baselines3
    **dict.fromkeys(("gamma", "gae_lambda"), "ARS compares the returns of whole episodes, without a discount"),
    **dict.fromkeys(("n_steps", "batch_size", "n_epochs", "train_freq", "gradient_steps"), _EPISODES),
    **dict.fromkeys(("buffer_size", "learning_starts", "tau", "target_update_interval", "replay_buffer_class"), _BUFFER),
    **dict.fromkeys(("replay_buffer_kwargs", "optimize_memory_usage", "n_critics", "policy_delay"), _BUFFER),
    **dict.fromkeys(("ent_coef", "vf_coef", "clip_range", "clip_range_vf", "max_grad_norm", "target_kl"), _LOSS),
    **dict.fromkeys(("normalize_advantage", "use_rms_prop", "rms_prop_eps"), _LOSS),
    **dict.fromkeys(("use_sde", "sde_sample_freq", "action_noise", "exploration_fraction"), _NOISE),
    **dict.fromkeys(("exploration_initial_eps", "exploration_final_eps"), _NOISE),
}


def unknown_argument(function: str, name: str, known: Iterable[str]) -> str:
    """Return the message of the TypeError for a keyword argument that `function` does not have.

    Parameters
    ----------
    function : str
        The function, with parentheses.
    name : str
        The argument.
    known : iterable of str
        The arguments that there are.
    """
    if name in POLICY_KWARGS["MlpPolicy"]:
        hint = f"; it is one of the policy: policy_kwargs={{{name!r}: ...}}"
    else:
        hint = did_you_mean(name, known) or (f"; {_OF_OTHERS[name]}" if name in _OF_OTHERS else "")
    return f"{function} got an unexpected keyword argument {name!r}{hint}"
