#!/usr/bin/env bash
# Start a SLURM with accounting on this machine, everything below one folder and under one user: up.sh FOLDER
# Debian: apt-get install --no-install-recommends munge slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin mariadb-server
set -euo pipefail
folder=$(realpath -m "${1:?where to keep its state}")
port=${2:-27810} # and the three after it
export SLURM_CONF=$folder/slurm.conf
host=$(hostname -s) me=$(id -un)
for program in munged slurmctld slurmd slurmdbd mariadbd; do
  command -v $program >/dev/null || { echo "$program: not installed; tests/slurm/up.sh names the packages" >&2; exit 1; }
done
mkdir -m 700 "$folder"
mkdir "$folder"/{munge,state,spool,database}

# until COMMAND: wait until it succeeds.
until_ok() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "failed: $* (logs in $folder)" >&2; exit 1; }
    sleep 0.1
  done
}

cat >"$SLURM_CONF" <<END
ClusterName=prdp
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
AuthInfo=socket=$folder/munge/socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=5,batch_sched_delay=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$folder/munge/socket
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
# A pretended GPU: enough to see that jobs which ask for one are accepted and started.
echo "Name=gpu File=/dev/null" >"$folder/gres.conf"
cat >"$folder/slurmdbd.conf" <<END
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=$me
AuthInfo=socket=$folder/munge/socket
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageUser=slurm
StoragePass=slurm
END
chmod 600 "$folder/slurmdbd.conf"

head -c 128 /dev/urandom >"$folder/munge/key"
chmod 400 "$folder/munge/key"
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge.pid" \
  --log-file="$folder/munge.log" --seed-file="$folder/munge/seed" 2>/dev/null

database=(mariadb --no-defaults --socket="$folder/database/socket" --user="$me")
mariadb-install-db --no-defaults --user="$me" --datadir="$folder/database" --auth-root-authentication-method=socket \
  --auth-root-socket-user="$me" --skip-test-db >"$folder/database.log" 2>&1
setsid mariadbd --no-defaults --user="$me" --datadir="$folder/database" --socket="$folder/database/socket" \
  --bind-address=127.0.0.1 --port=$((port + 3)) --pid-file="$folder/database.pid" --innodb-buffer-pool-size=32M \
  >>"$folder/database.log" 2>&1 </dev/null &
until_ok "${database[@]}" -e "select 1"
for where in 127.0.0.1 localhost; do
  "${database[@]}" -e "create user slurm@'$where' identified by 'slurm'; grant all on slurm_acct_db.* to slurm@'$where'"
done

slurmdbd
until_ok sacctmgr -n show cluster
sacctmgr -i add cluster prdp >/dev/null
slurmctld
slurmd
idle() { [ "$(sinfo -h -o %T)" = idle ]; }
until_ok idle
