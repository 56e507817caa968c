"""A run of train.py: its command line, its directory, and the config that it takes if none is asked for."""

import difflib
import hashlib
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

import upt_cache

ROOT = Path(__file__).absolute().parents[1]
CONFIGS = ROOT / "configs"
ZERO_SHOT = "ZeroshotCLIP"
# What follows the backbone in the name of the config that a trainer runs with if none is asked for.
DEFAULT_CFG = {"UPT": "_paper", "CoOp": "_c4_ctxv1", "CoCoOp": "_c4_ctxv1", "VPT": "_shallow_c4", ZERO_SHOT: ""}
POCKET_CFG = {"UPT": "_c16", "CoOp": "_c16", "VPT": "_shallow_c16"}  # the lengths that are best on val (RESULTS.md)
# CoCoOp's authors train 10 epochs whatever the data and shots, and a linear probe has none: their configs say it all.
FIXED_SCHEDULE = ("CoCoOp", "LinearProbe")


@dataclass(frozen=True)
class Run:
    """One run of train.py, which fills `directory`.

    `shots` is None for zero-shot CLIP, which draws and trains nothing, and `epochs` is None where the config's own
    number is taken. A run with a `source` trains nothing: it tests the prompts of that run.
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
    source: "Run | None" = None

    @property
    def label(self) -> str:
        parts = [self.dataset, *([] if self.classes == "all" else [f"({self.classes})"]), self.trainer, self.cfg]
        parts += variant(self.opts)
        if self.shots is not None:
            parts += [shots_text(self.shots), f"seed {self.seed}"]
        return " ".join(parts)

    def arguments(self) -> list[str]:
        """What follows `train.py` on the command line."""
        options = ["--root", self.root, "--seed", str(self.seed), "--trainer", self.trainer]
        keys: list[str] = []
        if dataset_file(self.dataset).is_file():
            options += ["--dataset-config-file", str(dataset_file(self.dataset).relative_to(ROOT))]
        else:
            keys += ["DATASET.NAME", "FolderDataset", "DATASET.FOLDER", self.dataset]
        options += ["--config-file", str(config_file(self.trainer, self.cfg).relative_to(ROOT))]
        options += ["--output-dir", str(self.directory)]
        options += ["--eval-only", "--model-dir", str(self.source.directory)] if self.source else []
        options += ["--no-cache"] if upt_cache.is_off() else []
        keys += ["DATASET.NUM_SHOTS", str(self.shots)] if self.shots else []
        keys += ["DATASET.SUBSAMPLE_CLASSES", self.classes] if self.classes != "all" else []
        keys += ["OPTIM.MAX_EPOCH", str(self.epochs)] if self.epochs else []
        return [*options, *keys, *self.opts]

    @property
    def command(self) -> str:
        """The line to type in the project's folder."""
        return shlex.join(["python", "train.py", *self.arguments()])


def shots_text(shots: int) -> str:
    """ "1 shot", "2 shots" """
    return f"{shots} shot{'s' * (shots > 1)}"


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


def dataset_file(dataset: str) -> Path:
    return CONFIGS / "datasets" / f"{dataset}.yaml"


def dataset_names() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "datasets").glob("*.yaml"))


def check_dataset(dataset: str, root: str) -> None:
    """Raises ValueError unless `dataset` has a YAML or is a folder of pictures below the data root."""
    if dataset_file(dataset).is_file() or (Path(root).expanduser() / dataset).is_dir():
        return
    near = difflib.get_close_matches(dataset, dataset_names(), n=1)
    raise ValueError(
        f'unknown data set "{dataset}"{f" (did you mean {near[0]}?)" if near else ""}: use one of '
        f"{', '.join(dataset_names())}, or a folder of pictures below {root} (--root)"
    )


def config_file(trainer: str, cfg: str) -> Path:
    """Path of configs/trainers/TRAINER/CFG.yaml.

    Raises:
        ValueError: there is none.
    """
    trainers = sorted(path.name for path in (CONFIGS / "trainers").iterdir() if path.is_dir())
    if trainer not in trainers:
        near = difflib.get_close_matches(trainer.lower(), [t.lower() for t in trainers], n=1)
        hint = f" (did you mean {next(t for t in trainers if t.lower() == near[0])}?)" if near else ""
        raise ValueError(f'unknown trainer "{trainer}"{hint}: use one of {", ".join(trainers)}')
    path = CONFIGS / "trainers" / trainer / f"{cfg}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ValueError(f'{trainer} has no config "{cfg}": use --cfg with one of {there}')
    return path


def backbone(cfg: str) -> str:
    """The backbone that a config's name begins with, e.g. "vit_b16": the name of a zero-shot config."""
    names = [path.stem for path in (CONFIGS / "trainers" / ZERO_SHOT).glob("*.yaml")]
    return max((name for name in names if cfg == name or cfg.startswith(name + "_")), key=len, default="vit_b16")


def choose_cfg(trainer: str, cfg: str, dataset: str) -> str:
    """The config that a trainer runs with, for what the user asked for as `cfg`.

    Nothing: the default one for the embedded pictures (pocket), or else for the paper's backbone (ViT-B/16). The name
    of a backbone: the default one for that. Anything else is the config's own name.
    """
    cfg = cfg or ("pocket" if dataset.startswith("emoji") else "vit_b16")
    folder = CONFIGS / "trainers" / trainer
    if (folder / f"{cfg}.yaml").is_file() or cfg != backbone(cfg):
        return cfg
    default = DEFAULT_CFG | (POCKET_CFG if cfg == "pocket" else {})
    if trainer in default:
        return cfg + default[trainer]
    return min((path.stem for path in folder.glob(f"{cfg}_*.yaml")), default=cfg)
