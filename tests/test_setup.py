"""`make setup` for real, without a network: empty packages stand in a folder for those of PyPI."""

import base64
import hashlib
import importlib.metadata
import json
import os
import runpy
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytest.importorskip("setuptools", minversion="77.0.3", reason="pyproject.toml builds with setuptools 77 or newer")
ROOT = Path(__file__).parents[1]
NEW = "99.0"


def write_wheel(folder: Path, name: str, version: str, module: str = "") -> Path:
    """A wheel of a package that holds a module at most."""
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files |= {f"{module}/__init__.py": f"__version__ = {version!r}\n"} if module else {}
    hashes = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = [f"{path},sha256={hashes[path].rstrip(b'=').decode()},{len(text)}" for path, text in files.items()]
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{about}/RECORD", "\n".join([*record, f"{about}/RECORD,,\n"]))
    return wheel


def write_setuptools(folder: Path) -> None:
    """The wheel of this environment's own setuptools, which builds the project."""
    there = importlib.metadata.distribution("setuptools")
    with zipfile.ZipFile(folder / f"setuptools-{there.version}-py3-none-any.whl", "w") as archive:
        for file in there.files or ():
            if file.suffix != ".pyc" and ".." not in file.parts and Path(file.locate()).is_file():
                archive.write(file.locate(), file.as_posix())


def requirements(monkeypatch) -> list[Requirement]:
    """What `pip install .[dev]` asks for."""
    asked: dict = {}
    with monkeypatch.context() as patch:
        patch.setattr("setuptools.setup", asked.update)
        patch.setattr("setuptools.find_packages", lambda folder: [])
        runpy.run_path(str(ROOT / "setup.py"))
    return [Requirement(text) for text in asked["install_requires"] + asked["extras_require"]["dev"]]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project that sets up as this one does, with packages in the place of PyPI's."""
    index = tmp_path / "index"
    index.mkdir()
    for one in requirements(monkeypatch):
        pinned = "" if one.specifier.contains(NEW) else next(iter(one.specifier)).version
        write_wheel(index, one.name, pinned or NEW, "clip" if one.name == "clip-anytorch" else one.name)
    write_setuptools(index)
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("upt_clip", "trainers", "datasets", "tools", "toolbox", "assets", "configs"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, folder)
    outer = ("MAKEFLAGS", "VENV", "PYTHON", "TESTS")  # of a make that runs the tests
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "UPT_TORCH", "PIP_CONSTRAINT", *outer):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return folder


def make_setup(project: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "setup", *words], cwd=project, capture_output=True, text=True)


def installed(environment: Path) -> dict[str, str]:
    command = [environment / "bin/python", "-m", "pip", "list", "--format=json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {one["name"].lower(): one["version"] for one in found}


def test_with_no_environment_it_makes_one(project):
    done = make_setup(project, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = installed(project / ".venv")
    assert found["torch"] == found["numpy"] == found["clip-anytorch"] == NEW and "upt-clip" in found
    assert "is up to date" in make_setup(project).stdout or "Nothing to be done" in make_setup(project).stdout


def test_in_an_active_environment_it_replaces_nothing(project, tmp_path, monkeypatch):
    environment = tmp_path / "active"
    venv.create(environment, with_pip=True, symlinks=True)
    site = next(environment.glob("lib/python*/site-packages"))
    for name, version in {"torch": "2.1.2", "numpy": "1.26.4", "pillow": "9.2"}.items():
        zipfile.ZipFile(write_wheel(tmp_path, name, version, name)).extractall(site)
    (site / "clip.py").write_text("theirs = True\n")  # OpenAI's own, from a clone
    before = installed(environment)
    monkeypatch.setenv("VIRTUAL_ENV", str(environment))
    done = make_setup(project)
    assert done.returncode == 0, done.stdout + done.stderr
    after = installed(environment)
    assert {name: after[name] for name in before} == before and before["torch"] == "2.1.2"
    assert after["torchvision"] == after["yacs"] == NEW and "clip-anytorch" not in after
    assert not (project / ".venv").exists()

    zipfile.ZipFile(write_wheel(tmp_path, "joblib", "0.9", "joblib")).extractall(site)
    shutil.rmtree(site / "joblib-99.0.dist-info")  # one that is too old: it is said, not replaced
    (project / "setup.py").touch()
    done = make_setup(project)
    assert done.returncode and "constraint) joblib==0.9" in done.stdout and installed(environment)["joblib"] == "0.9"
