"""Runs that are forked from one warm process, so that the imports, which take seconds, are done once a plan.

It is Python's own fork server. The server imports what a run needs and computes nothing, so a fork's numbers are those
of a fresh process. A fork is a process of its own: it can fail, leak or be killed without harm to the others.
`UPT_FORK=0` starts each run as a fresh process instead.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait

from upt_clip import locks

PRELOADED = ["upt_clip.tools.sweep.warm"]
DEVICES = ("/dev/nvidia0", "/dev/kfd")  # a GPU's driver does not survive a fork

_warmed_with: dict[str, str] | None = None
_asking = threading.Lock()  # a fork's exit status can be read once, and whoever starts one asks all others for theirs


def has_gpu() -> bool:
    return any(map(os.path.exists, DEVICES))


def are_possible() -> bool:
    """Whether this machine can fork runs: Linux without a GPU, and the user has not said otherwise."""
    return sys.platform == "linux" and not has_gpu() and os.environ.get("UPT_FORK", "1") != "0"


def warm_up(environment: dict[str, str]) -> bool:
    """Starts the server with these environment variables, which libraries read when they are imported.

    Returns:
        Whether runs with them can be forked: this process has one server, whose variables stay as they are.
    """
    global _warmed_with
    if _warmed_with is not None:
        return _warmed_with == environment
    before = dict(os.environ)
    os.environ.update(environment | {"PYTHONUNBUFFERED": "1"})
    try:
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    _warmed_with = environment
    return True


class Fork:
    """A run in the manner of `subprocess.Popen`: `stdout` gives its lines, standard error among them."""

    def __init__(self, arguments: list[str], environment: dict[str, str], lock: int):
        context = multiprocessing.get_context("forkserver")
        reader, writer = context.Pipe(duplex=False)
        held = Connection(os.dup(lock))  # a connection is what can be handed to a fork; nothing is sent through it
        self._process = context.Process(target=_become, args=(arguments, os.environ | environment, writer, held))
        with _asking:
            self._process.start()
        writer.close()
        held.close()
        self.stdout = open(os.dup(reader.fileno()), errors="replace")  # noqa: SIM115  (read to its end by the owner)
        reader.close()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, or minus the number of the signal that ended it."""
        wait([self._process.sentinel], timeout)
        with _asking:
            self._process.join(0)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a run", timeout or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _become(arguments: list[str], environment: dict[str, str], output: Connection, lock: Connection) -> None:
    """The whole life of a fork."""
    import atexit

    from upt_clip import train

    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    os.environ.clear()
    os.environ.update(environment | {locks.HANDED_DOWN: str(os.dup(lock.fileno()))})
    lock.close()
    try:
        sys.exit(train.cli(arguments))
    finally:
        atexit._run_exitfuncs()  # a fork server's children end without it
