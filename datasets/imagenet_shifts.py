"""Test sets that shift ImageNet's pictures; the names of their classes come from its `classnames.txt`."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import ShiftedDataset
from .imagenet import read_classnames, wnid_items
from .split import Item, Split
from .tree import index_images


@DATASET_REGISTRY.register()
class ImageNetV2(ShiftedDataset):
    """A new test set for ImageNet (Recht et al., 2019); the folders are named by label, 0..999."""

    dataset_dir = "imagenetv2"
    images = "imagenetv2-matched-frequency-format-val"
    homepage = "https://github.com/modestyachts/ImageNetV2"
    indexed = True

    @classmethod
    def make_split(cls, folder):
        names = list(read_classnames(folder).values())
        index = index_images(folder / cls.images)
        wrong = [name for name in index if not (name.isdecimal() and int(name) < len(names))]
        if wrong:
            raise ValueError(f"{folder / cls.images}: folder {wrong[0]!r} is no line number (from 0) of classnames.txt")
        by_label = sorted((int(name), name, files) for name, files in index.items())
        return Split([], [], [Item(f"{name}/{file}", i, names[i]) for i, name, files in by_label for file in files])


class _WordNetFolders(ShiftedDataset):
    indexed = True

    @classmethod
    def make_split(cls, folder):
        return Split([], [], wnid_items(folder / cls.images, "", read_classnames(folder)))


@DATASET_REGISTRY.register()
class ImageNetSketch(_WordNetFolders):
    """Black-and-white sketches of the 1000 classes of ImageNet (Wang et al., 2019)."""

    dataset_dir = "imagenet-sketch"
    images = "images"
    homepage = "https://github.com/HaohanWang/ImageNet-Sketch"


@DATASET_REGISTRY.register()
class ImageNetA(_WordNetFolders):
    """Natural pictures that fool classifiers, of 200 classes (Hendrycks et al., 2021)."""

    dataset_dir = "imagenet-adversarial"
    images = "imagenet-a"
    homepage = "https://github.com/hendrycks/natural-adv-examples"


@DATASET_REGISTRY.register()
class ImageNetR(_WordNetFolders):
    """Art, cartoons, toys ... of 200 classes (Hendrycks et al., 2021)."""

    dataset_dir = "imagenet-rendition"
    images = "imagenet-r"
    homepage = "https://github.com/hendrycks/imagenet-r"
