"""Scaling of a run on Ray past this machine: `python -m bench.ray_scaling`, about ten minutes on two CPUs.

The parts of an iteration are measured, put together by a model (`bench.ray_model`), held against clusters on this machine, and
drawn to 10,000 cores. All of it goes to `results/ray_scaling.json`, the picture to `docs/images/ray_scaling.png`.
"""

import argparse
import contextlib
import functools
import json
import statistics
from pathlib import Path

import numpy as np

from bench import ray_measured as measured
from bench.experiments import write
from bench.machine import THREADS, machine_info, take_two_cpus
from bench.ray_model import Cluster, Costs, iteration

RESULTS = Path(__file__).parent / "results" / "ray_scaling.json"
N_EPISODES, ROUNDS = 64, 5
MEAN, SPREAD = 0.1, 0.5  # of the episodes of the environment that sleeps, in s, and of their logarithm
NODE = 32  # cores of a node past this machine
NETWORK = 1.25e9  # bytes per second, assumed: 10 Gbit/s
CORES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 10_000]
MILLION = {"policy": "MlpPolicy", "policy_kwargs": {"net_arch": [816, 816]}}  # 965,073 weights on Humanoid-v5
STEPS = 1_000  # of an episode of a Humanoid that walks


def main():
    from bench.pictures import write_picture

    parser = argparse.ArgumentParser(description="Measure, model and draw how a run on Ray scales.")
    parser.add_argument("--model-only", action="store_true", help="model and draw what has been measured before")
    if parser.parse_args().model_only:
        result = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        result = {"table": "ray_scaling", "machine": machine_info(), "rows": measure()}
    measured_rows = [row for row in result["rows"] if row["kind"] != "curve"]
    result["rows"] = measured_rows + curves(measured_rows)
    write(RESULTS, result["rows"], result["machine"])
    write_picture("ray_scaling")


# --- Measured here


def measure():
    """Measure the parts, and compare clusters with the model."""
    costs, rows = Costs(), []
    with measured.nodes(16):
        costs = costs._replace(look=measured.look(), episode=measured.unpacking())
        with measured.on_ray(functools.partial(measured.Sleep, MEAN, SPREAD)) as sampled:
            sampled.grow(4)
            begin, task = measured.driver(sampled)
            costs = costs._replace(begin=begin, send=2 * task / 3, hear=task / 3)  # by a profile of the driver
        with measured.on_ray(functools.partial(measured.Sleep, MEAN, SPREAD)) as sampled:
            for n_actors in (1, 2, 4, 8, 16):
                sampled.grow(n_actors)
                if n_actors == 1:
                    work, way = measured.one_actor(sampled, begin, task)
                    costs = costs._replace(way=way)
                rows.append(check("sleeping", sampled, Cluster(n_actors), costs, work))
    rows += several_nodes(costs, work)
    more, compiled = busy(costs)
    with measured.nodes(1, 1):
        fetch, bandwidth = measured.fetching()
    costs = costs._replace(fetch=fetch, bandwidth=bandwidth)
    return [*rows, *more, {"kind": "costs", **costs._asdict(), "work": compiled, "sleeper": work}, *humanoids()]


def check(what, sampled, cluster, costs, work=0.0, each=None):
    """Evaluations beside the model's, which is told the seconds of all episodes: `each`, or how long they slept and `work` more."""
    found = [sampled.evaluate(N_EPISODES) for _ in range(ROUNDS)]
    predicted = [iteration(returns + work if each is None else each, cluster, costs).total for _, _, returns in found]
    seconds = {"measured_s": statistics.median(wall for wall, *_ in found), "predicted_s": statistics.median(predicted)}
    row = {"kind": "check", "what": what, "n_actors": cluster.n_actors, "n_nodes": cluster.n_nodes, **seconds}
    print(row, flush=True)
    return row


def several_nodes(costs, work):
    """Compare eight sleeping actors on four nodes with the model."""
    with measured.nodes(2, 2, 2, 2), measured.on_ray(functools.partial(measured.Sleep, MEAN, SPREAD), 8) as sampled:
        return [check("sleeping", sampled, Cluster(8, n_nodes=4), costs, work)]


def busy(costs):
    """Actors that share two CPUs: HalfCheetah-v5; and seconds of an actor for a task of a compiled environment."""
    rows, n_cpus = [], measured.cpus("HalfCheetah-v5", THREADS)
    with measured.nodes(4):
        with measured.on_ray("CartPole-v1") as sampled:
            work = measured.small_task(sampled) - costs.begin - costs.send - costs.hear - 2 * costs.way
        with measured.on_ray("HalfCheetah-v5") as sampled:
            wall = statistics.median(sampled.evaluate(N_EPISODES)[0] for _ in range(2 * ROUNDS))
            each = np.full(N_EPISODES, wall / N_EPISODES)
            for n_actors in (2, 4):
                sampled.grow(n_actors)
                rows.append(check("HalfCheetah-v5, two CPUs", sampled, Cluster(n_actors, n_cpus=n_cpus), costs, each=each))
    return rows, max(work, 0.0)


