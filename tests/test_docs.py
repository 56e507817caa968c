"""README and the pages are true: their commands parse, their files, links, options and config keys exist."""

import argparse
import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from upt_clip import __main__, __version__, train
from upt_clip.trainers.core.runs.config_check import leaves

ROOT = Path(__file__).parents[1]
PAGES = [page for pattern in ("*.md", "docs/*.md", "assets/*.md", "toolbox/*.md") for page in ROOT.glob(pattern)]
MADE = re.compile(r"<!-- made by: .*?<!-- end -->", re.DOTALL)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FOLDERS = "assets|configs|datasets|docs|scripts|tests|toolbox|tools|trainers|upt_clip"
PLACEHOLDERS = re.compile(r"<|TRAINER|OUTPUT|mine", re.IGNORECASE)  # of names that the reader is to choose
OTHERS = ("git", "cd")  # programs that are not ours


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The page without code blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands() -> list:
    found = {}
    for page in PAGES:
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in text.replace("\\\n", " ").splitlines() if language == "bash" else ():
                for part in re.split(r" && | \| ", line):
                    if words := shlex.split(part, comments=True):
                        found.setdefault(tuple(words), f"{name_of(page)}: {' '.join(words)}")
    return [pytest.param(list(words), id=name) for words, name in found.items()]


class Parsed(BaseException):
    """The words make sense to the program; what it would do with them is not done."""


