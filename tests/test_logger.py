"""The log: rows as they were recorded, a header that grows, and a disk error that costs rows but never the run."""

import csv
import errno
import io
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastars import logger as module
from fastars.logger import ERROR, Logger, configure, tb_log_folder


class Collector:
    """An output that keeps what it is given."""

    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append((dict(key_values), dict(key_excluded), step))


def dump(logger, step=0, **values):
    for key, value in values.items():
        logger.record(key, value)
    logger.dump(step)


def csv_rows(folder):
    with open(folder / "progress.csv", newline="") as file:
        return list(csv.DictReader(file))


def json_rows(folder):
    return [json.loads(line) for line in (folder / "progress.json").read_text().splitlines()]


def test_any_object_with_write_is_an_output():
    output = Collector()
    logger = Logger(formats=[output])
    logger.record("a", 1)
    logger.record("b", "x", exclude="csv")
    logger.record("c", 2.5, exclude=("csv", "tensorboard"))
    assert logger.name_to_value == {"a": 1, "b": "x", "c": 2.5}
    logger.dump(7)
    assert output.rows == [({"a": 1, "b": "x", "c": 2.5}, {"a": (), "b": ("csv",), "c": ("csv", "tensorboard")}, 7)]
    assert logger.name_to_value == {}


def test_outputs_have_the_name_that_they_have_in_stable_baselines3():
    output = Collector()
    assert Logger(formats=[output]).output_formats == [output]


def test_numpy_scalars_are_recorded_as_python_numbers():
    logger = Logger(formats=[])
    for value in (np.float64(0.1), np.float32(0.5), np.int64(3), np.bool_(True)):
        logger.record("a", value)
        assert type(logger.name_to_value["a"]) in (float, int, bool)
        assert logger.name_to_value["a"] == value


def test_record_mean_averages_since_the_last_row():
    output = Collector()
    logger = Logger(formats=[output])
    for row in ((1, 2, None, 6), (5,)):
        for value in row:
            logger.record_mean("a", value)
        logger.dump()
    assert [values["a"] for values, _, _ in output.rows] == [3.0, 5.0]


def test_floats_come_back_from_csv_and_json_to_the_bit(tmp_path):
    values = {"a": 0.1, "b": 1e-300, "c": -0.0, "d": 2**63, "e": 1 / 3}
    logger = Logger(tmp_path, ["csv", "json"])
    dump(logger, **values)
    logger.close()
    assert {key: repr(float(cell)) for key, cell in csv_rows(tmp_path)[0].items()} == {k: repr(float(v)) for k, v in values.items()}
    assert repr(json_rows(tmp_path)) == repr([values])


def test_csv_keeps_nan_infinity_and_text(tmp_path):
    logger = Logger(tmp_path, ["csv"])
    dump(logger, a=math.nan, b=-math.inf, c='say "a,b"\nand ü', d=None)
    logger.close()
    assert csv_rows(tmp_path) == [{"a": "nan", "b": "-inf", "c": 'say "a,b"\nand ü', "d": ""}]


def test_json_lines_are_strict_json_with_null_for_nan(tmp_path):
    logger = Logger(tmp_path, ["json"])
    dump(logger, a=math.nan, b=math.inf, c="x", d=1)
    logger.close()
    assert json_rows(tmp_path) == [{"a": None, "b": None, "c": "x", "d": 1}]


def test_the_csv_header_grows_and_earlier_rows_get_empty_cells(tmp_path):
    logger = Logger(tmp_path, ["csv"])
    dump(logger, b=1, a=2)
    dump(logger, a=3)
    dump(logger, eval=4, a=5)
    dump(logger, b=6, eval=7)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "a,b,eval\n2,1,\n3,,\n5,,4\n,6,7\n"
    assert os.listdir(tmp_path) == ["progress.csv"]


