#!/usr/bin/env bash
# Make .venv with fewphoton and exactly the versions that were tested.
#   scripts/install.sh EXTRAS [PYTHON]     EXTRAS: all, all,xrai (with PyTorch), all,xrai,test
# A cluster's own MPI: load its module and ask for "mpi,figures,workflow" instead of "all"; the wheel then finds it.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:?extras, for example all or all,test}
python=${2:-${PYTHON:-python3}}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "fewphoton needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Set PYTHON to another one" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
