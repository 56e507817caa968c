"""Config files: where they are, which one a trainer runs with, and how they are read.

They are YAML of plain values, each key once.
"""

from pathlib import Path

import yaml

from . import HOME
from .messages import did_you_mean

CONFIGS = HOME / "configs"
ZERO_SHOT = "ZeroshotCLIP"
# What follows the backbone in the name of the config that a trainer runs with if none is asked for.
DEFAULT_CFG = {"UPT": "_paper", "CoOp": "_c4_ctxv1", "CoCoOp": "_c4_ctxv1", "VPT": "_shallow_c4", ZERO_SHOT: ""}
POCKET_CFG = {"UPT": "_c16", "CoOp": "_c16", "VPT": "_shallow_c16"}  # the lengths that are best on val (RESULTS.md)
LARGEST = 10_000  # values of a config file; ours have about 30


class _UniqueKeys(yaml.SafeLoader):
    """YAML of plain values; a key that stands twice, of which YAML would take the last, is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key} stands twice in line {node.start_mark.line + 1} and below")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """The nested keys and values of a config file.

    Raises:
        ValueError: in one line with the file's name, why it is no config file.
        OSError: it cannot be read.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _UniqueKeys)
        keys = _keys(content)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{path} is no config file: it must hold keys and values, such as OPTIM: {{LR: 0.002}}")
    return content


def _keys(content: object) -> list:
    """The keys of all nested mappings.

    Raises:
        ValueError: there are too many values; YAML's references can make any number of them of a few bytes, or a value
            that holds itself.
    """
    keys: list = []
    waiting, n = [content], 0
    while waiting:
        node = waiting.pop()
        below = list(node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple, set)) else ())
        n += len(below)
        if n > LARGEST:
            raise ValueError(f"over {LARGEST} values: it is no config file, or a part holds itself")
        keys += node if isinstance(node, dict) else ()
        waiting += below
    return keys


def found(path: str) -> Path:
    """The config file that is meant: a file of the user's, or else the project's of that name (`configs/...`)."""
    return Path(path) if Path(path).is_file() or not path.startswith("configs/") else HOME / path


def dataset_file(dataset: str) -> Path:
    return CONFIGS / "datasets" / f"{dataset}.yaml"


def dataset_names() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "datasets").glob("*.yaml"))


def config_file(trainer: str, cfg: str) -> Path:
    """Path of configs/trainers/TRAINER/CFG.yaml.

    Raises:
        ValueError: there is none.
    """
    trainers = sorted(path.name for path in (CONFIGS / "trainers").iterdir() if path.is_dir())
    if trainer not in trainers:
        raise ValueError(
            f'unknown trainer "{trainer}"{did_you_mean(trainer, trainers)}: use one of {", ".join(trainers)}'
        )
    there = {path.stem: path for path in sorted((CONFIGS / "trainers" / trainer).glob("*.yaml"))}
    if cfg not in there:
        raise ValueError(f'{trainer} has no config "{cfg}": use --cfg with one of {", ".join(there)}')
    return there[cfg]


def backbone(cfg: str) -> str:
    """The backbone that a config's name begins with, e.g. "vit_b16": the name of a zero-shot config."""
    names = [path.stem for path in (CONFIGS / "trainers" / ZERO_SHOT).glob("*.yaml")]
    return max((name for name in names if cfg == name or cfg.startswith(name + "_")), key=len, default="vit_b16")


def choose_cfg(trainer: str, cfg: str, dataset: str) -> str:
    """The config that a trainer runs with, for what the user asked for as `cfg`.

    Nothing: the default one for the embedded pictures (pocket), or else for the paper's backbone (ViT-B/16). The name
    of a backbone: the default one for that. Anything else is the config's own name.
    """
    embedded = dataset.startswith("emoji") and dataset in dataset_names()
    cfg = cfg or ("pocket" if embedded else "vit_b16")
    folder = CONFIGS / "trainers" / trainer
    if (folder / f"{cfg}.yaml").is_file() or cfg != backbone(cfg):
        return cfg
    default = DEFAULT_CFG | (POCKET_CFG if cfg == "pocket" else {})
    if trainer in default:
        return cfg + default[trainer]
    return min((path.stem for path in folder.glob(f"{cfg}_*.yaml")), default=cfg)
