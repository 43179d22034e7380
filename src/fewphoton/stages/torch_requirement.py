"""PyTorch is an extra: stages that need it say so before they begin, and import it only then."""

from __future__ import annotations

import importlib.util

from fewphoton.errors import MissingLibraryError, installation_of


def require_torch(stage: str) -> None:
    """Check that PyTorch is installed, without importing it.

    Raises
    ------
    MissingLibraryError
        If it is not.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingLibraryError(
            f"{stage} needs PyTorch: {installation_of('xrai')}; builds for other accelerators, and a smaller one "
            "without any, are at https://pytorch.org/get-started"
        )
