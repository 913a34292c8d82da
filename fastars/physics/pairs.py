"""Pairs of geoms that MuJoCo tests for contacts: "Collision detection", "Selection" in its chapter "Computation"."""

from typing import Any


def colliding_pairs(mj_model: Any) -> list[tuple[int, int]]:
    """Return the pairs of geoms that may touch, in the order of their types: a plane first, then spheres, then capsules."""
    pairs = [(a, b) for b in range(mj_model.ngeom) for a in range(b) if may_touch(mj_model, a, b)]
    return sorted((b, a) if mj_model.geom_type[a] > mj_model.geom_type[b] else (a, b) for a, b in pairs)


def may_touch(mj_model: Any, a: int, b: int) -> bool:
    """Return True unless masks, exclusions, a common body, or parent and child forbid contacts of two geoms."""
    contype, conaffinity = mj_model.geom_contype, mj_model.geom_conaffinity
    if not (contype[a] & conaffinity[b] or contype[b] & conaffinity[a]):
        return False
    low, high = sorted(int(mj_model.geom_bodyid[geom]) for geom in (a, b))
    if (low << 16) + high in mj_model.exclude_signature:
        return False
    # Bodies without joints count as parts of the body that they are fixed to. Everything may touch the world's geoms.
    low, high = (int(mj_model.body_weldid[body]) for body in (low, high))
    if low == high:
        return False
    parents = [int(mj_model.body_weldid[mj_model.body_parentid[body]]) for body in (low, high)]
    return 0 in (low, high) or (low != parents[1] and high != parents[0])
