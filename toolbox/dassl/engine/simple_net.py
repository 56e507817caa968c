"""The default model of a trainer that does not build its own."""

import torchvision
from torch import nn

__all__ = ["SimpleNet"]


class SimpleNet(nn.Module):
    """A torchvision ResNet with a linear classifier, (B, 3, H, W) -> (B, num_classes)."""

    def __init__(self, cfg, model_cfg, num_classes: int, **kwargs):
        super().__init__()
        name = model_cfg.BACKBONE.NAME
        names = [n for n in torchvision.models.list_models(torchvision.models) if n.startswith("resnet")]
        if name not in names or model_cfg.HEAD.NAME:
            raise ValueError(
                f'MODEL.BACKBONE.NAME is "{name}", MODEL.HEAD.NAME "{model_cfg.HEAD.NAME}"; the bundled '
                f"dassl knows the backbones {names} and no heads"
            )
        backbone = torchvision.models.get_model(name, weights="DEFAULT" if model_cfg.BACKBONE.PRETRAINED else None)
        self.fdim = backbone.fc.in_features
        backbone.fc = nn.Identity()
        self.backbone = backbone
        self.classifier = nn.Linear(self.fdim, num_classes)

    def forward(self, x, return_feature: bool = False):
        feature = self.backbone(x)
        score = self.classifier(feature)
        return (score, feature) if return_feature else score
