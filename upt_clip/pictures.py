"""Reads pictures: those of the data sets and those that a trained model is asked about, in one way."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

LONGEST_STRIP = 1000  # a picture's longer side, in shorter sides
Picture = str | Path | Image.Image


def open_picture(picture: Picture) -> Image.Image:
    """A picture as a data set would give it: RGB, pixels as they are stored (an EXIF orientation is not applied).

    Raises:
        ValueError: neither a path nor a PIL image, or a file that cannot be decoded; one line with its name.
    """
    if isinstance(picture, Image.Image):
        return to_rgb(picture)
    if not isinstance(picture, (str, Path)):
        raise ValueError(f"cannot take a {type(picture).__name__} as a picture: give a path or a PIL image")
    return read_image(picture)


def read_image(path):
    """The picture file as an RGB PIL image; of an animation the first frame; an EXIF orientation is not applied.

    Raises:
        ValueError: in one line with the file's name, why it cannot be read.
    """
    try:
        if not os.path.isfile(path):  # a pipe would be waited for without end
            raise OSError("no such file" if not os.path.exists(path) else "no regular file")
        with Image.open(path) as image:
            return to_rgb(image)
    except UnidentifiedImageError:
        reason = "no picture, or of a kind that Pillow does not know" if os.path.getsize(path) else "the file is empty"
    except Exception as error:  # damaged files raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
    raise ValueError(f"cannot read the picture {path} ({reason})")


def to_rgb(image):
    """The PIL image as RGB with 8 bits: 16-bit greys are scaled, which Pillow clips to white; alpha is left out.

    Raises:
        ValueError: pixels of 32 bits, whose white is not known; a strip that would not fit into memory when its short
            side is made as long as CLIP's pictures.
    """
    import numpy as np

    if max(image.size) > LONGEST_STRIP * min(image.size):
        raise ValueError(f"{image.width} x {image.height} pixels: a side is over {LONGEST_STRIP} times the other")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # "I": Pillow before 11
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no known white: save it with 8 or 16 bits")
    return image.convert("RGB")
