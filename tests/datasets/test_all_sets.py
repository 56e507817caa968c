"""Every registered dataset on a small copy of its real layout."""

import inspect
from pathlib import Path

import pytest
import yaml
from dassl.data import DataManager
from dassl.data.datasets import DATASET_REGISTRY

from tests.trees import MAKERS, make_oxford_pets
from upt_clip import datasets

REPOSITORY = Path(__file__).parents[2]
PACKAGE = datasets.__name__
OWN = [n for n in DATASET_REGISTRY.registered_names() if DATASET_REGISTRY.get(n).__module__.startswith(f"{PACKAGE}.")]
WITH_SPLIT_FILE = [name for name, maker in MAKERS.items() if "split_file" in inspect.signature(maker).parameters]
CLASS_NAMES = {
    "Caltech101": ["face", "leopard", "motorbike", "accordion"],
    "OxfordPets": ["abyssinian", "american_bulldog", "great_pyrenees", "maine_coon"],
    "StanfordCars": ["2000 AM General Hummer SUV", "2012 Acura RL Sedan", "2012 BMW X3 SUV", "2012 Audi R8 Coupe"],
    "OxfordFlowers": ["pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea"],
    "Food101": ["apple_pie", "baby_back_ribs", "baklava", "beef_tartare"],
    "FGVCAircraft": ["707-320", "A300B4", "Cessna 172", "DC-10"],
    "SUN397": ["abbey", "outdoor apartment_building", "beach", "indoor church"],
    "DescribableTextures": ["banded", "blotchy", "braided", "bubbly"],
    "EuroSAT": ["Annual Crop Land", "Forest", "Herbaceous Vegetation Land", "Highway or Road"],
    "UCF101": ["Apply_Eye_Makeup", "Archery", "Handstand_Pushups", "Tai_Chi"],
    "ImageNet": ["tench", "goldfish", "great white shark", "tiger shark"],
    "ImageNetV2": ["tench", "goldfish", "great white shark", "tiger shark"],
    "ImageNetSketch": ["tench", "goldfish", "great white shark", "tiger shark"],
    "ImageNetA": ["goldfish", "great white shark", "tiger shark", "hammerhead shark"],
    "ImageNetR": ["goldfish", "great white shark", "tiger shark", "hammerhead shark"],
}
COUNTS = dict.fromkeys(MAKERS, (16, 8, 8)) | {"ImageNet": (32, 8, 8)}
COUNTS |= dict.fromkeys(("ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR"), (32, None, 32))


def counts(dataset):
    return len(dataset.train_x), dataset.val and len(dataset.val), len(dataset.test)


@pytest.mark.parametrize("name", MAKERS)
def test_names_labels_and_counts(name, tmp_path, build):
    MAKERS[name](tmp_path)
    dataset = build(name, tmp_path)
    assert dataset.classnames == CLASS_NAMES[name]
    assert counts(dataset) == COUNTS[name]
    for item in [*dataset.train_x, *(dataset.val or []), *dataset.test]:
        assert Path(item.impath).is_file()
        assert item.classname == CLASS_NAMES[name][item.label]
        assert item.domain == 0


