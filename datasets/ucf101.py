"""UCF101 (Soomro et al., 2012): 101 actions, the middle frame of each video."""

import re

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_trainval
from .split import Item
from .text import read_lines


@DATASET_REGISTRY.register()
class UCF101(FewShotDataset):
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
            named = [(action, _class_name(action), video.removesuffix(".avi")) for action, video in videos]
            return [Item(f"{name}/{video}.jpg", labels[action], name) for action, name, video in named]

        return split_trainval(read("trainlist01.txt"), read("testlist01.txt"))


def _class_name(action: str) -> str:
    """`ApplyEyeMakeup` -> `Apply_Eye_Makeup`, which is also the folder of its frames."""
    return "_".join(re.findall("[A-Z][^A-Z]*", action))
