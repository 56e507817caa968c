"""The same command twice gives the same bytes, and result.json is enough to run it again."""

import json
import sys

import pytest
import torch

from tests import kills
from tests.trees import make_oxford_pets
from upt_clip import train
from upt_clip.tools.use import rerun

SMALL = [*kills.SMALL, "OPTIM.MAX_EPOCH", "2"]


@pytest.fixture
def command(tmp_path, tiny_clip_file, monkeypatch):
    """command("run", "--seed", "1", ...) -> the directory of a run of train.py."""
    make_oxford_pets(tmp_path / "data", 4, 12)
    monkeypatch.setattr(train, "collect_env_info", lambda: "")  # it asks pip and others
    monkeypatch.chdir(tmp_path)

    def make(directory: str, *opts, trainer: str = "UPT"):
        options = ["--root", "data", "--trainer", trainer, "--backbone", tiny_clip_file, "--output-dir", directory]
        argv = [*options, *map(str, opts), *SMALL]
        monkeypatch.setattr(sys, "argv", ["train.py", *argv])
        assert train.cli(argv) == 0
        return tmp_path / directory

    return make


def result_of(directory) -> dict:
    return json.loads((directory / "result.json").read_text())


def test_a_seed_fixes_every_byte(command):
    one, two, other = (command(name, "--seed", seed) for name, seed in (("one", 0), ("two", 0), ("other", 3)))
    assert (one / "prompts.safetensors").read_bytes() == (two / "prompts.safetensors").read_bytes()
    assert not kills.differences(kills.snapshot(one), kills.snapshot(two))
    assert result_of(one)["prompts_sha256"] != result_of(other)["prompts_sha256"]


def test_a_result_can_be_run_again_from_anywhere(command, tmp_path, monkeypatch, capsys):
    run = command("run", "--seed", "2")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert rerun.main([str(run)]) == 0
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said.startswith(f"identical to {run / 'result.json'}: accuracy") and "bit for bit" in said
    assert not list(elsewhere.iterdir())
    assert rerun.main([str(run / "result.json"), "--output-dir", "kept"]) == 0
    assert not kills.differences(kills.snapshot(elsewhere / "kept"), kills.snapshot(run))


def test_another_outcome_is_shown_with_what_was_different(command, capsys):
    run = command("run", "--seed", "2", trainer="CoOp")
    result = result_of(run)
    result["accuracy"] += 1
    result["versions"]["torch"] = "1.0"
    (run / "result.json").write_text(json.dumps(result))
    assert rerun.main([str(run)]) == 1
    *_, accuracy, made = capsys.readouterr().out.strip().splitlines()
    assert accuracy == f"accuracy: {result['accuracy']} there, {result['accuracy'] - 1} now"
    assert made == f"made with: torch 1.0 there, {torch.__version__} now"


def test_a_test_of_saved_prompts_is_run_again_as_one(command, capsys):
    command("run", "--seed", "1", "DATASET.SUBSAMPLE_CLASSES", "base")
    new = command("new", "--seed", "1", "--eval-only", "--model-dir", "run", "--load-epoch", "2",
                  "DATASET.SUBSAMPLE_CLASSES", "new")  # fmt: skip
    assert result_of(new)["classes"] == "new"
    assert rerun.main([str(new)]) == 0
    assert "identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "without --seed"),
        ({"config": None}, "does not hold config"),
        ("{", "is no result.json"),
    ],
)
def test_what_cannot_be_run_again_says_why(tmp_path, change, message):
    result = {"config": {"DATASET": {"ROOT": "data"}}, "command": ["train.py"], "seed": 1} | dict.fromkeys(
        rerun.OUTCOME, 0
    )
    if isinstance(change, dict):
        result = {key: value for key, value in (result | change).items() if value is not None}
    (tmp_path / "result.json").write_text(change if isinstance(change, str) else json.dumps(result))
    with pytest.raises(ValueError, match=message):
        rerun.main([str(tmp_path)])


def test_keys_that_this_version_does_not_know_are_left_out(capsys):
    config = {"OPTIM": {"LR": 0.5, "NEW": 1}, "OTHER": {"A": 1}, "SEED": -1}
    assert rerun.changed_keys(config, rerun.defaults()) == ({"OPTIM": {"LR": 0.5}}, ["OPTIM.NEW", "OTHER"])


def test_deterministic_runs_on_the_cpu_too_and_is_noted(command, capsys):
    try:
        run = command("run", "--seed", "1", "--deterministic")
        assert result_of(run)["deterministic"] and "Deterministic algorithms" in capsys.readouterr().out
        assert not torch.backends.cudnn.benchmark
        plain = result_of(command("plain", "--seed", "1"))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
    assert plain["prompts_sha256"] == result_of(run)["prompts_sha256"]