@pytest.mark.parametrize("name", WITH_SPLIT_FILE)
def test_a_missing_split_file_is_an_error_that_says_what_to_do(name, tmp_path, build):
    folder = MAKERS[name](tmp_path, split_file=False)
    with pytest.raises(FileNotFoundError) as error:
        build(name, tmp_path)
    message = str(error.value)
    for part in (name, f"split_zhou_{name}.json", str(folder), "DATASETS.md", "MAKE_SPLIT", "upt-clip train emoji 16"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", WITH_SPLIT_FILE)
def test_make_split_uses_every_picture_once_and_is_repeatable(name, tmp_path, build, rows, capsys):
    folder = MAKERS[name](tmp_path, split_file=False)
    dataset = build(name, tmp_path, MAKE_SPLIT=True)
    assert "not comparable with published results" in capsys.readouterr().out
    assert dataset.classnames == CLASS_NAMES[name]
    train, val, test = (rows(items, folder) for items in (dataset.train_x, dataset.val, dataset.test))
    assert len({*train, *val, *test}) == len(train) + len(val) + len(test) == 32
    again = build(name, tmp_path, MAKE_SPLIT=True, seed=2)
    assert rows(again.train_x, folder) == train
    assert rows(again.val, folder) == val
    by_annotations = name in ("OxfordPets", "StanfordCars", "SUN397", "UCF101")
    assert (len(train), len(val), len(test)) == ((20, 4, 8) if by_annotations else (16, 8, 8))


def test_a_made_split_can_be_used_as_split_file(tmp_path, build, rows, capsys):
    folder = make_oxford_pets(tmp_path, split_file=False)
    made = build("OxfordPets", tmp_path, MAKE_SPLIT=True)
    saved = capsys.readouterr().out.partition("Saved split to ")[2].splitlines()[0]
    assert not saved.startswith(str(tmp_path))
    used = build("OxfordPets", tmp_path, SPLIT_FILE=saved)
    assert rows(used.train_x, folder) == rows(made.train_x, folder)


@pytest.mark.parametrize("name", MAKERS)
def test_a_missing_folder_is_an_error_that_names_it(name, tmp_path, build):
    with pytest.raises(FileNotFoundError, match="no folder") as error:
        build(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "https://" in str(error.value)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("OxfordPets", "annotations/test.txt"),
        ("StanfordCars", "devkit/cars_meta.mat"),
        ("OxfordFlowers", "imagelabels.mat"),
        ("FGVCAircraft", "images_variant_val.txt"),
        ("SUN397", "ClassName.txt"),
        ("UCF101", "ucfTrainTestlist/trainlist01.txt"),
    ],
)
def test_a_missing_annotation_file_is_named(name, file, tmp_path, build):
    maker = MAKERS[name]
    folder = maker(tmp_path, split_file=False) if name in WITH_SPLIT_FILE else maker(tmp_path)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError) as error:
        build(name, tmp_path, MAKE_SPLIT=True)
    assert str(folder / file) in str(error.value)
    assert "DATASETS.md" in str(error.value)


def test_annotations_that_contradict_each_other_are_an_error(tmp_path, build):
    folder = MAKERS["FGVCAircraft"](tmp_path)
    (folder / "variants.txt").write_text("707-320\nA300B4\n")
    with pytest.raises(ValueError, match="do not fit together.*Cessna 172"):
        build("FGVCAircraft", tmp_path)


def test_every_dataset_has_a_yaml_and_every_yaml_a_dataset():
    files = sorted((REPOSITORY / "configs" / "datasets").glob("*.yaml"))
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    assert all(list(content) == ["DATASET"] and list(content["DATASET"]) == ["NAME"] for content in contents)
    assert sorted(content["DATASET"]["NAME"] for content in contents) == sorted(OWN)


def test_extend_cfg_keeps_what_is_set(make_cfg):
    cfg = make_cfg(SUBSAMPLE_CLASSES="base").clone()
    cfg.defrost()
    datasets.extend_cfg(cfg)
    assert cfg.DATASET.SUBSAMPLE_CLASSES == "base"
    assert cfg.DATASET.MAKE_SPLIT is False


def test_a_data_manager_loads_batches(tmp_path, make_cfg):
    make_oxford_pets(tmp_path)
    cfg = make_cfg(tmp_path, NAME="OxfordPets", NUM_SHOTS=2).clone()
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TEST.BATCH_SIZE, cfg.INPUT.SIZE = 0, 4, (16, 16)
    manager = DataManager(cfg)
    batch = next(iter(manager.test_loader))
    assert batch["img"].shape == (4, 3, 16, 16)
    assert batch["label"].tolist() == [0, 0, 1, 1]
    assert manager.num_classes == 4
