"""RLlib's config object: its settings as attributes, items and keys of dicts, against facts of a live Ray 2.6.3.

`tests/data/make_rllib_facts.py` recorded `tests/data/rllib_facts.json`.

Broken on purpose: another default; keys of attributes in `to_dict`; assignment without a look at `_is_frozen`,
`copy_frozen` ignored, an algorithm with a config that is not frozen; a shallow copy; dicts replaced where RLlib merges
them; no warning by assignment, or one for each name; no hint of the method that has an argument, or of one with a near
name; `evaluation_num_episodes` unknown; grids of Tune checked as a model; an LSTM passed over; attributes of a class of
the user's refused -> their tests red.
"""

import copy
import json
import pickle
import warnings
from pathlib import Path

import pytest

from fastars.rllib import ARS, DEFAULT_CONFIG, ARSConfig, ARSTrainer, DefaultCallbacks
from fastars.rllib.settings import DEFAULTS

FACTS = json.loads((Path(__file__).parent / "data" / "rllib_facts.json").read_text(encoding="utf-8"))


def plain(value):
    """A value as JSON holds it; a class or a function is "code"."""
    if isinstance(value, dict) and value.keys() == {"name"}:
        return "code"
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return "code"


def config(**training):
    settings = {"model": {"fcnet_hiddens": []}, "noise_size": 1 << 16, "num_rollouts": 4, "rollouts_used": 4, **training}
    return ARSConfig().environment("CartPole-v1").training(**settings).debugging(seed=1)


# --- Keys and defaults


def test_the_dict_has_rllibs_keys_and_defaults():
    found = plain(ARSConfig().to_dict())
    assert len(found) == 147
    assert found == plain(FACTS["to_dict"])


def test_attributes_have_rllibs_names_and_defaults():
    ours = ARSConfig()
    for name in DEFAULTS.keys() - {"policies"}:  # a PolicySpec of RLlib there, a tuple in the dict
        assert plain(getattr(ours, name)) == plain(FACTS["attributes"][name]), name


@pytest.mark.parametrize("method", FACTS["arguments"])
def test_every_method_takes_each_of_rllibs_arguments(method):
    ours = ARSConfig()
    before = ours.to_dict()
    for name in FACTS["arguments"][method]:
        if name in ours:
            assert getattr(ours, method)(**{name: ours[name]}) is ours, name
        else:  # RLlib keeps the name for an error of its own
            with pytest.warns(UserWarning, match=f"{name}: without effect"):
                getattr(ours, method)(**{name: 1})
    assert {name: value for name, value in ours.to_dict().items() if name in before} == before
    assert getattr(ours, method)() is ours


# --- One setting, by attribute, item and key


@pytest.mark.parametrize(
    ("key", "attribute", "value"),
    [
        ("noise_stdev", "noise_stdev", 0.5),
        ("num_workers", "num_rollout_workers", 5),
        ("num_rollout_workers", "num_rollout_workers", 5),
        ("framework", "framework_str", "tf2"),
        ("create_env_on_driver", "create_env_on_local_worker", True),
        ("evaluation_num_episodes", "evaluation_duration", 3),
        ("num_env_runners", "num_rollout_workers", 5),
    ],
)
def test_a_setting_is_the_same_by_all_its_names(key, attribute, value):
    by_item, by_attribute, by_dict = ARSConfig(), ARSConfig(), ARSConfig().update_from_dict({key: value})
    by_item[key] = value
    setattr(by_attribute, attribute, value)
    for each in (by_item, by_attribute, by_dict, ARSConfig.from_dict({key: value}), ARSConfig().update({key: value})):
        assert each[key] == each[attribute] == each.get(key) == getattr(each, attribute) == value
        assert key in each
        assert each.to_dict() == by_item.to_dict()
    assert ARSConfig()[key] != value


def test_a_config_is_read_as_a_dict():
    ours = config()
    whole = ours.to_dict()
    assert list(ours.keys()) == list(ours) == list(whole)
    assert dict(ours) == dict(ours.items()) == whole
    assert len(ours.values()) == len(whole)
    assert {**ours}["num_workers"] == 2
    assert ours.pop("seed") == ours.get("seed") == 1
    assert (ours.get("none of these", 7), "none of these" in ours) == (7, False)
    assert ours["multiagent"]["policies"] == {"default_policy": (None, None, None, None)}
    assert ours.num_workers == 2
    assert not ours.is_multi_agent()


def test_a_dict_goes_round():
    ours = config(noise_stdev=0.3, model={"fcnet_hiddens": [5], "fcnet_activation": "swish"}).callbacks(DefaultCallbacks)
    again = ARSConfig.from_dict(ours.to_dict())
    assert again.to_dict() == ours.to_dict()
    assert again.model["fcnet_activation"] == "swish"


