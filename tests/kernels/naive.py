"""Each kernel again as the obvious slow computation."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from scipy import ndimage, sparse, stats


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


def in_python(monkeypatch, module):
    """Replace the compiled functions of a kernel module by the Python ones they were compiled from."""
    for name, function in list(vars(module).items()):
        if hasattr(function, "py_func"):
            monkeypatch.setattr(module, name, function.py_func)


def ring_histogram(frame, ring, n_rings, lowest, n_values, smallest, largest):
    """Table, values outside it with their rings, and bad reads, by masks over the whole frame."""
    value = frame.astype(np.int64)
    inside = (value >= lowest) & (value < lowest + n_values)
    table = np.zeros((n_rings + 1, n_values), dtype=np.uint32)
    np.add.at(table, (ring[inside], value[inside] - lowest), 1)
    valid = (value >= smallest) & (value <= largest)
    outside = ~inside & valid & (ring < n_rings)
    return table, ring[outside], value[outside], np.flatnonzero(~inside & ~valid & (ring < n_rings))


def _ring_moments(value, norm, variance, floor):
    """Equations 2, 3 and 6 (Kieffer et al. 2025): mean, variance by summing, variance by scatter."""
    mean = (value * norm).sum() / norm.sum()
    summed = np.maximum(variance, floor).sum() / (norm**2).sum()
    scatter = (norm**2 * (value - mean) ** 2).sum() / (norm**2).sum()
    return mean, summed, scatter


def clip_ring(value, error_model, cutoff, n_cycles, norm=None, variance=None, floor=1.0):
    """Sigma-clip one ring by a mask over its pixels; error models go by name.

    Returns mean, standard deviation, pixels left, passes that discarded something, and whether some pixel lay so
    close to a bound that rounding decides on it.
    """
    good = ~np.isnan(value)
    value = value[good].astype(np.float64)
    norm = np.ones(len(value)) if norm is None else norm[good].astype(np.float64)
    variance = value if variance is None else variance[good].astype(np.float64)
    keep = np.ones(len(value), dtype=bool)
    passes, close = 0, False
    for _ in range(n_cycles):
        n = keep.sum()
        if n == 0:
            break
        mean, summed, scatter = _ring_moments(value[keep], norm[keep], variance[keep], floor)
        if error_model == "poisson_tail":
            tail = min(0.5 / n, stats.norm.sf(cutoff)) if cutoff > 0 else 0.5 / n
            lower, upper = stats.poisson.cdf(value, mean), stats.poisson.sf(value - 1, mean)
            least = np.minimum(lower, upper) if mean > 0 else np.where(value == 0, 1.0, 0.0)
            discard = keep & (least < tail)
            close |= bool((abs(least - tail)[keep] < 1e-7 * tail).any())
        else:
            std = np.sqrt(summed if error_model in ("poisson", "variance") else scatter)
            reach = max(cutoff, np.sqrt(2 * np.log(max(n, 3) / np.sqrt(2 * np.pi)))) * std
            deviation = abs(value - mean)
            discard = keep & (deviation > reach)
            close |= bool(reach > 0 and (abs(deviation - reach)[keep] < 1e-7 * reach).any())
        if not discard.any():
            break
        keep &= ~discard
        passes += 1
    if not keep.any():
        return np.nan, np.nan, 0, passes, close
    mean, summed, scatter = _ring_moments(value[keep], norm[keep], variance[keep], floor)
    spread = {"azimuthal": scatter, "poisson_tail": max(mean, 0.0)}.get(error_model, summed)
    return mean, np.sqrt(spread), int(keep.sum()), passes, close


def strong(value, radius, centres, mean, std, noise, cutoff, floor, tail, inclusive):
    """Which pixels lie above the interpolated background."""
    background, spread = np.interp(radius, centres, mean), np.interp(radius, centres, std)
    if tail > 0:
        return stats.poisson.sf(np.ceil(value) - 1, background) <= tail
    limit = np.maximum(floor, cutoff * np.hypot(spread, noise))
    excess = value - background
    return (excess > limit) | (inclusive & (excess == limit) & (excess > 0))


def patch_peaks(frame, strong_mask, good, panel, background, spread, noise, half_width, connected, saturation):
    """Peaks of a two-dimensional frame, pixel by pixel: rows of position, sum, deviation, pixels and saturation."""
    rows, columns = np.indices(frame.shape)
    excess = np.where(good, frame.astype(np.float64) - background, np.nan)
    table = []
    for slow, fast in np.argwhere(strong_mask):
        core = (abs(rows - slow) <= 1) & (abs(columns - fast) <= 1)
        patch = (abs(rows - slow) <= half_width) & (abs(columns - fast) <= half_width)
        patch &= good & (panel == panel[slow, fast])
        if (core & patch).sum() < 9 or (strong_mask & patch).sum() < connected:
            continue
        highest = np.argwhere(patch & (excess == excess[patch].max()))[0]
        if tuple(highest) != (slow, fast):
            continue
        lit = patch & (excess > 0)
        total = excess[lit].sum()
        table.append(
            [
                (excess * rows)[lit].sum() / total,
                (excess * columns)[lit].sum() / total,
                total,
                np.sqrt((spread[lit] ** 2 + noise**2).sum()),
                (strong_mask & patch).sum(),
                (frame[patch] >= saturation).any(),
            ]
        )
    return np.array(table).reshape(-1, 6)


def alias_probabilities(accept, alias):
    """What an alias table draws each of its entries with."""
    stay = (accept.astype(np.float64) + (accept == 2**32 - 1)) / 2**32
    return (stay + np.bincount(alias, weights=1 - stay, minlength=len(alias))) / len(alias)


def lens(distance, first_radius, second_radius):
    """Volume that two spheres share, by the textbook's formula in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        d, a, b = Decimal(distance), Decimal(first_radius), Decimal(second_radius)
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
        if d >= a + b:
            return 0.0
        if d <= abs(a - b):
            return float(4 * pi * min(a, b) ** 3 / 3)
        return float(pi * (a + b - d) ** 2 * (d**2 + 2 * d * (a + b) - 3 * (a - b) ** 2) / (12 * d))


