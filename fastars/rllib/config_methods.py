"""The methods that set settings of RLlib: one for each group, with RLlib's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastars._validate import user_facing
from fastars.rllib.settings import arguments_given

_Config = TypeVar("_Config", bound="ConfigMethods")


class ConfigMethods:
    """Methods that set some settings by name, and return the settings. They refuse unknown arguments by name."""

    def update_from_dict(self: _Config, config_dict: Mapping[str, Any]) -> _Config:
        """Set settings by their names; set none if one is wrong."""
        raise NotImplementedError

    @user_facing
    def python_environment(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set variables of the processes of Ray: without effect."""
        return self.update_from_dict(arguments_given("python_environment", args, kwargs))

    @user_facing
    def resources(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `num_gpus`; 0 and 1 are allowed, and no GPU is used."""
        return self.update_from_dict(arguments_given("resources", args, kwargs))

    @user_facing
    def framework(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the framework: without effect, as there is one."""
        return self.update_from_dict(arguments_given("framework", args, kwargs))

    @user_facing
    def environment(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the environment: `env`, `env_config`."""
        return self.update_from_dict(arguments_given("environment", args, kwargs))

    @user_facing
    def rollouts(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `num_rollout_workers`, `observation_filter`."""
        return self.update_from_dict(arguments_given("rollouts", args, kwargs))

    @user_facing
    def env_runners(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `num_env_runners`, `observation_filter`: the later name of `rollouts`."""
        return self.update_from_dict(arguments_given("rollouts", args, kwargs))

    @user_facing
    def training(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set hyperparameters of ARS, and `model`."""
        return self.update_from_dict(arguments_given("training", args, kwargs))

    @user_facing
    def callbacks(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `callbacks_class`, a class derived from `DefaultCallbacks`."""
        return self.update_from_dict(arguments_given("callbacks", args, kwargs))

    @user_facing
    def exploration(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the exploration of actions: without effect, as ARS explores in the weights."""
        return self.update_from_dict(arguments_given("exploration", args, kwargs))

    @user_facing
    def evaluation(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `evaluation_interval`, `evaluation_duration`, `evaluation_duration_unit`, `evaluation_config`."""
        return self.update_from_dict(arguments_given("evaluation", args, kwargs))

    @user_facing
    def offline_data(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set files of experiences: without effect, as ARS learns from returns."""
        return self.update_from_dict(arguments_given("offline_data", args, kwargs))

    @user_facing
    def multi_agent(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set policies of several agents: without effect, as ARS has one policy."""
        return self.update_from_dict(arguments_given("multi_agent", args, kwargs))

    @user_facing
    def reporting(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the frequency of results: without effect, as every iteration has one."""
        return self.update_from_dict(arguments_given("reporting", args, kwargs))

    @user_facing
    def checkpointing(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the content of checkpoints: without effect."""
        return self.update_from_dict(arguments_given("checkpointing", args, kwargs))

    @user_facing
    def debugging(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set `seed`."""
        return self.update_from_dict(arguments_given("debugging", args, kwargs))

    @user_facing
    def fault_tolerance(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the treatment of failures: without effect, as failed episodes are tried again."""
        return self.update_from_dict(arguments_given("fault_tolerance", args, kwargs))

    @user_facing
    def rl_module(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set the class of the network: without effect."""
        return self.update_from_dict(arguments_given("rl_module", args, kwargs))

    @user_facing
    def experimental(self: _Config, *args: Any, **kwargs: Any) -> _Config:
        """Set switches of RLlib: without effect."""
        return self.update_from_dict(arguments_given("experimental", args, kwargs))
