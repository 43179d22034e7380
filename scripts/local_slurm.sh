#!/usr/bin/env bash
# A Slurm cluster of virtual nodes on this machine, for tests, started by any user.
#   scripts/local_slurm.sh start FOLDER [NODES] [CPUS OF A NODE] [MEGABYTES OF A NODE]
#   scripts/local_slurm.sh stop-controller FOLDER     # jobs go on; nobody can ask for them or submit any
#   scripts/local_slurm.sh start-controller FOLDER    # again, with the jobs it knew
#   scripts/local_slurm.sh stop FOLDER
# All of it is below FOLDER: configuration, logs, state, and bin/, which belongs first on the PATH of who uses the
# cluster. Leaves with 77 where Slurm or munge is not installed; installs nothing.
set -euo pipefail

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
[ $# -ge 2 ] || usage
action=$1
folder=$(readlink -m "$2")
n_nodes=${3:-2}
n_cpus=${4:-2}
megabytes=${5:-8000}
conf=$folder/slurm.conf

is_ours() { # PID: a process of this number may be somebody else's by now
  tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF " $folder/"
}

end_daemon() {
  local daemon=$1 patience_seconds=${2:-5} file pid pids=()
  for file in "$folder"/pid/"$daemon"*.pid; do
    [ -s "$file" ] || continue
    pid=$(<"$file")
    is_ours "$pid" && kill "$pid" 2>/dev/null && pids+=("$pid")
  done
  for pid in "${pids[@]}"; do
    for _ in $(seq $((10 * patience_seconds))); do
      is_ours "$pid" || continue 2
      sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -f "$folder"/pid/"$daemon"*.pid
}

stop() {
  [ -d "$folder/pid" ] || return 0
  if [ -s "$folder/pid/slurmctld.pid" ] && is_ours "$(<"$folder/pid/slurmctld.pid")"; then
    SLURM_CONF=$conf timeout 10 scancel --full --user="$(id -un)" 2>/dev/null || true
    # Steps hold files below the folder until their nodes have ended them.
    for _ in $(seq 200); do
      [ -z "$(SLURM_CONF=$conf timeout 5 squeue --noheader --states=running,completing 2>/dev/null)" ] && break
      sleep 0.1
    done
  fi
  for daemon in slurmd slurmctld munged; do end_daemon "$daemon"; done
}

free_ports() {
  python3 - "$1" <<'PY'
import socket
import sys

held = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in held:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))
PY
}

configure() {
  local host user ports number
  host=$(hostname -s)
  user=$(id -un)
  read -r -a ports <<<"$(free_ports $((n_nodes + 1)))"
  cat >"$conf" <<CONF
ClusterName=virtual
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
# A job that is requeued waits as long as credentials are valid.
AuthInfo=socket=$folder/munge.socket,cred_expire=20
SlurmctldPidFile=$folder/pid/slurmctld.pid
SlurmdPidFile=$folder/pid/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
# Nodes share this machine: in one temporary folder their steps would find each other's files.
TmpFS=$folder/tmp/%n
# No cgroups, which not every user may make; memory beyond what was asked for is noticed by sampling.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# Nodes may have more processors and memory than this machine.
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=2
# How long squeue knows jobs that have ended.
MinJobAge=86400
# A node that was set down stays down until it is resumed.
ReturnToService=1
# Killed MPI programs leave files in /dev/shm that are named by job and step. Counted from 1 in every new cluster, another
# program would meet them and stop ("MPIDI_POSIX_comm_bootstrap: Out of memory").
FirstJobId=$((SRANDOM % 60000000 + 1))
SlurmctldTimeout=30
SlurmdTimeout=30
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
CONF
  for number in $(seq "$n_nodes"); do
    echo "NodeName=virtual$number NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[number]}" \
      "CPUs=$n_cpus RealMemory=$megabytes" >>"$conf"
  done
  echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=500" >>"$conf"
}

wrap_commands() {
  # A job's step clears SLURM_CONF, so the commands themselves have to know this cluster.
  local name
  mkdir -p "$folder/bin"
  for name in sbatch srun squeue sacct scancel scontrol sinfo; do
    printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$conf" "$(type -P "$name")" >"$folder/bin/$name"
    chmod +x "$folder/bin/$name"
  done
}

start() {
  local name number
  for name in slurmctld slurmd munged mungekey sbatch srun; do
    type -P "$name" >/dev/null || {
      echo "$name is missing: install Slurm and munge (Debian: slurmctld, slurmd, slurm-client, munge)" >&2
      exit 77
    }
  done
  if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    echo "$folder holds something already; name a new folder" >&2
    exit 2
  fi
  if [ ${#folder} -gt 64 ]; then
    echo "$folder is too long: paths of Slurm's sockets below it have to fit into 108 bytes; name a folder of 64 at most" >&2
    exit 2
  fi
  mkdir -p "$folder"/{pid,log,state,spool,tmp,munge}
  chmod 755 "$folder"
  chmod 700 "$folder/munge"
  trap 'stop' ERR
  mungekey --create --keyfile "$folder/munge/key"
  munged --force --key-file "$folder/munge/key" --socket "$folder/munge.socket" --seed-file "$folder/munge/seed" \
    --pid-file "$folder/pid/munged.pid" --log-file "$folder/log/munged.log"
  configure
  wrap_commands
  export SLURM_CONF=$conf
  slurmctld -c -f "$conf"
  for number in $(seq "$n_nodes"); do
    mkdir -p "$folder/spool/virtual$number" "$folder/tmp/virtual$number"
    slurmd -c -f "$conf" -N "virtual$number"
  done
  for _ in $(seq 200); do
    [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l)" = "$n_nodes" ] && return
    sleep 0.1
  done
  echo "the nodes did not come up; see $folder/log" >&2
  stop
  exit 1
}

start_controller() {
  SLURM_CONF=$conf slurmctld -f "$conf"
  for _ in $(seq 200); do
    SLURM_CONF=$conf timeout 5 scontrol ping 2>/dev/null | grep -q "is UP" && return
    sleep 0.1
  done
  echo "the controller did not come up; see $folder/log/slurmctld.log" >&2
  exit 1
}

export PATH=$PATH:/usr/sbin:/sbin
case $action in
start) start ;;
# It saves what it knows when it ends.
stop-controller) end_daemon slurmctld 60 ;;
start-controller) start_controller ;;
stop) stop ;;
*) usage ;;
esac
