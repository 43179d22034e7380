"""Configuration of draw-separation: the figures and tables of signal separation (Kieffer et al. 2025)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section
from fewphoton.config.separation import BackgroundConfig
from fewphoton.config.simulate_stills import StillBackground

SeparationFigureName = Literal[
    "error_models", "signal_separation", "pick_share", "spot_quality", "peak_counts", "peak_comparison", "veto"
]


class DrawSeparationConfig(Section):
    """One figure of signal separation; each figure reads only the input files that it needs."""

    figure: SeparationFigureName
    """Which figure to draw."""
    labels: tuple[str, ...] = ()
    """Names of the input files in the legend, in their order (spot_quality, peak_counts, peak_comparison; for
    pick_share one name for all). Empty: names made from the files or their cut-offs."""
    frame: int = Field(default=0, ge=0)
    """signal_separation, peak_comparison: number of the frame shown."""
    background: BackgroundConfig = BackgroundConfig()
    """error_models, signal_separation: rings and clipping; the two error models of the paper take the place of
    `error_model` where standard deviations are compared."""
    simulated_background: StillBackground = StillBackground(mean_photons=10.0)
    """error_models: the background that is drawn; its `scale_spread` is not used."""
    seed: int = Field(default=0, ge=0)
    """error_models: seed of the counts."""
    ring_radii: tuple[float, ...] = Field(default=(), max_length=4)
    """signal_separation: radii, in the unit of the rings, whose intensities are shown (0.087 and 0.160 m in the
    paper). Empty: two rings, at a quarter and a half of the radial range."""
    cutoffs: tuple[float, ...] = ()
    """pick_share, spot_quality: cut-offs in standard deviations of the sparsified frames, in the order of the files.
    Empty: `cutoff_pick` of the metrics of sparsify."""
    shell_width_inv_angstrom: float = Field(default=0.0318, gt=0)
    """peak_comparison: width of the resolution shells in 1/d (2 per nanometre in 2 pi / d in the paper)."""
    tolerance_px: float = Field(default=2.0, gt=0)
    """peak_comparison: peaks this near to a predicted position coincide with it (2 in the paper)."""
    experiment: int = Field(default=0, ge=0)
    """peak_comparison with experiments of rotation data: which of the list, counted from 0; stills take the
    experiment of their frame."""
    image: int | None = Field(default=None, ge=0)
    """peak_comparison with experiments of rotation data: number of the frame's image in the scan, as the experiment
    counts them. None: the scan's first image plus `frame`."""
    excitation_error_max_inv_angstrom: float = Field(default=1e-3, gt=0)
    """peak_comparison with experiments of stills: lattice points this near to the Ewald sphere are predicted."""
    rocking_sigmas: float = Field(default=3.0, gt=0)
    """peak_comparison with experiments of rotation data: spots are predicted where their rocking curve, to this many
    standard deviations, meets the image."""
    minimum_peaks: int | None = Field(default=None, ge=0)
    """peak_counts, veto: threshold of the veto, drawn as a line (20 in the paper)."""
