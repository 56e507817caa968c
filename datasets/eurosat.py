"""EuroSAT (Helber et al., 2019): 10 kinds of land use in satellite pictures."""

from dassl.data.datasets import DATASET_REGISTRY

from .class_folders import ClassFolders


@DATASET_REGISTRY.register()
class EuroSAT(ClassFolders):
    dataset_dir = "eurosat"
    images = "2750"
    split_file = "split_zhou_EuroSAT.json"
    homepage = "https://github.com/phelber/EuroSAT"
    renamed = {
        "AnnualCrop": "Annual Crop Land", "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road", "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "SeaLake": "Sea or Lake",
    }  # fmt: skip
