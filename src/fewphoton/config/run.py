"""The whole configuration of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from fewphoton.config.dataset import DatasetConfig
from fewphoton.config.evaluate import EvaluateConfig
from fewphoton.config.evaluate_rotations import EvaluateRotationsConfig
from fewphoton.config.frames import AddBackgroundConfig, CollapseConfig, CountPhotonsConfig, ThinConfig
from fewphoton.config.reconstruct import AssembleConfig, ReconstructConfig
from fewphoton.config.section import Section
from fewphoton.config.separation import (
    DensifyConfig,
    FindPeaksConfig,
    ImportSparseConfig,
    SparsifyConfig,
    VetoConfig,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


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
    datasets: dict[Name, DatasetConfig] = Field(min_length=1)
    """Datasets by name; every stage runs on every dataset."""
    stages: StagesConfig = StagesConfig()
    """Parameters of the stages."""
    sweep: dict[str, list[int | float | str]] = Field(default_factory=dict)
    """Lists of values for parameters of stages, as `stage.key: [values]`; all combinations run."""

    def reconstruct_of(self, dataset: str) -> ReconstructConfig:
        """Return the parameters of reconstruct for a dataset: those of the stage, but for keys that it replaces."""
        given = self.stages.reconstruct.model_dump(mode="json") | self.datasets[dataset].reconstruct
        return ReconstructConfig.model_validate(given)

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
