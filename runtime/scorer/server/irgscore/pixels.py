"""From an image to the numbers that a model takes."""

import numpy as np
from PIL import Image


def tensor(image, s):
    """The batch of one for an RGB image by the settings.Pixels s, in float32."""
    filter = Image.Resampling[s.resample.upper()]
    if s.fit == "squash":
        image = image.resize((s.size, s.size), filter)
    else:  # the short side to size, then the middle: torchvision's Resize and CenterCrop
        w, h = image.size
        short = min(w, h)
        w, h = s.size * w // short, s.size * h // short
        left, top = round((w - s.size) / 2), round((h - s.size) / 2)
        image = image.resize((w, h), filter).crop((left, top, left + s.size, top + s.size))
    x = np.asarray(image, np.float32) / 255
    if s.channels == "BGR":
        x = x[:, :, ::-1]  # mean and std are in the model's order
    x = (x - np.array(s.mean, np.float32)) / np.array(s.std, np.float32)
    if s.layout == "NCHW":
        x = x.transpose(2, 0, 1)
    return np.ascontiguousarray(x[None])
