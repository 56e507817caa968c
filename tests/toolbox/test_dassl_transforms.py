import numpy as np
import pytest
import torch
from dassl.data.transforms import INTERPOLATION_MODES, build_transform
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.functional import InterpolationMode

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")
COOP = ["random_resized_crop", "random_flip", "normalize"]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@pytest.fixture
def image():
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 90, 3), dtype=np.uint8))


def use(cfg, size, *choices):
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = size, choices
    return cfg


def test_interpolation_modes():
    assert INTERPOLATION_MODES["bicubic"] == InterpolationMode.BICUBIC
    assert INTERPOLATION_MODES["bilinear"] == InterpolationMode.BILINEAR
    assert INTERPOLATION_MODES["nearest"] == InterpolationMode.NEAREST
    with pytest.raises(KeyError):
        INTERPOLATION_MODES["lanczos"]


@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
def test_testing_resizes_the_smaller_edge_and_crops(cfg, image, size, capsys):
    output = build_transform(use(cfg, size), is_train=False)(image)
    expected = T.Compose([T.Resize(max(size)), T.CenterCrop(size), T.ToTensor()])(image)
    assert output.shape == (3, *size)
    assert torch.equal(output, expected)
    assert capsys.readouterr().out == (
        f"Building transform_test\n+ resize the smaller edge to {max(size)}\n"
        f"+ {size[0]}x{size[1]} center crop\n+ to torch tensor of range [0, 1]\n"
    )


def test_coop_transforms_test_as_clip_does(cfg, image):
    use(cfg, (32, 32), *COOP)
    cfg.INPUT.INTERPOLATION, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = "bicubic", CLIP_MEAN, CLIP_STD
    clip = T.Compose(
        [
            T.Resize(32, interpolation=InterpolationMode.BICUBIC),
            T.CenterCrop(32),
            T.ToTensor(),
            T.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    assert torch.equal(build_transform(cfg, is_train=False)(image), clip(image))


def test_coop_transforms_in_training(cfg, image, capsys):
    transform = build_transform(use(cfg, (32, 32), *COOP))
    assert capsys.readouterr().out == (
        "Building transform_train\n"
        "+ random resized crop (size=(32, 32), scale=(0.08, 1.0))\n"
        "+ random flip\n"
        "+ to torch tensor of range [0, 1]\n"
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])\n"
    )
    assert transform(image).shape == (3, 32, 32)
    torch.manual_seed(3)
    ours = transform(image)
    torch.manual_seed(3)
    crop = T.RandomResizedCrop((32, 32), scale=(0.08, 1.0))
    norm = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert torch.equal(ours, T.Compose([crop, T.RandomHorizontalFlip(), T.ToTensor(), norm])(image))


def test_without_a_crop_training_resizes_and_the_order_of_the_choices_is_fixed(cfg, image, capsys):
    output = build_transform(use(cfg, (16, 24), "instance_norm", "normalize", "random_flip"))(image)
    assert output.shape == (3, 16, 24)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == ["+ resize to 16x24", "+ random flip", "+ to torch tensor of range [0, 1]"]
    assert lines[4].startswith("+ normalization (mean=")
    assert lines[5:] == ["+ instance normalization"]
    assert output.mean((1, 2)) == pytest.approx([0, 0, 0], abs=1e-5)
    assert output.std((1, 2)) == pytest.approx([1, 1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        ("random_translation", "+ random translation"),
        ("random_crop", "+ random crop (padding = 4)"),
        ("colorjitter", "+ color jitter (brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)"),
        ("randomgrayscale", "+ random gray scale"),
        ("gaussian_blur", "+ gaussian blur (kernel=21)"),
        ("cutout", "+ cutout (n_holes=1, length=16)"),
        ("gaussian_noise", "+ gaussian noise (mean=0.0, std=0.15)"),
        ("randaugment2", "+ randaugment2 (n=2)"),
    ],
)
def test_other_choices(cfg, image, capsys, choice, line):
    output = build_transform(use(cfg, (24, 32), choice))(image)
    assert output.shape == (3, 24, 32)
    assert line in capsys.readouterr().out.splitlines()


@bundled_only
@pytest.mark.parametrize(
    ("choice", "line"),
    [
        ("imagenet_policy", "+ imagenet policy"),
        ("cifar10_policy", "+ cifar10 policy"),
        ("svhn_policy", "+ svhn policy"),
        ("randaugment", "+ randaugment (n=2, m=10)"),
        ("randaugment_fixmatch", "+ randaugment_fixmatch (n=2)"),
    ],
)
def test_policies(cfg, image, capsys, choice, line):
    test_other_choices(cfg, image, capsys, choice, line)


def test_cutout_zeroes_a_square(cfg, image):
    cfg.INPUT.CUTOUT_LEN = 4
    np.random.seed(0)
    holes = (build_transform(use(cfg, (24, 24), "cutout"))(image.point(lambda v: 255)) == 0).sum((1, 2))
    assert holes.unique().numel() == 1
    assert 4 <= holes[0] <= 16  # the square is cut at the border


def test_explicit_choices_no_transform_and_unknown_names(cfg, capsys):
    build_transform(cfg, choices=["random_flip"])
    assert "+ random flip" in capsys.readouterr().out
    with pytest.raises((ValueError, AssertionError)):
        build_transform(use(cfg, (8, 8), "random_flop"))
    cfg.INPUT.NO_TRANSFORM = True
    assert build_transform(cfg) is None
    assert "Note: no transform is applied!" in capsys.readouterr().out


@bundled_only
def test_an_unknown_transform_is_named(cfg):
    with pytest.raises(ValueError, match=r'"random_flop" in INPUT.TRANSFORMS is unknown; the choices are'):
        build_transform(use(cfg, (8, 8), "random_flop"))
