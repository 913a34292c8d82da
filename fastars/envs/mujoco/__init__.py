"""Gymnasium's MuJoCo environments, stepped by MuJoCo's own C functions from inside kernels. Importing a module here imports mujoco."""
