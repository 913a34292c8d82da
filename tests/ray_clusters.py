"""Ray clusters on this machine for the tests: loopback only, no dashboard."""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from fastars import ARS

LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for the address of the machine's network
HERE = str(Path(__file__).parent)
PATH = HERE, str(Path(HERE).parent), os.environ.get("PYTHONPATH", "")
# Where Ray asks for a token, all processes of these tests have this one, and none is looked for in the home folder.
TOKEN = {"RAY_AUTH_TOKEN": os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))}
_made = []  # clusters that there are
# Ray's own: sockets and processes that it leaves to the end of the interpreter.
IGNORED = "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::FutureWarning:ray"


@contextlib.contextmanager
def cluster(*cpus, path=""):
    """A cluster of nodes on this machine, the first of which has this process; its actors look for packages at `path` first."""
    head, *others = cpus
    made = Cluster(True, head_node_args={"num_cpus": head, "include_dashboard": False, "node_ip_address": LOOPBACK})
    for n in others:
        made.add_node(num_cpus=n, node_ip_address=LOOPBACK)
    join(made, path)
    _made.append(made)
    try:
        yield made
    finally:
        _made.remove(made)
        ray.shutdown()
        made.shutdown()


def join(made, path=""):
    """Connect to a cluster that was made here."""
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(map(str, (path, *PATH)))}}
    ray.init(address=made.address, logging_level="ERROR", log_to_driver=False, runtime_env=environment)


def settings(env, **more):
    return {"policy": "LinearPolicy", "env": env, "seed": 3, "n_delta": 8, "variant": "V2", **more}


def trained(env, iterations=3, **more):
    """(hash of the run's state, model) after some iterations."""
    with contextlib.closing(ARS(**settings(env, **more))) as model:
        for _ in range(iterations):
            model.learn(1, reset_num_timesteps=False)
        return state(model), model


def state(model):
    content = hashlib.sha256(model.theta.tobytes())
    for array in (model.policy.filter.mean, model.policy.filter.scale, *model.state.slots, np.array(model.num_timesteps)):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def actors():
    """Process ids of the actors of fastars in the cluster of these tests: other people's are not to be killed."""
    raylets = {str(found.process.pid) for node in _nodes() for found in node.all_processes["raylet"]}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if parent(process.name) in raylets and (process / "cmdline").read_bytes().startswith(b"ray::Actor"):
                found.append(int(process.name))
    return found


def parent(process):
    """The process id, as text, of the one that started another."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]


def _nodes():
    return [node for made in _made for node in made.list_all_nodes()]
