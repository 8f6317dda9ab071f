"""Makes Parquet shards of photos, and reads them with Hugging Face's datasets."""

import io
import pathlib
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def photo(seed):
    """A JPEG of 1024×768 pixels, smooth with grain, as of a camera."""
    r = np.random.default_rng(seed)
    coarse = Image.fromarray(r.integers(0, 240, (9, 12, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((1024, 768), Image.Resampling.BICUBIC)).astype(int)
    pixels = np.clip(pixels + r.integers(0, 16, pixels.shape), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def make(folder, images, shard=500):
    folder.mkdir(parents=True)
    for first in range(0, images, shard):
        rows = range(first, min(first + shard, images))
        table = pa.table({
            "image": [{"bytes": photo(i), "path": f"{i:06}.jpg"} for i in rows],
            "caption": [f"photo {i} of valley {i * 7} in the light of {i % 9} suns" for i in rows],
        })
        pq.write_table(table, folder / f"{first // shard:05}.parquet", row_group_size=100)


def decode(batch):
    return {"pixels": [np.asarray(Image.open(io.BytesIO(i["bytes"])).convert("RGB")).shape[0] for i in batch["image"]]}


def read(folder, processes):
    """Decodes each image to RGB and keeps its height alone: the pixels are not
    written anywhere, hashed or compared."""
    cache = folder.parent / "hf"
    rows = datasets.load_dataset("parquet", data_files=str(folder / "*.parquet"), split="train", cache_dir=str(cache))
    rows = rows.cast_column("image", datasets.Image(decode=False))
    rows = rows.map(decode, batched=True, batch_size=64, num_proc=processes if processes > 1 else None,
                    load_from_cache_file=False, remove_columns=rows.column_names)
    print(len(rows), "images")


if __name__ == "__main__":
    datasets.disable_progress_bars()
    command, folder, n = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    {"make": make, "read": read}[command](folder, n)
