"""The tables of README.md and docs/, made from the result files: `python -m bench.tables` (`--check`: only say whether they are).

A table stands between two marks, and nobody types anything between them:

    <!-- bench:rollouts -->
    ...
    <!-- /bench -->
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

from bench.kernel_reference import in_words, kernel_reference, named_tuples

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"(?P<open>^[ \t]*<!-- bench:(?P<name>[\w-]+) -->[ \t]*$).*?(?P<close>^[ \t]*<!-- /bench -->)", re.M | re.S)
_SIZES = ("small", "medium", "large")

Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the benchmark tables of README.md and docs/ from the result files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is not its result file's")
    parser.add_argument("--show", action="store_true", help="print all tables instead")
    args = parser.parse_args()
    if args.show:
        print("\n\n".join(f"## {name}\n\n{table}" for name, table in tables().items()))
        return 0
    made = tables()  # once: the page of kernels takes seconds
    stale = [path for path in documents() if update(path, made, write=not args.check)]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'stale tables' if args.check else 'tables written'}")
    return 1 if args.check and stale else 0


def documents() -> list[Path]:
    """The files that may have marks."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))) if path.exists()]


def update(path: Path, made: dict[str, str], write: bool) -> bool:
    """Put the tables between the marks of a file; whether that changes it. A mark without a result file is an error."""

    def fill(match: re.Match[str]) -> str:
        if match["name"] not in made:
            raise SystemExit(f"{path.name}: no result file for bench:{match['name']}; there are {', '.join(made) or 'none'}")
        return f"{match['open']}\n{made[match['name']]}\n{match['close']}"

    before = path.read_text(encoding="utf-8")
    after = _BLOCK.sub(fill, before)
    if write and after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def tables() -> dict[str, str]:
    """Markdown of every table that has a result file, by the name of its mark."""
    made = {"named-tuples": named_tuples()}
    for name, render in _RENDERERS.items():
        path = RESULTS / f"{name.replace('-', '_')}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            made[name] = f"{render(result['rows'])}\n\n{_caption(result['machine'])}"
            if name == "kernels":
                made["kernel-reference"] = f"{kernel_reference(result['rows'])}\n\nTimes: {_caption(result['machine'])}"
            if name == "drop-in":
                made["drop-in-short"] = drop_in_short_table(result["rows"])
    return made


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; every column but the first is aligned to the right."""
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds(value: float) -> str:
    """A duration to three digits, with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{three_digits(value / size)} {unit}"
    return f"{three_digits(value / 1e-9)} ns"


def rate(value: float) -> str:
    """Steps per second, to three digits."""
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= size:
            return three_digits(value / size) + unit
    return three_digits(value)


def three_digits(value: float) -> str:
    """1.23, 12.3, 123, 1,234."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def ratio(value: float) -> str:
    """How many times as fast: a ratio to two or three digits."""
    return f"{value:.2f} x" if value < 9.995 else f"{value:,.0f} x"


def kernels_table(rows: list[Row]) -> str:
    """Kernel against twin: the kernel's time, and in brackets how many times as fast as its twin that is."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row["kernel"], {})[row["size"]] = f"{seconds(row['kernel_s'])} ({ratio(row['twin_s'] / row['kernel_s'])})"
    lines = [[f"`{name}`", *[by_size.get(size, "") for size in _SIZES]] for name, by_size in cells.items()]
    return markdown(["kernel: time (times as fast as its NumPy twin)", *_SIZES], lines)


