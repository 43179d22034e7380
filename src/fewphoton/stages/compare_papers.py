"""compare-papers: every figure, table and number that the papers published, with ours beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewphoton.config.load import load_section
from fewphoton.config.papers import CatalogueConfig, ComparePapersConfig, PublishedItem, PublishedValue
from fewphoton.errors import DataError, InputFileError
from fewphoton.evaluate.published_values import find_value, is_accepted
from fewphoton.figures.papers_page import PageItem, PagePaper, ValueRow, page
from fewphoton.io.atomic import write_text
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages.contract import Context, path_field

Config = ComparePapersConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads, beside the results that the configuration names."""

    catalogue: Path = path_field("what the papers published (YAML)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    page: Path = path_field("page with all figures (HTML)")
    table: Path = path_field("published numbers beside ours, a row each (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: ComparePapersConfig, context: Context) -> None:
    """Set them side by side.

    Raises
    ------
    InputFileError
        If the catalogue cannot be read.
    ConfigError
        If it is no catalogue.
    DataError
        If ``strict`` is set and a number of ours is missing or not accepted; page and table are written before.
    """
    try:
        text = inputs.catalogue.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(inputs.catalogue, f"cannot be read: {error}") from error
    catalogue = load_section(CatalogueConfig, text, str(inputs.catalogue))
    papers = []
    rows: list[dict[str, Any]] = []
    for key, published in catalogue.papers.items():
        folder = config.results.get(key)
        scale = config.scales.get(key, "")
        items = [_page_item(item, folder, scale) for item in published.items]
        papers.append(PagePaper(key, published.citation, published.doi, published.differs, scale, items))
        rows += [
            {
                "paper": key,
                "item": item.label,
                "data": item.data,
                "scale": scale,
                "state": item.state,
                "quantity": value.quantity,
                "published": value.published,
                "ours": value.ours,
                "accepted": value.accepted,
                "note": value.note,
            }
            for item in items
            for value in item.values or (ValueRow("", None, None, None),)
        ]
    write_text(outputs.page, page(config.title, papers))
    write_table(outputs.table, rows)
    for paper in papers:
        made = sum(item.state == "regenerated" for item in paper.items)
        context.say(f"{paper.key}: {made} of {len(paper.items)} figures and tables regenerated")
    refused = [row for row in rows if row["accepted"] is False]
    for row in refused:
        context.say(f"{row['paper']}, {row['item']}, {row['quantity']}: {row['ours']} {row['note']}".rstrip())
    if config.strict and refused:
        raise DataError(
            f"{len(refused)} of our numbers are missing or outside what {inputs.catalogue} accepts; see {outputs.table}"
        )


def _page_item(item: PublishedItem, folder: Path | None, scale: str) -> PageItem:
    def plain(state: str, reason: str) -> PageItem:
        return PageItem(item.label, item.title, item.data, state, reason, [], [], [])

    if item.left_out is not None:
        return plain("left out", item.left_out)
    if folder is None:
        return plain("not in this run", "")
    found = {pattern: sorted(folder.glob(pattern)) for pattern in (*item.figures, *item.tables)}
    absent = [pattern for pattern, paths in found.items() if not paths]
    pictures = [
        (str(path.relative_to(folder)), path.read_bytes()) for pattern in item.figures for path in found[pattern]
    ]
    tables = [str(path.relative_to(folder)) for pattern in item.tables for path in found[pattern]]
    values = [_value(folder, value) for value in item.values if not value.scales or scale in value.scales]
    state, reason = ("missing", f"{folder} holds no {', '.join(absent)}") if absent else ("regenerated", "")
    return PageItem(item.label, item.title, item.data, state, reason, pictures, tables, values)


def _value(folder: Path, value: PublishedValue) -> ValueRow:
    judged = value.lowest is not None or value.highest is not None
    try:
        ours = find_value(read_table(folder / value.table), value.row, value.column, value.median_over)
    except (DataError, InputFileError) as error:
        return ValueRow(value.quantity, value.published, None, False if judged else None, str(error))
    limits = [f"at least {value.lowest:g}"] if value.lowest is not None else []
    limits += [f"at most {value.highest:g}"] if value.highest is not None else []
    if math.isnan(ours):
        return ValueRow(value.quantity, value.published, None, False if judged else None, "; ".join(limits))
    accepted = is_accepted(ours, value.lowest, value.highest) if judged else None
    return ValueRow(value.quantity, value.published, ours, accepted, "; ".join(limits))
