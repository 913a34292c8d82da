"""Register the compiled environments in Gymnasium under the ids `fastars/<id>`.

Gymnasium 1.0 no longer finds other packages' environments by entry points, so `import fastars` has to register them.
"""

from fastars.envs.registry import MULTI, compiled_env_ids


def register() -> None:
    """Register the compiled environments that Gymnasium does not know yet.

    `gymnasium.make_vec("fastars/CartPole-v1", ...)` gives a `CompiledVectorEnv`; `gymnasium.make` and the other modes of `make_vec`
    give Gymnasium's own environment, whose steps are the same.
    """
    import gymnasium

    for env_id in compiled_env_ids():
        spec = gymnasium.registry.get(env_id)
        if spec is None or f"fastars/{env_id}" in gymnasium.registry:
            continue
        gymnasium.register(
            f"fastars/{env_id}",
            entry_point=spec.entry_point,
            vector_entry_point=f"fastars.envs.vector:{env_id}",
            max_episode_steps=spec.max_episode_steps,
            reward_threshold=spec.reward_threshold,
        )
    for env_id, entry in MULTI.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point=f"{entry.home.path}:{entry.home.name}",
                vector_entry_point=f"fastars.envs.vector:{env_id}",
                max_episode_steps=entry.max_episode_steps,
                disable_env_checker=True,  # it wants rewards to be numbers
                kwargs=entry.kwargs,
            )
