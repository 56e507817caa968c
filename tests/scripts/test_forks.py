"""Runs that are forked from a warm process: the numbers of fresh ones, and none takes another one with it."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kills import differences, snapshot
from upt_clip.tools.sweep import forks

ROOT = Path(__file__).parents[2]
PLAN = ["train", "emoji", "1", "--seeds", "1 2", "--workers", "1"]
pytestmark = pytest.mark.skipif(not forks.are_possible(), reason="runs are forked on Linux without a GPU")


def start(output: Path, *words, **environment) -> subprocess.Popen:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-m", "upt_clip", *PLAN, "--output", output, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*map(str, command)], cwd=output.parent, env=env, **pipes)


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def runs(output: Path) -> dict[str, Path]:
    """The runs' directories by their names below the output folder."""
    return {str(path.parent.relative_to(output)): path.parent for path in output.rglob("config.yaml")}


def holders(directory: Path) -> list[int]:
    """The processes that have a run's lock open."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(path) == str(directory / ".lock"):
                found.append(int(path.parts[2]))
        except OSError:
            continue
    return found


def wait_for_a_run(planner: subprocess.Popen, output: Path, after: str = "resume.pt") -> tuple[int, Path]:
    """The process of the first training run that has come so far, and its directory."""
    deadline = time.time() + 60
    while time.time() < deadline:
        for path in output.rglob(after):
            if pids := set(holders(path.parent)) - {planner.pid}:
                return min(pids), path.parent  # a loader's workers come after it
        time.sleep(0.01)
    raise AssertionError("no run was started")


LONG = ["--trainer", "CoOp", "OPTIM.MAX_EPOCH", "60"]


def test_numbers_are_those_of_fresh_processes(tmp_path):
    words = ["--trainer", "LinearProbe UPT", "--seeds", "1", "OPTIM.MAX_EPOCH", "4"]
    for name, fork in (("forked", "1"), ("fresh", "0")):
        status, _, stderr = ended(start(tmp_path / name, *words, UPT_FORK=fork))
        assert status == 0, stderr
    forked, fresh = runs(tmp_path / "forked"), runs(tmp_path / "fresh")
    assert forked.keys() == fresh.keys() and len(forked) == 3
    for name in forked:
        assert differences(snapshot(forked[name]), snapshot(fresh[name])) == [], name


def test_a_killed_fork_is_one_failure_and_the_same_command_goes_on(tmp_path):
    output = tmp_path / "out"
    planner = start(output, *LONG)
    pid, directory = wait_for_a_run(planner, output)
    os.kill(pid, signal.SIGKILL)
    status, stdout, stderr = ended(planner)
    assert status == 1 and stderr.count("FAILED") == 1 and "ended by signal 9" in stderr
    missing = [name for name, path in runs(output).items() if not (path / "result.json").is_file()]
    assert missing == [str(directory.relative_to(output))]
    status, stdout, _ = ended(start(output, *LONG))
    assert status == 0 and "3 runs planned: 2 done, 1 to do" in stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_plan_stops_its_fork(tmp_path, number):
    output = tmp_path / "out"
    planner = start(output, *LONG)
    pid, directory = wait_for_a_run(planner, output)
    planner.send_signal(number)
    status, _, stderr = ended(planner)
    assert status == 130 and "the same command goes on" in stderr
    assert holders(directory) == []


def test_a_fork_outlives_its_killed_planner_and_keeps_its_lock(tmp_path):
    output = tmp_path / "out"
    planner = start(output, *LONG)
    pid, directory = wait_for_a_run(planner, output)
    planner.kill()
    planner.wait()
    assert pid in holders(directory)
    status, stdout, _ = ended(start(output, *LONG))
    assert status == 0 and json.loads((directory / "result.json").read_text())["epochs"] == 60


def test_a_fork_that_fails_says_why(tmp_path):
    status, stdout, stderr = ended(start(tmp_path / "out", "--trainer", "CoOp", "TRAINER.COOP.N_CTX", "99"))
    assert status == 2 and "[1/3] emoji ZeroshotCLIP pocket: " in stdout
    assert len(stderr.splitlines()) == 1 and "but CLIP reads 77" in stderr


def test_another_environment_gets_fresh_processes(monkeypatch):
    monkeypatch.setattr(forks, "_warmed_with", {"OMP_NUM_THREADS": "1"})
    assert forks.warm_up({"OMP_NUM_THREADS": "1"}) and not forks.warm_up({"OMP_NUM_THREADS": "2"})
    monkeypatch.setenv("UPT_FORK", "0")
    assert not forks.are_possible()


def test_threads_that_start_and_wait_at_once_get_each_run_its_own_exit_status(tmp_path):
    """A fork's status can be read once, and whoever starts another one asks all of them for theirs."""
    assert forks.warm_up({"OMP_NUM_THREADS": "1"})

    def outcome(i: int) -> int:
        with open(tmp_path / str(i), "w") as lock:
            run = forks.Fork(["--no-such-option"], {"OMP_NUM_THREADS": "1"}, lock.fileno())
            assert "--no-such-option" in run.stdout.read()
            run.stdout.close()
            return run.wait()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(outcome, range(120))) == {2}
