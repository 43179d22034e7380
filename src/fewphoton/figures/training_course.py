"""The course of trainings: loss and what is measured on held-out frames, over steps and over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style


@dataclass(frozen=True, eq=False)
class TrainingCourse:
    """One training.

    Parameters
    ----------
    label : str
        Its name.
    step, seconds : ndarray of float64, `(n,)`
        Steps and time; NaN where time is not known.
    values : dict of str to ndarray of float64, `(n,)`
        Measures by name, the same for all trainings; NaN where one was not taken.
    """

    label: str
    step: NDArray[np.float64]
    seconds: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


@style.applied()
def draw(courses: Sequence[TrainingCourse], names: dict[str, str]) -> Figure:
    """Draw a row for each measure, over steps on the left and over time on the right.

    Parameters
    ----------
    courses : sequence of TrainingCourse
        Trainings.
    names : dict of str to str
        Measures and what they are called on the axis, in order.

    Raises
    ------
    DataError
        If there is nothing to draw.
    """
    if not names or not any(np.isfinite(course.values[name]).any() for course in courses for name in names):
        raise DataError("no training has a row with a number: nothing to draw")
    timed = any(np.isfinite(course.seconds).any() for course in courses)
    figure = style.new_figure(style.PAGE_MM if timed else style.COLUMN_MM, 10.0 + 48.0 * len(names))
    grid = figure.subplots(len(names), 2 if timed else 1, squeeze=False, sharey="row", sharex="col")
    for row, (name, words) in enumerate(names.items()):
        for column, axes in enumerate(grid[row]):
            for number, course in enumerate(courses):
                along = course.step if column == 0 else course.seconds
                known = np.isfinite(along) & np.isfinite(course.values[name])
                axes.plot(
                    along[known],
                    course.values[name][known],
                    color=style.colour(number),
                    marker=style.marker(number),
                    markevery=max(1, int(known.sum()) // 10),
                    label=course.label,
                )
            axes.grid(axis="y")
            style.bare_spines(axes)
            style.letter(axes, "abcdefgh"[row * len(grid[row]) + column])
        drawn = np.concatenate([course.values[name][np.isfinite(course.values[name])] for course in courses])
        if len(drawn) and drawn.min() > 0 and drawn.max() > 20 * drawn.min():
            grid[row][0].set_yscale("log")
        grid[row][0].set_ylabel(words)
    for axes, words in zip(grid[-1], ("steps", "time (s)"), strict=False):
        axes.set_xlabel(words)
    style.legend_above(figure, *grid[0][0].get_legend_handles_labels())
    return figure
