"""Oxford-IIIT Pets (Parkhi et al., 2012): 37 breeds of cats and dogs."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_trainval
from .split import Item
from .text import read_lines


@DATASET_REGISTRY.register()
class OxfordPets(FewShotDataset):
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
