"""Small copies of the datasets in their real layout on disk: folders, annotation files, split files, tiny pictures.

Every maker takes the data root, the number of classes and of pictures a class, and returns the dataset's folder.
`split_file=False` leaves CoOp's split file out, where the set has one.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


@cache
def picture(label: int, suffix: str = ".jpg", size: int = 24) -> bytes:
    """A small valid picture file whose colour tells the class."""
    colour = ((67 * label + 40) % 256, (151 * label + 90) % 256, (29 * label + 200) % 256)
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, {".jpg": "JPEG", ".png": "PNG"}.get(suffix, "JPEG"))
    return buffer.getvalue()


def write_picture(path: Path, label: int = 0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(label, ".png" if path.suffix.lower() == ".png" else ".jpg"))


def write_lines(path: Path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def contents(folder: Path) -> dict[Path, tuple]:
    """Each file and folder with its content and the time of its last change; a folder's changes with what it holds."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {path: (path.is_file() and path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@contextlib.contextmanager
def only_read(*folders: Path) -> Iterator[None]:
    """Nobody may write into the folders within the block, and all in them must be as before after it.

    The superuser may, whatever the permissions; the comparison holds for him, too.
    """
    before = [contents(folder) for folder in folders]
    modes = {path: path.stat().st_mode for folder in folders for path in contents(folder)}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    for folder, there in zip(folders, before, strict=True):
        now = contents(folder)
        assert now == there, [str(path) for path in now.keys() | there.keys() if now.get(path) != there.get(path)]


def write_split(path: Path, per_class: dict):
    """A split JSON from {(label, name): [paths]}: of each class 50 % train, 25 % val, the rest test."""
    split = {"train": [], "val": [], "test": []}
    for (label, name), paths in per_class.items():
        a, b = len(paths) // 2, len(paths) * 3 // 4
        for part, chosen in zip(split, (paths[:a], paths[a:b], paths[b:]), strict=True):
            split[part] += [[item, label, name] for item in chosen]
    path.write_text(json.dumps(split, indent=4), encoding="utf-8")


def _class_folders(folder: Path, images: str, split: str, folders, names=None, per_class=8, split_file=True) -> Path:
    per_label = {}
    for label, name in enumerate(sorted(folders)):
        paths = [f"{name}/{name}_{i:03d}.jpg" for i in range(per_class)]
        for path in paths:
            write_picture(folder / images / path, label)
        per_label[label, (names or {}).get(name, name)] = paths
    if split_file:
        write_split(folder / split, per_label)
    return folder


def make_caltech101(root, classes=4, per_class=8, split_file=True):
    names = ["Faces", "Leopards", "Motorbikes", "accordion", "airplanes", "anchor", "ant", "barrel"][:classes]
    folder = Path(root) / "caltech-101"
    for ignored in ("BACKGROUND_Google", "Faces_easy"):
        write_picture(folder / "101_ObjectCategories" / ignored / "image_0001.jpg")
    renamed = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
    split = "split_zhou_Caltech101.json"
    return _class_folders(folder, "101_ObjectCategories", split, names, renamed, per_class, split_file)


def make_food101(root, classes=4, per_class=8, split_file=True):
    names = ["apple_pie", "baby_back_ribs", "baklava", "beef_tartare", "beignets", "bibimbap"][:classes]
    folder = Path(root) / "food-101"
    return _class_folders(folder, "images", "split_zhou_Food101.json", names, None, per_class, split_file)


def make_dtd(root, classes=4, per_class=8, split_file=True):
    names = ["banded", "blotchy", "braided", "bubbly", "bumpy", "chequered", "cobwebbed"][:classes]
    folder = Path(root) / "dtd"
    return _class_folders(folder, "images", "split_zhou_DescribableTextures.json", names, None, per_class, split_file)


def make_eurosat(root, classes=4, per_class=8, split_file=True):
    names = {
        "AnnualCrop": "Annual Crop Land",
        "Forest": "Forest",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
    }
    folder = Path(root) / "eurosat"
    chosen = list(names)[:classes]
    return _class_folders(folder, "2750", "split_zhou_EuroSAT.json", chosen, names, per_class, split_file)


