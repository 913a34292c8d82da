"""Bytes on disk: files written as a whole and read within limits. This room knows no model."""
