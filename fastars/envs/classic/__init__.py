"""Gymnasium's classic control, one file each."""
