"""What the sets of one folder a class share."""

from .few_shot import FewShotDataset
from .make_split import split_folders


class ClassFolders(FewShotDataset):
    """A folder's name is its class's name, but for those `ignored` and `renamed`."""

    ignored: tuple[str, ...] = ()
    renamed: dict[str, str] = {}

    @classmethod
    def make_split(cls, folder):
        return split_folders(folder / cls.images, cls.ignored, cls.renamed)
