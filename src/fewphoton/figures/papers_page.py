"""A page of everything that papers published, with ours beside it; one HTML file that needs no other."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fewphoton.figures import gallery

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { border-top: 2px solid #444; padding-top: .6rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.state { font-weight: 600; } .state, .label { white-space: nowrap; }
.regenerated { color: #00629b; } .missing { color: #a4400f; } .out { color: #666; }
figure { margin: .8rem 0; } img { max-width: 100%; height: auto; border: 1px solid #ddd; }
figcaption, .note { color: #555; font-size: .92rem; }
"""
_STYLE += gallery.STYLE
_STATES = {
    "regenerated": ("regenerated", "regenerated"),
    "missing": ("missing", "not made yet"),
    "left out": ("out", "left out"),
    "not in this run": ("out", "not in this run"),
}


@dataclass(frozen=True)
class ValueRow:
    """A published number beside ours; ``accepted`` None: nothing judges it."""

    quantity: str
    published: float | None
    ours: float | None
    accepted: bool | None
    note: str = ""


@dataclass(frozen=True)
class PageItem:
    """A figure or table of a paper; ``state`` is one of regenerated, missing, left out, not in this run."""

    label: str
    title: str
    data: str
    state: str
    reason: str
    pictures: Sequence[tuple[str, bytes]]
    tables: Sequence[str]
    values: Sequence[ValueRow]


@dataclass(frozen=True)
class PagePaper:
    """A paper with its items."""

    key: str
    citation: str
    doi: str | None
    differs: str
    scale: str
    items: Sequence[PageItem]


def page(title: str, papers: Sequence[PagePaper]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title : str
        Its title.
    papers : sequence of PagePaper
        In order.

    Raises
    ------
    DataError
        If a picture is no PNG picture.
    """
    body = [f"<h1>{escape(title or 'Figures and tables of the papers')}</h1>", _overview(papers)]
    shown = [
        gallery.GalleryPicture(name, content, f"{_first_author(paper)}, {item.label}", _anchor(paper, item))
        for paper in papers
        for item in paper.items
        for name, content in item.pictures
    ]
    if shown:
        body += ['<h2 id="gallery">All figures</h2>', gallery.gallery(shown)]
    for paper in papers:
        body += [
            f'<h2 id="{paper.key}">{escape(paper.citation)}</h2>',
            f"<p>{'; '.join(_marks(paper))}</p><p>{escape(paper.differs)}</p>",
            *(_item(item, _anchor(paper, item)) for item in paper.items if item.state != "not in this run"),
        ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _marks(paper: PagePaper) -> list[str]:
    link = [] if paper.doi is None else [f'<a href="https://doi.org/{escape(paper.doi)}">doi:{escape(paper.doi)}</a>']
    return link + ([f"scale <i>{escape(paper.scale)}</i>"] if paper.scale else [])


def _overview(papers: Sequence[PagePaper]) -> str:
    rows = []
    for paper in papers:
        name = f'<td rowspan="{len(paper.items)}"><a href="#{paper.key}">{escape(paper.citation)}</a></td>'
        for item in paper.items:
            rows.append(
                f'<tr>{name}<td class="label">{escape(item.label)}</td><td>{escape(item.title)}</td>'
                f"<td>{escape(item.data)}</td><td>{_state(item)}</td></tr>"
            )
            name = ""
    head = "<tr><th>paper</th><th></th><th>shows</th><th>ours from</th><th>state</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _state(item: PageItem) -> str:
    kind, words = _STATES[item.state]
    return f'<span class="state {kind}">{words}</span>'


def _first_author(paper: PagePaper) -> str:
    return re.split(r",| et al| \(", paper.citation, maxsplit=1)[0]


def _anchor(paper: PagePaper, item: PageItem) -> str:
    return f"{paper.key}-{item.label.replace('.', '').replace(' ', '-').lower()}"


def _item(item: PageItem, anchor: str) -> str:
    parts = [f'<h3 id="{escape(anchor)}">{escape(item.label)}: {escape(item.title)}</h3><p>{_state(item)}']
    parts[0] += f": {escape(item.reason)}</p>" if item.reason else "</p>"
    if item.values:
        parts.append(_values(item.values))
    for name, content in item.pictures:
        data = base64.b64encode(content).decode()
        parts.append(
            f'<figure><img src="data:image/png;base64,{data}" alt="{escape(name)}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )
    if item.tables:
        parts.append(f'<p class="note">Tables: {escape(", ".join(item.tables))}</p>')
    return "\n".join(parts)


def _values(values: Sequence[ValueRow]) -> str:
    rows = []
    for value in values:
        difference = None
        if value.published and value.ours is not None:
            difference = f"{(value.ours - value.published) / abs(value.published):+.0%}"
        verdict = {True: "within", False: "outside", None: ""}[value.accepted]
        rows.append(
            f"<tr><td>{escape(value.quantity)}</td>{_number(value.published)}{_number(value.ours)}"
            f'<td class="number">{difference or ""}</td><td>{verdict}</td><td>{escape(value.note)}</td></tr>'
        )
    head = "<tr><th></th><th>published</th><th>ours</th><th>difference</th><th>accepted range</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _number(value: float | None) -> str:
    return f'<td class="number">{"" if value is None else f"{value:.4g}"}</td>'
