"""Blocks of a loop that are watched: which block ran on which thread, and that two threads took one at the same time."""

import threading


def watched_blocks(monkeypatch, module):
    """Return a list that gets (block, thread) for each block that the module's `for_blocks` runs.

    The first two blocks wait for each other: one thread alone would never pass.
    """
    used, share = [], module.for_blocks

    def seen(run, n_blocks, n_threads):
        barrier = threading.Barrier(2)

        def block(k):
            if k < 2:
                barrier.wait(600)  # s: the process may be stopped meanwhile
            used.append((k, threading.get_ident()))
            run(k)

        share(block, n_blocks, n_threads)

    monkeypatch.setattr(module, "for_blocks", seen)
    return used