def rollouts_table(rows: list[Row]) -> str:
    """Env steps per second by environment, then CartPole against the hand-written loop."""
    environments = [row["env"] for row in rows if row["kind"] == "rates"]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["kind"] in ("rates", "peer"):
            ours, *others = row["steps_per_s"].items()
            if row["kind"] == "rates":
                cells.setdefault(ours[0], {})[row["env"]] = rate(ours[1])
            for name, value in others:
                cells.setdefault(name, {})[row["env"]] = f"{rate(value)} ({ratio(ours[1] / value)})"
    lines = [[name, *[by_env.get(env, "-") for env in environments]] for name, by_env in cells.items()]
    text = markdown([f"env steps/s ({lines[0][0]}: times as fast, in turn)", *environments], lines)
    for row in rows:
        if row["kind"] == "by hand":
            by_name = row["steps_per_s"]
            threads = [name.removeprefix("fastars, ") for name in by_name if name.startswith("fastars")]
            pairs = [(by_name[f"fastars, {key}"], by_name[f"by hand, {key}"]) for key in threads]
            hand = [[key, rate(us), rate(limit), ratio(us / limit)] for key, (us, limit) in zip(threads, pairs, strict=True)]
            title = f"CartPole-v1, mean return {row['mean_return']:.0f}, steps/s"
            text += "\n\n" + markdown([title, "`evaluate_candidates`", "hand-written lane loop", "ratio"], hand)
    return text


def training_table(rows: list[Row]) -> str:
    """Time and steps to the goal, throughput of `learn`, and an iteration's time outside rollouts."""
    solved = {row["trainer"]: row for row in rows if row["kind"] == "time to 475"}
    against = next((row["rows"] for row in rows if row["kind"] == "time to 475 against"), {})
    trainers = {**solved, **{name: row for name, row in against.items() if name not in solved}}
    lines = []
    for name, row in trainers.items():
        in_turn = ratio(row["seconds"] / against["fastars"]["seconds"]) if name not in solved else ""
        counts = [f"{row['steps']:,.0f}", f"{row['most_steps']:,.0f}", f"{row['runs']}", f"{row['unfinished']}"]
        lines.append([name, seconds(row["seconds"]), in_turn, *counts])
    goal = "CartPole-v1 to a mean of 475 over 100 episodes, default settings"
    head = [goal, "median time", "of fastars in turn", "median env steps", "most", "runs", "not in 200,000 steps"]
    parts = [markdown(head, lines)]
    for row in rows:
        if row["kind"] == "throughput":
            rates = row["steps_per_s"]
            learn = next(iter(rates))
            lines = [[name, rate(value), ratio(rates[learn] / value)] for name, value in rates.items()]
            parts.append(markdown(["CartPole-v1", "env steps/s", f"{learn}: of this"], lines))
    lines = [
        [f"{row['variant']}, n_delta={row['n_delta']}", *[seconds(row[key]) for key in ("whole_s", "outside_s", "outside_p90_s")]]
        for row in rows
        if row["kind"] == "iteration"
    ]
    parts.append(markdown(["one iteration on CartPole-v1, median", "whole", "outside rollouts", "90 % of them below"], lines))
    return "\n\n".join(parts)


def startup_table(rows: list[Row]) -> str:
    """Whole processes."""
    return markdown(["process, from its start", "time"], [[row["what"], seconds(row["seconds"])] for row in rows])


def logging_table(rows: list[Row]) -> str:
    """Rows of the log and of episodes."""
    lines = []
    for row in rows:
        if row["kind"] == "row":
            what = f"a row of {row['n_keys']} values: {', '.join(row['files'])}"
            lines.append([what, seconds(row["seconds"]), seconds(row["aim"])])
        else:
            lines.append(["an episode in a monitor file", seconds(1.0 / row["rows_per_s"]), ""])
    return markdown(["what is written", "time", "aim"], lines)


def learning_table(rows: list[Row]) -> str:
    """A row per seed: the best evaluation on the way, that policy on fresh episodes, and when the threshold was reached."""
    parts = []
    for row in rows:
        lines = []
        for curve in row["seeds"]:
            final = f"{curve['best_over_100_episodes']:,.0f} +- {curve['std_over_100_episodes']:,.0f}"
            solved = f"{curve['solved_at_steps']:,}" if curve["solved_at_steps"] else "never"
            times = [f"{curve['steps']:,}", f"{curve['train_s']:.0f} s"]
            lines.append([f"seed {curve['seed']}", f"{curve['best']:,.0f}", final, solved, *times])
        reached = sum(curve["best"] >= row["goal"] for curve in row["seeds"])
        title = f"{row['run']}: {reached} of {len(row['seeds'])} seeds reach {row['goal']:,}"
        head = [title, "best evaluation", "that policy, 100 fresh episodes", f"steps to {row['goal']:,}", "steps", "training"]
        parts.append(markdown(head, lines))
    return "\n\n".join(parts)


