#!/bin/bash
# `make demo`: builds, then runs the demonstration without root where user namespaces are allowed, else with root.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO="${CARGO:-cargo}"

for tool in ip nsenter unshare pgrep; do
	PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" >/dev/null && continue
	[ "$(id -u)" = 0 ] && tests/prepare.sh demo && break
	echo "demo: needs $tool (Debian packages iproute2, util-linux, procps)"
	exit 1
done
export PATH="$PATH:/usr/sbin:/sbin"

packages=(-p holdfast-tests -p holdfast)
[ -n "${HAPROXY:-}" ] || packages+=(-p proxyd)
[ -n "${KEEPALIVED:-}" ] || packages+=(-p keepalived)
"$CARGO" build --release --locked --bins "${packages[@]}"
demo="${CARGO_TARGET_DIR:-target}/release/holdfast-demo"

as_root=()
if [ "$(id -u)" = 0 ]; then
	:
elif unshare -Urnmpf --mount-proc true 2>/dev/null; then
	as_root=(unshare -Ur)
elif sudo -n true 2>/dev/null; then
	echo "demo: user namespaces are off here, so it runs with sudo"
	as_root=(sudo -n --preserve-env=KEEP,HAPROXY,KEEPALIVED,HAPROXY_CFG,KEEPALIVED_CONF,TMPDIR)
else
	echo "demo: user namespaces are off here; run it as root: sudo make demo"
	exit 1
fi

# Its hosts die with it, whatever ends it; its files go here, also after Ctrl-C in the middle.
TMPDIR="$(mktemp -d -t holdfast-demo-XXXXXX)"
export TMPDIR
tidy() {
	local try
	for try in 1 2 3 4 5; do
		"${as_root[@]}" rm -rf "$TMPDIR" 2>/dev/null && return
		sleep 0.2
	done
}
trap tidy EXIT
told=
trap 'told=1; "${as_root[@]}" kill "$pid" 2>/dev/null' INT TERM HUP
"${as_root[@]}" "$demo" &
pid=$!
status=0
wait "$pid" || status=$?
if [ -n "$told" ]; then
	# A signal ended the wait above, not yet what is waited for.
	wait "$pid" 2>/dev/null || status=$?
	echo "demo: ended; hosts and files are taken away"
fi
exit "$status"
