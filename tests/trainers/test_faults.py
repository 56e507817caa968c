"""Damaged resume points, full disks, folders that cannot be written to, NaN: a clear end, and nothing is lost."""

import errno
import os
import random
import subprocess

import pytest
import torch

from tests import kills
from tests.trainers.conftest import SMALL
from upt_clip import files, train
from upt_clip.trainers.core.runs import resume, run_dir

COOP = ["CoOp", "TRAINER.COOP.N_CTX", "2"]


@pytest.fixture
def interrupted(build, tmp_path, monkeypatch):
    """The directory of a run of four epochs that was interrupted after two."""
    trainer = build(*COOP, "OPTIM.MAX_EPOCH", "4", output=tmp_path / "run")
    before_epoch = type(trainer).before_epoch

    def stop(self):
        if self.epoch == 2:
            raise KeyboardInterrupt
        before_epoch(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(trainer), "before_epoch", stop)
        trainer.train()
    return tmp_path / "run"


def test_any_flipped_byte_and_any_truncation_is_noticed(interrupted, capsys):
    newest, draw = interrupted / "resume.pt", random.Random(0)
    good = newest.read_bytes()
    damaged = [good[:n] for n in (0, 1, 40, len(good) // 2, len(good) - 1)] + [good + b"\0"]
    for position in draw.sample(range(len(good)), 60):
        damaged.append(good[:position] + bytes([good[position] ^ 1 << draw.randrange(8)]) + good[position + 1 :])
    for content in damaged:
        newest.write_bytes(content)
        assert resume.read(interrupted)["epoch"] == 1
        assert capsys.readouterr().out == (f"Damaged {newest} is passed over: resume.pt.previous is used, of epoch 1\n")
    newest.write_bytes(good)
    assert resume.read(interrupted)["epoch"] == 2 and not capsys.readouterr().out


def test_with_both_resume_points_damaged_a_run_starts_anew_and_ends_the_same(interrupted, build, tmp_path, capsys):
    for name in resume.NAMES:
        (interrupted / name).write_bytes(b"")
    again = build(*COOP, "OPTIM.MAX_EPOCH", "4", output=interrupted)
    again.train()
    assert again.start_epoch == 0 and "Damaged resume.pt and resume.pt.previous" in capsys.readouterr().out
    whole = build(*COOP, "OPTIM.MAX_EPOCH", "4", output=tmp_path / "whole")
    whole.train()
    assert torch.equal(again.model.learner.ctx, whole.model.learner.ctx)


def test_what_a_kill_left_half_written_is_removed_at_the_next_start(interrupted, build):
    left = [interrupted / ".resume.pt-abcdefgh.tmp", interrupted / "prompt_learner" / "model.pth.tar-4.part"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    foreign = interrupted / ".editor.tmp"
    foreign.write_bytes(b"somebody else's")
    again = build(*COOP, "OPTIM.MAX_EPOCH", "4", output=interrupted)
    again.train()
    assert again.start_epoch == 2 and not any(path.exists() for path in left) and foreign.is_file()


def test_a_run_that_was_killed_goes_on_in_another_folder(interrupted, build, tmp_path):
    before = {path.name: path.read_bytes() for path in interrupted.iterdir() if path.is_file()}
    options = [*COOP, "OPTIM.MAX_EPOCH", "4"]
    second = build(*options, "RESUME", str(interrupted), output=tmp_path / "second")
    second.train()
    whole = build(*options, output=tmp_path / "whole")
    whole.train()
    assert second.start_epoch == 2 and torch.equal(second.model.learner.ctx, whole.model.learner.ctx)
    assert before == {path.name: path.read_bytes() for path in interrupted.iterdir() if path.is_file()}


def test_a_finished_run_that_is_started_again_says_the_same(build, tmp_path):
    runs = []
    for _ in range(2):
        trainer = build(*COOP, output=tmp_path / "run")
        trainer.train()
        runs.append(kills.snapshot(tmp_path / "run"))
        runs[-1]["result.json"]["train_seconds"] = run_dir.finished_seconds(tmp_path / "run", 2)
    assert runs[0] == runs[1] and runs[0]["result.json"]["epochs"] == 2
    assert runs[0]["result.json"]["train_seconds"] > 0


@pytest.fixture(autouse=True)
def no_questions_about_the_machine(monkeypatch):
    monkeypatch.setattr(train, "collect_env_info", lambda: "")  # it asks pip and others


def arguments(pets_root, clip, output, *opts) -> list[str]:
    options = ["--root", pets_root, "--seed", "1", "--trainer", "CoOp", "--backbone", clip, "--output-dir", str(output)]
    return [*options, *SMALL, *COOP[1:], *opts]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_write_that_fails_ends_in_one_line_and_loses_nothing(
    number, pets_root, tiny_clip_file, tmp_path, monkeypatch, capsys
):
    argv = arguments(pets_root, tiny_clip_file, tmp_path / "run")
    names = ["config.yaml", "resume.pt", "predictions.csv", "prompts.safetensors", "result.json"]
    real = files.sync
    for name in names:

        def fail(path, name=name):
            if path.name.startswith(f".{name}"):
                raise OSError(number, os.strerror(number))
            real(path)

        with monkeypatch.context() as patch:
            patch.setattr(files, "sync", fail)
            assert train.cli(argv) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("error: ") and os.strerror(number) in said and f"run/{name}" in said
        assert not list((tmp_path / "run").glob(".*.tmp"))
    assert train.cli(argv) == 0
    assert train.cli(arguments(pets_root, tiny_clip_file, tmp_path / "whole")) == 0
    found, wanted = kills.snapshot(tmp_path / "run"), kills.snapshot(tmp_path / "whole")
    assert not kills.differences(found, wanted)


def mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own; `mount` can change its size. Only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_and_a_read_only_disk(small_disk, zygote, tmp_path):
    case, log, bench = kills.CASES["best on val"], tmp_path / "said", kills.Bench(tmp_path, zygote)
    wanted, *_ = bench.undisturbed(case)
    for size in ("28k", "120k", "350k", "700k", "1100k"):  # full while the log, a resume point, ... is written
        mount("-o", f"remount,size={size}", str(small_disk))
        run = bench.start(case, small_disk / "run", log=log)
        status = run.wait()
        print(size, status, run.said.splitlines()[-3:])
        assert status == 2 and "Traceback" not in run.said, run.said[-1500:]
        assert sum(line.startswith("error: ") for line in run.said.splitlines()) == 1
    mount("-o", "remount,ro", str(small_disk))
    run = bench.start(case, small_disk / "run", log=log)
    assert run.wait() == 2 and "Read-only file system" in run.said and "Traceback" not in run.said
    mount("-o", "remount,rw,size=20m", str(small_disk))
    assert bench.start(case, small_disk / "run", log=log).wait() == 0
    assert not kills.differences(kills.snapshot(small_disk / "run"), wanted)


def test_nan_says_where_which_pictures_and_what_is_kept(pets_root, tiny_clip_file, tmp_path, capsys):
    argv = arguments(pets_root, tiny_clip_file, tmp_path / "run", "OPTIM.LR", "1e30", "OPTIM.MAX_EPOCH", "3")
    assert train.cli(argv) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: epoch 2 of 3, step ") and said.count(".jpg") == 4 and "OPTIM.LR" in said
    assert resume.read(tmp_path / "run")["epoch"] == 1
    assert f"{tmp_path / 'run'} keeps the state after epoch 1" in said


def test_prompts_that_became_nan_are_not_saved(build, tmp_path):
    trainer = build(*COOP, output=tmp_path / "run")
    run_epoch = trainer.run_epoch

    def break_it():
        run_epoch()
        if trainer.epoch == 1:
            trainer.model.learner.ctx.data[0, 0] = float("nan")

    trainer.run_epoch = break_it
    with pytest.raises(FloatingPointError, match="epoch 2 of 2: ctx became NaN or infinite"):
        trainer.train()
    assert resume.read(tmp_path / "run")["epoch"] == 1 and not (tmp_path / "run" / "prompt_learner").exists()


def test_nan_in_a_test_is_no_class(build, tmp_path):
    trainer = build(*COOP, output=tmp_path / "run")
    trainer.model.learner.ctx.data[:] = float("nan")
    with pytest.raises(FloatingPointError, match=r"test of .*\.jpg and 8 more: an output is NaN"):
        trainer.test()
    assert not (tmp_path / "run" / "result.json").exists()
