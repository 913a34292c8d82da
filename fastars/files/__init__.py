"""Bytes on disk: written as a whole, read with limits. Nothing here knows a model."""
