"""Every trainer's fast path against the plain one: stock CLIP modules, 77 tokens, prompts put in as CoOp does.

The plain path is written out here. Bounds in fp32: 1e-5 of the largest logit, 1e-4 of a gradient's length, and 1e-4 for
each number that is learned in 20 steps, or three times what one rounding of the start grows to in the plain path.
"""

import clip
import pytest
import torch
import torch.nn.functional as F
from clip.simple_tokenizer import SimpleTokenizer

from tests.trainers.test_encoders import plain_image_features
from tests.trainers.test_trainers import VARIANTS
from upt_clip.trainers.core.clip.precision import Precision
from upt_clip.trainers.core.predictor import bare_trainer
from upt_clip.trainers.core.training import accumulate
from upt_clip.trainers.templates import template

NAMES = ["dog", "american_bulldog", "cat", "a name of quite a few words", "sea", "great_pyrenees", "hot air balloon"]
LENGTHS = [len(SimpleTokenizer().encode(name.replace("_", " "))) for name in NAMES]

CASES = VARIANTS | {"ZeroshotCLIP": ["ZeroshotCLIP"]}
for position in ("middle", "front"):
    there = ["TRAINER.COOP.N_CTX", "5", "TRAINER.COOP.CLASS_TOKEN_POSITION", position]
    deep = ["TRAINER.UPT.DEPTH_TEXT", "3", "TRAINER.UPT.CLASS_TOKEN_POSITION", position]
    CASES |= {
        f"CoOp {position}": ["CoOp", *there],
        f"CoOp {position}, class-specific": ["CoOp", *there, "TRAINER.COOP.CSC", "True"],
        f"UPT {position}, deep": ["UPT", *deep],
    }

# classes at a time, text computed again, image blocks computed again, parts of the batch
WAYS = [(7, False, False, 1), (3, False, False, 1), (3, True, False, 1), (7, True, True, 1), (1, True, True, 3)]


