"""The model of an iteration on Ray, against numbers worked out by hand.

Broken on purpose: the driver does not wait for results -> all red but one; it sends for nothing -> test_driver_that_sends...;
it looks for nothing, hears of a task as of an episode -> test_what_is_out..., test_episodes_of_results...; an actor that is free
gets nothing -> test_last_ones...; one thread -> test_threads...; theta sent once -> test_theta...; CPUs not shared ->
test_actors_that_share_cpus....
An actor has one task at a time -> also test_curves_of_the_page....
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import ray_scaling
from bench.ray_model import Cluster, Costs, iteration, makespan


def test_one_actor_does_one_after_the_other():
    """3 tasks of 1 s, each with 0.1 s of work: the second and third wait at the actor already."""
    costs = Costs(begin=0.5, send=0.01, hear=0.02, way=0.001, work=0.1, end=0.25)
    # 0.5 + 0.01 (send) + 0.001 + 3 x 1.1 + 0.001 + 0.02 + 0.25; heard from the first, the driver sends the third while others run
    assert iteration(np.ones(3), Cluster(1), costs).total == pytest.approx(0.5 + 0.01 + 0.001 + 3.3 + 0.001 + 0.02 + 0.25)


def test_longest_episode_is_waited_for():
    made = iteration(np.array([1.0, 5.0, 1.0, 1.0]), Cluster(4), Costs())
    assert made.total == 5.0
    assert made.n_tasks == 4


def test_last_ones_go_to_who_is_done_first():
    """Two actors have two tasks each; the one with the short ones gets the fifth: 1 + 1 + 4 against 3 + 3."""
    assert iteration(np.array([1.0, 3.0, 1.0, 3.0, 4.0]), Cluster(2), Costs()).total == 6.0


def test_driver_that_sends_one_task_after_the_other_is_the_limit():
    """1,000 actors, a task each: the last is sent after 1,000 x 1 ms, and runs for 0.1 s."""
    made = iteration(np.full(1000, 0.1), Cluster(1000), Costs(send=0.001))
    assert made.total == pytest.approx(1.1)
    assert made.dealt == pytest.approx(1.0)


def test_what_is_out_is_looked_at_for_every_result():
    """4 results, of which 4, 3, 2 and 1 are out when they are heard: 10 looks."""
    assert iteration(np.ones(4), Cluster(4), Costs(look=0.1)).total == pytest.approx(1.0 + 10 * 0.1)


def test_episodes_of_results_cost_the_driver():
    assert iteration(np.full(40, 0.001), Cluster(1), Costs(episode=0.5)).total > 40 * 0.5


def test_threads_share_the_episodes_of_a_task():
    """8 episodes of 1 s on 2 actors of 4 threads: one round. On 1 actor: two."""
    assert iteration(np.ones(8), Cluster(2, n_threads=4), Costs()).total == 1.0
    assert iteration(np.ones(8), Cluster(1, n_threads=4), Costs()).total == 2.0
    assert makespan(np.array([1.0, 2.0, 2.0, 1.0]), 2) == 3.0


def test_actors_that_share_cpus_are_slower_by_that():
    assert iteration(np.ones(4), Cluster(4, n_cpus=2), Costs()).total == 2.0


def test_theta_goes_to_every_node_from_one():
    """3 nodes, 100 bytes each, 100 bytes a second: 3 s, and 0.5 s besides; on one node none of it."""
    costs = Costs(fetch=0.5, bandwidth=100.0)
    assert iteration(np.ones(3), Cluster(3, n_nodes=3), costs, n_bytes=100).total == pytest.approx(4.5)
    assert iteration(np.ones(3), Cluster(3), costs, n_bytes=100).total == 1.0
    assert iteration(np.ones(1), Cluster(3, n_nodes=3), costs, n_bytes=100).total == pytest.approx(2.5)  # one has a task


def test_curves_of_the_page_are_what_the_model_gives_today():
    """Times are measured once, on one machine; what follows from them can be computed again anywhere."""
    rows = json.loads(ray_scaling.RESULTS.read_text(encoding="utf-8"))["rows"]
    kept = [row for row in rows if row["kind"] == "curve"]
    made = ray_scaling.curves([row for row in rows if row["kind"] != "curve"])
    assert len(made) == len(kept) == 6
    for row, of_page in zip(made, kept, strict=True):
        assert {**row, "seconds": None, "alone_s": None} == {**of_page, "seconds": None, "alone_s": None}
        assert row["seconds"] == pytest.approx(of_page["seconds"], rel=1e-9)
        assert row["alone_s"] == pytest.approx(of_page["alone_s"], rel=1e-9)
