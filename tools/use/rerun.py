"""Runs a finished run again and says whether the outcome is the same, bit for bit.

    upt-clip rerun output/pets/seed1/result.json                    in a temporary folder, which is then deleted
    upt-clip rerun RESULT.json --output-dir DIR                     a run that was killed goes on from there

The config is the one in the file, whatever the YAML files say now; data and backbone are read from where they were.

Exit status: 0 the same accuracy and prompts, 1 others, 2 it cannot be run again.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from yacs.config import CfgNode

from upt_clip import cli, datasets, train, trainers

# isort: split
from dassl.config import get_cfg_default

# What two runs of the same thing agree in; the rest of a result is times, places and versions.
OUTCOME = (
    "accuracy", "error_rate", "macro_f1", "prompts_sha256", "few_shot_sha256", "backbone_sha256", "n_test", "n_classes",
    "epochs", "trainable_parameters", "precision",
)  # fmt: skip
MADE_WITH = ("device", "threads", "deterministic")


def read_result(path: Path) -> dict:
    """The content of a result.json.

    Raises:
        FileNotFoundError, ValueError: it is none, or does not hold what a repetition needs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: give a run's result.json, or its directory")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in ("config", "command", "seed", *OUTCOME) if key not in result]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no result.json ({error})") from error
    if not missing and not _holds_a_command(result):
        raise ValueError(f"{path} is damaged: its config, command or seed is none")
    if missing:
        raise ValueError(f"{path} does not hold {', '.join(missing)}: it was written by an older version or by hand")
    if result["seed"] < 0:
        raise ValueError(f"{path} is of a run without --seed, which drew other random numbers than any other will")
    return result


def _holds_a_command(result: dict) -> bool:
    config, command = result["config"], result["command"]
    dataset = config.get("DATASET") if isinstance(config, dict) else None
    words = isinstance(command, list) and command and all(isinstance(word, str) for word in command)
    root = isinstance(dataset, dict) and isinstance(dataset.get("ROOT"), str)
    return bool(words and root and type(result["seed"]) is int)


def changed_keys(config: dict, default: CfgNode, prefix: str = "") -> tuple[dict, list[str]]:
    """The part of a config that differs from the defaults, and the keys that are unknown here."""
    changed, unknown = {}, []
    for key, value in config.items():
        if key not in default:
            unknown.append(prefix + key)
        elif isinstance(default[key], CfgNode) and isinstance(value, dict):
            changed[key], below = changed_keys(value, default[key], f"{prefix}{key}.")
            unknown += below
        elif value != yaml.safe_load(CfgNode({"value": default[key]}).dump())["value"]:
            changed[key] = value
    return changed, unknown


def defaults() -> CfgNode:
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    trainers.extend_cfg(cfg)
    return cfg


def config_arguments(config: dict, file: Path) -> list[str]:
    """How train.py is told a whole config; `file` gets what differs from the defaults. Unknown keys are said."""
    changed, unknown = changed_keys(config, defaults())
    if unknown:
        print(f"Note: unknown here and left out: {', '.join(unknown)}", file=sys.stderr)
    file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    return ["--config-file", str(file)]


def arguments(result: dict, config_file: Path, output: Path) -> list[str]:
    """What follows `python train.py` to run it again."""
    argv = config_arguments(result["config"], config_file)
    argv += ["--output-dir", str(output), "--root", result["config"]["DATASET"]["ROOT"]]
    command = result["command"]
    if Path(command[0]).name != "train.py":  # made from Python: it trained as its config says
        return argv + ["--deterministic"] * result["deterministic"]
    said = train.parse_args(command[1:])
    argv += ["--deterministic"] * said.deterministic + ["--any-backbone"] * said.any_backbone
    if said.eval_only:
        argv += ["--eval-only", "--model-dir", said.model_dir]
        argv += ["--load-epoch", str(said.load_epoch)] if said.load_epoch is not None else []
    return argv


def compare(there: dict, now: dict) -> list[str]:
    """A line for each difference of the outcome, then one for what it was made with; empty if all is the same."""
    lines = [f"{key}: {there[key]} there, {now[key]} now" for key in OUTCOME if there[key] != now[key]]
    if lines:
        made = {key: (there.get(key), now.get(key)) for key in MADE_WITH}
        versions = there.get("versions", {})
        made |= {key: (versions.get(key), value) for key, value in now["versions"].items()}
        other = [f"{key} {a} there, {b} now" for key, (a, b) in made.items() if a != b]
        lines.append(f"made with: {'; '.join(other) or 'the same versions, device and number of threads'}")
    return lines


def rerun(result: dict, output: Path) -> dict:
    """The new result.

    Raises:
        ValueError: train.py could not run it, which it has said.
    """
    here, folder = os.getcwd(), result.get("working_directory", "")
    torch.set_num_threads(result.get("threads") or torch.get_num_threads())  # the order of sums depends on it
    with tempfile.TemporaryDirectory() as temporary:
        try:
            os.chdir(folder if os.path.isdir(folder) else here)  # relative paths are from there
            status = train.cli(arguments(result, Path(temporary) / "config.yaml", output))
        finally:
            os.chdir(here)
    if status:
        raise ValueError(f"train.py ended with exit status {status}")
    return json.loads((output / "result.json").read_text(encoding="utf-8"))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = cli.Parser("rerun", __doc__)
    parser.add_argument("result", type=Path, metavar="RUN", help="a run's directory, or its result.json")
    parser.add_argument("--output-dir", type=Path, help="keep the new run there (default: it is deleted)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The exit status."""
    args = parse_args(argv)
    path = args.result / "result.json" if args.result.is_dir() else args.result
    there = read_result(path)
    with tempfile.TemporaryDirectory(prefix="upt-rerun-") as temporary:
        now = rerun(there, (args.output_dir or Path(temporary) / "run").absolute())
    lines = compare(there, now)
    if lines:
        print("\n".join([f"differs from {path}:", *lines]))
        return 1
    print(f"identical to {path}: accuracy {now['accuracy']:.2f} %, prompts {now['prompts_sha256'][:12]}... bit for bit")
    return 0
