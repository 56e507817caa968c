"""Annotation files of the datasets."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat


def read_lines(path: Path) -> list[str]:
    """The non-empty lines of a UTF-8 text file, stripped. ValueError that names the file if it is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    return [line.strip() for line in lines if line.strip()]


def read_array(path: Path, name: str) -> np.ndarray:
    """The variable `name` of a MATLAB file, with one dimension or more."""
    with open(path, "rb") as file:  # an OSError of our own, with the file's name in it
        return np.atleast_1d(loadmat(file, squeeze_me=True)[name])
