"""Trainers over a labelled loader, or a labelled and an unlabelled one."""

import datetime
import os
import shutil
import time
import warnings

import torch
from dassl.data import DataManager
from dassl.evaluation import build_evaluator
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import AverageMeter, MetricMeter, count_num_param, load_checkpoint, load_pretrained_weights
from tqdm import tqdm

from .base import BEST_NAME, TrainerBase
from .simple_net import SimpleNet

__all__ = ["SimpleTrainer", "TrainerX", "TrainerXU"]


class SimpleTrainer(TrainerBase):
    """Data, evaluator, checkpoints, resume and test. Subclasses override `build_model` and `forward_backward`."""

    def __init__(self, cfg):
        super().__init__()
        self.check_cfg(cfg)
        self.device = torch.device("cuda" if torch.cuda.is_available() and cfg.USE_CUDA else "cpu")
        self.start_epoch = self.epoch = 0
        self.max_epoch = cfg.OPTIM.MAX_EPOCH
        self.output_dir = cfg.OUTPUT_DIR
        self.cfg = cfg
        self.build_data_loader()
        self.build_model()
        self.evaluator = build_evaluator(cfg, lab2cname=self.lab2cname)
        self.best_result = -float("inf")

    def check_cfg(self, cfg):
        """Hook: a trainer checks its own part of the config here."""

    def build_data_loader(self):
        """Make the loaders and note the classes."""
        dm = DataManager(self.cfg)
        self.train_loader_x = dm.train_loader_x
        self.train_loader_u = dm.train_loader_u
        self.val_loader = dm.val_loader
        self.test_loader = dm.test_loader
        self.num_classes = dm.num_classes
        self.num_source_domains = dm.num_source_domains
        self.lab2cname = dm.lab2cname
        self.dm = dm

    def build_model(self):
        """Build a plain CNN and register it."""
        cfg = self.cfg
        print("Building model")
        self.model = SimpleNet(cfg, cfg.MODEL, self.num_classes)
        if cfg.MODEL.INIT_WEIGHTS:
            load_pretrained_weights(self.model, cfg.MODEL.INIT_WEIGHTS)
        self.model.to(self.device)
        print(f"# params: {count_num_param(self.model):,}")
        self.optim = build_optimizer(self.model, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("model", self.model, self.optim, self.sched)

    def train(self):
        """Train from `start_epoch` (or from the checkpoint that is found) to `max_epoch`."""
        super().train(self.start_epoch, self.max_epoch)

    @property
    def _selects_best(self):
        return not self.cfg.TEST.NO_TEST and self.cfg.TEST.FINAL_MODEL == "best_val"

    def before_train(self):
        """Resume if possible; open the event file."""
        directory = self.cfg.RESUME or self.output_dir
        self.start_epoch = self.resume_model_if_exist(directory)
        if self._selects_best:
            if self.val_loader is None:
                warnings.warn("There is no val set, so best_val selects the model on the test set", stacklevel=2)
            if self.start_epoch > 0:
                self._restore_best(directory)
        writer_dir = os.path.join(self.output_dir, "tensorboard")
        os.makedirs(writer_dir, exist_ok=True)
        self.init_writer(writer_dir)
        self.time_start = time.time()

    def resume_model_if_exist(self, directory):
        """As of `TrainerBase`, but a folder that the user named must have a checkpoint.

        Raises:
            FileNotFoundError: it has none.
        """
        if self.cfg.RESUME and directory == self.cfg.RESUME and self._models and not self.has_checkpoint(directory):
            raise FileNotFoundError(
                f'RESUME is "{directory}", but it has no checkpoint of {self.get_model_names()}; '
                "leave RESUME empty to train from scratch"
            )
        return super().resume_model_if_exist(directory)

    def _restore_best(self, directory):
        """Remember the best result so far, and have the best model in the output folder."""
        for name in self.get_model_names():
            path = os.path.join(directory, name, BEST_NAME)
            if not os.path.isfile(path):
                return
            result = load_checkpoint(path)["val_result"]
            own_path = os.path.join(self.output_dir, name, BEST_NAME)
            if os.path.abspath(own_path) != os.path.abspath(path):
                os.makedirs(os.path.dirname(own_path), exist_ok=True)
                shutil.copy(path, own_path)
        if result is not None:
            self.best_result = result

    def after_epoch(self):
        """Save the best model so far and, when it is due, the current one."""
        if self._selects_best:
            result = self.test(split="val")
            if result > self.best_result:
                self.best_result = result
                self.save_model(self.epoch, self.output_dir, val_result=result, model_name=BEST_NAME)
        frequency = self.cfg.TRAIN.CHECKPOINT_FREQ
        is_due = frequency > 0 and (self.epoch + 1) % frequency == 0
        if is_due or self.epoch + 1 == self.max_epoch:
            self.save_model(self.epoch, self.output_dir)

    def after_train(self):
        """Test the chosen model."""
        print("Finish training")
        if not self.cfg.TEST.NO_TEST:
            if self._selects_best:
                print("Deploy the model with the best val performance")
                self.load_model(self.output_dir)
            else:
                print("Deploy the last-epoch model")
            self.test()
        print(f"Elapsed: {datetime.timedelta(seconds=round(time.time() - self.time_start))}")
        self.close_writer()

    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Evaluate on the test set, or on "val" if there is one; return the evaluator's first result."""
        self.set_model_mode("eval")
        self.evaluator.reset()
        split = split or self.cfg.TEST.SPLIT
        if split == "val" and self.val_loader is not None:
            loader = self.val_loader
        else:
            split, loader = "test", self.test_loader
        print(f"Evaluate on the *{split}* set")
        for batch in tqdm(loader):
            input, label = self.parse_batch_test(batch)
            self.evaluator.process(self.model_inference(input), label)
        results = self.evaluator.evaluate()
        for key, value in results.items():
            self.write_scalar(f"{split}/{key}", value, self.epoch)
        return next(iter(results.values()))

    def model_inference(self, input):
        """Return the scores (B, C) of a batch of images."""
        return self.model(input)

    def parse_batch_test(self, batch):
        """Return images and labels on the device."""
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def _run_batches(self, batches, num_batches):
        """Train one epoch; `batches` yields the arguments of `forward_backward`."""
        self.set_model_mode("train")
        self.num_batches = num_batches
        losses, batch_time, data_time = MetricMeter(), AverageMeter(), AverageMeter()
        end = time.time()
        for self.batch_idx, batch in enumerate(batches):
            data_time.update(time.time() - end)
            losses.update(self.forward_backward(*batch))
            batch_time.update(time.time() - end)
            self._report(losses, batch_time, data_time)
            end = time.time()

    def _report(self, losses, batch_time, data_time):
        """Print the progress line when it is due, and write the scalars."""
        done, total, frequency = self.batch_idx + 1, self.num_batches, self.cfg.TRAIN.PRINT_FREQ
        lr = self.get_current_lr()
        if frequency > 0 and (done % frequency == 0 or total < frequency):
            remaining = total - done + (self.max_epoch - self.epoch - 1) * total
            eta = datetime.timedelta(seconds=int(batch_time.avg * remaining))
            print(
                f"epoch [{self.epoch + 1}/{self.max_epoch}] batch [{done}/{total}] "
                f"time {batch_time.val:.3f} ({batch_time.avg:.3f}) data {data_time.val:.3f} ({data_time.avg:.3f}) "
                f"{losses} lr {lr:.4e} eta {eta}"
            )
        step = self.epoch * total + self.batch_idx
        for name, meter in losses.meters.items():
            self.write_scalar(f"train/{name}", meter.avg, step)
        self.write_scalar("train/lr", lr, step)


class TrainerX(SimpleTrainer):
    """Trains on the labelled loader."""

    def run_epoch(self):
        """Call `forward_backward(batch)` for each batch."""
        self._run_batches(((batch,) for batch in self.train_loader_x), len(self.train_loader_x))

    def parse_batch_train(self, batch):
        """Return images, labels and domains on the device."""
        return tuple(batch[key].to(self.device) for key in ("img", "label", "domain"))


class TrainerXU(SimpleTrainer):
    """Trains on the labelled and the unlabelled loader; `TRAIN.COUNT_ITER` says whose length an epoch has."""

    def run_epoch(self):
        """Call `forward_backward(batch_x, batch_u)` for each pair of batches; the shorter loader starts again."""
        len_x, len_u = len(self.train_loader_x), len(self.train_loader_u)
        lengths = {"train_x": len_x, "train_u": len_u, "smaller_one": min(len_x, len_u)}
        if self.cfg.TRAIN.COUNT_ITER not in lengths:
            raise ValueError(f"TRAIN.COUNT_ITER must be one of {list(lengths)}, but got {self.cfg.TRAIN.COUNT_ITER}")
        num_batches = lengths[self.cfg.TRAIN.COUNT_ITER]
        pairs = zip(range(num_batches), _forever(self.train_loader_x), _forever(self.train_loader_u), strict=False)
        self._run_batches(((batch_x, batch_u) for _, batch_x, batch_u in pairs), num_batches)


def _forever(loader):
    while True:
        yield from loader
