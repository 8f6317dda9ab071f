"""Writes delta.parquet: encodings whose damage makes the library loop.

    pip install pyarrow && python make.py
"""

import pyarrow as pa
import pyarrow.parquet as pq

schema = pa.schema([pa.field("caption", pa.string(), nullable=False), pa.field("image", pa.binary(), nullable=False)])
table = pa.table([pa.array(["picture %d" % i for i in range(4)]), pa.array([b"image %d" % i for i in range(4)])], schema=schema)
pq.write_table(
    table,
    "delta.parquet",
    compression="none",
    use_dictionary=False,
    column_encoding={"caption": "DELTA_BYTE_ARRAY", "image": "DELTA_LENGTH_BYTE_ARRAY"},
)
