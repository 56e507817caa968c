"""FGVC-Aircraft (Maji et al., 2013): 100 variants, with the official train, val and test lists and no split file."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .split import Item, Split
from .text import read_lines


@DATASET_REGISTRY.register()
class FGVCAircraft(FewShotDataset):
    dataset_dir = "fgvc_aircraft"
    images = "images"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/"

    @classmethod
    def make_split(cls, folder):
        labels = {name: label for label, name in enumerate(read_lines(folder / "variants.txt"))}

        def read(part):
            rows = [line.partition(" ") for line in read_lines(folder / f"images_variant_{part}.txt")]
            return [Item(f"{image}.jpg", labels[name], name) for image, _, name in rows]

        return Split(read("train"), read("val"), read("test"))
