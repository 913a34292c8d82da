"""Save models during a run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from fastars._folding import print_line
from fastars._validate import boolean, positive_int, user_facing
from fastars.callbacks.base import BaseCallback, saving
from fastars.files.atomic import write_atomically
from fastars.files.checkpoint_names import keep_newest
from fastars.files.opening import without_link


class CheckpointCallback(BaseCallback):
    """Saves the model every `save_freq` steps, as `<save_path>/<name_prefix>_<steps>_steps.zip`.

    Callbacks hear of the steps of an iteration after its update: the file holds the model at the end of the iteration that had step
    `steps`, whose `num_timesteps` may be larger.

    Each file is written whole or not at all. A full disk is a warning, and training goes on. `fastars.latest_checkpoint(save_path)`
    finds the newest file. The folder may be a symbolic link; a link in the place of a file is replaced by the file.

    Parameters
    ----------
    save_freq : int
        Environment steps between two files.
    save_path : str or PathLike
        Folder of the files. A missing folder is made.
    name_prefix : str
        Beginning of the files' names.
    save_replay_buffer : bool
        Without effect: ARS has no replay buffer.
    save_vecnormalize : bool
        True also saves the `VecNormalize` around the environment.
    verbose : int
        1 prints the name of each file.
    keep_checkpoints : int, optional
        Number of files to keep, the newest ones. Default: all. `EvalCallback` keeps the best policy.
    """

    @user_facing
    def __init__(
        self,
        save_freq: int,
        save_path: str | os.PathLike[str],
        name_prefix: str = "rl_model",
        save_replay_buffer: bool = False,
        save_vecnormalize: bool = False,
        verbose: int = 0,
        *,
        keep_checkpoints: int | None = None,
    ) -> None:
        super().__init__(verbose)
        self.save_freq = positive_int("save_freq", save_freq)
        self.keep_checkpoints = None if keep_checkpoints is None else positive_int("keep_checkpoints", keep_checkpoints)
        self.save_path, self.name_prefix = Path(save_path), name_prefix
        self.save_vecnormalize = boolean("save_vecnormalize", save_vecnormalize)

    def _init_callback(self) -> None:
        self.save_path.mkdir(parents=True, exist_ok=True)

    def _on_step(self) -> bool:
        if self.n_calls % self.save_freq == 0:
            path = self.save_path / f"{self.name_prefix}_{self.num_timesteps}_steps.zip"
            with saving(f"checkpoint {path}"):
                self._save(path)
        return True

    def _save(self, path: Path) -> None:
        """Write the checkpoint, then remove the oldest ones."""
        self.model.save(without_link(path))
        normalizer = self.model.get_vec_normalize_env()
        if self.save_vecnormalize and normalizer is not None:
            write_atomically(self._normalizer_file(self.num_timesteps), [pickle.dumps(normalizer)], follow=False)
        if self.verbose:
            print_line(f"Saved the model to {path}")
        if self.keep_checkpoints is not None:
            for steps in keep_newest(self.save_path, self.keep_checkpoints, self.name_prefix):
                self._normalizer_file(steps).unlink(missing_ok=True)

    def _normalizer_file(self, steps: int) -> Path:
        return self.save_path / f"{self.name_prefix}_vecnormalize_{steps}_steps.pkl"
