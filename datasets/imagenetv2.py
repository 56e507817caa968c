"""ImageNetV2 (Recht et al., 2019): a new test set for ImageNet; the folders are named by label, 0..999."""

from dassl.data.datasets import DATASET_REGISTRY

from .imagenet import read_classnames
from .imagenet_shift import ImageNetShift
from .split import Item, Split
from .tree import index_images


@DATASET_REGISTRY.register()
class ImageNetV2(ImageNetShift):
    dataset_dir = "imagenetv2"
    images = "imagenetv2-matched-frequency-format-val"
    homepage = "https://github.com/modestyachts/ImageNetV2"

    @classmethod
    def make_split(cls, folder):
        names = list(read_classnames(folder).values())
        index = index_images(folder / cls.images)
        wrong = [name for name in index if not (name.isdecimal() and int(name) < len(names))]
        if wrong:
            raise ValueError(f"{folder / cls.images}: folder {wrong[0]!r} is no line number (from 0) of classnames.txt")
        by_label = sorted((int(name), name, files) for name, files in index.items())
        return Split([], [], [Item(f"{name}/{file}", i, names[i]) for i, name, files in by_label for file in files])
