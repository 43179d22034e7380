"""Sweeps: from lists of stage parameters to points, and from a point to the folder of each stage.

A stage's results depend only on parameters of itself and of the stages before it. The folder of a stage
therefore names only those, and points that share them share the result.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewphoton.config.sweep_values import Grid, parameter_names, rows_of

if TYPE_CHECKING:
    from fewphoton.config.run import RunConfig

FRAME_STAGES = ("count_photons", "collapse", "thin", "add_background")
"""Stages that turn photon frames into photon frames, in order."""
SEPARATION_STAGES = ("sparsify", "densify", "find_peaks", "veto")
"""Stages of signal separation."""
ORDER = (*SEPARATION_STAGES, "import_sparse", *FRAME_STAGES, "reconstruct", "evaluate")
"""Stages that a sweep may vary, in pipeline order."""
_RECONSTRUCTION = ORDER[ORDER.index("import_sparse") :]
REACH: dict[str, tuple[str, ...]] = {
    "sparsify": ("sparsify",),
    "densify": ("sparsify", "densify"),
    "find_peaks": ("find_peaks",),
    "veto": ("find_peaks", "veto"),
    **{stage: ("sparsify", *_RECONSTRUCTION[: n + 1]) for n, stage in enumerate(_RECONSTRUCTION)},
}
"""Stages on whose parameters the result of a stage depends."""
JOIN = "+"
"""What joins the parts of a folder's name. Snakemake tells jobs of a cluster their wildcards as a list with commas."""
BASE = "base"
"""Folder name of a stage on which no sweep parameter bears."""


ALL = "all"
"""Name of the only section of a sweep."""


@dataclass(frozen=True)
class SweepPoint:
    """Values of the swept parameters, as ((stage, key, value), …) in pipeline order."""

    values: tuple[tuple[str, str, int | float | str], ...] = ()

    def until(self, stage: str) -> SweepPoint:
        """Return the point restricted to parameters of ``stage`` and the stages it depends on."""
        return SweepPoint(tuple(item for item in self.values if item[0] in REACH[stage]))

    def without(self, stage: str) -> SweepPoint:
        """Return the point without the parameters of ``stage``."""
        return SweepPoint(tuple(item for item in self.values if item[0] != stage))

    @property
    def folder(self) -> str:
        """Folder name: ``stage.key~value`` joined by ``+``, or ``base``."""
        return JOIN.join(f"{stage}.{key}~{value}" for stage, key, value in self.values) or BASE

    def section(self, run: RunConfig, stage: str, dataset: str | None = None) -> dict[str, Any]:
        """Parameters of ``stage`` at this point as plain JSON-ready values; a ``dataset`` may replace some."""
        section = getattr(run.stages, stage)
        if section is None:
            return {}
        # Only what the configuration gives, so that a swept preset can fill in the rest.
        content = section.model_dump(mode="json", exclude_unset=True)
        if stage == "reconstruct" and dataset is not None:
            content |= run.datasets[dataset].reconstruct
        for swept_stage, key, value in self.values:
            if swept_stage == stage:
                content[key] = value
        if stage == "collapse" and self._swept("collapse", "n_frames"):
            content["collapse_deg"] = None
        if stage == "collapse" and self._swept("collapse", "collapse_deg"):
            content["n_frames"] = None
        return dict(type(section).model_validate(content).model_dump(mode="json"))

    def _swept(self, stage: str, key: str) -> bool:
        return any((s, k) == (stage, key) for s, k, _ in self.values)


