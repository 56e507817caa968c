import io
import pickle
import random
import sys
import tarfile
import zipfile

import pytest
import torch
from dassl.data import DataManager, DatasetWrapper
from dassl.data.data_manager import build_data_loader
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum, build_dataset
from dassl.data.samplers import build_sampler
from dassl.data.transforms import build_transform

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")
LABELS = [2, 0, 1, 0, 2, 2, 0, 1]


@pytest.fixture
def items(pictures):
    return [Datum(pictures(f"{i}.png"), label, i % 2, f"class {label}") for i, label in enumerate(LABELS)]


def test_datum_is_read_only_and_pickles_under_its_path(pictures):
    path = pictures("a.png")
    datum = Datum(impath=path, label=3, domain=1, classname="cat")
    assert (datum.impath, datum.label, datum.domain, datum.classname) == (path, 3, 1, "cat")
    for name in ("impath", "label", "domain", "classname"):
        with pytest.raises(AttributeError):
            setattr(datum, name, 0)
    assert vars(datum) == {"_impath": path, "_label": 3, "_domain": 1, "_classname": "cat"}
    assert (Datum.__module__, Datum.__qualname__) == ("dassl.data.datasets.base_dataset", "Datum")
    assert pickle.loads(pickle.dumps(datum)).classname == "cat"


@pytest.mark.filterwarnings("ignore:No file found")
def test_datum_refuses_what_is_no_image(tmp_path):
    with pytest.raises((AssertionError, FileNotFoundError)):
        Datum(impath=str(tmp_path / "missing.png"))
    with pytest.raises((AssertionError, TypeError)):
        Datum(impath=tmp_path)


