"""Configuration of statistics over many recoveries, and which recoveries they are made of.

A cell is a molecule (or a number of random atoms) at one wavelength, noise level and atom model. Each of its examples
is one shot, which all methods get.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fewphoton.config.dataset import StructureFile
from fewphoton.config.position_grid import PositionGridConfig
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.config.section import Name, Section
from fewphoton.config.simulate import Positive

RANDOM = "random"
"""Name of random molecules in tables."""
AtomModel = Literal["sphere", "free_atom"]
CellKey = Literal["molecule", "n_atoms", "wavelength_angstrom", "noise_level", "photons_per_shot", "atom_model"]


class StudyMoleculeConfig(Section):
    """A molecule of known structure; each example shows it in another orientation."""

    structure: Path | None = None
    """XYZ, PDB or mmCIF file."""
    structure_file: StructureFile | None = None
    """In its place: a file of a public data set."""
    chains: tuple[str, ...] = ()
    """Chains of the file that make the molecule; none: all."""

    @model_validator(mode="after")
    def _one_structure(self) -> StudyMoleculeConfig:
        if (self.structure is None) == (self.structure_file is None):
            raise ValueError("give exactly one of structure and structure_file")
        return self


class StudyShotConfig(Section):
    """What all shots of a study have in common; keys mean what they mean in simulate-shot."""

    n_detectors: int = Field(default=4000, ge=1)
    """Detectors that share the surface evenly, those behind the beam stop included."""
    largest_angle_deg: float = Field(default=180.0, gt=0, le=180)
    """Scattering angle at the outer edge of the surface."""
    beam_stop_deg: float = Field(default=0.0, ge=0)
    """Detectors at smaller scattering angles are hidden."""
    grid: PositionGridConfig | None = None
    """Move the atoms to sites of a grid. None: atoms stay where they are."""
    shortest_distance_angstrom: float = Field(default=1.0, ge=0)
    """Smallest distance between the centres of two atoms of a random molecule."""
    volume_per_atom_angstrom3: Positive = 8.4
    """Volume of the ball of a random molecule for each atom."""


class StudyMethodConfig(RecoverMoleculeConfig):
    """A method in a study: its parameters, and which cells it takes part in."""

    only: dict[CellKey, tuple[str | float, ...]] = Field(default_factory=dict)
    """Cells that the method recovers: those with one of these values in each column. Empty: all."""
    examples: int | None = Field(default=None, ge=1)
    """First examples of each cell that the method recovers. None: all."""

    @model_validator(mode="after")
    def _study_decides(self) -> StudyMethodConfig:
        if self.time_budget_s is not None:
            raise ValueError("time_budget_s belongs to the study: its methods share it")
        if self.tasks > 1:
            raise ValueError("tasks belong to the study: each recovery runs on one rank")
        return self

    def recovery(self, time_budget_s: float | None, seed: int) -> RecoverMoleculeConfig:
        """Return the parameters of one recovery."""
        known = self.model_dump(include=set(RecoverMoleculeConfig.model_fields))
        return RecoverMoleculeConfig.model_validate(known | {"time_budget_s": time_budget_s, "seed": seed})


class RecoveryStudyConfig(Section):
    """Recoveries of many molecules by several methods, each method on the same shots and within the same time."""

    n_atoms: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """Sizes of random molecules, in the proportions of threonine (C4 H9 N O3)."""
    molecules: dict[Name, StudyMoleculeConfig] = Field(default_factory=dict)
    """Molecules of known structure by name, beside the random ones."""
    wavelengths_angstrom: tuple[Positive, ...] = Field(default=(0.35,), min_length=1)
    """Wavelengths."""
    white_levels: tuple[Positive, ...] = ()
    """Levels N of white noise, without counting noise."""
    photons_per_shot: tuple[Positive, ...] = ()
    """Photons in a shot, without white noise: cells of their own."""
    atom_models: tuple[AtomModel, ...] = Field(default=("sphere",), min_length=1)
    """Uniform spheres of covalent radius, or the form factors of free atoms."""
    examples: int = Field(default=10, ge=1)
    """Shots of each cell: other random molecules or orientations, and other noise."""
    shot: StudyShotConfig = StudyShotConfig()
    """What all shots have in common."""
    methods: dict[Name, StudyMethodConfig] = Field(min_length=1)
    """Methods by the names that figures and tables give them. The first one is drawn where there is room for one."""
    time_budget_s: Positive | None = None
    """Time after which each recovery ends with the best there is. None: methods end by themselves."""
    score: ScoreMoleculeConfig = ScoreMoleculeConfig()
    """How solutions are scored."""
    seed: int = Field(default=1, ge=0)
    """Seed of molecules, orientations, noise and searches, together with the number of the example."""
    batch: int = Field(default=12, ge=1)
    """Recoveries that one job does."""
    tasks: int = Field(default=1, ge=1)
    """MPI ranks that share the recoveries of a job."""

    @model_validator(mode="after")
    def _cells_exist(self) -> RecoveryStudyConfig:
        if not self.n_atoms and not self.molecules:
            raise ValueError("a study needs n_atoms or molecules")
        if not self.white_levels and not self.photons_per_shot:
            raise ValueError("a shot needs noise: give white_levels or photons_per_shot")
        if RANDOM in self.molecules:
            raise ValueError(f"molecules: {RANDOM!r} names those of n_atoms; choose another name")
        for name in ("n_atoms", "wavelengths_angstrom", "white_levels", "photons_per_shot", "atom_models"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: expected different values, found {', '.join(map(str, values))}")
        cells = [asdict(cell) for cell in study_cells(self)]
        for label, method in self.methods.items():
            for key, wanted in method.only.items():
                known = list(dict.fromkeys(cell[key] for cell in cells))
                strange = [value for value in wanted if value not in known]
                if strange or not wanted:
                    raise ValueError(
                        f"methods.{label}.only.{key}: expected some of {', '.join(map(str, known))}; found "
                        f"{', '.join(map(str, strange)) or 'none'}"
                    )
        if self.tasks > self.batch:
            raise ValueError(f"{self.tasks} tasks cannot share a batch of {self.batch} recoveries")
        return self

    @property
    def n_batches(self) -> int:
        """Number of jobs that the recoveries take."""
        return math.ceil(len(study_recoveries(self)) / self.batch)


class StudyRecoveriesConfig(RecoveryStudyConfig):
    """One batch of a study's recoveries, or all of them."""

    batch_number: int | None = Field(default=None, ge=0)
    """Which batch of `batch` recoveries to do, from 0. None: all recoveries."""

    @model_validator(mode="after")
    def _batch_exists(self) -> StudyRecoveriesConfig:
        if self.batch_number is not None and self.batch_number >= self.n_batches:
            raise ValueError(f"batch_number must be below {self.n_batches}, found {self.batch_number}")
        return self


