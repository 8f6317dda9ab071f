"""The peers of docs/bench/export.sh: the same bytes copied, the same table
written by pyarrow, and the same table made from the snapshot's images by Python
and written by pyarrow."""

import base64
import json
import os
import pathlib
import shutil
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

kept, out = map(pathlib.Path, sys.argv[1:])
files = sorted((kept / "export").glob("*/*.parquet"))
size = sum(f.stat().st_size for f in files)


def timed(what, work):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    start, used = time.perf_counter(), sum(os.times()[:2])
    work()
    for path in out.iterdir():  # as irgdata does
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    seconds, used = time.perf_counter() - start, sum(os.times()[:2]) - used
    wrote = sum(p.stat().st_size for p in out.iterdir())
    print(f"{what:52} {seconds:6.2f} s, {used:5.2f} s of the processors, {size / seconds / 1e6:5.0f} MB/s of the export's bytes, {wrote / 1e6:4.0f} MB written", flush=True)


def copy():
    for i, f in enumerate(files):
        shutil.copyfile(f, out / f"{i}")


def write(tables, **options):
    for i, (table, rows) in enumerate(tables):
        pq.write_table(table, out / f"{i}", row_group_size=rows, use_dictionary=False, write_statistics=False, **options)


def tables():
    for f in files:
        yield pq.read_table(f), pq.ParquetFile(f).metadata.row_group(0).num_rows


# Which parts of a trajectory each mode has, as package modes lays them out:
# texts, and images with their flags.
LAYOUTS = [
    ["reference", "thinking"], ["thinking"], ["thinking", "reference"], ["draft", "reference", "reflection"],
    ["draft_thinking", "draft", "reflection"], ["draft_thinking", "draft", "reflection", "reference"],
]


def rendered():
    snapshot = json.load(open(kept / "store/manifests/000001.json"))
    shards = pa.concat_tables(pq.read_table(kept / "store" / s["key"]) for s in snapshot["shards"])
    for layout in LAYOUTS:
        rows = []
        for row in shards.select(["prompt", *layout]).to_pylist():
            parts = [{"type": "image", "content": base64.b64encode(row[p]["bytes"]).decode(), "need_loss": True, "need_vae": True, "need_vit": True}
                     if isinstance(row[p], dict) else {"type": "text", "content": row[p], "need_loss": True} for p in layout]
            rows.append(json.dumps([{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": parts}]))
        yield pa.table({"conversation": rows}), 25


ready = list(tables())
timed("plain copy of the export, and sync", copy)
timed("pyarrow: the table that is in memory, zstd", lambda: write(ready, compression="zstd"))
timed("pyarrow: the table that is in memory, uncompressed", lambda: write(ready, compression="none"))
del ready
timed("Python: from the shards' images, pyarrow with zstd", lambda: write(rendered(), compression="zstd"))
