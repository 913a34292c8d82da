"""Names that options have in other programs: rl-zoo, stable-baselines3, RLlib, the original ARS."""

from __future__ import annotations

from fastars.cli.options import Options

# What stands for an option of ours, where a sub-command has that option and none of this name.
_OURS = {
    "--total-timesteps": "n-timesteps num-timesteps timesteps total-steps steps",
    "--init": "trained-agent",
    "--log-dir": "log-folder logdir log-path folder outdir",
    "--n-threads": "num-threads threads",
    "--n-workers": "num-workers num-env-runners workers",
    "--learning-rate": "lr step-size sgd-stepsize alpha",
    "--delta-std": "sigma noise-std noise-stdev",
    "--n-delta": "n-directions num-deltas n-deltas num-rollouts directions",
    "--n-top": "deltas-used rollouts-used top-directions",
    "--max-episode-steps": "rollout-length max-steps horizon",
    "--net-arch": "hidden hidden-sizes fcnet-hiddens",
    "--activation-fn": "activation fcnet-activation",
    "--normalize-observations": "normalize-obs norm-obs normalize",
    "--iterations": "n-iter n-iterations",
    "--run-folder": "dir-path",
    "--save-freq": "checkpoint-freq",
    "--out": "output out-file",
    "--to": "format",
    "--overwrite": "force replace",
    "--weighting": "weighting-method",
}
_TRANSLATIONS = {f"--{theirs}": ours for ours, names in _OURS.items() for theirs in names.split()}
_EPISODES = ("--episodes", "--n-episodes", "--num-episodes", "--eval-episodes", "--n-eval-episodes")
# What to say of options that have no counterpart.
HINTS = {
    **dict.fromkeys(("--algo", "-algo"), "ARS is the only algorithm here; leave it out"),
    **dict.fromkeys(("-params", "--hyperparams"), "each setting is an option, such as --learning-rate 0.02"),
    **dict.fromkeys(("-tb", "--tb", "--tensorboard-log"), "--tensorboard writes events into the run folder"),
    **dict.fromkeys(("-optimize", "--optimize-hyperparameters"), "fastars tune ENV tries settings"),
    **dict.fromkeys(("-conf", "--conf-file"), "--config takes a file of fastars, such as config.toml of a run"),
    **dict.fromkeys(("-uuid", "--uuid"), "every run gets a folder with a number of its own"),
    **dict.fromkeys(("--deterministic", "--stochastic"), "a policy of ARS has no noise; leave it out"),
    **dict.fromkeys(("--device", "--cuda", "--gpu", "--num-gpus"), "fastars computes on CPUs; leave it out"),
    **dict.fromkeys(("--vec-env", "--n-envs", "--n-eval-envs"), "--n-threads and --n-workers say what runs side by side"),
    "--gym-packages": "write MODULE:ENV for the environment, which imports MODULE first",
    "--load-best": "eval, enjoy, video and export take the best policy, and with --last the last one",
    "--load-last-checkpoint": "--last takes the last policy of a run",
    "--load-checkpoint": "name the file for RUN, such as runs/CartPole-v1_1/model_10000_steps.zip",
    "--exp-id": "name the folder for RUN, such as runs/CartPole-v1_1",
    "--no-render": "fastars eval runs episodes without a window",
    "--verbose": "--no-progress shows less, --traceback more",
}


def translated(name: str, options: Options) -> str:
    """Return the name of the option that another program's name stands for; the same name if there is none.

    The names of a number of episodes stand for each other where a sub-command has one such option. `fastars train` has two.
    """
    if name in _EPISODES:
        ours = [option.name for option in options.named if option.name in _EPISODES]
        return ours[0] if len(ours) == 1 else name
    return _TRANSLATIONS.get(name, name)
