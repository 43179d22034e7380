import io
import pickle

import pytest
import torch

from fewphoton.errors import DataError
from fewphoton.xrai.checkpoint import checkpoint_bytes, checkpoint_content


class Harmful:
    """What an attacker would put into a file: code that runs when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


def test_tensors_numbers_and_text_come_back():
    content = {"a": torch.arange(3.0), "b": {"c": [1, 2.5, "text", None]}}
    found = checkpoint_content(checkpoint_bytes(content))
    assert torch.equal(found["a"], content["a"])
    assert found["b"] == content["b"]


def test_truncated_changed_and_foreign_bytes_are_refused():
    data = checkpoint_bytes({"a": torch.arange(1000.0)})
    foreign = io.BytesIO()
    torch.save({"a": 1}, foreign)
    for wrong in (b"", b"nonsense", data[: len(data) // 2], data[:-30], foreign.getvalue(), pickle.dumps({"a": 1})):
        with pytest.raises(DataError, match="checkpoint"):
            checkpoint_content(wrong)


def test_code_in_a_checkpoint_does_not_run():
    buffer = io.BytesIO()
    torch.save({"format": 1, "a": Harmful()}, buffer)
    for data in (buffer.getvalue(), pickle.dumps(Harmful())):
        with pytest.raises(DataError):
            checkpoint_content(data)