def sweep_grids(run: RunConfig) -> dict[str, list[SweepPoint]]:
    """Return the points of each section of the run's sweep, checked against the models of their stages.

    A sweep without named sections is one, called ``all``.

    Raises
    ------
    ValueError
        If a name is no parameter of a stage that runs, a list is empty or repeats a value, a value is refused, or the
        sections name different parameters.
    """
    named: dict[str, Any] = {ALL: run.sweep}
    if run.sweep and all(isinstance(section, dict) for section in run.sweep.values()):
        named = dict(run.sweep)
    parameters = [sorted(itertools.chain(*map(parameter_names, grid))) for grid in named.values()]
    if any(found != parameters[0] for found in parameters):
        raise ValueError(
            "sweep: all sections must name the same parameters; found " + " and ".join(map(str, parameters))
        )
    grids = {name: list(_grid_points(run, grid)) for name, grid in named.items()}
    # Values of one stage are checked once, however many points share them.
    shared: dict[tuple[str, SweepPoint], None] = {}
    for point in itertools.chain(*grids.values()):
        for stage in dict.fromkeys(item[0] for item in point.values):
            own = SweepPoint(tuple(item for item in point.values if item[0] == stage))
            shared[stage, own] = None
    for stage, own in shared:
        own.section(run, stage)
    return grids


def sweep_points(run: RunConfig) -> list[SweepPoint]:
    """Return all points of the run's sweep, each once; see :func:`sweep_grids`."""
    return list(dict.fromkeys(itertools.chain(*sweep_grids(run).values())))


def drawn_axes(points: Sequence[SweepPoint], several_datasets: bool) -> tuple[str, str, str | None]:
    """Return the columns of a sweep's figure: along the axis, as lines, and as panels (None: one panel).

    Parameters that vary take these places in pipeline order; numbers come first, so that the axis has one where there
    is any. Seeds are means and scatter rather than places, unless nothing else varies; several datasets take a place.
    What varies beyond is seen as scatter. Where only collapsed frames vary, their photons run along the axis.
    """
    values: dict[str, dict[int | float | str, None]] = {}
    for point in points:
        for stage, key, value in point.values:
            values.setdefault(f"{stage}.{key}", {})[value] = None
    varying = [name for name, found in values.items() if len(found) > 1]
    if varying in ([], ["collapse.n_frames"]):
        return "photons_per_frame_mean", "dataset", None
    shown = [name for name in varying if not name.endswith(".seed")] or varying
    shown.sort(key=lambda name: any(isinstance(value, str) for value in values[name]))
    places = [*shown, *(["dataset"] if several_datasets or len(shown) == 1 else [])]
    return places[0], places[1], places[2] if len(places) > 2 else None


def _grid_points(run: RunConfig, grid: Grid) -> Iterator[SweepPoint]:
    """Yield all combinations of a grid."""
    known = [f"{stage}.{key}" for stage in ORDER for key in _parameters(run, stage)]
    axes: list[list[tuple[tuple[str, str, int | float | str], ...]]] = []
    seen: set[str] = set()
    for name, values in grid.items():
        names = parameter_names(name)
        for each in names:
            if each not in known:
                near = difflib.get_close_matches(each, known, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}?" if near else f"stages that can be swept: {', '.join(ORDER)}"
                raise ValueError(f"sweep: {each!r} is no parameter of a stage that runs; {hint}")
            if each in seen:
                raise ValueError(f"sweep: {each} is named twice")
            seen.add(each)
        places = [each.split(".", 1) for each in names]
        axes.append(
            [
                tuple((stage, key, value) for (stage, key), value in zip(places, row, strict=True))
                for row in rows_of(name, values)
            ]
        )
    axes.sort(key=lambda axis: min(map(_place, axis[0])))
    for combination in itertools.product(*axes):
        yield SweepPoint(tuple(sorted(itertools.chain(*combination), key=_place)))


def _place(item: tuple[str, str, int | float | str]) -> tuple[int, str]:
    return ORDER.index(item[0]), item[1]


def _parameters(run: RunConfig, stage: str) -> tuple[str, ...]:
    section = getattr(run.stages, stage)
    return () if section is None else tuple(type(section).model_fields)


def frame_chain(run: RunConfig) -> list[str]:
    """Return the frame stages of this run after count_photons, in order; optional ones only where configured."""
    return [stage for stage in FRAME_STAGES[1:] if getattr(run.stages, stage) is not None]
