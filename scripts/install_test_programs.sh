#!/usr/bin/env bash
# Install what some tests start, where that is possible without a question: Slurm and munge for those with a Slurm of
# their own, and a browser for the documentation. On Debian and its relatives, as root or by sudo without a password;
# elsewhere, those tests are skipped.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
packages=()
for program in slurmctld slurmd srun munged chromium; do
  type -P "$program" >/dev/null && continue
  case $program in
    srun) packages+=(slurm-client) ;;
    munged) packages+=(munge) ;;
    *) packages+=("$program") ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
if type -P apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}")
  "${as_root[@]}" "${install[@]}" >/dev/null ||
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}" >/dev/null; } ||
    echo "${packages[*]} could not be installed: the tests that need them will be skipped"
else
  echo "${packages[*]} are not installed and may not be: the tests that need them will be skipped"
fi
