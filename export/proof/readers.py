"""Reads an export for the trainer, and the snapshot that it is of, with readers
that know nothing of irgdata: pyarrow, Hugging Face's datasets, and DuckDB.

    pip install -r export/proof/readers.txt
    python export/proof/readers.py STORE EXPORT

Exits with 1 at the first thing that is not as the manifests say.
"""

import base64
import io
import json
import pathlib
import sys
import tempfile

import datasets
import duckdb
import pyarrow.parquet as pq
from PIL import Image

IMAGES = ["reference", "draft", "improved"]


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got}, want {want}")


def sql(query):
    """The one row of a query by DuckDB."""
    return duckdb.sql(query).fetchall()[0]


def decoded(encoded):
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image.size


def modes(export, manifest, cache):
    """Each mode's folder: its rows, their conversations, and every image."""
    for mode in manifest["modes"]:
        folder, want = export / mode["mode"], mode["rows"]
        files = sorted(str(export / f["path"]) for f in mode["files"])
        same(f"{folder}: files", sorted(str(p) for p in folder.iterdir()), files)
        table = pq.read_table(files)
        same(f"{folder}: columns", table.column_names, ["conversation"])
        same(f"{folder}: rows by pyarrow", table.num_rows, want)
        groups = [pq.ParquetFile(f).num_row_groups for f in files]
        same(f"{folder}: row groups", groups, [f["row_groups"] for f in mode["files"]])
        rows = datasets.load_dataset("parquet", data_dir=str(folder), split="train", cache_dir=cache)
        same(f"{folder}: rows by datasets", len(rows), want)
        images = 0
        for conversation in rows["conversation"]:
            for turn in json.loads(conversation):
                for part in turn["content"] if turn["role"] == "assistant" else []:
                    if part["type"] == "image":
                        decoded(base64.b64decode(part["content"], validate=True))
                        images += 1
        count, shortest = sql(f"select count(*), min(json_array_length(conversation)) from read_parquet({files})")
        same(f"{folder}: rows by DuckDB", count, want)
        if shortest < 2:
            sys.exit(f"{folder}: a conversation of {shortest} turns")
        print(f"  {mode['mode']}: {want} rows, {images} images decoded")


def shards(store, snapshot, cache):
    """The snapshot's shards: Image features, counts, every image."""
    keys = [str(store / s["key"]) for s in snapshot["shards"]]
    counts = snapshot["counts"]
    rows = datasets.load_dataset("parquet", data_files=keys, split="train", cache_dir=cache)
    same("shards: rows by datasets", len(rows), counts["trajectories"])
    images = 0
    for name in IMAGES:
        same(f"shards: feature of {name}", type(rows.features[name]), datasets.Image)
        for cell in rows.cast_column(name, datasets.Image(decode=False))[name]:
            if cell is not None:
                decoded(cell["bytes"])
                images += 1
        first = next((i for i in rows[name] if i is not None), None)
        if first is not None:
            first.load()
    for mode in counts["modes"]:
        kept, = sql(f"select count(*) from read_parquet({keys}) where {mode['mode']}")
        same(f"shards: rows of {mode['mode']} by DuckDB", kept, mode["rows"])
    rejects = [str(store / s["key"]) for s in snapshot["reject_shards"]]
    if rejects:
        whole, = sql(f"select count(*) from read_parquet({rejects}) where mode = ''")
        same("rejects by DuckDB", whole, counts["rejected"])
        reasons = duckdb.sql(f"select stage, rule, mode, count(*) from read_parquet({rejects}) group by all").fetchall()
        same("reasons by DuckDB", sorted(reasons), sorted((r["stage"], r["rule"], r.get("mode", ""), r["count"]) for r in counts["reasons"]))
    print(f"  shards: {counts['trajectories']} trajectories, {images} images decoded, {counts['rejected']} rejects")


def main():
    store, export = map(pathlib.Path, sys.argv[1:])
    datasets.disable_progress_bars()
    manifest = json.load(open(export / "export.json"))
    snapshot = json.load(open(store / "manifests" / f"{manifest['snapshot']:06}.json"))
    with tempfile.TemporaryDirectory() as cache:
        shards(store, snapshot, cache)
        modes(export, manifest, cache)
    print("pyarrow, datasets and DuckDB read what the manifests say.")


if __name__ == "__main__":
    main()
