"""ImageNet-Sketch (Wang et al., 2019): black-and-white sketches of the 1000 classes of ImageNet."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import ShiftedDataset
from .imagenet import PUBLISHED_NAMES, read_classnames, wnid_items
from .split import Split


@DATASET_REGISTRY.register()
class ImageNetSketch(ShiftedDataset):
    dataset_dir = "imagenet-sketch"
    images = "images"
    homepage = "https://github.com/HaohanWang/ImageNet-Sketch"
    published_names = PUBLISHED_NAMES
    indexed = True

    @classmethod
    def make_split(cls, folder):
        return Split([], [], wnid_items(folder / cls.images, "", read_classnames(folder)))