def test_the_csv_is_whole_when_growing_its_header_fails(tmp_path, monkeypatch):
    logger = Logger(tmp_path, ["csv"])
    dump(logger, a=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.warns(RuntimeWarning, match="injected"):
            dump(logger, a=2, b=3)
    assert (tmp_path / "progress.csv").read_text() == "a\n1\n"
    dump(logger, a=4, b=5)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "a,b\n1,\n4,5\n"
    assert os.listdir(tmp_path) == ["progress.csv"]


def test_a_row_is_in_the_files_when_dump_returns(tmp_path):
    logger = Logger(tmp_path, ["csv", "json"])
    dump(logger, a=1)
    assert csv_rows(tmp_path) == [{"a": "1"}]
    assert json_rows(tmp_path) == [{"a": 1}]
    logger.close()


def test_an_output_leaves_out_what_is_excluded_from_it(tmp_path, capsys):
    logger = Logger(tmp_path)
    for name in ("csv", "json", "stdout"):
        logger.record(f"not_in_{name}", 1, exclude=name)
    logger.dump()
    logger.close()
    assert csv_rows(tmp_path)[0].keys() == {"not_in_json", "not_in_stdout"}
    assert json_rows(tmp_path)[0].keys() == {"not_in_csv", "not_in_stdout"}
    assert "not_in_json" in (text := capsys.readouterr().out)
    assert "not_in_stdout" not in text


def test_the_table_groups_keys_and_lines_up(capsys):
    logger = Logger()
    for key, value in {"time/fps": 123456, "rollout/ep_rew_mean": 21.23456, "time/name": "x", "plain": math.nan}.items():
        logger.record(key, value)
    logger.dump()
    logger.dump()  # an empty row prints nothing
    assert capsys.readouterr().out == (
        "---------------------------\n"
        "| plain          | nan    |\n"
        "| rollout/       |        |\n"
        "|    ep_rew_mean | 21.2   |\n"
        "| time/          |        |\n"
        "|    fps         | 123456 |\n"
        "|    name        | x      |\n"
        "---------------------------\n"
    )


def test_files_start_anew_unless_appended_to(tmp_path):
    for append, expected in ((False, [1]), (True, [1, 2]), (False, [3])):
        logger = Logger(tmp_path, ["csv", "json"], append=append)
        dump(logger, a=expected[-1])
        logger.close()
        assert [int(row["a"]) for row in csv_rows(tmp_path)] == expected
        assert [row["a"] for row in json_rows(tmp_path)] == expected


def test_appending_drops_the_half_line_of_a_killed_process(tmp_path):
    (tmp_path / "progress.csv").write_text("a,b\n1,2\n3,")
    (tmp_path / "progress.json").write_text('{"a": 1, "b": 2}\n{"a": ')
    logger = Logger(tmp_path, ["csv", "json"], append=True)
    dump(logger, a=5, b=6)
    logger.close()
    assert csv_rows(tmp_path) == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    assert json_rows(tmp_path) == [{"a": 1, "b": 2}, {"a": 5, "b": 6}]


def fail(*_, **__):
    raise OSError(errno.ENOSPC, "injected")


def test_an_output_that_fails_warns_once_and_the_others_go_on(tmp_path):
    class Full:
        n_calls = 0

        def write(self, *_):
            self.n_calls += 1
            fail()

    full, collector = Full(), Collector()
    logger = Logger(formats=[full, collector])
    with pytest.warns(RuntimeWarning, match="rows of the log are lost, training goes on: .*injected"):
        dump(logger, 0, a=0)
    for step in range(1, 5):
        dump(logger, step, a=step)  # a second warning would be an error
    assert full.n_calls == 5  # space may come back
    assert [step for _, _, step in collector.rows] == [0, 1, 2, 3, 4]


def test_an_error_that_is_not_of_the_disk_is_not_hidden():
    class Broken:
        def write(self, *_):
            raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        dump(Logger(formats=[Broken()]), a=1)


FULL_DISK = """if True:
    import resource, sys, warnings
    from fastars.logger import ERROR, Logger, configure, tb_log_folder
    logger = Logger(sys.argv[1], ["csv", "json"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(200):
            if step == 150:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            logger.record("a", step)
            logger.record("text", "x" * 20)
            logger.dump(step)
    logger.close()
    print(len(caught), [w.category.__name__ for w in caught])
"""


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE")
def test_a_full_disk_leaves_whole_rows_and_two_warnings_and_rows_go_on_with_space(tmp_path):
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(module.__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 ['RuntimeWarning', 'RuntimeWarning']\n"  # one for each file
    for rows in (csv_rows(tmp_path), json_rows(tmp_path)):
        steps = [int(row["a"]) for row in rows]
        kept = steps.index(150)
        assert 10 < kept < 50
        assert steps == [*range(kept), *range(150, 200)]
        assert all(row["text"] == "x" * 20 for row in rows)


_UNKNOWN = (
    r"^Logger\(\): a format of the log must be one of 'stdout', 'log', 'csv', 'json', 'tensorboard' or an object with a method "
    r"write, got 'tensorbord'; did you mean 'tensorboard'\?$"
)


def test_unknown_formats_and_files_without_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=_UNKNOWN):
        Logger(tmp_path, ["tensorbord"])
    with pytest.raises(ValueError, match=r"^Logger\(\): folder must be given for the format 'csv', got None$"):
        Logger(None, ["csv"])


def test_a_folder_that_can_not_be_made_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="folder"):
        Logger(tmp_path / "file" / "folder")


