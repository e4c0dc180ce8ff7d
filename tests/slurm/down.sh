#!/usr/bin/env bash
# Stop what up.sh started, with all of its jobs, and remove its state: down.sh FOLDER
set -uo pipefail
folder=$(realpath "${1:?where its state is}")
export SLURM_CONF=$folder/slurm.conf
scancel --full --signal=KILL --user="$(id -un)" 2>/dev/null
scancel --user="$(id -un)" 2>/dev/null
for _ in $(seq 100); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
for name in slurmd slurmctld slurmdbd database munge; do
  process=$(cat "$folder/$name.pid" 2>/dev/null) && kill "$process" && tail --pid="$process" -f /dev/null
done
rm -rf "$folder"
