"""Linear probe: logistic regression on CLIP's frozen image features, the baseline of CoOp's paper (arXiv 2109.01134).

scikit-learn's L-BFGS fits it on unit-norm features of the few-shot pictures without augmentation; the strength of the
regularisation is searched on the validation pictures, as in CLIP's paper (arXiv 2103.00020, appendix A.3).
"""

import time

import numpy as np
import torch
from dassl.data.data_manager import build_data_loader
from dassl.data.transforms import build_transform
from dassl.engine import TRAINER_REGISTRY
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from .core import CLIPModule, Prompts, PromptTrainer, Sentences, image_features, template_sentences
from .templates import template

COARSE = tuple(10.0**k for k in range(-2, 7))  # inverse strengths C, tried first
REFINEMENTS = 3  # each halves the step between strengths, around the best


class LinearHead(nn.Module):
    """Weights (C, E) and bias (C,) on image features; it prompts neither tower."""

    def __init__(self, n_classes: int, n_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_classes, n_features))
        self.bias = nn.Parameter(torch.zeros(n_classes))

    def forward(self) -> Prompts:
        return Prompts()


@TRAINER_REGISTRY.register()
class LinearProbe(PromptTrainer):
    """Logistic regression on frozen image features; it knows no class names, so base-to-new does not apply."""

    def build_learner(self, clip_model: CLIPModule, n_classes: int) -> nn.Module:
        return LinearHead(n_classes, clip_model.text_projection.shape[1])

    def class_sentences(self, classnames: list[str]) -> Sentences:
        return template_sentences(classnames, template(self.cfg))

    def train(self) -> None:
        """Fits the probe, saves and tests it; there are no epochs (result.json says 1)."""
        start = time.perf_counter()
        train = self._features(self.dm.dataset.train_x, "train")
        val = self._features(self.dm.dataset.val, "val") if self.dm.dataset.val else None
        strength, fit = search(train, val)
        print(f"Linear probe: C = {strength:.3g} ({'chosen on val' if val else 'no val pictures to choose it on'})")
        head = self.model.learner
        with torch.no_grad():
            # two classes have one row of weights: it is the logit of the second
            two = len(fit.coef_) == 1
            rows = [
                np.concatenate([np.zeros_like(part), part]) if two else part for part in (fit.coef_, fit.intercept_)
            ]
            head.weight.copy_(torch.from_numpy(rows[0]))
            head.bias.copy_(torch.from_numpy(rows[1]))
        self.train_seconds, self.epoch = time.perf_counter() - start, 0
        if self.output_dir:
            self.save_model(0, self.output_dir)
        self.test()

    def classify(self, features: Tensor) -> Tensor:
        head = self.model.learner
        return features @ head.weight.t() + head.bias

    def _features(self, items: list, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Unit-norm features (N, E) and labels (N,) of pictures under the test transform."""
        self.set_model_mode("eval")
        loader = build_data_loader(
            self.cfg, data_source=items, batch_size=self.cfg.DATALOADER.TEST.BATCH_SIZE,
            tfm=build_transform(self.cfg, is_train=False), is_train=False,
        )  # fmt: skip
        return image_features(self, loader, what).numpy(), np.array([item.label for item in items])


def search(train: tuple, val: tuple | None) -> tuple[float, LogisticRegression]:
    """The C that is best on val (the smallest of equals) and its fit; C = 1 without val."""

    def fit(c: float) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=1000).fit(*train)

    if val is None:
        return 1.0, fit(1.0)
    fits = {c: fit(c) for c in COARSE}
    scores = {c: model.score(*val) for c, model in fits.items()}
    step = COARSE[1] / COARSE[0]
    for _ in range(REFINEMENTS):
        step **= 0.5
        best = max(sorted(scores), key=scores.__getitem__)
        for c in (best / step, best * step):
            fits[c] = fit(c)
            scores[c] = fits[c].score(*val)
    best = max(sorted(scores), key=scores.__getitem__)
    return best, fits[best]
