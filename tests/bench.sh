#!/usr/bin/env bash
# make bench: proxyd beside HAProxy in one run, by CPU time per request.
#
# Each proxy runs alone on CPU 0 with one thread; load (wrk) and origin (nginx) share CPU 1. Rounds alternate between
# the proxies, the figure is the median. What counts is the CPU time of the proxy's process for each good answer
# (user + system, from /proc), since that does not depend on how fast the load can be made. A run in which any
# answer was wrong ends with an error.
#
# NEWER may name a second HAProxy; the ratio is to the better of the two. Unless PROXYD says otherwise it is the program that
# `make dist` makes. TRAIN=1 runs every scenario once with PROXYD alone, for the counters in it.
#
# The rows tls (keep-alive over TLS), shake (a full handshake per request), h2 and h2tls (16 connections with 32 streams
# each) need openssl and h2load as well; without them they are left out.
#
#   ROUNDS=3 SECONDS_EACH=3 HAPROXY=/usr/sbin/haproxy NEWER=/opt/haproxy/sbin/haproxy PROXYD=target/release/proxyd \
#     SCENARIOS="small small256 64k 1m chunked close upload tcp bulk tls shake h2 h2tls" tests/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
ROUNDS=${ROUNDS:-3} EACH=${SECONDS_EACH:-3}
secure="" multiplexed=""
! command -v openssl >/dev/null || secure="tls shake"
! command -v h2load >/dev/null || multiplexed="h2 ${secure:+h2tls}"
SCENARIOS=${SCENARIOS:-small small256 64k 1m chunked close upload tcp bulk $secure $multiplexed}
HAPROXY=${HAPROXY:-$(command -v haproxy || true)}
NEWER=${NEWER:-}
PROXYD=${PROXYD:-}
TRAIN=${TRAIN:-}
stop=TERM
[ -z "$TRAIN" ] || stop=USR1
for tool in wrk nginx taskset; do
  command -v "$tool" >/dev/null || { echo "make bench needs $tool (Debian: wrk nginx-light util-linux)"; exit 2; }
done
[ -n "$HAPROXY$TRAIN" ] || { echo "make bench needs haproxy to compare with"; exit 2; }
[ -n "$PROXYD" ] || PROXYD=$(packaging/dist.sh | tail -n 1)
PROXYD=$(readlink -f "$PROXYD")
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-bench.XXXXXX")
chmod 755 "$work"
pids=()
cleanup() { for p in "${pids[@]:-}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT

port() { python3 -c 'import socket;s=socket.socket();s.bind(("127.0.0.1",0));print(s.getsockname()[1])'; }
origin=$(port)
mkdir -p "$work/www" "$work/tmp"
head -c 128 /dev/urandom | base64 -w0 | head -c 128 >"$work/www/small"
head -c 65536 /dev/zero | tr '\0' a >"$work/www/64k"
head -c 1048576 /dev/zero | tr '\0' a >"$work/www/1m"
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on; client_max_body_size 10m;
  client_body_buffer_size 1m; client_body_temp_path $work/tmp; proxy_temp_path $work/tmp; fastcgi_temp_path $work/tmp;
  uwsgi_temp_path $work/tmp; scgi_temp_path $work/tmp;
  server {
    listen 127.0.0.1:$origin backlog=4096; root $work/www;
    # A filter that may change the content makes nginx send it in chunks.
    location = /chunked { alias $work/www/64k; ssi on; ssi_types *; }
    location = /sink { return 200 ok; }
  }
}
CONF
taskset -c 1 nginx -c "$work/nginx.conf" >/dev/null 2>&1 & pids+=($!)
cat >"$work/upload.lua" <<'LUA'
wrk.method = "POST"
wrk.body = string.rep("a", 65536)
LUA

