"""A run of train.py: its command line and its directory."""

import hashlib
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from upt_clip import cache, data_words, messages
from upt_clip.config_files import config_file

# CoCoOp's authors train 10 epochs whatever the data and shots, and a linear probe has none: their configs say it all.
FIXED_SCHEDULE = ("CoCoOp", "LinearProbe")


@dataclass(frozen=True)
class Run:
    """One run of train.py, which fills `directory`.

    `dataset` is what its directories are named by, and `folder` the DATASET.FOLDER of a user's own pictures. `shots` is
    None for zero-shot CLIP, which draws and trains nothing, and `epochs` is None where the config's own number is
    taken. A run with a `source` trains nothing: it tests the prompts of that run.
    """

    directory: Path
    dataset: str
    trainer: str
    cfg: str
    root: str
    shots: int | None = None
    seed: int = 1
    epochs: int | None = None
    classes: str = "all"
    opts: list[str] = field(default_factory=list)
    folder: str = ""
    source: "Run | None" = None

    @property
    def label(self) -> str:
        parts = [self.dataset, *([] if self.classes == "all" else [f"({self.classes})"]), self.trainer, self.cfg]
        parts += variant(self.opts)
        if self.shots is not None:
            parts += [messages.shots_text(self.shots), f"seed {self.seed}"]
        return " ".join(parts)

    def arguments(self) -> list[str]:
        """What follows `upt-clip run` or `train.py` on the command line."""
        data, keys = data_words.arguments(self.folder or self.dataset)
        options = ["--root", self.root, "--seed", str(self.seed), "--trainer", self.trainer]
        options += map(_from_here, [*data, "--config-file", str(config_file(self.trainer, self.cfg))])
        options += ["--output-dir", str(self.directory)]
        options += ["--eval-only", "--model-dir", str(self.source.directory)] if self.source else []
        options += ["--no-cache"] if cache.is_off() else []
        keys += ["DATASET.NUM_SHOTS", str(self.shots)] if self.shots else []
        keys += ["DATASET.SUBSAMPLE_CLASSES", self.classes] if self.classes != "all" else []
        keys += ["OPTIM.MAX_EPOCH", str(self.epochs)] if self.epochs else []
        return [*options, *keys, *self.opts]

    @property
    def command(self) -> str:
        """The line to type in this folder."""
        return shlex.join(["python", "-m", "upt_clip", "run", *self.arguments()])


def _from_here(word: str) -> str:
    """A path as short as it can be told in the working directory; other words stay."""
    return str(Path(word).relative_to(Path.cwd())) if Path(word).is_relative_to(Path.cwd()) else word


def epochs(trainer: str, cfg: str, dataset: str, shots: int) -> int | None:
    """CoOp's schedule: the config's MAX_EPOCH for 8 shots and more, half for 2 and 4, a quarter for 1 and ImageNet.

    That is 200, 100 and 50 epochs for the paper's configs. The base-to-new scripts of UPT's authors, at 16 shots, ask
    for the same: 200 epochs, on ImageNet 50. None for trainers whose config has the only schedule they were given.
    """
    if trainer in FIXED_SCHEDULE:
        return None
    most = yaml.safe_load(config_file(trainer, cfg).read_text())["OPTIM"]["MAX_EPOCH"]
    share = 4 if shots == 1 or dataset == "imagenet" else 2 if shots <= 4 else 1
    return max(1, most // share)


def variant(opts: list[str]) -> list[str]:
    """A folder name for config keys that were changed, e.g. "MIXER-joint"; none if there are none."""
    if not opts:
        return []
    name = "_".join(f"{key.split('.')[-1]}-{value}" for key, value in zip(opts[::2], opts[1::2], strict=True))
    readable = re.sub(r"[^\w.+-]+", "-", name)
    if readable == name and len(name) <= 80:
        return [name]
    return [f"{readable[:60].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"]
