"""What the data checker says about complete, incomplete and broken datasets."""

import csv
import hashlib

import pytest

from tests import trees
from tests.trees import MAKERS, make_dtd, make_folder, make_oxford_pets
from upt_clip.datasets.imagenet import PUBLISHED_NAMES
from upt_clip.tools.data import check

FAMILY = {  # name -> classes, train and test pictures of the copies with one picture a class
    "ImageNet": (1000, 1000, 1000), "ImageNetV2": (1000, "", 1000), "ImageNetSketch": (1000, "", 1000),
    "ImageNetA": (200, "", 200), "ImageNetR": (200, "", 200),
}  # fmt: skip


@pytest.fixture
def sizes(tmp_path, monkeypatch):
    """sizes({"OxfordPets": (4, 16, 8, 8)}): from now on these are the published sizes."""

    def put(rows: dict):
        path = tmp_path / "sizes.csv"
        with open(path, "w", newline="") as file:
            head = ["dataset", "classes", "train", "val", "test"]
            csv.writer(file).writerows([head, *([name, *row] for name, row in rows.items())])
        monkeypatch.setattr(check, "SIZES", path)

    return put


@pytest.fixture
def small_sizes(sizes):
    """The published sizes of small copies with 4 classes of 8 pictures."""
    sizes(dict.fromkeys(("OxfordPets", "DescribableTextures"), (4, 16, 8, 8)))


@pytest.fixture
def real_names(monkeypatch) -> list[str]:
    """The lines of CLIP's own list of ImageNet's classes, by which the small copies are made, too."""
    lines = PUBLISHED_NAMES.read_text(encoding="utf-8").splitlines()
    monkeypatch.setattr(trees, "WNIDS", dict(line.split(" ", 1) for line in lines))
    return lines


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


@pytest.mark.parametrize("form", ["{}", "./{}/", "../data/{}", "{root}/{}"])
def test_own_folders_by_their_paths(tmp_path, monkeypatch, capsys, form):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    for name in ("one", "two"):
        make_folder(tmp_path / "data", name)
    words = [form.format(name, root=tmp_path / "data") for name in ("one", "two")]
    (tmp_path / "data/two/test/dog/00.jpg").write_text("no picture")
    status, out = run(capsys, *words, "--full", "--root", "nowhere")
    assert status == 1 and "1 of 2 complete" in out
    assert f"{words[0]:20} ok " in out and f"{words[1]:20} INCOMPLETE " in out


def test_an_unknown_set():
    with pytest.raises(ValueError, match='unknown data set "cifar".*: use one of caltech101, .* a folder of pictures'):
        check.main(["cifar"])


def test_the_projects_list_of_names_is_the_published_one():
    """Of this hash are the copies in circulation whose names are those of CLIP's own notebook; see docs/DATASETS.md."""
    digest = hashlib.sha256(PUBLISHED_NAMES.read_bytes()).hexdigest()
    assert digest == "89e0b642c6697a3a43a06a2bb65f9fefb3ca295ccc5f4ba9ce385f1a3a58c629"


@pytest.mark.parametrize("with_lists", [True, False])
def test_fifteen_of_fifteen(sizes, real_names, tmp_path, capsys, with_lists):
    """All sets in their real layout, ImageNet and its kin with their real classes, with and without their list."""
    small = dict.fromkeys(MAKERS.keys() - FAMILY.keys(), (4, 16, 8, 8))
    sizes(small | {name: (classes, train, "", test) for name, (classes, train, test) in FAMILY.items()})
    for name, make in MAKERS.items():
        folder = make(tmp_path, FAMILY[name][0], 1) if name in FAMILY else make(tmp_path)
        if name in FAMILY:
            trees.write_lines(folder / "classnames.txt", real_names)
        if name in FAMILY and not with_lists:
            (folder / "classnames.txt").unlink()
    status, out = run(capsys, "--root", tmp_path)
    assert status == 0 and out.splitlines()[-1] == "15 of 15 complete", out
    twice = "  note: class names of two labels, as in the published list: missile, sunglasses"
    assert out.splitlines().count(twice) == 3  # -A and -R have 200 of the classes
    assert out.count("note: no classnames.txt: the project's copy of it is used") == (0 if with_lists else 5)


def test_names_that_the_published_list_does_not_repeat_are_a_problem(sizes, real_names, tmp_path, capsys):
    sizes({"ImageNetSketch": (1000, "", "", 1000)})
    folder = trees.make_imagenet_sketch(tmp_path, 1000, 1)
    real_names[1], real_names[5] = "n01443537 tench", "n01496331 missile"  # a second tench, a third missile
    trees.write_lines(folder / "classnames.txt", real_names)
    status, out = run(capsys, "imagenet_sketch", "--root", tmp_path)
    assert status == 1
    assert "  2 class names belong to two labels, first 'tench'" in out
    assert "as in the published list: sunglasses" in out


def test_names_that_are_not_clips_are_noted(sizes, real_names, tmp_path, capsys):
    sizes({"ImageNetSketch": (1000, "", "", 1000)})
    folder = trees.make_imagenet_sketch(tmp_path, 1000, 1)
    trees.write_lines(folder / "classnames.txt", [line.replace(" tench", " tinca tinca") for line in real_names])
    status, out = run(capsys, "imagenet_sketch", "--root", tmp_path)
    assert status == 0 and "note: class names that are not the published ones: 1, first 'tinca tinca'" in out


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