def humanoids():
    """Measure Humanoid-v5 on one thread, and an iteration's update, with a linear policy and with a million weights."""
    rows = [{"kind": "lengths", "lengths": measured.lengths()}]
    for name, settings in (("linear", {}), ("1 M weights", MILLION)):
        step, candidate = measured.humanoid(**settings)
        (few, n_weights), (many, _) = (measured.update(n, **settings) for n in (30, 230))
        slope = (many - few) / 200
        end = {"end_s": max(few - 30 * slope, 0.0), "end_per_direction_s": slope}
        rows.append({"kind": "policy", "name": name, "n_weights": n_weights, "step_s": step, "candidate_s": candidate, **end})
        print(rows[-1], flush=True)
    return rows


# --- Past this machine


def curves(rows):
    """Compute iterations by number of cores."""
    (found,) = [row for row in rows if row["kind"] == "costs"]
    costs = Costs(**{name: found[name] for name in Costs._fields})
    policies = {row["name"]: row for row in rows if row["kind"] == "policy"}
    (lengths,) = [np.array(row["lengths"]) for row in rows if row["kind"] == "lengths"]
    uneven = STEPS * lengths / lengths.max()
    lines = [
        ("linear", 230, 1, "of 1,000 steps", np.full(460, STEPS)),
        ("linear", 230, NODE, "of 1,000 steps", np.full(460, STEPS)),
        ("linear", 230, NODE, f"of {uneven.mean():.0f} steps, the longest 1,000", uneven),
        ("linear", 5_000, NODE, "of 1,000 steps", np.full(10_000, STEPS)),
        ("1 M weights", 230, NODE, "of 1,000 steps", np.full(460, STEPS)),
        ("1 M weights", 5_000, NODE, "of 1,000 steps", np.full(10_000, STEPS)),
    ]
    return [
        {"kind": "curve", "policy": name, "n_delta": n_delta, "n_threads": n_threads, "episodes": what}
        | curve(costs, policies[name], n_delta, n_threads, steps)
        for name, n_delta, n_threads, what, steps in lines
    ]


def curve(costs, policy, n_delta, n_threads, steps):
    """Compute an iteration with episodes of these lengths on 1 to 10,000 cores, for actors with this number of threads."""
    episodes = steps * policy["step_s"] + policy["candidate_s"]
    end = policy["end_s"] + n_delta * policy["end_per_direction_s"]
    costs = costs._replace(end=end, bandwidth=min(costs.bandwidth, NETWORK))
    seconds = []
    for n_cores in CORES:
        threads = min(n_threads, n_cores)
        cluster = Cluster(n_cores // threads, threads, n_nodes=max(n_cores // NODE, 1))
        seconds.append(iteration(episodes, cluster, costs, 8.0 * policy["n_weights"]).total)
    return {"n_cores": CORES, "alone_s": float(episodes.sum()) + end, "seconds": seconds}


def draw(rows):
    """Return a figure of Matplotlib: measured clusters beside the model (above) and the model up to 10,000 cores (below)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 8.5), dpi=140, layout="constrained")
    here, beyond = figure.subplots(2, 1)
    draw_checks(here, [row for row in rows if row["kind"] == "check"])
    for row in (row for row in rows if row["kind"] == "curve"):
        speedup = np.array(row["alone_s"]) / row["seconds"]
        label = f"{row['policy']}, {row['n_delta']:,} directions, actors of {row['n_threads']}"
        is_even = row["episodes"] == "of 1,000 steps"
        style = "--" if row["n_threads"] == 1 else "-" if is_even else ":"
        beyond.plot(row["n_cores"], speedup, style, marker=".", label=label if is_even else f"{label}, uneven episodes")
    beyond.plot(CORES, CORES, color="0.7", linewidth=1)
    beyond.set(xscale="log", yscale="log", xlabel="cores", ylabel="times as fast as one core")
    beyond.set_title("the model: Humanoid-v5, episodes of 1,000 steps", fontsize=10)
    beyond.legend(frameon=False, fontsize=8)
    return figure


def draw_checks(axes, rows):
    """Draw measured times over the times of the model, each point with its number of actors."""
    for k, what in enumerate(dict.fromkeys(row["what"] for row in rows)):  # 0 sleeps, 1 doesn't
        of = [row for row in rows if row["what"] == what]
        points = [(row["predicted_s"], row["measured_s"]) for row in of]
        axes.plot(*zip(*points, strict=True), "os^"[k], color=f"C{k}", label=what, zorder=3)
        for row, point in zip(of, points, strict=True):
            nodes = f" on {row['n_nodes']} nodes" if row["n_nodes"] > 1 else ""
            place = (8, -4) if nodes else (8, 4 if row["n_actors"] == 2 else -9) if k else (-14, 5)
            axes.annotate(f"{row['n_actors']}{nodes}", point, place, textcoords="offset points", fontsize=8)
    seconds = [row[key] for row in rows for key in ("measured_s", "predicted_s")]
    ends = min(seconds) / 1.3, max(seconds) * 1.3
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="the model, s", ylabel="measured, s")
    axes.set_title(f"{N_EPISODES} episodes here, by number of actors", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    take_two_cpus()
    with contextlib.suppress(KeyboardInterrupt):
        main()
