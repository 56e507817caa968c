"""What upt-clip bench times: a trainer's own network and the plain path over the same weights, learner and images."""

import argparse
import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upt_clip import cache, train
from upt_clip.config_files import CONFIGS
from upt_clip.tools.bench import random_clip
from upt_clip.tools.bench.measure import Task, products
from upt_clip.tools.bench.plain_clip import PlainCLIP, PlainTrainer
from upt_clip.trainers.core import Prompts
from upt_clip.trainers.core.clip.precision import choose_device
from upt_clip.trainers.core.clip.prompted_clip import PromptedCLIP
from upt_clip.trainers.core.predictor import bare_trainer

# isort: split
from dassl.engine import TrainerX, build_trainer
from dassl.utils import set_random_seed

Network = PromptedCLIP | PlainCLIP
SETUP = CONFIGS / "trainers/UPT/pocket_paper.yaml"  # it sets no trainer's keys, so it serves all methods
LR = 0.002
ENDLESS = 10_000  # epochs, so that none is the last, which would be followed by a test


def quiet() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


def config(args: argparse.Namespace, precision: str, *opts: object):
    """The frozen config of `args.trainer` on the data set `Emoji`; `args.opts` are KEY VALUE pairs that come last."""
    options = ["--trainer", args.trainer, "--backbone", args.checkpoint, "--seed", "1", "--config-file", SETUP]
    options += ["--dataset-config-file", CONFIGS / "datasets/emoji.yaml"]
    size, key = f"({args.side}, {args.side})", f"TRAINER.{args.trainer.upper()}.PREC"
    options += ["INPUT.SIZE", size, key, precision, *opts, *args.opts]
    return train.setup_cfg(train.parse_args([*map(str, options)]))


class Paths:
    """Both paths at one precision; `ours` and `plain` are modules that map images to logits."""

    def __init__(self, args: argparse.Namespace, precision: str):
        self.device = choose_device(args.device, use_cuda=True)
        self.trainer = bare_trainer(config(args, precision), self.device)
        set_random_seed(1)  # the same learner at every precision
        with quiet():
            self.ours = self.trainer.build_network(random_clip.class_names(args.n_classes))
        self.trainer.model, self.plain = self.ours, PlainCLIP(self.trainer, self.ours)
        self.precision = self.trainer.precision.name  # may be another one than was asked, on a device that lacks it
        self.images = torch.randn(args.batch_size, 3, args.side, args.side, device=self.device)
        self.labels = torch.arange(args.batch_size, device=self.device) % args.n_classes

    @property
    def dtype(self) -> torch.dtype:
        """Of the towers' matrix products."""
        return self.trainer.precision.autocast or self.trainer.precision.tower

    def training_step(self, model: Network) -> Task:
        """Forward pass, loss, backward pass and update of the learner.

        Raises:
            ValueError: the method learns nothing.
        """
        if not self.trainer.trainable:
            raise ValueError(f"{self.trainer.cfg.TRAINER.NAME} learns nothing: use evaluation, or --trainer UPT")
        optimizer = torch.optim.SGD(model.learner.parameters(), lr=LR)

        def step() -> None:
            model.learner.train().requires_grad_()
            with self.trainer.precision.context():
                logits = model(self.images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), self.labels).backward()
            optimizer.step()

        return step

    def inference(self, model: Network, n_images: int | None = None) -> Callable[[], Tensor]:
        """Logits of the (first) images, in evaluation mode."""

        @torch.no_grad()
        def infer() -> Tensor:
            at_rest(model.learner)
            with self.trainer.precision.context():
                return model(self.images[:n_images])

        return infer

    @torch.no_grad()
    def image_tower(self) -> Tensor:
        """Our image tower's features of the images."""
        prompts = Prompts() if self.trainer.image_specific else None
        with self.trainer.precision.context():
            return self.ours.image_features(self.images, prompts)

    def image_tower_products(self) -> Task:
        """The image tower's large matrix products and nothing else."""
        visual = self.trainer.clip_model.visual
        prompts = None if self.trainer.image_specific else self.ours.learner().image
        n_patches = (visual.input_resolution // visual.conv1.kernel_size[0]) ** 2
        n_tokens = n_patches + 1 + (0 if prompts is None else prompts.shape[1])
        weights = [(n_patches, visual.conv1.weight.flatten(1))]
        for block in visual.transformer.resblocks:
            own = block.attn.in_proj_weight, block.attn.out_proj.weight, block.mlp.c_fc.weight, block.mlp.c_proj.weight
            weights += [(n_tokens, weight) for weight in own]
        return products([(len(self.images) * n, weight.to(self.dtype)) for n, weight in weights])

    def class_features(self) -> Task | None:
        """Our class features computed anew, as at an evaluation's start; None where they depend on the image."""
        if self.trainer.image_specific or not self.trainer.trainable:
            return None

        @torch.no_grad()
        def encode() -> None:
            at_rest(self.ours.learner)
            touch(self.ours.learner)
            with self.trainer.precision.context():
                self.ours.text_features()

        return encode


def emoji_trainer(args: argparse.Namespace, folder: Path, name: str, precision: str) -> TrainerX:
    """Our trainer, or Dassl's own loop with the plain path, ready for `one_epoch`."""
    options = ["OUTPUT_DIR", folder / name, "OPTIM.MAX_EPOCH", ENDLESS, "DATASET.NUM_SHOTS", 16]
    options += ["DATALOADER.TRAIN_X.BATCH_SIZE", args.batch_size, "DATALOADER.NUM_WORKERS", args.workers]
    cfg = config(args, precision, *options)
    set_random_seed(1)
    with quiet():
        trainer = build_trainer(cfg) if name == "ours" else PlainTrainer(cfg)
        trainer.before_train()
    trainer.max_epoch = ENDLESS
    return trainer


def one_epoch(trainer: TrainerX) -> Task:
    """An epoch with all that Dassl does around it; every trainer's epoch i draws the same random numbers."""
    trainer.epoch = -1

    def run() -> None:
        trainer.epoch += 1
        set_random_seed(trainer.epoch)
        with quiet():
            trainer.before_epoch()
            trainer.run_epoch()
            trainer.after_epoch()

    return run


def whole_test(trainer: TrainerX) -> Task:
    """Dassl's `test`, class features included."""

    def run() -> None:
        at_rest(trainer.model.learner)
        touch(trainer.model.learner)
        with quiet():
            trainer.test()

    return run


def anew(test: Task) -> Task:
    """The test without image features kept from before."""

    def run() -> None:
        shutil.rmtree(cache.cache_dir() / "features", ignore_errors=True)
        test()

    return run


def at_rest(learner: nn.Module) -> None:
    """Evaluation mode, and no gradients wanted: torch's counter of operations fails on views of what wants some."""
    learner.eval().requires_grad_(False)


@torch.no_grad()
def touch(learner: nn.Module) -> None:
    """Changes learned tensors in place by nothing, so that no class features are taken from before."""
    for learned in learner.parameters():
        learned.mul_(1)


@torch.no_grad()
def test_logits(trainer: TrainerX) -> Tensor:
    """Logits (B, C) of the first test batch."""
    trainer.set_model_mode("eval")
    images, _ = trainer.parse_batch_test(next(iter(trainer.test_loader)))
    return trainer.model_inference(images).float()
