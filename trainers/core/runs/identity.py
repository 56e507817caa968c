"""Which backbone weights a run was trained on, by their SHA-256: a run is never used on others without a word."""

import json
from pathlib import Path

from ..clip.encoders import CLIPModule
from ..clip.loader import weights_sha256

SHORT = 12  # characters of a hash that a message shows


def check_backbone(recorded: str, clip_model: CLIPModule, source: Path, fix: str) -> None:
    """Raises ValueError if `source` says by its SHA-256 that it belongs to other weights; `fix` says how to go on.

    Files that do not say it, as CoOp's own checkpoints, pass.
    """
    ours = weights_sha256(clip_model)
    if recorded and recorded != ours:
        raise ValueError(
            f"{source} was made on backbone weights with SHA-256 {recorded[:SHORT]}..., but those that are loaded "
            f"have {ours[:SHORT]}...: {fix}"
        )


def in_result(run: Path) -> str:
    """The SHA-256 of the weights that a run's result.json names, or "" if there is none."""
    try:
        found = json.loads((run / "result.json").read_text(encoding="utf-8"))["backbone_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
