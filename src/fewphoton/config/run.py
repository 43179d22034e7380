"""The whole configuration of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from fewphoton.config.ankylography import AnkylographyConfig
from fewphoton.config.dataset import DatasetConfig
from fewphoton.config.evaluate import EvaluateConfig
from fewphoton.config.evaluate_rotations import EvaluateRotationsConfig
from fewphoton.config.frames import AddBackgroundConfig, CollapseConfig, CountPhotonsConfig, ThinConfig
from fewphoton.config.reconstruct import AssembleConfig, ReconstructConfig
from fewphoton.config.section import Name, Section
from fewphoton.config.separation import (
    DensifyConfig,
    FindPeaksConfig,
    ImportSparseConfig,
    SparsifyConfig,
    VetoConfig,
)
from fewphoton.config.single_particles import SingleParticlesConfig
from fewphoton.config.sweep_values import Sweep


class StagesConfig(Section):
    """Parameters of each stage; a stage that is optional runs only where its section is given."""

    sparsify: SparsifyConfig = SparsifyConfig()
    """Strong pixels and background curves."""
    densify: DensifyConfig | None = None
    """Optional: frames rebuilt from them."""
    find_peaks: FindPeaksConfig = FindPeaksConfig()
    """Bragg peaks."""
    veto: VetoConfig = VetoConfig()
    """Hits and blanks."""
    import_sparse: ImportSparseConfig | None = None
    """Optional: photons of raw datasets are their strong pixels, instead of what count_photons makes of them."""
    count_photons: CountPhotonsConfig = CountPhotonsConfig()
    """ADU to photons."""
    collapse: CollapseConfig = CollapseConfig(n_frames=1)
    """Sum successive frames."""
    thin: ThinConfig | None = None
    """Optional: thin to a mean photon number."""
    add_background: AddBackgroundConfig | None = None
    """Optional: add Poisson background."""
    reconstruct: ReconstructConfig = ReconstructConfig()
    """EMC."""
    assemble: AssembleConfig = AssembleConfig()
    """Reference volume from known angles; its grid, corrections and q_max are taken from reconstruct."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Peaks, R factors, Patterson map."""
    evaluate_rotations: EvaluateRotationsConfig = EvaluateRotationsConfig()
    """Rotation errors and correlations with the truth, of snapshots."""


class RunConfig(Section):
    """A run: datasets, stages, sweep."""

    run: Name
    """Name of the run; results go to results/<run>/."""
    title: str = ""
    """Headline of the report."""
    data_dir: Path | None = None
    """Folder with local copies of public data sets; the environment variable FEWPHOTON_DATA names it as well."""
    parquet: bool = False
    """Write the tables of metrics as Parquet too, with typed columns; needs the extra `parquet`."""
    datasets: dict[Name, DatasetConfig] = Field(default_factory=dict)
    """Datasets by name; every stage runs on every dataset."""
    ankylography: AnkylographyConfig | None = None
    """Optional: molecules recovered from single shots. A run needs datasets, or this, or single_particles."""
    single_particles: SingleParticlesConfig | None = None
    """Optional: single particles, from frames to densities."""
    stages: StagesConfig = StagesConfig()
    """Parameters of the stages."""
    sweep: Sweep = Field(default_factory=dict)
    """Values for parameters of stages; all combinations run. `stage.key: [values]` lists them, `stage.key: {first: 20,
    last: 320, number: 5, spacing: geometric}` and `stage.key: {first: 1, last: 3}` are ranges, and `stage.key,
    stage.key: [[value, value], ...]` lets several change together. Several such sections under names of their own run
    the combinations of each, and curves are drawn together by section; all of them must name the same parameters."""
    figures: Literal["all", "summary"] = "all"
    """Draw the figures of every point, or only those that show the whole run (for sweeps of many points)."""
    published: Path | None = None
    """Table (CSV) of published values to set beside the metrics: columns `stage.key` name points, others metrics."""
    scale: str | None = None
    """Which of `scales` runs; `snakemake --config scale=NAME` chooses it from the command line."""
    scales: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Sizes of one run by name. Each is a section of this file's keys that is laid over the rest: mappings join,
    anything else is replaced. All of them are checked, whichever runs."""

    @model_validator(mode="before")
    @classmethod
    def _chosen_scale_is_laid_over(cls, values: Any) -> Any:
        scales = values.get("scales") if isinstance(values, dict) else None
        if not scales:
            if isinstance(values, dict) and values.get("scale") is not None:
                raise ValueError(f"scale {values['scale']!r} is asked for, but there are no scales")
            return values
        if not isinstance(scales, dict) or not all(isinstance(changes, dict) for changes in scales.values()):
            return values
        base = {key: value for key, value in values.items() if key not in ("scale", "scales")}
        if values.get("scale") not in scales:
            raise ValueError(f"scale must be one of {', '.join(scales)}; found {values.get('scale')!r}")
        for name, changes in scales.items():
            try:
                cls.model_validate(laid_over(base, changes))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"])
                message = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"scale {name}: {f'{place}: ' if place else ''}{message}") from error
        chosen = values["scale"]
        return laid_over(base, scales[chosen]) | {"scale": chosen, "scales": scales}

    def reconstruct_of(self, dataset: str) -> ReconstructConfig:
        """Return the parameters of reconstruct for a dataset: those of the stage, but for keys that it replaces."""
        given = self.stages.reconstruct.model_dump(mode="json") | self.datasets[dataset].reconstruct
        return ReconstructConfig.model_validate(given)

    @model_validator(mode="after")
    def _something_runs(self) -> RunConfig:
        others = {"ankylography": ("molecules", "studies"), "single_particles": ("particles", "patterns")}
        given = [name for name in others if getattr(self, name) is not None]
        if not self.datasets and not given:
            raise ValueError("datasets: a run needs at least one dataset, or ankylography, or single_particles")
        for section in given:
            for name in others[section]:
                if name in self.datasets:
                    raise ValueError(f"datasets: {name!r} is a folder of {section}; choose another name")
        return self

    @model_validator(mode="after")
    def _the_workflow_numbers_jobs(self) -> RunConfig:
        if self.stages.count_photons.job is not None:
            raise ValueError("stages.count_photons.job: jobs are numbered by the workflow; give their number as jobs")
        return self

    @model_validator(mode="after")
    def _spots_need_densified_frames(self) -> RunConfig:
        wanting = [name for name, dataset in self.datasets.items() if dataset.integrate_spots is not None]
        if wanting and self.stages.densify is None:
            raise ValueError(f"integrate_spots of {', '.join(wanting)} needs stages.densify")
        return self

    @model_validator(mode="after")
    def _random_orientations_need_all_rotations(self) -> RunConfig:
        for name, dataset in self.datasets.items():
            try:
                config = self.reconstruct_of(name)
            except ValidationError as error:
                raise ValueError(f"datasets.{name}.reconstruct: {error.errors()[0]['msg']}") from error
            turned = dataset.simulate_particles is not None or dataset.simulate_serial is not None
            if turned and config.orientations.sampled != "rotation_group":
                raise ValueError(f"{name}: needs reconstruct.orientations.sampled: rotation_group")
            if dataset.simulate_particles is not None and config.grid.voxels_per_cell != 1:
                raise ValueError(f"{name}: particles need reconstruct.grid.voxels_per_cell: 1")
        return self

    @model_validator(mode="after")
    def _sweep_is_valid(self) -> RunConfig:
        from fewphoton.config.sweep import sweep_points  # the sweep needs this class, so it is imported late

        sweep_points(self)
        return self


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it: mappings join key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        joined = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = laid_over(dict(below or {}), value) if joined else value
    return merged
