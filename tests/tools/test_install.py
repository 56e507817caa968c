"""Setting up an environment that holds something already: nothing of it is replaced."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from upt_clip import dassl_compat

ROOT = Path(__file__).parents[2]


@pytest.fixture
def install(monkeypatch):
    """tools/install.py as a namespace, with pip's calls recorded in `calls` and chosen modules missing."""

    def load(missing: set[str]) -> tuple[dict, list[list[str]]]:
        module = runpy.run_path(str(ROOT / "tools/install.py"))
        scope, calls = module["main"].__globals__, []
        real = scope["importlib"].util.find_spec
        monkeypatch.setattr(scope["importlib"].util, "find_spec", lambda name: None if name in missing else real(name))
        scope["pip"] = lambda *arguments: calls.append(list(arguments))
        return scope, calls

    return load


def test_a_complete_environment_is_left_alone(install):
    scope, calls = install(set())
    scope["main"]()
    assert calls == []


def test_only_what_is_missing_is_installed_and_what_is_there_is_pinned(install, monkeypatch):
    scope, calls = install({"yacs", "dassl"})
    kept = []
    scope["pip"] = lambda *arguments: (
        calls.append(list(arguments))
        or kept.append(Path(arguments[1]).read_text() if arguments[0] == "--constraint" else "")
    )
    scope["main"]()
    (first, second), torch = calls, sys.modules["torch"]
    assert first[0] == "--constraint" and first[2:] == ["yacs>=0.1.8"]
    assert f"torch=={torch.__version__.split('+')[0]}" in kept[0].splitlines()
    assert second == ["--no-deps", "--force-reinstall", str(ROOT / "toolbox")]


@pytest.mark.skipif(not dassl_compat.is_bundled(), reason="Dassl.pytorch is never replaced")
def test_our_toolbox_follows_the_checkout(install, tmp_path):
    scope, calls = install(set())
    shutil.copytree(ROOT / "toolbox", tmp_path / "toolbox", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    scope["ROOT"] = tmp_path
    scope["main"]()
    assert calls == []
    with (tmp_path / "toolbox/dassl/engine/trainer.py").open("a") as file:
        file.write("# changed\n")
    scope["main"]()
    assert calls == [["--no-deps", "--force-reinstall", str(tmp_path / "toolbox")]]


def test_any_package_that_brings_clip_will_do(install):
    scope, calls = install({"clip"})
    scope["main"]()
    assert any(name.startswith("clip-anytorch") for name in calls[0])


def test_torch_comes_first_and_can_be_chosen(install, monkeypatch):
    scope, calls = install({"torch", "torchvision"})
    monkeypatch.setenv("UPT_TORCH", "torch==2.3.1 torchvision==0.18.1")
    scope["main"]()
    assert calls[0] == ["torch==2.3.1", "torchvision==0.18.1"]
