"""Image features on disk: exactly what the tower would say, and never of anything else."""

import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import TINY_VIT, random_clip
from upt_clip import train
from upt_clip.trainers.core.testing import feature_cache

COOP = ["CoOp", "TRAINER.COOP.N_CTX", "2", "TRAINER.COOP.PREC", "fp32", "DATALOADER.TEST.BATCH_SIZE", "5"]


@pytest.fixture
def computed(monkeypatch) -> list:
    """What the image tower had to compute features for."""
    calls, compute = [], feature_cache._compute
    monkeypatch.setattr(feature_cache, "_compute", lambda *a: calls.append(a[-1]) or compute(*a))
    return calls


def files() -> list[Path]:
    return list(Path(os.environ["UPT_CACHE"]).glob("features/*"))


def predictions(directory: Path) -> str:
    return (directory / "predictions.csv").read_text()


@pytest.mark.parametrize("name", ["CoOp", "CoCoOp", "ZeroshotCLIP", "LinearProbe"])
def test_a_second_test_reads_no_picture_and_predicts_the_same(build, name, tmp_path, computed, monkeypatch, capsys):
    options = [name, *(COOP[1:] if name == "CoOp" else COOP[-2:])]
    build(*options, output=tmp_path / "a").test()
    first = capsys.readouterr().out
    again = build(*options, output=tmp_path / "b")
    monkeypatch.setattr("PIL.Image.open", lambda path: pytest.fail(f"{path} was read"))
    again.test()
    second = capsys.readouterr().out
    assert computed == ["test"] and len(files()) == 1
    assert predictions(tmp_path / "a") == predictions(tmp_path / "b")
    assert "from the cache" not in first and "test set come from the cache" in second


def test_equals_what_is_computed_without_a_cache(build, tmp_path, monkeypatch):
    for turn in ("first", "second"):
        build(*COOP, output=tmp_path / turn).test()
    monkeypatch.setenv("UPT_CACHE", "off")
    trainer = build(*COOP, output=tmp_path / "off")
    trainer.test()
    assert predictions(tmp_path / "second") == predictions(tmp_path / "off")
    monkeypatch.setattr(type(trainer), "features_are_plain", False)  # pictures through the tower, batch by batch
    build(*COOP, output=tmp_path / "plain").test()
    assert predictions(tmp_path / "second") == predictions(tmp_path / "plain")


@pytest.mark.parametrize("name", ["VPT", "UPT"])
def test_prompted_images_are_never_kept(build, name):
    build(name).test()
    assert not files()


def test_a_method_with_its_own_way_from_images_to_logits_is_left_alone(build):
    trainer = build(*COOP)
    own = type("CoOp", (type(trainer),), {"model_inference": lambda self, images: torch.ones(len(images), 4)})
    trainer.__class__ = own
    assert not trainer.features_are_plain
    trainer.test()
    assert not files()


def test_other_weights_under_the_same_name(build, tmp_path, computed):
    backbone = tmp_path / "clip.pt"
    for seed in (0, 1):
        torch.save(random_clip(TINY_VIT, seed).state_dict(), backbone)
        build(*COOP, backbone=backbone).test()
    assert computed == ["test", "test"] and len(files()) == 2


def test_another_content_of_a_picture_even_with_the_old_size_and_time(build, pets_root, tmp_path, computed):
    root = tmp_path / "data"
    shutil.copytree(pets_root, root)
    trainer = build(*COOP, "DATASET.ROOT", root)
    trainer.test()
    path = trainer.dm.dataset.test[3].impath
    about = os.stat(path)
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG")
    Path(path).write_bytes(content.getvalue().ljust(about.st_size, b"\0"))  # what follows a picture's end is not read
    assert os.stat(path).st_size == about.st_size
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    build(*COOP, "DATASET.ROOT", root).test()
    assert computed == ["test", "test"]


@pytest.mark.parametrize(
    "change",
    [
        ["INPUT.INTERPOLATION", "nearest"],
        ["INPUT.PIXEL_MEAN", "[0.5, 0.5, 0.5]"],
        ["INPUT.TRANSFORMS", "['random_flip']"],
        ["TRAINER.COOP.PREC", "bf16"],
        ["DATALOADER.TEST.BATCH_SIZE", "4"],
        ["DATASET.SUBSAMPLE_CLASSES", "new"],
    ],
    ids=lambda change: change[0],
)
def test_another_transform_precision_or_list_of_pictures(build, change, computed, monkeypatch):
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: torch.bfloat16)
    build(*COOP).test()
    build(*COOP, *change).test()
    build(*COOP).test()
    assert computed == ["test", "test"] and len(files()) == 2


def test_changed_code_computes_anew(build, computed, monkeypatch):
    build(*COOP).test()
    monkeypatch.setattr(feature_cache, "CODE_SHA256", "other")
    build(*COOP).test()
    assert computed == ["test", "test"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_computed_anew(build, damage, tmp_path, computed, capsys):
    build(*COOP, output=tmp_path / "a").test()
    (path,) = files()
    content = path.read_bytes()
    flipped = content[:-3] + bytes([content[-3] ^ 64]) + content[-2:]
    path.write_bytes({"cut": content[:-40], "flipped": flipped, "empty": b""}[damage])
    build(*COOP, output=tmp_path / "b").test()
    assert computed == ["test", "test"] and "Damaged" in capsys.readouterr().out
    assert path.read_bytes() == content
    assert predictions(tmp_path / "a") == predictions(tmp_path / "b")


def test_a_picture_that_changes_meanwhile_is_not_kept(build, pets_root, tmp_path, monkeypatch):
    root = tmp_path / "data"
    shutil.copytree(pets_root, root)
    compute = feature_cache._compute

    def slow(trainer, loader, what):
        features = compute(trainer, loader, what)
        os.utime(loader.dataset.data_source[0].impath)
        return features

    monkeypatch.setattr(feature_cache, "_compute", slow)
    build(*COOP, "DATASET.ROOT", root).test()
    assert not files()


def test_a_folder_out_of_reach_is_a_warning(build, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    trainer = build(*COOP)
    monkeypatch.setenv("UPT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot write the cache file .*features"):
        trainer.test()


def test_training_with_best_val_draws_the_same_numbers_with_and_without_the_cache(build, tmp_path):
    def train(directory):
        trainer = build(*COOP, "TEST.FINAL_MODEL", "best_val", "OPTIM.MAX_EPOCH", "3", output=directory)
        trainer.train()
        last = torch.load(directory / "prompt_learner" / "model.pth.tar-3", weights_only=True)
        return last["state_dict"]["ctx"]

    assert torch.equal(train(tmp_path / "fills"), train(tmp_path / "reads"))


def test_no_cache_of_train_py(config, tmp_path):
    cfg = config("CoOp", output=tmp_path / "run")
    (tmp_path / "cfg.yaml").write_text(cfg.dump())
    run = [
        "--config-file",
        str(tmp_path / "cfg.yaml"),
        "--trainer",
        "ZeroshotCLIP",
        "--output-dir",
        str(tmp_path / "r"),
    ]
    folder = Path(os.environ["UPT_CACHE"])
    assert train.cli([*run, "--no-cache"]) == 0 and not list(folder.iterdir())


def test_several_writers_and_readers_at_once(tmp_path):
    path, wanted = tmp_path / "features.safetensors", torch.rand(200, 32)

    def turn(i: int):
        return feature_cache._write(path, wanted) if i % 2 else feature_cache._read(path, 200)

    with ThreadPoolExecutor(8) as threads:
        found = [features for features in threads.map(turn, range(64)) if features is not None]
    assert found and all(torch.equal(features, wanted) for features in found)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
