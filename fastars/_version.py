"""The version of fastars."""

__version__ = "0.1.0"
