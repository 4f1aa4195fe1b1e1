#!/bin/bash
# What `make lint` runs: formatting of every file, clippy with warnings as errors, licences and duplicates.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO="${CARGO:-cargo}"

git ls-files -z '*.rs' | xargs -0 rustfmt --check
"$CARGO" clippy --workspace --all-targets --locked -- -D warnings
if "$CARGO" deny --version >/dev/null 2>&1; then
	deny() { "$CARGO" deny --locked --config .cargo/deny.toml "$@"; }
	deny --offline check licenses bans sources
	# Advisories stand in a database that is fetched each time.
	if [ -n "${LINT_ADVISORIES:-}" ]; then
		deny check advisories
	else
		echo "lint: advisories were not checked (LINT_ADVISORIES=1 does, with a network)"
	fi
else
	echo "lint: cargo-deny is not installed, licences and duplicates were not checked"
fi
