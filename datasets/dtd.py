"""Describable Textures, DTD (Cimpoi et al., 2014): 47 textures."""

from dassl.data.datasets import DATASET_REGISTRY

from .class_folders import ClassFolders


@DATASET_REGISTRY.register()
class DescribableTextures(ClassFolders):
    dataset_dir = "dtd"
    images = "images"
    split_file = "split_zhou_DescribableTextures.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"
