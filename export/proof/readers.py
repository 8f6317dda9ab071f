"""Reads exports for the trainer (irg) and for Hugging Face (hf), and the snapshots
that they are of, with readers that know nothing of irgdata: pyarrow, Hugging
Face's datasets, and DuckDB. Each row of an export must show the texts and images
of a pair of the snapshot, in the order of the mode.

    pip install -r export/proof/readers.txt
    python export/proof/readers.py STORE EXPORT...

Exits with 1 at the first thing that is not as the manifests say.
"""

import base64
import collections
import hashlib
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

# What each mode shows of a trajectory after the prompt, in order.
SHOWN = {
    "initial_thinking_understanding_learning": ["reference", "thinking"],
    "initial_thinking_generation_learning": ["thinking"],
    "initial_full_learning": ["thinking", "reference"],
    "improving_thinking_understanding_learning": ["draft", "improved", "reflection"],
    "improving_thinking_generation_learning": ["draft_thinking", "draft", "reflection"],
    "improving_full_learning": ["draft_thinking", "draft", "reflection", "improved"],
}


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


def digest(encoded):
    return hashlib.sha256(encoded).hexdigest()


def pairs(store, snapshot):
    """The snapshot's rows by pair: what they show, images by digest."""
    found = {}
    for shard in snapshot["shards"]:
        for row in pq.read_table(store / shard["key"]).to_pylist():
            for name in IMAGES:
                row[name] = row[name] and digest(row[name]["bytes"])
            row["improved"] = row["improved"] or row["reference"]  # of the strategy distill
            found[row["id"]] = row
    return found


def refused(export):
    """The rows that the export names as left out."""
    path = export / "rejects.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {(r["mode"], r["id"]) for r in map(json.loads, lines)}


def of_pairs(where, rows, wanted, manifest):
    """Each row is that of a pair: its prompt, and what it shows. Rows without an
    identity go to the next pair that shows the same."""
    whole = not {"where", "split", "mix"} & set(manifest.get("selection", {}))
    by_shown = collections.defaultdict(list)
    for pair in wanted:
        by_shown[tuple(pair["shown"])].append(pair)
    taken = collections.Counter()
    for at, (identity, question, shown) in enumerate(rows):
        fitting = [p["id"] for p in by_shown[tuple(shown)] if p["prompt"] in question and identity in (None, p["id"])]
        if not fitting:
            sys.exit(f"{where}: row {at} shows {[s[:16] for s in shown]}, which the snapshot has not of its pair")
        taken[min(fitting, key=lambda i: taken[i])] += 1
    if whole and (lost := {p["id"] for p in wanted} - set(taken)):
        sys.exit(f"{where}: {len(lost)} pairs of the snapshot are not there: {sorted(lost)[:3]}")


def conversation(text, images):
    """A row's identity, which it lacks, the last text of the user, and what the
    assistant says and shows."""
    question, shown = "", []
    for turn in json.loads(text):
        if turn["role"] == "user":
            question = turn["content"]
            continue
        for part in turn["content"]:
            if part["type"] == "image":
                encoded = base64.b64decode(part["content"], validate=True)
                decoded(encoded)
                images.append(encoded)
                shown.append(digest(encoded))
            else:
                shown.append(part["content"])
    return None, question, shown


def irg(export, manifest, wanted, cache):
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
        images = []
        read = [conversation(c, images) for c in rows["conversation"]]
        if "images" not in manifest:  # else they are encoded anew
            of_pairs(folder, read, wanted(mode["mode"]), manifest)
        count, shortest = sql(f"select count(*), min(json_array_length(conversation)) from read_parquet({files})")
        same(f"{folder}: rows by DuckDB", count, want)
        if shortest < 2:
            sys.exit(f"{folder}: a conversation of {shortest} turns")
        print(f"  {mode['mode']}: {want} rows, {len(images)} images decoded")


def chat(row):
    """The same of a row of messages and images."""
    question, shown, images = "", [], iter(row["images"])
    for message in row["messages"]:
        for part in message["content"]:
            if part["type"] == "image":
                shown.append(digest(next(images)["bytes"]))
            elif message["role"] == "user":
                question = part["text"]
            elif message["role"] == "assistant":
                shown.append(part["text"])
    return row["id"], question, shown + [digest(i["bytes"]) for i in images]  # those that no part shows are too many


def hf(export, manifest, wanted, cache):
    """Each mode's rows, by the identity of their pairs."""
    by_mode = collections.defaultdict(list)
    for split in manifest["modes"]:
        by_mode[split["mode"]] += [str(export / f["path"]) for f in split["files"]]
    for mode, files in by_mode.items():
        rows = [r for f in files for r in pq.read_table(f).to_pylist()]
        same(f"{mode}: rows", len(rows), sum(m["rows"] for m in manifest["modes"] if m["mode"] == mode))
        of_pairs(mode, map(chat, rows), wanted(mode), manifest)
        print(f"  {mode}: {len(rows)} rows")


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
    store, *exports = map(pathlib.Path, sys.argv[1:])
    datasets.disable_progress_bars()
    for export in exports:
        manifest = json.load(open(export / "export.json"))
        snapshot = json.load(open(store / "manifests" / f"{manifest['snapshot']:06}.json"))
        found, left_out = pairs(store, snapshot), refused(export)

        def wanted(mode):
            kept = [r for r in found.values() if r[mode] and (mode, r["id"]) not in left_out]
            return [r | {"shown": [r[name] for name in SHOWN[mode]]} for r in kept]

        print(export)
        with tempfile.TemporaryDirectory() as cache:
            shards(store, snapshot, cache)
            {"irg": irg, "hf": hf}[manifest["form"]](export, manifest, wanted, cache)
    print("pyarrow, datasets and DuckDB read what the manifests say, and the pairs of the snapshot.")


if __name__ == "__main__":
    main()
