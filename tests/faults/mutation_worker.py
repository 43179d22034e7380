"""Reads mutated files one after the other and writes down how each ended; started as a process of its own.

A reader must read well or raise an error of fewphoton that names the file. HDF5's C library may end the process, and a
reader may hang or ask for endless memory: the first is seen by who started the process, the others have limits here.

Arguments: folder of sound files, seed, first and last number, and the group of files (``files`` or ``training``).
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from fewphoton.errors import FewphotonError
from tests.faults.mutations import mutate_objects, mutated_bytes
from tests.faults.readers import KINDS, TRAINING, Kind

SECONDS = 30
MEMORY_BYTES = 2**30
"""Of address space beside what is taken at the start: a small file needs no more."""
_HDF5 = (".h5", ".cxi", ".nxs")


def mutate(kind: Kind, sound: Path, others: list[bytes], rng: np.random.Generator, target: Path) -> str:
    """Write a mutated file and return what was done."""
    source = sound / kind.name
    if target.suffix in _HDF5 and rng.random() < 0.5:
        return mutate_objects(source, target, rng)
    target.write_bytes(mutated_bytes(source.read_bytes(), others, rng))
    return "bytes"


def outcome(kind: Kind, path: Path) -> tuple[str, str]:
    """Read a mutated file; return ``read``, ``refused`` or what went wrong, and the words of the error."""
    try:
        kind.read(path)
    except FewphotonError as error:
        return ("refused" if str(path) in str(error) else "nameless"), f"{type(error).__name__}: {error}"
    except Exception as error:
        place = traceback.format_exc(limit=-4)
        return f"untyped {type(error).__name__}", place
    return "read", ""


def work(sound: Path, seed: int, first: int, last: int, group: str) -> None:
    """Try the mutations ``first`` to ``last - 1`` of a seed."""
    warnings.simplefilter("ignore")
    kinds = TRAINING if group == "training" else KINDS
    for kind in kinds:
        kind.read(sound / kind.name)
    others = [(sound / kind.name).read_bytes() for kind in kinds]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in range(first, last):
        kind = kinds[number % len(kinds)]
        rng = np.random.default_rng([seed, number])
        place = sound.parent / f"mutated-{group}"
        place.mkdir(exist_ok=True)
        path = place / kind.name
        print(json.dumps({"number": number, "kind": kind.name}), flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        how = mutate(kind, sound, others, rng, path)
        ended, words = outcome(kind, path)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"number": number, "outcome": ended, "how": how, "words": words}), flush=True)
        if ended not in ("read", "refused"):
            kept = sound.parent / "kept"
            kept.mkdir(exist_ok=True)
            path.replace(kept / f"{number}-{kind.name}")


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
