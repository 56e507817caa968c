"""One lock a run directory, so that two processes never fill it at once."""

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HANDED_DOWN = "UPT_LOCK"  # environment variable: the descriptor of the lock that a planner took for its child
UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)

_held: set[int] = set()


def take(directory: Path) -> int | None:
    """The file descriptor that holds the directory's lock (`os.close` gives it back), or None if others hold it.

    It is the system's own lock on an open file: it goes when the last process that has the file open ends, however
    that happens. A child that was given the descriptor keeps the directory even if its parent is killed. The file
    itself stays: deleting it would let two processes hold locks on two files of one name. Where the file system or the
    operating system has no locks nothing is locked, which is said.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    if fcntl is None:
        _say_that_locks_are_off("this system has none")
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            os.close(descriptor)
            raise
        _say_that_locks_are_off(f"{directory}: {error.strerror}")
    return descriptor


@functools.cache
def _say_that_locks_are_off(why: str) -> None:
    print(f"Note: locks are off ({why}): start no second process in the same folder", file=sys.stderr)


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_after_fork)
