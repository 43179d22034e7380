"""Quality of integrated spots against the cut-off of sparsification (Kieffer et al. 2025, Figs 4, 5, 7, Table 1).

The paper judges R factors of a refined structure; these figures of merit need no refinement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.columns import Rows, numbers

NAMES = {
    "r_meas": "R$_{meas}$",
    "cc_original": "to the original spots",
    "cc_reference": "to the reference",
    "cc_half": "between halves",
    "i_over_sigma": "⟨I/σ⟩",
}
"""What figures of merit are called."""
TABLE = ("completeness", "r_obs", "r_meas", "cc_half", "i_over_sigma", "cc_original", "cc_reference")
"""Indicators of Table 1, and the two correlations."""
_DASHED = (0, (4, 3))
_EXACT = 1e-9
"""What a correlation of 1 is drawn as lacking."""
_RESOLUTIONS = (10.0, 7.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.2, 2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6)


@dataclass(frozen=True, eq=False)
class FrameVersion:
    """Quality of the spots in one version of the same frames.

    Parameters
    ----------
    label : str
        For the legend.
    cutoff : float or None
        Cut-off in standard deviations with which the frames were sparsified; None: the original frames.
    overall : mapping of str to float
        Over all reflections, NaN where unknown: ``r_meas``, ``cc_half``, ``cc_original``, ``cc_reference``, ...
    shells : sequence of mappings
        A row a resolution shell, as texts: ``d_max_angstrom`` (empty: infinite), ``d_min_angstrom`` and the same
        figures of merit.
    compression : mapping of str to float
        Compression ratios of the sparse file by what it is compared with; may be empty.
    """

    label: str
    cutoff: float | None
    overall: Mapping[str, float]
    shells: Rows
    compression: Mapping[str, float] = field(default_factory=dict)

    def shell_edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper limit in 1/d of each shell, 1/angstrom."""
        outer = numbers(self.shells, "d_max_angstrom")
        low = np.where(np.isfinite(outer), 1 / np.where(np.isfinite(outer), outer, 1.0), 0.0)
        return low, 1 / numbers(self.shells, "d_min_angstrom")

    def shell_values(self, name: str) -> NDArray[np.float64]:
        """Figure of merit by shell; NaN throughout where the table does not have it."""
        if self.shells and name not in self.shells[0]:
            return np.full(len(self.shells), np.nan)
        return numbers(self.shells, name)


