"""CoCoOp's prompts depend on the image; each image must get the logits of its own prompts."""

import torch
from torch.nn import functional as F

from tests.trainers.test_encoders import padded_text_features
from upt_clip.trainers.core import word_embeddings
from upt_clip.trainers.core.clip.sentences import context_sentences


def test_logits_equal_the_equation_written_out_image_by_image(build, tiny_clip):
    trainer = build("CoCoOp", "TRAINER.COCOOP.CTX_INIT", "a photo of a")
    learner, images = trainer.model.learner, torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        learner.meta_net.linear1.bias.add_(1.0)  # no dead units
        logits = trainer.model(images)
        sentences = context_sentences(trainer.dm.dataset.classnames, 4)
        for image, row in zip(images, logits, strict=True):
            feature = F.normalize(tiny_clip.encode_image(image[None]), dim=-1)
            hidden = F.relu(feature @ learner.meta_net.linear1.weight.t() + learner.meta_net.linear1.bias)
            shift = hidden @ learner.meta_net.linear2.weight.t() + learner.meta_net.linear2.bias
            text = F.normalize(padded_text_features(tiny_clip, sentences, (learner.ctx + shift)[None]), dim=-1)
            expected = tiny_clip.logit_scale.exp() * feature @ text.t()
            torch.testing.assert_close(row, expected[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_words_start_the_context(build, tiny_clip):
    learner = build("CoCoOp", "TRAINER.COCOOP.CTX_INIT", "a photo of a").model.learner
    assert torch.equal(learner.ctx, word_embeddings(tiny_clip, "a photo of a"))
