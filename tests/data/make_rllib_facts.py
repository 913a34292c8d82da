"""Record facts about RLlib's ARS, from a live Ray 2.6.3, in `rllib_facts.json`: settings, arguments, results, weights.

    python3.11 -m venv OTHER
    OTHER/bin/pip install 'ray[rllib]==2.6.3' torch==2.13.0 'numpy<2' 'setuptools<80' 'pydantic<2'
    OTHER/bin/python tests/data/make_rllib_facts.py

The tables in `fastars/rllib/defaults.py` and `fastars/rllib/other_settings.py` were made from the same facts.
"""

import importlib
import inspect
import json
import pkgutil
import sys
import tempfile
from pathlib import Path

import ray
import ray.rllib.algorithms
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ars import ARSConfig

METHODS = [
    "python_environment",
    "resources",
    "framework",
    "environment",
    "rollouts",
    "training",
    "callbacks",
    "exploration",
    "evaluation",
    "offline_data",
    "multi_agent",
    "reporting",
    "checkpointing",
    "debugging",
    "fault_tolerance",
    "rl_module",
    "experimental",
]


def plain(value):
    """A value as JSON holds it; a class or a function by its name."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"name": getattr(value, "__name__", type(value).__name__)}


def arguments():
    """The arguments of each method, with those of the method that it extends."""
    found = {}
    for method in METHODS:
        names = []
        for cls in (ARSConfig, AlgorithmConfig):
            for name, parameter in inspect.signature(getattr(cls, method)).parameters.items():
                if name not in (*names, "self") and parameter.kind is not parameter.VAR_KEYWORD:
                    names.append(name)
        found[method] = names
    return found


def settings_of_others():
    """Names of the settings that other algorithms of RLlib have."""
    own, names = vars(ARSConfig()), set()
    for module in pkgutil.walk_packages(ray.rllib.algorithms.__path__, "ray.rllib.algorithms."):
        if ".tests" in module.name:
            continue
        try:
            loaded = importlib.import_module(module.name)
        except Exception as error:  # an algorithm whose own requirements are missing
            print(module.name, type(error).__name__, file=sys.stderr)
            continue
        for value in vars(loaded).values():
            if inspect.isclass(value) and issubclass(value, AlgorithmConfig):
                try:
                    names |= set(vars(value())) | set(value().to_dict())
                except Exception as error:
                    print(value, type(error).__name__, file=sys.stderr)
    return sorted(names - set(own) - set(ARSConfig().to_dict()))


def run():
    """Results of two iterations, before and after a checkpoint; names and shapes of weights by hidden layers and activation."""
    config = ARSConfig().environment("CartPole-v1").rollouts(num_rollout_workers=1).framework("torch")
    config = config.training(model={"fcnet_hiddens": [3], "fcnet_activation": "swish"}, noise_size=100_000, num_rollouts=2)
    algorithm = config.build()
    algorithm.train()
    result = algorithm.train()
    policy = algorithm.get_policy()
    linear = config.copy(copy_frozen=False).training(model={"fcnet_hiddens": []}).build()
    facts = {
        "result": {key: type(value).__name__ for key, value in result.items()},
        "info": sorted(result["info"]),
        "config is frozen": algorithm.config._is_frozen,
        "config": type(algorithm.config).__name__,
        "workers": type(algorithm.workers).__name__,
        "weights": {name: list(value.shape) for name, value in policy.get_weights().items()},
        "linear weights": {name: list(value.shape) for name, value in linear.get_policy().get_weights().items()},
        "model": [name for name in dir(policy.model) if not name.startswith("_")],
        "policy": [name for name in dir(policy) if not name.startswith("_")],
        "algorithm": [name for name in dir(algorithm) if not name.startswith("_")],
        "saved": type(algorithm.save(tempfile.mkdtemp())).__name__,
    }
    algorithm.stop()
    linear.stop()
    return facts


def main():
    """Write the facts."""
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    config = ARSConfig()
    facts = {
        "ray": ray.__version__,
        "to_dict": plain(config.to_dict()),
        "attributes": plain({name: value for name, value in vars(config).items() if name != "algo_class"}),
        "arguments": arguments(),
        "settings of others": settings_of_others(),
        "run": run(),
    }
    ray.shutdown()
    path = Path(__file__).with_name("rllib_facts.json")
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    print(len(facts["to_dict"]), "keys")


if __name__ == "__main__":
    main()
