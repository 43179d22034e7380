"""Rotations as networks give them, and as the rest of the suite takes them.

Conventions are those of :mod:`fewphoton.data.orientations`: active rotations of the particle, q_lab = R q_particle, so
a pixel at q sees the particle's own frame at R^-1 q, the row vector q R.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

SMALLEST_LENGTH = 1e-6


def matrices_from_six(six: Tensor) -> Tensor:
    """Rotations from two vectors by Gram and Schmidt (Zhou et al. 2019, doi:10.1109/CVPR.2019.00589).

    Parameters
    ----------
    six : Tensor of float, `(..., 6)`
        Two vectors; their lengths do not matter.

    Returns
    -------
    Tensor of float, `(..., 3, 3)`
        The first vector at unit length is the first column, the part of the second across it the second.
    """
    first = normalize(six[..., :3], dim=-1, eps=SMALLEST_LENGTH)
    across = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = normalize(across, dim=-1, eps=SMALLEST_LENGTH)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def quaternions_from_matrices(matrix: Tensor) -> Tensor:
    """Return unit quaternions, scalar first and not negative, `(..., 4)`, of rotations `(..., 3, 3)`.

    The largest of the four components is found from the trace, so that nothing is divided by a small number.
    """
    flat = matrix.reshape(*matrix.shape[:-2], 9)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = flat.unbind(-1)
    # Rows are 4 c q for each component c of q.
    rows = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy], dim=-1),
            torch.stack([zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx], dim=-1),
            torch.stack([xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz], dim=-1),
            torch.stack([yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz], dim=-1),
        ],
        dim=-2,
    )
    largest = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(dim=-1)
    chosen = rows.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    unit = normalize(chosen, dim=-1)
    return torch.where(unit[..., :1] < 0, -unit, unit)
