"""Data folders are read-only for this package; its caches survive moves, damage and being out of reach."""

import json
import os
from pathlib import Path

import pytest

from tests.trees import MAKERS, make_imagenet, make_oxford_pets, write_picture
from upt_clip.datasets import tree


def snapshot(root: Path):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def few_shot_files():
    return sorted(Path(os.environ["UPT_CACHE"]).glob("few_shot/*/*.json"))


@pytest.mark.parametrize("name", ["OxfordPets", "ImageNet", "FGVCAircraft"])
def test_nothing_is_written_into_the_data_folder(name, tmp_path, build):
    MAKERS[name](tmp_path)
    before = snapshot(tmp_path)
    build(name, tmp_path, NUM_SHOTS=2)
    assert snapshot(tmp_path) == before
    (file,) = few_shot_files()
    assert file.parent.name == name
    assert file.name.startswith("shot_2-seed_1-")


def test_the_data_can_move(tmp_path, build, rows, capsys):
    make_oxford_pets(tmp_path / "old")
    before = rows(build("OxfordPets", tmp_path / "old", NUM_SHOTS=2).train_x, tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    capsys.readouterr()
    assert rows(build("OxfordPets", tmp_path / "new", NUM_SHOTS=2).train_x, tmp_path / "new") == before
    assert "Loading preprocessed" in capsys.readouterr().out
    assert str(tmp_path) not in few_shot_files()[0].read_text()


def test_another_split_has_another_cache(tmp_path, build, rows):
    folder = make_oxford_pets(tmp_path)
    build("OxfordPets", tmp_path, NUM_SHOTS=2)
    path = folder / "split_zhou_OxfordPets.json"
    split = json.loads(path.read_text())
    split["train"] = [entry for entry in split["train"] if not entry[0].endswith("_1.jpg")]
    path.write_text(json.dumps(split))
    dataset = build("OxfordPets", tmp_path, NUM_SHOTS=2)
    assert not any(item.impath.endswith("_1.jpg") for item in dataset.train_x)
    assert len(few_shot_files()) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        '{"train": 3, "val": []}',
        '{"train": [["a"]], "val": []}',
        '{"train": [[["a"], 0, "b"]], "val": [["a", {}, "b"]]}',
        '{"train": [], "val": []}',
        "[" * 100_000,
    ],
)
def test_a_damaged_cache_is_drawn_again(damage, tmp_path, build, rows):
    make_oxford_pets(tmp_path)
    expected = rows(build("OxfordPets", tmp_path, NUM_SHOTS=2).train_x, tmp_path)
    (file,) = few_shot_files()
    good = file.read_text()
    file.write_text(damage)
    assert rows(build("OxfordPets", tmp_path, NUM_SHOTS=2).train_x, tmp_path) == expected
    assert file.read_text() == good


def test_a_cache_with_pictures_from_elsewhere_is_drawn_again(tmp_path, build, rows):
    make_oxford_pets(tmp_path)
    expected = rows(build("OxfordPets", tmp_path, NUM_SHOTS=2).train_x, tmp_path)
    (file,) = few_shot_files()
    content = json.loads(file.read_text())
    content["train"][0][0] = "../../secret.jpg"
    file.write_text(json.dumps(content))
    assert rows(build("OxfordPets", tmp_path, NUM_SHOTS=2).train_x, tmp_path) == expected


def test_a_cache_folder_out_of_reach_is_a_warning(tmp_path, build, monkeypatch):
    make_oxford_pets(tmp_path)
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("UPT_CACHE", str(tmp_path / "a file"))
    with pytest.warns(UserWarning, match="cannot write the cache file .*UPT_CACHE"):
        assert len(build("OxfordPets", tmp_path, NUM_SHOTS=2).train_x) == 8


def test_no_half_written_files_stay(tmp_path, build, monkeypatch):
    make_oxford_pets(tmp_path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(UserWarning, match="disk full"):
        build("OxfordPets", tmp_path, NUM_SHOTS=2)
    assert [path for path in Path(os.environ["UPT_CACHE"]).rglob("*") if path.is_file()] == []


def test_imagenets_folders_are_listed_once_until_one_changes(tmp_path, build, monkeypatch):
    folder = make_imagenet(tmp_path)
    build("ImageNet", tmp_path)
    listed = []
    original = tree.list_images
    monkeypatch.setattr(tree, "list_images", lambda path: listed.append(path.name) or original(path))
    assert len(build("ImageNet", tmp_path).train_x) == 32
    assert listed == []
    write_picture(folder / "images" / "train" / "n01443537" / "n01443537_999.JPEG")
    assert len(build("ImageNet", tmp_path).train_x) == 33
    assert "n01443537" in listed
