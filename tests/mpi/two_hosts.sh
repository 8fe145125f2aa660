#!/bin/sh
# Two hosts on one machine, for soaks: network namespaces with a link between them. Needs root, iproute2 and Open MPI;
# for a link that delays and loses, also a kernel with netem, or /dev/net/tun and python3.
#
#   sh tests/mpi/two_hosts.sh up                        joined by a veth pair
#   sh tests/mpi/two_hosts.sh up 10 1                   each way takes 10 ms and loses 1% of the frames
#   sh tests/mpi/two_hosts.sh cut | mend | down         down also ends what runs on the hosts
#   sh tests/mpi/two_hosts.sh ping 500                  round trips, and how many are lost
#   sh tests/mpi/two_hosts.sh train FLAGS...            two ranks, one on each host
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pid=/run/mneme-link.pid # of link.py, where that is the link

fail() { echo "two_hosts.sh: $*" >&2; exit 1; }

# Has a device on each host: of link.py, if delay and loss are given and the kernel has no netem.
join() {
  if [ $# -gt 0 ] && ! has_netem; then
    [ -c /dev/net/tun ] || fail "a link with delay and loss needs a kernel with netem, or /dev/net/tun"
    command -v python3 > /dev/null || fail "a link with delay and loss needs a kernel with netem, or python3"
    setsid nice -n -10 python3 "$here/link.py" mneme1:mneme-a mneme2:mneme-b --delay "$1" --loss "$2" > /dev/null 2>&1 &
    echo $! > $pid
    for _ in $(seq 100); do
      if ip -n mneme2 link show mneme-b > /dev/null 2>&1; then return; fi
      sleep 0.1
    done
    fail "link.py makes no devices"
  fi
  ip link add mneme-a netns mneme1 type veth peer name mneme-b netns mneme2
  if [ $# -gt 0 ]; then
    for end in 1:a 2:b; do
      ip netns exec "mneme${end%:*}" tc qdisc replace dev "mneme-${end#*:}" root netem delay "${1}ms" loss "$2%"
    done
  fi
}

has_netem() { ip netns exec mneme1 tc qdisc replace dev lo root netem delay 0 2> /dev/null &&
  ip netns exec mneme1 tc qdisc del dev lo root; }

# Nothing, if there are no hosts.
down() {
  for i in 1 2; do
    [ -e /run/netns/mneme$i ] || continue
    # Deno and Open MPI end at once when they get a second signal; a process may also be gone by now.
    for signal in TERM KILL; do
      ip netns pids mneme$i | while read -r process; do kill -$signal "$process" 2> /dev/null || true; done
      [ "$signal" = KILL ] || [ -z "$(ip netns pids mneme$i)" ] || sleep 2
    done
    ip netns del mneme$i
  done
  # The link ends with them, unless it was never made.
  if [ -e $pid ]; then kill "$(cat $pid)" 2> /dev/null || true; rm -f $pid; fi
}

link() { # cut | mend
  if [ "$1" = cut ]; then signal=USR1 state=down; else signal=USR2 state=up; fi
  if [ -e $pid ]; then kill -$signal "$(cat $pid)"; else ip -n mneme1 link set mneme-a $state; fi
}

[ $# -gt 0 ] || { sed -n '2,9p' "$0"; exit 2; }
[ "$(id -u)" = 0 ] || fail "namespaces need root"
command -v ip > /dev/null || fail "there is no ip: install iproute2"
case $1 in
  up)
    shift
    [ ! -e /run/netns/mneme1 ] || fail "the hosts are up: end them with down"
    trap 'down' EXIT
    for i in 1 2; do ip netns add mneme$i; ip -n mneme$i link set lo up; done
    join "$@"
    ip -n mneme1 addr add 10.98.0.1/24 dev mneme-a; ip -n mneme1 link set mneme-a up
    ip -n mneme2 addr add 10.98.0.2/24 dev mneme-b; ip -n mneme2 link set mneme-b up
    trap - EXIT ;;
  down) down ;;
  cut | mend) link "$1" ;;
  ping) ip netns exec mneme1 ping -q -c "$2" -i 0.02 10.98.0.2 ;;
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
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
