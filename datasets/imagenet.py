"""ImageNet-1k (Deng et al., 2009). Its validation set is the test set, and there is no other val, as in CoOp."""

import warnings
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .split import Item, Split
from .text import read_lines
from .tree import index_images, list_images

PUBLISHED_NAMES = Path(__file__).with_name("imagenet_classnames.txt")  # CLIP's; docs/DATASETS.md says where from


@DATASET_REGISTRY.register()
class ImageNet(FewShotDataset):
    dataset_dir = "imagenet"
    images = "images"
    homepage = "https://www.image-net.org"
    published_names = PUBLISHED_NAMES
    indexed = True
    val_is_test = True

    def __init__(self, cfg):
        if cfg.TEST.FINAL_MODEL == "best_val":
            warnings.warn("ImageNet's val is its test set, so TEST.FINAL_MODEL best_val selects on it", stacklevel=2)
        super().__init__(cfg)

    @classmethod
    def make_split(cls, folder):
        names = read_classnames(folder)
        train, test = (wnid_items(folder / "images", part, names) for part in ("train", "val"))
        differ = {item.path.split("/")[1] for item in train} ^ {item.path.split("/")[1] for item in test}
        if differ:
            raise ValueError(
                f"{folder}/images: classes in only one of train and val: {len(differ)}, first {min(differ)}"
            )
        return Split(train, [], test)


def read_classnames(folder: Path) -> dict[str, str]:
    """WordNet id -> class name, from the folder's `classnames.txt` or else CLIP's list, in the order of its lines."""
    path = folder / "classnames.txt"
    if not path.is_file():
        print(f"No classnames.txt in {folder}: the project's copy of CLIP's names is used")
        path = PUBLISHED_NAMES
    rows = (line.partition(" ") for line in read_lines(path))
    return {wnid: name for wnid, _, name in rows}


def wnid_items(image_dir: Path, part: str, names: dict[str, str]) -> list[Item]:
    """The pictures of `<image_dir>/<part>/<wnid>/`; labels are ranks of the sorted folders."""
    index = index_images(image_dir / part)
    if not index:
        loose = len(list_images(image_dir / part))
        fix = f"has {loose} loose pictures: sort them with valprep.sh" if loose else "is empty"
        raise ValueError(f"{image_dir / part} must hold one folder a class, but {fix}")
    empty = [wnid for wnid, files in index.items() if not files]
    unnamed = [wnid for wnid in index if wnid not in names]
    if empty or unnamed:
        problem = f"folder {empty[0]} is empty" if empty else f"folder {unnamed[0]} has no line in classnames.txt"
        raise ValueError(f"{image_dir / part}: {problem}")
    prefix = f"{part}/" if part else ""
    return [
        Item(f"{prefix}{wnid}/{file}", label, names[wnid])
        for label, (wnid, files) in enumerate(index.items())
        for file in files
    ]