def presets_table(rows: list[Row]) -> str:
    """What the preset `tuned` reaches: mean and deviation over the seeds, of the best and of the last policy."""
    lines = []
    for row in rows:
        best, last = ([run[name] for run in row["runs"]] for name in ("best_return", "last_return"))
        reached = "" if row["threshold"] is None else f"{sum(value >= row['threshold'] for value in best)} of {len(best)}"
        times = [run["seconds"] for run in row["runs"]]
        returns = [f"{mean(values):,.1f} +- {pstdev(values):,.1f}" for values in (best, last)]
        threshold = "-" if row["threshold"] is None else f"{row['threshold']:g}"
        lines.append([row["env"], f"{row['total_timesteps']:,}", *returns, threshold, reached, seconds(median(times))])
    head = ["steps", "best policy", "last policy", "threshold", "seeds that reach it", "training"]
    return markdown([f'`preset="tuned"`, {len(rows[0]["runs"])} seeds', *head], lines)


def trust_table(rows: list[Row]) -> str:
    """What tests that inject faults counted, by row of docs/promises.md."""
    lines = []
    for row in rows:
        of = "" if row["of"] is None else f" of {row['of']:,}"
        lines.append([row["what"], str(row["row"]), f"{row['count']:,}{of} {row['unit']}".rstrip(), f"`{row['test']}`"])
    return markdown(["what", "row", "count", "counted by"], lines)


def own_env_table(rows: list[Row]) -> str:
    """A user's environment beside the built-in one of the same arithmetic; what is aimed at stands in brackets."""
    lines = []
    for row in rows:
        own, built_in = row["steps_per_s"]["own"], row["steps_per_s"]["built in"]
        lines.append([row["env"], rate(own), rate(built_in), _aimed(own / built_in, row["target"])])
    return markdown(["env steps/s, 2 threads (aim)", "by `register_env`", "built in", "ratio"], lines)


