"""Lists of labelled images."""

import os
import random
import tarfile
import zipfile
from collections import defaultdict
from operator import attrgetter

from dassl.utils import check_availability, mkdir_if_missing

__all__ = ["DatasetBase", "Datum"]


class Datum:
    """One labelled image; read-only. `Datum.check_file = False` skips the look at the disk, for very large sets."""

    check_file = True

    def __init__(self, impath: str = "", label: int = 0, domain: int = 0, classname: str = ""):
        if not isinstance(impath, str):
            raise TypeError(f"impath must be a string, but got {impath!r}")
        if self.check_file and not os.path.isfile(impath):
            raise FileNotFoundError(f'No image at "{impath}"')
        self._impath = impath
        self._label = label
        self._domain = domain
        self._classname = classname

    impath: str = property(attrgetter("_impath"))
    label: int = property(attrgetter("_label"))
    domain: int = property(attrgetter("_domain"))
    classname: str = property(attrgetter("_classname"))


class DatasetBase:
    """Lists of `Datum` for training (labelled and unlabelled), validation and test."""

    dataset_dir = ""  # the folder below DATASET.ROOT
    domains = []  # names of all domains

    def __init__(self, train_x=None, train_u=None, val=None, test=None):
        self._train_x = train_x
        self._train_u = train_u
        self._val = val
        self._test = test
        self._num_classes = self.get_num_classes(train_x)
        self._lab2cname, self._classnames = self.get_lab2cname(train_x)
        if len(self._classnames) != self._num_classes:
            missing = sorted(set(range(self._num_classes)) - set(self._lab2cname))
            raise ValueError(f"Labels must be 0, 1, 2, ... without gaps, but train_x has no item of {missing[:10]}")

    train_x = property(attrgetter("_train_x"))
    train_u = property(attrgetter("_train_u"))
    val = property(attrgetter("_val"))
    test = property(attrgetter("_test"))
    num_classes: int = property(attrgetter("_num_classes"))
    lab2cname: dict[int, str] = property(attrgetter("_lab2cname"))
    classnames: list[str] = property(attrgetter("_classnames"))  # in the order of their labels

    @staticmethod
    def get_num_classes(data_source) -> int:
        """Return the highest label + 1."""
        if not data_source:
            raise ValueError("The training list is empty, so the number of classes is unknown")
        return max(item.label for item in data_source) + 1

    @staticmethod
    def get_lab2cname(data_source) -> tuple[dict[int, str], list[str]]:
        """Return label -> class name, and the class names in ascending order of their labels."""
        names = {}
        for item in data_source:
            known = names.setdefault(item.label, item.classname)
            if known != item.classname:
                raise ValueError(f'Label {item.label} has two class names, "{known}" and "{item.classname}"')
        return names, [names[label] for label in sorted(names)]

    def check_input_domains(self, source_domains, target_domains) -> None:
        """Raise a ValueError unless both lists are non-empty and hold names of `domains`."""
        for key, given in (("SOURCE_DOMAINS", source_domains), ("TARGET_DOMAINS", target_domains)):
            if not given:
                raise ValueError(f"DATASET.{key} is empty; the domains are {self.domains}")
            for domain in given:
                check_availability(domain, self.domains)

    def download_data(self, url: str, dst: str, from_gdrive: bool = True) -> None:
        """Download a .zip, .tar or .tar.gz from Google Drive to `dst` and unpack it into the same folder."""
        if not from_gdrive:
            raise NotImplementedError("download_data can download from Google Drive only")
        try:
            import gdown
        except ImportError:
            raise ImportError("Downloads from Google Drive need gdown: pip install gdown") from None
        folder = os.path.dirname(os.path.abspath(dst))
        mkdir_if_missing(folder)
        gdown.download(url, dst, quiet=False)
        print("Extracting file ...")
        _unpack(dst, folder)
        print(f"File extracted to {folder}")

    def generate_fewshot_dataset(self, *data_sources, num_shots: int = -1, repeat: bool = False):
        """Return at most `num_shots` random items per label of each list (one list, or a list of lists).

        Python's global generator is drawn from, once per label in the order of first appearance; published few-shot
        samples depend on it. `num_shots < 1` returns the input; with `repeat`, small classes are filled up with
        repeated items.
        """
        if num_shots < 1:
            return data_sources[0] if len(data_sources) == 1 else data_sources
        print(f"Creating a {num_shots}-shot dataset")
        outputs = []
        for data_source in data_sources:
            chosen = []
            for items in self.split_dataset_by_label(data_source).values():
                if len(items) >= num_shots:
                    items = random.sample(items, num_shots)
                elif repeat:
                    items = random.choices(items, k=num_shots)
                chosen += items
            outputs.append(chosen)
        return outputs[0] if len(outputs) == 1 else outputs

    def split_dataset_by_label(self, data_source) -> dict:
        """Return label -> items, both in their order of appearance."""
        return _group(data_source, "label")

    def split_dataset_by_domain(self, data_source) -> dict:
        """Return domain -> items, both in their order of appearance."""
        return _group(data_source, "domain")


def _group(data_source, attribute):
    groups = defaultdict(list)
    for item in data_source:
        groups[getattr(item, attribute)].append(item)
    return groups


def _unpack(archive, folder):
    """Unpack without trusting the member paths."""
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as f:
            f.extractall(folder)  # zipfile itself cuts drive letters, leading slashes and ".."
    elif archive.endswith((".tar", ".tar.gz")):
        with tarfile.open(archive) as f:
            f.extractall(folder, filter="data")
    else:
        raise NotImplementedError(f'Cannot unpack "{archive}": only .zip, .tar and .tar.gz')
