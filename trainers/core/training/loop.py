"""One epoch of training: Dassl's attributes, progress line and scalars, but no look at the device in every step.

On a GPU, reading a loss waits until all that was asked of it is done. So a step's numbers stay on the device, as
tensors, until a progress line is due.
"""

import datetime
import time

import torch
from dassl.utils import AverageMeter, MetricMeter
from torch import Tensor

from upt_clip import distributed

from . import anomaly


def run_epoch(trainer) -> None:
    """Calls `forward_backward(batch)`, which returns scalar tensors (or numbers) by name, for each batch.

    Raises:
        FloatingPointError: a loss is NaN or infinite; it is noticed at the next progress line, or when the epoch ends.
    """
    trainer.set_model_mode("train")
    trainer.num_batches = len(trainer.train_loader_x)
    log = StepLog(trainer)
    for step, batch in enumerate(trainer.train_loader_x):
        trainer.batch_idx = step
        log.has_data()
        log.add(trainer.forward_backward(distributed.share(batch)), batch["impath"])
        log.report()


class StepLog:
    """Collects an epoch's numbers, prints Dassl's progress line, and writes the scalars once every PRINT_FREQ steps."""

    def __init__(self, trainer) -> None:
        self.trainer, self.frequency = trainer, trainer.cfg.TRAIN.PRINT_FREQ
        self.metrics, self.step_time, self.data_time = MetricMeter(), AverageMeter(), AverageMeter()
        self.waiting: list[tuple[int, list[str], dict[str, Tensor]]] = []  # steps whose numbers were not read yet
        self.start = time.perf_counter()

    def has_data(self) -> None:
        self.data_time.update(time.perf_counter() - self.start)

    def add(self, summary: dict[str, Tensor] | None, paths: list[str]) -> None:
        if summary:
            self.waiting.append((self.trainer.batch_idx, paths, summary))
        self.step_time.update(time.perf_counter() - self.start)
        self.start = time.perf_counter()

    def report(self) -> None:
        """Prints and writes what is due after the present step."""
        done, total = self.trainer.batch_idx + 1, self.trainer.num_batches
        every = done % self.frequency == 0
        if every or done == total or total < self.frequency:
            self._read()
        if every or total < self.frequency:
            print(self._line(done, total))
        if every or done == total:
            self._write_scalars()

    def _read(self) -> None:
        """Moves the waiting numbers from the device into the averages, all at once."""
        if not self.waiting:
            return
        names = list(self.waiting[0][2])
        cells = [torch.as_tensor(summary[name]) for _, _, summary in self.waiting for name in names]
        table = torch.stack([cell.reshape(()).float() for cell in cells])
        rows = distributed.mean(table).view(len(self.waiting), len(names)).tolist()
        for (step, paths, _), row in zip(self.waiting, rows, strict=True):
            numbers = dict(zip(names, row, strict=True))
            anomaly.check_loss(self.trainer, numbers.get("loss", 0.0), step, paths)
            self.metrics.update(numbers)
        self.waiting.clear()

    def _line(self, done: int, total: int) -> str:
        """As Dassl writes it: other programs read it."""
        trainer, step, data = self.trainer, self.step_time, self.data_time
        left = total - done + (trainer.max_epoch - trainer.epoch - 1) * total
        return (
            f"epoch [{trainer.epoch + 1}/{trainer.max_epoch}] batch [{done}/{total}] time {step.val:.3f} "
            f"({step.avg:.3f}) data {data.val:.3f} ({data.avg:.3f}) {self.metrics} lr {trainer.get_current_lr():.4e} "
            f"eta {datetime.timedelta(seconds=int(step.avg * left))}"
        )

    def _write_scalars(self) -> None:
        trainer = self.trainer
        step = trainer.epoch * trainer.num_batches + trainer.batch_idx
        for name, meter in self.metrics.meters.items():
            trainer.write_scalar(f"train/{name}", meter.avg, step)
        trainer.write_scalar("train/lr", trainer.get_current_lr(), step)
