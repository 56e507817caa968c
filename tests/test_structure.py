"""Arrows point down only, scripts and configs name what exists, and the wheel keeps to its own name."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from upt_clip import train, trainers

ROOT = Path(__file__).parents[1]
METHOD_FILES = [p for p in (ROOT / "trainers").glob("*.py") if p.stem not in ("__init__", "templates")]


def imports(path: Path) -> set[str]:
    """Modules that a file imports, relative ones as they stand."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
            if node.level and not node.module:
                found |= {"." * node.level + alias.name for alias in node.names}
    return found


def test_methods_do_not_import_each_other():
    methods = {path.stem for path in METHOD_FILES}
    for path in METHOD_FILES:
        assert not {name for name in imports(path) if name.lstrip(".") in methods}, path


def test_core_knows_no_method_and_datasets_and_trainers_do_not_know_each_other():
    names = {method.__name__ for method in trainers.METHODS}
    for path in (ROOT / "trainers/core").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        code = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        code |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not code & names, path
        assert not any(name.startswith("..") for name in imports(path)), path
    for folder, other in (("trainers", "datasets"), ("datasets", "trainers"), ("toolbox", "trainers")):
        for path in (ROOT / folder).rglob("*.py"):
            roots = {name.split(".")[0] for name in imports(path) if not name.startswith(".")}
            assert not roots & {other, "tools", "train"}, path


def test_towers_need_neither_dassl_nor_a_clip_package():
    for name in ("encoders.py", "prompted_clip.py"):
        assert not {n.split(".")[0] for n in imports(ROOT / "trainers/core" / name)} & {"dassl", "clip", "dassl_compat"}


def test_dassl_is_put_right_before_it_is_imported():
    """Dassl.pytorch as it is needs packages and a PyTorch that few have: `dassl_compat` comes first, in every file."""
    users = 0
    for path in (ROOT / "train.py", *(ROOT / "tools").rglob("*.py")):
        first_line = {}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                for top in {name.split(".")[0] for name in names}:
                    first_line[top] = min(node.lineno, first_line.get(top, node.lineno))
        if "dassl" in first_line:
            users += 1
            # each of these imports dassl_compat before all else
            makers = [first_line[top] for top in ("dassl_compat", "datasets", "trainers", "train") if top in first_line]
            assert makers and min(makers) < first_line["dassl"], path
    assert users >= 5


def test_only_the_loader_imports_a_clip_package():
    users = [p for p in (ROOT / "trainers").rglob("*.py") if {"clip"} & {n.split(".")[0] for n in imports(p)}]
    assert [path.name for path in users] == ["clip_loader.py"]


CONFIGS = sorted((ROOT / "configs/trainers").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_config_merges_and_belongs_to_a_trainer(path):
    arguments = ["--trainer", path.parent.name, "--config-file", str(path)]
    cfg = train.setup_cfg(
        train.parse_args([*arguments, "--dataset-config-file", str(ROOT / "configs/datasets/emoji.yaml")])
    )
    assert yaml.safe_load(path.read_text())["OPTIM"]["MAX_EPOCH"] == cfg.OPTIM.MAX_EPOCH
    for node in yaml.safe_load(path.read_text()).get("TRAINER", {}):
        assert node == path.parent.name.upper(), f"{path} sets another trainer's keys"


def test_method_files_are_short():
    for path in METHOD_FILES:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
        assert len(lines) <= 150, f"{path} has {len(lines)} lines: move what others could use into trainers/core"


def test_scripts_name_files_that_exist():
    named = re.compile(
        r"(?<![\w/])(?:configs|scripts|tests|tools|docs|datasets|trainers)/[\w./-]+\.(?:yaml|sh|py|md|csv)"
    )
    texts = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").glob("*.md"), *(ROOT / "scripts").rglob("*.sh")]
    for path in texts:
        for name in named.findall(path.read_text().replace("../", "")):
            assert (ROOT / name).is_file() or "mine" in name.lower(), f"{path.name} names {name}"


def test_the_wheel_has_one_name_of_its_own(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        ".",
    ]
    copy = tmp_path / "copy"
    _copy_tracked(copy)
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert tops == {"upt", "dassl_compat.py", "upt_cache.py", "upt_files.py"}
    for needed in ("upt/datasets/emoji.py", "upt/assets/emoji/split_Emoji.json", "upt/trainers/core/encoders.py"):
        assert needed in names
    assert any(name.startswith("upt/assets/emoji/noto/") for name in names) and "upt/assets/pocket/pocket.pt" in names


def _copy_tracked(target: Path) -> None:
    """The files a clone has, without the build leftovers of this folder."""
    import shutil

    modules = "dassl_compat.py", "upt_cache.py", "upt_files.py"
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", *modules):
        target.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    for name in ("trainers", "datasets", "assets", "configs"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
