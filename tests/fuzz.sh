#!/bin/bash
# fuzz.sh SECONDS [TARGET…]: runs each fuzz target for that long and prints how many inputs it tried; stops at a finding.
set -euo pipefail
cd "$(dirname "$0")/fuzz"
CARGO="${CARGO:-cargo}"
seconds="$1"
shift
"$CARGO" fuzz --version >/dev/null 2>&1 || { echo "fuzz: needs cargo-fuzz (cargo install cargo-fuzz)"; exit 1; }
# cargo-fuzz asks for flags that only a nightly compiler takes, or a stable one that is told to.
export RUSTC_BOOTSTRAP=1
[ "$#" -gt 0 ] || mapfile -t targets < <("$CARGO" fuzz list)
[ "$#" -eq 0 ] || targets=("$@")

"$CARGO" fuzz build --sanitizer none
for target in "${targets[@]}"; do
	mkdir -p "corpus/$target" "seeds/$target"
	log="$(mktemp)"
	# The first folder grows; the seeds are only read.
	if ! "$CARGO" fuzz run --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
		-max_total_time="$seconds" -timeout=120 -print_final_stats=1 >"$log" 2>&1; then
		tail -n 40 "$log"
		echo "fuzz: $target: a finding, kept in tests/fuzz/artifacts/$target"
		exit 1
	fi
	echo "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, no finding"
	rm -f "$log"
done
