"""Fixtures that several test folders share: small random CLIPs in OpenAI's format."""

import signal

import upt_clip  # noqa: F401  (first: any test file may import dassl and clip)

# isort: split
import pytest
import torch
from clip.model import CLIP

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

TINY_VIT = {
    "embed_dim": 32, "image_resolution": 32, "vision_layers": 3, "vision_width": 64, "vision_patch_size": 16,
    "context_length": 77, "vocab_size": 49408, "transformer_width": 64, "transformer_heads": 1, "transformer_layers": 3,
}  # fmt: skip
TINY_RESNET = TINY_VIT | {"vision_layers": (1, 1, 1, 1), "vision_width": 8, "vision_patch_size": None}


def random_clip(sizes: dict = TINY_VIT, seed: int = 0) -> CLIP:
    """A frozen random CLIP whose features differ between inputs (the stock start makes them nearly equal)."""
    torch.manual_seed(seed)
    model = CLIP(**sizes).float().eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3)
    return model


@pytest.fixture
def tiny_clip() -> CLIP:
    return random_clip()


@pytest.fixture
def tiny_resnet() -> CLIP:
    return random_clip(TINY_RESNET)


def _save(sizes: dict, folder) -> str:
    path = folder / "tiny.pt"
    torch.save(random_clip(sizes).state_dict(), path)
    return str(path)


@pytest.fixture(scope="session")
def tiny_clip_file(tmp_path_factory) -> str:
    """Path of a small random ViT CLIP (32 pixels) in OpenAI's checkpoint format."""
    return _save(TINY_VIT, tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="session")
def tiny_resnet_file(tmp_path_factory) -> str:
    return _save(TINY_RESNET, tmp_path_factory.mktemp("resnet"))


@pytest.fixture(autouse=True)
def same_precision_everywhere(monkeypatch):
    """`PREC auto` is fp32 in the tests' own process, also on a CPU that is fast at bf16: they compare numbers."""
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: None)


@pytest.fixture(autouse=True)
def few_threads_and_own_cache(tmp_path_factory, monkeypatch):
    """Tiny tensors run faster on one thread, and no test touches the user's caches."""
    torch.set_num_threads(1)
    monkeypatch.setenv("UPT_CACHE", str(tmp_path_factory.mktemp("cache")))
