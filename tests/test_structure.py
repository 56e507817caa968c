"""Arrows point down only, configs name what exists, and nothing is loaded under a second name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from upt_clip import train, trainers

ROOT = Path(__file__).parents[1]
METHOD_FILES = [p for p in (ROOT / "trainers").glob("*.py") if p.stem not in ("__init__", "templates")]


def module_name(path: Path) -> str:
    """The one name that a file is imported by."""
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    return name if name.split(".")[0] in ("upt_clip", "tests", "train") else f"upt_clip.{name}"


def arrows(path: Path) -> set[str]:
    """The modules that a file imports, and what it takes from packages, by their whole names."""
    own = module_name(path).split(".")
    package = own if path.stem == "__init__" else own[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def files(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts]


def is_below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(folder + ".")


# Each floor and those that it may stand on, beside itself and what comes from outside.
FLOORS = {
    "trainers.core.clip": [],
    "trainers.core.runs": ["trainers.core.clip"],
    "trainers.core.training": ["trainers.core.clip", "trainers.core.runs"],
    "trainers.core.testing": ["trainers.core.clip", "trainers.core.runs", "trainers.core.training"],
    "trainers": [],
    "datasets": [],
    "tools.tables": [],
    "tools.sweep": ["tools.tables", "trainers.core", "datasets", "train"],
    "tools.report": ["tools.tables"],
    "tools.bench": ["tools.tables", "trainers", "datasets", "train"],
    "tools.use": ["trainers", "datasets", "train"],
    "tools.data": ["datasets"],
    "tools.emoji": ["trainers.core"],
}
ALSO = {"tools/tables/variance.py": ["trainers", "train", "datasets"]}  # it computes features


@pytest.mark.parametrize("floor", FLOORS)
def test_arrows_point_down(floor):
    for path in files(floor.replace(".", "/")):
        allowed = [floor, *FLOORS[floor], *ALSO.get(path.relative_to(ROOT).as_posix(), [])]
        for name in arrows(path):
            if is_below(name, "upt_clip") and name.split(".")[1:2] != []:
                inside = name.removeprefix("upt_clip.")
                ground = inside.split(".")[0] not in ("trainers", "datasets", "tools", "train", "__main__")
                assert ground or any(is_below(inside, one) for one in allowed), f"{path} imports {name}"


def test_the_ground_floor_knows_nothing_above_it():
    for path in files("upt_clip"):
        if path.name not in ("__main__.py", "train.py", "__init__.py"):  # the doors
            above = [
                n for n in arrows(path) for one in ("trainers", "datasets", "tools") if is_below(n, f"upt_clip.{one}")
            ]
            assert not above, path


def test_methods_do_not_import_each_other_and_know_only_the_face_of_core():
    methods = {path.stem for path in METHOD_FILES}
    for path in METHOD_FILES:
        known = {
            name.removeprefix("upt_clip.trainers.") for name in arrows(path) if name.startswith("upt_clip.trainers.")
        }
        assert not {name.split(".")[0] for name in known} & methods, path
        assert not {name for name in known if name.startswith("core.") and name.split(".")[1] in FACES}, path


FACES = {path.stem for path in (ROOT / "trainers/core").iterdir() if path.stem != "__init__"}


def test_core_knows_no_method():
    names = {method.__name__ for method in trainers.METHODS}
    for path in files("trainers/core"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        code = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        code |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not code & names, path
        assert not any(is_below(name, f"upt_clip.trainers.{one.stem}") for name in arrows(path) for one in METHOD_FILES)


def test_the_toolbox_stands_alone():
    for path in files("toolbox"):
        names = {name for name in arrows(path) if not is_below(name, "upt_clip.toolbox")}
        assert not {name.split(".")[0] for name in names} & {"upt_clip", "clip"}, path


def test_towers_need_neither_dassl_nor_a_clip_package():
    for name in ("encoders.py", "prompted_clip.py"):
        found = arrows(ROOT / "trainers/core/clip" / name)
        assert not {n.split(".")[0] for n in found} & {"dassl", "clip"}


def test_nothing_is_loaded_under_a_second_name():
    code = "import sys, upt_clip.train, upt_clip.tools.sweep.commands; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"trainers", "datasets", "tools", "train"}
    for name in ("trainers", "datasets", "tools"):
        done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
        assert f"import it as upt_clip.{name}" in done.stderr.splitlines()[-1]


def test_only_the_loader_imports_a_clip_package():
    users = [p.name for p in files("trainers") if "clip" in {name.split(".")[0] for name in arrows(p)}]
    assert users == ["loader.py"]


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
