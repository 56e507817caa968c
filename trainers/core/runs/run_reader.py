"""Reads what a run left behind: its config, its learned tensors, its class names. Nothing is unpickled."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY
from safetensors import SafetensorError, safe_open
from torch import Tensor
from yacs.config import CfgNode

from upt_clip.config_files import read_yaml

from . import checkpoints, identity
from .config_check import check_config

PROMPTS = "prompts.safetensors"


@dataclass(frozen=True)
class SavedRun:
    """`source` is the file that the tensors are from; the others are empty where the run does not say them."""

    source: Path
    tensors: dict[str, Tensor]
    classnames: list[str]
    backbone_sha256: str = ""
    epochs: int = 0


def read_config(run: Path) -> CfgNode:
    """The run's config over Dassl's defaults and the method's, without the run's own folders; not frozen.

    Args:
        run: the run's directory, with a config.yaml, or a prompts.safetensors, whose header holds it.

    Raises:
        FileNotFoundError: no such directory, or it holds no run.
        ValueError: the file is damaged or no config.
    """
    path = run if run.is_file() else run / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"no run in {run}: it has no config.yaml{_what_is_there(run)}")
    cfg = get_cfg_default()
    cfg.set_new_allowed(True)  # the data sets' keys, too, which this package does not know
    try:
        content = read_prompts(run)[1]["config"] if run.is_file() else read_yaml(path)
        name = content["TRAINER"]["NAME"]
        defaults = getattr(TRAINER_REGISTRY.get(name), "DEFAULTS", {}) if name in _trainers() else {}
        cfg.TRAINER[name.upper()] = CfgNode(dict(defaults), new_allowed=True)
        cfg.merge_from_other_cfg(CfgNode(content))
        cfg.OUTPUT_DIR = cfg.RESUME = ""
        if name in _trainers():
            check_config(cfg)
    except Exception as error:  # the file can hold anything
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not the config of a run ({reason or type(error).__name__})") from error
    return cfg


def _what_is_there(run: Path) -> str:
    near = sorted({str(p.parent) for p in run.glob("**/config.yaml")})[:3] if run.is_dir() else []
    if near:
        return f"; there are runs in {', '.join(near)} (give a run's output directory)"
    if (run / checkpoints.FOLDER).is_dir():
        return f"; to make a run of its checkpoints: train.py --eval-only --model-dir {run} --output-dir NEW ..."
    return " (give a run's output directory, or its prompts.safetensors)"


def _trainers() -> list[str]:
    return TRAINER_REGISTRY.registered_names()


def read_run(run: Path, epoch: int | None = None) -> SavedRun:
    """What the run has learned: prompts.safetensors, which its last test wrote, or else Dassl's checkpoint.

    Args:
        run: its output directory, or a prompts.safetensors alone.
        epoch: take that epoch's Dassl checkpoint.

    Raises:
        FileNotFoundError: neither is there, though the run has begun to train.
        ValueError: the file is damaged.
    """
    if run.is_file() and epoch is not None:
        raise ValueError(f"{run} has no epochs (epoch {epoch} was asked): give the run's output directory")
    if run.is_file():
        tensors, facts = read_prompts(run)
        names, backbone = facts.get("classnames", []), facts.get("backbone_sha256", "")
        return SavedRun(run, tensors, names, backbone, facts.get("epochs", 0))
    prompts, names, backbone = run / PROMPTS, classes_in_predictions(run), trained_on(run)
    if prompts.is_file():
        tensors, facts = read_prompts(prompts)
        names = facts.get("classnames") or names
        if epoch is None:
            return SavedRun(prompts, tensors, names, backbone)
    if not (run / checkpoints.FOLDER).is_dir() and epoch is None:
        # as after zero-shot CLIP; a learner notices that its tensors are missing
        return SavedRun(run, {}, names, backbone)
    path = checkpoints.find(run / checkpoints.FOLDER, epoch)
    return SavedRun(path, checkpoints.read(path)[0], names, backbone)


def read_learned(source: Path, epoch: int | None = None) -> tuple[Path, dict[str, Tensor], int]:
    """File, tensors and number of finished epochs: of a Dassl checkpoint in a directory, or of a prompts.safetensors.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: the file is damaged.
    """
    if not source.is_file():
        path = checkpoints.find(source / checkpoints.FOLDER, epoch)
        return path, *checkpoints.read(path)
    saved = read_run(source, epoch)
    return source, saved.tensors, saved.epochs


def _facts(run: Path) -> dict:
    """What the header of a run's prompts says, or of such a file alone; nothing if there is none."""
    path = run if run.is_file() else run / PROMPTS
    return read_prompts(path)[1] if path.is_file() else {}


def trained_on(run: Path) -> str:
    """SHA-256 of the backbone weights that a run was trained on, or "" if it does not say so (an unfinished one)."""
    facts = _facts(run)
    return facts.get("backbone_sha256") or identity.in_result(run)


def read_prompts(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors of a prompts.safetensors, and what its header says about the run.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            facts = json.loads((file.metadata() or {}).get("upt", "{}"))
        names = facts.get("classnames", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its class names are no list of names")
        if not isinstance(facts.get("backbone_sha256", ""), str) or type(facts.get("epochs", 0)) is not int:
            raise ValueError("its backbone_sha256 is no text, or its epochs are no number")
    except (SafetensorError, OSError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"cannot read {path} ({' '.join(str(error).split())[:200]})") from error
    checkpoints.check_tensors(tensors, path)
    return tensors, facts


def check_classes(run: Path, ours: list[str]) -> None:
    """ValueError if a run says that its weights are of other classes than `ours`, as many as they may be."""
    theirs = _facts(run).get("classnames")
    if theirs and theirs != ours:
        raise ValueError(
            f"{run} has weights for its own classes ({', '.join(theirs[:3])}, ...), but these are others "
            f"({', '.join(ours[:3])}, ...): test it with the same data set and DATASET.SUBSAMPLE_CLASSES"
        )


def classes_in_predictions(run: Path) -> list[str]:
    """The class names by label, if the run's predictions.csv shows every class that result.json counts; else none."""
    try:
        n_classes = json.loads((run / "result.json").read_text(encoding="utf-8"))["n_classes"]
        with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = {int(row["label"]): row["class_name"] for row in rows}
        names |= {int(row["predicted"]): row["predicted_name"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):  # a convenience alone: the caller can name the classes
        return []
    return [names[label] for label in range(n_classes)] if names.keys() == set(range(n_classes)) else []
