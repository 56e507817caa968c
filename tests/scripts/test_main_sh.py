"""The scripts as users call them, on small trees with a small random CLIP given by path."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trees import make_folder, make_oxford_pets, only_read
from upt_clip.__main__ import main as upt_clip

ROOT = Path(__file__).parents[2]
SMALL = [
    "INPUT.SIZE", "(32, 32)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "8",
    "OPTIM.MAX_EPOCH", "2",
]  # fmt: skip


def run(*command, cwd=ROOT, **environment) -> subprocess.CompletedProcess:
    env = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def main_sh(*arguments, **kwargs) -> subprocess.CompletedProcess:
    return run("bash", ROOT / "scripts/upt/main.sh", *arguments, **kwargs)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("data")
    make_oxford_pets(root, 3, 8)
    make_folder(root, "my photos")
    with only_read(root):
        yield root


def test_oxford_pets_runs_for_every_trainer_from_any_folder(data, tiny_clip_file, tmp_path):
    options = ["oxford_pets", "1", "--trainer", "CoOp VPT UPT", "--seeds", "1", "--root", data, "--output", "runs"]
    small = [*SMALL, "MODEL.BACKBONE.NAME", tiny_clip_file]
    done = main_sh(*options, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("result.json")]
    assert sorted(r["trainer"] for r in results) == ["CoOp", "UPT", "VPT", "ZeroshotCLIP"]
    for result in results:
        row = next(line for line in done.stdout.splitlines() if line.startswith(result["trainer"]))
        assert re.search(rf" {result['accuracy']:.1f} ", row)
    again = main_sh(*options, *small, cwd=tmp_path)
    assert "4 runs planned: 4 done, 0 to do" in again.stdout and again.returncode == 0


def test_a_folder_of_photos_needs_no_yaml(data, tiny_clip_file, tmp_path):
    small = [*SMALL, "MODEL.BACKBONE.NAME", tiny_clip_file]
    done = main_sh("my photos", "1", "--seeds", "1 2", "--root", data, "--output", tmp_path, *small)
    assert done.returncode == 0, done.stdout + done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("UPT"))
    assert " 2 " in row and "±" in row


def test_photos_anywhere_are_only_read_and_their_runs_are_told_apart(tmp_path, capsys, monkeypatch):
    """Two folders of one name, by an absolute and by a relative path, and what is made of their runs."""
    monkeypatch.chdir(tmp_path)
    folders = [make_folder(tmp_path / place, "photos", parts=("",)) for place in ("here", "there")]
    (tmp_path / "work").mkdir()
    options = ["2", "--cfg", "pocket", "--seeds", "1", "--output", tmp_path / "runs", "OPTIM.MAX_EPOCH", "1"]
    with only_read(*folders):
        for word in (folders[0], "../there/photos/"):
            done = main_sh(word, *options, cwd=tmp_path / "work")
            assert done.returncode == 0, done.stdout + done.stderr
        again = main_sh("../here/photos", *options, cwd=tmp_path / "work")
        assert "2 runs planned: 2 done, 0 to do" in again.stdout
        found = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("result.json")}
        names = {result["image_dir"]: path for path, result in found.items() if result["trainer"] == "UPT"}
        one, other = (names[str(folder)].relative_to(tmp_path / "runs").parts[0] for folder in folders)
        assert one == "photos" and re.fullmatch(r"photos-[0-9a-f]{8}", other) and len(found) == 4
        assert upt_clip(["table", "few_shot", "runs", "--seeds", "1"]) == 0
        rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " UPT " in line]
        assert rows == [one, other, "average"]
        assert upt_clip(["plot", "runs", "--out", "plots", "--seeds", "1"]) == 0
        assert upt_clip(["report", "runs", "--seeds", "1"]) == 0
        page = (tmp_path / "runs/report.html").read_text()
        assert other in page and "data:image/" in page  # pictures of the photos, too
        for run in names.values():
            assert upt_clip(["test", str(run)]) == 0


def test_dry_run_prints_commands_that_are_the_papers_protocol(tmp_path):
    for shots, epochs in ((1, 50), (2, 100), (4, 100), (8, 200), (16, 200)):
        done = main_sh("oxford_pets", shots, "--output", tmp_path, DRY_RUN="1")
        commands = done.stdout.splitlines()
        assert len(commands) == 4 and not list(tmp_path.iterdir())  # zero-shot, three seeds
        assert "--trainer ZeroshotCLIP" in commands[0] and "MAX_EPOCH" not in commands[0]
        for seed, command in enumerate(commands[1:], 1):
            assert f"--seed {seed} " in command and f"OPTIM.MAX_EPOCH {epochs}" in command
            assert f"DATASET.NUM_SHOTS {shots}" in command and "vit_b16_paper.yaml" in command
    assert "OPTIM.MAX_EPOCH 50" in main_sh("imagenet", 16, DRY_RUN="1").stdout
    changed = main_sh("oxford_pets", 16, "TRAINER.UPT.MIXER", "joint", DRY_RUN="1").stdout
    assert " --no-cache DATASET." in main_sh("oxford_pets", 16, "--no-cache", DRY_RUN="1").stdout
    assert "/MIXER-joint/seed1" in changed  # a changed key has a directory of its own


def test_help_and_user_errors():
    assert "DATASET|PHOTOS [SHOTS]" in main_sh("-h").stdout
    for arguments, message in (
        (["oxford_pet", "16"], "did you mean oxford_pets?"),
        (["emoji", "16", "--trainer", "UTP"], "did you mean UPT?"),
        (["emoji", "16", "--cfg", "vit"], "use --cfg with one of"),
        (["emoji", "0"], "SHOTS is 0"),
        (["emoji", "16", "--seeds", "one"], '--seeds is "one"'),
        (["emoji", "16", "OPTIM.LR"], "come in pairs"),
        (["emoji", "16", "--sedes", "1"], "unknown option --sedes"),
    ):
        done = main_sh(*arguments, DRY_RUN="1")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, arguments


def test_missing_data_says_where_it_looked_and_what_to_try(tmp_path):
    done = main_sh("oxford_pets", 16, "--root", tmp_path, "--output", tmp_path / "runs")
    assert done.returncode == 2 and "Traceback" not in done.stderr + done.stdout
    (line,) = done.stderr.strip().splitlines()
    for part in (str(tmp_path / "oxford_pets"), "DATASETS.md", "robots.ox.ac.uk", "upt-clip train emoji 16"):
        assert part in line
    assert "--debug" not in done.stderr + done.stdout  # which this command does not have


def test_a_failed_run_is_reported_and_the_others_go_on(data, tiny_clip_file, tmp_path):
    blocked = tmp_path / "oxford_pets/UPT"
    arguments = ["oxford_pets", "1", "--seeds", "1 2", "--root", data, "--output", tmp_path, *SMALL]
    arguments += ["MODEL.BACKBONE.NAME", tiny_clip_file]
    first = main_sh(*arguments, "OPTIM.LR", "1e38")  # nothing is a number after a step
    assert first.returncode == 1 and blocked.is_dir()
    assert first.stdout.count("FAILED") == 2 and "NaN" in first.stdout
    assert "failed" in first.stdout and "0 of 2 (incomplete)" in first.stdout


def test_a_killed_run_goes_on(data, tiny_clip_file, tmp_path):
    arguments = ["oxford_pets", "1", "--seeds", "1", "--root", data, "--output", tmp_path, *SMALL]
    arguments += ["MODEL.BACKBONE.NAME", tiny_clip_file, "OPTIM.MAX_EPOCH", "60"]
    process = subprocess.Popen(
        ["bash", str(ROOT / "scripts/upt/main.sh"), *map(str, arguments)],
        env=os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.time() + 120
    while not list(tmp_path.rglob("UPT/**/resume.pt.previous")) and time.time() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.rglob("UPT/**/result.json"))
    done = main_sh(*arguments)
    assert done.returncode == 0, done.stdout
    (log,) = tmp_path.rglob("UPT/**/log.txt-*")
    assert "Resuming" in log.read_text()


def test_train_py_trains_evaluates_and_resumes_with_coops_options(data, tiny_clip_file, tmp_path):
    common = [
        sys.executable, "train.py", "--root", data, "--seed", "0", "--trainer", "CoOp", "--backbone", tiny_clip_file,
        "--dataset-config-file", "configs/datasets/oxford_pets.yaml",
        "--config-file", "configs/trainers/CoOp/vit_b16_c16.yaml",
    ]  # fmt: skip
    keys = [*SMALL, "DATASET.NUM_SHOTS", "2", "TRAINER.COOP.N_CTX", "4"]
    trained = run(*common, "--output-dir", tmp_path / "run", *keys)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    for line in ("Setting fixed seed: 0", "Finish training", "Deploy the last-epoch model", "* accuracy: ", "  COOP:"):
        assert line in trained.stdout
    assert "  UPT:" not in trained.stdout  # another trainer's keys
    again = run(*common, "--output-dir", tmp_path / "run", *keys)
    assert "epoch [" not in again.stdout and "* accuracy: " in again.stdout  # finished: tested again, not trained
    evaluate = ["--eval-only", "--model-dir", tmp_path / "run", "--load-epoch", 2]
    tested = run(*common, "--output-dir", tmp_path / "eval", *evaluate, *keys)
    assert "Loading weights to prompt_learner" in tested.stdout and "Finish training" not in tested.stdout
    first, second = (json.loads((tmp_path / d / "result.json").read_text()) for d in ("run", "eval"))
    assert first["accuracy"] == second["accuracy"] and second["seed"] == 0
    nothing = run(*common, "--output-dir", tmp_path / "x", "--eval-only", *keys)
    assert nothing.returncode == 2 and "--model-dir" in nothing.stderr
    shutil.rmtree(tmp_path / "x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trainer", "COOP", "--backbone", "pocket"], "did you mean CoOp?"),
        (["OPTIM.LRR", "1"], "did you mean OPTIM.LR?"),
        (["OPTIM.LR", "1"], "OPTIM.LR cannot be"),
        (["--config-file", "configs/trainers/UPT/none.yaml"], "vit_b16_paper"),
        (["--trainer", "UPT"], "no backbone"),
        (["--trainer", "UPT", "--backbone", "ViT-B/61"], "did you mean ViT-B/16?"),
    ],
)
def test_train_py_errors_are_one_line(arguments, message, capsys, tmp_path):
    from upt_clip import train
    from upt_clip.trainers.core.clip.loader import load_clip

    arguments = ["--dataset-config-file", str(ROOT / "configs/datasets/emoji.yaml"), *arguments]
    args = train.parse_args(arguments)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        cfg = train.setup_cfg(args)
        load_clip(cfg.MODEL.BACKBONE.NAME)
    assert message in str(caught.value) and "\n" not in str(caught.value)
