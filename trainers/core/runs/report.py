"""What a run says and writes about itself: what is trained, and the content of result.json."""

import os
import platform
import sys
from importlib import metadata

import torch
import yaml
from tabulate import tabulate
from torch import nn

from upt_clip import dassl_compat

from ..clip.loader import tensors_sha256, token_text, weights_sha256
from . import run_dir

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def trainables(parameters: dict[str, nn.Parameter], n_frozen: int) -> str:
    """A table of the learned tensors, their shapes and counts, and their share of CLIP's `n_frozen` parameters."""
    if not parameters:
        return f"Nothing is trained: CLIP's {n_frozen:,} parameters are frozen"
    rows: list[list] = [[name, "x".join(map(str, p.shape)) or "scalar", p.numel()] for name, p in parameters.items()]
    total = sum(row[-1] for row in rows)
    rows.append([f"total ({100 * total / n_frozen:.3f} % of CLIP's {n_frozen:,} frozen parameters)", "", total])
    return tabulate(rows, headers=["trained", "shape", "parameters"], intfmt=",")


def result(trainer, results: dict, test_seconds: float) -> dict:
    """The content of result.json after a test: accuracy, error_rate and macro_f1 in percent, unrounded."""
    cfg, learned = trainer.cfg, trainer.trainable.values()
    return {
        "trainer": cfg.TRAINER.NAME,
        "dataset": cfg.DATASET.NAME,
        "folder": cfg.DATASET.get("FOLDER", ""),
        "image_dir": str(run_dir.image_dir(trainer.dm.dataset)),
        "shots": cfg.DATASET.NUM_SHOTS,
        "seed": cfg.SEED,
        "classes": cfg.DATASET.get("SUBSAMPLE_CLASSES", "all"),
        "backbone": cfg.MODEL.BACKBONE.NAME,
        "backbone_sha256": weights_sha256(trainer.clip_model),
        "precision": trainer.precision.name,
        "epochs": trainer.epochs_done if learned else 0,
        **{name: float(results[name]) for name in ("accuracy", "error_rate", "macro_f1")},
        "n_test": len(trainer.test_loader.dataset),
        "n_classes": trainer.num_classes,
        "trainable_parameters": sum(p.numel() for p in learned),
        "train_seconds": round(trainer.train_seconds, 3),
        "test_seconds": round(test_seconds, 3),
        "peak_memory_mb": peak_memory_mb(trainer.device),
        "device": _device_name(trainer.device),
        "few_shot_sha256": run_dir.few_shot_sha256(trainer.dm.dataset),
        "prompts_sha256": tensors_sha256(trainer.model.learner.state_dict()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "working_directory": os.getcwd(),
        "config": resolved_config(cfg),
        "versions": versions(),
    }


def resolved_config(cfg) -> dict:
    """All that can be set, without the run's own folders and the nodes of other trainers."""
    config = yaml.safe_load(cfg.dump())
    own = ("NAME", cfg.TRAINER.NAME.upper())
    config["TRAINER"] = {key: value for key, value in config["TRAINER"].items() if key in own}
    return {key: value for key, value in config.items() if key not in ("OUTPUT_DIR", "RESUME")}


def prompt_facts(trainer, result: dict) -> dict:
    """What the header of prompts.safetensors says about the run: enough to use that file alone."""
    keys = ("trainer", "dataset", "shots", "seed", "classes", "backbone", "backbone_sha256")
    numbers = ("epochs", "accuracy", "error_rate", "macro_f1", "n_test", "n_classes")
    facts = {key: result[key] for key in keys + numbers}
    config = result["config"] | {"DATASET": {k: v for k, v in result["config"]["DATASET"].items() if k != "ROOT"}}
    return facts | {"classnames": trainer.model.names, "template": _template(trainer), "config": config}


def _template(trainer) -> str:
    """The sentence of a class named {} as the text tower reads it, e.g. "[1] [2] {}." with two learned prompts."""
    one = trainer.class_sentences(["{}"])
    prompts = {place: f"[{i}]" for i, place in enumerate(one.slots[0], 1)}
    words = [prompts.get(place) or token_text(token) for place, token in enumerate(one.tokens[0])]
    return " ".join(words[1:-1]).replace("… ", "")  # without the start and end tokens, pieces of words together


def versions() -> dict[str, str]:
    """What made a result: the project's commit and the packages that matter."""
    clip_package = next((name for name in ("clip", "clip-anytorch") if _version(name)), "")
    return {
        "project": run_dir.project_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": _version("torchvision"),
        "clip": f"{clip_package} {_version(clip_package)}".strip(),
        "dassl": dassl_compat.which_dassl(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package) if package else ""
    except metadata.PackageNotFoundError:
        return ""


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def peak_memory_mb(device: torch.device) -> float | None:
    """Of the GPU if there is one, else of the process; MiB. None on Windows without psutil."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if resource:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
    try:
        import psutil
    except ImportError:
        return None
    peak = getattr(psutil.Process().memory_info(), "peak_wset", None)  # Windows alone has it
    return peak and round(peak / 2**20, 1)
