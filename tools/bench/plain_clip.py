"""Prompted CLIP the plain way, for comparison: what code in the manner of CoOp computes, written from the equations.

Stock CLIP modules; every sentence padded to CLIP's 77 tokens; the whole text tower for every batch, test batches too.
Shape letters: B batch, C classes, L = 77 tokens, P prompts, D width, E embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upt_clip.trainers.core import PromptTrainer
from upt_clip.trainers.core.clip.prompted_clip import PromptedCLIP
from upt_clip.trainers.core.predictor import bare_trainer

# isort: split
from dassl.engine import TrainerX
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer


class PlainCLIP(nn.Module):
    """Logits (B, C), fp32, of images (B, 3, height, width), by the weights and learner of a trainer's own network."""

    tokens: Tensor  # (C, L)
    slots: Tensor  # (C, P)
    ends: Tensor  # (C,)

    def __init__(self, trainer: PromptTrainer, network: PromptedCLIP):
        super().__init__()
        self.clip, self.learner = trainer.clip_model, network.learner
        self.image_specific = trainer.image_specific
        sentences = trainer.class_sentences(network.names)
        rows = [row + [0] * (self.clip.context_length - len(row)) for row in sentences.tokens]
        self.register_buffer("tokens", torch.tensor(rows))
        self.register_buffer("slots", torch.tensor(sentences.slots, dtype=torch.long))
        self.register_buffer("ends", torch.tensor([len(row) - 1 for row in sentences.tokens]))
        self.to(trainer.device)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # mixed precision is for the towers alone
            if not self.image_specific:
                prompts = self.learner()
        if self.image_specific:
            image = self.encode_image(images)
            text = torch.stack([self.encode_text(one) for one in self.learner(image).text])
            return self.clip.logit_scale.float().exp() * torch.einsum("bce,be->bc", text, image)
        image, text = self.encode_image(images, prompts.image), self.encode_text(prompts.text)
        return self.clip.logit_scale.float().exp() * image @ text.t()

    def encode_text(self, prompts: Tensor | None) -> Tensor:
        """Unit features (C, E) of the sentences with prompts (depth, P, D), (depth, C, P, D) or None."""
        clip, dtype = self.clip, self.clip.text_projection.dtype
        rows = torch.arange(len(self.tokens), device=self.tokens.device)
        x = clip.token_embedding(self.tokens).to(dtype)  # (C, L, D)
        own = [] if prompts is None else [self._for_each_class(prompts[i], dtype) for i in range(len(prompts))]
        if own:
            x = x.index_put((rows[:, None], self.slots), own[0])
        x = (x + clip.positional_embedding.to(dtype)).transpose(0, 1)  # the stock blocks take (L, C, D)
        for i, block in enumerate(clip.transformer.resblocks):
            if 0 < i < len(own):
                x = x.transpose(0, 1).index_put((rows[:, None], self.slots), own[i]).transpose(0, 1)
            x = block(x)
        x = clip.ln_final(x.transpose(0, 1)).to(dtype)
        return F.normalize((x[rows, self.ends] @ clip.text_projection).float(), dim=-1)

    def _for_each_class(self, prompts: Tensor, dtype: torch.dtype) -> Tensor:
        return prompts.to(dtype).expand(len(self.slots), self.slots.shape[1], -1)

    def encode_image(self, images: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Unit features (B, E) of images with prompts (depth, P, D) behind CLS, or None."""
        visual = self.clip.visual
        images = images.to(visual.conv1.weight.dtype)
        if prompts is None:
            return F.normalize(visual(images).float(), dim=-1)
        patches = visual.conv1(images).flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        x = torch.cat([cls, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
        n = prompts.shape[1]
        rows = prompts.to(x.dtype)[:, None].expand(-1, len(x), -1, -1)  # (depth, B, P, D)
        x = visual.ln_pre(torch.cat([x[:, :1], rows[0], x[:, 1:]], dim=1))
        for i, block in enumerate(visual.transformer.resblocks):
            if 0 < i < len(rows):
                x = torch.cat([x[:, :1], rows[i], x[:, 1 + n :]], dim=1)
            x = block(x.transpose(0, 1)).transpose(0, 1)
        return F.normalize((visual.ln_post(x[:, 0]) @ visual.proj).float(), dim=-1)


class PlainTrainer(TrainerX):
    """A method's learner in `PlainCLIP`, trained by Dassl's own loop and loaders."""

    def build_model(self) -> None:
        trainer = bare_trainer(self.cfg, self.device)
        self.model = PlainCLIP(trainer, trainer.build_network(self.dm.dataset.classnames))
        self.precision = trainer.precision
        self.optim = build_optimizer(self.model.learner, self.cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
        self.register_model("prompt_learner", self.model.learner, self.optim, self.sched)

    def model_inference(self, images: Tensor) -> Tensor:
        with self.precision.context():
            return self.model(images)

    def forward_backward(self, batch: dict) -> dict[str, float]:
        images, labels = self.parse_batch_test(batch)
        logits = self.model_inference(images)
        loss = F.cross_entropy(logits, labels)
        self.model_backward_and_update(loss)
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {"loss": loss.item(), "acc": compute_accuracy(logits, labels)[0].item()}
