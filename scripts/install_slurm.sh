#!/usr/bin/env bash
# Install Slurm and munge for the tests that start a Slurm of their own, where that is possible without a question:
# on Debian and its relatives, as root or by sudo without a password. Elsewhere those tests are skipped.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
type -P slurmctld >/dev/null && type -P slurmd >/dev/null && type -P munged >/dev/null && type -P srun >/dev/null && exit
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
if type -P apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  packages=(slurmctld slurmd slurm-client munge)
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}")
  "${as_root[@]}" "${install[@]}" >/dev/null ||
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}" >/dev/null; } ||
    echo "Slurm could not be installed: its tests will be skipped"
else
  echo "Slurm is not installed and may not be: its tests will be skipped"
fi
