"""Write the library of amino acids from the wwPDB Chemical Component Dictionary.

Names, elements, ideal coordinates and bonds of the 20 amino acids that proteins are made of. The dictionary is in the
public domain (CC0 1.0); see Westbrook et al. 2015, Bioinformatics 31, 1274, doi:10.1093/bioinformatics/btu789. It is
read through biotite (``pip install biotite``), which carries a copy; fewphoton itself does not need biotite.

Usage: python scripts/build_residue_library.py src/fewphoton/data/residue_library.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import biotite
import biotite.structure.info as dictionary

CODES = {
    "ALA": "A",
    "ARG": "R",
    "ASN": "N",
    "ASP": "D",
    "CYS": "C",
    "GLN": "Q",
    "GLU": "E",
    "GLY": "G",
    "HIS": "H",
    "ILE": "I",
    "LEU": "L",
    "LYS": "K",
    "MET": "M",
    "PHE": "F",
    "PRO": "P",
    "SER": "S",
    "THR": "T",
    "TRP": "W",
    "TYR": "Y",
    "VAL": "V",
}


def entry(name: str) -> dict[str, object]:
    """Return one amino acid: its letter, atoms and bonds."""
    found = dictionary.residue(name)
    atoms = [
        [str(atom), str(element).capitalize(), *(round(float(x), 3) for x in place)]
        for atom, element, place in zip(found.atom_name, found.element, found.coord, strict=True)
    ]
    bonds = sorted([int(min(a, b)), int(max(a, b))] for a, b, _ in found.bonds.as_array())
    return {"letter": CODES[name], "atoms": atoms, "bonds": bonds}


def main(target: Path) -> None:
    """Write the library, one amino acid a line."""
    head = {
        "source": f"wwPDB Chemical Component Dictionary, ideal coordinates, through biotite {biotite.__version__}",
        "licence": "CC0-1.0",
        "columns": "atoms: name, element, x, y, z in angstrom; bonds: pairs of atom numbers from 0",
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(entry(name))}" for name in sorted(CODES)]
    text = json.dumps(head, indent=1)[:-2] + ',\n "residues": {\n' + ",\n".join(lines) + "\n }\n}\n"
    json.loads(text)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
