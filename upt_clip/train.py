"""Trains and tests prompts for CLIP; the options are CoOp's. `upt-clip run` is the same as `python train.py`.

    python train.py --root DATA --seed 1 --trainer UPT --dataset-config-file configs/datasets/oxford_pets.yaml \\
        --config-file configs/trainers/UPT/vit_b16_paper.yaml --output-dir output/pets DATASET.NUM_SHOTS 16
"""

import argparse
import contextlib
import functools
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.utils import collect_env_info, set_random_seed, setup_logger
from joblib import cpu_count
from yacs.config import CfgNode

from upt_clip import cache, config_files, data_words, datasets, distributed, locks, trainers
from upt_clip.cli import DEBUG_HINT, Parser, status
from upt_clip.messages import did_you_mean, one_line
from upt_clip.trainers.core.runs.config_check import check_config, leaves


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("run", __doc__)
    add = parser.add_argument
    add("--root", default="", help="folder of the data sets (default: $DATA, else ./data)")
    add("--output-dir", default="", help="the run's folder; a run that was killed there goes on")
    add("--resume", default="", help="go on from this folder instead of --output-dir")
    add("--seed", type=int, default=-1, help="0 or more fixes the seed")
    add("--source-domains", nargs="+", help="for Dassl's data sets with domains; ours have none")
    add("--target-domains", nargs="+", help="as above")
    add("--transforms", nargs="+", help="data augmentation")
    add("--config-file", default="", help="the trainer's YAML")
    add("--dataset-config-file", default="", help="the data set's YAML")
    add("--trainer", default="", help=", ".join(method.__name__ for method in trainers.METHODS))
    add("--backbone", default="", help="a name such as ViT-B/16 or pocket, or the path of a checkpoint")
    add("--head", default="", help="Dassl's; no trainer here has one")
    add("--eval-only", action="store_true", help="test the prompts of --model-dir")
    add("--model-dir", default="", help="a run's output directory or its prompts.safetensors, for --eval-only")
    add("--any-backbone", action="store_true", help="with --eval-only: even if they were trained on other weights")
    add("--load-epoch", type=int, help="the epoch to test (default: the best on val if kept, else the last)")
    add("--deterministic", action="store_true", help="the same numbers on a GPU each time, at some cost in speed")
    add("--no-train", action="store_true", help="build everything and stop")
    add("--no-cache", action="store_true", help="take nothing from caches on disk or in memory, leave nothing there")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="config keys, at the end of the line")
    return parser.parse_args(argv)


def setup_cfg(args: argparse.Namespace) -> CfgNode:
    """The frozen config: defaults, then the data set's YAML, the trainer's YAML, named options, KEY VALUE pairs.

    Raises:
        ValueError, FileNotFoundError: an unknown key, a value of the wrong type, a missing file.
    """
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    trainers.extend_cfg(cfg)
    for path in filter(None, (args.dataset_config_file, args.config_file)):
        _merge_file(cfg, path)
    cfg.DATASET.ROOT = args.root or cfg.DATASET.ROOT or os.environ.get("DATA", "") or "data"
    named = {
        "OUTPUT_DIR": args.output_dir, "RESUME": args.resume, "TRAINER.NAME": args.trainer,
        "DATASET.SOURCE_DOMAINS": args.source_domains, "DATASET.TARGET_DOMAINS": args.target_domains,
        "INPUT.TRANSFORMS": args.transforms, "MODEL.BACKBONE.NAME": args.backbone, "MODEL.HEAD.NAME": args.head,
    }  # fmt: skip
    pairs = [item for key, value in named.items() if value for item in (key, value)]
    pairs += ["SEED", args.seed] if args.seed != -1 else []  # 0 is a seed, too
    _merge_pairs(cfg, pairs)
    _merge_pairs(cfg, args.opts)
    # more workers than cores only take each other's time
    cfg.DATALOADER.NUM_WORKERS = min(cfg.DATALOADER.NUM_WORKERS, cpu_count())
    cfg.freeze()
    _check(cfg)
    return cfg


def _merge_file(cfg: CfgNode, path: str) -> None:
    file = config_files.found(path)
    if not file.is_file():
        near = sorted(p.stem for p in file.parent.glob("*.yaml"))
        raise FileNotFoundError(f"no config file {path} ({file.parent} has: {', '.join(near) or 'no YAML'})")
    content, known = config_files.read_yaml(file), [name for name, _ in leaves(cfg)]
    for key, _ in leaves(content):
        if key not in known:
            raise ValueError(f'{path}: unknown config key "{key}"{did_you_mean(key, known)}')
    try:
        cfg.merge_from_other_cfg(CfgNode(content))
    except (KeyError, ValueError, AssertionError) as error:
        raise ValueError(f"{path}: {one_line(error)}") from error


def _merge_pairs(cfg: CfgNode, pairs: list) -> None:
    if len(pairs) % 2:
        raise ValueError(
            f"config keys and values come in pairs, but there are {len(pairs)}: {' '.join(map(str, pairs))}"
        )
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        try:
            cfg.merge_from_list([key, value])
        except AssertionError:
            keys = [name for name, _ in leaves(cfg)]
            raise ValueError(f'unknown config key "{key}"{did_you_mean(key, keys)}') from None
        except (ValueError, KeyError) as error:
            raise ValueError(f'config key {key} cannot be "{value}": {one_line(error)}') from error


