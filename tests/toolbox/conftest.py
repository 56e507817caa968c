"""A toy dataset and a toy trainer, registered with whichever Dassl is installed."""

from upt_clip import dassl_compat  # noqa: F401, I001 - first, since it makes Dassl.pytorch importable

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}


@DATASET_REGISTRY.register()
class ToyColours(DatasetBase):
    """3 classes; 4 train, 2 val and 3 test pictures of 12x10 pixels each, made in DATASET.ROOT."""

    def __init__(self, cfg):
        lists = {
            split: [
                Datum(self._picture(cfg.DATASET.ROOT, f"{split}_{name}_{i}.png", rgb), label, 0, name)
                for label, (name, rgb) in enumerate(COLOURS.items())
                for i in range(n)
            ]
            for split, n in (("train_x", 4), ("val", 2), ("test", 3))
        }
        super().__init__(**lists)

    @staticmethod
    def _picture(folder, name, rgb):
        path = f"{folder}/{name}"
        Image.new("RGB", (12, 10), rgb).save(path)
        return path


@TRAINER_REGISTRY.register()
class ToyTrainer(TrainerX):
    """A linear classifier on 3x8x8 pixels, written as CoOp-style projects write their trainers.

    `lrs` collects the rate of every epoch; `stop_before` ends the training there, as a kill would; `val_results`
    replaces what the validation finds.
    """

    stop_before = None
    val_results = None

    def build_model(self):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, self.num_classes))
        self.model.to(self.device)
        self.optim = build_optimizer(self.model, self.cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
        self.register_model("linear", self.model, self.optim, self.sched)
        self.lrs = []

    def before_epoch(self):
        if self.epoch == self.stop_before:
            raise KeyboardInterrupt
        self.lrs.append(self.get_current_lr())

    def parse_batch_train(self, batch):
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def forward_backward(self, batch):
        image, label = self.parse_batch_train(batch)
        output = self.model(image)
        loss = torch.nn.functional.cross_entropy(output, label)
        self.model_backward_and_update(loss)
        if (self.batch_idx + 1) == self.num_batches:
            self.update_lr()
        return {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}

    def test(self, split=None):
        result = super().test(split)
        return self.val_results[self.epoch] if split == "val" and self.val_results else result


@pytest.fixture
def cfg(tmp_path):
    """A config for the toy trainer on the toy data, without warm-up."""
    (tmp_path / "data").mkdir()
    node = get_cfg_default()
    changes = {
        "TRAINER.NAME": "ToyTrainer",
        "DATASET.NAME": "ToyColours",
        "DATASET.ROOT": str(tmp_path / "data"),
        "OUTPUT_DIR": str(tmp_path / "out"),
        "INPUT.SIZE": (8, 8),
        "INPUT.TRANSFORMS": ["normalize"],
        "DATALOADER.NUM_WORKERS": 0,
        "DATALOADER.TRAIN_X.BATCH_SIZE": 6,
        "USE_CUDA": False,
        "OPTIM.NAME": "sgd",
        "OPTIM.LR": 0.002,
        "OPTIM.LR_SCHEDULER": "cosine",
        "OPTIM.MAX_EPOCH": 3,
    }
    node.merge_from_list([x for pair in changes.items() for x in pair])
    return node


@pytest.fixture
def pictures(tmp_path):
    """Return a function that gives the path of a new picture with that file name."""

    def make(name, size=(12, 10), colour=(200, 100, 50)):
        path = tmp_path / name
        Image.new("RGB", size, colour).save(path)
        return str(path)

    return make
