#!/bin/bash
# clients.sh [PROXYD]: programs that people point at HAProxy, against Debian's haproxy and against proxyd.
#
# Each program runs on both with the same configuration and traffic; its output, without what changes from run to
# run, must be the same. A program that is not installed is skipped with a line. Exit status: 0 when nothing differs.
#
# Debian: hatop socat tmux haproxy (halog) lnav monitoring-plugins-contrib prometheus (promtool)
#         prometheus-haproxy-exporter; Python: haproxyadmin haproxytool haproxy-cli (VENV names where, if set).
set -u
OURS=${1:-$(dirname "$0")/../target/debug/proxyd}
THEIRS=$(command -v haproxy || echo /usr/sbin/haproxy)
[ -x "$THEIRS" ] || { echo "skipped: Debian's haproxy is not installed"; exit 0; }
[ -n "${VENV:-}" ] && PATH="$VENV/bin:$PATH"
unset NOTIFY_SOCKET
export HOLDFAST_DIR=
DIR=$(mktemp -d) || exit 2
PIDS=()
trap 'for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$DIR"' EXIT
failed=0

# Four ports that nobody has at the moment.
ports() {
  python3 - "$1" <<'PY'
import socket,sys
s=[socket.socket() for _ in range(int(sys.argv[1]))]
for x in s: x.bind(('127.0.0.1',0))
print(*[x.getsockname()[1] for x in s])
PY
}
read -r ORIGIN <<<"$(ports 1)"
(cd "$DIR" && echo hello > index.html && exec python3 -m http.server --bind 127.0.0.1 "$ORIGIN" >/dev/null 2>&1) & PIDS+=($!)

start() { # NAME PROGRAM
  local d=$DIR/$1 p1 p2 p3
  mkdir -p "$d/sock"; ln -s "$(readlink -f "$2")" "$d/haproxy"
  read -r p1 p2 p3 <<<"$(ports 3)"
  echo "$p1 $p2" > "$d/ports"
  cat > "$d/cfg" <<CFG
global
 stats socket $d/sock/haproxy.sock level admin
 log 127.0.0.1:$p3 local0
 nbthread 1
 maxconn 200
defaults
 mode http
 log global
 option httplog
 timeout client 5s
 timeout server 5s
 timeout connect 1s
frontend web
 bind 127.0.0.1:$p1
 default_backend app
backend app
 server s1 127.0.0.1:$ORIGIN weight 10
 server s2 127.0.0.1:$ORIGIN weight 10
listen stats
 bind 127.0.0.1:$p2
 http-request use-service prometheus-exporter if { path /metrics }
 stats enable
 stats uri /stats
 option dontlog-normal
CFG
  python3 - "$p3" > "$d/raw.log" <<'PY' & PIDS+=($!)
import socket,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('127.0.0.1',int(sys.argv[1])))
print('log ready',flush=True)
while True: print(s.recv(9999).decode().split('>',1)[-1].strip(),flush=True)
PY
  for _ in $(seq 100); do [ -s "$d/raw.log" ] && break; sleep 0.1; done
  "$d/haproxy" -db -f "$d/cfg" > "$d/out" 2>&1 & PIDS+=($!)
  for _ in $(seq 100); do [ -S "$d/sock/haproxy.sock" ] && (echo > "/dev/tcp/127.0.0.1/$p1") 2>/dev/null && break; sleep 0.1; done
  for path in / /index.html /missing / / /missing; do curl -s -o /dev/null "http://127.0.0.1:$p1$path"; done
  sleep 0.3
  # As syslog would have written it.
  sed -e 1d -e 's/^\(... .. ..:..:..\) /\1 localhost /' "$d/raw.log" > "$d/haproxy.log"
}
start theirs "$THEIRS"
start ours "$OURS"

normal() { # what changes from run to run
  sed -E -e "s#$DIR/(ours|theirs)#DIR#g" -e 's/\b[0-9]+(\.[0-9]+)? ?(ms|us|s)\b/T/g' -e 's/2\.6\.12[-+~.a-z0-9]*/VERSION/g' \
    -e 's/[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}/DATE/g' -e 's/[0-9]{2}:[0-9]{2}:[0-9]{2}/TIME/g' -e 's/\b[pP]id[^0-9]*[0-9]+/pid N/g'
}
# compare NAME COMMAND: the command runs with D (directory), S (socket), P (web port), Q (stats port).
compare() {
  local name=$1 cmd=$2 who
  for who in theirs ours; do
    D=$DIR/$who; S=$D/sock/haproxy.sock; read -r P Q < "$D/ports"
    export D S P Q
    timeout 30 bash -c "$cmd" 2>&1 | sed -e "s/:$P\b/:PORT/g; s/:$Q\b/:PORT2/g" | normal > "$DIR/$name.$who"
  done
  if [ ! -s "$DIR/$name.theirs" ]; then echo "FAIL  $name: the original gives nothing"; failed=1
  elif diff "$DIR/$name.theirs" "$DIR/$name.ours" > "$DIR/$name.diff"; then echo "same  $name ($(wc -l < "$DIR/$name.ours") lines)"
  else echo "DIFF  $name"; head -${LINES_SHOWN:-12} "$DIR/$name.diff" | cut -c1-200; failed=1; fi
}
need() { # PROGRAM…
  for p in "$@"; do command -v "$p" >/dev/null || { echo "skip  $1: $p is not installed"; return 1; }; done
}

