"""Training and predicting where the system is as Windows is, as far as another system can play that."""

import json
import os

import pytest
from PIL import Image

from tests.environments.lacking import run, upt_clip
from tests.test_structure import files, module_name
from tests.trainers.conftest import SMALL, pets_root  # noqa: F401
from upt_clip.files import sync

# The modules `resource` and `fcntl` are lacking; folders cannot be opened; `os` and `signal` have fewer names.
WINDOWS = """
import os, shutil, signal, torch  # torch knows Windows by another name
shutil._use_fd_functions = False
for name in ("register_at_fork", "getloadavg", "sysconf", "geteuid", "O_CLOEXEC"):
    delattr(os, name)
del signal.SIGHUP
really_open = os.open
def open_no_folder(path, *more, **options):
    if isinstance(path, (str, os.PathLike)) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return really_open(path, *more, **options)
os.open = open_no_folder
"""
AS_THERE = {"lacking": ("resource", "fcntl"), "more": WINDOWS}
NOTE = "Note: locks are off (this system has none): start no second process in the same folder\n"


@pytest.mark.parametrize("psutil", [False, True])
def test_training_and_predicting(pets_root, tiny_clip_file, tmp_path, psutil):  # noqa: F811
    site, output, picture = tmp_path / "site", tmp_path / "out", tmp_path / "a.png"
    site.mkdir()
    if psutil:
        values = "type('Memory', (), {'peak_wset': 300 * 2**20, 'available': 2**33})"
        text = f"class Process:\n    memory_info = staticmethod(lambda: {values})\nvirtual_memory = lambda: {values}\n"
        (site / "psutil.py").write_text(text)
    lacking = AS_THERE["lacking"] + (() if psutil else ("psutil",))
    options = ["--root", pets_root, "--seed", "1", "--trainer", "CoOp", "--backbone", tiny_clip_file]
    words = ["run", *options, "--output-dir", output, *SMALL, "OPTIM.MAX_EPOCH", "1", "TRAINER.COOP.N_CTX", "2"]
    done = upt_clip(site, *words, lacking=lacking, more=WINDOWS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(NOTE) == 1
    result = json.loads((output / "result.json").read_text())
    assert result["peak_memory_mb"] == (300.0 if psutil else None)
    Image.new("RGB", (40, 40)).save(picture)
    done = upt_clip(site, "predict", output, picture, **AS_THERE)
    assert done.returncode == 0 and "a.png" in done.stdout, done.stderr


def test_a_plan_says_once_that_locks_are_off(pets_root, tiny_clip_file, tmp_path):  # noqa: F811
    words = [
        "train",
        "oxford_pets",
        "--shots",
        "1",
        "--root",
        pets_root,
        "--output",
        tmp_path / "out",
        "--seeds",
        "1 2",
    ]
    words += ["--trainers", "CoOp", "--cfg", "vit_b16_c4_ctxv1", "MODEL.BACKBONE.NAME", tiny_clip_file]
    done = upt_clip(tmp_path, *words, "INPUT.SIZE", "(32, 32)", "OPTIM.MAX_EPOCH", "1", **AS_THERE, UPT_FORK="0")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(NOTE) == 1 and len(list((tmp_path / "out").rglob("result.json"))) == 3


def test_the_benchmark_says_that_memory_cannot_be_read(tmp_path):
    words = ["memory", "--backbone", "pocket", "--n-classes", "2", "--batch-size", "2", "--paths", "ours"]
    done = upt_clip(tmp_path, "bench", *words, lacking=(*AS_THERE["lacking"], "psutil"), more=WINDOWS)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: the peak of memory cannot be read here: pip install psutil"


def test_what_is_written_is_synced_as_far_as_the_system_can(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    sync(tmp_path)
    (tmp_path / "a").write_text("a")
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "a")


def test_every_module_can_be_imported(tmp_path):
    paths = [path for folder in ("upt_clip", "trainers", "datasets", "tools") for path in files(folder)]
    names = [module_name(path) for path in paths if path.stem not in ("__main__", "warm")]
    done = run(
        tmp_path, "-c", f"import importlib, upt_clip\nfor name in {names}: importlib.import_module(name)", **AS_THERE
    )
    assert (done.returncode, done.stderr) == (0, "") and len(names) > 80
