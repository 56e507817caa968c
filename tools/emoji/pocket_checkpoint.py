"""Write and read pocket's checkpoint: OpenAI's state-dict format, fp16, the word table's unused rows zero, deflated."""

import io
import zipfile
from pathlib import Path

import torch
from clip.model import CLIP, build_model

from upt_clip.files import write_atomically

FULL_VOCABULARY = 49408


def full_state_dict(state: dict[str, torch.Tensor], vocabulary: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the state dict with its small word table `(V, W)` at rows `vocabulary` (V,) of a full one of zeros."""
    state = {k: v.half() for k, v in state.items()}
    table = torch.zeros(FULL_VOCABULARY, state["token_embedding.weight"].shape[1], dtype=torch.half)
    table[vocabulary] = state["token_embedding.weight"]
    state["token_embedding.weight"] = table
    state["logit_scale"] = state["logit_scale"].float()
    return state


def export(state: dict[str, torch.Tensor], vocabulary: torch.Tensor, path: Path) -> None:
    """Write the checkpoint; `torch.save` makes a plain zip archive, `torch.load` reads a deflated one too."""
    plain = io.BytesIO()
    torch.save(full_state_dict(state, vocabulary), plain)

    def deflate(temporary: Path) -> None:
        source = zipfile.ZipFile(plain)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
            for item in source.infolist():
                # A fixed date makes the file the same for the same weights.
                entry = zipfile.ZipInfo(item.filename, date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(entry, source.read(item))

    write_atomically(path, deflate)


def load_pocket(path: Path) -> CLIP:
    """Return the model of a checkpoint in fp32, in eval mode."""
    return build_model(torch.load(path, map_location="cpu", weights_only=True)).float()
