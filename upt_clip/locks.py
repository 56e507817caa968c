"""One lock a run directory, so that two processes never fill it at once."""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

HANDED_DOWN = "UPT_LOCK"  # environment variable: the descriptor of the lock that a planner took for its child
UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)

_held: set[int] = set()


def take(directory: Path) -> int | None:
    """The file descriptor that holds the directory's lock (`os.close` gives it back), or None if others hold it.

    It is the system's own lock on an open file: it goes when the last process that has the file open ends, however
    that happens. A child that was given the descriptor keeps the directory even if its parent is killed. The file
    itself stays: deleting it would let two processes hold locks on two files of one name. On a file system that has no
    locks nothing is locked, which is said.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            os.close(descriptor)
            raise
        print(f"Note: no locks in {directory} ({error.strerror}): start no second process there", file=sys.stderr)
    return descriptor


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Holds the directory's lock for a block: the one that a planner handed down, or else a new one.

    Processes that are forked within the block (a loader's workers) do not have it, since they may outlive this one.

    Raises:
        BlockingIOError: another process holds it.
    """
    descriptor = _handed_down(directory)
    if descriptor is None:
        descriptor = take(directory)
    if descriptor is None:
        raise BlockingIOError(
            f"another process is at work in {directory}: wait until it has ended, or choose another --output-dir"
        )
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _handed_down(directory: Path) -> int | None:
    """The descriptor that this process got from its parent, if it is of this directory's lock."""
    try:
        descriptor = int(os.environ[HANDED_DOWN])
        if not os.path.samestat(os.fstat(descriptor), os.stat(directory / ".lock")):
            return None
        os.set_inheritable(descriptor, False)
    except (KeyError, ValueError, OSError):
        return None
    return descriptor


def _let_go_after_fork() -> None:
    for descriptor in _held:
        os.close(descriptor)  # a copy: the lock stays with the parent's
    _held.clear()


os.register_at_fork(after_in_child=_let_go_after_fork)
