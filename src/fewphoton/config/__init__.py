"""Typed configuration: one frozen model a stage, all described, unknown keys refused with the near miss."""

from fewphoton.config.dataset import CrystalConfig, DatasetConfig, FetchConfig, FramesSource, RawSource, ScanSource
from fewphoton.config.evaluate import (
    ComparePublishedConfig,
    EvaluateConfig,
    ScoreIteratesConfig,
    TabulateConvergenceConfig,
)
from fewphoton.config.evaluate_rotations import EvaluateRotationsConfig
from fewphoton.config.figure import DrawFigureConfig
from fewphoton.config.frames import (
    AddBackgroundConfig,
    CollapseConfig,
    CollectMetricsConfig,
    CountPhotonsConfig,
    ImportScanConfig,
    JoinPhotonsConfig,
    SplitConfig,
    ThinConfig,
)
from fewphoton.config.load import load_run, load_section
from fewphoton.config.pose_estimation import MatchPatternsConfig, RefinePosesConfig
from fewphoton.config.reconstruct import AssembleConfig, GridConfig, ReconstructConfig
from fewphoton.config.run import RunConfig, StagesConfig
from fewphoton.config.select_patterns import DrawPatternsConfig, SelectPatternsConfig
from fewphoton.config.separation import (
    DensifyConfig,
    ExportCrystfelConfig,
    FindPeaksConfig,
    ImportSparseConfig,
    SparsifyConfig,
    VetoConfig,
)
from fewphoton.config.simulate import SimulateRotationConfig
from fewphoton.config.simulate_particles import SimulateParticlesConfig
from fewphoton.config.simulate_serial import SimulateSerialConfig
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.config.spot_quality import IntegrateSpotsConfig
from fewphoton.config.sweep import SweepPoint, sweep_grids, sweep_points

__all__ = [
    "AddBackgroundConfig",
    "AssembleConfig",
    "CollapseConfig",
    "CollectMetricsConfig",
    "ComparePublishedConfig",
    "CountPhotonsConfig",
    "CrystalConfig",
    "DatasetConfig",
    "DensifyConfig",
    "DrawFigureConfig",
    "DrawPatternsConfig",
    "EvaluateConfig",
    "EvaluateRotationsConfig",
    "ExportCrystfelConfig",
    "FetchConfig",
    "FindPeaksConfig",
    "FramesSource",
    "GridConfig",
    "ImportScanConfig",
    "ImportSparseConfig",
    "IntegrateSpotsConfig",
    "JoinPhotonsConfig",
    "MatchPatternsConfig",
    "RawSource",
    "ReconstructConfig",
    "RefinePosesConfig",
    "RunConfig",
    "ScanSource",
    "ScoreIteratesConfig",
    "SelectPatternsConfig",
    "SimulateParticlesConfig",
    "SimulateRotationConfig",
    "SimulateSerialConfig",
    "SimulateShotConfig",
    "SimulateStillsConfig",
    "SparsifyConfig",
    "SplitConfig",
    "StagesConfig",
    "SweepPoint",
    "TabulateConvergenceConfig",
    "ThinConfig",
    "VetoConfig",
    "load_run",
    "load_section",
    "sweep_grids",
    "sweep_points",
]
