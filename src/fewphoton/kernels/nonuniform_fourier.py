"""The library of non-uniform Fourier transforms, imported only where it is used."""

from __future__ import annotations

import importlib
from typing import Any

from fewphoton.errors import ConfigError, installation_of


def finufft_library() -> Any:
    """Return FINUFFT (Barnett, Magland & af Klinteberg 2019, doi:10.1137/18M120885X).

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        return importlib.import_module("finufft")
    except ImportError as error:
        raise ConfigError(
            "sums over particles and position grids are non-uniform Fourier transforms: "
            f"{installation_of('particles')} brings finufft"
        ) from error
