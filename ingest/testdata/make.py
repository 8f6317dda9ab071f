"""Writes the Parquet files that parquet_test.go reads, as others write them.

    pip install pyarrow datasets pillow && python make.py
"""

import io

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def encoded(form, colour):
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, form)
    return out.getvalue()


PNG, JPEG, WEBP = encoded("PNG", "red"), encoded("JPEG", "green"), encoded("WEBP", "blue")

# As `Dataset.to_parquet` writes an Image feature.
datasets.Dataset.from_dict(
    {
        "id": [1, 2, 3, 4, 5],
        "caption": ["a red square", "a green square", "a blue square", "nothing to see", None],
        "tags": [["a", "b"], [], ["c"], None, ["d"]],
        "licence": ["CC0-1.0", None, "MIT", None, None],
        "image": [{"bytes": PNG, "path": "1.png"}, {"bytes": JPEG, "path": None}, {"bytes": WEBP, "path": "3.webp"}, None, {"bytes": PNG, "path": None}],
    },
    features=datasets.Features(
        {
            "id": datasets.Value("int64"),
            "caption": datasets.Value("string"),
            "tags": datasets.List(datasets.Value("string")),
            "licence": datasets.Value("string"),
            "image": datasets.Image(),
        }
    ),
).to_parquet("huggingface.parquet")

# Bare bytes, other types of text, dictionaries, two row groups.
pq.write_table(
    pa.table(
        {
            "jpg": pa.array([JPEG, WEBP, b"no image", None], pa.large_binary()),
            "text": pa.array(["green", "blue", "broken", "absent"], pa.large_string()),
            "alt": pa.array(["x"] * 4),
        }
    ),
    "binary.parquet",
    row_group_size=2,
    compression="snappy",
)

# Paths in place of bytes, and no column that is surely the caption.
pq.write_table(
    pa.table(
        {
            "image": pa.array([{"bytes": None, "path": "1.png"}, {"bytes": None, "path": "http://x/2.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "a": ["x", "x"],
            "b": ["y", "z"],
        }
    ),
    "path.parquet",
)

# Of a compression that the library does not know.
pq.write_table(pa.table({"text": ["a long caption " * 9, "another one"], "image": [PNG, JPEG]}), "unknown-codec.parquet", compression="lz4")

# The metadata that img2dataset leaves beside its archives and folders.
pq.write_table(
    pa.table(
        {
            "url": ["http://i/0", "http://i/1"],
            "caption": ["first", "second"],
            "key": ["000000000", "000000001"],
            "status": ["success", "failed_to_download"],
            "error_message": pa.array([None, "HTTP Error 404: Not Found"]),
        }
    ),
    "img2dataset.parquet",
)

# Text that is not marked as such, as Spark once wrote it (spark.sql.parquet.binaryAsString).
pq.write_table(
    pa.table({k: pa.array(v, pa.binary()) for k, v in {"caption": [b"a red square", None], "license": [b"MIT", b"MIT"], "image": [PNG, PNG], "url": [b"http://x/1", None]}.items()}),
    "spark.parquet",
    compression="snappy",
)
