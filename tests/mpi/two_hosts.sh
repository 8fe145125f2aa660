#!/bin/sh
# Two hosts on one machine, for soaks: network namespaces joined by a veth pair, with what tc does to the link between
# them. Needs root, iproute2 and Open MPI.
#
#   sh tests/mpi/two_hosts.sh up | down | cut | mend
#   sh tests/mpi/two_hosts.sh shape delay 10ms loss 1%
#   sh tests/mpi/two_hosts.sh train FLAGS...            two ranks, one on each host
set -eu
here=$(cd "$(dirname "$0")" && pwd)
case $1 in
  up)
    for i in 1 2; do ip netns add mneme$i; ip -n mneme$i link set lo up; done
    ip link add mneme-a netns mneme1 type veth peer name mneme-b netns mneme2
    ip -n mneme1 addr add 10.98.0.1/24 dev mneme-a; ip -n mneme1 link set mneme-a up
    ip -n mneme2 addr add 10.98.0.2/24 dev mneme-b; ip -n mneme2 link set mneme-b up ;;
  down) for i in 1 2; do ip netns del mneme$i; done ;;
  cut) ip -n mneme1 link set mneme-a down ;;
  mend) ip -n mneme1 link set mneme-a up ;;
  shape)
    shift
    ip netns exec mneme1 tc qdisc replace dev mneme-a root netem "$@"
    ip netns exec mneme2 tc qdisc replace dev mneme-b root netem "$@" ;;
  agent) # in place of ssh: [-options] HOST COMMAND...
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    name=mneme${1##*.}; shift
    exec ip netns exec "$name" unshare -u sh -c "hostname $name; $*" ;;
  train)
    shift
    agent=$(mktemp); printf '#!/bin/sh\nexec sh %s/two_hosts.sh agent "$@"\n' "$here" > "$agent"; chmod +x "$agent"
    trap 'rm -f "$agent"' EXIT
    ip netns exec mneme1 unshare -u sh -c 'hostname mneme1; exec "$@"' sh mpirun --allow-run-as-root --prefix /usr -n 2 \
      --host 10.98.0.1:1,10.98.0.2:1 --bind-to none --mca plm_rsh_agent "$agent" --mca mpi_yield_when_idle 1 \
      --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include 10.98.0.0/24 --mca oob_tcp_if_include 10.98.0.0/24 \
      -wdir "$PWD" -x PATH deno run --quiet --no-check --allow-read --allow-write=.scratch,runs \
      --allow-env=NODEVICE_SELECT,MNEME_MPI --allow-ffi "$here/../../cli/mpi/main.ts" train "$@" ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
