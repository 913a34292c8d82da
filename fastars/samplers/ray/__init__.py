"""Evaluate candidates in Ray actors, on this machine or on many."""

from fastars.samplers.ray.sampler import RaySampler

__all__ = ["RaySampler"]
