"""The noise table of a run on the nodes of a Ray cluster."""

from __future__ import annotations

from typing import Any

from fastars.samplers.noise_table import NoiseTable
from fastars.samplers.ray.actors import Worker


class NodeTables:
    """References to the noise table: each node has one, which the first of its actors fills."""

    def __init__(self) -> None:
        self._by_node: dict[str, Any] = {}
        self._key = (0, 0)  # seed and size

    def use(self, table: NoiseTable) -> None:
        """Let nodes have this table from now on."""
        if self._key != (key := (table.seed, table.size)):
            self._by_node.clear()
            self._key = key

    def reference(self, worker: Worker) -> Any:
        """Return the reference to the table of the actor's node, which the actor fills if there is none."""
        if worker.node not in self._by_node:
            self._by_node[worker.node] = worker.actor.noise_table.remote(*self._key)
        return self._by_node[worker.node]

    def drop(self, worker: Worker) -> None:
        """Forget the table that the actor reads: the actor was filling it, or waited for one that did, and is gone."""
        if self._by_node.get(worker.node) is worker.table:
            self._by_node.pop(worker.node, None)

    def clear(self) -> None:
        """Forget all tables: their cluster is gone."""
        self._by_node.clear()
