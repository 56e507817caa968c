"""Split files: what is read, and the one line that tells what is wrong with a bad one."""

import json

import pytest

from tests.trees import make_oxford_pets, write_picture


@pytest.fixture
def pets(tmp_path):
    return make_oxford_pets(tmp_path, classes=3, per_class=4)


def rewrite(folder, change):
    path = folder / "split_zhou_OxfordPets.json"
    split = json.loads(path.read_text())
    path.write_text(json.dumps(change(split) or split))


def set_entry(part, index, entry):
    return lambda split: split[part].__setitem__(index, entry)


def everywhere(position, old, new):
    def change(split):
        for entries in split.values():
            for entry in entries:
                if entry[position] == old:
                    entry[position] = new

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda split: [1], "must hold an object with the lists train, val and test"),
        (lambda split: {"train": []}, "must hold an object with the lists train, val and test"),
        (lambda split: split.update(val={"a": 1}), "val must be a list, not dict"),
        (set_entry("train", 1, "a.jpg"), r"train\[1\] must be \[path, label, class name\], not 'a.jpg'"),
        (set_entry("test", 0, ["a.jpg", 0]), r"test\[0\] must be \[path, label, class name\]"),
        (set_entry("val", 0, ["a.jpg", "0", "pug"]), r"val\[0\]: the label must be a whole number from 0, not '0'"),
        (set_entry("val", 0, ["a.jpg", True, "pug"]), "the label must be a whole number from 0, not True"),
        (set_entry("val", 0, ["a.jpg", 0.0, "pug"]), "the label must be a whole number from 0, not 0.0"),
        (set_entry("val", 0, ["a.jpg", -1, "pug"]), "the label must be a whole number from 0, not -1"),
        (set_entry("val", 0, [7, 0, "pug"]), "path and class name must be non-empty texts, not 7 and 'pug'"),
        (set_entry("val", 0, ["a.jpg", 0, " "]), "path and class name must be non-empty texts"),
        (set_entry("val", 0, ["", 0, "pug"]), "'' must be relative to the image folder"),
        (set_entry("val", 0, ["/etc/a.jpg", 0, "pug"]), "'/etc/a.jpg' must be relative"),
        (set_entry("val", 0, ["a/../../b.jpg", 0, "pug"]), "without '..'"),
        (set_entry("val", 0, ["C:/a.jpg", 0, "pug"]), "'C:/a.jpg' must be relative"),
        (set_entry("val", 0, ["a\\b.jpg", 0, "pug"]), "with forward slashes"),
        (everywhere(1, 1, 3), "labels of train must run from 0 without a gap, but 1 is missing"),
        (set_entry("test", 0, ["pug.jpg", 0, "pug"]), "label 0 has two names, 'abyssinian' and 'pug'"),
        (set_entry("test", 0, ["pug.jpg", 9, "pug"]), r"labels without a train picture: \[9\]"),
        (everywhere(2, "american_bulldog", "abyssinian"), "two labels have the same class name 'abyssinian'"),
        (lambda split: split.update(test=[]), "the test list is empty"),
        (lambda split: split.update(train=[], val=[]), "the split has no train pictures"),
    ],
)
def test_bad_split(pets, build, change, message):
    rewrite(pets, change)
    with pytest.raises(ValueError, match=message) as error:
        build("OxfordPets", pets.parent)
    assert "OxfordPets" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_json(pets, build):
    (pets / "split_zhou_OxfordPets.json").write_text("<html>Quota exceeded</html>")
    with pytest.raises(ValueError, match="split_zhou_OxfordPets.json is not a JSON file"):
        build("OxfordPets", pets.parent)


def test_val_is_not_needed(pets, build):
    rewrite(pets, lambda split: split.pop("val") and None)
    dataset = build("OxfordPets", pets.parent, NUM_SHOTS=1)
    assert not dataset.val
    assert len(dataset.train_x) == 3


def test_missing_pictures_are_counted_and_the_first_is_named(pets, build):
    for number in (1, 3):
        (pets / "images" / f"american_bulldog_{number}.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match="2 of the split's pictures missing in .*images, first american_bulldog_1.jpg"
    ):
        build("OxfordPets", pets.parent)


def test_a_missing_picture_folder_counts_all(pets, build):
    (pets / "images").rename(pets / "pictures")
    with pytest.raises(FileNotFoundError, match="12 of the split's pictures missing in .*images"):
        build("OxfordPets", pets.parent)


def test_names_of_any_script(pets, build):
    name = "çà 犬 🐕"
    write_picture(pets / "images" / "犬" / f"{name}.jpg")
    rewrite(pets, set_entry("train", 0, [f"犬/{name}.jpg", 0, name]))
    rewrite(pets, everywhere(2, "abyssinian", name))
    for _ in range(2):  # drawn, then from the cache
        dataset = build("OxfordPets", pets.parent, NUM_SHOTS=2)
        assert dataset.classnames[0] == name
        assert any(item.impath.endswith(f"犬/{name}.jpg") for item in dataset.train_x)


@pytest.mark.parametrize("place", ["dataset", "absolute", "working"])
def test_another_split_file(pets, build, tmp_path, monkeypatch, place):
    folder = pets if place == "dataset" else tmp_path
    (folder / "mine.json").write_text((pets / "split_zhou_OxfordPets.json").read_text())
    rewrite(pets, lambda split: [])
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "mine.json") if place == "absolute" else "mine.json"
    assert build("OxfordPets", tmp_path, SPLIT_FILE=path).num_classes == 3


def test_another_split_file_that_is_missing(pets, build):
    with pytest.raises(FileNotFoundError, match="no file 'mine.json' in .*oxford_pets"):
        build("OxfordPets", pets.parent, SPLIT_FILE="mine.json")