def make_oxford_pets(root, classes=4, per_class=8, split_file=True):
    breeds = ["Abyssinian", "american_bulldog", "great_pyrenees", "Maine_Coon", "pug", "Sphynx", "yorkshire_terrier"]
    folder = Path(root) / "oxford_pets"
    rows, per_label = {"trainval": [], "test": []}, {}
    for label, breed in enumerate(breeds[:classes]):
        stems = [f"{breed}_{i}" for i in range(1, per_class + 1)]
        for i, stem in enumerate(stems):
            write_picture(folder / "images" / f"{stem}.jpg", label)
            rows["trainval" if i < per_class * 3 // 4 else "test"].append(f"{stem} {label + 1} 1 {label + 1}")
        per_label[label, breed.lower()] = [f"{stem}.jpg" for stem in stems]
    for part, lines in rows.items():
        write_lines(folder / "annotations" / f"{part}.txt", lines)
    if split_file:
        write_split(folder / "split_zhou_OxfordPets.json", per_label)
    return folder


def make_stanford_cars(root, classes=4, per_class=8, split_file=True):
    models = [
        "AM General Hummer SUV 2000",
        "Acura RL Sedan 2012",
        "BMW X3 SUV 2012",
        "Audi R8 Coupe 2012",
        "Ford GT 2006",
    ]
    models = models[:classes]
    folder = Path(root) / "stanford_cars"
    rows, per_label = {"cars_train": [], "cars_test": []}, {}
    for label, model in enumerate(models):
        paths = []
        for i in range(per_class):
            part = "cars_train" if i < per_class * 3 // 4 else "cars_test"
            file = f"{len(rows[part]) + 1:05d}.jpg"
            rows[part].append((1, 1, 9, 9, label + 1, file))
            paths.append(f"{part}/{file}")
            write_picture(folder / paths[-1], label)
        *words, year = model.split()
        per_label[label, " ".join([year, *words])] = paths
    (folder / "devkit").mkdir()
    fields = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for file, part in [("devkit/cars_train_annos", "cars_train"), ("cars_test_annos_withlabels", "cars_test")]:
        savemat(folder / f"{file}.mat", {"annotations": np.array([rows[part]], dtype=fields).reshape(1, -1)})
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array([models], dtype=object)})
    if split_file:
        write_split(folder / "split_zhou_StanfordCars.json", per_label)
    return folder


