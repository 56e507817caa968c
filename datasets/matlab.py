"""Sets whose labels are in MATLAB's files."""

import json
from pathlib import Path

import numpy as np
from dassl.data.datasets import DATASET_REGISTRY
from scipy.io import loadmat

from .few_shot import FewShotDataset
from .make_split import group_by_label, split_50_20_30, split_trainval
from .split import Item


@DATASET_REGISTRY.register()
class OxfordFlowers(FewShotDataset):
    """Oxford Flowers 102 (Nilsback and Zisserman, 2008)."""

    dataset_dir = "oxford_flowers"
    images = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"

    @classmethod
    def make_split(cls, folder):
        names = json.loads((folder / "cat_to_name.json").read_text(encoding="utf-8"))
        labels = _array(folder / "imagelabels.mat", "labels").tolist()
        items = [Item(f"image_{i:05d}.jpg", label - 1, names[str(label)]) for i, label in enumerate(labels, 1)]
        return split_50_20_30(group_by_label(items))


@DATASET_REGISTRY.register()
class StanfordCars(FewShotDataset):
    """Stanford Cars (Krause et al., 2013): 196 models; the paths of its split are relative to the dataset's folder."""

    dataset_dir = "stanford_cars"
    split_file = "split_zhou_StanfordCars.json"
    homepage = "https://github.com/pytorch/vision/issues/7545"  # the original page is gone; mirrors are discussed there

    @classmethod
    def make_split(cls, folder):
        names = _array(folder / "devkit" / "cars_meta.mat", "class_names")
        names = [" ".join([name.split()[-1], *name.split()[:-1]]) for name in map(str, names)]  # the year to the front

        def read(pictures, annotations):
            rows = _array(annotations, "annotations")
            labels = [(str(row["fname"]), int(row["class"]) - 1) for row in rows]
            return [Item(f"{pictures}/{file}", label, names[label]) for file, label in labels]

        trainval = read("cars_train", folder / "devkit" / "cars_train_annos.mat")
        return split_trainval(trainval, read("cars_test", folder / "cars_test_annos_withlabels.mat"))


def _array(path: Path, name: str) -> np.ndarray:
    with open(path, "rb") as file:  # an OSError of our own, with the file's name in it
        return np.atleast_1d(loadmat(file, squeeze_me=True)[name])
