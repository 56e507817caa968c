"""ImageNet and its shifted test sets: what CoOp's layout means, and the faults that people run into."""

import pytest

from tests.trees import MAKERS, make_imagenet, make_imagenet_a, make_imagenet_sketch, make_imagenetv2, write_picture


@pytest.mark.parametrize("name", ["ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR"])
def test_shifted_sets_are_test_only(name, tmp_path, build, rows):
    MAKERS[name](tmp_path)
    with pytest.warns(UserWarning, match=f"{name} is test-only"):
        dataset = build(name, tmp_path, NUM_SHOTS=1, SUBSAMPLE_CLASSES="new")
    assert len(dataset.test) == 32
    assert rows(dataset.train_x, tmp_path) == rows(dataset.test, tmp_path)
    assert not dataset.val


def test_v2_folders_are_labels_not_texts(tmp_path, build):
    folder = make_imagenetv2(tmp_path, classes=0)
    (folder / "classnames.txt").write_text("".join(f"n{i:08d} name {i}\n" for i in range(12)))
    for label in range(12):
        write_picture(folder / "imagenetv2-matched-frequency-format-val" / str(label) / "a.jpeg")
    dataset = build("ImageNetV2", tmp_path)
    assert [item.impath.split("/")[-2] for item in dataset.test] == [str(label) for label in range(12)]
    assert dataset.classnames == [f"name {i}" for i in range(12)]


def test_v2_folder_that_is_no_label(tmp_path, build):
    folder = make_imagenetv2(tmp_path)
    write_picture(folder / "imagenetv2-matched-frequency-format-val" / "n01440764" / "a.jpeg")
    with pytest.raises(ValueError, match="folder 'n01440764' is no line number"):
        build("ImageNetV2", tmp_path)


def test_two_classes_may_share_a_name(tmp_path, build):
    folder = make_imagenet_sketch(tmp_path)
    path = folder / "classnames.txt"
    path.write_text(path.read_text().replace("tiger shark", "great white shark"))
    assert build("ImageNetSketch", tmp_path).classnames[2:] == ["great white shark"] * 2


def test_a_folder_without_a_name(tmp_path, build):
    folder = make_imagenet_a(tmp_path)
    write_picture(folder / "imagenet-a" / "n99999999" / "a.jpg")
    with pytest.raises(ValueError, match="folder n99999999 has no line in classnames.txt"):
        build("ImageNetA", tmp_path)


def test_loose_validation_pictures(tmp_path, build):
    folder = make_imagenet(tmp_path)
    val = folder / "images" / "val"
    val.rename(folder / "sorted")
    for i in range(5):
        write_picture(val / f"ILSVRC2012_val_{i:08d}.JPEG")
    with pytest.raises(ValueError, match="has 5 loose pictures: sort them with valprep.sh"):
        build("ImageNet", tmp_path)


def test_an_empty_class_folder(tmp_path, build):
    folder = make_imagenet(tmp_path)
    (folder / "images" / "train" / "n01440763").mkdir()
    with pytest.raises(ValueError, match="folder n01440763 is empty"):
        build("ImageNet", tmp_path)


def test_train_and_val_must_have_the_same_classes(tmp_path, build):
    folder = make_imagenet(tmp_path)
    (folder / "images" / "val" / "n01443537").rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="classes in only one of train and val: 1, first n01443537"):
        build("ImageNet", tmp_path)


def test_choosing_the_model_on_imagenets_test_set_is_warned_of(tmp_path, make_cfg):
    from dassl.data.datasets import DATASET_REGISTRY

    make_imagenet(tmp_path)
    cfg = make_cfg(tmp_path).clone()
    cfg.defrost()
    cfg.TEST.FINAL_MODEL = "best_val"
    with pytest.warns(UserWarning, match="best_val selects on it"):
        DATASET_REGISTRY.get("ImageNet")(cfg)
