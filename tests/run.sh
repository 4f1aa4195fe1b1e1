#!/bin/bash
# What `make test` and CI run: packages, build, all tests, and at the end what was skipped and the line counts.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO="${CARGO:-cargo}"
exec </dev/null

tests/prepare.sh

# Whole daemons run in namespaces. Root makes them; anybody else gets a user namespace where they are allowed.
as_root=()
if [ "$(id -u)" != 0 ]; then
	if unshare -Urnmpf --mount-proc true 2>/dev/null; then
		as_root=(unshare -Ur)
	else
		echo "run: neither root nor user namespaces: tests of whole daemons are skipped"
	fi
fi

HOLDFAST_SKIPPED="$(mktemp)"
export HOLDFAST_SKIPPED
trap 'rm -f "$HOLDFAST_SKIPPED"' EXIT

"$CARGO" build --workspace --bins --locked
status=0
if "$CARGO" nextest --version >/dev/null 2>&1; then
	"${as_root[@]}" "$CARGO" nextest run --workspace --locked --no-fail-fast "$@" || status=$?
	"${as_root[@]}" "$CARGO" test --workspace --locked --doc --quiet || status=$?
else
	"${as_root[@]}" "$CARGO" test --workspace --locked --no-fail-fast "$@" || status=$?
fi

if [ -s "$HOLDFAST_SKIPPED" ]; then
	echo "Not run here:"
	sort "$HOLDFAST_SKIPPED" | uniq -c | sed 's/^ */  /'
fi
exit "$status"
