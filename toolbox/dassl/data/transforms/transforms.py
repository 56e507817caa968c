"""Image transforms from `cfg.INPUT`. The order is fixed, whatever the order of the choices."""

import numpy as np
import torch
from torchvision import transforms as T
from torchvision.transforms.functional import InterpolationMode

__all__ = ["INTERPOLATION_MODES", "build_transform"]

INTERPOLATION_MODES = {name: InterpolationMode(name) for name in ("bilinear", "bicubic", "nearest")}

CHOICES = [
    "random_flip", "random_resized_crop", "normalize", "instance_norm", "random_crop", "random_translation",
    "center_crop",  # always on in testing
    "cutout", "imagenet_policy", "cifar10_policy", "svhn_policy", "randaugment", "randaugment_fixmatch", "randaugment2",
    "gaussian_noise", "colorjitter", "randomgrayscale", "gaussian_blur",
]  # fmt: skip


class RandomTranslation:
    """Resize a PIL image to (H, W); with probability 0.5 to 9/8 of that, cropped to (H, W) at a random place."""

    def __init__(self, size):
        self.plain = T.Resize(size)
        self.moved = T.Compose([T.Resize([round(side * 1.125) for side in size]), T.RandomCrop(size)])

    def __call__(self, image):
        return self.moved(image) if torch.rand(1) < 0.5 else self.plain(image)


class Cutout:
    """Set `n_holes` squares of a (C, H, W) tensor to zero; centres are uniform, squares are cut at the border."""

    def __init__(self, n_holes, length):
        self.n_holes, self.length = n_holes, length

    def __call__(self, image):
        image = image.clone()
        height, width = image.shape[1:]
        for _ in range(self.n_holes):
            top = np.random.randint(height) - self.length // 2
            left = np.random.randint(width) - self.length // 2
            image[:, max(top, 0) : max(top + self.length, 0), max(left, 0) : max(left + self.length, 0)] = 0
        return image


class GaussianNoise:
    """With probability 0.5 add normal noise to a tensor."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, image):
        return image if torch.rand(1) < 0.5 else image + torch.randn_like(image) * self.std + self.mean


class InstanceNormalization:
    """Give each channel of a (C, H, W) tensor mean 0 and standard deviation 1."""

    def __call__(self, image):
        mean, std = image.mean((1, 2), keepdim=True), image.std((1, 2), keepdim=True)
        return (image - mean) / (std + 1e-8)


def build_transform(cfg, is_train: bool = True, choices=None):
    """Return the transform PIL image -> (3, H, W) tensor, or None with `INPUT.NO_TRANSFORM`.

    Args:
        choices: names of transforms, instead of `cfg.INPUT.TRANSFORMS`.
    """
    if cfg.INPUT.NO_TRANSFORM:
        print("Note: no transform is applied!")
        return None
    choices = cfg.INPUT.TRANSFORMS if choices is None else choices
    for choice in choices:
        if choice not in CHOICES:
            raise ValueError(f'"{choice}" in INPUT.TRANSFORMS is unknown; the choices are {CHOICES}')
    print(f"Building transform_{'train' if is_train else 'test'}")
    steps = []
    for operation, line in (_train_steps if is_train else _test_steps)(cfg.INPUT, choices):
        print(f"+ {line}")
        steps.append(operation)
    return T.Compose(steps)


def _test_steps(cfg, choices):
    size, mode = list(cfg.SIZE), INTERPOLATION_MODES[cfg.INTERPOLATION]
    yield T.Resize(max(size), interpolation=mode), f"resize the smaller edge to {max(size)}"
    yield T.CenterCrop(size), f"{size[0]}x{size[1]} center crop"
    yield T.ToTensor(), "to torch tensor of range [0, 1]"
    yield from _normalization(cfg, choices)
    if "instance_norm" in choices:
        yield InstanceNormalization(), "instance normalization"


def _train_steps(cfg, choices):
    yield from _geometric_steps(cfg, choices)
    yield from _policy_steps(cfg, choices)
    yield from _colour_steps(cfg, choices)
    yield T.ToTensor(), "to torch tensor of range [0, 1]"
    if "cutout" in choices:
        line = f"cutout (n_holes={cfg.CUTOUT_N}, length={cfg.CUTOUT_LEN})"
        yield Cutout(cfg.CUTOUT_N, cfg.CUTOUT_LEN), line
    yield from _normalization(cfg, choices)
    if "gaussian_noise" in choices:
        yield GaussianNoise(cfg.GN_MEAN, cfg.GN_STD), f"gaussian noise (mean={cfg.GN_MEAN}, std={cfg.GN_STD})"
    if "instance_norm" in choices:
        yield InstanceNormalization(), "instance normalization"


def _normalization(cfg, choices):
    if "normalize" in choices:
        mean, std = list(cfg.PIXEL_MEAN), list(cfg.PIXEL_STD)
        yield T.Normalize(mean, std), f"normalization (mean={mean}, std={std})"


def _geometric_steps(cfg, choices):
    size, mode = list(cfg.SIZE), INTERPOLATION_MODES[cfg.INTERPOLATION]
    if "random_crop" not in choices and "random_resized_crop" not in choices:
        yield T.Resize(size, interpolation=mode), f"resize to {size[0]}x{size[1]}"
    if "random_translation" in choices:
        yield RandomTranslation(size), "random translation"
    if "random_crop" in choices:
        yield T.RandomCrop(size, padding=cfg.CROP_PADDING), f"random crop (padding = {cfg.CROP_PADDING})"
    if "random_resized_crop" in choices:
        line = f"random resized crop (size={cfg.SIZE}, scale={cfg.RRCROP_SCALE})"
        yield T.RandomResizedCrop(size, scale=cfg.RRCROP_SCALE, interpolation=mode), line
    if "random_flip" in choices:
        yield T.RandomHorizontalFlip(), "random flip"


def _policy_steps(cfg, choices):
    """torchvision's AutoAugment and RandAugment."""
    n, m = cfg.RANDAUGMENT_N, cfg.RANDAUGMENT_M
    for name in ("imagenet", "cifar10", "svhn"):
        if f"{name}_policy" in choices:
            yield T.AutoAugment(T.AutoAugmentPolicy(name)), f"{name} policy"
    if "randaugment" in choices:
        yield T.RandAugment(n, m), f"randaugment (n={n}, m={m})"
    for name in ("randaugment_fixmatch", "randaugment2"):
        if name in choices:
            yield T.RandAugment(n), f"{name} (n={n})"


def _colour_steps(cfg, choices):
    if "colorjitter" in choices:
        b, c, s, h = cfg.COLORJITTER_B, cfg.COLORJITTER_C, cfg.COLORJITTER_S, cfg.COLORJITTER_H
        yield T.ColorJitter(b, c, s, h), f"color jitter (brightness={b}, contrast={c}, saturation={s}, hue={h})"
    if "randomgrayscale" in choices:
        yield T.RandomGrayscale(cfg.RGS_P), "random gray scale"
    if "gaussian_blur" in choices:
        yield T.RandomApply([T.GaussianBlur(cfg.GB_K)], cfg.GB_P), f"gaussian blur (kernel={cfg.GB_K})"
