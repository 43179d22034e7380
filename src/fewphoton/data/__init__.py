"""The nouns of the suite: frozen, validated, NumPy only."""

from fewphoton.data.azimuthal_bins import AzimuthalBins
from fewphoton.data.crystal import Crystal
from fewphoton.data.detector import Beam, Detector, Panel
from fewphoton.data.evaluation import Evaluation
from fewphoton.data.frame_orientations import FrameOrientations
from fewphoton.data.frames import FrameTable, PhotonFrames
from fewphoton.data.iterate_trace import IterateTrace
from fewphoton.data.molecule import Molecule
from fewphoton.data.orientations import Orientations
from fewphoton.data.peaks import PeakTable
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.reflections import Reflections
from fewphoton.data.shot import Shot
from fewphoton.data.sparse_frames import SparseFrames
from fewphoton.data.structure import AtomicStructure
from fewphoton.data.volume import IntensityVolume

__all__ = [
    "AtomicStructure",
    "AzimuthalBins",
    "Beam",
    "Crystal",
    "Detector",
    "Evaluation",
    "FrameOrientations",
    "FrameTable",
    "IntensityVolume",
    "IterateTrace",
    "Molecule",
    "Orientations",
    "Panel",
    "PeakTable",
    "PhotonFrames",
    "PositionGrid",
    "Reflections",
    "Shot",
    "SparseFrames",
]
