"""Annotation files of the datasets."""

from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """The non-empty lines of a UTF-8 text file, stripped. ValueError that names the file if it is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    return [line.strip() for line in lines if line.strip()]
