"""Oxford Flowers 102 (Nilsback and Zisserman, 2008)."""

import json

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import group_by_label, split_50_20_30
from .split import Item
from .text import read_array


@DATASET_REGISTRY.register()
class OxfordFlowers(FewShotDataset):
    dataset_dir = "oxford_flowers"
    images = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"

    @classmethod
    def make_split(cls, folder):
        names = json.loads((folder / "cat_to_name.json").read_text(encoding="utf-8"))
        labels = read_array(folder / "imagelabels.mat", "labels").tolist()
        items = [Item(f"image_{i:05d}.jpg", label - 1, names[str(label)]) for i, label in enumerate(labels, 1)]
        return split_50_20_30(group_by_label(items))
