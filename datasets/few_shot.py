"""What all datasets share. A dataset is a short subclass that says where its files are and how they give a split."""

import os
import warnings
from pathlib import Path

from dassl.data.datasets import DatasetBase, Datum

from upt_clip.cache import cache_dir, write_json

from .config import option
from .make_split import SPLIT_SEED
from .sampling import few_shot, select_classes
from .split import Split, check_labels, fingerprint, read_split, shared_pictures
from .tree import missing_images

COOP_GUIDE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
WITHOUT_DOWNLOAD = "`upt-clip train emoji 16` runs without any download"


class _Picture(Datum):
    """A `Datum` without its look at the disk for every picture: the folders' listings have told what is there."""

    def __init__(self, impath: str, label: int, classname: str):
        self._impath, self._label, self._domain, self._classname = impath, label, 0, classname


class FewShotDataset(DatasetBase):
    """Dassl dataset with CoOp's splits, few-shot draws and base/new classes; the data folder is only read.

    Beside Dassl's API: `dataset_dir` and `image_dir` (absolute `Path`s) and `split_sha256`.
    Raises FileNotFoundError or ValueError with one line that says what is wrong where, and what to do.
    """

    dataset_dir = ""  # below DATASET.ROOT
    images = ""  # below dataset_dir; the paths of the split are relative to it
    split_file = ""  # below dataset_dir; empty: make_split gives the official split
    homepage = ""
    published_names: Path | None = None  # the project's copy of the list of class names, where the set has one
    indexed = False  # make_split lists the pictures on disk, so that they need not be looked for again
    val_is_test = False
    test_only = False

    def __init__(self, cfg):
        split = self.load_split(cfg)
        self.dataset_dir = self.folder(cfg)
        self.image_dir = self.dataset_dir / self.images
        few = self.draw(cfg, split)
        self._few_shot_train = few.train
        few = select_classes(few, self.subsample(cfg))
        train, val, test = ([self._datum(item) for item in part] for part in few)
        super().__init__(train_x=train, val=test if self.val_is_test else val or None, test=test)

    @property
    def split_sha256(self) -> str:
        """SHA-256 (hex) of the train list as drawn, over all classes: base and new runs of one seed share it."""
        return fingerprint(self._few_shot_train)

    @classmethod
    def folder(cls, cfg) -> Path:
        """The dataset's folder, absolute."""
        return Path(cfg.DATASET.ROOT or ".").expanduser().absolute() / cls.dataset_dir

    @classmethod
    def load_split(cls, cfg) -> Split:
        """The full split of all classes, checked against what is on disk; reads no picture."""
        folder = cls.folder(cfg)
        if not folder.is_dir():
            raise cls.not_found(f"no folder {folder}")
        chosen = option(cfg, "SPLIT_FILE")
        path = cls._chosen_file(folder, chosen) if chosen else folder / cls.split_file
        if path.is_file():
            print(f"Reading split from {path}")
            split = read_split(path)
        elif not cls.split_file:
            split = cls._from_own_files(folder)
        elif option(cfg, "MAKE_SPLIT"):
            split = cls._new_split(folder)
        else:
            raise cls.not_found(f"no {path.name} in {folder} (DATASET.MAKE_SPLIT True makes a new, incomparable split)")
        if not (split.train or cls.test_only):
            raise ValueError(f"{cls.__name__}: the split has no train pictures")
        if chosen or not cls.indexed:
            cls._check_images(folder / cls.images, split)
        if shared := shared_pictures(split):
            print(f"Pictures in more than one of train, val and test: {len(shared)}, first {shared[0]}")
        return split

    @classmethod
    def make_split(cls, folder: Path) -> Split:
        """The split from the set's own lists or folders: for sets without a split file, and for MAKE_SPLIT."""
        raise ValueError(f"{cls.__name__} cannot make a split (DATASET.MAKE_SPLIT); put {cls.split_file} into {folder}")

    @classmethod
    def _from_own_files(cls, folder: Path) -> Split:
        try:
            split = cls.make_split(folder)
        except FileNotFoundError as error:
            if error.filename is None:  # ours, with a message of its own
                raise
            raise cls.not_found(f"no {error.filename}") from None
        except LookupError as error:
            raise ValueError(f"{cls.__name__}: the lists in {folder} do not fit together, see {error}") from None
        check_labels(split, f"{cls.__name__} in {folder}")
        return split

    @classmethod
    def _new_split(cls, folder: Path) -> Split:
        print(f"{cls.__name__} has no {cls.split_file}: a new split is made, not comparable with published results")
        split = cls._from_own_files(folder)
        path = cache_dir() / "splits" / cls.__name__ / f"seed_{SPLIT_SEED}-{fingerprint(*split)[:16]}.json"
        if write_json(path, split._asdict()):
            print(f"Saved split to {path}")
        return split

    @classmethod
    def _check_images(cls, image_dir: Path, split: Split):
        """Raise FileNotFoundError that counts the missing pictures and names the first."""
        missing = missing_images(image_dir, dict.fromkeys(item.path for part in split for item in part))
        if missing:
            raise cls.not_found(f"{len(missing)} of the split's pictures missing in {image_dir}, first {missing[0]}")

    @classmethod
    def not_found(cls, what: str) -> FileNotFoundError:
        """The error to raise when something of the set is missing."""
        return FileNotFoundError(f"{cls.__name__}: {what}; see {COOP_GUIDE} and {cls.homepage}; {WITHOUT_DOWNLOAD}")

    @staticmethod
    def _chosen_file(folder: Path, name: str) -> Path:
        """A file the user named: absolute, below the dataset's folder, or below the working directory."""
        for path in (folder / Path(name).expanduser(), Path(name).absolute()):
            if path.is_file():
                return path
        raise FileNotFoundError(f"no file {name!r} in {folder} nor in the working directory")

    def draw(self, cfg, split: Split) -> Split:
        """The few-shot lists over all classes."""
        return few_shot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, type(self).__name__)

    def subsample(self, cfg) -> str:
        """Which classes to keep: all, base or new."""
        return option(cfg, "SUBSAMPLE_CLASSES")

    def _datum(self, item) -> Datum:
        return _Picture(os.path.join(self.image_dir, item.path), item.label, item.name)


class ShiftedDataset(FewShotDataset):
    """A test-only set: `train_x` is the test list, there is no val; NUM_SHOTS and SUBSAMPLE_CLASSES do nothing."""

    test_only = True

    def draw(self, cfg, split: Split) -> Split:
        return Split(split.test, [], split.test)

    def subsample(self, cfg) -> str:
        if option(cfg, "SUBSAMPLE_CLASSES") != "all":
            warnings.warn(
                f"{type(self).__name__} is test-only: all classes stay, whatever SUBSAMPLE_CLASSES", stacklevel=2
            )
        return "all"
