"""Gymnasium's MuJoCo environments, stepped by MuJoCo's own C functions from inside kernels. Modules here import mujoco."""
