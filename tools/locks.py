"""One lock a run directory, so that two planners never fill it at once."""

import fcntl
import os
from pathlib import Path


def take(directory: Path) -> int | None:
    """The file descriptor that holds the directory's lock (`os.close` gives it back), or None if others hold it.

    It is the system's own lock on an open file: it goes when the last process that has the file open ends, however
    that happens. A child that was given the descriptor keeps the directory even if its parent is killed. The file
    itself stays: deleting it would let two processes hold locks on two files of one name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
