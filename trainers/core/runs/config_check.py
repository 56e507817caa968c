"""A look at a merged config before anything is loaded: what Dassl and torch would take and then fail at, or quietly do
something else with."""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from dassl.data.transforms import build_transform
from dassl.optim import build_lr_scheduler, build_optimizer
from torch import nn

from upt_clip.messages import did_you_mean

from ..clip.precision import CHOICES as PRECISIONS
from . import checkpoints, resume

TRANSFORMS = (
    "random_flip", "random_resized_crop", "normalize", "instance_norm", "random_crop", "random_translation",
    "center_crop", "cutout", "imagenet_policy", "cifar10_policy", "svhn_policy", "randaugment", "randaugment_fixmatch",
    "randaugment2", "gaussian_noise", "colorjitter", "randomgrayscale", "gaussian_blur",
)  # fmt: skip

Rule = tuple[Callable[[Any], bool], str]  # whether a value is good, and what would be


def at_least(lowest: float) -> Rule:
    return lambda value: value >= lowest, f"{lowest} or more"


def between(lowest: float, highest: float) -> Rule:
    return lambda value: lowest <= value <= highest, f"{lowest} to {highest}"


def one_of(*names: str) -> Rule:
    return lambda value: value in names, f"one of {', '.join(names)}"


def numbers(n: int, above: float = -math.inf, kinds: tuple[type, ...] = (int, float)) -> Rule:
    """`n` numbers that are larger than `above`."""

    def is_good(value: Sequence) -> bool:
        return len(value) == n and all(type(one) in kinds and one > above for one in value)

    return is_good, f"{n} {'whole ' if kinds == (int,) else ''}numbers{f' above {above}' if above > -math.inf else ''}"


POSITIVE: Rule = (lambda value: value > 0, "a number above 0")
RULES: dict[str, Rule] = {
    "SEED": (lambda value: -1 <= value < 2**32, "0 to 4294967295, or -1 for a seed that is not fixed"),
    "INPUT.SIZE": numbers(2, above=0, kinds=(int,)),
    "INPUT.INTERPOLATION": one_of("bilinear", "bicubic", "nearest"),
    "INPUT.TRANSFORMS": (lambda value: set(value) <= set(TRANSFORMS), f"from {', '.join(TRANSFORMS)}"),
    "INPUT.NO_TRANSFORM": (lambda value: not value, "False, since CLIP takes no untransformed pictures"),
    "INPUT.PIXEL_MEAN": numbers(3),
    "INPUT.PIXEL_STD": numbers(3, above=0),
    "INPUT.RRCROP_SCALE": (
        lambda value: len(value) == 2 and 0 < value[0] <= value[1] <= 1,
        "smallest and largest share of a picture",
    ),
    "INPUT.RGS_P": between(0, 1),
    "INPUT.GB_P": between(0, 1),
    "DATALOADER.NUM_WORKERS": at_least(0),
    "DATALOADER.KEEP_MB": at_least(0),
    "DATALOADER.K_TRANSFORMS": (lambda value: value == 1, "1: prompts are trained on one view of a picture"),
    "DATALOADER.TRAIN_X.BATCH_SIZE": at_least(1),
    "DATALOADER.TRAIN_X.SAMPLER": one_of("RandomSampler", "SequentialSampler", "RandomClassSampler"),
    "DATALOADER.TRAIN_X.N_INS": at_least(1),
    "DATALOADER.TEST.BATCH_SIZE": at_least(1),
    "DATALOADER.TEST.SAMPLER": one_of("SequentialSampler", "RandomSampler"),
    "TRAINER.TEXT_CHUNK": at_least(0),
    "TRAINER.CHECKPOINT": one_of("auto", "always", "never"),
    "TRAINER.ACCUMULATE": at_least(1),
    "OPTIM.NAME": one_of("adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"),
    "OPTIM.LR": POSITIVE,
    "OPTIM.WEIGHT_DECAY": at_least(0),
    "OPTIM.LR_SCHEDULER": one_of("single_step", "multi_step", "cosine"),
    "OPTIM.GAMMA": POSITIVE,
    "OPTIM.MAX_EPOCH": at_least(1),
    "OPTIM.WARMUP_TYPE": one_of("linear", "constant"),
    "OPTIM.WARMUP_CONS_LR": at_least(0),
    "OPTIM.WARMUP_MIN_LR": at_least(0),
    "TRAIN.PRINT_FREQ": at_least(1),
    "TRAIN.CHECKPOINT_FREQ": at_least(0),
    "TEST.EVALUATOR": one_of("Classification"),
    "TEST.SPLIT": one_of("test", "val"),
    "TEST.FINAL_MODEL": one_of("last_step", "best_val"),
}