def test_a_logger_that_is_dropped_closes_its_files(tmp_path):
    n_open = len(os.listdir("/dev/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger = Logger(tmp_path, ["csv", "json"])
        dump(logger, a=1)
        del logger
    assert len(os.listdir("/dev/fd")) == n_open


def test_runs_of_tensorboard_are_numbered(tmp_path):
    assert tb_log_folder(tmp_path / "none", "ARS") == tmp_path / "none" / "ARS_1"
    assert tb_log_folder(tmp_path / "none", "ARS", reset=False) == tmp_path / "none" / "ARS_1"
    for name in ("ARS_2", "ARS_10", "ARS_x", "other_50", "ARS_7_8"):
        (tmp_path / name).mkdir()
    assert tb_log_folder(tmp_path, "ARS").name == "ARS_11"
    assert tb_log_folder(tmp_path, "ARS", reset=False).name == "ARS_10"


def test_a_link_among_the_folders_of_runs_is_not_continued(tmp_path):
    """The folder may be one that was received, whose links lead elsewhere."""
    (tmp_path / "runs" / "ARS_1").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    assert tb_log_folder(tmp_path / "runs", "ARS", reset=False).name == "ARS_1"
    (tmp_path / "runs" / "ARS_2").symlink_to(tmp_path / "elsewhere")
    for reset in (True, False):
        assert tb_log_folder(tmp_path / "runs", "ARS", reset).name == "ARS_3"


def test_configure_makes_a_folder(tmp_path):
    logger = configure(None, ["csv"])
    logger.record("a", 1)
    logger.dump()
    assert Path(logger.get_dir(), "progress.csv").read_text() == "a\n1\n"
    assert configure(tmp_path / "x", ["json"]).dir == str(tmp_path / "x")


def test_the_table_and_messages_are_in_a_file_of_text(tmp_path, capsys):
    logger = configure(tmp_path, ["log", "stdout"])
    logger.record("time/fps", 3)
    logger.record("hidden", 4, exclude="log")
    logger.dump()
    logger.info("half", "way")
    logger.debug("not shown")
    logger.set_level(ERROR)
    logger.warn("nor this")
    logger.error("this is")
    text = (tmp_path / "log.txt").read_text()
    assert text.splitlines()[1:-2] == ["| time/  |   |", "|    fps | 3 |", "--------------"]
    assert text.splitlines()[-2:] == ["half way", "this is"]
    assert "hidden" in capsys.readouterr().out


def test_a_log_for_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "tensorboardX.summary", None)
    with pytest.raises(ImportError, match="a log for TensorBoard needs tensorboardX: pip install tensorboardX crc32c"):
        configure(tmp_path, ["tensorboard"])


def test_files_have_the_text_that_python_makes_of_a_row(tmp_path):
    row = {
        "a": 0.1,
        "b": -0.0,
        "c": 1e300,
        "d": 12,
        "e": True,
        "f": None,
        "g": "",
        "h": 'x, "y"\nz',
        "i": np.arange(2),
        "j": np.inf,
    }
    logger = configure(tmp_path, ("csv", "json"))
    for _ in range(2):
        for key, value in row.items():
            logger.record(key, value)
        logger.dump()
    logger.close()
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows([list(row), *[list(row.values())] * 2])
    assert (tmp_path / "progress.csv").read_text() == expected.getvalue()
    line = json.dumps({**row, "j": None}, default=str)
    assert (tmp_path / "progress.json").read_text() == f"{line}\n{line}\n"


def test_a_number_that_csv_leaves_out_stays_out_of_it(tmp_path):
    logger = configure(tmp_path, ("csv", "json"))
    for exclude in (None, "csv"):
        logger.record("a", 0.5, exclude)
        logger.record("b", 2)
        logger.dump()
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "a,b\n0.5,2\n,2\n"
    assert (tmp_path / "progress.json").read_text() == '{"a": 0.5, "b": 2}\n' * 2
