"""The protocol scripts with the real train.py, on small trees with a small random CLIP given by path."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import trees

ROOT = Path(__file__).parents[2]
SMALL = [
    "INPUT.SIZE", "(32, 32)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "8",
    "OPTIM.MAX_EPOCH", "2",
]  # fmt: skip
SHIFTS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")


def start(script, *words, cwd=ROOT, **environment) -> subprocess.Popen:
    env = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    command = ["bash", str(ROOT / f"scripts/upt/{script}.sh"), *map(str, words)]
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(script, *words, **kwargs) -> subprocess.CompletedProcess:
    process = start(script, *words, **kwargs)
    stdout, stderr = process.communicate(timeout=400)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def results(folder) -> dict[str, dict]:
    """Content of each result.json by its directory, relative to the folder."""
    found = Path(folder).rglob("result.json")
    return {path.parent.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in found}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("data")
    trees.make_oxford_pets(root, 5, 8)
    for name in ("imagenet", *SHIFTS):
        getattr(trees, f"make_{name}")(root)
    with trees.only_read(root):
        yield root


def test_base2new_trains_on_base_and_tests_both_halves_from_any_folder(data, tiny_clip_file, tmp_path):
    keys = [*SMALL, "MODEL.BACKBONE.NAME", tiny_clip_file]
    words = ["oxford_pets", "--trainer", "CoOp", "--seeds", "1", "--root", data, "--output", "runs", *keys]
    done = run("base2new", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(tmp_path / "runs" / "base2new")
    (base,) = (r for name, r in found.items() if name.startswith("train_base/oxford_pets/shots_16/CoOp/"))
    (new,) = (r for name, r in found.items() if name.startswith("test_new/oxford_pets/shots_16/CoOp/"))
    assert [(r["classes"], r["n_classes"]) for r in (base, new)] == [("base", 3), ("new", 2)] and len(found) == 4
    assert new["train_seconds"] == 0 and new["epochs"] == base["epochs"] == 2  # the prompts are those of the base run
    assert not list((tmp_path / "runs/base2new/test_new").rglob("*.tar*"))
    row = next(line for line in done.stdout.splitlines() if re.search(r"\bCoOp\b.*\d\.\d", line) and "seed" not in line)
    harmonic = 2 * base["accuracy"] * new["accuracy"] / max(base["accuracy"] + new["accuracy"], 1e-9)
    for value in (base["accuracy"], new["accuracy"], harmonic):
        assert f"{value:.1f}" in row or f"{value:.2f}" in row
    again = run("base2new", *words, cwd=tmp_path)
    assert "4 runs planned: 4 done, 0 to do" in again.stdout


def test_domain_generalization_takes_imagenet_where_it_is(data, tiny_clip_file, tmp_path):
    keys = [*SMALL, "MODEL.BACKBONE.NAME", tiny_clip_file]
    done = run(
        "domain_generalization", "--trainer", "UPT", "--seeds", "1", "--workers", "2", "--root", data,
        "--output", tmp_path, *keys,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr
    found = results(tmp_path)
    evaluated = {name.split("/")[-2]: r for name, r in found.items() if name.startswith("evaluation/UPT/")}
    assert sorted(evaluated) == sorted(SHIFTS) and len(found) == 5 + 1 + 4
    for name, r in evaluated.items():
        assert r["trainer"] == "UPT" and r["train_seconds"] == 0, name
        assert f"{r['accuracy']:.1f}" in done.stdout
    assert all(name in done.stdout for name in SHIFTS)


def test_a_killed_and_restarted_plan_gives_the_table_of_an_undisturbed_one(data, tiny_clip_file, tmp_path):
    keys = [*SMALL, "MODEL.BACKBONE.NAME", tiny_clip_file, "OPTIM.MAX_EPOCH", "40", "TRAIN.PRINT_FREQ", "1"]
    words = ["few_shot", "--datasets", "oxford_pets", "--trainers", "UPT", "--shots", "1", "--seeds", "1", "2"]
    words += ["--root", data, *keys]
    whole = run("reproduce", *words, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    killed = start("reproduce", *words, "--output", tmp_path / "killed")
    deadline = time.time() + 120
    while not list((tmp_path / "killed").rglob("UPT/**/resume.pt.previous")) and time.time() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    killed.stderr.close()
    assert not list((tmp_path / "killed").rglob("UPT/**/result.json"))
    again = run("reproduce", *words, "--output", tmp_path / "killed")
    assert again.returncode == 0, again.stdout + again.stderr
    tables = [
        text.split("\n\n", 1)[1].replace("/whole", "").replace("/killed", "") for text in (whole.stdout, again.stdout)
    ]
    assert tables[0] == tables[1] and "UPT" in tables[0]
    first, second = (
        {name: (r["accuracy"], r["macro_f1"]) for name, r in results(tmp_path / folder).items()}
        for folder in ("whole", "killed")
    )
    assert first == second and len(first) == 3


def test_train_py_never_trains_when_asked_to_test(data, tiny_clip_file, tmp_path, monkeypatch):
    from upt_clip import train

    def no_training(trainer):
        raise AssertionError("trained")

    monkeypatch.setattr(train.trainers.CoOp, "train", no_training)
    config, dataset = "configs/trainers/CoOp/vit_b16_c4_ctxv1.yaml", "configs/datasets/oxford_pets.yaml"
    common = ["--root", data, "--seed", "1", "--trainer", "CoOp", "--backbone", tiny_clip_file, "--eval-only"]
    common += ["--dataset-config-file", ROOT / dataset, "--config-file", ROOT / config]
    cases = (
        ([], "--model-dir"),
        (["--model-dir", tmp_path], "Model not found"),
        (["--model-dir", tmp_path / "nowhere"], "Model not found"),
        (["--model-dir", tmp_path, "DATASET.SUBSAMPLE_CLASSES", "newest"], "must be all, base or new"),
    )
    for i, (words, message) in enumerate(cases):
        args = train.parse_args([*map(str, [*common, "--output-dir", tmp_path / f"run{i}", *words, *SMALL])])
        with pytest.raises((ValueError, FileNotFoundError), match=message):  # these are exit status 2
            train.main(args)


@pytest.mark.parametrize("script", ["base2new", "domain_generalization", "cross_dataset", "reproduce"])
def test_every_script_has_help_and_a_dry_run_from_any_folder(script, tmp_path):
    assert f"usage: upt-clip {script} " in run(script, "-h", cwd=tmp_path).stdout
    words = {"base2new": ["emoji"], "reproduce": ["ablation"]}.get(script, [])
    done = run(script, *words, "--root", "none", "--output", "runs", cwd=tmp_path, DRY_RUN="1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 5 and all(line.startswith("python -m upt_clip run ") for line in lines)
    assert all(f"--output-dir {tmp_path}/runs/" in line for line in lines) and not list(tmp_path.iterdir())
    assert run(script, "--sedes", cwd=tmp_path).returncode == 2
