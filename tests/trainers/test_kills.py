"""SIGKILL at random points of real runs: the same command then ends as if nothing had been. `make soak` does more."""

import os
import random
import signal
import time

import pytest

from tests import kills

N_KILLS = {"best on val": 12, "workers": 8, "adam": 3}  # in all at least 20


@pytest.fixture
def bench(zygote, tmp_path) -> kills.Bench:
    return kills.Bench(tmp_path, zygote)


@pytest.mark.parametrize("name", kills.CASES)
def test_a_killed_run_ends_as_an_undisturbed_one_bit_for_bit(bench, name):
    case, draw = kills.CASES[name], random.Random(name)
    wanted, n_changes, n_lines = bench.undisturbed(case)
    assert {"prompts.safetensors", "result.json", "predictions.csv"} <= set(wanted["files"])
    while len(bench.kills) < N_KILLS[name]:
        plans = kills.random_plans(draw, 3, n_changes, n_lines)
        bench.disturb(case, plans[: N_KILLS[name] - len(bench.kills)], wanted)
    assert not bench.lost, "\n".join(bench.lost)


def test_the_comparison_sees_another_seed(bench, tmp_path):
    runs = [bench.start(kills.CASES["adam"], tmp_path / str(seed), "--seed", str(seed)) for seed in (1, 2)]
    assert [run.wait() for run in runs] == [0, 0]
    found = [kills.snapshot(tmp_path / seed) for seed in ("1", "2")]
    assert {"prompts.safetensors", "result.json", "config.yaml"} <= set(kills.differences(*found))


def test_killed_at_the_writes_after_training(bench):
    """Between the last epoch and the end: checkpoint, resume point, test, predictions, prompts, result, clean-up."""
    case = kills.CASES["adam"]
    wanted, n_changes, _ = bench.undisturbed(case)
    for k in range(n_changes - 8, n_changes + 1, 2):
        bench.disturb(case, [("change", k)], wanted)
    assert len(bench.kills) == 5 and not bench.lost, "\n".join(bench.lost)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_second_process_is_refused_until_the_first_is_killed(bench, tmp_path, workers):
    case = [*kills.CASES["adam"], "DATALOADER.NUM_WORKERS", workers, "OPTIM.MAX_EPOCH", "100000"]
    first = bench.start(case, tmp_path / "run")
    wait_until(lambda: "epoch [2/" in first.said)
    second = bench.start(case, tmp_path / "run", log=tmp_path / "second.said")
    assert second.wait() == 2
    errors = [line for line in second.said.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: another process is at work in {tmp_path / 'run'}: wait until it has ended, or choose "
                      "another --output-dir (--debug shows where)"]  # fmt: skip
    assert first.kill() == -signal.SIGKILL
    third = bench.start(case, tmp_path / "run")
    wait_until(lambda: "after epoch" in third.said or "error" in third.said)
    assert "another process" not in third.said
    third.kill()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_is_one_line_and_the_run_can_go_on(bench, tmp_path, workers):
    case = [*kills.CASES["best on val"], "DATALOADER.NUM_WORKERS", workers, "OPTIM.MAX_EPOCH", "8"]
    wanted, *_ = bench.undisturbed(case)
    run = bench.start(case, tmp_path / "run")
    wait_until(lambda: "epoch [2/" in run.said)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    assert run.wait() == 130
    end = run.said.split("epoch [2/", 1)[1].splitlines()[1:]
    assert [line for line in end if line.startswith("Stopped; the same command goes on")]
    assert "Traceback" not in run.said
    again = bench.start(case, tmp_path / "run")
    assert again.wait() == 0 and "Resuming" in again.said
    assert not kills.differences(kills.snapshot(tmp_path / "run"), wanted)


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)
