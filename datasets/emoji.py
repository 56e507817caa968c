"""Emoji: pictures of Unicode concepts by several artists, shipped with this project; a class is a CLDR subgroup.

`Emoji` is drawn by one artist and split by concept; `EmojiOpenMoji` and `EmojiFluent` are its test concepts in other
hands (domain shifts); in `EmojiFine` a class is a single concept. DATASET.ROOT is not used.
"""

from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY

from .few_shot import FewShotDataset, ShiftedDataset

ASSETS = Path(__file__).absolute().parents[1] / "assets" / "emoji"


class _Shipped(FewShotDataset):
    @classmethod
    def folder(cls, cfg):
        return ASSETS

    @classmethod
    def not_found(cls, what):
        return FileNotFoundError(f"{cls.__name__}: {what}; it is part of this project: install or check it out again")


@DATASET_REGISTRY.register()
class Emoji(_Shipped):
    split_file = "split_Emoji.json"


@DATASET_REGISTRY.register()
class EmojiOpenMoji(_Shipped, ShiftedDataset):
    split_file = "split_EmojiOpenMoji.json"


@DATASET_REGISTRY.register()
class EmojiFluent(_Shipped, ShiftedDataset):
    split_file = "split_EmojiFluent.json"


@DATASET_REGISTRY.register()
class EmojiFine(_Shipped):
    split_file = "split_EmojiFine.json"