def make_oxford_flowers(root, classes=4, per_class=8, split_file=True):
    names = ["pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "colt's foot"][:classes]
    folder = Path(root) / "oxford_flowers"
    labels = [label for label in reversed(range(classes)) for _ in range(per_class)]  # not in the order of the labels
    per_label = {}
    for i, label in enumerate(labels, 1):
        write_picture(folder / "jpg" / f"image_{i:05d}.jpg", label)
        per_label.setdefault((label, names[label]), []).append(f"image_{i:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[label + 1 for label in labels]], dtype=np.uint8)})
    numbered = {str(label + 1): name for label, name in enumerate(names)}
    (folder / "cat_to_name.json").write_text(json.dumps(numbered), encoding="utf-8")
    if split_file:
        write_split(folder / "split_zhou_OxfordFlowers.json", per_label)
    return folder


def make_fgvc_aircraft(root, classes=4, per_class=8):
    variants = ["707-320", "A300B4", "Cessna 172", "DC-10", "F/A-18", "Tu-134"][:classes]
    folder = Path(root) / "fgvc_aircraft"
    lines = {"train": [], "val": [], "test": []}
    for label, variant in enumerate(variants):
        for i in range(per_class):
            image = f"{1000000 + 1000 * label + i}"
            write_picture(folder / "images" / f"{image}.jpg", label)
            part = "train" if i < per_class // 2 else "val" if i < per_class * 3 // 4 else "test"
            lines[part].append(f"{image} {variant}")
    write_lines(folder / "variants.txt", variants)
    for part, rows in lines.items():
        write_lines(folder / f"images_variant_{part}.txt", rows)
    return folder


def make_sun397(root, classes=4, per_class=8, split_file=True):
    scenes = ["a/abbey", "a/apartment_building/outdoor", "b/beach", "c/church/indoor", "c/church/outdoor"][:classes]
    folder = Path(root) / "sun397"
    lines, per_label = {"Training_01.txt": [], "Testing_01.txt": []}, {}
    for label, scene in enumerate(scenes):
        paths = [f"{scene}/sun_{label}{i:04d}.jpg" for i in range(per_class)]
        for i, path in enumerate(paths):
            write_picture(folder / "SUN397" / path, label)
            lines["Training_01.txt" if i < per_class * 3 // 4 else "Testing_01.txt"].append(f"/{path}")
        per_label[label, " ".join(reversed(scene.split("/")[1:]))] = paths
    write_lines(folder / "ClassName.txt", [f"/{scene}" for scene in scenes])
    for file, rows in lines.items():
        write_lines(folder / file, rows)
    if split_file:
        write_split(folder / "split_zhou_SUN397.json", per_label)
    return folder


def make_ucf101(root, classes=4, per_class=8, split_file=True):
    actions = {
        "ApplyEyeMakeup": "Apply_Eye_Makeup",
        "Archery": "Archery",
        "HandstandPushups": "Handstand_Pushups",
        "TaiChi": "Tai_Chi",
        "YoYo": "Yo_Yo",
    }
    folder = Path(root) / "ucf101"
    train, test, per_label = [], [], {}
    for label, (action, name) in enumerate(list(actions.items())[:classes]):
        videos = [f"v_{action}_g{i:02d}_c01" for i in range(per_class)]
        for i, video in enumerate(videos):
            write_picture(folder / "UCF-101-midframes" / name / f"{video}.jpg", label)
            if i < per_class * 3 // 4:
                train.append(f"{action}/{video}.avi {label + 1}")
            else:
                test.append(f"{action}/{video}.avi")
        per_label[label, name] = [f"{name}/{video}.jpg" for video in videos]
    lists = folder / "ucfTrainTestlist"
    write_lines(lists / "classInd.txt", [f"{i} {action}" for i, action in enumerate(list(actions)[:classes], 1)])
    write_lines(lists / "trainlist01.txt", train)
    write_lines(lists / "testlist01.txt", test)
    if split_file:
        write_split(folder / "split_zhou_UCF101.json", per_label)
    return folder


WNIDS = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n01484850": "great white shark",
    "n01491361": "tiger shark",
    "n01494475": "hammerhead shark",
    "n01496331": "electric ray",
}


def _classnames(folder: Path, classes: int):
    write_lines(folder / "classnames.txt", [f"{wnid} {name}" for wnid, name in list(WNIDS.items())[:classes]])


def make_imagenet(root, classes=4, per_class=8):
    folder = Path(root) / "imagenet"
    for label, wnid in enumerate(list(WNIDS)[:classes]):
        for i in range(per_class):
            write_picture(folder / "images" / "train" / wnid / f"{wnid}_{7 * i}.JPEG", label)
            if i % 4 == 0:
                write_picture(folder / "images" / "val" / wnid / f"ILSVRC2012_val_{label * 100 + i:08d}.JPEG", label)
    _classnames(folder, classes)
    return folder


def make_imagenetv2(root, classes=4, per_class=8):
    folder = Path(root) / "imagenetv2"
    for label in range(classes):
        for i in range(per_class):
            write_picture(folder / "imagenetv2-matched-frequency-format-val" / str(label) / f"{i:x}f.jpeg", label)
    _classnames(folder, classes)
    return folder


def _make_wnid_tree(root, name, images, classes, per_class, skipped=0):
    """`skipped` leading wnids are in classnames.txt without a folder, as for the sets with 200 of the 1000 classes."""
    folder = Path(root) / name
    for label, wnid in enumerate(list(WNIDS)[skipped:classes]):
        for i in range(per_class):
            write_picture(folder / images / wnid / f"picture_{i}.jpg", label)
    _classnames(folder, classes)
    return folder


def make_imagenet_sketch(root, classes=4, per_class=8):
    return _make_wnid_tree(root, "imagenet-sketch", "images", classes, per_class)


def make_imagenet_a(root, classes=4, per_class=8):
    folder = _make_wnid_tree(root, "imagenet-adversarial", "imagenet-a", classes + 1, per_class, skipped=1)
    write_lines(folder / "imagenet-a" / "README.txt", ["n01440764 tench"])
    return folder


def make_imagenet_r(root, classes=4, per_class=8):
    folder = _make_wnid_tree(root, "imagenet-rendition", "imagenet-r", classes + 1, per_class, skipped=1)
    write_lines(folder / "imagenet-r" / "README.txt", ["n01440764 tench"])
    return folder


def make_folder(root, name="my_pictures", parts=("train", "test"), classes=("cat", "dog", "fish"), per_class=8):
    """`<root>/<name>/<part>/<class>/*.jpg`; with `parts=("",)` the class folders lie directly in the folder."""
    folder = Path(root) / name
    for part in parts:
        for label, class_name in enumerate(classes):
            for i in range(per_class):
                write_picture(folder / part / class_name / f"{i:02d}.jpg", label)
    return folder


MAKERS = {
    "Caltech101": make_caltech101,
    "OxfordPets": make_oxford_pets,
    "StanfordCars": make_stanford_cars,
    "OxfordFlowers": make_oxford_flowers,
    "Food101": make_food101,
    "FGVCAircraft": make_fgvc_aircraft,
    "SUN397": make_sun397,
    "DescribableTextures": make_dtd,
    "EuroSAT": make_eurosat,
    "UCF101": make_ucf101,
    "ImageNet": make_imagenet,
    "ImageNetV2": make_imagenetv2,
    "ImageNetSketch": make_imagenet_sketch,
    "ImageNetA": make_imagenet_a,
    "ImageNetR": make_imagenet_r,
}
