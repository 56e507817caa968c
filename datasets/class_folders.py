"""Sets of one folder a class, whose names are the class names but for those in `renamed`."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_folders


class _ClassFolders(FewShotDataset):
    ignored: tuple[str, ...] = ()
    renamed: dict[str, str] = {}

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images, cls.ignored, cls.renamed)


@DATASET_REGISTRY.register()
class Caltech101(_ClassFolders):
    """Caltech-101 (Fei-Fei et al., 2004): 100 kinds of objects."""

    dataset_dir = "caltech-101"
    images = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    homepage = "https://data.caltech.edu/records/mzrjq-6wc02"
    ignored = ("BACKGROUND_Google", "Faces_easy")
    renamed = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}


@DATASET_REGISTRY.register()
class DescribableTextures(_ClassFolders):
    """Describable Textures, DTD (Cimpoi et al., 2014): 47 textures."""

    dataset_dir = "dtd"
    images = "images"
    split_file = "split_zhou_DescribableTextures.json"
    homepage = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"


@DATASET_REGISTRY.register()
class EuroSAT(_ClassFolders):
    """EuroSAT (Helber et al., 2019): 10 kinds of land use in satellite pictures."""

    dataset_dir = "eurosat"
    images = "2750"
    split_file = "split_zhou_EuroSAT.json"
    homepage = "https://github.com/phelber/EuroSAT"
    renamed = {
        "AnnualCrop": "Annual Crop Land", "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road", "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "SeaLake": "Sea or Lake",
    }  # fmt: skip


@DATASET_REGISTRY.register()
class Food101(_ClassFolders):
    """Food-101 (Bossard et al., 2014): 101 dishes."""

    dataset_dir = "food-101"
    images = "images"
    split_file = "split_zhou_Food101.json"
    homepage = "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