@pytest.fixture
def parsing_only(monkeypatch, tmp_path):
    """Programs stop when they have parsed their words, plans print their runs; in a folder with some photos."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        original(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setenv("DRY_RUN", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("PHOTOS", "DATA/my_pictures", "my_pictures"):
        for name in ("cat", "dog"):
            (tmp_path / folder / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / folder / name / "1.png")


def start(words: list[str], monkeypatch) -> None:
    """Starts a command of this project, or looks whether what it names is there."""
    match words:
        case [variable, *rest] if re.match(r"[A-Za-z_]+=", variable):
            monkeypatch.setenv(*variable.split("=", 1))
            if rest:
                start(rest, monkeypatch)
        case ["upt-clip", *rest] | ["python", "-m", "upt_clip", *rest]:
            assert __main__.main(rest) == 0
        case ["python", "train.py", *rest] | ["torchrun", _, "train.py", *rest]:
            train.cli(rest)
        case ["bash", script, *rest]:
            assert (ROOT / script).is_file()
            assert __main__.main([Path(script).stem.replace("main", "train"), *rest]) == 0
        case ["python", "-m", "pytest", *paths]:
            assert all((ROOT / path).exists() for path in paths)
        case ["python", "-m", module, *rest]:
            monkeypatch.setattr("sys.argv", [module, *rest])
            runpy.run_module(module, run_name="__main__")
        case ["make", *rest]:
            check_targets(rest)
        case ["pip", "install", *rest]:
            extras = {extra for word in rest for group in re.findall(r"\[(.+)\]", word) for extra in group.split(",")}
            assert all(f'"{extra}":' in (ROOT / "setup.py").read_text() for extra in extras)
        case [program, *_]:
            assert program in OTHERS, f"{program} is not known to this test"


def check_targets(words: list[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", commands())
def test_a_command_makes_sense_to_its_program(words, parsing_only, monkeypatch):
    try:
        start(words, monkeypatch)
    except Parsed:
        return
    except SystemExit as end:  # a program's `-h`
        assert not end.code


def test_the_runs_that_pages_name_are_where_plans_put_them(parsing_only, capsys):
    for words in (["train", "PHOTOS", "--shots", "16"], ["train", "dtd", "16"], ["demo"], ["train", "emoji", "16"]):
        __main__.main(words)
    planned = capsys.readouterr().out
    for page in PAGES:
        for run in re.findall(r"output/\w+/UPT/\w+/seed1", page.read_text(encoding="utf-8")):
            assert f"{Path.cwd()}/{run} " in planned, f"{name_of(page)} names {run}"


def help_of(*words: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        __main__.main([*words, "-h"])
    return said.getvalue()


def test_commands_and_options_that_sentences_name_exist():
    texts = {name: help_of(name) for name in __main__.COMMANDS}
    texts["data"] += help_of("data", "check")
    anywhere = " ".join(texts.values()) + (ROOT / "tests/soak.py").read_text()
    for page in PAGES:
        for span in code_spans(page):
            words = span.removeprefix("DRY_RUN=1 ").replace("python -m upt_clip ", "upt-clip ").split()
            there = anywhere
            if words[0] == "make":
                check_targets(shlex.split(span)[1:])
            if words[0] == "upt-clip" and words[1:] and re.match(r"[a-z]", words[1]):
                assert words[1] in texts, f"{name_of(page)}: {span}"
                there = texts[words[1]]
            for option in re.findall(r"(?<!\S)--[a-z][\w-]*", span):
                known = ("--version", "--help")
                assert re.search(rf"{option}\b", there) or option in known, f"{name_of(page)}: {span}"


def test_files_and_links_exist():
    for page in PAGES:
        text = prose(page)
        for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
            if not re.match(r"https?:|mailto:", link):
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                assert target.exists(), f"{name_of(page)} links to {link}"
                assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}"
    sources = [*PAGES, ROOT / "Makefile", *(ROOT / "scripts").rglob("*.sh")]
    for page in sources:
        for name in re.findall(rf"(?<![\w/.$])(?:{FOLDERS})/[\w./*{{}},-]*\w", MADE.sub("", page.read_text())):
            there = any(ROOT.glob(re.sub(r"\{.*?\}", "*", name)))
            assert there or PLACEHOLDERS.search(name), f"{name_of(page)} names {name}"


def test_the_wheels_description_has_no_link_into_a_checkout():
    for repository in ("", "https://example.org/upt"):
        done = subprocess.run(
            [sys.executable, "setup.py", "--long-description"],
            cwd=ROOT, env=os.environ | {"UPT_REPOSITORY": repository}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "UPT" in done.stdout and "<img" not in done.stdout
        assert all(link.startswith("https:") for link in re.findall(r"\]\((.+?)\)", done.stdout))


def anchors(page: Path) -> set[str]:
    """The places in a page that links can lead to, as GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_config_keys_exist():
    arguments = "--trainer UPT --config-file configs/trainers/UPT/pocket_c16.yaml --dataset-config-file"
    cfg = train.setup_cfg(train.parse_args([*arguments.split(), "configs/datasets/emoji.yaml"]))
    keys = {name for name, _ in leaves(cfg)}
    for page in PAGES:
        for span in code_spans(page):
            for key in re.findall(r"(?<![\w.])[A-Z]+(?:\.[A-Z][A-Z_]+)+(?![\w.])", span):
                assert key in keys, f"{name_of(page)}: {span}"


def test_lines_are_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80, "one screen"
    for page in PAGES:
        for line in MADE.sub("", page.read_text(encoding="utf-8")).splitlines():
            assert len(line) <= 120 or line.startswith("|"), f"{name_of(page)}: {line}"


def test_what_is_cheap_is_run(capsys):
    for words, expected in ((["-h"], "upt-clip COMMAND -h"), (["--version"], __version__), (["data", "list"], "emoji")):
        assert __main__.main(words) == 0
        assert expected in capsys.readouterr().out


def test_the_method_of_add_a_trainer_works(monkeypatch, tiny_clip):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/ADD_A_TRAINER.md").read_text(), re.DOTALL)
    registry = argparse.Namespace(register=lambda: lambda method: method)  # the real one would keep it
    monkeypatch.setattr("dassl.engine.TRAINER_REGISTRY", registry)
    names = {"__name__": "upt_clip.trainers.mine", "__package__": "upt_clip.trainers"}
    exec(code, names)
    trainer = names["Mine"].__new__(names["Mine"])
    trainer.clip_model, trainer.device = tiny_clip, torch.device("cpu")
    model = trainer.name_classes(trainer.build_learner(tiny_clip, 2), ["cat", "dog"])
    assert model(torch.zeros(3, 3, 32, 32)).shape == (3, 2)
