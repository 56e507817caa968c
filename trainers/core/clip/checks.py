"""Checks that several methods share; each error names the value, the choices and the fix."""

from .encoders import CLIPModule

MOST_PROMPTS = 1000  # several times what any paper has used; far more would not fit into memory


def require_vit(trainer, clip_model: CLIPModule) -> CLIPModule:
    """CLIP's image tower, which must be a ViT for a method with visual prompts."""
    if not hasattr(clip_model.visual, "transformer"):
        raise ValueError(
            f"{type(trainer).__name__} prompts the image tower, which must be a ViT, but MODEL.BACKBONE.NAME is "
            f"{trainer.cfg.MODEL.BACKBONE.NAME}: take ViT-B/16, ViT-B/32, ViT-L/14 or pocket"
        )
    return clip_model.visual


def check_range(key: str, value: int, highest: int = MOST_PROMPTS, why: str = "") -> None:
    """Raises ValueError unless 1 <= value <= highest."""
    if not 1 <= value <= highest:
        raise ValueError(f"{key} is {value}, choose 1 to {highest}{why and f' ({why})'}")


def check_depth(key: str, value: int, tower: CLIPModule) -> None:
    """Raises ValueError unless prompts of this depth fit a tower's Transformer."""
    check_range(key, value, tower.layers, "1 is shallow, the highest is every block of this tower")


def check_image_size(cfg, clip_model: CLIPModule) -> None:
    """Raises ValueError unless INPUT.SIZE is what the image tower takes."""
    size, takes = tuple(cfg.INPUT.SIZE), clip_model.visual.input_resolution
    if size != (takes, takes):
        raise ValueError(
            f"INPUT.SIZE is {size}, but {cfg.MODEL.BACKBONE.NAME} takes ({takes}, {takes}): "
            f'add INPUT.SIZE "({takes}, {takes})" to the command'
        )
