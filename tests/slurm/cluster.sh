#!/usr/bin/env bash
# A real Slurm of two nodes on this one machine, for the tests. Needs root (Slurm's daemons start jobs as their
# users) and either Slurm and munge, or apt-get to install them.
#   tests/slurm/cluster.sh start    then: export SLURM_CONF=<what it prints>
#   tests/slurm/cluster.sh stop | status
# SLURM_TEST_DIR: where configuration, sockets, state and logs go.
set -euo pipefail

dir=${SLURM_TEST_DIR:-/tmp/rivergrad-slurm}
conf=$dir/slurm.conf
nodes=2 cpus=4
export PATH=$PATH:/usr/sbin:/sbin

give_up() { echo "$0: no Slurm here: $1" >&2; exit 3; }

install() {
  local missing=0 program
  for program in slurmctld slurmd sbatch munged; do
    command -v "$program" >/dev/null || missing=1
  done
  [ "$missing" = 1 ] || return 0
  command -v apt-get >/dev/null || give_up "slurmctld, slurmd, sbatch or munged is missing, and so is apt-get"
  apt-get update -qq >&2 || give_up "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge >&2 || give_up "apt-get could not install Slurm and munge"
}

configure() {
  local host memory node
  host=$(hostname -s)
  memory=$(awk -v n="$nodes" '/MemTotal/ {print int($2 / 1024 * 0.9 / n)}' /proc/meminfo)
  mkdir -p "$dir"/{state,log,munge}
  chmod 755 "$dir" "$dir/munge"
  cat >"$conf" <<CONF
ClusterName=rivergrad
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# after requeueing itself a job waits until its old credential has expired: 10 s instead of 120
AuthInfo=socket=$dir/munge/socket,cred_expire=10
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
# CPUs and memory as written below, whatever the machine has
SlurmdParameters=config_overrides
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
SlurmctldPort=16817
KillWait=30
MinJobAge=300
CONF
  for node in $(seq "$nodes"); do
    mkdir -p "$dir/spool.n$node"
    echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17000 + node)) CPUs=$cpus" \
      "RealMemory=$memory State=UNKNOWN" >>"$conf"
  done
  echo "PartitionName=test Nodes=n[1-$nodes] Default=YES MaxTime=01:00:00 State=UP" >>"$conf"
}

idle() { SLURM_CONF=$conf sinfo -h -N -o %t 2>/dev/null | grep -cx idle || true; }

start() {
  [ "$(id -u)" = 0 ] || give_up "starting it needs root"
  install
  if SLURM_CONF=$conf sinfo -h >/dev/null 2>&1; then echo "$conf"; return; fi
  configure
  chown -R munge: "$dir/munge"
  if ! [ -s /etc/munge/munge.key ]; then
    dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 2>/dev/null
    chown munge: /etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
  fi
  runuser -u munge -- munged --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" >&2 || give_up "munged did not start"
  slurmctld -f "$conf" -c >&2 || give_up "slurmctld did not start, see $dir/log"
  local node
  for node in $(seq "$nodes"); do
    slurmd -f "$conf" -N "n$node" -c >&2 || give_up "slurmd did not start, see $dir/log"
  done
  for _ in $(seq 120); do
    if [ "$(idle)" = "$nodes" ]; then echo "$conf"; return; fi
    sleep 0.5
  done
  give_up "its $nodes nodes did not become idle within a minute, see $dir/log"
}

stop() { # only what start began, by its pid files
  local file
  for file in "$dir"/slurmd.n*.pid "$dir/slurmctld.pid" "$dir/munge/pid"; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  status) SLURM_CONF=$conf sinfo -N -o '%N %t %c %m' ;;
  *) echo "usage: $0 start | stop | status" >&2; exit 2 ;;
esac
