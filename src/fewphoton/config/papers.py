"""Several papers in one run, and the catalogue of what they published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Name, Section

PaperKey = Literal["emc", "separation", "ankylography", "xrai"]


class PaperRun(Section):
    """One paper's target."""

    config: Path
    """Configuration of its run."""
    scale: str | None = None
    """Scale of that configuration; None: the one it chooses itself."""


class PapersConfig(Section):
    """A run over several papers: `snakemake figures --configfile FILE`."""

    run: Name
    """Name of the run; its page goes into ``results/<run>``, results of the papers where their own runs put them."""
    title: str = ""
    """Title of the page."""
    papers: dict[PaperKey, PaperRun] = Field(min_length=1)
    """Papers to regenerate: `emc`, `separation`, `ankylography`, `xrai`."""
    catalogue: Path = Path("config/published/papers.yaml")
    """What the papers published."""
    strict: bool = False
    """Stop with an error where a value of ours lies outside what the catalogue accepts."""


class PublishedValue(Section):
    """A published number, and where ours stands."""

    quantity: str
    """What it is, unit included."""
    published: float | None = None
    """The paper's number; None: it tells it in words or in a curve only."""
    table: str
    """Our table (CSV), below the results of the paper's run."""
    row: Mapping[str, str | float | int] = Field(default_factory=dict)
    """Values of columns that choose the row; numbers are compared as numbers."""
    median_over: tuple[str, ...] = ()
    """Columns in which several rows that fit may differ, as `seed`: ours is the median of those rows."""
    column: str
    """Column of our number."""
    scales: tuple[Name, ...] = ()
    """Scales of the paper's run at which the numbers are set side by side. Empty: all of them."""
    lowest: float | None = None
    """Smallest value of ours that is accepted at any scale."""
    highest: float | None = None
    """Largest one."""


class PublishedItem(Section):
    """A figure or table of a paper."""

    label: str
    """Its number, as `Fig. 3`."""
    title: str
    """What it shows."""
    data: Literal["simulated", "real", "drawing"]
    """What ours is made from."""
    figures: tuple[str, ...] = ()
    """Patterns of our figures below the results of the paper's run."""
    tables: tuple[str, ...] = ()
    """Patterns of our tables."""
    values: tuple[PublishedValue, ...] = ()
    """Numbers to set side by side."""
    left_out: str | None = None
    """Why there is nothing of ours."""

    @model_validator(mode="after")
    def _something_or_a_reason(self) -> PublishedItem:
        if bool(self.figures or self.tables) == (self.left_out is not None):
            raise ValueError(f"{self.label}: name figures or tables, or else say in left_out why there are none")
        return self


class PublishedPaper(Section):
    """A paper."""

    citation: str
    """Authors, year, journal."""
    doi: str | None = None
    """DOI without resolver, where it has one."""
    differs: str
    """What ours is made of, where that is not what the paper used."""
    items: tuple[PublishedItem, ...] = Field(min_length=1)
    """All its figures and tables."""


class CatalogueConfig(Section):
    """Figures, tables and numbers of the papers."""

    papers: dict[PaperKey, PublishedPaper]
    """By the keys of the targets."""


class ComparePapersConfig(Section):
    """Parameters of compare-papers."""

    title: str = ""
    """Title of the page."""
    results: dict[PaperKey, Path]
    """Folder with the results of each paper's run."""
    scales: Mapping[PaperKey, str] = Field(default_factory=dict)
    """Scale of each run, for the page."""
    strict: bool = False
    """End with an error where a value of ours is missing or outside what the catalogue accepts."""