def sphere_overlap(first, second, shift):
    """Sum of lenses of two sets (position, density, radius)."""
    total = 0.0
    for r, rho, a in zip(*first, strict=True):
        for s, sigma, b in zip(*second, strict=True):
            total += rho * sigma * lens(float(np.linalg.norm(r - s - shift)), float(a), float(b))
    return total


def lattice_positions(origin, step, shape):
    """Sites of a lattice around ``origin``, `(n_z, n_x n_y, 3)`, y fastest within a plane."""
    place = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), axis=-1) * step
    return np.moveaxis(place, 2, 0).reshape(shape[2], shape[0] * shape[1], 3) + origin


def line_waves(q, step, shape, dtype=np.float32):
    """Cosine and sine along each axis of a lattice, three arrays `(n_sites, 2, n)`."""
    waves = []
    for axis in range(3):
        place = step[axis] * (np.arange(shape[axis]) - (shape[axis] - 1) / 2)
        phase = 2 * np.pi * np.multiply.outer(place, q[:, axis])
        waves.append(np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(dtype))
    return waves


def molecule_cost(q, position, factor, measured, weight):
    """Sum of w (|F|² - c)² with one row of ``factor`` an atom."""
    amplitude = (factor * np.exp(2j * np.pi * position @ q.T)).sum(axis=0)
    return float((weight * (np.abs(amplitude) ** 2 - measured) ** 2).sum())


def closed_sites(sites, position, kind, atom, half_box, closest):
    """Which sites lie outside of the box, or nearer to another atom than is allowed."""
    closed = (np.abs(sites) > half_box).any(axis=-1)
    for other in range(len(position)):
        if other != atom:
            closed |= np.linalg.norm(sites - position[other], axis=-1) < closest[kind[atom], kind[other]]
    return closed


def boltzmann(cost, closed, temperature):
    """Probability of each site."""
    share = np.where(closed, 0.0, np.exp(-(cost - cost[~closed].min()) / temperature))
    return share / share.sum()
