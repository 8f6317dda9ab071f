"""Makes exports that are broken in ways that the official loader keeps to
itself, each in a folder of its own, for

    python export/proof/broken.py DIR
    for e in DIR/*; do python export/proof/official.py --sft … --numbers "$e" 2x2 3x1 9x1; done
"""

import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from rows import PNG, ROWS, VALUES, image, text, turns

MODES = ["initial_full_learning", "improving_full_learning"]
GEOMETRY = json.dumps({"index_columns": [], "columns": [
    {"name": "shape", "field_name": "shape", "pandas_type": "bytes", "numpy_type": "geometry", "metadata": None}]})
SOUND = json.dumps(turns(text(), image(PNG, need_vit=True)))


def write(path, groups, column="conversation", metadata=None, index=None, fixed=False, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for group in groups for row in group]
    table = pa.table({column: rows, **{name: make(len(rows)) for name, make in more.items()}})
    if fixed:
        table = pa.table({column: pa.array(rows, pa.binary(len(rows[0])))})
    if index:
        table = pa.Table.from_pandas(table.to_pandas().set_index(index))
    if metadata is not None:
        table = table.replace_schema_metadata({"pandas": metadata})
    with pq.ParquetWriter(path, table.schema) as out:
        at = 0
        for group in groups:
            out.write_table(table.slice(at, len(group)))
            at += len(group)


def sound(groups, rows=2):
    return [[SOUND] * rows for _ in range(groups)]


def training(export, used):
    lines = []
    for mode in MODES:
        lines.append(f"""{mode}:
  dataset_names: [irgl]
  image_transform_args: {{image_stride: 16, max_image_size: 1024, min_image_size: 512}}
  vit_image_transform_args: {{image_stride: 14, max_image_size: 980, min_image_size: 378}}
  is_mandatory: true
  num_used_data: [{used}]
  weight: 1.0
""")
    (export / "train_stage1.yaml").write_text("".join(lines))
    (export / "dataset_info.json").write_text(json.dumps({m: {"irgl": {"data_dir": str(export / m)}} for m in MODES}))


def bytes_not_utf8(n):
    """A text column that holds a byte that is no UTF-8 in its last row."""
    raw = pa.array([b"a"] * (n - 1) + [b"\xff"], pa.binary())
    return raw.view(pa.string())


def list_not_utf8(n):
    return pa.ListArray.from_arrays(list(range(n + 1)), bytes_not_utf8(n))


def struct_not_utf8(n):
    return pa.StructArray.from_arrays([bytes_not_utf8(n)], names=["x"])


def time_zone_unknown(n):
    return pa.array([0] * n).cast(pa.timestamp("us", "Mars/Olympus"))


def damage(path, group):
    """Overwrites a row group's pages."""
    column = pq.ParquetFile(path).metadata.row_group(group).column(0)
    at = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[at:at + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(bytes(content))


def parquet_info(export, groups):
    info = {str(export / m / "a.parquet"): {"num_row_groups": groups} for m in MODES}
    (export / "parquet_info.json").write_text(json.dumps(info))
    entry = {m: {"irgl": {"data_dir": str(export / m), "parquet_info_path": str(export / "parquet_info.json")}} for m in MODES}
    (export / "dataset_info.json").write_text(json.dumps(entry))


def make(root):
    def export(name, used=1):
        folder = root / name
        folder.mkdir(parents=True)
        training(folder, used)
        return folder

    def each(folder, name, *args, **kwargs):
        for mode in MODES:
            write(folder / mode / name, *args, **kwargs)

    rows = list(ROWS.values())
    each(export("rows"), "a.parquet", [rows[i:i + 10] for i in range(0, len(rows), 10)])
    each(export("rows-as-bytes"), "a.parquet", [[r.encode() for r in rows[i:i + 10] if r.isascii()] for i in range(0, len(rows), 10)])
    each(export("null"), "a.parquet", [[SOUND, None], [None, None], [SOUND, SOUND], [SOUND, SOUND]])
    each(export("another-column"), "a.parquet", sound(8), column="text")
    each(export("numbers"), "a.parquet", [[1, 2]] * 6)
    each(export("text-not-utf8"), "a.parquet", sound(6), note=bytes_not_utf8)
    each(export("list-not-utf8"), "a.parquet", sound(6), notes=list_not_utf8)
    each(export("struct-not-utf8"), "a.parquet", sound(6), note=struct_not_utf8)
    each(export("time-zone-unknown"), "a.parquet", sound(6), at=time_zone_unknown)
    each(export("index"), "a.parquet", sound(6), id=lambda n: list(range(n)), index=["conversation"])
    each(export("index-of-two"), "a.parquet", sound(6), id=lambda n: list(range(n)), k=lambda n: [1] * n, index=["id", "conversation"])
    each(export("index-of-another"), "a.parquet", sound(6), id=lambda n: list(range(n)), index=["id"])
    each(export("pandas-no-json"), "a.parquet", sound(6), metadata="no json")
    each(export("pandas-index-unknown"), "a.parquet", sound(6), metadata='{"index_columns": ["id"], "columns": []}')
    each(export("pandas-type-unknown"), "a.parquet", sound(6), metadata=GEOMETRY)
    each(export("fixed-size-bytes"), "a.parquet", [[SOUND.encode()] * 2] * 6, fixed=True)
    each(export("more-columns"), "a.parquet", sound(6), id=lambda n: list(range(n)), tags=lambda n: [["a"]] * n)
    each(export("few-files-used", used=1), "a.parquet", sound(4))
    each(root / "few-files-used", "b.parquet", sound(4, rows=2))
    each(export("files-used-again", used=5), "a.parquet", sound(3))
    each(root / "files-used-again", "b.parquet", sound(4))
    each(export("deeper"), "a.parquet", sound(4))
    each(root / "deeper", "more/b.parquet", sound(4))
    each(export("no-parquet", used=2), "a.parquet", sound(4))
    for mode in MODES:
        (root / "no-parquet" / mode / "b.parquet").write_bytes(b"PAR1 it is none PAR1")
    each(export("damaged"), "a.parquet", sound(4, rows=8))
    for mode in MODES:
        damage(root / "damaged" / mode / "a.parquet", 1)
    for name, groups in (("info-less", 4), ("info-more", 9)):
        each(export(name), "a.parquet", sound(6))
        parquet_info(root / name, groups)
    long = json.dumps(turns(*[image(PNG, need_vae=True, need_vit=True)] * 12))
    each(export("too-long"), "a.parquet", [[SOUND, long], [long, long], [SOUND, SOUND], [long, SOUND]])


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]).resolve())