if [ -n "$secure" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -keyout "$work/key" -out "$work/crt" 2>/dev/null
  cat "$work/crt" "$work/key" >"$work/pem"
fi

config() { # ports: http, tcp, tls, h2
  cat <<CFG
global
    nbthread 1
    maxconn 4000
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend www
    mode http
    bind 127.0.0.1:$1
    ${secure:+bind 127.0.0.1:$3 ssl crt $work/pem alpn h2,http/1.1}
    bind 127.0.0.1:$4 proto h2
    http-request set-header x-bench v1
    default_backend app
backend app
    mode http
    http-reuse always
    server o1 127.0.0.1:$origin
listen raw
    mode tcp
    bind 127.0.0.1:$2
    server o1 127.0.0.1:$origin
CFG
}

ticks() { # user + system time of a process and its threads, nanoseconds
  awk '{ total += $1 } END { print total + 0 }' /proc/"$1"/task/*/schedstat
}

seconds() { # scenario duration: how its load generator is told for how long
  case $1 in h2*) echo "--duration=$2" ;; *) echo "--duration=${2}s" ;; esac
}

# Prints nanoseconds of CPU per request of one run.
run() { # binary scenario
  local http raw tls h2 pid before after answers out load
  http=$(port); raw=$(port); tls=$(port); h2=$(port)
  config "$http" "$raw" "$tls" "$h2" >"$work/h.cfg"
  taskset -c 0 "$1" -db -f "$work/h.cfg" >"$work/proxy.log" 2>&1 & pid=$!; pids+=("$pid")
  for _ in $(seq 50); do curl -sf -o /dev/null "http://127.0.0.1:$http/small" && break; sleep 0.1; done
  local url="http://127.0.0.1:$http" connections=64 extra=()
  case $2 in
    small) url+=/small ;;
    small256) url+=/small connections=256 ;;
    64k) url+=/64k ;;
    1m) url+=/1m connections=16 ;;
    chunked) url+=/chunked ;;
    close) url+=/small; extra=(-H "Connection: close") ;;
    upload) url+=/sink connections=32; extra=(-s "$work/upload.lua") ;;
    tcp) url="http://127.0.0.1:$raw/small" ;;
    bulk) url="http://127.0.0.1:$raw/1m" connections=16 ;;
    tls) url="https://127.0.0.1:$tls/small" ;;
    shake) url="https://127.0.0.1:$tls/small" connections=8; extra=(-H "Connection: close") ;;
    h2) url="http://127.0.0.1:$h2/small" ;;
    h2tls) url="https://127.0.0.1:$tls/small" ;;
    *) echo "no such scenario: $2" >&2; exit 2 ;;
  esac
  load=(wrk -t1 -c"$connections" "${extra[@]}" "$url")
  [[ $2 != h2* ]] || load=(h2load -t1 -c16 -m32 "$url")
  taskset -c 1 "${load[@]}" "$(seconds "$2" 1)" >/dev/null
  before=$(ticks "$pid")
  out=$(taskset -c 1 "${load[@]}" "$(seconds "$2" "$EACH")")
  after=$(ticks "$pid")
  # Counters are written by a program that ends by itself, not by one that ends by a signal.
  kill -s "$stop" "$pid"; wait "$pid" 2>/dev/null || true
  if grep -Eq 'Non-2xx|[1-9][0-9]* (failed|errored)' <<<"$out"; then echo "wrong answers from $1 in $2: $out" >&2; exit 1; fi
  answers=$(awk '/requests in/ { print $1 } /^requests:/ { print $8 }' <<<"$out")
  echo $(((after - before) / answers))
}

median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

sleep 0.5
if [ -n "$TRAIN" ]; then
  for scenario in $SCENARIOS; do run "$PROXYD" "$scenario" >/dev/null; done
  exit
fi
"$HAPROXY" -v | sed -n 1p
[ -z "$NEWER" ] || "$NEWER" -v | sed -n 1p
"$PROXYD" -v | sed -n 1p
printf '%-10s %14s %14s %14s %8s\n' scenario 'haproxy us/req' 'newer us/req' 'proxyd us/req' ratio
for scenario in $SCENARIOS; do
  : >"$work/a"; : >"$work/b"; : >"$work/n"
  for ((round = 0; round < ROUNDS; round++)); do
    run "$HAPROXY" "$scenario" >>"$work/a"
    [ -z "$NEWER" ] || run "$NEWER" "$scenario" >>"$work/n"
    run "$PROXYD" "$scenario" >>"$work/b"
  done
  awk -v s="$scenario" -v a="$(median <"$work/a")" -v n="$(median <"$work/n")" -v b="$(median <"$work/b")" 'BEGIN {
    best = (n != "" && n + 0 < a + 0) ? n : a
    printf "%-10s %14.2f %14s %14.2f %8.2f\n", s, a / 1000, n == "" ? "-" : sprintf("%.2f", n / 1000), b / 1000, b / best
  }'
done
