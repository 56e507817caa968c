"""The same ends in processes of their own, as a shell sees them; the other tests call train.cli, to be fast."""

import os
import subprocess
import sys
from pathlib import Path

from tests.bad_input.conftest import BASE

ROOT = Path(__file__).parents[2]


def command(world, *arguments, trainer="CoOp"):
    words = [
        sys.executable,
        "train.py",
        "--root",
        world.root / "data",
        "--trainer",
        trainer,
        "--backbone",
        world.backbone,
    ]
    words += ["--seed", "1", "--output-dir", world.run_dir, *BASE, *arguments]
    return subprocess.run(list(map(str, words)), cwd=ROOT, env={**os.environ}, capture_output=True, text=True)


def test_a_wrong_config_is_one_line_and_nothing_else(world):
    done = command(world, "OPTIM.MAX_EPOCH", "0")
    assert done.returncode == 2 and done.stdout == "" and not world.run_dir.exists()
    assert done.stderr == "error: OPTIM.MAX_EPOCH is 0, choose 1 or more (--debug shows where)\n"


def test_an_unreadable_picture_in_a_worker_is_one_line(world):
    path = world.a_picture()
    path.write_bytes(b"")
    done = command(world, "DATALOADER.NUM_WORKERS", "2")
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.strip() and "it/s" not in line]
    assert line == f"error: cannot read the picture {path} (the file is empty) (--debug shows where)"


def test_a_checkpoint_with_code_is_one_line(world, tmp_path):
    (tmp_path / "theirs/prompt_learner").mkdir(parents=True)
    (tmp_path / "theirs/prompt_learner/model-best.pth.tar").write_bytes(b"cos\nmkdir\n(S'was here'\ntR.")
    options = ["--eval-only", "--model-dir", str(tmp_path / "theirs")]
    words = [sys.executable, str(ROOT / "train.py"), *options, "--root", str(world.root / "data"), "--trainer", "CoOp"]
    words += ["--backbone", world.backbone, *BASE, "OUTPUT_DIR", str(tmp_path / "run")]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "was here").exists()
    assert done.stderr.startswith("error: cannot read the checkpoint ") and done.stderr.count("\n") == 1
