"""Reads the pictures that a trained model is asked about, as the data sets read theirs."""

from pathlib import Path

from dassl.utils import read_image
from PIL import Image

Picture = str | Path | Image.Image


def open_picture(picture: Picture) -> Image.Image:
    """A picture as a data set would give it: RGB, pixels as they are stored (an EXIF orientation is not applied).

    Raises:
        ValueError: neither a path nor a PIL image, or a file that cannot be decoded; one line with its name.
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if not isinstance(picture, (str, Path)):
        raise ValueError(f"cannot take a {type(picture).__name__} as a picture: give a path or a PIL image")
    try:
        return read_image(str(picture))
    except Exception as error:  # damaged files raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"cannot read the picture {picture} ({reason if Path(picture).exists() else 'no such file'})"
        ) from error
