#!/usr/bin/env bash
# make dist: proxyd as packages ship it. It is built twice: first with counters, under the traffic of
# `make bench`; then laid out by what those counted (profile-guided optimisation); what that gives stands in docs/PERFORMANCE.md.
#
# Needs rustup's component llvm-tools and what `make bench` needs but HAProxy; without them proxyd is built once, in
# target/dist, which is told. The last line printed is the program's path.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
plain() {
	echo "$1: built without a profile" >&2
	"$cargo" build -q --profile dist -p proxyd
	echo "${CARGO_TARGET_DIR:-target}/dist/proxyd"
	exit 0
}
merge=$(find "$(rustc --print sysroot)" -name llvm-profdata -perm -u+x | head -n 1)
[ -n "$merge" ] || plain "no llvm-profdata (rustup component add llvm-tools)"
for tool in wrk nginx taskset; do command -v "$tool" >/dev/null || plain "no $tool to make traffic with"; done
guided=$(realpath -m "${CARGO_TARGET_DIR:-target}/guided")
counts=$guided/counts
# With a target named, flags are for the program alone and not for what runs while it is built.
target=$(rustc -vV | sed -n 's/^host: //p')
rm -rf "$counts"
mkdir -p "$counts"

RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate=$counts" CARGO_TARGET_DIR=$guided \
	"$cargo" build -q --profile dist --target "$target" -p proxyd
LLVM_PROFILE_FILE="$counts/%p-%m.profraw" TRAIN=1 PROXYD=$guided/$target/dist/proxyd tests/bench.sh >&2
"$merge" merge -o "$guided/proxyd.profdata" "$counts"/*.profraw
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-use=$guided/proxyd.profdata" CARGO_TARGET_DIR=$guided \
	"$cargo" build -q --profile dist --target "$target" -p proxyd
echo "$guided/$target/dist/proxyd"
