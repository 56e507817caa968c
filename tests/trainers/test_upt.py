"""What makes UPT UPT: its layer, and who sees whom."""

import pytest
import torch
import torch.nn.functional as F
from yacs.config import CfgNode

from upt_clip.trainers.core import Prompts
from upt_clip.trainers.upt import MIXERS, UPT, UnifiedPromptLearner

D_TEXT, D_IMAGE = 16, 24


def learner(**options) -> UnifiedPromptLearner:
    torch.manual_seed(0)
    return UnifiedPromptLearner(CfgNode({**UPT.DEFAULTS, **options}), D_TEXT, D_IMAGE).eval()


def by_hand(layer, u, released: bool = False):
    """The equations for one row of prompts u (P, D) in plain matrix algebra, one head."""
    w, b = layer.attention.in_proj_weight, layer.attention.in_proj_bias
    q, k, v = (u @ w[i * D_TEXT : (i + 1) * D_TEXT].T + b[i * D_TEXT : (i + 1) * D_TEXT] for i in range(3))
    weights = torch.eye(len(u)) if released else torch.softmax(q @ k.T / D_TEXT**0.5, dim=-1)
    out = layer.attention.out_proj
    attended = weights @ v @ out.weight.T + out.bias
    first, second = layer.ffn[0], layer.ffn[3]

    def ffn(x):
        return torch.clamp(x @ first.weight.T + first.bias, min=0) @ second.weight.T + second.bias

    def norm(module, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * module.weight + module.bias

    if released:
        s = norm(layer.norm1, u + attended)
        return s + ffn(norm(layer.norm2, s))
    mixed = attended + norm(layer.norm1, u)
    normed = norm(layer.norm2, mixed)
    return ffn(normed) + normed


@pytest.mark.parametrize("mixer", ["attention", "released"])
def test_the_layer_equals_its_equations_written_out(mixer):
    unified = learner(MIXER=mixer, DEPTH_TEXT=2, DEPTH_VISION=2)
    for p in unified.mixer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    text, image = unified().text, unified().image
    for row in range(2):
        u = torch.cat([unified.text[row], unified.image[row]])
        expected = by_hand(unified.mixer, u, mixer == "released")
        torch.testing.assert_close(text[row], expected[:4], atol=1e-5, rtol=1e-5)
        on_image = F.linear(expected[4:], unified.to_image.weight, unified.to_image.bias)
        torch.testing.assert_close(image[row], on_image, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mixer", MIXERS)
def test_editing_the_text_half_moves_the_image_prompts_only_with_attention(mixer):
    unified = learner(MIXER=mixer)
    before = Prompts(*(p.detach().clone() for p in unified()))
    with torch.no_grad():
        unified.text.add_(torch.randn(unified.text.shape))
    after = unified()
    assert not torch.allclose(after.text, before.text)
    moved = (after.image - before.image).abs().max().item()
    assert moved > 1e-3 if mixer in ("attention", "shared") else moved == 0  # shared: one set is both halves


def test_both_towers_get_the_same_dropout_draw():
    unified = learner(DROPOUT=0.5).train()
    calls = []
    unified.mixer.register_forward_hook(lambda *_: calls.append(1))
    unified()
    assert len(calls) == 1


def test_shapes_of_any_lengths_and_depths():
    prompts = learner(N_CTX_TEXT=3, N_CTX_VISION=7, DEPTH_TEXT=2, DEPTH_VISION=5)()
    assert prompts.text.shape == (2, 3, D_TEXT) and prompts.image.shape == (5, 7, D_IMAGE)


def test_gain_and_words_start_at_the_hand_written_prompt():
    words = torch.randn(4, D_TEXT)
    o = CfgNode({**UPT.DEFAULTS, "OUTPUT_GAIN": 1e-6, "DEPTH_TEXT": 2})
    unified = UnifiedPromptLearner(o, D_TEXT, D_IMAGE, words).eval()
    torch.testing.assert_close(unified().text[0], words, atol=1e-4, rtol=0)
    assert unified().text[1].abs().max() < 1e-4 and "words" not in unified.state_dict()