def gym_table(rows: list[Row]) -> str:
    """Environments in Python beside a bare loop, two workers beside one process, training beside another trainer."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    bare, workers, training = [], [], []
    for row in by_kind["bare"]:
        here, there, loop = row["steps_per_s"].values()
        aim = row["target"] and round(1 / row["target"], 2)
        bare.append([row["env"], f"{row['mean_length']:,.0f}", rate(loop), rate(here), _aimed(here / loop, aim), rate(there)])
    for row in by_kind["workers"]:
        one, two = row["steps_per_s"].values()
        workers.append([f"and {row['extra_us']:,} us", rate(one), rate(two), _aimed(two / one, row["target"])])
    for row in by_kind["training"]:
        (ours, value), *others = row["steps_per_s"].items()
        training.append([ours, rate(value), ""])
        training.extend([name, rate(other), _aimed(value / other, row["target"])] for name, other in others)
    names = ["this process", "of the loop", "2 workers"]
    return "\n\n".join(
        [
            markdown(["env steps/s, what `gymnasium.make` makes (aim)", "mean length", "bare loop, NumPy policy", *names], bare),
            markdown(["env steps/s, a step of CartPole-v1 (aim)", "this process", "2 workers", "ratio"], workers),
            markdown(["training on CartPole-v1 in Python, one process (aim)", "env steps/s", "fastars: times as fast"], training),
        ]
    )


def weighted_sum_table(rows: list[Row]) -> str:
    """The sums, then the noise table."""
    parts = []
    for row in rows:
        times = row["seconds"]
        if row["kind"] == "sum":
            lines = [
                [name, seconds(value), f"{row['bytes'] / value / 1e9:.1f} GB/s", ratio(value / times[_fastest_of_ours(times)])]
                for name, value in times.items()
            ]
            head = f"{row['n']} directions x {row['n_weights']:,} parameters"
            parts.append(markdown([head, "time", "bytes of the slices", "time, as a multiple of our best"], lines))
        else:
            lines = [[name, seconds(value), ratio(value / next(iter(times.values())))] for name, value in times.items()]
            parts.append(markdown([f"{row['size'] / 1e6:.0f} M normals in float32", "time", "as a multiple"], lines))
    return "\n\n".join(parts)


def weighting_table(rows: list[Row]) -> str:
    """Gram matrices against reading, an update of four tasks, solvers against TorchJD's; what is aimed at stands in brackets."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    lines = []
    for row in by_kind["gram"]:
        times = row["seconds"]
        ours, aim = times["fastars"], 0.6 if row["n_tasks"] == 16 else None
        cells = [f"{row['bytes'] / ours / 1e9:.1f} GB/s", _aimed(times["read"] / ours, aim)]
        lines.append([f"{row['n_tasks']} x {row['n_weights']:,}, {row['dtype']}", seconds(ours), *cells, _against(times, "numpy")])
    parts = [markdown(["Gram matrix, one thread (aim)", "`gram`", "its gradients", "of the rate of reading", "`J @ J.T`"], lines)]
    lines = [[f"`{row['kernel']}`", seconds(row["python_s"]), seconds(row["compiled_s"])] for row in by_kind["update"]]
    parts.append(markdown(["one update, four tasks", "from Python", "from compiled code"], lines))
    lines = []
    for row in by_kind["balancing"]:
        whole, balancing, rows_too = row["seconds"].values()
        shares = [f"{seconds(part)} ({100 * part / whole:.1f} %)" for part in (balancing, rows_too)]
        lines.append([f"{row['env']}, {row['steps']:.0f} steps an episode", seconds(whole), *shares])
    head = [f"four tasks, 64 directions, {by_kind['balancing'][0]['n_weights']:,} weights", "an iteration of ARS"]
    parts.append(markdown([*head, "balancing (aim: 5 %)", "with all rows of the log"], lines))
    cells_of: dict[str, dict[int, str]] = {}
    for row in by_kind["solver"]:
        cell = f"{seconds(row['seconds']['fastars'])}; {_against(row['seconds'], 'TorchJD')}"
        cells_of.setdefault(row["method"], {})[row["n_tasks"]] = cell
    tasks = sorted({row["n_tasks"] for row in by_kind["solver"]})
    lines = [[method, *[by_tasks[n] for n in tasks]] for method, by_tasks in cells_of.items()]
    parts.append(markdown(["one call; TorchJD's (times as long)", *[f"{n} tasks" for n in tasks]], lines))
    return "\n\n".join(parts)


def _against(times: dict[str, float], name: str) -> str:
    """The time of another, and how many times ours that is."""
    return f"{seconds(times[name])} ({ratio(times[name] / times['fastars'])})" if name in times else "-"


def mlp_table(rows: list[Row]) -> str:
    """Networks on CartPole against the limit of their layers' arithmetic; what is aimed at stands in brackets."""
    lines = []
    for row in rows:
        two, one, twin, limit = row["steps_per_s"].values()
        name = f"{list(row['net_arch'])}, {row['activation']}"
        cells = [rate(one), rate(limit), _aimed(one / limit, row["target"]), rate(two), f"{rate(twin)} ({ratio(one / twin)})"]
        lines.append([name, f"{row['flops']:,}", *cells])
    head = ["flops of the layers", "1 thread", "limit of the layers", "of it (aim)", "2 threads", "NumPy twin"]
    return markdown(["CartPole-v1, env steps/s", *head], lines)


