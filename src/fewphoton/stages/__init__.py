"""The stages in pipeline order: the table of contents of the suite. Modules are imported only when they run."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """A command of the suite."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """Module that holds the stage."""
        return f"fewphoton.stages.{self.name.replace('-', '_')}"


STAGES = (
    Stage("simulate-rotation", "simulate a rotation experiment: raw ADU (or photons) and its ground truth"),
    Stage(
        "simulate-stills", "simulate serial stills of randomly oriented crystals on a ring background, with their truth"
    ),
    Stage("simulate-particles", "simulate snapshots of single particles in random orientations, with their truth"),
    Stage("simulate-serial", "simulate few-photon snapshots of crystals in random orientations, with their truth"),
    Stage("simulate-shot", "simulate one shot of a molecule on the Ewald sphere, with its truth kept apart"),
    Stage("fetch", "bring one file of a public data set from a local copy or its public address, and check it"),
    Stage("describe-crystal", "check cell, space group and UB matrix and write them for other stages"),
    Stage("import-scan", "turn a sparse rotation scan (row, column, intensity lists) into photon frames"),
    Stage("count-photons", "turn raw ADU into photon frames: offset, gain, threshold, bad pixels, bad frames"),
    Stage("join-photons", "join the photon frames that several jobs counted of one dataset"),
    Stage("select-patterns", "find hits and patterns of one particle by their features"),
    Stage("split", "keep the even or the odd exposures"),
    Stage("collapse", "sum successive frames of a batch, by number or by angle"),
    Stage("thin", "thin frames binomially to a wanted mean photon number"),
    Stage("add-background", "add Poisson background to frames"),
    Stage("sparsify", "keep strong pixels and background curves of raw frames (NeXus, pyFAI's layout)"),
    Stage("densify", "rebuild frames from strong pixels and background curves (NXmx, LImA or CBF)"),
    Stage("find-peaks", "find Bragg peaks in raw or sparse frames (CXI)"),
    Stage("veto", "tell hits from blanks by their peaks"),
    Stage("export-crystfel", "write geometry and list of files for CrystFEL's indexamajig --peaks=cxi"),
    Stage("import-sparse", "turn sparse frames into photon frames"),
    Stage("integrate-spots", "integrate Bragg spots at predicted positions and judge their quality"),
    Stage("export-emc", "write photon frames as a Dragonfly .emc file (binary or HDF5), and its detector file"),
    Stage("import-emc", "read photon frames from a Dragonfly .emc file (binary or HDF5)"),
    Stage("import-dragonfly", "read intensities and orientations that Dragonfly reconstructed"),
    Stage("reconstruct", "find the intensity volume from frames of unknown orientation (EMC; runs under MPI)"),
    Stage("match-patterns", "match frames of particles over a fixed sample of rotations and merge them, in turn"),
    Stage("refine-poses", "refine poses of particles: local search, new matches of the worst, weights at low counts"),
    Stage("assemble", "merge frames of known angles into an intensity volume"),
    Stage("evaluate", "integrate peaks, merge equivalents, R factors, correlations, Patterson map"),
    Stage("train-xrai", "find poses and volume of a particle by a trained encoder and decoder (PyTorch)"),
    Stage("evaluate-rotations", "score a reconstruction over all rotations against the truth of a simulation"),
    Stage("phase", "find the density of a single particle from its Fourier intensities, from several starts"),
    Stage("score-particles", "score poses, volume and density of a single particle against the truth of a simulation"),
    Stage("recover-molecule", "find the atoms of a molecule in one shot (runs under MPI)"),
    Stage("score-molecule", "score the atoms recovered from one shot against the true molecule"),
    Stage("study-recoveries", "recover and score many simulated molecules, by several methods (runs under MPI)"),
    Stage("tabulate-recoveries", "join tables of recoveries, and tell success and errors cell by cell"),
    Stage("compare-recoveries", "set published results of single shots beside ours"),
    Stage("score-iterates", "tell R of each traced iterate against a reference, and when it was as good as the last"),
    Stage("tabulate-convergence", "set the convergence of all points of a sweep beside the plain iteration's"),
    Stage("compare-published", "set metrics beside published values"),
    Stage("compare-papers", "set every figure, table and number of the papers beside ours, on one page"),
    Stage("draw-figure", "draw one figure of the report from result files"),
    Stage("draw-separation", "draw one figure of signal separation, with its table"),
    Stage("draw-molecule", "draw one figure of molecules recovered from single shots, with its table"),
    Stage("draw-patterns", "draw patterns of single particles in the order of their score"),
    Stage("draw-particles", "draw one figure of single particles: densities, correlations, trainings, table"),
    Stage("collect-metrics", "join the metrics of all points into one table"),
)
