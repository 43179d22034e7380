"""How atoms look in every figure: a colour that colour-blind readers can tell apart, and a marker, for each element."""

from __future__ import annotations

from collections.abc import Iterable

import gemmi
from matplotlib.lines import Line2D

from fewphoton.figures import style

_LOOK = {
    "C": ("#4D4D4D", "o"),
    "N": ("#0072B2", "s"),
    "O": ("#D55E00", "^"),
    "H": ("#A9B4C0", "v"),
    "S": ("#E69F00", "D"),
    "P": ("#CC79A7", "P"),
    "F": ("#009E73", "X"),
    "Cl": ("#009E73", "*"),
}
_OTHER = ("#56B4E9", "h")


def colour(element: str) -> str:
    """Colour of an element; those beyond organic chemistry share one."""
    return _LOOK.get(element, _OTHER)[0]


def marker(element: str) -> str:
    """Marker of an element, so that elements differ without colour too."""
    return _LOOK.get(element, _OTHER)[1]


def in_order(elements: Iterable[str]) -> list[str]:
    """Return the distinct elements: carbon first, hydrogen last, the others by atomic number."""
    return sorted(set(elements), key=lambda name: (name == "H", name != "C", gemmi.Element(name).atomic_number))


def name(element: str) -> str:
    """Name of an element in a legend."""
    return str(gemmi.Element(element).name) if element not in _NAMES else _NAMES[element]


_NAMES = {
    "C": "carbon",
    "N": "nitrogen",
    "O": "oxygen",
    "H": "hydrogen",
    "S": "sulfur",
    "P": "phosphorus",
    "F": "fluorine",
    "Cl": "chlorine",
}


def legend_handles(elements: Iterable[str], *, balls: bool = False) -> tuple[list[Line2D], list[str]]:
    """Return markers and names of the elements for a legend; ``balls`` shows discs in place of the markers."""
    present = in_order(elements)
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o" if balls else marker(element),
            color=colour(element),
            mec=style.INK if balls else colour(element),
            mew=0.4,
            ms=6.0 if balls else 4.0,
        )
        for element in present
    ]
    return handles, [name(element) for element in present]
