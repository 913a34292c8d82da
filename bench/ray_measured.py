"""Measure iterations of real Ray clusters on this machine, and the cost of their parts, for the model of `bench.ray_scaling`.

Actors of an environment that sleeps use almost no CPU, so that sixteen of them fit on two CPUs. All nodes are on this
machine: bytes between them go through memory, not through a network.
"""

import contextlib
import os
import statistics
import time
from pathlib import Path

import gymnasium
import numpy as np

from fastars import ARS, kernels
from fastars._compiled.structs import empty_rollouts

ROOT = Path(__file__).parent.parent
LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for the address of the machine's network


class Sleep(gymnasium.Env):
    """An environment with one step per episode. The step sleeps for a time that follows from the seed, and pays that time."""

    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, mean, spread=0.0, n_obs=4):
        self.mean, self.spread = mean, spread
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (n_obs,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seconds = self.mean * float(np.exp(self.spread * self.np_random.standard_normal() - 0.5 * self.spread**2))
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        time.sleep(self.seconds)
        return np.zeros(self.observation_space.shape, np.float32), self.seconds, True, False, {}


@contextlib.contextmanager
def nodes(*cpus):
    """A Ray cluster whose nodes claim these numbers of CPUs. This process is on the first node."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    head, *others = cpus
    made = Cluster(True, head_node_args={"num_cpus": head, "include_dashboard": False, "node_ip_address": LOOPBACK})
    for n in others:
        made.add_node(num_cpus=n, node_ip_address=LOOPBACK)
    ray.init(address=made.address, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
        made.shutdown()


class Sampled:
    """A model's sampler on Ray to which actors can be added. It times evaluations of sleeping environments."""

    def __init__(self, model):
        self.model, self.sampler, self.seeds = model, model.sampler, np.random.default_rng(0)
        self.n_tasks, send = 0, self.sampler._send

        def counting(*args):
            self.n_tasks += 1
            send(*args)

        self.sampler._send = counting

    def grow(self, n_actors):
        """Wait until this number of actors is ready and warm."""
        self.sampler._actors._n_wanted = n_actors
        while len(self.sampler._actors.ready) < n_actors:
            self.evaluate(n_actors)
        for _ in range(2):
            self.evaluate(4 * n_actors)

    def evaluate(self, n_episodes):
        """Return (seconds, CPU seconds of this thread, returns) of an evaluation."""
        seeds = self.seeds.integers(0, 2**32, n_episodes, np.uint64)
        self.n_tasks = 0
        start, cpu = time.perf_counter(), time.thread_time()
        rollouts = self.sampler.evaluate(self.model.theta[np.newaxis], self.model.policy.filter, seeds, True)
        return time.perf_counter() - start, time.thread_time() - cpu, rollouts.returns


@contextlib.contextmanager
def on_ray(env, n_actors=1, **settings):
    """Make a model on Ray whose actors are ready."""
    more = {"policy": "LinearPolicy", "env": env, "seed": 0, "variant": "V2", "sampler": "ray", "n_workers": n_actors, **settings}
    with contextlib.closing(ARS(**more)) as model:
        sampled = Sampled(model)
        sampled.grow(n_actors)
        yield sampled


def driver(sampled, rounds=7):
    """Return seconds of the driver's thread for (an evaluation, a task), from evaluations of one task and of many."""
    found = [(sampled.evaluate(n)[1], sampled.n_tasks) for n in (1, 64) for _ in range(rounds)]
    few, many = found[:rounds], found[rounds:]
    (cpu, n_tasks), (more_cpu, more_tasks) = (np.median(part, axis=0) for part in (few, many))
    slope = (more_cpu - cpu) / (more_tasks - n_tasks)
    return max(cpu - n_tasks * slope, 0.0), slope


def one_actor(sampled, begin, task, n_episodes=64, rounds=15):
    """Return seconds of (an actor per sleeping episode besides its sleep, a message there or back), from one actor."""
    wall, _, seconds = sampled.evaluate(n_episodes)
    work = max((wall - begin - task - seconds.sum()) / n_episodes, 0.0)
    single = [sampled.evaluate(1) for _ in range(rounds)]
    rest = statistics.median(wall - seconds.sum() for wall, _, seconds in single)
    return work, max((rest - begin - task - work) / 2, 0.0)


def small_task(sampled, rounds=101):
    """Return the seconds of an evaluation of one episode."""
    return statistics.median(sampled.evaluate(1)[0] for _ in range(rounds))


def cpus(env_id, n_threads, n_episodes=64):
    """Return the speed of this number of threads of this process, as a multiple of the speed of one thread."""
    seconds = {}
    for n in (1, n_threads):
        model, times = ARS("LinearPolicy", env_id, seed=0, n_threads=n), []
        for _ in range(4):
            start = time.perf_counter()
            model.evaluate(n_episodes, seed=0)
            times.append(time.perf_counter() - start)
        seconds[n] = statistics.median(times[1:])
    return seconds[1] / seconds[n_threads]


def look():
    """Return the seconds of a call of `ray.wait` per reference in the call."""
    import ray

    @ray.remote(num_cpus=1)
    class Busy:
        def sleep(self, seconds):
            time.sleep(seconds)

    busy = Busy.remote()
    out, done = [busy.sleep.remote(60.0) for _ in range(4000)], ray.put(0)
    medians = []
    for n in (0, len(out)):
        times = []
        for _ in range(20):
            start = time.perf_counter()
            references = dict.fromkeys([*out[:n], done])
            ray.wait(list(references), num_returns=1, timeout=1.0)
            times.append(time.perf_counter() - start)
        medians.append(statistics.median(times))
    ray.kill(busy)
    return (medians[1] - medians[0]) / len(out)


def unpacking(n_obs=348, n_episodes=64):
    """Return the seconds of the driver to read an episode of a result and to store it."""
    import ray

    times = {}
    for n in (1, n_episodes):
        rollouts, out = empty_rollouts(n, n_obs, True), empty_rollouts(n, n_obs, True)
        samples = []
        for _ in range(50):
            reference = ray.put(rollouts)
            start = time.thread_time()
            found = ray.get(reference)
            ours = out.returns, out.lengths, *out.moments
            for kept, read in zip(ours, (found.returns, found.lengths, *found.moments), strict=True):
                kept[:] = read
            samples.append(time.thread_time() - start)
        times[n] = statistics.median(samples)
    return max(times[n_episodes] - times[1], 0.0) / (n_episodes - 1)


def fetching(n_bytes=64 << 20):
    """Return (seconds until another node has a small object of this one, bytes per second of a large object)."""
    import ray

    @ray.remote(num_cpus=1)
    class Reader:
        def read(self, array):
            return len(array)

    # As many as there are CPUs, one of which is on the other node; the nearest one's time is taken off.
    readers = [Reader.remote() for _ in range(int(ray.cluster_resources()["CPU"]))]
    ray.get([reader.read.remote(b"") for reader in readers])

    def extra(size):
        found = []
        for _ in range(9):
            reference = ray.put(np.zeros(size // 8))
            times = []
            for reader in readers:
                start = time.perf_counter()
                ray.get(reader.read.remote(reference))
                times.append(time.perf_counter() - start)
            found.append(max(times) - min(times))
        return statistics.median(found)

    small = extra(50_000)
    large = extra(n_bytes)
    for reader in readers:
        ray.kill(reader)
    return small, n_bytes / max(large - small, 1e-9)


def humanoid(policy="LinearPolicy", n_episodes=8, **settings):
    """Return (seconds of a step of Humanoid-v5 on one thread, seconds to make a candidate), from episodes of the first policy."""
    model = ARS(policy, "Humanoid-v5", seed=0, n_delta=1, n_threads=1, **settings)
    model.evaluate(n_episodes, seed=0)
    start = time.perf_counter()
    step = model.evaluate(n_episodes, seed=0).lengths.sum()
    step, indices = (time.perf_counter() - start) / step, np.zeros(1, np.int64)
    pairs = []
    for _ in range(9):
        start = time.perf_counter()
        kernels.perturb(model.theta, 0.01, model.noise, indices)
        pairs.append(time.perf_counter() - start)
    return step, statistics.median(pairs[1:])


def lengths(n_delta=230):
    """Return the lengths of the episodes of Humanoid-v5's first iteration, with the paper's settings."""
    with contextlib.closing(ARS("LinearPolicy", "Humanoid-v5", seed=0, preset="tuned", n_delta=n_delta, n_top=n_delta)) as model:
        found, evaluate = [], model.sampler.evaluate

        def noting(*args):
            found.append(evaluate(*args))
            return found[-1]

        model.sampler.evaluate = noting
        model.learn(1, log_interval=None)
        return found[0].lengths.tolist()


class Nothing:
    """A sampler that returns recorded episodes, so that an iteration takes the time of its update."""

    def __init__(self, n_obs, steps):
        self.n_obs, self.steps, self.random = n_obs, steps, np.random.default_rng(0)

    def evaluate(self, candidates, filter, seeds, track, reward_weights=None, on_failure=None):
        rollouts = empty_rollouts(len(seeds), self.n_obs, track)
        rollouts.returns[:] = self.random.standard_normal(len(seeds))
        rollouts.lengths[:] = self.steps
        for array in rollouts.moments:
            array[:] = self.steps
        return rollouts

    takes_perturbed = True

    def close(self):
        pass


def update(n_delta, policy="LinearPolicy", **settings):
    """Return (seconds of an iteration of Humanoid-v5 without its episodes, number of weights)."""
    with contextlib.closing(ARS(policy, "Humanoid-v5", seed=0, variant="V2", n_delta=n_delta, **settings)) as model:
        model.sampler, times = Nothing(348, 100), []
        for _ in range(7):
            start = time.perf_counter()
            model.learn(1, log_interval=None, reset_num_timesteps=False)
            times.append(time.perf_counter() - start)
        return statistics.median(times[2:]), model.n_weights
