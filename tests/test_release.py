"""What is said in several files is the same in all: the version, new names, the pin of ruff, the commands."""

import re
from pathlib import Path

import pytest
import yaml

from upt_clip import __main__, __version__

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_every_file_names_the_same_version():
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG, re.MULTILINE)
    assert newest and newest[1] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


@pytest.mark.parametrize("new", re.findall(r"^\| [^|]+ \| `((?:upt-clip|python -m) [^`]+)`", CHANGELOG, re.MULTILINE))
def test_the_new_names_in_the_changelog_exist(new):
    kind, *words = new.replace("python -m", "python").split()
    if kind == "upt-clip":
        assert words[0] in __main__.COMMANDS
    else:
        assert (ROOT / f"{words[0].removeprefix('upt_clip.').replace('.', '/')}.py").is_file()


def test_one_version_of_ruff():
    pinned = re.search(r'"(ruff[^"]+)"', (ROOT / "setup.py").read_text())
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    found = [one for hook in hooks for one in hook.get("additional_dependencies", [])]
    assert pinned and found == [pinned[1]] * 2


def test_public_ci_and_hooks_run_what_make_knows():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in (".github/workflows/tests.yml", ".pre-commit-config.yaml", "CONTRIBUTING.md"):
        commands = re.findall(r"\bmake (\w+)", (ROOT / name).read_text())
        assert commands and set(commands) <= targets, name
