"""The result files: one for each row, with a line for each seed, written as a whole after every seed.

Several processes may work on a row. Each claims a seed by the lock of a file, which the system gives back if the process is killed.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.machine import machine_info
from bench.paper.seeds import RANDOM_SEEDS, first_seeds
from fastars.files.atomic import write_atomically

_ORDER = {seed: place for place, seed in enumerate(first_seeds(len(RANDOM_SEEDS)))}
RESULTS = Path(__file__).parents[1] / "results" / "paper"


class Row(Protocol):
    """A row of a study, as its files see it."""

    @property
    def name(self) -> str:
        """Name of its file."""

    @property
    def described(self) -> dict[str, Any]:
        """The head of its file, before the seeds."""


class Store(NamedTuple):
    """A folder of result files. Checkpoints and locks are in another folder inside it, which may be deleted when nothing runs."""

    folder: Path = RESULTS

    @property
    def unfinished(self) -> Path:
        """Folder of checkpoints and locks."""
        return self.folder / "unfinished"

    def path(self, row: Row) -> Path:
        """Return the file of a row."""
        return self.folder / f"{row.name}.json"

    def read(self, row: Row) -> dict[str, Any]:
        """Return what there is of a row.

        Raises
        ------
        SystemExit
            If its seeds were run with other settings than the row has now.
        """
        head = row.described
        try:
            kept: dict[str, Any] = json.loads(self.path(row).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {**head, "machines": [], "seeds": []}
        changed = [name for name, value in head.items() if kept[name] != value]
        if changed:
            raise SystemExit(f"{self.path(row)} has other {', '.join(changed)} than {row.name} now: move it away")
        return kept

    def done(self, row: Row) -> set[int]:
        """Return the seeds of a row that are done."""
        return {result["seed"] for result in self.read(row)["seeds"]}

    def add(self, row: Row, result: dict[str, Any]) -> None:
        """Put the result of a seed into the file of a row, in the place of an earlier one."""
        with self._locked(f"{row.name}.lock"):
            kept, machine = self.read(row), machine_info() | {"threads": 1}
            if machine not in kept["machines"]:
                kept["machines"].append(machine)
            others = [other for other in kept["seeds"] if other["seed"] != result["seed"]]
            added = result | {"machine": kept["machines"].index(machine)}
            kept["seeds"] = sorted([*others, added], key=lambda each: _ORDER.get(each["seed"], len(_ORDER)))
            write_atomically(self.path(row), [written(kept).encode()])

    @contextlib.contextmanager
    def claim(self, row: Row, seed: int) -> Iterator[bool]:
        """Claim a seed while a block runs. False: it is done, or another process has it."""
        name = f"{row.name}_{seed}.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._locked(name, wait=False))
            except BlockingIOError:
                yield False
                return
            yield seed not in self.done(row)
            (self.unfinished / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, name: str, wait: bool = True) -> Iterator[None]:
        self.unfinished.mkdir(parents=True, exist_ok=True)
        with open(self.unfinished / name, "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield


def written(kept: dict[str, Any]) -> str:
    """Return the text of a result file, with a line for each seed."""
    head = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items() if name != "seeds")
    seeds = ",\n".join(json.dumps(result) for result in kept["seeds"])
    return f'{{{head},\n"seeds": [\n{seeds}\n]}}\n'
