"""Any folder of pictures as a dataset."""

import pytest

from tests.trees import make_folder, write_picture


def test_a_tree_with_parts(tmp_path, build, rows):
    folder = make_folder(tmp_path, parts=("train", "val", "test"), per_class=3)
    dataset = build("FolderDataset", tmp_path, FOLDER="my_pictures")
    assert dataset.classnames == ["cat", "dog", "fish"]
    assert rows(dataset.test, folder)[:4] == [
        ("test/cat/00.jpg", 0, "cat"),
        ("test/cat/01.jpg", 0, "cat"),
        ("test/cat/02.jpg", 0, "cat"),
        ("test/dog/00.jpg", 1, "dog"),
    ]
    assert len(dataset.train_x) == len(dataset.val) == 9


def test_an_absolute_folder_without_val_and_with_few_shots(tmp_path, build):
    folder = make_folder(tmp_path, parts=("train", "test"))
    dataset = build("FolderDataset", "/nowhere", FOLDER=str(folder), NUM_SHOTS=2, SUBSAMPLE_CLASSES="base")
    assert dataset.classnames == ["cat", "dog"]
    assert len(dataset.train_x) == 4
    assert not dataset.val


def test_bare_class_folders_are_split_by_class_always_the_same(tmp_path, build, rows):
    folder = make_folder(tmp_path, parts=("",), per_class=10)
    dataset = build("FolderDataset", tmp_path, FOLDER="my_pictures", seed=1)
    again = build("FolderDataset", tmp_path, FOLDER="my_pictures", seed=2)
    parts = [rows(getattr(dataset, part), folder) for part in ("train_x", "val", "test")]
    assert parts == [rows(getattr(again, part), folder) for part in ("train_x", "val", "test")]
    assert [len(part) for part in parts] == [15, 6, 9]
    assert [sum(label == 1 for _, label, _ in part) for part in parts] == [5, 2, 3]
    assert len(set(sum(parts, []))) == 30


def test_a_class_named_train_is_a_class(tmp_path, build):
    make_folder(tmp_path, parts=("",), classes=("bus", "train"))
    assert build("FolderDataset", tmp_path, FOLDER="my_pictures").classnames == ["bus", "train"]


def test_kinds_of_files(tmp_path, build):
    folder = make_folder(tmp_path, per_class=1)
    for name in ("a.JPG", "b.jpeg", "c.PNG", "d.webp", "e.bmp", "f.gif", "g.tif", "h.TIFF", ".hidden.jpg", "notes.txt"):
        (folder / "train" / "cat" / name).write_bytes(b"")
    (folder / "train" / ".cache").mkdir()
    dataset = build("FolderDataset", tmp_path, FOLDER="my_pictures")
    assert sum(item.label == 0 for item in dataset.train_x) == 1 + 8
    assert dataset.num_classes == 3


def test_names_of_any_script(tmp_path, build):
    make_folder(tmp_path, name="写真 ñ", classes=("Äpfel", "犬", "🐈"))
    for _ in range(2):
        dataset = build("FolderDataset", tmp_path, FOLDER="写真 ñ", NUM_SHOTS=1)
        assert dataset.classnames == ["Äpfel", "犬", "🐈"]


def test_class_names_from_a_file(tmp_path, build):
    folder = make_folder(tmp_path)
    (folder / "names.txt").write_text("dog,a dog, mostly\n\ncat\thouse cat, or so\n", encoding="utf-8")
    dataset = build("FolderDataset", tmp_path, FOLDER="my_pictures", CLASSNAMES="names.txt")
    assert dataset.classnames == ["house cat, or so", "a dog, mostly", "fish"]
    assert dataset.test[0].classname == "house cat, or so"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\n", "the line 'cat' must be 'folder<TAB or comma>class name'"),
        ("cat,\n", "must be 'folder<TAB or comma>class name'"),
        ("cta,cat\n", "'cta' is not a class of the dataset"),
        ("cat,a\ncat,b\n", "'cat' is twice in the file"),
        ("cat,pet\ndog,pet\n", "two labels have the same class name 'pet'"),
    ],
)
def test_bad_class_names(tmp_path, build, text, message):
    folder = make_folder(tmp_path)
    (folder / "names.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        build("FolderDataset", tmp_path, FOLDER="my_pictures", CLASSNAMES="names.txt")


def test_a_split_file_for_a_folder(tmp_path, build):
    folder = make_folder(tmp_path, parts=("",))
    (folder / "split.json").write_text(
        '{"train": [["cat/00.jpg", 0, "cat"], ["dog/00.jpg", 1, "dog"]], "test": [["dog/01.jpg", 1, "dog"]]}'
    )
    dataset = build("FolderDataset", tmp_path, FOLDER="my_pictures", SPLIT_FILE="split.json")
    assert (len(dataset.train_x), len(dataset.test)) == (2, 1)
    (folder / "dog" / "01.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the split's pictures missing .*dog/01.jpg"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures", SPLIT_FILE="split.json")


def test_no_folder_given(tmp_path, build):
    with pytest.raises(ValueError, match="DATASET.FOLDER is empty"):
        build("FolderDataset", tmp_path)


def test_missing_folder(tmp_path, build):
    with pytest.raises(FileNotFoundError, match="no folder .*nothing; check DATASET.ROOT and DATASET.FOLDER"):
        build("FolderDataset", tmp_path, FOLDER="nothing")


def test_missing_test_part(tmp_path, build):
    make_folder(tmp_path, parts=("train", "val"))
    with pytest.raises(FileNotFoundError, match="no folder .*test beside train; add it, or put the class folders"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")


def test_an_empty_test_part(tmp_path, build):
    folder = make_folder(tmp_path, parts=("train",))
    (folder / "test" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="the test list is empty"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_train_does_not_have(tmp_path, build, part):
    folder = make_folder(tmp_path, parts=("train", "val", "test"))
    write_picture(folder / part / "bird" / "1.jpg")
    with pytest.raises(ValueError, match=f"{part} has class folders that train does not have: bird"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")


@pytest.mark.parametrize("parts", [("train", "test"), ("",)])
def test_an_empty_class(tmp_path, build, parts):
    folder = make_folder(tmp_path, parts=parts)
    (folder / parts[0] / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures .* in empty"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")


@pytest.mark.parametrize("parts", [("train", "test"), ("",)])
def test_a_single_class(tmp_path, build, parts):
    make_folder(tmp_path, parts=parts, classes=("cat",))
    with pytest.raises(ValueError, match=r"1 class folders \(cat\); two or more are needed"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")


def test_too_few_pictures_to_split(tmp_path, build):
    make_folder(tmp_path, parts=("",), per_class=3)
    with pytest.raises(ValueError, match="class 'cat' has 3 pictures; a 50/20/30 split needs 4 or more"):
        build("FolderDataset", tmp_path, FOLDER="my_pictures")
