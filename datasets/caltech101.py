"""Caltech-101 (Fei-Fei et al., 2004): 100 kinds of objects."""

from dassl.data.datasets import DATASET_REGISTRY

from .class_folders import ClassFolders


@DATASET_REGISTRY.register()
class Caltech101(ClassFolders):
    dataset_dir = "caltech-101"
    images = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    homepage = "https://data.caltech.edu/records/mzrjq-6wc02"
    ignored = ("BACKGROUND_Google", "Faces_easy")
    renamed = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
