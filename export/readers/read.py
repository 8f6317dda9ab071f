"""Reads exports with the libraries for which they were written.

    python export/readers/read.py EXPORT...

Each EXPORT is a folder that `irgdata export --format …` wrote. What is read is
compared with export.json: rows of each mode and split, images that decode and have
the digest that they are named by, and as many images in each chat as beside it.
Whether they are the snapshot's is for ../proof/readers.py to say. A library that is not installed fails
the formats that need it; requirements.txt has those of all formats but mds, mds.txt
that of mds. The exit status is 1 if something is not as it should be.
"""

import glob
import hashlib
import json
import os
import sys


class Mismatch(Exception):
    pass


def expect(what, got, want):
    if got != want:
        raise Mismatch(f"{what}: got {got!r}, want {want!r}")


def look(image):
    image.load()
    if min(image.size) < 1:
        raise Mismatch(f"an image of {image.size}")


def named(path, encoded):
    """Images are named by their digest."""
    expect("the digest of an image", hashlib.sha256(encoded).hexdigest(), os.path.basename(path).split(".")[0])


def image_parts(messages):
    return sum(part["type"] == "image" for m in messages for part in m["content"])


def read_hf(root, modes):
    import datasets
    import mlcroissant

    expect("configurations", sorted(datasets.get_dataset_config_names(root)), sorted({m["mode"] for m in modes}))
    seen, begins = {}, {}
    for m in modes:
        d = datasets.load_dataset(root, m["mode"], split=m["split"])
        expect(f"rows of {m['mode']}", len(d), m["rows"])
        expect("the feature images", isinstance(d.features["images"].feature, datasets.Image), True)
        bare = datasets.load_dataset("parquet", data_files=[f"{root}/{f['path']}" for f in m["files"]], split="train")
        expect("the features without the card", bare.features, d.features)
        for row in d:
            expect("image parts", image_parts(row["messages"]), len(row["images"]))
            for image in row["images"]:
                look(image)
            # A pair is in one split, in all configurations.
            expect(f"the split of {row['id']}", seen.setdefault(row["id"], m["split"]), m["split"])
        kind = m["mode"].split("_")[0]
        for row in d.cast_column("images", datasets.List(datasets.Image(decode=False))):
            for image in row["images"]:
                named(image["path"], image["bytes"])
            # The initial modes begin with the reference, the improving ones with the draft.
            for image in row["images"][:1]:
                first = begins.setdefault((row["id"], kind), image["path"])
                expect(f"the first image of {row['id']} in {m['mode']}", image["path"], first)
    for path in glob.glob(f"{root}/*/*.parquet"):
        import pyarrow.parquet as pq

        footer = pq.ParquetFile(path).metadata
        for g in range(footer.num_row_groups):
            group = footer.row_group(g)
            if group.num_rows > 100 or group.total_byte_size > 100e6:
                raise Mismatch(f"{path}: row group {g} has {group.num_rows} rows and {group.total_byte_size} bytes")
    description = mlcroissant.Dataset(f"{root}/croissant.json")
    expect("errors of Croissant", list(description.metadata.ctx.issues.errors), [])
    for m in modes:
        record_set = f"{m['mode']}/{m['split']}"
        records = list(description.records(record_set))
        expect(f"records of {record_set}", len(records), m["rows"])


def read_webdataset(root, modes):
    import io

    import webdataset
    from PIL import Image

    for m in modes:
        rows = 0
        for sample in webdataset.WebDataset([f"{root}/{f['path']}" for f in m["files"]], shardshuffle=False):
            chat = json.loads(sample["json"])
            expect("image parts", image_parts(chat["messages"]), len(chat["images"]))
            for name in chat["images"]:
                look(Image.open(io.BytesIO(sample[name])))
            expect("the key", sample["__key__"], f"{rows:09d}")
            rows += 1
        expect(f"rows of {m['mode']}", rows, m["rows"])


def read_mds(root, modes):
    from streaming import LocalDataset

    for m in modes:
        d = LocalDataset(f"{root}/{m['mode']}/{m['split']}")
        expect(f"rows of {m['mode']}", len(d), m["rows"])
        for row in d:
            images = [row[name] for name in sorted(row) if name.startswith("image")]
            expect("image parts", image_parts(row["messages"]), len(images))
            for image in images:
                look(image)


def read_llava(root, modes):
    from PIL import Image

    info = json.load(open(f"{root}/dataset_info.json"))
    expect("entries of dataset_info.json", len(info), len(modes))
    for m in modes:
        entry = info[f"irgl_{m['mode']}_{m['split']}"]
        rows = json.load(open(f"{root}/{entry['file_name']}"))
        expect(f"rows of {m['mode']}", len(rows), m["rows"])
        columns = entry["columns"]
        for row in rows:
            turns = row[columns["messages"]]
            # What LLaMA-Factory and ms-swift ask: turns alternate, and a mark for each image.
            expect("speakers", [t["from"] for t in turns if t["from"] != "system"], ["human", "gpt"] * (len(turns) // 2))
            expect("marks", sum(t["value"].count("<image>") for t in turns), len(row[columns["images"]]))
            for path in row[columns["images"]]:
                look(Image.open(f"{root}/{path}"))


def read_jsonl(root, modes):
    import io

    import datasets
    from PIL import Image

    for m in modes:
        path = f"{root}/{m['files'][0]['path']}"
        d = datasets.load_dataset("json", data_files=path, split="train")
        expect(f"rows of {m['mode']}", len(d), m["rows"])
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            expect("image parts", image_parts(row["messages"]), len(row["images"]))
            for image in row["images"]:
                encoded = open(f"{root}/{image}", "rb").read()
                named(image, encoded)
                look(Image.open(io.BytesIO(encoded)))


def read_parquet(root, modes):
    import io

    import duckdb
    import pandas
    from PIL import Image

    files = [f"{root}/{f['path']}" for m in modes for f in m["files"]]
    counted = dict(duckdb.sql(f"select split, count(*) from read_parquet({files}) group by split").fetchall())
    expect("rows", counted, {m["split"]: m["rows"] for m in modes})
    table = pandas.concat(pandas.read_parquet(f) for f in files)
    expect("rows of pandas", len(table), sum(m["rows"] for m in modes))
    for image in table["reference"]:
        look(Image.open(io.BytesIO(image["bytes"])))


def main(roots):
    failed = not roots
    if failed:
        print(__doc__)
    for root in roots:
        root = os.path.abspath(root)
        manifest = json.load(open(f"{root}/export.json"))
        try:
            globals()["read_" + manifest["form"]](root, manifest["modes"])
            print(f"{manifest['form']}: {sum(m['rows'] for m in manifest['modes'])} rows, as written")
        except Mismatch as e:
            failed = True
            print(f"{manifest['form']}: {e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
