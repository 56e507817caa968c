"""How plans are run: failures, kills, two planners at once, several runs at once, jobs of a cluster."""

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from tests.scripts.planners import Planner

FEW = ("reproduce", "few_shot", "--datasets", "emoji", "--trainers", "CoOp", "--shots", "1", "2", "--seeds", "1", "2")
N_FEW = 5  # zero-shot, and two seeds with two numbers of shots


@pytest.fixture
def planner(tmp_path) -> Planner:
    return Planner(tmp_path)


def wait_for(condition, seconds=60):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "waited too long"
        time.sleep(0.02)


def table_in(output: str) -> str:
    """What comes after the lines about the runs."""
    return output.split("\n\n", 1)[1]


def test_a_plan_is_run_once_and_says_what_is_done(planner):
    first = planner.run(*FEW)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "5 runs planned: 0 done, 5 to do" in first.stdout and "[5/5]" in first.stdout
    assert "51.5 ± 0.7" in first.stdout  # the table of the protocol
    again = planner.run(*FEW)
    assert "5 runs planned: 5 done, 0 to do" in again.stdout and table_in(again.stdout) == table_in(first.stdout)
    assert planner.noted("start").total() == N_FEW


def test_a_failure_does_not_stop_the_others_and_its_tests_are_not_run(planner):
    words = ("reproduce", "base2new", "--datasets", "emoji", "--trainers", "CoOp", "--seeds", "1", "2")
    done = planner.run(*words, FAKE_FAIL="train_base/emoji/shots_16/CoOp/pocket_c16/seed1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert planner.noted("end").total() == 4  # both zero-shot runs and both of seed 2
    assert not any("test_new" in name and "seed1" in name for name in planner.noted("start"))
    first, second = done.stderr.strip().splitlines()
    assert "ArithmeticError: the loss is no number" in first and "seed 1" in first
    log = Path(first.split("see ")[1])
    assert log.is_file() and "Traceback" in log.read_text() and "--output-dir" in log.read_text()
    assert "(new)" in second and "the run whose prompts it tests failed" in second
    assert planner.run(*words).returncode == 0 and not log.exists()
    assert planner.noted("end").total() == 6


def test_a_missing_data_set_costs_one_start_and_the_others_run(planner):
    words = (
        "reproduce",
        "few_shot",
        "--datasets",
        "dtd",
        "emoji",
        "--trainers",
        "CoOp",
        "--shots",
        "1",
        "--seeds",
        "1",
    )
    done = planner.run(*words, FAKE_MISSING="dtd")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "dtd" in line and "and 1 more: no folder of dtd" in line
    assert planner.noted("start").total() == 3 and planner.noted("end").total() == 2


def test_a_user_error_in_every_data_set_is_the_one_message(planner):
    done = planner.run("reproduce", "few_shot", "--datasets", "dtd", "--trainers", "CoOp", FAKE_MISSING="dtd")
    assert done.returncode == 2 and done.stderr.strip() == "error: no folder of dtd"
    assert planner.noted("start").total() == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_planner_stops_its_runs(planner, number):
    process = planner.start(*FEW, "--workers", 2, FAKE_SECONDS="500")
    wait_for(lambda: planner.noted("start").total() == 2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from here" in stderr
    assert not planner.noted("end")
    assert planner.run(*FEW).returncode == 0  # and no lock is left


def test_two_planners_share_the_work(planner):
    both = [planner.start(*FEW, FAKE_SECONDS="0.6") for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    starts = planner.noted("start")
    assert starts.total() == N_FEW and set(starts.values()) == {1}
    shown = [table_in(out) for out, _ in outputs]
    assert shown[0] == shown[1] and "51.5 ± 0.7" in shown[0]


def test_a_run_that_outlives_its_killed_planner_is_waited_for(planner, tmp_path):
    words, gate = ("train", "emoji", 1, "--trainer", "ZeroshotCLIP"), tmp_path / "gate"
    killed = planner.start(*words, FAKE_GATE=str(gate))
    wait_for(lambda: planner.noted("start"))
    os.kill(killed.pid, signal.SIGKILL)  # the planner alone: its run goes on
    killed.communicate()
    again = planner.start(*words)
    assert "1 to do" in again.stdout.readline() and "Waiting for another process" in again.stdout.readline()
    gate.touch()
    stdout, stderr = again.communicate(timeout=60)
    assert again.returncode == 0 and "done by another process" in stdout, stderr
    assert planner.noted("start").total() == 1


def test_prompts_that_are_trained_anew_are_tested_anew(planner):
    words = ("base2new", "emoji", "--trainer", "CoOp", "--seeds", "1")
    assert planner.run(*words).returncode == 0
    (base,) = planner.output.glob("base2new/train_base/**/seed1")
    (base / "result.json").unlink()
    assert "4 runs planned: 2 done, 2 to do" in planner.run(*words).stdout
    (new,) = (name for name in planner.noted("end") if "test_new" in name and "CoOp" in name)
    assert planner.noted("end")[new] == 2


def test_workers_share_the_cores(planner):
    cores = len(os.sched_getaffinity(0))
    done = planner.run(*FEW, "--workers", 2, OMP_NUM_THREADS="")
    assert done.returncode == 0 and set(planner.environments()) == {(str(max(1, cores // 2)), "None")}


def test_gpus_are_used_one_run_at_a_time(planner):
    done = planner.run(*FEW, "--gpus", "0,3", FAKE_SECONDS="0.3")
    assert done.returncode == 0
    gpus = [gpu for _, gpu in planner.environments()]
    assert set(gpus) == {"0", "3"} and sorted(gpus[:2]) == ["0", "3"]
    under_way: set[str] = set()
    for line in planner.log.read_text().splitlines():
        word, *_, gpu = line.split()
        assert (gpu in under_way) == (word == "end")
        under_way ^= {gpu}


@pytest.mark.skipif(not importlib.util.find_spec("submitit"), reason="submitit is an optional extra")
def test_the_same_plan_as_jobs(planner):
    words = ("reproduce", "base2new", "--datasets", "emoji", "--trainers", "CoOp", "--seeds", "1", "2")
    words = (*words, "--launcher", "submitit-local", "--slurm", "timeout_min=2", "gpus_per_node=0", "partition=any")
    done = planner.run(*words, FAKE_FAIL="train_base/emoji/shots_16/CoOp/pocket_c16/seed2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Submitted 4 jobs" in done.stdout  # two zero-shot runs; each seed's training and test are one job
    assert planner.noted("end").total() == 4
    assert "ArithmeticError" in done.stderr and "the run whose prompts it tests failed" in done.stderr
    again = planner.run(*words)
    assert again.returncode == 0 and "6 runs planned: 4 done, 2 to do" in again.stdout
    assert set(planner.noted("end").values()) == {1}
