#!/bin/bash
# Installs the Debian packages that the tests use, or with `demo` those few that the demonstration needs: as root with
# apt, else says what is missing. Never fails: a test whose program is missing says so itself and is listed at the end.
set -u
export DEBIAN_FRONTEND=noninteractive

# program:package; a program that is there needs no package
NEEDED="ip:iproute2 nsenter:util-linux ps:procps"
WANTED="$NEEDED cc:gcc nft:nftables killall:psmisc curl:curl socat:socat
haproxy:haproxy keepalived:keepalived tshark:tshark python3:python3 openssl:openssl
ping:iputils-ping"
# What the emulated machine with ip_vs is made of.
WANTED="$WANTED qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio depmod:kmod lz4:lz4 xz:xz-utils
ipvsadm:ipvsadm"
[ "${1:-}" = demo ] && WANTED="$NEEDED"

missing=""
for pair in $WANTED; do
	PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -e /usr/lib/frr/vrrpd ] || [ "${1:-}" = demo ] || missing="$missing frr"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "prepare: not root, so not installed:$missing (tests that need them are skipped)"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "prepare: no apt here, so not installed:$missing (tests that need them are skipped)"
	exit 0
fi

# The packages bring services; the tests start programs themselves, so none is started here.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
echo "prepare: installing$missing"
log="$(mktemp)"
install() { apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1; }
# shellcheck disable=SC2086  # a list of packages
if ! install $missing; then
	apt-get update -qq >/dev/null 2>&1
	# One by one, so that one that can't be had does not keep the others away.
	for package in $missing; do
		install "$package" || echo "prepare: $package can't be installed: $(tail -n 1 "$log")"
	done
fi
rm -f "$log"
exit 0
