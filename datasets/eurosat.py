"""EuroSAT (Helber et al., 2019): 10 kinds of land use in satellite pictures."""

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset
from .make_split import split_folders

RENAMED = {
    "AnnualCrop": "Annual Crop Land",
    "Forest": "Forest",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "River": "River",
    "SeaLake": "Sea or Lake",
}


@DATASET_REGISTRY.register()
class EuroSAT(FewShotDataset):
    dataset_dir = "eurosat"
    images = "2750"
    split_file = "split_zhou_EuroSAT.json"
    homepage = "https://github.com/phelber/EuroSAT"

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images, renamed=RENAMED)