def mujoco_table(rows: list[Row]) -> str:
    """The limit that `mj_step` sets, other ways to step MuJoCo, EnvPool, training; what is aimed at stands in brackets."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    renderers = {"bare": _bare_tables, "peer": _simulator_table, "envpool": _envpool_table, "training": _mujoco_training_table}
    return "\n\n".join(render(by_kind[kind]) for kind, render in renderers.items() if kind in by_kind)


def _bare_tables(rows: list[Row]) -> str:
    """fastars against nothing but `mj_step`, then against what the observation of contact forces needs besides."""
    lines, forces = [], []
    for row in rows:
        ours, bare, more = (_by_threads(row["steps_per_s"], what) for what in ("fastars", "bare", "with contact forces"))
        cells = [cell for n, value in ours.items() for cell in (rate(value), _aimed(value / bare[n], row["target"]))]
        no_clock = row["steps_per_s"].get("without clock, 1 thread")
        cells.insert(2, ratio(ours[1] / no_clock) if no_clock else "-")
        to_one = [_aimed(ours[2] / ours[1], row["target_threads"]), ratio(bare[2] / bare[1])]
        lines.append([row["env"], f"{row['mean_length']:,.0f}", *cells, *to_one])
        if more:
            forces.append([row["env"], *[cell for n, value in ours.items() for cell in (rate(more[n]), ratio(value / more[n]))]])
    head = ["1 thread", "of bare `mj_step`", "of it, no clock", "2 threads", "of bare `mj_step`", "2 to 1", "bare, 2 to 1"]
    text = markdown(["env steps/s (aim)", "mean length", *head], lines)
    if forces:
        head = ["bare, 1 thread", "fastars of it", "bare, 2 threads", "fastars of it"]
        text += "\n\n" + markdown(["`mj_step`, and `mj_rnePostConstraint` once an env step", *head], forces)
    return text


def _simulator_table(rows: list[Row]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        (ours, value), *others = row["steps_per_s"].items()
        by_name = cells.setdefault(row["env"], {ours: rate(value)})
        by_name |= {name: f"{rate(other)} ({ratio(value / other)})" for name, other in others}
    names = list(dict.fromkeys(name for by_name in cells.values() for name in by_name))
    lines = [[env, *[by_name.get(name, "-") for name in names]] for env, by_name in cells.items()]
    return markdown([f"env steps/s ({names[0]}: times as fast, in turn)", *names], lines)


def _envpool_table(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        ours, theirs = row["steps_per_s"].values()
        cells = [f"{row['mean_length']:,.0f}", rate(ours), rate(theirs), f"{row['batch']:,} of {row['environments']:,}"]
        lines.append([row["env"], *cells, _aimed(ours / theirs, row["target"])])
    return markdown(["env steps/s, 2 threads (aim)", "mean length", "fastars", "EnvPool", "its best batch", "ratio"], lines)


def _mujoco_training_table(rows: list[Row]) -> str:
    (row,) = rows
    ours = next(iter(row["steps_per_s"].values()))
    lines = [[name, rate(value), _aimed(ours / value, row["target"])] for name, value in row["steps_per_s"].items()]
    lines[0][-1] = ""
    title = f"training on {row['env']}, n_delta={row['n_delta']}, 2 threads or workers (aim)"
    return markdown([title, "env steps/s", "fastars: times as fast"], lines)


def vector_table(rows: list[Row]) -> str:
    """Steps of vector environments, by environment and by how many there are."""
    names = list(dict.fromkeys(name for row in rows for name in row["steps_per_s"]))
    lines = []
    for row in rows:
        ours, rates = row["steps_per_s"][names[0]], row["steps_per_s"]
        cells = [f"{rate(rates[name])} ({ratio(ours / rates[name])})" if name in rates else "-" for name in names[1:]]
        lines.append([row["env"], f"{row['environments']:,}", rate(ours), *cells])
    return markdown([f"env steps/s ({names[0]}: times as fast, in turn)", "environments", *names], lines)


def embedding_table(rows: list[Row]) -> str:
    """Calls from Python and from compiled code, then threads."""
    calls = [
        [f"`{row['kernel']}`", in_words(row["kernel"], "small"), seconds(row["python_s"]), seconds(row["compiled_s"])]
        for row in rows
        if row["kind"] == "call"
    ]
    parts = [markdown(["one call", "of", "from Python", "from compiled code"], calls)]
    for row in rows:
        if row["kind"] == "threads":
            first = next(iter(row["seconds"].values()))
            lines = [[name, seconds(value), ratio(first / value)] for name, value in row["seconds"].items()]
            parts.append(markdown(["two halves of a noise table, two CPUs", "time", "times as fast"], lines))
    return "\n\n".join(parts)


def multitask_table(rows: list[Row]) -> str:
    """What each method leaves of the losses of 2 and of 10 tasks, and the ratio of its mean weights of 2."""
    cells: dict[str, dict[int, Row]] = {}
    for row in rows:
        cells.setdefault(row["method"].replace("static 10^", "static weights, 10^"), {})[row["n_tasks"]] = row
    lines = [[name, _left(by_tasks[2]), _left(by_tasks.get(10)), _weights(by_tasks[2])] for name, by_tasks in cells.items()]
    head = "sum of L / L(0) at the end, mean (least to largest of the seeds)"
    return markdown([head, "2 tasks", "10 tasks", "w_1 / w_2 of 2 tasks"], lines)


def two_objectives_table(rows: list[Row]) -> str:
    """Which starts reach the front, and how far along it they are."""
    lines = []
    for row in rows:
        ends = [end[0] for end, reached in zip(row["ends"], row["on_front"], strict=True) if reached]
        lines.append([row["method"], f"{len(ends)} of {len(row['ends'])}", f"{min(ends):.2f} to {max(ends):.2f}"])
    return markdown(["method", "starts that reach the front", "there, x_1 is"], lines)


def rover_table(rows: list[Row]) -> str:
    """Distance and angle that are left, by how they were weighted."""
    lines = []
    for row in rows:
        cells = [
            f"{mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
            for values, digits in ((row["distance"], 3), (row["angle"], 4))
        ]
        lines.append([row["method"].replace("1 : ", "static weights, 1 : "), *cells])
    return markdown(["root mean square, mean (least to largest of the seeds)", "distance, m", "angle, rad"], lines)


def _left(row: Row | None) -> str:
    return "" if row is None else f"{row['mean']:.3f} ({min(row['left']):.3f} to {max(row['left']):.3f})"


def _weights(row: Row) -> str:
    return three_digits(row["weights"][0] / row["weights"][1])


def drop_in_table(rows: list[Row]) -> str:
    """One script with either package, then the steps alone of what is stepped in Python, then whole processes."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    lines, best = [], {}
    for row in by_kind["learn"]:
        (ours, theirs), (later, later_of_theirs) = _rates(row), _rates(row, "later")
        best[row["env_id"]] = max(later, best.get(row["env_id"], 0.0))
        cells = [row["mode"], rate(theirs), rate(ours), _aimed(ours / theirs, row["aim"]), ratio(later / later_of_theirs)]
        lines.append([_script(row), *cells])
    head = ["theirs is fastest with", "theirs", "fastars", "times as fast", "after the first iteration"]
    if any("starts" in row for row in by_kind["learn"]):
        head.append("workers ready, theirs / fastars")
        for line, row in zip(lines, by_kind["learn"], strict=True):
            line.append(_starts(row))
    parts = [markdown(["`learn`, env steps/s (aim)", *head], sorted(lines))]
    rates = {row["env_id"]: row["steps_per_s"] for row in by_kind["bare"]}
    lines = [[_bare(env_id), rate(value), ratio(best[env_id] / value)] for env_id, value in rates.items()]
    parts.append(markdown(["the environment's steps alone, 2 processes", "env steps/s", "fastars of it, at its best above"], lines))
    for row in by_kind["process"]:
        ours, theirs = row["seconds"].values()
        cells = [seconds(theirs), seconds(ours), ratio(theirs / ours), seconds(row["first_ever_s"])]
        head = [f"whole process, {row['env_id']}, {row['steps']:,} steps", "theirs", "fastars", "times as fast"]
        parts.append(markdown([*head, "fastars' first, which compiles"], [["one environment", *cells]]))
    return "\n\n".join(parts)


