"""The one file that imports a CLIP package: OpenAI's `clip`, used as it is (on PyPI: `clip-anytorch`)."""

import hashlib
import os
import zipfile
from pathlib import Path

import clip
import torch
from clip import clip as clip_api
from clip.model import build_model
from clip.simple_tokenizer import SimpleTokenizer
from safetensors.torch import load_file

from upt_clip import HOME
from upt_clip.cache import cache_dir, read_json, write_json
from upt_clip.messages import did_you_mean

from . import archive
from .encoders import CLIPModule

POCKET = "pocket"
POCKET_FILE = HOME / "assets" / "pocket" / "pocket.pt"

_tokenizer = SimpleTokenizer()
START, END = _tokenizer.encoder["<|startoftext|>"], _tokenizer.encoder["<|endoftext|>"]


def encode(text: str) -> list[int]:
    """Token ids of `text`, without start and end tokens. One word can be several tokens."""
    return _tokenizer.encode(text)


def token_text(token: int) -> str:
    """The text of one token; that of a piece which does not end its word ends with "…"."""
    text = _tokenizer.decode([token])
    whole = text.endswith(" ") or token in (START, END)
    return text.strip() if whole else text + "…"


def backbone_names() -> list[str]:
    """Every name that `load_clip` knows beside the path of a checkpoint."""
    return [*clip.available_models(), POCKET]


def load_clip(name: str) -> CLIPModule:
    """A stock CLIP model on the CPU: fp32, evaluation mode, no parameter trainable.

    Args:
        name: an OpenAI name ("ViT-B/16"), "pocket" (the embedded tiny CLIP), or the path of a checkpoint in OpenAI's
            format (TorchScript, or a state dict by torch.save or safetensors; no foreign object is unpickled).

    Raises:
        ValueError: unknown name, or a file that is no CLIP checkpoint.
        FileNotFoundError: OpenAI's weights are neither in the cache nor can be downloaded.
    """
    path = _checkpoint_path(name)
    state_dict = _read_state_dict(path)
    try:
        model = build_model(dict(state_dict))  # build_model takes keys out of the dict that it gets
    except Exception as error:  # it finds the sizes in the tensors, so others raise almost anything
        raise ValueError(f"{path} is not a CLIP checkpoint in OpenAI's format ({_first_line(error)})") from error
    model.float()
    known = model.state_dict().keys()
    # build_model rounds to fp16; a checkpoint that holds fp32 keeps its precision
    model.load_state_dict({k: v.float() for k, v in state_dict.items() if k in known})
    model.sha256 = _file_sha256(path, model)  # now, since its tensors may be cast later
    return model.eval().requires_grad_(False)


def weights_sha256(clip_model: CLIPModule) -> str:
    """SHA-256 of a CLIP's weights: equal for two files with the same values, whatever their format and precision.

    It is of the weights as `load_clip` read them; of a model from elsewhere, as they are now.
    """
    return getattr(clip_model, "sha256", None) or tensors_sha256(clip_model.state_dict())


def _file_sha256(path: Path, model: CLIPModule) -> str:
    """`weights_sha256` of the model just read from `path`; remembered (ViT-B/16: about 0.5 s) while the file stays.

    Its change time is looked at beside its size: unlike the modification time, it cannot be copied from another file.
    """
    about = os.stat(path)
    real = os.path.realpath(path)
    file = {"path": real, "bytes": about.st_size, "changed_ns": about.st_ctime_ns}
    name = hashlib.sha256(real.encode(errors="surrogateescape")).hexdigest()[:16]
    memory = cache_dir() / "weights" / f"{name}.json"
    known = read_json(memory)
    if isinstance(known, dict) and known.get("file") == file and isinstance(known.get("sha256"), str):
        return known["sha256"]
    sha256 = tensors_sha256(model.state_dict())
    write_json(memory, {"file": file, "sha256": sha256})
    return sha256


def tensors_sha256(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names, shapes and values (as fp32) of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _checkpoint_path(name: str) -> Path:
    if name == POCKET:
        return POCKET_FILE
    if name in clip_api._MODELS:
        return _official_checkpoint(name)
    if os.path.isfile(name):
        return Path(name)
    raise ValueError(
        f'unknown backbone "{name}": use one of {", ".join(backbone_names())}, or the path of a checkpoint'
        f"{did_you_mean(name, backbone_names())}"
    )


def _official_checkpoint(name: str) -> Path:
    url = clip_api._MODELS[name]
    folder = Path("~/.cache/clip").expanduser()
    try:
        return Path(clip_api._download(url, str(folder)))
    except (OSError, RuntimeError) as error:
        # a download that broke off leaves half a file, which the next start would take for a damaged one
        raise FileNotFoundError(
            f"CLIP {name}: no usable {folder / os.path.basename(url)} and no download ({_first_line(error)}); "
            f"fetch {url} elsewhere and put it there, or give its path as MODEL.BACKBONE.NAME"
        ) from error


def _read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":  # torch.load reads them only of late
            return load_file(path)
        archive.check(path)
        if _is_torchscript(path):
            return torch.jit.load(str(path), map_location="cpu").state_dict()
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"no CLIP checkpoint at {path}") from None
    except Exception as error:  # damaged archives raise almost anything
        raise ValueError(f"cannot read the CLIP checkpoint {path} ({_first_line(error)})") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ValueError(f"{path} is not a CLIP checkpoint: expected a state dict of tensors")
    return content


def _is_torchscript(path: Path) -> bool:
    """TorchScript archives carry code beside the weights; a plain state dict does not."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in member for member in archive.namelist())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
