"""What the data checker says about complete, incomplete and broken datasets."""

import csv

import pytest

from tests.trees import MAKERS, make_dtd, make_folder, make_oxford_pets
from upt_clip.tools.data import check


@pytest.fixture
def small_sizes(tmp_path, monkeypatch):
    """The published sizes of small copies with 4 classes of 8 pictures."""
    path = tmp_path / "sizes.csv"
    with open(path, "w", newline="") as file:
        rows = [["dataset", "classes", "train", "val", "test"], ["OxfordPets", 4, 16, 8, 8]]
        csv.writer(file).writerows([*rows, ["DescribableTextures", 4, 16, 8, 8]])
    monkeypatch.setattr(check, "SIZES", path)


def run(capsys, *args):
    status = check.main([str(arg) for arg in args])
    return status, capsys.readouterr().out


@pytest.mark.parametrize("name", ["OxfordPets", "oxford_pets", "oxfordpets"])
def test_a_complete_set(small_sizes, tmp_path, capsys, name):
    make_oxford_pets(tmp_path)
    status, out = run(capsys, name, "--root", tmp_path)
    assert status == 0
    assert "OxfordPets           ok         16 train, 8 val, 8 test\n1 of 1 complete" in out


def test_all_sets_of_the_table_by_default(small_sizes, tmp_path, capsys):
    make_dtd(tmp_path)
    status, out = run(capsys, "--root", tmp_path)
    assert status == 1
    assert "DescribableTextures  ok" in out
    assert f"no folder {tmp_path}/oxford_pets" in out
    assert "1 of 2 complete" in out


def test_the_exact_missing_file_and_where_to_get_it(small_sizes, tmp_path, capsys):
    folder = make_oxford_pets(tmp_path, split_file=False)
    status, out = run(capsys, "oxford_pets", "--root", tmp_path)
    assert status == 1
    assert f"no split_zhou_OxfordPets.json in {folder}" in out
    assert "DATASETS.md" in out


def test_counts_that_are_not_the_published_ones(tmp_path, capsys):
    make_oxford_pets(tmp_path)
    status, out = run(capsys, "oxford_pets", "--root", tmp_path)
    assert status == 1
    for line in (
        "4 classes instead of 37",
        "16 train instead of 2944",
        "8 val instead of 736",
        "8 test instead of 3669",
    ):
        assert line in out


def test_pictures_that_cannot_be_read(small_sizes, tmp_path, capsys):
    folder = make_oxford_pets(tmp_path)
    last = folder / "images" / "american_bulldog_8.jpg"  # a test picture, so not the first of its class
    last.write_bytes(last.read_bytes()[:-200])
    assert run(capsys, "oxford_pets", "--root", tmp_path)[0] == 0
    status, out = run(capsys, "oxford_pets", "--root", tmp_path, "--full")
    assert status == 1
    assert f"pictures that cannot be read: 1, first {last}" in out
    (folder / "images" / "american_bulldog_1.jpg").write_text("not a picture")
    assert run(capsys, "oxford_pets", "--root", tmp_path)[0] == 1


def test_a_picture_in_train_and_test(small_sizes, tmp_path, capsys):
    folder = make_oxford_pets(tmp_path)
    path = folder / "split_zhou_OxfordPets.json"
    path.write_text(path.read_text().replace("Abyssinian_8.jpg", "Abyssinian_1.jpg"))
    status, out = run(capsys, "oxford_pets", "--root", tmp_path)
    assert status == 1
    assert "in more than one of train, val and test: 1, first Abyssinian_1.jpg" in out


def test_class_names_with_stray_blanks(small_sizes, tmp_path, capsys):
    folder = make_oxford_pets(tmp_path)
    path = folder / "split_zhou_OxfordPets.json"
    path.write_text(path.read_text().replace('"abyssinian"', '"abyssinian "'))
    assert "class name 'abyssinian ' has stray blanks" in run(capsys, "oxford_pets", "--root", tmp_path)[1]


def test_hashes_tell_splits_apart(small_sizes, tmp_path, capsys):
    hashes = set()
    for root, classes in ((tmp_path / "a", 4), (tmp_path / "b", 4), (tmp_path / "c", 3)):
        make_oxford_pets(root, classes=classes)
        hashes.add(run(capsys, "oxford_pets", "--root", root, "--hash")[1].partition("  split ")[2][:64])
    assert len(hashes) == 2


def test_an_own_folder(tmp_path, capsys):
    make_folder(tmp_path, parts=("train", "test"))
    assert run(capsys, "folder", "--folder", "my_pictures", "--root", tmp_path)[0] == 0
    status, out = run(capsys, "folder", "--root", tmp_path)
    assert status == 1
    assert "DATASET.FOLDER is empty" in out


def test_an_unknown_set():
    with pytest.raises(ValueError, match="no dataset 'cifar'; there are Caltech101,"):
        check.main(["cifar"])


def test_the_table_names_the_fifteen_sets():
    assert sorted(check.published_sizes()) == sorted(MAKERS)
    assert all(check.find_dataset(name).__name__ == name for name in MAKERS)


def test_names_of_yaml_files():
    names = {
        "dtd": "DescribableTextures",
        "emoji": "Emoji",
        "emoji_openmoji": "EmojiOpenMoji",
        "folder": "FolderDataset",
    }
    assert {name: check.find_dataset(name).__name__ for name in names} == names
