"""Runs command lines in the test's own process, as the shell would: what they print, and their exit status."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import TINY_VIT, random_clip
from tests.trees import make_oxford_pets
from upt_clip import cli, train

BASE = [
    "INPUT.SIZE", "(32, 32)", "INPUT.TRANSFORMS", "['random_flip', 'normalize']", "DATALOADER.NUM_WORKERS", "0",
    "DATALOADER.TRAIN_X.BATCH_SIZE", "4", "DATASET.NUM_SHOTS", "1", "OPTIM.NAME", "sgd", "OPTIM.MAX_EPOCH", "1",
    "DATASET.NAME", "OxfordPets",
]  # fmt: skip


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    def refused(self, *words: str) -> str:
        """The one line of an error that the user can put right; it must hold all the words."""
        assert self.status == 2, (self.status, self.out[-500:], self.err)
        assert "Traceback" not in self.out + self.err
        (line,) = self.err.splitlines()
        assert line.startswith("error: ") and len(line) < 1100
        for word in words:
            assert word in line, f"{word!r} is not in: {line}"
        return line

    def worked(self, *words: str) -> str:
        """What it printed; that must hold all the words."""
        assert self.status == 0, (self.out[-500:], self.err)
        for word in words:
            assert word in self.out, f"{word!r} is not in: {self.out}"
        return self.out


class Stream(io.StringIO):
    """What is printed; Dassl.pytorch's logger closes the stream that it found, which is too early here."""

    def close(self):
        pass


def end(main, *arguments) -> Ended:
    """How the `main` of a tool ends."""
    out, err = Stream(), Stream()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse
            status = error.code
    return Ended(status or 0, out.getvalue(), err.getvalue())


@pytest.fixture
def end_tool():
    """end_tool(main, "RUN", ...) -> how a tool ends whose `main` raises what `cli.run` says."""
    return lambda main, *arguments: end(lambda argv: cli.status(lambda: main(argv)), *arguments)


class World:
    """A data root with a small OxfordPets and a backbone, all of it this test's own to damage."""

    def __init__(self, root: Path, backbone: str):
        self.root, self.backbone = root, backbone
        self.pets = make_oxford_pets(root / "data", 3, 8)
        self.split = self.pets / "split_zhou_OxfordPets.json"
        self.run_dir = root / "run"

    def train(self, *arguments, trainer: str = "CoOp", options=(), base=BASE) -> Ended:
        """How train.py ends; `arguments` are config keys, `options` come before them and win over this one's own."""
        named = ["--root", self.root / "data", "--seed", 1, "--trainer", trainer, "--backbone", self.backbone]
        named += ["--output-dir", self.run_dir, *options]
        precision = [f"TRAINER.{trainer.upper()}.PREC", "fp32"] if base else []
        return end(train.cli, *named, *base, *precision, *arguments)

    def change_split(self, change) -> None:
        """Rewrites the split file with what `change` makes of its content in place, or returns."""
        content = json.loads(self.split.read_text())
        self.split.write_text(json.dumps(change(content) or content))

    def a_picture(self) -> Path:
        """A picture that every run reads: all others of its class are left out of the split."""
        path = self.pets / "images" / "Abyssinian_1.jpg"
        self.change_split(
            lambda split: {
                part: [e for e in entries if e[1] or e[0] == path.name or part != "train"]
                for part, entries in split.items()
            }
        )
        return path


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory) -> str:
    """A tiny CLIP, small enough to be loaded for each case."""
    import torch

    path = tmp_path_factory.mktemp("clip") / "tiny.pt"
    torch.save(random_clip(TINY_VIT | {"vision_layers": 2, "transformer_layers": 2}).state_dict(), path)
    return str(path)


@pytest.fixture
def world(tmp_path, backbone_file, monkeypatch) -> World:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back after Dassl's logger
    monkeypatch.setattr(train, "collect_env_info", lambda: "")  # which takes seconds
    return World(tmp_path, backbone_file)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, backbone_file) -> dict[str, Path]:
    """Directories of a finished run of each method, made when first asked for; tests copy what they change."""
    folder = tmp_path_factory.mktemp("trained")

    class Runs(dict):
        def __missing__(self, trainer: str) -> Path:
            world = World(folder / trainer, backbone_file)
            console = sys.stdout
            world.train(trainer=trainer).worked("accuracy")
            sys.stdout = console
            self[trainer] = world.run_dir
            return world.run_dir

    return Runs()


@pytest.fixture
def copy_of(trained, tmp_path):
    """copy_of("UPT") -> a copy of the finished run, to damage."""
    return lambda trainer: Path(shutil.copytree(trained[trainer], tmp_path / f"copy of {trainer}"))
