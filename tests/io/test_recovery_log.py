import json

import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.recovery_log import RecoveryLog

RECORD = {"solved": True, "error": 0.1, "name": "å", "rms": float("inf")}


def test_records_come_back_and_logs_go(tmp_path):
    logs = [RecoveryLog(tmp_path / "t.csv", {"a": 1}, rank) for rank in range(2)]
    assert logs[0].read() == {}
    logs[0].append(0, RECORD)
    logs[1].append(1, RECORD)
    logs[0].append(2, RECORD)
    kept = RECORD | {"rms": None}
    assert logs[0].read() == logs[1].read() == {0: kept, 1: kept, 2: kept}
    logs[0].remove()
    assert not list(tmp_path.iterdir())


def test_a_torn_line_is_left_out_and_written_over(tmp_path):
    log = RecoveryLog(tmp_path / "t.csv", {})
    log.append(0, RECORD)
    log.append(1, RECORD)
    log.path.write_bytes(log.path.read_bytes()[:-5])
    assert set(log.read()) == {0}
    log.append(3, RECORD)
    assert set(log.read()) == {0, 3}


@pytest.mark.parametrize("content", ["", '{"identity"', '{"identity": {"other": 1}}\n{"number": 0, "record": {}}\n'])
def test_what_belongs_to_something_else_is_not_read_and_written_over(tmp_path, content):
    log = RecoveryLog(tmp_path / "t.csv", {"a": 1})
    log.path.write_text(content)
    assert log.read() == {}
    log.append(5, RECORD)
    assert set(log.read()) == {5}


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"number": "x", "record": {}}', '{"number": 1, "record": 3}'])
def test_damage_is_named(tmp_path, line):
    log = RecoveryLog(tmp_path / "t.csv", {})
    log.append(0, RECORD)
    log.path.write_text(log.path.read_text() + line + "\n" + json.dumps({"number": 2, "record": {}}) + "\n")
    with pytest.raises(InputFileError, match=r"line 3.*Remove the file"):
        log.read()
