"""Episodes on Ray clusters whose nodes come and go.

Broken on purpose -> red: no more actors when the cluster grows (`dies_and_one_that_comes`); no look at its CPUs
(`without_cpus`); actors that can't start taken for lost ones (`another_fastars`).
"""

import contextlib
import time

import pytest

from fastars import ARS
from fastars.envs import WorkerError

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "fastars[ray]"')
from ray_clusters import IGNORED, LOOPBACK, cluster, settings, state, trained  # noqa: E402

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings(*IGNORED)]


@pytest.mark.promise(12)
@pytest.mark.parametrize("is_asked", [False, True], ids=["killed", "asked to leave"])
def test_a_node_that_dies_and_one_that_comes_change_no_bit(tally, is_asked):
    with cluster(1) as made:
        going = made.add_node(num_cpus=1, node_ip_address=LOOPBACK)
        with contextlib.closing(ARS(**settings("HalfCheetah-v5", sampler="ray"))) as model:
            n_actors = []
            for iteration in range(60):
                model.learn(1, reset_num_timesteps=False)
                n_actors.append(len(model.sampler._actors.ready))
                if iteration == 8:
                    made.remove_node(going, allow_graceful=is_asked)
                if iteration == 14:
                    made.add_node(num_cpus=2, node_ip_address=LOOPBACK)
                if n_actors[-1] == 3:
                    break
                time.sleep(0.2)
            there = state(model)
        assert {1, 2, 3} <= set(n_actors), n_actors  # both were there, one was left, and two came
        assert there == trained("HalfCheetah-v5", iterations=len(n_actors))[0]
        tally(f"nodes {'asked to leave' if is_asked else 'killed'}, another one added: the hash of a local run", 1, of=1)


def test_a_cluster_without_cpus_is_said():
    no_place = pytest.raises(WorkerError, match="no node of the Ray cluster has 1 CPU")
    with cluster(0), contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray"))) as model, no_place:
        model.learn(1)


OLDER = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "fastars.samplers.ray":
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Missing())
"""


@pytest.mark.timing
def test_a_node_with_another_fastars_is_said_at_once(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(OLDER)
    said = pytest.raises(WorkerError, match="could not start: is this fastars on every node")
    start = time.monotonic()
    with cluster(1, path=tmp_path), contextlib.closing(ARS(**settings("CartPole-v1", sampler="ray"))) as model, said:
        model.learn(1)
    assert time.monotonic() - start < 60.0
