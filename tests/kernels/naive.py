"""Each kernel again as the obvious slow computation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse


def expand(volume, q, transform, origin):
    place = np.einsum("rij,tj->tri", transform, q) + origin
    return ndimage.map_coordinates(volume, place.reshape(-1, 3).T, order=1).reshape(place.shape[:2])


def compress(table, exposure, response, q, transform, origin, n):
    total = np.zeros((n, n, n, 2))
    for t in range(len(q)):
        for r in range(len(transform)):
            place = transform[r] @ q[t] + origin
            base = np.floor(place).astype(int)
            part = place - base
            for corner in np.ndindex(2, 2, 2):
                weight = np.prod(np.where(corner, part, 1 - part))
                i, j, k = base + corner
                total[i, j, k] += weight * np.array([table[t, r] * (exposure[r] > 0), exposure[r] * response[t]])
    return total


def weighted_rows(indptr, index, count, table):
    matrix = sparse.csr_array((count.astype(float), index, indptr), shape=(len(indptr) - 1, len(table)))
    return matrix @ table.astype(float)


def bragg(hkl, b_matrix, strength, widths):
    half = strength.shape[0] // 2
    out = np.zeros(len(hkl))
    for p, point in enumerate(hkl):
        nearest = np.rint(point).astype(int)
        if np.abs(nearest).max() > half or not strength[tuple(nearest + half)]:
            continue
        g, d = b_matrix @ nearest, b_matrix @ (point - nearest)
        radial = (d @ g) / np.linalg.norm(g)
        tangential = np.sqrt(max(d @ d - radial**2, 0))
        s_t = np.hypot(widths[0], widths[1] * np.linalg.norm(g))
        s_r = np.hypot(widths[0], widths[2] * np.linalg.norm(g))
        exponent = tangential**2 / (2 * s_t**2) + radial**2 / (2 * s_r**2)
        if exponent <= 18:
            out[p] = strength[tuple(nearest + half)] * np.exp(-exponent) / (s_t**2 * s_r)
    return out
