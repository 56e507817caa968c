"""SUN397 (Xiao et al., 2010): 397 scenes."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_trainval
from .split import Item
from .text import read_lines


@DATASET_REGISTRY.register()
class SUN397(FewShotDataset):
    dataset_dir = "sun397"
    images = "SUN397"
    split_file = "split_zhou_SUN397.json"
    homepage = "https://vision.princeton.edu/projects/2010/SUN/"

    @classmethod
    def make_split(cls, folder):
        labels = {line.lstrip("/"): label for label, line in enumerate(read_lines(folder / "ClassName.txt"))}

        def read(name):
            paths = [line.lstrip("/") for line in read_lines(folder / name)]
            return [Item(path, labels[path.rpartition("/")[0]], _class_name(path)) for path in paths]

        return split_trainval(read("Training_01.txt"), read("Testing_01.txt"))


def _class_name(path: str) -> str:
    """`a/apartment_building/outdoor/<picture>` -> `outdoor apartment_building`."""
    return " ".join(reversed(path.split("/")[1:-1]))
