"""Stanford Cars (Krause et al., 2013): 196 models; the paths of its split are relative to the dataset's folder."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_trainval
from .split import Item
from .text import read_array


@DATASET_REGISTRY.register()
class StanfordCars(FewShotDataset):
    dataset_dir = "stanford_cars"
    split_file = "split_zhou_StanfordCars.json"
    homepage = "https://github.com/pytorch/vision/issues/7545"  # the original page is gone; mirrors are discussed there

    @classmethod
    def make_split(cls, folder):
        names = read_array(folder / "devkit" / "cars_meta.mat", "class_names")
        names = [" ".join([name.split()[-1], *name.split()[:-1]]) for name in map(str, names)]  # the year to the front

        def read(pictures, annotations):
            rows = read_array(annotations, "annotations")
            labels = [(str(row["fname"]), int(row["class"]) - 1) for row in rows]
            return [Item(f"{pictures}/{file}", label, names[label]) for file, label in labels]

        trainval = read("cars_train", folder / "devkit" / "cars_train_annos.mat")
        return split_trainval(trainval, read("cars_test", folder / "cars_test_annos_withlabels.mat"))
