"""A Dassl.pytorch on the path is used, also where the packages are missing that it asks for without needing them."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.trees import make_oxford_pets
from upt_clip.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
NEEDED_FOR_NOTHING = ("gdown", "pandas", "wilds")
pytestmark = pytest.mark.skipif(
    any(map(find_spec, NEEDED_FOR_NOTHING)), reason="packages that must be missing are there"
)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Path:
    """A folder with a stand-in for Dassl.pytorch: ours, with its version and with what it imports at the top."""
    folder = tmp_path_factory.mktemp("dassl")
    shutil.copytree(ROOT / "toolbox/dassl", folder / "dassl", ignore=shutil.ignore_patterns("__pycache__"))
    init = folder / "dassl/__init__.py"
    init.write_text(init.read_text().replace("+upt", ""))
    datasets = folder / "dassl/data/datasets"
    base = datasets / "base_dataset.py"
    base.write_text("import gdown\n" + base.read_text())
    (datasets / "dg").mkdir()
    (datasets / "dg/__init__.py").write_text("from .wilds import *\n")
    (datasets / "dg/wilds.py").write_text("import pandas\nimport wilds\n")
    with (datasets / "__init__.py").open("a") as file:
        file.write("from .dg import *\n")
    scheduler = folder / "dassl/optim/lr_scheduler.py"
    if "_BaseWarmupScheduler" not in scheduler.read_text():
        with scheduler.open("a") as file:
            file.write("\n\nclass _BaseWarmupScheduler:\n    pass\n")
    return folder


def run(theirs: Path, *command) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(theirs), str(ROOT)])
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *map(str, command)], env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("first", ["upt_clip.trainers", "upt_clip.datasets", "upt_clip.train", "dassl.engine"])
def test_it_is_imported_whatever_comes_first(theirs, first):
    code = (
        f"import upt_clip, {first}, dassl, sys; from upt_clip import dassl_compat\n"
        "print(dassl_compat.which_dassl(), 'gdown' in sys.modules)"
    )
    done = run(theirs, "-c", code)
    assert done.stdout.startswith("Dassl.pytorch 0.6.3") and done.stdout.endswith("False\n"), done.stderr


def test_what_is_missing_is_named_when_it_is_used(theirs):
    code = "import upt_clip; from dassl.data.datasets import base_dataset as b; b.gdown.download('x')"
    assert "pip install gdown" in run(theirs, "-c", code).stderr.splitlines()[-1]


def test_every_command_starts(theirs):
    code = (
        "from upt_clip import __main__\n"
        "for name in __main__.COMMANDS:\n"
        "    try:\n"
        "        print(name, __main__.main([name, '-h']))\n"
        "    except SystemExit as end:\n"
        "        print(name, end.code)\n"
        "import upt_clip.tools.data.check, upt_clip.tools.use.rerun, upt_clip.tools.bench.works\n"
    )
    done = run(theirs, "-c", code)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"\n{name} 0\n" in f"\n{done.stdout}", done.stderr


def test_a_run_trains_and_tests(theirs, tiny_clip_file, tmp_path):
    make_oxford_pets(tmp_path, 3, 8)
    words = ["--root", tmp_path, "--seed", 1, "--trainer", "CoOp", "--backbone", tiny_clip_file]
    words += ["--output-dir", tmp_path / "out", "DATASET.NAME", "OxfordPets", "DATASET.NUM_SHOTS", 2]
    words += ["INPUT.SIZE", "(32, 32)", "OPTIM.MAX_EPOCH", 1, "DATALOADER.NUM_WORKERS", 0]
    done = run(theirs, "-m", "upt_clip", "run", *words)
    assert done.returncode == 0, done.stderr
    assert '"dassl": "Dassl.pytorch 0.6.3"' in (tmp_path / "out/result.json").read_text()
