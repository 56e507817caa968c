"""Files that are written whole or not at all: the one way in which the project writes what must not be lost."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".tmp"  # how the names of files end that are being written


def write_atomically(path: Path, write: Callable[[Path], object], previous: Path | None = None) -> None:
    """Calls `write(temporary)` and renames the file to `path`, so that a kill leaves the old file or the new one.

    The content is on the disk before it gets its name, so that this holds when the machine stops, too.

    Args:
        previous: the name that an old file gets instead of being replaced.

    Raises:
        OSError: it names `path`, e.g. for a full disk.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=TEMPORARY)
        os.close(handle)
        write(Path(temporary))
        os.chmod(temporary, 0o644)
        sync(Path(temporary))
        if previous and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and str(error.filename or TEMPORARY).endswith(TEMPORARY):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows wants what can be written
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not path.is_dir():  # some systems can do it with files alone
            raise
