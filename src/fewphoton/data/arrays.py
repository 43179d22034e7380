"""How the nouns take arrays in: converted once, checked, and made read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fewphoton.errors import DataError


def frozen_array(name: str, values: ArrayLike, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return ``values`` as a read-only C-ordered array of ``dtype`` after checking its shape.

    Parameters
    ----------
    name : str
        How the array is called in the error message.
    values : array_like
        Input; converted without loss of integer values.
    dtype : dtype
        Wanted type.
    shape : tuple of int or None
        Wanted shape; None stands for any length.

    Returns
    -------
    ndarray
        Read-only view or copy; the caller's own array stays writable.

    Raises
    ------
    DataError
        If the shape differs, integers do not fit into ``dtype``, or values are no real numbers.
    """
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: rows differ in length") from error
    if given.ndim != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, given.shape, strict=True)
    ):
        wanted = tuple("any" if n is None else n for n in shape)
        raise DataError(f"{name}: expected shape {wanted}, found {given.shape}")
    target = np.dtype(dtype)
    if target.kind in "iu" and given.dtype != target and given.size:
        if given.dtype.kind not in "iub":
            raise DataError(f"{name}: expected integers ({target}), found {given.dtype}")
        limits = np.iinfo(target)
        if given.min() < limits.min or given.max() > limits.max:
            raise DataError(f"{name}: values {given.min()} to {given.max()} do not fit into {target}")
    if given.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected real numbers ({target}), found {given.dtype}")
    array = np.ascontiguousarray(given, dtype=target).view()
    array.flags.writeable = False
    return array
