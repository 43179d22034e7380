"""``python -m fewphoton`` is the same program as ``fewphoton``."""

import sys

from fewphoton.cli import main

if __name__ == "__main__":
    sys.exit(main())
