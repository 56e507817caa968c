"""Split files, folders of pictures, class names: what can be wrong with the data."""

import json
import os

import pytest

from tests.trees import make_folder, write_picture
from upt_clip.tools.data import check


def entry(part, index, position, value):
    """Puts `value` into one entry of a split."""
    return lambda split: split[part][index].__setitem__(position, value)


def every(position, old, new):
    def change(split):
        for one in (one for entries in split.values() for one in entries if one[position] == old):
            one[position] = new

    return change


def keep_labels(*labels):
    return lambda split: {part: [e for e in entries if e[1] in labels] for part, entries in split.items()}


NAME = "american_bulldog"
# what is done to the split file -> what the one line says
SPLITS = {
    "a list": (lambda s: [1], ["must hold an object with the lists train, val and test"]),
    "a number": (lambda s: 7, ["must hold an object"]),
    "no test": (lambda s: s.pop("test") and None, ["must hold an object with the lists train, val and test"]),
    "empty test": (lambda s: s.update(test=[]), ["the test list is empty"]),
    "empty train": (lambda s: s.update(train=[], val=[]), ["OxfordPets", "no train pictures"]),
    "all empty": (lambda s: {"train": [], "val": [], "test": []}, ["the test list is empty"]),
    "val is an object": (lambda s: s.update(val={"a": 1}), ["val must be a list, not dict"]),
    "an entry of two": (lambda s: s["val"][0].pop() and None, ["val[0]", "[path, label, class name]"]),
    "an entry that is a text": (lambda s: s["train"].__setitem__(1, "a.jpg"), ["train[1]", "'a.jpg'"]),
    "label as a text": (entry("train", 0, 1, "0"), ["train[0]", "whole number from 0, not '0'"]),
    "label true": (entry("train", 0, 1, True), ["whole number from 0, not True"]),
    "label with a fraction": (entry("test", 0, 1, 0.5), ["whole number from 0, not 0.5"]),
    "label -1": (entry("test", 0, 1, -1), ["whole number from 0, not -1"]),
    "label that nobody has": (entry("test", 0, 1, 9), ["without a train picture: [9]"]),
    "missing label": (every(1, 1, 3), ["labels of train", "1 is missing"]),
    "one label, two names": (entry("test", 0, 2, "pug"), ["label 0 has two names", "'pug'"]),
    "two labels, one name": (every(2, NAME, "abyssinian"), ["two labels have the same class name 'abyssinian'"]),
    "class without test": (lambda s: s.update(train=[e for e in s["train"] if e[1] != 2]), ["labels without a train"]),
    "one class alone": (keep_labels(0), ["one class alone, 'abyssinian'", "two or more"]),
    "class name as a number": (entry("train", 0, 2, 7), ["non-empty texts", "7"]),
    "class name of blanks": (entry("train", 0, 2, "  "), ["non-empty texts"]),
    "class name that is no text": (every(2, NAME, "caf\udce9"), ["no UTF-8 text", "caf"]),
    "class name of 100 words": (every(2, NAME, "cat " * 100), ["the sentence of class", "CLIP reads 77"]),
    "class name of 100,000 letters": (every(2, NAME, "cat" * 33333), ["CLIP reads 77", "shorten the class name"]),
    "path as a number": (entry("train", 0, 0, 7), ["non-empty texts", "7"]),
    "empty path": (entry("train", 0, 0, ""), ["'' must be relative"]),
    "absolute path": (entry("train", 0, 0, "/etc/passwd"), ["'/etc/passwd' must be relative"]),
    "path with a drive": (entry("train", 0, 0, "C:/a.jpg"), ["'C:/a.jpg' must be relative"]),
    "path that leaves its folder": (entry("train", 0, 0, "../../../etc/passwd"), ["without '..'"]),
    "path that leaves it further in": (entry("train", 0, 0, "a/../../b.jpg"), ["without '..'"]),
    "path with a zero byte": (entry("train", 0, 0, "a\0.jpg"), ["must be relative"]),
    "path that no file can have": (entry("train", 0, 0, "\ud800.jpg"), ["cannot be the name of a file"]),
    "path of 5,000 letters": (entry("train", 0, 0, "a" * 5000), ["aaa"]),
    "path through a file": (entry("train", 0, 0, "Abyssinian_1.jpg/a.jpg"), ["1 of the split's pictures missing"]),
    "missing picture": (entry("train", 0, 0, "gone.jpg"), ["1 of the split's pictures missing", "first gone.jpg"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLITS)
def test_a_split_that_is_wrong(world, case):
    change, words = SPLITS[case]
    world.change_split(change)
    line = world.train().refused(*words)
    assert "OxfordPets" in line or "oxford_pets" in line or "sentence of class" in line


FILES = {
    "empty": (b"", ["is not a JSON file"]),
    "a page": (b"<html>Quota exceeded</html>", ["is not a JSON file", "download it again"]),
    "cut off": (b'{"train": [["a.jpg", 0, "cat"', ["is not a JSON file"]),
    "other bytes": (b"\xff\xfe\x00\x80", ["is not a JSON file"]),
    "deep": (b"[" * 100000, ["is not a JSON file"]),
    "a number of 5,000 digits": (b'{"test": [["a.jpg", ' + b"1" * 5000 + b', "cat"]]}', ["split_zhou"]),
    "a key that stands twice": (b'{"test": [], "test": []}', ["stands twice"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_split_file_that_is_none(world, case):
    content, words = FILES[case]
    world.split.write_bytes(content)
    world.train().refused("split_zhou_OxfordPets.json", *words)


def test_no_split_file_and_another_one_that_is_missing(world):
    world.train("DATASET.SPLIT_FILE", "mine.json").refused("no file 'mine.json'", "oxford_pets")
    world.split.unlink()
    world.train().refused("no split_zhou_OxfordPets.json", "DATASET.MAKE_SPLIT True", "DATASETS.md")


def test_more_shots_than_there_are_says_which_classes_are_short(world):
    world.change_split(lambda split: split.update(train=[e for e in split["train"] if e[1] or e[0][-5] == "1"]))
    out = world.train("DATASET.NUM_SHOTS", "3").worked("accuracy")
    assert "Fewer than 3 train pictures, all are used: abyssinian (1)\n" in out
    everything = world.train("DATASET.NUM_SHOTS", "16", options=["--output-dir", world.root / "other"]).worked()
    assert "Fewer than 16 train pictures, all are used: abyssinian (1), american_bulldog (4), " in everything


def test_a_picture_in_train_and_test_is_said(world):
    world.change_split(lambda split: split["test"].append(split["train"][0]))
    world.train().worked("Pictures in more than one of train, val and test: 1, first Abyssinian_1.jpg")


FOLDER = ["DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "mine"]


def one_class(root):
    make_folder(root, "mine", ("",), ("cat",))


def empty_class(root):
    make_folder(root, "mine", ("",))
    (root / "mine/bird").mkdir()


def strange_test_class(root):
    make_folder(root, "mine")
    write_picture(root / "mine/test/bird/1.jpg")


def tiny_class(root):
    make_folder(root, "mine", ("",))
    write_picture(root / "mine/bird/1.jpg")


def no_test(root):
    make_folder(root, "mine", ("train",))


def no_utf8_class(root):
    make_folder(root, "mine", ("",), ("cat", os.fsdecode(b"caf\xe9")))


def loose(root):
    for i in range(9):
        write_picture(root / f"mine/{i}.jpg")


FOLDERS = {
    "missing": (lambda root: None, ["no folder", "mine", "check DATASET.ROOT and DATASET.FOLDER"]),
    "a file": (lambda root: (root / "mine").write_text("x"), ["no folder", "mine"]),
    "empty": (lambda root: (root / "mine").mkdir(), ["mine has 0 class folders", "two or more"]),
    "loose pictures": (loose, ["mine has 0 class folders", "two or more"]),
    "one class": (one_class, ["mine has 1 class folders (cat)", "two or more"]),
    "a class without pictures": (empty_class, ["no pictures", ".jpg", "in bird"]),
    "a class of one picture": (tiny_class, ["class 'bird' has 1 pictures", "needs 4 or more"]),
    "a test class that train does not have": (strange_test_class, ["train does not have: bird"]),
    "no test folder": (no_test, ["no folder", "test"]),
    "a class name that is no UTF-8": (no_utf8_class, ["no UTF-8 text", "rename"]),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_no_data_set(world, case):
    make, words = FOLDERS[case]
    make(world.root / "data")
    world.train(*FOLDER).refused(*words)


def test_no_folder_is_named(world):
    world.train("DATASET.NAME", "FolderDataset").refused("DATASET.FOLDER is empty", "one folder a class")


CLASSNAMES = {
    "no name": ("cat\n", ["'cat'", "folder<TAB or comma>class name"]),
    "unknown folder": ("bird,a bird\n", ["'bird' is not a class of the dataset"]),
    "twice": ("cat,a\ncat,b\n", ["'cat' is twice in the file"]),
    "two of one name": ("cat,pet\ndog,pet\n", ["two labels have the same class name 'pet'"]),
    "no text": (b"\xff\xfe,a\n", ["names.txt is no UTF-8 text"]),
}


@pytest.mark.parametrize("case", CLASSNAMES)
def test_class_names_that_are_wrong(world, case):
    content, words = CLASSNAMES[case]
    folder = make_folder(world.root / "data", "mine", ("",))
    (folder / "names.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    world.train(*FOLDER, "DATASET.CLASSNAMES", "names.txt").refused("names.txt", *words)


def test_paths_and_class_names_of_any_script_and_length(world):
    names = ("çà 犬 🐕", "Ωμέγα", "cat of a very long name " * 8)
    folder = f"фото {'x' * 200}"
    make_folder(world.root / "data", folder, ("",), names)
    world.run_dir = world.root / "результат 結果" / ("y" * 200)
    world.train(*FOLDER[:3], folder, "DATASET.CLASSNAMES", "").worked("accuracy")
    assert json.loads((world.run_dir / "result.json").read_text())["n_classes"] == 3


def test_a_picture_whose_name_is_no_utf8_can_be_trained_and_tested_on(world):
    folder = make_folder(world.root / "data", "mine", ("",), ("cat", "dog"))
    for name in ("cat", "dog"):
        for picture in (folder / name).iterdir():
            picture.rename(folder / name / os.fsdecode(b"caf\xe9" + os.fsencode(picture.name)))
    world.train(*FOLDER).worked("accuracy")
    assert b"caf" in (world.run_dir / "predictions.csv").read_bytes()


@pytest.mark.parametrize("case", ["empty", "a page", "cut off", "other bytes", "deep"])
def test_check_data_says_the_same(world, case, capsys):
    world.split.write_bytes(FILES[case][0])
    assert check.main(["oxford_pets", "--root", str(world.root / "data")]) == 1
    assert "is not a JSON file" in capsys.readouterr().out