def put_in(embedded: torch.Tensor, prompts: torch.Tensor, position: str) -> torch.Tensor:
    """CoOp's sentences (C, 77, D): in embedded "X X X X name." (C, 77, D) prompts (C, P, D) stand for the X's."""
    n, rows = prompts.shape[1], []
    for x, own, length in zip(embedded, prompts, LENGTHS, strict=True):
        name, rest = x[1 + n : 1 + n + length], x[1 + n + length :]
        order = {"end": [own, name], "middle": [own[: n // 2], name, own[n // 2 :]], "front": [name, own]}[position]
        rows.append(torch.cat([x[:1], *order, rest]))
    return torch.stack(rows)


def plain_text_features(model, prompts: torch.Tensor, position: str) -> torch.Tensor:
    """(C, E) with prompts (depth, P, D) or (depth, C, P, D)."""
    if prompts.dim() == 3:
        prompts = prompts[:, None].expand(-1, len(NAMES), -1, -1)
    xs = " ".join(["X"] * prompts.shape[2])
    tokens = clip.tokenize([f"{xs} {name.replace('_', ' ')}." for name in NAMES])
    nothing = torch.zeros(*tokens.shape, prompts.shape[-1])
    slots = put_in(nothing, torch.ones_like(prompts[0]), position) > 0
    x = put_in(model.token_embedding(tokens), prompts[0], position) + model.positional_embedding
    for i, block in enumerate(model.transformer.resblocks):
        if 0 < i < len(prompts):
            x = torch.where(slots, put_in(nothing, prompts[i], position), x)
        x = block(x.transpose(0, 1)).transpose(0, 1)
    return F.normalize(model.ln_final(x)[range(len(NAMES)), tokens.argmax(-1)] @ model.text_projection, dim=-1)


def plain_logits(trainer, images: torch.Tensor) -> torch.Tensor:
    model, learner = trainer.clip_model, trainer.model.learner
    position = trainer.options.get("CLASS_TOKEN_POSITION", "end")
    if trainer.image_specific:
        image = F.normalize(model.encode_image(images), dim=-1)
        texts = [plain_text_features(model, own, position) for own in learner(image).text]
        return model.logit_scale.exp() * torch.stack([t @ own for t, own in zip(texts, image, strict=True)])
    prompts = learner()
    image = model.encode_image(images) if prompts.image is None else plain_image_features(model, images, prompts.image)
    if prompts.text is None:
        sentences = [template(trainer.cfg).format(name.replace("_", " ")) for name in NAMES]
        text = F.normalize(model.encode_text(clip.tokenize(sentences)), dim=-1)
    else:
        text = plain_text_features(model, prompts.text, position)
    return model.logit_scale.exp() * F.normalize(image, dim=-1) @ text.t()


@pytest.fixture
def make(config):
    """make("UPT", ...) -> a trainer with a network for NAMES, without data."""

    def trainer_of(*variant):
        trainer = bare_trainer(config(*variant), torch.device("cpu"))
        torch.manual_seed(0)
        trainer.model = trainer.build_network(NAMES)
        trainer.scaler = trainer.precision.loss_scaler()
        return trainer

    return trainer_of


def batch(n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, 32, 32, generator=drawn), torch.randint(len(NAMES), (n,), generator=drawn)


def gradients(model, backward) -> list[torch.Tensor]:
    """What `backward` adds; the learner draws the same dropout each time."""
    model.learner.zero_grad()
    torch.manual_seed(1)
    backward()
    return [p.grad for p in model.learner.parameters()]


def assert_near(ours: torch.Tensor, plain: torch.Tensor, bound: float) -> None:
    assert (ours - plain).norm() <= bound * plain.norm()


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_in_every_way(make, case):
    trainer, (images, labels) = make(*CASES[case]), batch()
    model = trainer.model
    with torch.no_grad():
        model.eval()
        expected = plain_logits(trainer, images)
        assert expected.std(dim=1).min() > 0.1  # classes differ at all
        assert (model(images) - expected).abs().max() <= 1e-5 * expected.abs().max()
    if not trainer.trainable:
        return
    model.train()
    plain = gradients(model, lambda: F.cross_entropy(plain_logits(trainer, images), labels).backward())
    assert min(g.norm() for g in plain) > 0
    for n_classes, text_again, image_again, n_parts in WAYS:
        model.take_text_in_chunks(n_classes, text_again)
        model.image_tower.recompute = image_again
        ours = gradients(model, lambda n=n_parts: accumulate.backward(trainer, images, labels, n))
        for one, other in zip(ours, plain, strict=True):
            assert_near(one, other, 1e-4)


@pytest.mark.parametrize("case", ["CoOp", "CoCoOp", "VPT deep", "UPT", "UPT deep"])
def test_twenty_steps_end_with_the_same_prompts(make, case):
    images, labels = batch(4)
    learned = []
    for plain, rounded in ((False, 0), (True, 0), (True, 2**-24)):
        trainer = make(*CASES[case])
        model = trainer.model.train()
        start = [p.detach().clone() for p in model.learner.parameters()]
        for p in model.learner.parameters():
            p.data += rounded * p * torch.randn(p.shape, generator=torch.Generator().manual_seed(2))
        optimiser = torch.optim.SGD(model.learner.parameters(), lr=5e-5, momentum=0.9)
        for step in range(20):
            torch.manual_seed(step)  # dropout
            loss = F.cross_entropy(plain_logits(trainer, images) if plain else model(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        learned.append([p.detach() for p in model.learner.parameters()])
    for ours, theirs, rounded, before in zip(*learned, start, strict=True):
        apart, grown, moved = ((theirs - other).abs().max() for other in (ours, rounded, before))
        assert apart <= max(min(1e-4, 0.01 * moved), 3 * grown)


@pytest.mark.parametrize("case", ["CoOp", "CoCoOp", "VPT deep", "UPT deep"])
def test_bf16_towers_stay_near(make, case):
    """Cosines within 0.05, gradients within half of their length.

    Stock weights times 3 magnify every rounding: the plain path's gradients are 0.1 to 0.5 apart, by case and CPU.
    """
    trainer, (images, labels) = make(*CASES[case]), batch()
    model = trainer.model.eval()

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(images), labels)

    exact, exact_gradients = model(images).detach(), gradients(model, lambda: loss().backward())
    Precision("bf16", torch.device("cpu"), tower=torch.bfloat16).cast(trainer.clip_model)
    near, near_gradients = model(images).detach(), gradients(model, lambda: loss().backward())
    assert near.dtype == torch.float32 and not torch.equal(near, exact)
    assert (near - exact).abs().max() <= 0.05 * model.logit_scale.exp()
    for one, other in zip(near_gradients, exact_gradients, strict=True):
        assert_near(one, other, 0.5)
