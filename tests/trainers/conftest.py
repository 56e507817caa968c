"""Builds any trainer on a small OxfordPets in its real layout with a small random CLIP."""

import pytest
from dassl.engine import build_trainer
from dassl.utils import set_random_seed

from tests.trees import make_oxford_pets
from tests.zygote import Zygote
from upt_clip import train

SMALL = [
    "INPUT.SIZE", "(32, 32)", "DATALOADER.NUM_WORKERS", "0", "DATALOADER.TRAIN_X.BATCH_SIZE", "4",
    "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "2", "OPTIM.NAME", "sgd", "OPTIM.LR", "0.02",
    "OPTIM.LR_SCHEDULER", "cosine", "OPTIM.WARMUP_EPOCH", "1", "OPTIM.WARMUP_TYPE", "constant",
    "INPUT.TRANSFORMS", "['random_resized_crop', 'random_flip', 'normalize']", "DATASET.NAME", "OxfordPets",
]  # fmt: skip


@pytest.fixture(scope="session")
def pets_root(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("data")
    make_oxford_pets(root, 4, 12)
    return str(root)


@pytest.fixture(scope="session")
def zygote():
    """A process that has imported train.py and forks real runs of it."""
    with Zygote() as zygote:
        yield zygote


@pytest.fixture
def config(pets_root, tiny_clip_file, tmp_path_factory):
    """config("UPT", "TRAINER.UPT.MIXER", "joint") -> a frozen config, in a directory of its own."""

    def make(trainer: str, *opts, backbone: str = tiny_clip_file, output: object = "", seed: int = 1):
        options = ["--root", pets_root, "--seed", str(seed), "--trainer", trainer, "--backbone", str(backbone)]
        options += ["--output-dir", str(output or tmp_path_factory.mktemp("run"))]
        return train.setup_cfg(train.parse_args([*options, *SMALL, *map(str, opts)]))

    return make


@pytest.fixture
def build(config):
    """build("UPT", ...) -> the trainer, seeded as train.py does it."""

    def make(trainer: str, *opts, **kwargs):
        cfg = config(trainer, *opts, **kwargs)
        set_random_seed(cfg.SEED)
        return build_trainer(cfg)

    return make
