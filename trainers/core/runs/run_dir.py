"""What a run leaves in its output directory, beside resume.pt (resume.py). Every write is atomic.

config.yaml          the resolved config
predictions.csv      the last test, picture by picture
result.json          the numbers of the last test, unrounded; tools read this, never the log
prompts.safetensors  the learned tensors alone
"""

import csv
import hashlib
import json
import os
import subprocess
from pathlib import Path

import torch
import yaml
from safetensors.torch import save
from yacs.config import CfgNode

from upt_clip import HOME, __version__
from upt_clip.config_files import read_yaml
from upt_clip.files import TEMPORARY, write_atomically

from . import checkpoints

# Keys that cannot change a result: runs that differ in them alone are the same run.
NEUTRAL_KEYS = (
    "OUTPUT_DIR", "RESUME", "VERBOSE", "DATASET.ROOT", "DATALOADER.NUM_WORKERS", "DATALOADER.KEEP_MB",
    "TRAIN.PRINT_FREQ",
    "TRAIN.CHECKPOINT_FREQ", "TRAIN.COMPILE", "TRAINER.TEXT_CHUNK", "TRAINER.CHECKPOINT", "TRAINER.ACCUMULATE",
)  # fmt: skip

FILES = ("config.yaml", "predictions.csv", "result.json", "prompts.safetensors", "resume.pt")


def remove_leftovers(directory: Path) -> None:
    """Removes what a kill left half written; nobody else may be at work in the directory."""
    own = [f".{name}-*{TEMPORARY}" for name in FILES]  # no others: it may be a folder with much else in it
    for pattern in (*own, f"{checkpoints.FOLDER}/model*.part", f"{checkpoints.FOLDER}/checkpoint.part"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


def write_json(content: object, path: Path) -> None:
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def image_dir(dataset) -> Path:
    """The folder that a data set's picture paths are told from: its own `image_dir`, else its `dataset_dir`."""
    return Path(getattr(dataset, "image_dir", "") or getattr(dataset, "dataset_dir", "")).absolute()


def write_predictions(dataset, rows: list[tuple[str, int, int, float]], path: Path) -> None:
    """Writes one line a test picture: (picture path, label, predicted label, confidence in 0..1), with class names."""
    names, root = dataset.lab2cname, image_dir(dataset)

    def write(temporary: Path) -> None:
        # a file's name need not be UTF-8
        with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "predicted", "confidence", "class_name", "predicted_name"])
            for picture, label, predicted, confidence in rows:
                inside = os.path.relpath(picture, root).replace(os.sep, "/")
                table.writerow([inside, label, predicted, f"{confidence:.4f}", names[label], names[predicted]])

    write_atomically(path, write)


def flat_config(config: dict, prefix: str = "") -> dict[str, object]:
    """{"OPTIM.LR": 0.002, ...} of a nested config, without the keys that cannot change a result; lists as tuples.

    Of the trainers' own nodes only the chosen trainer's is kept.
    """
    trainer = config.get("TRAINER", {}).get("NAME", "").upper() if not prefix else ""
    flat: dict[str, object] = {}
    for key, value in config.items():
        name = prefix + key
        if isinstance(value, dict):
            if name == "TRAINER":
                value = {k: v for k, v in value.items() if k in ("NAME", trainer)}
            flat.update(flat_config(value, name + "."))
        elif name not in NEUTRAL_KEYS:
            flat[name] = tuple(value) if isinstance(value, list) else value
    return flat


def config_difference(cfg: CfgNode, directory: Path) -> list[str]:
    """Lines "KEY: there, now here" for what differs between directory/config.yaml and cfg; empty if there is none."""
    path = Path(directory) / "config.yaml"
    if not path.is_file():
        return []
    # through YAML, since tuples and numbers change their type on the way
    now = flat_config(yaml.safe_load(cfg.dump()))
    there = flat_config(read_yaml(path))
    return [
        f"{key}: {there.get(key, '(none)')} there, {now.get(key, '(none)')} now"
        for key in sorted(now.keys() | there.keys())
        if now.get(key) != there.get(key)
    ]


def check_config_there(cfg: CfgNode) -> None:
    """Raises ValueError, which shows the difference, if the output directory holds a run with another config."""
    if difference := config_difference(cfg, Path(cfg.OUTPUT_DIR)) if cfg.OUTPUT_DIR else []:
        raise ValueError(
            f"{cfg.OUTPUT_DIR} holds a run with another config ({'; '.join(difference[:6])}"
            f"{'; ...' if len(difference) > 6 else ''}): choose another OUTPUT_DIR or delete that one"
        )


def claim(cfg: CfgNode) -> None:
    """Writes config.yaml and removes leftovers."""
    if not cfg.OUTPUT_DIR:
        return
    remove_leftovers(Path(cfg.OUTPUT_DIR))
    write_atomically(Path(cfg.OUTPUT_DIR) / "config.yaml", lambda temporary: temporary.write_text(cfg.dump()))


def save_prompts(path: Path, tensors: dict[str, torch.Tensor], metadata: dict) -> None:
    """Writes the learned tensors; `metadata` goes into the file's header as JSON under "upt"."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"upt": json.dumps(metadata)})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def finished_seconds(directory: Path, epochs: int) -> float:
    """The training time that the result of a finished run of so many epochs says, or 0."""
    try:
        result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
        return float(result["train_seconds"]) if result["epochs"] == epochs else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def few_shot_sha256(dataset) -> str:
    """SHA-256 of the training list: the data set's own if it offers one, else over file names, labels and classes."""
    own = getattr(dataset, "split_sha256", None)
    if own:
        return own
    lines = (f"{os.path.basename(item.impath)}\t{item.label}\t{item.classname}\n" for item in dataset.train_x)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def project_commit() -> str:
    """The commit of the project's checkout ("+" if files differ), or the version of an installed package."""
    if not (HOME / ".git").exists():
        return __version__
    try:
        command = ["git", "-C", str(HOME), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return __version__
