"""ImageNet-R (Hendrycks et al., 2021): art, cartoons, toys ... of 200 classes."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import ShiftedDataset
from .imagenet import PUBLISHED_NAMES, read_classnames, wnid_items
from .split import Split


@DATASET_REGISTRY.register()
class ImageNetR(ShiftedDataset):
    dataset_dir = "imagenet-rendition"
    images = "imagenet-r"
    homepage = "https://github.com/hendrycks/imagenet-r"
    published_names = PUBLISHED_NAMES
    indexed = True

    @classmethod
    def make_split(cls, folder):
        return Split([], [], wnid_items(folder / cls.images, "", read_classnames(folder)))
