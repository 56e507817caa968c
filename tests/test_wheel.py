"""The wheel alone, in a new environment and an empty folder, with no checkout on its path: all commands and `load`."""

import email
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import torch
from packaging.version import parse

import upt_clip
from tests.trees import make_folder
from upt_clip.tools.use.export import PT2_SINCE

pytest.importorskip("setuptools", minversion="77.0.3", reason="pyproject.toml builds with setuptools 77 or newer")
ROOT = Path(__file__).parents[1]
LARGEST_MB = 40
TRACKED = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("upt_clip", "trainers", "datasets", "tools", "configs", "assets", "toolbox")
RUN = "output/photos/UPT/pocket_c16_2shots/MAX_EPOCH-2/seed1"
FORMAT = "pt2" if parse(torch.__version__) >= parse(PT2_SINCE) else "torchscript"
# One process for all, since each would import torch anew.
COMMANDS = f"""
import json, sys
from pathlib import Path
from upt_clip import __main__, load
def run(*words):
    print("$", *words, flush=True)
    assert __main__.main(list(words)) == 0, words
run("train", "photos", "--shots", "2", "--cfg", "pocket", "--seeds", "1", "OPTIM.MAX_EPOCH", "2")
run("test", "{RUN}")
run("test", "{RUN}", "--data", str(Path("photos").absolute()), "--output", "tested")
run("table", "few_shot", "output", "--seeds", "1")
run("plot", "output", "--out", "plots", "--seeds", "1")
run("report", "output", "--seeds", "1")
run("rerun", "{RUN}")
run("words", "{RUN}", "--top", "1")
run("attention", "{RUN}", "photos/train/cat/00.jpg")
run("export", "{RUN}", "--format", "{FORMAT}")
run("data", "check", "photos")
run("data", "list")
run("demo", "--seeds", "1", "--trainer", "CoOp", "--output", "demo", "OPTIM.MAX_EPOCH", "1")
sys.argv = ["-c"]
run("reproduce", "base2new", "--datasets", "emoji", "--trainers", "CoOp", "--seeds", "1", "OPTIM.MAX_EPOCH", "1")
model = load("{RUN}")
print(json.dumps(model.predict(["photos/train/cat/00.jpg"]).tolist()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from what a clone holds, without the build leftovers of this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in TRACKED:
        (folder / "source").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / "source")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    command = ["wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(folder / "source")]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of an environment with the wheel, which borrows torch and the like from this one."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    packages = next(environment.glob("lib/python*/site-packages"))
    # a folder that a .pth file names is searched, but its own .pth files, such as an editable checkout's, are not run
    borrowed = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")
    install = ["--python", str(python), "install", "--no-deps", "--no-index", "-q", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    return environment / "bin"


def run(folder: Path, *command) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DATA")}
    env |= {"OMP_NUM_THREADS": "1", "UPT_CACHE": str(folder / "cache")}
    done = subprocess.run([*map(str, command)], cwd=folder, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_it_has_one_name_one_command_and_links_that_work_anywhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = email.message_from_bytes(archive.read(next(n for n in names if n.endswith(".dist-info/METADATA"))))
        entry = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"upt_clip"}
    assert "upt-clip = upt_clip.__main__:main" in entry and wheel.stat().st_size < LARGEST_MB * 2**20
    assert metadata["Version"] == upt_clip.__version__ and metadata["Author"] == "UPT developers"
    assert not any("setuptools" in line for line in metadata.get_all("Requires-Dist"))
    links = [part.split(")")[0] for part in metadata.get_payload().split("](")[1:]]
    assert all(link.startswith(("http", "#")) for link in links), links
    for part in ("datasets/dataset_sizes.csv", "toolbox/dassl/engine/trainer.py", "assets/pocket/pocket.pt"):
        assert f"upt_clip/{part}" in names
    tracked = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True).stdout.split()
    parts = ("trainers/", "datasets/", "tools/", "configs/", "assets/", "toolbox/dassl/")
    left_out = {f"upt_clip/{name}" for name in tracked if name.startswith(parts)} - set(names)
    assert not {name for name in left_out if not name.endswith("README.md")}


def test_everything_works_in_an_empty_folder(installed, tmp_path):
    make_folder(tmp_path, "photos")
    before = {path: path.read_bytes() for path in (tmp_path / "photos").rglob("*.jpg")}
    said = run(tmp_path, installed / "python", "-c", COMMANDS)
    assert "identical to" in said and "ZeroshotCLIP" in said and "1 of 1 complete" in said
    probabilities = json.loads(said.splitlines()[-1])
    assert sum(probabilities[0]) == pytest.approx(1, abs=1e-4) and len(probabilities[0]) == 3
    result = json.loads((tmp_path / RUN / "result.json").read_text())
    assert result["versions"]["project"] == upt_clip.__version__ and result["versions"]["dassl"].startswith("bundled")
    assert (tmp_path / "output/report.html").is_file() and list((tmp_path / "plots").glob("*.png"))
    assert {path: path.read_bytes() for path in (tmp_path / "photos").rglob("*") if path.is_file()} == before


def test_the_command_and_the_module_are_the_same(installed, tmp_path):
    said = run(tmp_path, installed / "upt-clip", "--version")
    assert said == run(tmp_path, installed / "python", "-m", "upt_clip", "--version")
    assert said == f"upt-clip {upt_clip.__version__}\n"
    code = "import upt_clip, sys; print(upt_clip.HOME)"
    assert run(tmp_path, installed / "python", "-c", code).startswith(str(installed.parent.resolve()))
