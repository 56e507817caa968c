"""Any folder of pictures as a dataset: `train/<class>/`, `test/<class>/`, maybe `val/<class>/`; or only `<class>/`."""

from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY

from .config import option
from .few_shot import FewShotDataset
from .make_split import split_folders
from .split import Item, Split, check_names
from .text import read_lines
from .tree import IMAGE_SUFFIXES, list_folders, list_images


@DATASET_REGISTRY.register()
class FolderDataset(FewShotDataset):
    """DATASET.FOLDER is the folder, below DATASET.ROOT or absolute; a folder's name is its class's name.

    Without a `train` folder of class folders, each class is split 50/20/30 %, the same way every time.
    DATASET.CLASSNAMES gives classes other names; DATASET.SPLIT_FILE gives another split.
    """

    homepage = "set DATASET.FOLDER to your folder of class folders"
    indexed = True

    @classmethod
    def folder(cls, cfg):
        if not option(cfg, "FOLDER"):
            raise ValueError("DATASET.FOLDER is empty; set it to a folder with one folder a class")
        return super().folder(cfg) / Path(option(cfg, "FOLDER")).expanduser()

    @classmethod
    def not_found(cls, what):
        return FileNotFoundError(f"{cls.__name__}: {what}; check DATASET.ROOT and DATASET.FOLDER")

    @classmethod
    def load_split(cls, cfg):
        split = super().load_split(cfg)
        file = option(cfg, "CLASSNAMES")
        return _rename(split, cls._chosen_file(cls.folder(cfg), file)) if file else split

    @classmethod
    def make_split(cls, folder):
        if not ((folder / "train").is_dir() and list_folders(folder / "train")):
            _check_classes(folder)
            return split_folders(folder)
        classes = _check_classes(folder / "train")
        if not (folder / "test").is_dir():
            raise FileNotFoundError(
                f"no folder {folder / 'test'} beside train; add it, or put the class folders directly into {folder} "
                "to have them split"
            )
        val = folder / "val"
        return Split(
            _items(folder / "train", classes),
            _items(val, classes) if val.is_dir() else [],
            _items(folder / "test", classes),
        )


def _check_classes(folder: Path) -> list[str]:
    """The sorted class folders; ValueError if there are less than two or if one is empty."""
    classes = list_folders(folder)
    if len(classes) < 2:
        raise ValueError(f"{folder} has {len(classes)} class folders ({', '.join(classes)}); two or more are needed")
    empty = [name for name in classes if not list_images(folder / name)]
    if empty:
        raise ValueError(f"{folder}: no pictures ({' '.join(IMAGE_SUFFIXES)}) in {', '.join(empty[:5])}")
    return classes


def _items(folder: Path, classes: list[str]) -> list[Item]:
    """The pictures of one part of the tree; ValueError for class folders that train does not have."""
    labels = {name: label for label, name in enumerate(classes)}
    found = list_folders(folder)
    unknown = [name for name in found if name not in labels]
    if unknown:
        raise ValueError(f"{folder} has class folders that train does not have: {', '.join(unknown[:5])}")
    files = ((name, file) for name in found for file in list_images(folder / name))
    return [Item(f"{folder.name}/{name}/{file}", labels[name], name) for name, file in files]


def _rename(split: Split, path: Path) -> Split:
    """Give classes the names of the file, whose lines are `folder<TAB or comma>class name`; others keep theirs."""
    known = {item.name for part in split for item in part}
    names = {}
    for line in read_lines(path):
        folder, separator, name = (text.strip() for text in line.partition("\t" if "\t" in line else ","))
        if not name:
            raise ValueError(f"{path}: the line {line!r} must be 'folder<TAB or comma>class name'")
        if folder not in known or folder in names:
            problem = "twice in the file" if folder in names else "not a class of the dataset"
            raise ValueError(f"{path}: {folder!r} is {problem}")
        names[folder] = name
    renamed = Split(*([item._replace(name=names.get(item.name, item.name)) for item in part] for part in split))
    check_names(renamed, path)
    return renamed