def _check(cfg: CfgNode) -> None:
    for kind, option, name, known in (
        ("trainer", "--trainer NAME", cfg.TRAINER.NAME, [method.__name__ for method in trainers.METHODS]),
        ("data set", "--dataset-config-file FILE", cfg.DATASET.NAME, DATASET_REGISTRY.registered_names()),
    ):
        if not name:
            raise ValueError(f"no {kind}: give {option}; there are {', '.join(known)}")
        registered = known if kind == "data set" else TRAINER_REGISTRY.registered_names()
        if name not in registered:
            raise ValueError(f'unknown {kind} "{name}"{did_you_mean(name, known)}, choose one of {", ".join(known)}')
    if not cfg.MODEL.BACKBONE.NAME:
        raise ValueError("no backbone: give --config-file (configs/trainers/...) or --backbone ViT-B/16")
    check_config(cfg)
    folder = getattr(DATASET_REGISTRY.get(cfg.DATASET.NAME), "folder", None)  # a data set of somebody else may not say
    if cfg.OUTPUT_DIR and folder:
        data_words.check_apart(cfg.OUTPUT_DIR, folder(cfg))


def without_effect(cfg: CfgNode) -> list[str]:
    """The keys of other trainers that have been set."""
    nodes = {method: f"TRAINER.{method.__name__.upper()}" for method in trainers.METHODS}
    set_here = dict(leaves(cfg))
    return [
        f"{node}.{key}"
        for method, node in nodes.items()
        for key, default in method.DEFAULTS.items()
        if method.__name__ != cfg.TRAINER.NAME and set_here[f"{node}.{key}"] != default
    ]


def own_part(cfg: CfgNode) -> CfgNode:
    """The config as log.txt has it: without other trainers' nodes, which have no effect; config.yaml has them all."""
    shown = cfg.clone()
    shown.defrost()
    for name, value in cfg.TRAINER.items():
        if isinstance(value, CfgNode) and name != cfg.TRAINER.NAME.upper():
            del shown.TRAINER[name]
    return shown


def set_deterministic(seed: int) -> None:
    """Makes operations whose order of summing is free on a GPU keep one order; one that cannot raises RuntimeError."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    print("Deterministic algorithms" + ("" if seed >= 0 else ", but no --seed: each run draws other random numbers"))


def main(args: argparse.Namespace) -> None:
    if args.no_cache:
        cache.switch_off()
    cfg = distributed.start(setup_cfg(args))
    with contextlib.ExitStack() as stack:
        if cfg.OUTPUT_DIR:
            stack.enter_context(locks.hold(Path(cfg.OUTPUT_DIR)))
            stack.enter_context(logged(cfg.OUTPUT_DIR))
        run(cfg, args)


@contextlib.contextmanager
def logged(directory: str) -> Iterator[None]:
    """Copies what is printed to the directory's log.txt; afterwards standard output is what it was."""
    console = sys.stdout
    setup_logger(directory)
    logger: Any = sys.stdout
    try:
        yield
    finally:
        sys.stdout = console
        # Dassl.pytorch's logger would close the console with itself, and write what the disk has no room for at exit
        file, logger.file, logger.console = logger.file, None, io.StringIO()
        with contextlib.suppress(OSError):
            file.close()


@functools.cache
def about_this_machine() -> str:
    """Versions and hardware, as log.txt has them; asking takes half a second."""
    return collect_env_info()


def run(cfg: CfgNode, args: argparse.Namespace) -> None:
    """What the command line asks for, with its config."""
    if cfg.SEED >= 0:
        print(f"Setting fixed seed: {cfg.SEED}")
        set_random_seed(cfg.SEED)
    if args.deterministic:
        set_deterministic(cfg.SEED)
    elif torch.cuda.is_available() and cfg.USE_CUDA:
        torch.backends.cudnn.benchmark = True
    print("***************\n** Arguments **\n***************")
    print("\n".join(f"{key}: {value}" for key, value in sorted(vars(args).items())))
    print("************\n** Config **\n************")
    print(own_part(cfg))
    if ignored := without_effect(cfg):
        print(f"Without effect on {cfg.TRAINER.NAME}: {', '.join(ignored)}")
    print("Collecting env info ...")
    print(f"** System info **\n{about_this_machine()}\n")
    trainer = build_trainer(cfg)
    if args.eval_only:
        if trainer.trainable and not args.model_dir:
            raise ValueError(
                f"--eval-only of {cfg.TRAINER.NAME} needs the run to test: --model-dir DIR [--load-epoch N]"
            )
        trainer.any_backbone = args.any_backbone
        trainer.load_model(args.model_dir, epoch=args.load_epoch)
        trainer.test()
    elif not args.no_train:
        trainer.train()


def cli(argv: list[str] | None = None) -> int:
    """The exit status of a command line."""
    words = sys.argv[1:] if argv is None else argv
    goes_on = any(word.startswith("--output-dir") for word in words)
    stopped = "Stopped" + ("; the same command goes on after the last finished epoch" if goes_on else "")
    before, sys.argv = sys.argv, ["train.py", *words]  # result.json says what was asked for, through whichever door
    try:
        return status(lambda: main(parse_args(words)), stopped, DEBUG_HINT, debug="--debug" in words)
    finally:
        sys.argv = before
