import pytest
import torch

from fewphoton.errors import ConfigError
from fewphoton.xrai.device import chosen_device


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_accelerators(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_falls_back_to_the_processor_and_says_so(no_accelerator):
    said = []
    assert chosen_device("auto", said.append) == torch.device("cpu")
    assert said == ["no accelerator was found; the processor is used"]
    assert chosen_device("cpu", said.append) == torch.device("cpu")
    assert len(said) == 1


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_an_accelerator_that_is_not_there_is_an_error_with_the_way_out(no_accelerator, name):
    with pytest.raises(ConfigError, match=r"finds no CUDA device; set device: auto.*https://pytorch\.org"):
        chosen_device(name, print)


@pytest.mark.parametrize("name", ["gpu", "mps", "meta", "cuda:x", ""])
def test_other_words_are_refused(no_accelerator, name):
    with pytest.raises(ConfigError, match="write auto, cpu, cuda"):
        chosen_device(name, print)


def test_processes_of_a_machine_take_one_accelerator_each(two_accelerators):
    assert [chosen_device(name, print, 1) for name in ("auto", "cuda", "cuda:0")] == [
        torch.device("cuda", 1),
        torch.device("cuda", 1),
        torch.device("cuda", 0),
    ]
    with pytest.raises(ConfigError, match="there are 2"):
        chosen_device("cuda:2", print)
