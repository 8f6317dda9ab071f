#!/usr/bin/env bash
# Reads the same Parquet shards with irgdata and with Hugging Face's datasets, in
# one run: docs/bench/ingest.sh [IMAGES]. Needs Go and Python 3; packages go into
# a virtual environment in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")"
images=${1:-4000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet datasets==5.2.0 pillow==13.0.0 pyarrow==26.0.1 numpy==2.4.6
go build -o "$dir/irgdata" ../../cmd/irgdata
"$dir/venv/bin/python" ingest.py make "$dir/shards" "$images"
du -sh "$dir/shards"

cat >"$dir/irgdata.yaml" <<EOF
sources: [{name: shards, path: shards}]
store: store
work: work
EOF
timed() { # NAME COMMAND…
	local start=$EPOCHREALTIME
	"${@:2}" >"$dir/out" 2>"$dir/err" || { cat "$dir/err"; exit 1; }
	printf '%-42s %6.1f s  %s\n' "$1" "$(bc <<<"$EPOCHREALTIME - $start")" "$(head -1 "$dir/out")"
}
for _ in 1 2; do
	rm -rf "$dir/store" "$dir/work" "$dir/hf"
	timed 'plain read and digest' sha256sum "$dir"/shards/*
	timed 'irgdata ingest' "$dir/irgdata" ingest --config "$dir/irgdata.yaml"
	timed 'irgdata ingest, again' "$dir/irgdata" ingest --config "$dir/irgdata.yaml"
	timed 'datasets: decode, 1 process' "$dir/venv/bin/python" ingest.py read "$dir/shards" 1
	timed 'datasets: decode, a process for each core' "$dir/venv/bin/python" ingest.py read "$dir/shards" "$(nproc)"
done
