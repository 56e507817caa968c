"""Food-101 (Bossard et al., 2014): 101 dishes."""

from dassl.data.datasets import DATASET_REGISTRY

from .class_folders import ClassFolders


@DATASET_REGISTRY.register()
class Food101(ClassFolders):
    dataset_dir = "food-101"
    images = "images"
    split_file = "split_zhou_Food101.json"
    homepage = "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
