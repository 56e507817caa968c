"""Features of pictures that pass CLIP's image tower without prompts: computed once, then read from `$UPT_CACHE`.

A file's name is the SHA-256 of all that its features depend on (`_description`): with other weights, pictures,
transform, precision, device or code it is another file. Shape letters: N pictures, E embedding.
"""

import hashlib
import json
import os
import platform
from pathlib import Path

import PIL
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from upt_clip import cache, dassl_compat, distributed, pictures
from upt_clip.files import write_atomically

from ..clip.loader import weights_sha256
from ..training.data_path import draw_seed

# Of this package and of what reads pictures, as they were when the program started: another version computes anew.
CODE = [*sorted(Path(__file__).parents[1].rglob("*.py")), Path(dassl_compat.__file__), Path(pictures.__file__)]
CODE_SHA256 = hashlib.sha256(b"".join(file.read_bytes() for file in CODE)).hexdigest()


@torch.no_grad()
def image_features(trainer, loader, what: str) -> Tensor:
    """Normalised features (N, E), fp32, on the CPU, of a loader's pictures in their order; `what` is for the user.

    The loader is one of Dassl's. A damaged file is computed anew, and what cannot be written is said and not kept.
    """
    path = _path(trainer, loader) if distributed.is_first() else None
    features = distributed.from_first(lambda: _read(path, len(loader.dataset)) if path else None)
    if features is not None:
        draw_seed()  # as the loader would: training goes on with the same numbers
        print(f"Image features of the {what} set come from the cache ({path})")
        return features
    features = _compute(trainer, loader, what)
    # Named anew, since a picture may have changed while it was computed.
    if path and features.isfinite().all() and _path(trainer, loader) == path:
        _write(path, features)
    return features


def _compute(trainer, loader, what: str) -> Tensor:
    features = []
    for batch in tqdm(loader, desc=what, leave=False, disable=not distributed.is_first()):
        images = trainer.parse_batch_test(batch)[0]
        with trainer.precision.context():
            features.append(trainer.model.image_features(images).float().cpu())
    own = torch.cat(features)
    return distributed.gather(own, len(loader.dataset)) if isinstance(loader.sampler, distributed.Part) else own


def _path(trainer, loader) -> Path | None:
    """Where the features belong; None if the cache is off or a picture is not there."""
    if cache.is_off():
        return None
    try:
        text = json.dumps(_description(trainer, loader), sort_keys=True)
    except OSError:  # whoever opens the picture says what is wrong with it
        return None
    return cache.cache_dir() / "features" / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"


def _description(trainer, loader) -> dict[str, str]:
    """All that the features depend on."""
    precision, device = trainer.precision, trainer.device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "weights": weights_sha256(trainer.clip_model),
        "pictures": _pictures_sha256([item.impath for item in loader.dataset.data_source]),
        "transform": repr(loader.dataset.transform),
        "precision": f"{precision.name} {precision.tower} {precision.autocast}",
        "device": f"{device.type} {gpu} {platform.machine()}",
        "batch size": str(loader.batch_size),  # it can change the last bits
        "versions": f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}",
        "code": CODE_SHA256,
    }


def _pictures_sha256(paths: list[str]) -> str:
    """SHA-256 of the pictures' paths, sizes and times; the time of change cannot be copied as that of writing can."""
    digest = hashlib.sha256()
    for path in paths:
        about = os.stat(path)
        line = f"{os.path.abspath(path)}\t{about.st_size}\t{about.st_mtime_ns}\t{about.st_ctime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _read(path: Path, n_pictures: int) -> Tensor | None:
    """The features in a file, or None if it is missing or damaged, which is said."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            features, sha256 = file.get_tensor("features"), (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError, ValueError) as error:
        print(f"Damaged {path} is computed anew ({str(error)[:100]})")
        return None
    if sha256 != _tensor_sha256(features) or len(features) != n_pictures:
        print(f"Damaged {path} is computed anew (its SHA-256 does not fit)")
        return None
    return features


def _write(path: Path, features: Tensor) -> None:
    try:
        about = {"sha256": _tensor_sha256(features)}
        write_atomically(path, lambda temporary: save_file({"features": features}, temporary, about))
    except OSError as error:
        cache.warn_unwritable(path, error)


def _tensor_sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().data).hexdigest()
