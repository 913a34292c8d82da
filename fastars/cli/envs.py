"""`fastars envs`: list the compiled environments, or suitable settings of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from fastars.cli.report import print_environments, print_presets


@dataclass(frozen=True, kw_only=True)
class Envs:
    """List the compiled environments."""

    presets: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """List the tuned settings of each environment instead, with the returns that they reached."""

    def run(self) -> int:
        """Print the list and return the exit code."""
        if self.presets:
            print_presets()
            return 0
        import gymnasium

        from fastars.envs import UnsupportedEnvError, compiled_env_ids, make

        specs, missing = {}, None
        for env_id in compiled_env_ids():
            spaces: tuple[Any, Any] = None, None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # CartPole-v0 is out of date, which does not matter in a list
                try:
                    env = make(env_id)
                except UnsupportedEnvError as error:  # MuJoCo is not installed, or not one that fits
                    missing = str(error)
                else:
                    spaces = env.observation_space, env.action_space
                    env.close()
            specs[env_id.removeprefix("fastars/")] = gymnasium.spec(env_id), *spaces
        print_environments(specs, missing)
        return 0
