"""The threads that step the blocks of a vector environment, for tests of how they share them."""

import threading

from fastars.envs import batches


def threads_of_blocks(monkeypatch):
    """A list of pairs (block, thread that steps it), from now on.

    The first two blocks wait for each other: one thread alone would never pass.
    """
    used, share = [], batches.for_blocks

    def seen(run, n_blocks, n_threads):
        barrier = threading.Barrier(2)

        def block(k):
            if k < 2:
                barrier.wait(60)
            used.append((k, threading.get_ident()))
            run(k)

        share(block, n_blocks, n_threads)

    monkeypatch.setattr(batches, "for_blocks", seen)
    return used
