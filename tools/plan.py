"""Which runs a protocol needs: each a train.py command line and the directory that it fills."""

import difflib
import hashlib
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).absolute().parents[1]
CONFIGS = ROOT / "configs"
ZERO_SHOT = "ZeroshotCLIP"
# What follows the backbone in the name of the config that a trainer runs with if none is asked for.
DEFAULT_CFG = {"UPT": "_paper", "CoOp": "_c4_ctxv1", "VPT": "_shallow_c4", ZERO_SHOT: ""}
ZERO_SHOT_KEYS = ("MODEL.", "INPUT.", "DATASET.")  # what the zero-shot run beside a trained one takes over


@dataclass(frozen=True)
class Run:
    """One run of train.py. `shots` and `epochs` are None for zero-shot CLIP, which draws and trains nothing."""

    dataset: str
    trainer: str
    cfg: str
    shots: int | None
    seed: int
    output: Path
    root: str
    epochs: int | None = None
    opts: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        parts = [self.dataset, self.trainer, self.cfg]
        return " ".join(parts if self.shots is None else [*parts, f"{self.shots} shots", f"seed {self.seed}"])

    @property
    def directory(self) -> Path:
        """CoOp's layout: DATASET/TRAINER/CFG_16shots[/variant]/seed1; zero-shot: ZeroshotCLIP/CFG[/variant]/DATASET."""
        if self.shots is None:
            return self.output.joinpath(self.trainer, self.cfg, *variant(self.opts), self.dataset)
        shots = f"{self.cfg}_{self.shots}shots"
        return self.output.joinpath(self.dataset, self.trainer, shots, *variant(self.opts), f"seed{self.seed}")

    def arguments(self) -> list[str]:
        """What follows `train.py` on the command line."""
        options = ["--root", self.root, "--seed", str(self.seed), "--trainer", self.trainer]
        opts = list(self.opts)
        if dataset_file(self.dataset).is_file():
            options += ["--dataset-config-file", str(dataset_file(self.dataset).relative_to(ROOT))]
        else:
            opts = ["DATASET.NAME", "FolderDataset", "DATASET.FOLDER", self.dataset, *opts]
        if self.shots is not None:
            opts = ["DATASET.NUM_SHOTS", str(self.shots), "OPTIM.MAX_EPOCH", str(self.epochs), *opts]
        options += ["--config-file", str(config_file(self.trainer, self.cfg).relative_to(ROOT))]
        return [*options, "--output-dir", str(self.directory), *opts]

    @property
    def command(self) -> str:
        """The line to type in the project's folder."""
        return shlex.join(["python", "train.py", *self.arguments()])


def few_shot(
    dataset: str, shots: int, trainers: list[str], cfg: str, seeds: list[int], output: Path, root: str, opts: list[str]
) -> list[Run]:
    """Zero-shot CLIP once, then each trainer with each seed.

    Raises:
        ValueError: unknown data set, trainer or config, shots below 1, or a config key without a value.
    """
    check_dataset(dataset, root)
    if shots < 1:
        raise ValueError(f"SHOTS is {shots}, choose 1 or more (the paper: 1, 2, 4, 8, 16)")
    if len(opts) % 2:
        raise ValueError(f"config keys and values come in pairs, but got: {' '.join(opts)}")
    zero_shot_runs, runs = [], []
    for trainer in trainers:
        name = cfg or default_cfg(trainer, dataset)
        path = config_file(trainer, name)
        plain = name if trainer == ZERO_SHOT else zero_shot_cfg(name)
        pairs = zip(opts[::2], opts[1::2], strict=True)
        kept = [item for key, value in pairs if key.startswith(ZERO_SHOT_KEYS) for item in (key, value)]
        zero_shot_runs.append(Run(dataset, ZERO_SHOT, plain, None, 1, output, root, opts=kept))
        if trainer != ZERO_SHOT:
            n = epochs(path, dataset, shots)
            runs += [Run(dataset, trainer, name, shots, seed, output, root, n, opts) for seed in seeds]
    return list({run.directory: run for run in [*zero_shot_runs, *runs]}.values())


def epochs(path: Path, dataset: str, shots: int) -> int:
    """CoOp's schedule: the config's MAX_EPOCH for 8 shots and more, half for 2 and 4, a quarter for 1 and ImageNet.

    That is 200, 100 and 50 epochs for the paper's configs.
    """
    most = yaml.safe_load(path.read_text())["OPTIM"]["MAX_EPOCH"]
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


def default_cfg(trainer: str, dataset: str) -> str:
    """The trainer's config for the embedded pictures (pocket), or else for the paper's backbone (ViT-B/16)."""
    stem = "pocket" if dataset.startswith("emoji") else "vit_b16"
    if trainer in DEFAULT_CFG:
        return stem + DEFAULT_CFG[trainer]
    found = sorted(path.stem for path in (CONFIGS / "trainers" / trainer).glob(f"{stem}*.yaml"))
    return found[0] if found else stem


def zero_shot_cfg(cfg: str) -> str:
    """The zero-shot config with the same backbone as a trainer's config."""
    names = [path.stem for path in (CONFIGS / "trainers" / ZERO_SHOT).glob("*.yaml")]
    fitting = [name for name in names if cfg == name or cfg.startswith(name + "_")]
    return max(fitting, key=len, default="vit_b16")