@bundled_only
def test_datum_names_the_missing_file_and_can_skip_the_check(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        Datum(impath=str(tmp_path / "missing.png"))
    monkeypatch.setattr(Datum, "check_file", False)
    assert Datum(impath="later.png").impath == "later.png"


def test_dataset_properties(items):
    dataset = DatasetBase(train_x=items, val=items[:2], test=items[:3])
    assert dataset.train_x == items
    assert (dataset.train_u, dataset.val, dataset.test) == (None, items[:2], items[:3])
    assert dataset.num_classes == 3
    assert dataset.lab2cname == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert dataset.classnames == ["class 0", "class 1", "class 2"]
    assert (DatasetBase.dataset_dir, DatasetBase.domains) == ("", [])
    assert DatasetBase.get_num_classes(items) == 3
    assert DatasetBase.get_lab2cname(items) == (dataset.lab2cname, dataset.classnames)


def test_empty_training_list():
    with pytest.raises(ValueError):
        DatasetBase(train_x=[])


@bundled_only
def test_gaps_and_double_names_are_refused(items, pictures):
    with pytest.raises(ValueError, match=r"no item of \[1\]"):
        DatasetBase(train_x=[item for item in items if item.label != 1])
    with pytest.raises(ValueError, match='two class names, "class 2" and "dog"'):
        DatasetBase(train_x=[*items, Datum(pictures("d.png"), 2, 0, "dog")])


def test_split_by_label_and_domain_keep_the_order(items):
    dataset = DatasetBase(train_x=items)
    by_label = dataset.split_dataset_by_label(items)
    assert list(by_label) == [2, 0, 1]
    assert by_label[0] == [items[1], items[3], items[6]]
    assert dataset.split_dataset_by_domain(items)[1] == items[1::2]
    assert by_label["new"] == []


def test_check_input_domains(items):
    dataset = DatasetBase(train_x=items)
    dataset.domains = ["art", "photo"]
    dataset.check_input_domains(["art"], ["photo"])
    with pytest.raises(ValueError):
        dataset.check_input_domains(["art"], ["sketch"])
    with pytest.raises((AssertionError, ValueError)):
        dataset.check_input_domains([], ["photo"])


def reference_draw(rng, items, n):
    """The published algorithm: labels in the order of appearance, `random.sample` where there are enough items."""
    chosen = []
    for label in dict.fromkeys(item.label for item in items):
        group = [item for item in items if item.label == label]
        chosen += rng.sample(group, n) if len(group) >= n else group
    return chosen


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shots", [1, 2, 3])
def test_few_shot_draw_is_the_published_one(items, seed, shots, capsys):
    dataset = DatasetBase(train_x=items)
    random.seed(seed)
    train = dataset.generate_fewshot_dataset(items, num_shots=shots)
    val = dataset.generate_fewshot_dataset(items[::-1], num_shots=min(shots, 4))
    rng = random.Random(seed)
    assert train == reference_draw(rng, items, shots)
    assert val == reference_draw(rng, items[::-1], shots)
    assert capsys.readouterr().out == f"Creating a {shots}-shot dataset\n" * 2


def test_few_shot_forms(items):
    dataset = DatasetBase(train_x=items)
    assert dataset.generate_fewshot_dataset(items, num_shots=-1) is items
    assert tuple(dataset.generate_fewshot_dataset(items, items, num_shots=0)) == (items, items)
    assert [len(x) for x in dataset.generate_fewshot_dataset(items, items[:3], num_shots=1)] == [3, 3]
    assert len(dataset.generate_fewshot_dataset(items, num_shots=5)) == 8
    assert len(dataset.generate_fewshot_dataset(items, num_shots=5, repeat=True)) == 15


def test_build_dataset(cfg, capsys):
    assert build_dataset(cfg).classnames == ["red", "green", "blue"]
    assert capsys.readouterr().out == "Loading dataset: ToyColours\n"
    cfg.DATASET.NAME = "ToyColour"
    with pytest.raises(ValueError, match=r"got \[ToyColour\] \(do you mean \[ToyColours\]\?\)"):
        build_dataset(cfg)
    assert "ToyColours" in DATASET_REGISTRY.registered_names()


def loader(cfg, items, batch_size, is_train, **keys):
    tfm = build_transform(cfg, is_train=is_train)
    return build_data_loader(cfg, data_source=items, batch_size=batch_size, tfm=tfm, is_train=is_train, **keys)


@pytest.mark.parametrize(
    ("batch_size", "is_train", "sizes"),
    [(2, True, [2, 2]), (2, False, [2, 2, 1]), (5, True, [5]), (5, False, [5]), (8, True, [5]), (8, False, [5])],
)
def test_incomplete_batches(cfg, items, batch_size, is_train, sizes):
    assert [len(batch["label"]) for batch in loader(cfg, items[:5], batch_size, is_train)] == sizes


def test_batch_content(cfg, items):
    (batch,) = loader(cfg, items, 8, False)
    assert list(batch) == ["label", "domain", "impath", "index", "img"]
    assert batch["label"].tolist() == LABELS
    assert batch["domain"].tolist() == [0, 1] * 4
    assert batch["index"].tolist() == list(range(8))
    assert batch["label"].dtype == batch["index"].dtype == torch.int64
    assert batch["impath"] == [item.impath for item in items]
    assert batch["img"].shape == (8, 3, 8, 8)
    assert batch["img"].dtype == torch.float32


def test_several_transforms_and_the_plain_image(cfg, items):
    cfg.DATALOADER.RETURN_IMG0, cfg.DATALOADER.K_TRANSFORMS = True, 2
    tfm = build_transform(cfg)
    item = DatasetWrapper(cfg, items, transform=[tfm, tfm], is_train=True)[0]
    assert list(item)[4:] == ["img", "img2", "img0"]
    assert [x.shape for x in item["img"]] == [(3, 8, 8)] * 2
    assert torch.allclose(item["img0"], item["img"][0])
    item = DatasetWrapper(cfg, items, transform=tfm, is_train=False)[0]
    assert item["img"].shape == item["img0"].shape == (3, 8, 8)
    with pytest.raises(ValueError):
        DatasetWrapper(cfg, items, transform=None, is_train=True)


def test_without_a_transform_the_item_is_a_pil_image(cfg, items):
    wrapper = DatasetWrapper(cfg, items)
    assert len(wrapper) == 8
    assert (wrapper[0]["img"].mode, wrapper[0]["img"].size) == ("RGB", (12, 10))


def test_custom_wrapper_is_used(cfg, items):
    class Mine(DatasetWrapper):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "mine": index * 10}

    (batch,) = loader(cfg, items, 8, False, dataset_wrapper=Mine)
    assert batch["mine"].tolist() == [i * 10 for i in range(8)]


@bundled_only
def test_empty_loader_is_explained(cfg):
    with pytest.raises(ValueError, match="empty"):
        loader(cfg, [], 8, True)


@bundled_only
def test_workers_live_across_epochs(cfg, items):
    cfg.DATALOADER.NUM_WORKERS = 1
    assert loader(cfg, items, 8, True).persistent_workers