def _starts(row: Row) -> str:
    """Until model and workers are ready, of theirs and of fastars; nothing where there are no workers."""
    return " / ".join(seconds(median(values)) for values in reversed(row.get("starts", {}).values()) if values)


def drop_in_short_table(rows: list[Row]) -> str:
    """The longest script of each environment, an episode per candidate."""
    longest: dict[str, Row] = {}
    for row in rows:
        if row["kind"] == "learn" and row["n_eval_episodes"] == 1 and row["steps"] >= longest.get(row["env_id"], row)["steps"]:
            longest[row["env_id"]] = row
    lines = []
    for row in sorted(longest.values(), key=_script):
        ours, theirs = _rates(row)
        lines.append([_script(row), rate(theirs), rate(ours), ratio(ours / theirs)])
    head = ["stable-baselines3-contrib, its fastest way", "fastars", "times as fast"]
    return markdown(["one script, `learn`, env steps/s, two CPUs", *head], lines)


def _rates(row: Row, *parts: str) -> list[float]:
    """Of either side, the median over runs of environment steps per second; of these parts of a run, by default of all."""
    parts = parts or ("first", "later")
    return [
        median(sum(run[f"{part}_steps"] for part in parts) / sum(run[f"{part}_s"] for part in parts) for run in runs)
        for runs in row["runs"].values()
    ]


