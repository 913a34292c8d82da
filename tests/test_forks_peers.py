"""Training in the processes and threads of torch's DataLoader and of joblib, and with torch's mode of the floating-point unit."""

import pytest
from test_floats import trained as trained_on_subnormals
from test_forks import digest, run

from fastars import ARS
from fastars._runtime.floats import is_ieee

LOADED = """
import torch
from test_forks import trained

class Trained(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, seed):
        return trained(seed)

if __name__ == "__main__":
    wanted = [trained(seed) for seed in range(4)]
    loader = torch.utils.data.DataLoader(Trained(), batch_size=None, num_workers=2, multiprocessing_context={!r}, timeout=60)
    print(list(loader) == wanted)
"""
PARALLEL = """
import joblib
from test_forks import trained
wanted = [trained(seed) for seed in range(4)]
print(joblib.Parallel(n_jobs=2, backend={!r}, timeout=60)(joblib.delayed(trained)(seed) for seed in range(4)) == wanted)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_a_dataloader_train_to_the_same_bits(method, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    (tmp_path / "script.py").write_text(LOADED.format(method))
    assert run(f"import runpy; runpy.run_path({str(tmp_path / 'script.py')!r}, run_name='__main__')") == "True\n"


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib_trains_to_the_same_bits(backend):
    pytest.importorskip("joblib", reason="joblib is not installed")
    assert run(PARALLEL.format(backend)) == "True\n"


def test_flushed_denormals_of_torch_change_no_bit():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    wanted, model = trained_on_subnormals(), ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=1)
    before = digest(model.learn(2_000))
    try:
        assert torch.set_flush_denormal(True)
        assert not is_ieee()
        assert trained_on_subnormals(n_threads=2).tobytes() == wanted.tobytes()
        assert digest(ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=1).learn(2_000)) == before
    finally:
        torch.set_flush_denormal(False)