@style.applied()
def draw(versions: Sequence[FrameVersion]) -> Figure:
    """Draw R_meas (a), 1 - CC (b) and compression (c) against the cut-off, and by shell R_meas, ⟨I/σ⟩, 1 - CC (d-f).

    Dashed lines in a and b are the level of the original frames. Dotted lines in e and f tell where ⟨I/σ⟩ of the
    original frames falls below a cut-off, beyond which the paper expects signal to be lost.

    Parameters
    ----------
    versions : sequence of FrameVersion
        The original frames (cut-off None, at most one) and rebuilt ones.

    Raises
    ------
    DataError
        If there is no rebuilt version, several are the original, or a table lacks its shells.
    """
    originals = [version for version in versions if version.cutoff is None]
    rebuilt = sorted((v for v in versions if v.cutoff is not None), key=lambda version: version.cutoff or 0.0)
    if len(originals) > 1 or not rebuilt:
        raise DataError(
            "expected frames rebuilt at one cut-off or more beside the original ones, found "
            f"{len(rebuilt)} rebuilt and {len(originals)} original versions"
        )
    merits = ("r_meas", "cc_original", "cc_reference", "cc_half")
    if not np.isfinite([_known(version, name) for version in rebuilt for name in merits]).any():
        raise DataError(f"no rebuilt version has a value of {', '.join(merits)}")
    original = originals[0] if originals else None
    figure = style.new_figure(style.PAGE_MM, 116.0)
    panels = figure.subplots(2, 3)
    cutoffs = np.array([version.cutoff for version in rebuilt], dtype=np.float64)
    _against_cutoff(panels[0, 0], cutoffs, rebuilt, original, ("r_meas",))
    panels[0, 0].set_ylabel("R$_{meas}$, all reflections")
    _against_cutoff(panels[0, 1], cutoffs, rebuilt, original, ("cc_original", "cc_reference", "cc_half"))
    panels[0, 1].set_ylabel("1 - CC, all reflections")
    _compression(panels[0, 2], cutoffs, rebuilt)
    ordered = [*([original] if original is not None else []), *rebuilt]
    for axes, names, label in (
        (panels[1, 0], ("r_meas",), "R$_{meas}$"),
        (panels[1, 1], ("i_over_sigma",), "⟨I/σ⟩"),
        (panels[1, 2], ("cc_original", "cc_reference"), "1 - CC"),
    ):
        _by_shell(axes, ordered, names)
        axes.set_ylabel(label)
    if original is not None:
        for number, version in enumerate(rebuilt, start=1):
            limit = resolution_limit(original, float(version.cutoff or 0.0))
            for axes in panels[1, 1:]:
                if limit is not None:
                    axes.axvline(limit, color=style.colour(number), linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
    # R_meas needs reflections that were measured twice; without them the names stand beside the next curves.
    named = panels[1, 0] if panels[1, 0].lines else panels[1, 1]
    if named.lines:
        _leave_room(named)
        named.legend(loc="upper left", ncols=2, columnspacing=1.0)
    for axes, text in zip(panels.ravel(), "abcdef", strict=True):
        style.letter(axes, text)
    return figure


def resolution_limit(original: FrameVersion, cutoff: float) -> float | None:
    """Return 1/d (1/angstrom) where ⟨I/σ⟩ by shell falls below ``cutoff`` for good; None where it does not."""
    low, high = original.shell_edges()
    values = original.shell_values("i_over_sigma")
    known = np.isfinite(values)
    middle, values = ((low + high) / 2)[known], values[known]
    above = np.flatnonzero(values >= cutoff)
    if not len(above) or above[-1] == len(values) - 1:
        return None
    last = int(above[-1])
    share = (values[last] - cutoff) / (values[last] - values[last + 1])
    return float(middle[last] + share * (middle[last + 1] - middle[last]))


def quality_table(versions: Sequence[FrameVersion]) -> list[dict[str, Any]]:
    """Return Table 1: for each version a row for the innermost shell with spots, the outermost, and all reflections."""
    rows: list[dict[str, Any]] = []
    for version in versions:
        places: list[tuple[str, Mapping[str, Any]]] = []
        seen = np.flatnonzero(np.isfinite(version.shell_values("i_over_sigma")))
        for shell in dict.fromkeys((int(seen[0]), int(seen[-1])) if len(seen) else ()):
            row = version.shells[shell]
            outer = f"{float(row['d_max_angstrom']):.2f}" if row["d_max_angstrom"] else "inf"
            places.append((f"{outer}-{float(row['d_min_angstrom']):.2f}", row))
        places.append(("all", version.overall))
        for place, values in places:
            rows.append(
                {
                    "frames": version.label,
                    "cutoff_pick": version.cutoff,
                    "resolution_angstrom": place,
                    **{name: _number(values.get(name)) for name in TABLE},
                    **{
                        f"compression_ratio_to_{name.split()[0]}": ratio if place == "all" else None
                        for name, ratio in version.compression.items()
                    },
                }
            )
    return rows


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _known(version: FrameVersion, name: str) -> float:
    value = version.overall.get(name, np.nan)
    return float(value) if value is not None else np.nan


def _against_cutoff(
    axes: Axes,
    cutoffs: NDArray[np.float64],
    rebuilt: Sequence[FrameVersion],
    original: FrameVersion | None,
    names: Sequence[str],
) -> None:
    drawn = 0
    correlations = names[0].startswith("cc_")
    axes.set_yscale("log" if correlations else "linear")
    for name in names:
        values = _as_drawn(name, np.array([_known(version, name) for version in rebuilt]))
        if not np.isfinite(values).any():
            continue
        colour = style.colour(drawn)
        look: dict[str, Any] = {"color": colour, "marker": style.marker(drawn), "ms": 4.5, "mec": "white", "mew": 0.4}
        axes.plot(cutoffs, values, label=NAMES[name], **look)
        level = np.nan if original is None else float(_as_drawn(name, np.array(_known(original, name))))
        if np.isfinite(level):
            axes.axhline(level, color=colour, linewidth=0.8, linestyle=_DASHED, zorder=1)
            if len(names) == 1:
                axes.plot([], [], color=colour, linewidth=0.8, linestyle=_DASHED, label="original frames")
        drawn += 1
    if not drawn:
        _unknown(axes)
        _cutoff_axis(axes, cutoffs)
        return
    _dress(axes)
    if correlations:
        _span(axes)
        axes.legend(loc="best")
    else:
        _leave_room(axes)
        axes.legend(loc="upper left")
    _cutoff_axis(axes, cutoffs)


def _as_drawn(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations near 1 differ by what they lack; exact ones must have a place on a logarithmic axis."""
    return np.asarray(np.maximum(1 - values, _EXACT) if name.startswith("cc_") else values)


def _span(axes: Axes) -> None:
    """Span all curves on a logarithmic axis, also where they are one value."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    values = values[np.isfinite(values)]
    # Matplotlib would first choose limits by itself, which warns of a single value.
    axes.set_autoscaley_on(False)
    axes.set_ylim(float(values.min()) / 2, float(values.max()) * 2)


def _leave_room(axes: Axes) -> None:
    """Lengthen the vertical axis upwards by the height of a legend."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low / 1.3, high * (high / low) ** 0.5)
    else:
        axes.set_ylim(low, high + 0.45 * (high - low))


def _cutoff_axis(axes: Axes, cutoffs: NDArray[np.float64]) -> None:
    axes.set_xlabel("cut-off n (standard deviations)")
    axes.margins(x=0.08)
    if len(cutoffs) <= 6:
        axes.set_xticks(np.unique(cutoffs), [f"{value:g}" for value in np.unique(cutoffs)])


def _compression(axes: Axes, cutoffs: NDArray[np.float64], rebuilt: Sequence[FrameVersion]) -> None:
    names = list(dict.fromkeys(name for version in rebuilt for name in version.compression))
    for number, name in enumerate(names):
        values = [version.compression.get(name, np.nan) for version in rebuilt]
        look: dict[str, Any] = {
            "color": style.colour(number),
            "marker": style.marker(number),
            "ms": 4.5,
            "mec": "white",
            "mew": 0.4,
        }
        axes.plot(cutoffs, values, label=f"to {name}", **look)
    if names:
        axes.set_yscale("log")
        axes.axhline(1.0, color=style.QUIET, linewidth=0.8, linestyle=_DASHED, zorder=1)
        _leave_room(axes)
        low, high = axes.get_ylim()
        ticks = [s * 10.0**p for p in range(-3, 6) for s in (1, 2, 5) if low <= s * 10.0**p <= high]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.legend(loc="upper left")
    else:
        axes.text(0.5, 0.5, "sizes not given", transform=axes.transAxes, ha="center", color=style.QUIET)
        axes.set_yticks([])
    axes.set_ylabel("compression ratio")
    _dress(axes)
    _cutoff_axis(axes, cutoffs)


def _by_shell(axes: Axes, versions: Sequence[FrameVersion], names: Sequence[str]) -> None:
    end = 0.0
    offset = 0 if versions[0].cutoff is None else 1
    drawn = set()
    axes.set_yscale("log" if names[0].startswith("cc_") else "linear")
    for number, version in enumerate(versions):
        low, high = version.shell_edges()
        for dashes, name in zip(("-", _DASHED), names, strict=False):
            values = _as_drawn(name, version.shell_values(name))
            if np.isfinite(values).any():
                drawn.add(name)
                end = max(end, float(high[np.isfinite(values)].max()))
                colour = style.INK if version.cutoff is None else style.colour(number + offset)
                # The first of several figures of merit carries the names of the versions.
                label = version.label if name == names[0] else None
                look: dict[str, Any] = {
                    "color": colour,
                    "ms": 3.0,
                    "linewidth": 1.0,
                    "linestyle": dashes,
                    "label": label,
                }
                axes.plot((low + high) / 2, values, marker=style.marker(number + offset), **look)
    if not drawn:
        _unknown(axes)
        axes.set_xlabel("resolution d (Å)")
        axes.set_xticks([])
        return
    if len(names) > 1:
        _span(axes)
        for dashes, name in zip(("-", _DASHED), names, strict=False):
            if name in drawn:
                axes.plot([], [], color=style.QUIET, linestyle=dashes, linewidth=1.0, label=f"_{name}")
        handles = [line for line in axes.lines if str(line.get_label()).removeprefix("_") in drawn]
        axes.legend(handles, [NAMES[str(line.get_label()).removeprefix("_")] for line in handles], loc="best")
    _dress(axes)
    ticks: list[float] = []
    for resolution in _RESOLUTIONS:
        if 1 / resolution <= end and (not ticks or 1 / resolution - ticks[-1] > 0.13 * end):
            ticks.append(1 / resolution)
    axes.set_xlim(0, end)
    axes.set_xticks(ticks, [f"{1 / tick:.3g}" for tick in ticks])
    axes.set_xlabel("resolution d (Å)")


def _unknown(axes: Axes) -> None:
    """Say that a panel has nothing to show."""
    axes.text(0.5, 0.5, "not known:\ntoo few equivalents", transform=axes.transAxes, ha="center", va="center")
    axes.set_yscale("linear")
    axes.set_yticks([])
    style.bare_spines(axes)


def _dress(axes: Axes) -> None:
    axes.grid(axis="y")
    style.bare_spines(axes)
