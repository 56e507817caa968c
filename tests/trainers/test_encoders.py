"""The walked towers against stock CLIP, and what prompts do in them."""

import clip
import pytest
import torch
from torch import nn

from upt_clip.trainers.core.clip import encoders
from upt_clip.trainers.core.clip.encoders import ImageTower, TextTower, gather, run_block, splice
from upt_clip.trainers.core.clip.packed_sentences import PackedSentences, attend
from upt_clip.trainers.core.clip.sentences import Sentences, context_sentences, template_sentences

NAMES = ["dog", "american_bulldog", "cat", "a name of quite a few more words"]
TEMPLATE = "a photo of a {}, a type of pet."


def pack(sentences: Sentences, class_specific: bool = False) -> PackedSentences:
    return PackedSentences(sentences.tokens, sentences.slots, class_specific)


def assert_equal_features(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To fp32's rounding: features here have a norm of about 18, and 1e-6 of it is what stock CLIP itself is off."""
    assert (ours - theirs).abs().max() <= 3e-6 * theirs.norm(dim=-1).min()


def padded_text_features(model, sentences: Sentences, prompts: torch.Tensor) -> torch.Tensor:
    """The plain way: each sentence padded to 77 tokens, prompts put in, stock blocks, end token read."""
    features = []
    for c, (tokens, slots) in enumerate(zip(sentences.tokens, sentences.slots, strict=True)):
        row = torch.zeros(77, dtype=torch.long)
        row[: len(tokens)] = torch.tensor(tokens)
        own = prompts if prompts.dim() == 3 else prompts[:, c]
        x = model.token_embedding(row)
        x = x.index_copy(0, torch.tensor(slots), own[0]) + model.positional_embedding
        for i, block in enumerate(model.transformer.resblocks):
            if 0 < i < len(own):
                x = x.index_copy(0, torch.tensor(slots), own[i])
            x = block(x[:, None])[:, 0]
        features.append(model.ln_final(x)[len(tokens) - 1] @ model.text_projection)
    return torch.stack(features)


def test_text_tower_without_prompts_equals_stock_clip(tiny_clip):
    stock = tiny_clip.encode_text(clip.tokenize([TEMPLATE.format(name.replace("_", " ")) for name in NAMES]))
    ours = TextTower(tiny_clip)(pack(template_sentences(NAMES, TEMPLATE)))
    assert stock.std(0).mean() > 0.1  # the sentences differ at all
    assert_equal_features(ours, stock)


def test_one_class_and_equal_classes(tiny_clip):
    tower = TextTower(tiny_clip)
    one = tower(pack(template_sentences(["dog"], TEMPLATE)))
    two = tower(pack(template_sentences(["dog", "dog"], TEMPLATE)))
    torch.testing.assert_close(one.expand(2, -1), two, atol=1e-5, rtol=1e-5)


def test_image_tower_without_prompts_equals_stock_clip(tiny_clip, tiny_resnet):
    for model in (tiny_clip, tiny_resnet):
        images = torch.randn(3, 3, 32, 32)
        torch.testing.assert_close(ImageTower(model.visual)(images), model.encode_image(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("n_prompts", [1, 5])
@pytest.mark.parametrize("class_specific", [False, True])
def test_prompted_text_equals_the_padded_way(tiny_clip, position, depth, n_prompts, class_specific):
    sentences = context_sentences(NAMES, n_prompts, position)
    shape = (depth, len(NAMES), n_prompts, 64) if class_specific else (depth, n_prompts, 64)
    prompts = torch.randn(shape, requires_grad=True)
    ours = TextTower(tiny_clip)(pack(sentences, class_specific), prompts)
    plain = padded_text_features(tiny_clip, sentences, prompts)
    assert_equal_features(ours, plain)
    weights = torch.randn_like(ours)
    (mine,) = torch.autograd.grad((ours * weights).sum(), prompts)
    (theirs,) = torch.autograd.grad((plain * weights).sum(), prompts)
    assert (mine - theirs).norm() <= 1e-4 * theirs.norm()


def test_middle_puts_the_name_between_the_halves():
    (tokens,), (slots,) = (context_sentences(["dog"], 5, "middle").__dict__[k] for k in ("tokens", "slots"))
    dog = clip.tokenize("dog")[0, 1].item()
    assert slots == [1, 2, 4, 5, 6] and tokens[3] == dog and len(tokens) == 9


def plain_image_features(model, images, prompts):
    """Every block over all tokens by the stock module, with the prompts' rows asserted to stay P."""
    v, p = model.visual, prompts.shape[1]
    x = v.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
    x = torch.cat([x[:, :1], prompts[0].expand(len(x), -1, -1), x[:, 1:]], 1)
    x, length = v.ln_pre(x), x.shape[1]
    for i, block in enumerate(v.transformer.resblocks):
        if 0 < i < len(prompts):
            x = torch.cat([x[:, :1], prompts[i].expand(len(x), -1, -1), x[:, 1 + p :]], 1)
        assert x.shape[1] == length
        x = block(x.transpose(0, 1)).transpose(0, 1)
    return v.ln_post(x[:, 0]) @ v.proj


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_prompted_image_equals_the_plain_way(tiny_clip, depth):
    images, prompts = torch.randn(2, 3, 32, 32), torch.randn(depth, 4, 64)
    ours = ImageTower(tiny_clip.visual)(images, prompts)
    torch.testing.assert_close(ours, plain_image_features(tiny_clip, images, prompts), atol=1e-5, rtol=1e-5)


def test_deep_prompts_replace_and_never_lengthen(tiny_clip, monkeypatch):
    lengths = []

    def spy(block, x, *args, **kwargs):
        x = run_block(block, x, *args, **kwargs)
        lengths.append(x.shape[-2])
        return x

    monkeypatch.setattr("upt_clip.trainers.core.clip.encoders.run_block", spy)
    ImageTower(tiny_clip.visual)(torch.randn(1, 3, 32, 32), torch.randn(3, 4, 64))
    assert lengths == [1 + 4 + 4] * 2 + [1]  # CLS, prompts, patches; of the last block CLS alone
    lengths.clear()
    TextTower(tiny_clip)(pack(context_sentences(["dog"], 4)), torch.randn(3, 4, 64))
    assert lengths == [len(context_sentences(["dog"], 4).tokens[0])] * 2 + [1]  # its end token


def test_splice_stands_after_the_first_token():
    tokens = torch.arange(6.0).view(1, 6, 1)
    assert splice(tokens, torch.tensor([[8.0], [9.0]]), replace=0).flatten().tolist() == [0, 8, 9, 1, 2, 3, 4, 5]
    assert splice(tokens, torch.tensor([[8.0], [9.0]]), replace=2).flatten().tolist() == [0, 8, 9, 3, 4, 5]


def test_shared_tokens_are_packed_once():
    packed = pack(context_sentences(["dog", "cat"], 4))
    assert packed.n_prefix == 5 and len(packed.tokens) == 5 + 2 * 3  # SOS and 4 prompts once; name, full stop, end
    assert pack(context_sentences(["dog", "cat"], 4), class_specific=True).n_prefix == 1


def test_gradients_flow_where_the_stock_modules_pass_them(tiny_clip):
    prompts = torch.randn(1, 4, 64, requires_grad=True)
    images = torch.randn(2, 3, 32, 32)
    weights = torch.randn(2, 32)
    (mine,) = torch.autograd.grad((ImageTower(tiny_clip.visual)(images, prompts) * weights).sum(), prompts)
    (theirs,) = torch.autograd.grad((plain_image_features(tiny_clip, images, prompts) * weights).sum(), prompts)
    assert (mine - theirs).norm() <= 1e-4 * theirs.norm()


@pytest.mark.parametrize("n_images", [1, 5, 8])
def test_features_without_gradients_are_those_with_them(tiny_clip, monkeypatch, n_images):
    """Without gradients, blocks write in place and a CPU takes the images in parts: neither changes anything else."""
    monkeypatch.setattr(encoders, "CPU_BLOCK", 15_000)  # about three images
    tower, images = ImageTower(tiny_clip.visual), torch.randn(n_images, 3, 32, 32)
    prompts = torch.randn(2, 3, tiny_clip.visual.conv1.out_channels, requires_grad=True)
    before = images.clone(), prompts.detach().clone()
    learning = tower(images, prompts)
    parts = tower.split(images)
    with torch.no_grad():
        at_rest = torch.cat([tower(part, prompts) for part in parts])
    assert len(parts) == {1: 1, 5: 2, 8: 3}[n_images] and learning.requires_grad
    assert_equal_features(at_rest, learning)
    assert torch.equal(images, before[0]) and torch.equal(prompts, before[1])


@pytest.mark.parametrize("n_heads", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gathering_without_keys_and_values_is_attention(n_heads, dtype):
    """With biases that matter, as trained CLIPs have them, and several readers and heads."""
    attn = nn.MultiheadAttention(32, n_heads, batch_first=True).requires_grad_(False)
    attn.in_proj_bias.normal_()
    attn.out_proj.bias.normal_()
    tokens = torch.randn(3, 7, 32)
    learned = [tokens.clone().requires_grad_() for _ in range(2)]
    expected = attn(learned[0][:, 2:4], learned[0], learned[0], need_weights=False)[0]
    attn = attn.to(dtype)
    mixed = gather(attn, learned[1][:, 2:4].to(dtype), learned[1].to(dtype), lambda q, k, v: attend(q, k, v, n_heads=1))
    found = attn.out_proj(mixed).float()
    weights = torch.randn_like(expected)
    wanted, got = (
        torch.autograd.grad((out * weights).sum(), x)[0] for out, x in zip((expected, found), learned, strict=True)
    )
    bound = 1e-5 if dtype == torch.float32 else 2e-2
    assert (found - expected).norm() <= bound * expected.norm()
    assert (got - wanted).norm() <= bound * wanted.norm()