def check_config(cfg) -> None:
    """Raises ValueError, in one line, where a merged config makes no sense whatever the data and the backbone are."""
    for key, value in leaves(cfg):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key} is {value}, choose a finite number")
        if value is None:
            raise ValueError(f"{key} is None, give it a value or leave it out")
    precision = f"TRAINER.{cfg.TRAINER.NAME.upper()}.PREC"
    values = dict(leaves(cfg))
    for key, (is_good, choices) in {**RULES, precision: one_of(*PRECISIONS)}.items():
        if key not in values:  # a run of an older version
            continue
        value = values[key]
        try:
            good = is_good(value)
        except TypeError:  # parts of a list are of any type
            good = False
        if not good:
            near = did_you_mean(value, choices.removeprefix("one of ").split(", ")) if isinstance(value, str) else ""
            raise ValueError(f"{key} is {value!r}, choose {choices}{near}")
    if cfg.RESUME and not Path(cfg.RESUME).is_dir():
        raise ValueError(f"RESUME is {cfg.RESUME}, which is no directory: give a run's, or leave --resume out")
    states = [*resume.NAMES, f"{checkpoints.FOLDER}/checkpoint"]
    if cfg.RESUME and not any((Path(cfg.RESUME) / name).is_file() for name in states):
        raise ValueError(
            f"RESUME is {cfg.RESUME}, which has no state of a run ({', '.join(states)}): give a run's directory, or "
            "leave --resume out to start anew"
        )
    loader = cfg.DATALOADER.TRAIN_X
    if loader.SAMPLER == "RandomClassSampler" and loader.BATCH_SIZE < loader.N_INS:
        raise ValueError(
            f"DATALOADER.TRAIN_X.BATCH_SIZE is {loader.BATCH_SIZE}, but N_INS is {loader.N_INS}: RandomClassSampler "
            "puts N_INS pictures of each class into a batch"
        )
    if cfg.OPTIM.WARMUP_EPOCH > cfg.OPTIM.MAX_EPOCH:
        raise ValueError(
            f"OPTIM.WARMUP_EPOCH is {cfg.OPTIM.WARMUP_EPOCH}, but OPTIM.MAX_EPOCH is {cfg.OPTIM.MAX_EPOCH}: "
            "the warm-up must end within the training"
        )
    _build_on_trial(cfg)


def _build_on_trial(cfg) -> None:
    """Builds what torch and torchvision check themselves: the optimiser, its schedule, the transforms."""

    def optimiser() -> None:
        model = nn.ParameterList([torch.zeros(1)])  # draws no random numbers
        build_lr_scheduler(build_optimizer(model, cfg.OPTIM), cfg.OPTIM)

    def transforms() -> None:
        for is_train in (True, False):
            build_transform(cfg, is_train)

    for node, build in (("OPTIM", optimiser), ("INPUT", transforms)):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                build()
        except (ValueError, TypeError, AssertionError) as error:
            raise ValueError(f"the keys of {node} do not fit together: {error or type(error).__name__}") from error


def leaves(node, prefix: str = "") -> Iterator[tuple[str, object]]:
    """("OPTIM.LR", 0.002), ... for every key of a config."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
