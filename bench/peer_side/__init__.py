"""Environments and optimisers of other packages, each in a process of its own, in any Python that has them.

`bench.peers` starts `python -m bench.peer_side` and asks it for one repetition at a time. Nothing here imports fastars. A class of
a peer has `run()`, which does one repetition and returns its number of environment steps. One that steps environments also has
`trace(n)`, the transitions that `bench.peer_physics` compares with Gymnasium's.
"""
