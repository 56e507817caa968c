"""Reads the pictures that a trained model is asked about, as the data sets read theirs."""

from pathlib import Path

from PIL import Image

from dassl_compat import read_image, to_rgb

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
