"""From a config to data loaders."""

from operator import attrgetter

import torch
from dassl.utils import read_image
from tabulate import tabulate
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms as T

from .datasets import build_dataset
from .samplers import build_sampler
from .transforms import INTERPOLATION_MODES, build_transform

__all__ = ["DataManager", "DatasetWrapper", "build_data_loader"]


class DatasetWrapper(TorchDataset):
    """Loads and transforms images: `[i]` is a dict with label, domain, impath, index and img (img2, ..., img0).

    Args:
        data_source: list of `Datum`.
        transform: one transform -> `img`; a list of them -> `img`, `img2`, ...; None -> the PIL image.
    """

    def __init__(self, cfg, data_source, transform=None, is_train: bool = False):
        self.cfg = cfg
        self.data_source = data_source
        self.transform = transform
        self.is_train = is_train
        self.k_tfm = cfg.DATALOADER.K_TRANSFORMS if is_train else 1
        self.return_img0 = cfg.DATALOADER.RETURN_IMG0
        if self.k_tfm > 1 and transform is None:
            raise ValueError(f"DATALOADER.K_TRANSFORMS is {self.k_tfm}, but there is no transform to apply")
        steps = [T.Resize(list(cfg.INPUT.SIZE), interpolation=INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION])]
        steps.append(T.ToTensor())
        if "normalize" in cfg.INPUT.TRANSFORMS:
            steps.append(T.Normalize(cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD))
        self.to_tensor = T.Compose(steps)

    def __len__(self):
        return len(self.data_source)

    def __getitem__(self, index):
        item = self.data_source[index]
        output = {"label": item.label, "domain": item.domain, "impath": item.impath, "index": index}
        image = read_image(item.impath)
        if isinstance(self.transform, (list, tuple)):
            for i, transform in enumerate(self.transform):
                output[f"img{i + 1}" if i else "img"] = self._apply(transform, image)
        else:
            output["img"] = image if self.transform is None else self._apply(self.transform, image)
        if self.return_img0:
            output["img0"] = self.to_tensor(image)
        return output

    def _apply(self, transform, image):
        """One image, or with K_TRANSFORMS > 1 a list of independently transformed ones."""
        images = [transform(image) for _ in range(self.k_tfm)]
        return images if self.k_tfm > 1 else images[0]


def build_data_loader(
    cfg, sampler_type="SequentialSampler", data_source=None, batch_size=64, n_domain=0, n_ins=2, tfm=None,
    is_train=True, dataset_wrapper=None,
) -> DataLoader:  # fmt: skip
    """Return a loader over a list of `Datum`; a training loader drops an incomplete batch unless it is the only one."""
    if not data_source:
        raise ValueError("Cannot make a data loader: the list of images is empty")
    workers = cfg.DATALOADER.NUM_WORKERS
    return DataLoader(
        (dataset_wrapper or DatasetWrapper)(cfg, data_source, transform=tfm, is_train=is_train),
        batch_size=batch_size,
        sampler=build_sampler(sampler_type, cfg, data_source, batch_size, n_domain, n_ins),
        num_workers=workers,
        # Few-shot epochs are short: starting the workers anew in each would take most of the time.
        persistent_workers=workers > 0,
        drop_last=is_train and len(data_source) >= batch_size,
        pin_memory=torch.cuda.is_available() and cfg.USE_CUDA,
    )


class DataManager:
    """The dataset that the config names, with its loaders; `train_loader_u` and `val_loader` may be None."""

    def __init__(self, cfg, custom_tfm_train=None, custom_tfm_test=None, dataset_wrapper=None):
        dataset = self.dataset = build_dataset(cfg)
        tfm_train = _transform(cfg, custom_tfm_train, is_train=True)
        tfm_test = _transform(cfg, custom_tfm_test, is_train=False)
        train_u_cfg = cfg.DATALOADER.TRAIN_X if cfg.DATALOADER.TRAIN_U.SAME_AS_X else cfg.DATALOADER.TRAIN_U

        def loader(data_source, loader_cfg, tfm, is_train):
            groups = loader_cfg.get("N_DOMAIN", 0), loader_cfg.get("N_INS", 2)  # a test's node has neither
            options = loader_cfg.SAMPLER, data_source, loader_cfg.BATCH_SIZE, *groups
            return build_data_loader(cfg, *options, tfm, is_train, dataset_wrapper)

        self.train_loader_x = loader(dataset.train_x, cfg.DATALOADER.TRAIN_X, tfm_train, True)
        self.train_loader_u = loader(dataset.train_u, train_u_cfg, tfm_train, True) if dataset.train_u else None
        self.val_loader = loader(dataset.val, cfg.DATALOADER.TEST, tfm_test, False) if dataset.val else None
        self.test_loader = loader(dataset.test, cfg.DATALOADER.TEST, tfm_test, False)
        self._num_source_domains = len(cfg.DATASET.SOURCE_DOMAINS)
        if cfg.VERBOSE:
            self.show_dataset_summary(cfg)

    num_classes: int = property(attrgetter("dataset.num_classes"))
    num_source_domains: int = property(attrgetter("_num_source_domains"))
    lab2cname: dict[int, str] = property(attrgetter("dataset.lab2cname"))

    def show_dataset_summary(self, cfg):
        """Print a table of the numbers of classes and images."""
        rows = [["Dataset", cfg.DATASET.NAME]]
        for key, domains in (("Source", cfg.DATASET.SOURCE_DOMAINS), ("Target", cfg.DATASET.TARGET_DOMAINS)):
            if domains:
                rows.append([key, domains])
        rows.append(["# classes", f"{self.num_classes:,}"])
        for key in ("train_x", "train_u", "val", "test"):
            items = getattr(self.dataset, key)
            if items or key in ("train_x", "test"):
                rows.append([f"# {key}", f"{len(items):,}"])
        print(tabulate(rows))


def _transform(cfg, custom, is_train):
    if custom is None:
        return build_transform(cfg, is_train=is_train)
    print(f"* Using custom transform for {'training' if is_train else 'testing'}")
    return custom