def test_a_config_survives_pickling_and_copying():
    ours = config(noise_stdev=0.3)
    for each in (pickle.loads(pickle.dumps(ours)), copy.copy(ours), copy.deepcopy(ours), ours.copy()):
        assert each.to_dict() == ours.to_dict()
        each.model["fcnet_hiddens"].append(3)
        each["env_config"]["a"] = 1
    assert (ours.model["fcnet_hiddens"], ours.env_config) == ([], {})


def test_dicts_are_merged_by_methods_and_replaced_by_assignment():
    ours = config().training(model={"fcnet_hiddens": [3]}).training(model={"fcnet_activation": "relu"})
    ours.environment(env_config={"a": 1}).environment(env_config={"b": 2})
    assert (ours.model["fcnet_hiddens"], ours.model["fcnet_activation"]) == ([3], "relu")
    assert ours.env_config == {"a": 1, "b": 2}
    ours.model = {"fcnet_hiddens": [4]}
    ours["env_config"] = {"c": 3}
    assert (ours.model, ours.env_config) == ({"fcnet_hiddens": [4]}, {"c": 3})
    ours.env_config = {}
    assert ours.arguments()["policy_kwargs"]["activation_fn"] == "tanh"


def test_a_script_for_rays_first_versions_runs():
    ours = DEFAULT_CONFIG.copy()
    ours["num_workers"], ours["noise_size"], ours["num_rollouts"], ours["evaluation_num_episodes"] = 1, 1 << 16, 4, 3
    ours["model"] = {"fcnet_hiddens": [4], "fcnet_activation": None}
    trainer = ARSTrainer(env="CartPole-v1", config=ours)
    assert trainer.train()["info"]["episodes_this_iter"] == 4
    assert trainer.evaluate()["evaluation"]["episodes_this_iter"] == 3
    assert ARSConfig().to_dict() == DEFAULT_CONFIG


# --- Freezing


def test_a_frozen_config_can_not_be_changed_until_it_is_copied():
    ours = config()
    ours.freeze()
    ours.freeze()
    for change in (
        lambda each: setattr(each, "noise_stdev", 1.0),
        lambda each: each.__setitem__("noise_stdev", 1.0),
        lambda each: each.training(noise_stdev=1.0),
        lambda each: each.update_from_dict({"noise_stdev": 1.0}),
    ):
        with pytest.raises(AttributeError, match=r"Cannot set attribute \(noise_stdev\) of an already frozen"):
            change(ours)
        with pytest.raises(AttributeError, match="already frozen"):
            change(ours.copy())
        with pytest.raises(AttributeError, match="already frozen"):
            change(config().copy(copy_frozen=True))
        free = ours.copy(copy_frozen=False)
        change(free)
        assert free.noise_stdev == 1.0
    assert ours.noise_stdev == 0.02


def test_the_config_of_an_algorithm_is_frozen_and_its_own():
    ours = config()
    algorithm = ours.build()
    ours.noise_stdev = 9.0
    assert type(algorithm.config) is ARSConfig
    assert (algorithm.config.noise_stdev, algorithm.config["num_workers"]) == (0.02, 2)
    with pytest.raises(AttributeError, match="already frozen"):
        algorithm.config.noise_stdev = 1.0
    again = algorithm.config.copy(copy_frozen=False).training(noise_stdev=0.5).build()
    assert again.model.config.delta_std == 0.5


