#!/bin/bash
# What `make lint` runs: formatting of every file, clippy with warnings as errors, licences and duplicates.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO="${CARGO:-cargo}"

git ls-files -z '*.rs' | xargs -0 rustfmt --check
"$CARGO" clippy --workspace --all-targets --locked -- -D warnings
if "$CARGO" deny --version >/dev/null 2>&1; then
	"$CARGO" deny --locked check --config .cargo/deny.toml
else
	echo "lint: cargo-deny is not installed, licences and duplicates were not checked"
fi
