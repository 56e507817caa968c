"""Hand-written sentences, CoOp's for its data sets (KaiyangZhou/CoOp, MIT) and ours for the embedded ones."""

DEFAULT = "a photo of a {}."

TEMPLATES = {
    "OxfordPets": "a photo of a {}, a type of pet.",
    "OxfordFlowers": "a photo of a {}, a type of flower.",
    "FGVCAircraft": "a photo of a {}, a type of aircraft.",
    "DescribableTextures": "{} texture.",
    "EuroSAT": "a centered satellite photo of {}.",
    "StanfordCars": DEFAULT,
    "Food101": "a photo of {}, a type of food.",
    "SUN397": DEFAULT,
    "Caltech101": DEFAULT,
    "UCF101": "a photo of a person doing {}.",
    "ImageNet": DEFAULT,
    "ImageNetSketch": DEFAULT,
    "ImageNetV2": DEFAULT,
    "ImageNetA": DEFAULT,
    "ImageNetR": DEFAULT,
    "Emoji": "an emoji of a {}.",
    "EmojiOpenMoji": "an emoji of a {}.",
    "EmojiFluent": "an emoji of a {}.",
    "EmojiFine": "an emoji of a {}.",
}


def template(cfg) -> str:
    """The sentence for `cfg`'s data set: DATASET.TEMPLATE if given, else the table's, else CLIP's common one."""
    return cfg.DATASET.get("TEMPLATE", "") or TEMPLATES.get(cfg.DATASET.NAME, DEFAULT)
