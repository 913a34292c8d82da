"""The log of a run: named values, collected during an iteration and written as one row to every output.

`Logger` has the methods of stable-baselines3's logger, and `Output` is the same protocol as there: any object with a method
`write(key_values, key_excluded, step)` is an output.

A full disk loses rows, never the run: the logger warns once of an output that raises OSError and tries it again at the next row.
"""

from fastars.logger.logger import DEBUG, ERROR, INFO, WARN, Logger, configure, tb_log_folder
from fastars.logger.outputs import Output

__all__ = ["DEBUG", "ERROR", "INFO", "WARN", "Logger", "Output", "configure", "tb_log_folder"]
