"""Food-101 (Bossard et al., 2014): 101 dishes."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_folders


@DATASET_REGISTRY.register()
class Food101(FewShotDataset):
    dataset_dir = "food-101"
    images = "images"
    split_file = "split_zhou_Food101.json"
    homepage = "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images)