def _script(row: Row) -> str:
    episodes = f", n_eval_episodes={row['n_eval_episodes']}" if row["n_eval_episodes"] > 1 else ""
    return f"{_bare(row['env_id'])}, n_delta={row['n_delta']}{episodes}, {row['steps']:,} steps"


def _bare(env_id: str) -> str:
    """An id without the module that it comes from."""
    return env_id.rpartition(":")[2]


def learning_compared_table(rows: list[Row]) -> str:
    """The policy that a run ends with: mean over seeds and its 95 % interval, ours and theirs."""
    by_run: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        by_run.setdefault((row["env"], row["steps"]), {})[row["side"]] = row
    lines = []
    for (env_id, steps), sides in by_run.items():
        row, both = next(iter(sides.values())), [sides.get(side) for side in ("fastars", "sb3-contrib")]
        n_seeds = " / ".join(f"{side['seeds']}" if side else "0" for side in both)
        cells = [f"{side['mean']:,.1f} ({side['low']:,.1f} to {side['high']:,.1f})" if side else "-" for side in both]
        lines.append([f"{env_id}, {row['settings']['policy']}", f"{steps:,}", n_seeds, *cells])
    head = ["env steps", "seeds", 'fastars, `preset="sb3"`', "stable-baselines3-contrib"]
    return markdown(["mean return of the last policy (95 % interval of the mean over seeds)", *head], lines)


def ray_table(rows: list[Row]) -> str:
    """Actors beside this process, then an iteration of next to no work."""
    names = list(rows[0]["seconds"])
    lines, nothing = [], []
    for row in rows:
        here, there = (row["seconds"][name] for name in names)
        if row["kind"] == "throughput":
            lines.append(
                [f"{row['env']}, n_delta={row['n_delta']}", seconds(here), seconds(there), _aimed(here / there, row["target"])]
            )
        else:
            aim = f"{seconds(there)} ({seconds(row['target'])})"
            nothing.append([f"{row['env']}, n_delta={row['n_delta']}", seconds(here), aim])
    return "\n\n".join(
        [
            markdown(["an iteration, once warm (aim)", *names, "of its speed"], lines),
            markdown(["an iteration of next to no work (aim: at most)", *names], nothing),
        ]
    )


