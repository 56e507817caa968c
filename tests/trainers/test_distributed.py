"""Two gloo processes on the CPU end with the prompts and the result of one; the first alone leaves files."""

import contextlib
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.conftest import SMALL
from upt_clip import distributed, train

ROOT = Path(__file__).parents[2]
# A share of 3 and one of 2 pictures; 12 test pictures in batches of 5: parts of 6, the last batches have one.
RUN = [*SMALL, "DATALOADER.TRAIN_X.BATCH_SIZE", "5", "DATALOADER.TEST.BATCH_SIZE", "5", "OPTIM.MAX_EPOCH", "4"]
PARTS = ["TRAINER.ACCUMULATE", "2"]
KINDS = {
    "UPT": ["TRAINER.UPT.PREC", "fp32", "TRAINER.UPT.DROPOUT", "0.5"],
    "VPT": [
        "TRAINER.VPT.PREC",
        "fp32",
        "TEST.FINAL_MODEL",
        "best_val",
        "DATALOADER.NUM_WORKERS",
        "2",
        "TRAINER.ACCUMULATE",
        "2",
    ],
    "CoOp": ["TRAINER.COOP.PREC", "fp32", "TRAINER.COOP.N_CTX", "2", "TEST.FINAL_MODEL", "best_val"],
    "CoCoOp": ["TRAINER.COCOOP.PREC", "fp32", "TRAINER.COCOOP.N_CTX", "2", "OPTIM.MAX_EPOCH", "1"],
    "LinearProbe": ["TRAINER.LINEARPROBE.PREC", "fp32"],
}


@pytest.fixture(scope="module")
def arguments(pets_root, tiny_clip_file):
    def make(name: str, output: Path, *more: str) -> list[str]:
        options = ["--root", pets_root, "--seed", "1", "--trainer", name, "--backbone", tiny_clip_file]
        return [*options, "--output-dir", str(output), *more, *RUN, *KINDS[name]]

    return make


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory, arguments):
    """Folder of all runs on two processes, and what they said; one start of Python serves all tests."""
    folder = tmp_path_factory.mktemp("two")
    runs = [arguments(name, folder / name) for name in KINDS]
    runs += [["killed", *arguments("UPT", folder / "resumed")], arguments("UPT", folder / "resumed")]
    runs.append(["killed", *arguments("UPT", folder / "alone")])
    runs.append(arguments("UPT", folder / "tested", "--eval-only", "--model-dir", str(folder / "UPT")))
    (folder / "runs.json").write_text(json.dumps(runs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(Path(__file__).with_name("torchrun_driver.py")), str(folder / "runs.json")]
    env = os.environ | {"UPT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder, done


def prompts(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "prompts.safetensors")


def rows(directory: Path) -> list[dict]:
    with (directory / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def same_result(ours: Path, theirs: Path) -> None:
    found, wanted = ([(row["path"], row["label"], row["predicted"]) for row in rows(d)] for d in (ours, theirs))
    assert found == wanted and len(found) == 12
    numbers = [json.loads((d / "result.json").read_text()) for d in (ours, theirs)]
    for key in ("accuracy", "macro_f1", "n_test", "epochs", "few_shot_sha256"):
        assert numbers[0][key] == numbers[1][key], key


@pytest.mark.parametrize("name", KINDS)
def test_two_processes_end_where_one_does(torchrun, arguments, name, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "collect_env_info", str)
    train.main(train.parse_args(arguments(name, tmp_path)))
    folder = torchrun[0] / name
    for key, tensor in prompts(tmp_path).items():
        torch.testing.assert_close(prompts(folder)[key], tensor, atol=1e-5, rtol=1e-5)
    same_result(folder, tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in tmp_path.iterdir())


def test_a_resumed_run_ends_as_one_that_went_through_bit_for_bit(torchrun):
    folder, done = torchrun
    assert done.stderr.count("killed, process") == 4 and "after epoch 2" in done.stdout
    for key, tensor in prompts(folder / "UPT").items():
        assert torch.equal(prompts(folder / "resumed")[key], tensor), key
    same_result(folder / "resumed", folder / "UPT")


def test_a_run_may_go_on_with_one_process(torchrun, arguments, monkeypatch, capsys):
    monkeypatch.setattr(train, "collect_env_info", str)
    folder = torchrun[0]
    train.main(train.parse_args(arguments("UPT", folder / "alone")))
    assert "after epoch 2" in capsys.readouterr().out
    for key, tensor in prompts(folder / "UPT").items():
        torch.testing.assert_close(prompts(folder / "alone")[key], tensor, atol=1e-5, rtol=1e-5)
    same_result(folder / "alone", folder / "UPT")


def test_the_first_process_alone_prints_and_leaves_files(torchrun):
    folder, done = torchrun
    same_result(folder / "tested", folder / "UPT")
    assert done.stdout.count("Evaluate on the *test* set") == len(KINDS) + 2
    assert done.stdout.count("2 processes share every batch") == len(KINDS) + 4
    left = {p.name for p in folder.iterdir() if not p.name.startswith("torchelastic")} - {"runs.json", "cache"}
    assert left == {*KINDS, "resumed", "alone", "tested"}  # no temporary folder, nothing beside the output directories


@pytest.mark.parametrize(("theirs", "is_error"), [(5.0, False), (5.5, True)])
def test_processes_that_learn_different_things_are_stopped(monkeypatch, theirs, is_error):
    def all_gather(found, mine):
        found[0].copy_(mine)
        found[1].fill_(theirs)

    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather", all_gather)
    with pytest.raises(ValueError, match="self.parallel") if is_error else contextlib.nullcontext():
        distributed.check_same([torch.tensor([2.0, 3.0])])


def test_several_processes_need_a_seed(config, monkeypatch):
    monkeypatch.setattr("torch.distributed.is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="several processes need a --seed"):
        distributed.start(config("CoOp", seed=-1))


def test_one_process_needs_nothing(config):
    cfg = config("CoOp")
    assert distributed.start(cfg) is cfg and distributed.world() == 1
    batch = {"label": torch.zeros(3)}
    assert distributed.share(batch) is batch
    assert distributed.parallel(torch.nn.Linear(1, 1)).__class__ is torch.nn.Linear


@pytest.mark.parametrize(("n", "world"), [(7, 2), (7, 3), (8, 4), (5, 5)])
def test_parts_cover_everything_once_in_order(monkeypatch, n, world):
    monkeypatch.setattr(distributed, "world", lambda: world)
    found = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        found += list(distributed.Part(n))
        share = distributed.share({"label": torch.arange(n), "impath": list("abcdefgh"[:n])})
        assert len(share["label"]) == len(share["impath"]) == len(distributed.Part(n))
        assert share["weight"] == len(share["label"]) * world / n
    assert found == list(range(n))


def test_fewer_pictures_than_processes(monkeypatch):
    monkeypatch.setattr(distributed, "world", lambda: 4)
    with pytest.raises(ValueError, match=r"a training batch has 3 pictures for 4 processes: change DATALOADER.TRAIN_X"):
        distributed.share({"label": torch.zeros(3)})
