"""Loaders whose workers and pictures last give the batches that Dassl's own, made anew each epoch, give."""

import random

import numpy as np
import pytest
import torch
from dassl.data import DataManager
from dassl.utils import set_random_seed
from PIL import Image
from torch.utils.data import DataLoader

from upt_clip.trainers.core.training import kept_pictures
from upt_clip.trainers.core.training.data_path import LastingLoader

CROPS = "['random_resized_crop', 'random_flip', 'normalize']"
NUMPY = "['random_flip', 'cutout', 'normalize']"  # draws from numpy's generator, too
JITTER = "['colorjitter', 'randomgrayscale', 'random_flip', 'normalize']"


def stock_loader(cfg, workers: int) -> DataLoader:
    """Dassl's train loader; its workers end with the epoch, as in Dassl.pytorch."""
    stock = DataManager(cfg).train_loader_x
    return DataLoader(
        stock.dataset, batch_size=stock.batch_size, sampler=stock.sampler, drop_last=stock.drop_last,
        num_workers=workers,
    )  # fmt: skip


def epochs(loader, n: int, seed: int | None = 3) -> list[list[dict]]:
    """The batches of n epochs, between which something else is drawn, as dropout does."""
    if seed is not None:
        set_random_seed(seed)
    found = []
    for _ in range(n):
        found.append(list(loader))
        torch.rand(1), random.random(), np.random.rand()
    return found


def assert_equal(left: list[list[dict]], right: list[list[dict]]) -> None:
    for ours, theirs in zip(left, right, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a["impath"] == b["impath"] and a.keys() == b.keys()
            for key in ("img", "label", "domain", "index"):
                assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("keep_mb", [0, 100])
@pytest.mark.parametrize("transforms", [CROPS, NUMPY, JITTER], ids=["crops", "numpy", "jitter"])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_new_loaders_bit_for_bit(config, workers, transforms, keep_mb):
    cfg = config("CoOp", "INPUT.TRANSFORMS", transforms)
    stock = stock_loader(cfg, workers)
    expected = epochs(stock, 3)
    state = torch.get_rng_state()
    lasting = LastingLoader(stock, keep_mb)
    assert_equal(epochs(lasting, 3), expected)
    assert torch.equal(torch.get_rng_state(), state)  # so the rest of training draws the same, too
    assert bool(lasting.dataset.kept and lasting.dataset.kept.pictures) == bool(keep_mb)
    assert not torch.equal(expected[0][0]["img"], expected[1][0]["img"])


def test_a_resumed_run_gets_the_batches_of_one_that_went_through(config):
    stock = stock_loader(config("CoOp", "INPUT.TRANSFORMS", NUMPY), 2)
    whole = LastingLoader(stock, 100)
    first = epochs(whole, 1)
    state = torch.get_rng_state()
    rest = epochs(whole, 2, seed=None)
    torch.set_rng_state(state)  # all that a resume point needs to hold for the workers
    assert_equal(epochs(LastingLoader(stock, 100), 2, seed=None), rest)
    assert len(first) == 1


def test_workers_live_on(config):
    loader = LastingLoader(stock_loader(config("CoOp"), 2))

    def pids() -> list[int]:
        list(loader)
        return [worker.pid for worker in loader._iterator._workers]

    assert pids() == pids()


def test_pictures_are_decoded_once(config, monkeypatch):
    loader = LastingLoader(stock_loader(config("CoOp"), 0), 100)
    read, count = kept_pictures.read_image, []
    monkeypatch.setattr(kept_pictures, "read_image", lambda path: count.append(path) or read(path))
    list(loader)
    monkeypatch.setattr(Image, "open", lambda path: pytest.fail(f"{path} was read"))
    list(loader)
    assert sorted(count) == sorted(item.impath for item in loader.dataset.data_source)


@pytest.mark.parametrize("limit", ["budget", "off"])
def test_pictures_that_do_not_fit_are_not_kept(config, monkeypatch, capsys, limit):
    monkeypatch.setattr(kept_pictures, "MB", 500) if limit == "budget" else monkeypatch.setenv("UPT_CACHE", "off")
    stock = stock_loader(config("CoOp"), 0)
    loader = LastingLoader(stock, 1)
    assert_equal(epochs(loader, 2), epochs(stock, 2))
    assert not loader.dataset.kept.pictures
    assert ("8 take more than DATALOADER.KEEP_MB 1" in capsys.readouterr().out) == (limit == "budget")


def test_several_views_of_a_picture_are_left_to_dassl(config):
    manager = DataManager(config("CoOp"))
    manager.train_loader_x.dataset.k_tfm = 2
    loader = LastingLoader(manager.train_loader_x, 100)
    assert loader.dataset.kept is None and len(next(iter(loader))["img"]) == 2


def test_a_damaged_picture_is_an_error_where_it_is_read(config, tmp_path):
    stock = stock_loader(config("CoOp"), 0)
    stock.dataset.data_source[0]._impath = str(tmp_path / "damaged.jpg")
    (tmp_path / "damaged.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"cannot read the picture .*damaged.jpg"):
        list(LastingLoader(stock, 100))
