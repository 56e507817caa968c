"""The lock of a run directory: one holder, released by death, not kept by forked workers, handed down to a child."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from upt_clip import locks

HOLD = "import os, pathlib, sys, time; from upt_clip import locks\nwith locks.hold(pathlib.Path(sys.argv[1])):\n    "


def start(directory, code, **kwargs) -> subprocess.Popen:
    """A process that holds the directory's lock while it runs a line of code, and says so first."""
    command = [sys.executable, "-c", f"{HOLD}print('held', flush=True); {code}", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    process.first = process.stdout.readline()
    return process


def test_the_second_is_refused_until_the_first_is_killed(tmp_path):
    first = start(tmp_path, "time.sleep(60)")
    assert first.first == "held\n"
    with pytest.raises(BlockingIOError, match="another process is at work in .*: wait"), locks.hold(tmp_path):
        pass
    assert locks.take(tmp_path) is None
    first.kill()
    first.communicate()
    with locks.hold(tmp_path):
        assert locks.take(tmp_path) is None
    os.close(locks.take(tmp_path))


def test_a_forked_worker_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    line = "os.fork() or print(os.getpid(), flush=True); time.sleep(60)"
    first = start(tmp_path, line)
    worker = int(first.stdout.readline())
    try:
        first.kill()
        first.wait()
        os.kill(worker, 0)  # is alive
        os.close(locks.take(tmp_path))
    finally:
        os.kill(worker, signal.SIGKILL)
        first.communicate()


def test_a_child_takes_the_lock_that_it_was_handed_down_and_keeps_it(tmp_path):
    lock = locks.take(tmp_path)
    child = start(tmp_path, "time.sleep(60)", pass_fds=[lock], env=os.environ | {locks.HANDED_DOWN: str(lock)})
    os.close(lock)
    assert child.first == "held\n" and locks.take(tmp_path) is None
    child.kill()
    child.communicate()
    os.close(locks.take(tmp_path))


def test_a_descriptor_of_another_file_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    with open(tmp_path / "other", "w") as other:
        monkeypatch.setenv(locks.HANDED_DOWN, str(other.fileno()))
        with locks.hold(tmp_path):
            assert locks.take(tmp_path) is None


def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch, capsys):
    def unsupported(descriptor, operation):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    locks._say_that_locks_are_off.cache_clear()
    for _ in range(2):
        with locks.hold(tmp_path):
            pass
    note = f"Note: locks are off ({tmp_path}: not supported): start no second process in the same folder\n"
    assert capsys.readouterr().err == note
