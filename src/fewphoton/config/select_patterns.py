"""Configuration of select-patterns and draw-patterns: which patterns of single particles are kept."""

from __future__ import annotations

from pydantic import Field

from fewphoton.config.section import Section


class SelectPatternsConfig(Section):
    """Hits by their photons, and patterns of one particle by their features."""

    minimum_photons: int | None = Field(default=None, ge=0)
    """Fewest photons of a hit. None: from the empty frames where they are given, or 1."""
    false_hit_rate: float = Field(default=1e-3, gt=0, lt=1)
    """Share of empty frames that may pass as hits, where the threshold comes from them."""
    ring_width_pixel: float = Field(default=2.0, ge=1)
    """Width of the rings about the beam within which features are averaged."""
    ridge: float = Field(default=1.0, gt=0)
    """Ridge on the weights of the standardised features."""
    n_folds: int = Field(default=5, ge=2)
    """Parts of the labelled hits; each is scored by a classifier that was fitted to the others."""
    n_repeats: int = Field(default=20, ge=1)
    """Divisions into parts that are averaged."""
    n_shuffles: int = Field(default=20, ge=0)
    """Fits to labels that were exchanged at random: what chance alone gives."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the interval of the area under the curve."""
    minimum_score: float = Field(default=0.5, ge=0, le=1)
    """Hits are selected whose probability to be of the wanted class reaches this; without labels all hits are."""
    seed: int = Field(default=0, ge=0)
    """Seed of the divisions and of the exchanged labels."""


class DrawPatternsConfig(Section):
    """Patterns in the order of their score, and how well the score parts the labelled ones."""

    n_patterns: int = Field(default=50, ge=1, le=200)
    """Patterns that are drawn; of more, evenly spread ones of the ranking."""
    half_width_pixel: int = Field(default=45, ge=4)
    """Pixels shown on each side of the beam."""
    wanted: str = "single"
    """What frames labelled 1 are called."""
    unwanted: str = "not single"
    """What frames labelled 0 are called."""