# --- Unknown names, and names without effect


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: setattr(c, "noise_std", 1), AttributeError, "ARS has no setting 'noise_std'; did you mean 'noise_stdev'"),
        (lambda c: c.__setitem__("num_worker", 1), AttributeError, "no setting 'num_worker'; did you mean 'num_workers'"),
        (lambda c: c.update_from_dict({"sgd_step_size": 1}), ValueError, "'sgd_step_size'; did you mean 'sgd_stepsize'"),
        (lambda c: c["noise_std"], AttributeError, "ARSConfig has no setting 'noise_std'; did you mean 'noise_stdev'"),
        (lambda c: c.noise_std, AttributeError, "ARSConfig has no setting 'noise_std'; did you mean 'noise_stdev'"),
        (lambda c: c.environments("CartPole-v1"), AttributeError, "no setting 'environments'; did you mean 'environment'"),
        (lambda c: c.rollout(num_rollout_workers=1), AttributeError, "no setting 'rollout'; did you mean 'rollouts'"),
        (lambda c: c.training(noise_std=1), TypeError, r"training\(\) got .* 'noise_std'; did you mean 'noise_stdev'"),
        (lambda c: c.rollouts(num_gpus=1), TypeError, r"rollouts\(\) got .* 'num_gpus'; it is an argument of resources\(\)"),
        (lambda c: c.callbacks("module.Class").build(), ValueError, "callbacks_class must be a class, got 'module.Class'"),
        (lambda c: c.training(model={"use_lstm": True}).build(), ValueError, "model: use_lstm must be False"),
        (lambda c: c.training(model={"custom_model": "mine"}).build(), ValueError, "model: custom_model must be None"),
        (
            lambda c: c.training(model={"fcnet_hiddens": [3], "fcnet_activation": "elu"}).build(),
            ValueError,
            "fcnet_activation must be one of None, 'relu', 'tanh', 'swish', 'linear', got 'elu'",
        ),
        (lambda c: ARSConfig.overrides(explor=False), ValueError, "no setting 'explor'; did you mean 'explore'"),
    ],
)
def test_a_wrong_name_or_network_is_refused_with_a_hint(change, error, message):
    with pytest.raises(error, match=message):
        change(config())


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda c: c.training(grad_clip=1.0, lr=0.5), ["grad_clip", "lr"]),
        (lambda c: c.training(kl_coeff=0.3, clip_param=0.2, lambda_=0.9), ["kl_coeff", "clip_param", "lambda_"]),
        (lambda c: c.rollouts(compress_observations=True, horizon=100), ["compress_observations", "horizon"]),
        (lambda c: c.rollouts(recreate_failed_workers=True), ["recreate_failed_workers"]),
        (lambda c: c.fault_tolerance(recreate_failed_workers=True), ["recreate_failed_workers"]),
        (lambda c: c.resources(placement_strategy="SPREAD"), ["placement_strategy"]),
        (lambda c: c.debugging(fake_sampler=True), ["fake_sampler"]),
        (lambda c: c.training(model={"vf_share_layers": False}), ["model.vf_share_layers"]),
        (lambda c: c.multi_agent(policies={"a", "b"}, count_steps_by="agent_steps"), ["policies", "count_steps_by"]),
        (lambda c: c.offline_data(input_="/tmp/episodes", output="logdir"), ["input_", "output"]),
        (lambda c: c.checkpointing(export_native_model_files=True), ["export_native_model_files"]),
        (lambda c: c.experimental(_disable_preprocessor_api=True), ["_disable_preprocessor_api"]),
        (lambda c: c.rl_module(rl_module_spec=object()), ["rl_module_spec"]),
        (lambda c: c.update_from_dict({"monitor": True, "shuffle_buffer_size": 4096}), ["monitor", "shuffle_buffer_size"]),
        (lambda c: c.update_from_dict({"buffer_size": 1, "sgd_minibatch_size": 2}), ["buffer_size", "sgd_minibatch_size"]),
        (lambda c: setattr(c, "gamma", 0.5), ["gamma"]),
        (lambda c: c.__setitem__("use_gae", False), ["use_gae"]),
    ],
)
def test_settings_without_effect_are_kept_and_named_by_one_warning(change, names):
    ours = config()
    with pytest.warns(UserWarning, match="without effect") as caught:
        change(ours)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert all(name in str(caught[0].message) for name in names)
    with warnings.catch_warnings(record=True) as later:
        warnings.simplefilter("always")
        ours.copy()
        assert ours.build().train()["training_iteration"] == 1
    assert not later


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.framework("tf2", eager_tracing=True),
        lambda c: c.exploration(explore=False),
        lambda c: c.rollouts(num_envs_per_worker=4, rollout_fragment_length=512, batch_mode="complete_episodes"),
        lambda c: c.resources(num_cpus_per_worker=2, num_gpus_per_worker=0.5),
        lambda c: c.reporting(min_time_s_per_iteration=3, keep_per_episode_custom_metrics=True),
        lambda c: c.debugging(log_level="ERROR", log_sys_usage=False),
        lambda c: c.python_environment(extra_python_environs_for_driver={"A": "1"}),
        lambda c: c.training(gamma=0.99, lr=0.001, tf_single_threaded=False),
        lambda c: c.evaluation(evaluation_num_workers=1, evaluation_config=ARSConfig.overrides(explore=False)),
    ],
)
def test_settings_of_frameworks_and_processes_cause_no_warning(change):
    assert change(config()).build().train()["training_iteration"] == 1


def test_a_class_of_the_users_has_settings_of_its_own():
    class Mine(ARSConfig):
        def __init__(self):
            super().__init__(algo_class=ARS)
            self.bonus = 3
            self.noise_stdev = 0.5

    ours = Mine().environment("CartPole-v1").training(model={"fcnet_hiddens": []}, noise_size=1 << 16)
    ours.bonus = 4
    assert (ours.copy().bonus, ours["bonus"], ours.to_dict()["bonus"]) == (4, 4, 4)
    assert ours.build().config.bonus == 4
    with pytest.raises(AttributeError, match="'bonu'"):
        ours.bonu  # noqa: B018


def test_what_tune_searches_is_kept():
    grid = {"grid_search": [{"fcnet_hiddens": []}, {"fcnet_hiddens": [3]}]}
    ours = config(noise_stdev={"grid_search": [0.1, 0.2]}, model=grid)
    assert ours.to_dict()["noise_stdev"] == {"grid_search": [0.1, 0.2]}
    assert ours.to_dict()["model"] == grid
