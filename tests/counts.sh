#!/bin/bash
# Lines of Rust by part: code and tests apart. A file counts as tests when it lies in tests/ or benches/ or is a tests.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.rs' | while read -r file; do
	part="${file%%/src/*}"
	part="${part%%/benches/*}"
	case "$part" in
	tests/*) part=tests ;;
	*/tests/*) part="${part%%/tests/*}" ;;
	esac
	case "$file" in
	tests/* | */tests/* | */benches/* | */tests.rs) kind=test ;;
	*) kind=code ;;
	esac
	# The `#[cfg(test)] mod tests { … }` at the end of a file counts as tests.
	inner=$(awk '/^#\[cfg\(test\)\]/ { inside = 1 } inside { n++ } END { print n + 0 }' "$file")
	echo "$part $kind $(wc -l <"$file") $inner"
done | awk '
	{ files[$1]++; if ($2 == "test") test[$1] += $3; else { code[$1] += $3 - $4; test[$1] += $4 } }
	END {
		for (p in files) { printf "%-20s %5d files %7d code %7d tests\n", p, files[p], code[p], test[p] | "sort"
			f += files[p]; c += code[p]; t += test[p] }
		close("sort")
		printf "%-20s %5d files %7d code %7d tests\n", "all", f, c, t
	}'