class TabulateRecoveriesConfig(Section):
    """Join the tables of recoveries, and tell success and errors cell by cell."""

    by: tuple[str, ...] = Field(
        default=(
            "method",
            "molecule",
            "atom_model",
            "wavelength_angstrom",
            "noise_level",
            "photons_per_shot",
            "n_atoms",
        ),
        min_length=1,
    )
    """Columns that part the recoveries into cells."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals of success rates (Wilson)."""


@dataclass(frozen=True)
class StudyCell:
    """A molecule under certain conditions, which several examples show.

    Parameters
    ----------
    molecule : str
        Name; `random` for random molecules.
    n_atoms : int or None
        Atoms of a random molecule; None: those of the structure.
    wavelength_angstrom : float
        Wavelength.
    noise_level : float
        White noise N; 0 where photons are counted.
    photons_per_shot : float or None
        Photons; None where there is no counting noise.
    atom_model : str
        `sphere` or `free_atom`.
    """

    molecule: str
    n_atoms: int | None
    wavelength_angstrom: float
    noise_level: float
    photons_per_shot: float | None
    atom_model: AtomModel


@dataclass(frozen=True)
class StudyRecovery:
    """One recovery: a shot, given by cell and number of the example, and the name of the method."""

    number: int
    cell: StudyCell
    example: int
    method: str


def study_cells(study: RecoveryStudyConfig) -> list[StudyCell]:
    """Return all cells of a study."""
    molecules: list[tuple[str, int | None]] = [(RANDOM, n_atoms) for n_atoms in study.n_atoms]
    molecules += [(name, None) for name in study.molecules]
    noise: list[tuple[float, float | None]] = [(level, None) for level in study.white_levels]
    noise += [(0.0, photons) for photons in study.photons_per_shot]
    return [
        StudyCell(*molecule, wavelength, *level, atom_model)
        for atom_model, wavelength, level, molecule in itertools.product(
            study.atom_models, study.wavelengths_angstrom, noise, molecules
        )
    ]


def study_recoveries(study: RecoveryStudyConfig) -> list[StudyRecovery]:
    """Return all recoveries of a study in the order in which they are done.

    The first examples of all cells come first, so that a study that is not finished tells something of every cell.
    """
    chosen = [
        (cell, example, label)
        for example in range(study.examples)
        for cell in study_cells(study)
        for label, method in study.methods.items()
        if _takes_part(method, cell, example)
    ]
    return [StudyRecovery(number, *item) for number, item in enumerate(chosen)]


def batch_recoveries(study: StudyRecoveriesConfig) -> list[StudyRecovery]:
    """Return the recoveries of the batch that a configuration names."""
    every = study_recoveries(study)
    if study.batch_number is None:
        return every
    return every[study.batch_number * study.batch : (study.batch_number + 1) * study.batch]


def shared_values(study: RecoveryStudyConfig, labels: Sequence[str] | None = None) -> dict[str, tuple[Any, ...]]:
    """Return the values of columns that the cells of all of some methods have, where a method leaves some out.

    Curves of methods can be compared over these alone.
    """
    shared: dict[str, tuple[Any, ...]] = {}
    for label in study.methods if labels is None else labels:
        method = study.methods[label]
        for key, wanted in method.only.items():
            shared[key] = tuple(value for value in shared.get(key, wanted) if value in wanted)
        if method.examples is not None and method.examples < study.examples:
            fewer = min(method.examples, len(shared.get("example", range(study.examples))))
            shared["example"] = tuple(range(fewer))
    return shared


def _takes_part(method: StudyMethodConfig, cell: StudyCell, example: int) -> bool:
    if method.examples is not None and example >= method.examples:
        return False
    return all(getattr(cell, key) in wanted for key, wanted in method.only.items())
