"""What the test sets that shift ImageNet's pictures share."""

from .few_shot import ShiftedDataset
from .imagenet import PUBLISHED_NAMES, read_classnames, wnid_items
from .split import Split


class ImageNetShift(ShiftedDataset):
    """Some or all of ImageNet's classes, in folders named by WordNet id unless `make_split` says otherwise."""

    published_names = PUBLISHED_NAMES
    indexed = True

    @classmethod
    def make_split(cls, folder):
        return Split([], [], wnid_items(folder / cls.images, "", read_classnames(folder)))
