"""Where networks run."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fewphoton.errors import ConfigError


def chosen_device(name: str, say: Callable[[str], None], local_rank: int = 0) -> torch.device:
    """Return the device of that name.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda``, or ``cuda:1``.
    say : callable
        Told where ``auto`` falls back to the processor.
    local_rank : int
        Number of this process on its machine; without a number in the name it takes the accelerator of that number.

    Raises
    ------
    ConfigError
        If the device is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank % torch.cuda.device_count())
        say("no accelerator was found; the processor is used")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: {name!r} is none; write auto, cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: {name!r} is not supported; write auto, cpu, cuda or cuda:1")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(
                f"device: {name!r} is asked for, but PyTorch {torch.__version__} finds no CUDA device; set device: "
                "auto or cpu, or install a PyTorch built for this machine's driver (https://pytorch.org/get-started)"
            )
        if device.index is None:
            device = torch.device("cuda", local_rank % torch.cuda.device_count())
        elif device.index >= torch.cuda.device_count():
            raise ConfigError(f"device: {name!r} is asked for, but there are {torch.cuda.device_count()} CUDA devices")
    return device
