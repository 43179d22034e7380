"""Typed configuration: one frozen model a stage, all described, unknown keys refused with the near miss."""

from fewphoton.config.dataset import CrystalConfig, DatasetConfig, FetchConfig, RawSource, ScanSource
from fewphoton.config.evaluate import EvaluateConfig
from fewphoton.config.figure import DrawFigureConfig
from fewphoton.config.frames import (
    AddBackgroundConfig,
    CollapseConfig,
    CollectMetricsConfig,
    CountPhotonsConfig,
    ImportScanConfig,
    SplitConfig,
    ThinConfig,
)
from fewphoton.config.load import load_run, load_section
from fewphoton.config.reconstruct import AssembleConfig, GridConfig, ReconstructConfig
from fewphoton.config.run import RunConfig, StagesConfig
from fewphoton.config.simulate import SimulateRotationConfig
from fewphoton.config.sweep import SweepPoint, sweep_points

__all__ = [
    "AddBackgroundConfig",
    "AssembleConfig",
    "CollapseConfig",
    "CollectMetricsConfig",
    "CountPhotonsConfig",
    "CrystalConfig",
    "DatasetConfig",
    "DrawFigureConfig",
    "EvaluateConfig",
    "FetchConfig",
    "GridConfig",
    "ImportScanConfig",
    "RawSource",
    "ReconstructConfig",
    "RunConfig",
    "ScanSource",
    "SimulateRotationConfig",
    "SplitConfig",
    "StagesConfig",
    "SweepPoint",
    "ThinConfig",
    "load_run",
    "load_section",
    "sweep_points",
]
