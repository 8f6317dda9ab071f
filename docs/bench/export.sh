#!/usr/bin/env bash
# Writes the six modes of one snapshot with irgdata and with pyarrow, and copies
# the same bytes, in one run: docs/bench/export.sh. Needs Go and Python 3;
# packages go into a virtual environment in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet pyarrow==26.0.1
for _ in 1 2 3; do
	rm -rf "$dir/kept"
	IRGDATA_BENCH_KEEP="$dir/kept" go test -run '^$' -bench WriteIRG -benchtime 4x ../../export | grep ^Bench
	sync
	"$dir/venv/bin/python" export.py "$dir/kept" "$dir/copy"
done
