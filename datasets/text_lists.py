"""Sets whose classes and whose trainval and test lists are in text files."""

import re

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_trainval
from .split import Item
from .text import read_lines


@DATASET_REGISTRY.register()
class OxfordPets(FewShotDataset):
    """Oxford-IIIT Pets (Parkhi et al., 2012): 37 breeds of cats and dogs."""

    dataset_dir = "oxford_pets"
    images = "images"
    split_file = "split_zhou_OxfordPets.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/pets/"

    @classmethod
    def make_split(cls, folder):
        def read(name):
            rows = [line.split() for line in read_lines(folder / "annotations" / name)]
            return [Item(f"{row[0]}.jpg", int(row[1]) - 1, row[0].rpartition("_")[0].lower()) for row in rows]

        return split_trainval(read("trainval.txt"), read("test.txt"))


@DATASET_REGISTRY.register()
class SUN397(FewShotDataset):
    """SUN397 (Xiao et al., 2010): 397 scenes."""

    dataset_dir = "sun397"
    images = "SUN397"
    split_file = "split_zhou_SUN397.json"
    homepage = "https://vision.princeton.edu/projects/2010/SUN/"

    @classmethod
    def make_split(cls, folder):
        labels = {line.lstrip("/"): label for label, line in enumerate(read_lines(folder / "ClassName.txt"))}

        def read(name):
            paths = [line.lstrip("/") for line in read_lines(folder / name)]
            return [Item(path, labels[path.rpartition("/")[0]], _scene(path)) for path in paths]

        return split_trainval(read("Training_01.txt"), read("Testing_01.txt"))


def _scene(path: str) -> str:
    """`a/apartment_building/outdoor/<picture>` -> `outdoor apartment_building`."""
    return " ".join(reversed(path.split("/")[1:-1]))


@DATASET_REGISTRY.register()
class UCF101(FewShotDataset):
    """UCF101 (Soomro et al., 2012): 101 actions, the middle frame of each video."""

    dataset_dir = "ucf101"
    images = "UCF-101-midframes"
    split_file = "split_zhou_UCF101.json"
    homepage = "https://www.crcv.ucf.edu/data/UCF101.php"

    @classmethod
    def make_split(cls, folder):
        lists = folder / "ucfTrainTestlist"
        labels = {name: int(number) - 1 for number, name in map(str.split, read_lines(lists / "classInd.txt"))}

        def read(name):
            videos = [line.split()[0].split("/") for line in read_lines(lists / name)]
            named = [(action, _action(action), video.removesuffix(".avi")) for action, video in videos]
            return [Item(f"{name}/{video}.jpg", labels[action], name) for action, name, video in named]

        return split_trainval(read("trainlist01.txt"), read("testlist01.txt"))


def _action(name: str) -> str:
    """`ApplyEyeMakeup` -> `Apply_Eye_Makeup`, which is also the folder of its frames."""
    return "_".join(re.findall("[A-Z][^A-Z]*", name))
