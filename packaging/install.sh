#!/bin/bash
# What `make install` and `make uninstall` do. Nothing of the originals is touched: the programs that stand in
# for them live under their names in PREFIX/lib/holdfast, the units that use those in PREFIX/share/holdfast/units
# (docs/MIGRATE.md says how to put them in force and how to go back).
set -euo pipefail
cd "$(dirname "$0")/.."
verb="${1:?install or uninstall}"
DESTDIR="${DESTDIR:-}"
PREFIX="${PREFIX:-/usr}"
UNITDIR="${UNITDIR:-/lib/systemd/system}"
BINDIR="${BINDIR:-${CARGO_TARGET_DIR:-target}/release}"
# PROXYD= takes another proxyd, as that of `make dist`.
PROXYD="${PROXYD:-$BINDIR/proxyd}"

# put MODE SOURCE TARGET
put() {
	local to="$DESTDIR$3"
	if [ "$verb" = uninstall ]; then
		rm -f "$to"
		return
	fi
	install -d "$(dirname "$to")"
	sed_or_copy "$1" "$2" "$to"
}

sed_or_copy() {
	case "$2" in
	*.service) sed "s|@PREFIX@|$PREFIX|g" "$2" >"$3" && chmod "$1" "$3" ;;
	*) install -m "$1" "$2" "$3" ;;
	esac
}

link() {
	local to="$DESTDIR$2"
	rm -f "$to"
	[ "$verb" = uninstall ] && return
	install -d "$(dirname "$to")"
	ln -s "$1" "$to"
}

if [ "$verb" = install ]; then
	for program in "$PROXYD" "$BINDIR"/{vrrpd,checkd,keepalived,holdfast}; do
		[ -x "$program" ] || {
			echo "install: $program is missing: run \`make build\` first, as yourself" >&2
			exit 1
		}
	done
fi

put 755 "$PROXYD" "$PREFIX/sbin/proxyd"
for program in vrrpd checkd; do put 755 "$BINDIR/$program" "$PREFIX/sbin/$program"; done
put 755 "$BINDIR/holdfast" "$PREFIX/bin/holdfast"
put 755 "$BINDIR/keepalived" "$PREFIX/lib/holdfast/keepalived"
link ../../sbin/proxyd "$PREFIX/lib/holdfast/haproxy"
for unit in proxyd vrrpd checkd; do put 644 "packaging/systemd/$unit.service" "$UNITDIR/$unit.service"; done
for unit in haproxy keepalived; do
	put 644 "packaging/systemd/$unit.service" "$PREFIX/share/holdfast/units/$unit.service"
done
put 644 packaging/holdfast.tmpfiles "$PREFIX/lib/tmpfiles.d/holdfast.conf"
put 644 packaging/holdfast.sysusers "$PREFIX/lib/sysusers.d/holdfast.conf"
put 755 packaging/ocf/haproxy "$PREFIX/lib/ocf/resource.d/holdfast/haproxy"
for page in MIGRATE COMPATIBILITY BUS; do
	[ ! -e "docs/$page.md" ] || put 644 "docs/$page.md" "$PREFIX/share/doc/holdfast/$page.md"
done
for example in docs/examples/pair/*; do
	put 644 "$example" "$PREFIX/share/doc/holdfast/examples/pair/$(basename "$example")"
done
if [ "$verb" = uninstall ]; then
	for dir in lib/holdfast lib/ocf/resource.d/holdfast share/holdfast/units share/holdfast \
		share/doc/holdfast/examples/pair share/doc/holdfast/examples share/doc/holdfast; do
		rmdir "$DESTDIR$PREFIX/$dir" 2>/dev/null || true
	done
	if [ -z "$DESTDIR" ]; then
		# A daemon that gave up root can't take its socket away.
		rm -f /run/holdfast/{proxyd,vrrpd,checkd}.sock
		rmdir /run/holdfast 2>/dev/null || true
		[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
	fi
elif [ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ]; then
	! command -v systemd-sysusers >/dev/null || systemd-sysusers "$PREFIX/lib/sysusers.d/holdfast.conf" || true
	! command -v systemd-tmpfiles >/dev/null || systemd-tmpfiles --create "$PREFIX/lib/tmpfiles.d/holdfast.conf" || true
	[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
fi
