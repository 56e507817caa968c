"""Describable Textures, DTD (Cimpoi et al., 2014): 47 textures."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_folders


@DATASET_REGISTRY.register()
class DescribableTextures(FewShotDataset):
    dataset_dir = "dtd"
    images = "images"
    split_file = "split_zhou_DescribableTextures.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images)
