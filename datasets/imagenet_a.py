"""ImageNet-A (Hendrycks et al., 2021): natural pictures that fool classifiers, of 200 classes."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import ShiftedDataset
from .imagenet import PUBLISHED_NAMES, read_classnames, wnid_items
from .split import Split


@DATASET_REGISTRY.register()
class ImageNetA(ShiftedDataset):
    dataset_dir = "imagenet-adversarial"
    images = "imagenet-a"
    homepage = "https://github.com/hendrycks/natural-adv-examples"
    published_names = PUBLISHED_NAMES
    indexed = True

    @classmethod
    def make_split(cls, folder):
        return Split([], [], wnid_items(folder / cls.images, "", read_classnames(folder)))
