"""What ``doctor`` starts under an MPI launcher: ranks meet, add up an array, and rank 0 tells who came.

Run as ``LAUNCHER -n N python -m fewphoton.commands.mpi_greeting N``; prints one line of JSON.
"""

from __future__ import annotations

import json
import platform
import sys

import numpy as np

from fewphoton.emc.communicator import mpi_library, world
from fewphoton.errors import FewphotonError, ParallelError


def main(expected_ranks: int) -> None:
    """Exchange an array between the promised ranks.

    Raises
    ------
    ParallelError
        If the world has another size, MPI is missing, or the sum over ranks is wrong.
    """
    with world(expected_ranks) as ranks:
        values = np.full(100_000, float(ranks.rank + 1))
        ranks.sum(values)
        wanted = expected_ranks * (expected_ranks + 1) / 2
        if not (values == wanted).all():
            raise ParallelError(f"a sum over {expected_ranks} ranks gave {values[0]}, expected {wanted}")
        name = np.frombuffer(platform.node().encode().ljust(64), dtype=np.uint8)
        hosts = [array.tobytes().decode().strip() for array in ranks.gather(name)]
        if ranks.rank == 0:
            print(json.dumps({"ranks": ranks.size, "hosts": sorted(set(hosts)), "library": mpi_library()}))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except FewphotonError as found:
        sys.exit(f"{type(found).__name__}: {found}")