if need socat; then
  compare socat 'for c in "show backend" "show servers state app" "get weight app/s1" "show cli sockets" "show errors"; do echo "$c" | socat - "UNIX-CONNECT:$S"; done | sed -E "s/\[.*\]/[]/; s/^([0-9]+ app .* 10 10) [0-9]+/\1 N/"'
  compare socat-prompt 'printf "prompt\nshow backend\nget weight app/s2\nquit\n" | socat -t2 - "UNIX-CONNECT:$S"'
fi
if need haproxytool; then
  compare haproxytool-frontend 'haproxytool frontend -D "$D/sock" -l; haproxytool frontend -D "$D/sock" -r; haproxytool frontend -D "$D/sock" -s'
  compare haproxytool-pool 'haproxytool pool -D "$D/sock" -l; haproxytool pool -D "$D/sock" -S'
  compare haproxytool-server 'haproxytool server -D "$D/sock" -l; haproxytool server -D "$D/sock" -s; haproxytool server -D "$D/sock" -w; haproxytool server -D "$D/sock" -d s1 --force; haproxytool server -D "$D/sock" -s; haproxytool server -D "$D/sock" -e s1; haproxytool server -D "$D/sock" -s'
fi
if need haproxy-cli; then
  compare haproxy-cli 'for c in frontends backends "servers -b app" "get-weight -b app -s s1" "set-weight -b app -s s1 -w 5" "get-weight -b app -s s1" "disable -b app -s s1" "servers -b app" "enable -b app -s s1" "servers -b app"; do haproxy-cli -k "$S" -c $c; done | sed -E "s/[0-9]+( |$)/N\1/g"'
fi
if need hatop tmux; then
  compare hatop 't=$(mktemp -u h.XXXX); tmux -L "$t" new-session -d -x 132 -y 40 "hatop -s $S"; sleep 2; for k in 1 2 3 4; do tmux -L "$t" send-keys $k; sleep 0.7; [ $k = 2 ] || tmux -L "$t" capture-pane -p; done | sed -E "/Node:|PID:|Tasks:|CPU:/d; s/ *[0-9]+[smhd]\b/ T/g; s/ +/ /g"; tmux -L "$t" kill-server'
  # Its keys on the first server of the backend, each until the socket tells of it.
  compare hatop-actions 'w() { for _ in $(seq 60); do r=$(echo "show stat app 4 1" | socat - "UNIX-CONNECT:$S" | cut -d, -f1,2,18,19 | grep s1); [ "$r" = "$1" ] && break; sleep 0.1; done; echo "$r"; }
t=$(mktemp -u h.XXXX); tmux -L "$t" new-session -d -x 132 -y 40 "hatop -s $S"; sleep 2
tmux -L "$t" send-keys Down Down Down Down; sleep 0.5
tmux -L "$t" send-keys F10; w "app,s1,MAINT,10"; tmux -L "$t" send-keys F9; w "app,s1,no check,10"
tmux -L "$t" send-keys F7; w "app,s1,no check,11"; tmux -L "$t" send-keys F4; w "app,s1,no check,10"
tmux -L "$t" kill-server'
fi
if need prometheus-haproxy-exporter; then
  compare prometheus-haproxy-exporter 'read -r e < <(python3 -c "import socket;s=socket.socket();s.bind((\"127.0.0.1\",0));print(s.getsockname()[1])"); prometheus-haproxy-exporter --web.listen-address=127.0.0.1:$e --haproxy.scrape-uri=unix:$S >/dev/null 2>&1 & x=$!; sleep 1.5; curl -s http://127.0.0.1:$e/metrics | grep ^haproxy_ | sed -E "s/(_(seconds|bytes|total|rate|current_[a-z]*|max_[a-z]*)[^ ]*) .*/\1 N/"; kill $x'
fi
if [ -x /usr/lib/nagios/plugins/check_haproxy_stats ]; then
  compare check_haproxy_stats '/usr/lib/nagios/plugins/check_haproxy_stats -s "$S"; echo "exit $?"'
else echo "skip  check_haproxy_stats: monitoring-plugins-contrib is not installed"; fi
if need halog; then
  compare halog 'for o in -srv -st -u -tc; do echo "$o"; halog -q $o < "$D/haproxy.log" | sed -E "s/ +[0-9]+(\.[0-9]+)?/ N/g" ; done; halog -H -q -c < "$D/haproxy.log"'
fi
if need lnav; then
  compare lnav 'HOME=$D lnav -n -c ";select count(*), sum(sc_status=404) from haproxy_log" "$D/haproxy.log"'
fi
if need promtool curl; then
  compare promtool 'curl -s "http://127.0.0.1:$Q/metrics" | promtool check metrics; echo "exit $?"'
  compare promex-names 'curl -s "http://127.0.0.1:$Q/metrics" | grep "^#"'
fi
compare csv-header 'curl -s "http://127.0.0.1:$Q/stats;csv" | head -1'
compare stats-json 'curl -s "http://127.0.0.1:$Q/stats;json" | python3 -c "import json,sys
for row in json.load(sys.stdin):
    for c in row: print(c[\"objType\"],c[\"field\"],c[\"tags\"],c[\"value\"][\"type\"])"'
exit $failed