def test_random_order_comes_from_torchs_generator(items):
    sampler = build_sampler("RandomSampler", data_source=items)
    torch.manual_seed(5)
    first = list(sampler)
    torch.manual_seed(5)
    assert list(sampler) == first
    assert sorted(first) == list(range(8))
    assert list(build_sampler("SequentialSampler", data_source=items)) == list(range(8))
    with pytest.raises(ValueError, match="Unknown sampler type: Best"):
        build_sampler("Best", data_source=items)


def test_class_sampler_fills_batches_with_distinct_labels(items):
    sampler = build_sampler("RandomClassSampler", data_source=items, batch_size=6, n_ins=3)
    indices = list(sampler)
    assert len(indices) == 6
    labels = [LABELS[i] for i in indices]
    assert all(len(set(labels[i : i + 3])) == 1 for i in (0, 3))
    assert labels[0] != labels[3]


@pytest.mark.parametrize("name", ["RandomDomainSampler", "SeqDomainSampler"])
def test_domain_samplers_balance_each_batch(items, name):
    indices = list(build_sampler(name, data_source=items, batch_size=4, n_domain=2))
    assert len(indices) in (4, 8)
    for start in range(0, len(indices), 4):
        domains = [indices[i] % 2 for i in range(start, start + 4)]
        assert sorted(domains) == [0, 0, 1, 1]


def test_data_manager(cfg, capsys):
    manager = DataManager(cfg)
    assert capsys.readouterr().out == (
        "Loading dataset: ToyColours\n"
        "Building transform_train\n+ resize to 8x8\n+ to torch tensor of range [0, 1]\n"
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])\n"
        "Building transform_test\n+ resize the smaller edge to 8\n+ 8x8 center crop\n"
        "+ to torch tensor of range [0, 1]\n"
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])\n"
        "---------  ----------\n"
        "Dataset    ToyColours\n"
        "# classes  3\n"
        "# train_x  12\n"
        "# val      6\n"
        "# test     9\n"
        "---------  ----------\n"
    )
    assert (manager.num_classes, manager.num_source_domains) == (3, 0)
    assert manager.lab2cname == {0: "red", 1: "green", 2: "blue"}
    assert manager.dataset.classnames == ["red", "green", "blue"]
    assert manager.train_loader_u is None
    assert [len(x) for x in (manager.train_loader_x, manager.val_loader, manager.test_loader)] == [2, 1, 1]


def test_data_manager_with_custom_transforms(cfg, capsys):
    manager = DataManager(cfg, custom_tfm_train=lambda i: torch.zeros(1), custom_tfm_test=lambda i: torch.ones(1))
    out = capsys.readouterr().out
    assert "* Using custom transform for training\n* Using custom transform for testing\n" in out
    assert next(iter(manager.train_loader_x))["img"].sum() == 0
    assert next(iter(manager.test_loader))["img"].sum() == 9


class FakeDrive:
    """Stands in for the package gdown: "downloads" an archive with a good member and one that climbs out."""

    @staticmethod
    def download(url, dst, quiet):
        opener = zipfile.ZipFile if dst.endswith(".zip") else tarfile.open
        with opener(dst, "w") as archive:
            for name in ("good.txt", *(["../evil.txt"] if "evil" in url else [])):
                if dst.endswith(".zip"):
                    archive.writestr(name, "x")
                else:
                    archive.addfile(tarfile.TarInfo(name), io.BytesIO())


@bundled_only
@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_downloads_are_unpacked_only_into_their_folder(items, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setitem(sys.modules, "gdown", FakeDrive)
    dataset, folder = DatasetBase(train_x=items), tmp_path / "new/set"
    dataset.download_data("good", str(folder / name))
    assert (folder / "good.txt").exists()
    assert capsys.readouterr().out == f"Extracting file ...\nFile extracted to {folder}\n"
    try:
        dataset.download_data("evil", str(folder / name))
    except tarfile.TarError:
        assert name == "a.tar"
    assert not (tmp_path / "new/evil.txt").exists()
    with pytest.raises(NotImplementedError):
        dataset.download_data("good", str(folder / name), from_gdrive=False)


@bundled_only
def test_downloads_without_gdown_say_what_to_install(items, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(ImportError, match="pip install gdown"):
        DatasetBase(train_x=items).download_data("x", str(tmp_path / "a.zip"))
