"""A table of medians with their spread, rows of data sets and columns of methods (Shenoy et al. 2023, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from fewphoton.errors import DataError
from fewphoton.figures import style

_ROW_MM, _HEAD_MM = 5.0, 7.0


@style.applied()
def draw(
    head: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[str]]], caption: str, corner: str
) -> Figure:
    """Draw a table.

    Parameters
    ----------
    head : sequence of tuple of str
        Group and name of each column; equal neighbouring groups are written once.
    rows : sequence of tuple
        Name of each row, and its cells.
    caption : str
        Line above the table.
    corner : str
        What the rows are.

    Raises
    ------
    DataError
        If there are no cells, or a row has another number of them.
    """
    if not head or not rows or any(len(cells) != len(head) for _, cells in rows):
        raise DataError("a table needs columns, and rows with a cell for each of them")
    longest = max(len(text) for text in [corner, *(name for name, _ in rows)])
    first = 6.0 + 1.25 * longest
    width = max(
        4.0 + 1.25 * max(len(text) for _, cells in rows for text in [*cells, *(name for _, name in head)]), 18.0
    )
    # Groups stand over their columns, and need room of their own where these are few.
    for group, _ in head:
        width = max(width, (4.0 + 1.45 * len(group)) / sum(other == group for other, _ in head))
    figure_width = max(first + width * len(head) + 4.0, 8.0 + 1.35 * len(caption))
    height = _ROW_MM * (len(rows) + 2) + _HEAD_MM + 3.0
    figure = style.new_figure(figure_width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, figure_width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.text(3.0, 4.0, caption, va="center", fontsize=7.0)
    top = _HEAD_MM
    axes.plot([3, figure_width - 3], [top, top], color=style.INK, linewidth=1.0)
    axes.text(3.0, top + 1.5 * _ROW_MM, corner, va="center", fontsize=6.5, color=style.QUIET)
    start = 0
    for number, (group, name) in enumerate(head):
        middle = first + width * (number + 0.5)
        axes.text(middle, top + 1.5 * _ROW_MM, name, ha="center", va="center", fontsize=6.5)
        if number + 1 == len(head) or head[number + 1][0] != group:
            left, right = first + width * start, first + width * (number + 1)
            axes.text(
                (left + right) / 2,
                top + 0.5 * _ROW_MM,
                group,
                ha="center",
                va="center",
                fontweight="bold",
                fontsize=6.5,
            )
            if group:
                axes.plot([left + 2, right - 2], [top + _ROW_MM] * 2, color=style.QUIET, linewidth=0.5)
            start = number + 1
    line = top + 2 * _ROW_MM
    axes.plot([3, figure_width - 3], [line, line], color=style.INK, linewidth=0.6)
    for place, (name, cells) in enumerate(rows):
        y = line + (place + 0.5) * _ROW_MM
        axes.text(3.0, y, name, va="center", fontsize=6.5)
        for number, text in enumerate(cells):
            axes.text(first + width * (number + 0.5), y, text, ha="center", va="center", fontsize=6.5)
    foot = line + len(rows) * _ROW_MM
    axes.plot([3, figure_width - 3], [foot, foot], color=style.INK, linewidth=1.0)
    return figure