def ray_scaling_table(rows: list[Row]) -> str:
    """What the parts cost, clusters beside the model, and the model past this machine."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    (costs,) = by_kind["costs"]
    lines = [[what, seconds(costs[name])] for name, what in _RAY_PARTS.items() if costs[name] > 0.0]  # 0: less than was seen
    lines.append(["bytes to another node, over loopback", f"{costs['bandwidth'] / 1e6:,.0f} MB/s"])
    for row in by_kind["policy"]:
        update = row["end_s"] + 230 * row["end_per_direction_s"]
        lines.append([f"update of 230 directions, {row['n_weights']:,} weights, two threads", seconds(update)])
        lines.append([f"a step of Humanoid-v5, {row['n_weights']:,} weights", seconds(row["step_s"])])
    parts = [markdown(["part of an iteration", "measured"], lines)]
    lines = []
    for row in by_kind["check"]:
        where = f" on {row['n_nodes']} nodes" if row["n_nodes"] > 1 else ""
        off = f"{100 * (row['predicted_s'] / row['measured_s'] - 1):+.0f} %"
        lines.append([f"{row['what']}: {row['n_actors']}{where}", seconds(row["measured_s"]), seconds(row["predicted_s"]), off])
    parts.append(markdown(["64 episodes: actors", "measured", "the model", "it is off by"], lines))
    some = [cores for cores in by_kind["curve"][0]["n_cores"] if cores in (32, 256, 1024, 10_000)]
    lines = []
    for row in by_kind["curve"]:
        found = dict(zip(row["n_cores"], row["seconds"], strict=True))
        cells = [f"{seconds(found[cores])} ({ratio(row['alone_s'] / found[cores])})" for cores in some]
        name = f"{row['policy']}, {row['n_delta']:,} directions, episodes {row['episodes']}, actors of {row['n_threads']}"
        lines.append([name, seconds(row["alone_s"]), *cells])
    head = ["one core, no Ray", *[f"{cores:,} cores" for cores in some]]
    parts.append(markdown(["the model: an iteration of Humanoid-v5 (times as fast)", *head], lines))
    return "\n\n".join(parts)


_RAY_PARTS = {
    "begin": "driver: an evaluation",
    "send": "driver: a task sent",
    "hear": "driver: a result heard",
    "look": "driver: a look at each task that is out",
    "episode": "driver: an episode of 348 observations in a result",
    "work": "actor: a task of a compiled environment, besides its episodes",
    "sleeper": "actor: an episode of the environment that sleeps, besides its sleep (fitted with one actor)",
    "way": "a message, there or back",
    "fetch": "another node gets theta of a few kB",
}


def _by_threads(steps_per_s: dict[str, float], what: str) -> dict[int, float]:
    """Steps per second of "<what>, <n> thread(s)", by n."""
    named = {name.removeprefix(f"{what}, "): value for name, value in steps_per_s.items() if name.startswith(f"{what}, ")}
    return {int(name.split()[0]): value for name, value in sorted(named.items())}


def _aimed(value: float, aim: float | None) -> str:
    """A ratio, and in brackets what it is meant to be, where that is said."""
    return ratio(value) if aim is None else f"{ratio(value)} ({aim:g})"


def _fastest_of_ours(times: dict[str, float]) -> str:
    ours = [name for name in times if re.match(r"\d+ thread", name)]
    return min(ours, key=times.__getitem__)


def _caption(machine: Row) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    where = f"{machine['cpu']}, {machine['threads']} CPUs, {machine['system']}"
    return f"{where}, Python {machine['python']}, {versions}; {machine['date']}."


_RENDERERS: dict[str, Callable[[list[Row]], str]] = {
    "embedding": embedding_table,
    "kernels": kernels_table,
    "rollouts": rollouts_table,
    "vector": vector_table,
    "training": training_table,
    "startup": startup_table,
    "logging": logging_table,
    "drop-in": drop_in_table,
    "learning-compared": learning_compared_table,
    "mlp": mlp_table,
    "mujoco": mujoco_table,
    "learning": learning_table,
    "presets": presets_table,
    "own-env": own_env_table,
    "trust": trust_table,
    "gym": gym_table,
    "ray": ray_table,
    "ray-scaling": ray_scaling_table,
    "weighted-sum": weighted_sum_table,
    "multitask-toy": multitask_table,
    "multitask-mlp": multitask_table,
    "rover": rover_table,
    "two-objectives": two_objectives_table,
    "weighting": weighting_table,
}

if __name__ == "__main__":
    raise SystemExit(main())
