"""NaN and infinite values: training stops before they spread, and says where they came up."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

FILES_NAMED = 4


def check_loss(trainer, loss: float, step: int, paths: Sequence[str]) -> None:
    """Raises FloatingPointError unless the loss of a training step (0, 1, ...) is finite."""
    if not math.isfinite(loss):
        where = f"step {step + 1} of {trainer.num_batches} with {_files(paths)}"
        raise FloatingPointError(f"{_epoch(trainer)}, {where}: the loss is NaN or infinite. {_advice(trainer)}")


def check_learned(trainer) -> None:
    """Raises FloatingPointError unless all that is learned is finite; called before it is saved."""
    if wrong := [name for name, value in trainer.trainable.items() if not torch.isfinite(value).all()]:
        raise FloatingPointError(f"{_epoch(trainer)}: {', '.join(wrong)} became NaN or infinite. {_advice(trainer)}")


def check_logits(trainer, logits: Tensor, paths: Sequence[str]) -> None:
    """Raises FloatingPointError unless the outputs for a test batch are finite: the arg max of NaN is a class, too."""
    if not torch.isfinite(logits).all():
        raise FloatingPointError(f"test of {_files(paths)}: an output is NaN or infinite. {_precision(trainer)}")


def _epoch(trainer) -> str:
    return f"epoch {trainer.epoch + 1} of {trainer.max_epoch}"


def _files(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - FILES_NAMED} more" if len(paths) > FILES_NAMED else ""
    return f"{', '.join(paths[:FILES_NAMED])}{more}"


def _advice(trainer) -> str:
    kept = f"{trainer.output_dir} keeps the state after epoch {trainer.epoch}. " if trainer.output_dir else ""
    rate = f"A lower OPTIM.LR than {trainer.cfg.OPTIM.LR} may help, in another OUTPUT_DIR. "
    return kept + rate + _precision(trainer)


def _precision(trainer) -> str:
    key, name = f"TRAINER.{type(trainer).__name__.upper()}.PREC", trainer.precision.name
    return "Look at these pictures, too" if name == "fp32" else f"So may {key} fp32, since this is {name}"
