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

if [ "$(id -u)" = 0 ]; then
	exec "$demo"
elif unshare -Urnmpf --mount-proc true 2>/dev/null; then
	exec unshare -Ur "$demo"
elif sudo -n true 2>/dev/null; then
	echo "demo: user namespaces are off here, so it runs with sudo"
	exec sudo -n --preserve-env=KEEP,HAPROXY,KEEPALIVED,HAPROXY_CFG,KEEPALIVED_CONF "$demo"
fi
echo "demo: user namespaces are off here; run it as root: sudo make demo"
exit 1
