"""Caltech-101 (Fei-Fei et al., 2004): 100 kinds of objects."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_folders

IGNORED = ("BACKGROUND_Google", "Faces_easy")
RENAMED = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}


@DATASET_REGISTRY.register()
class Caltech101(FewShotDataset):
    dataset_dir = "caltech-101"
    images = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    homepage = "https://data.caltech.edu/records/mzrjq-6wc02"

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images, IGNORED, RENAMED)
