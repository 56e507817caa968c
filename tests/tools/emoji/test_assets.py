"""The shipped bench: split by concept, complete, small, and no class name in pocket's captions."""

import json
import random
from pathlib import Path

import pytest
import torch
from clip import tokenize
from clip.model import build_model
from PIL import Image

from upt_clip.tools.emoji.classes import CLASSES, is_variant, split_concepts
from upt_clip.tools.emoji.packs import ARTISTS, BENCH_ARTISTS, SHIFTS, SOURCE, TRAINING_ARTISTS, Concept, normal_code
from upt_clip.tools.emoji.pocket_data import augment, caption_words, draw_caption
from upt_clip.tools.emoji.train_pocket import contrastive_loss, encode_image, encode_text

ASSETS = Path(__file__).parents[3] / "assets"
EMOJI, POCKET = ASSETS / "emoji", ASSETS / "pocket" / "pocket.pt"
SPLITS = ("Emoji", *(f"Emoji{name}" for name in SHIFTS), "EmojiFine")


def read(name):
    return json.loads((EMOJI / f"split_{name}.json").read_text())


def codes(rows):
    return {Path(path).stem for path, *_ in rows}


@pytest.mark.parametrize("name", SPLITS)
def test_every_picture_exists_and_labels_are_contiguous(name):
    parts = read(name)
    rows = [row for part in parts.values() for row in part]
    assert not [path for path, *_ in rows if not (EMOJI / path).is_file()]
    names = {label: class_name for _, label, class_name in rows}
    assert sorted(names) == list(range(len(names)))
    assert len({(label, class_name) for _, label, class_name in rows}) == len(names) == len(set(names.values()))


@pytest.mark.parametrize("name", SPLITS)
def test_no_picture_is_in_two_parts(name):
    paths = [path for part in read(name).values() for path, *_ in part]
    assert len(paths) == len(set(paths))


def test_emoji_is_split_by_concept_and_has_sixteen_shots():
    parts = read("Emoji")
    train, val, test = (codes(parts[p]) for p in ("train", "val", "test"))
    assert not (train & val or train & test or val & test)
    assert len(test) >= 250
    for part, least in (("train", 16), ("val", 1), ("test", 1)):
        labels = [label for _, label, _ in parts[part]]
        assert min(labels.count(label) for label in range(len(CLASSES))) >= least
    assert not [code for code in train | val | test if is_variant(code)]


@pytest.mark.parametrize(("name", "artist"), SHIFTS.items())
def test_shifted_sets_are_the_test_concepts_by_another_artist(name, artist):
    parts = read(f"Emoji{name}")
    assert parts["train"] == parts["val"] == []
    source = [[path.replace(SOURCE, artist, 1), label, class_name] for path, label, class_name in read("Emoji")["test"]]
    assert parts["test"] == source


def test_the_fine_set_is_tested_on_hands_that_it_has_no_shots_of():
    parts = read("EmojiFine")
    classes = {label for _, label, _ in parts["test"]}
    assert len(classes) >= 80 and len(parts["test"]) >= 200
    for part, least in (("train", 3), ("val", 1)):
        labels = [label for _, label, _ in parts[part]]
        assert min(labels.count(label) for label in classes) >= least
    hands = {part: {ARTISTS[path.split("/")[0]].hand for path, *_ in rows} for part, rows in parts.items()}
    assert not hands["test"] & (hands["train"] | hands["val"])


def test_every_picture_is_used():
    used = {path for name in SPLITS for part in read(name).values() for path, *_ in part}
    assert {f"{path.parent.name}/{path.name}" for path in EMOJI.glob("*/*.png")} == used


def test_pictures_are_small_rgb_squares():
    for artist in BENCH_ARTISTS:
        with Image.open(next((EMOJI / artist).iterdir())) as picture:
            assert (picture.size, picture.mode) == ((64, 64), "RGB")


def test_assets_keep_to_their_size():
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) <= 20e6
    assert POCKET.stat().st_size <= 8e6


def test_pocket_learns_from_other_hands_only():
    bench = {ARTISTS[name].hand for name in BENCH_ARTISTS}
    assert TRAINING_ARTISTS and not bench & {ARTISTS[name].hand for name in TRAINING_ARTISTS}


def test_no_caption_is_a_class_name():
    names, words = caption_words("Sad face", ("Love heart", "shirt", "sea animal"))
    assert (names, words) == (["shirt"], ["shirt"])
    rng = random.Random(0)
    seen = {draw_caption(*caption_words("red heart", ("love heart", "love")), rng) for _ in range(200)}
    assert "love" in seen and "red heart" in seen
    assert not [caption for caption in seen if "love heart" in caption]


def test_split_refuses_a_class_that_is_too_small():
    few = [Concept(f"{i:x}", "x", (), 0, 1.0) for i in range(18)]
    with pytest.raises(ValueError, match="'few' has 18 concepts"):
        split_concepts({"few": few})


def test_variation_selectors_do_not_part_a_concept():
    assert normal_code("2600-FE0F") == normal_code("2600") == "2600"


def test_same_concepts_in_a_batch_are_no_negatives():
    image = torch.eye(4)
    text = torch.eye(4)[[0, 0, 2, 3]]
    image[1] = image[0]
    same = torch.eye(4, dtype=torch.bool)
    scale = torch.tensor(50.0)
    alone = contrastive_loss(image, text, same, scale)
    same[0, 1] = same[1, 0] = True
    assert contrastive_loss(image, text, same, scale) <= alone + 1e-6
    wrong = torch.eye(4)[[2, 2, 0, 3]]
    assert contrastive_loss(image, wrong, same, scale) > 10


def test_the_towers_that_pocket_is_trained_through_are_clips(tiny_clip):
    tiny_clip.requires_grad_(True)
    images, tokens = torch.randn(3, 3, 32, 32), tokenize(["a cat.", "two red apples", "x"])
    found = (
        encode_image(tiny_clip, images, None, torch.Generator()),
        encode_text(tiny_clip, tokens, tokens.argmax(1) + 1),
    )
    for ours, stock in zip(found, (tiny_clip.encode_image(images), tiny_clip.encode_text(tokens)), strict=True):
        assert torch.allclose(ours, stock, atol=1e-5 * float(stock.detach().abs().max()))
        weight = tiny_clip.visual.conv1.weight if ours is found[0] else tiny_clip.token_embedding.weight
        gradients = [torch.autograd.grad(out.square().sum(), weight, retain_graph=True)[0] for out in (ours, stock)]
        assert torch.allclose(*gradients, atol=1e-4 * float(gradients[1].abs().max()))


def test_augmentation_keeps_the_ground_white():
    white = torch.full((8, 3, 64, 64), 255, dtype=torch.uint8)
    out = augment(white, 48, torch.Generator().manual_seed(0))
    assert out.shape == (8, 3, 48, 48)
    assert out.std() < 1.0 and torch.isfinite(out).all()
    assert torch.allclose(out.amax((2, 3)), out.amin((2, 3)), atol=1e-5)


@pytest.fixture(scope="module")
def pocket_state():
    return torch.load(POCKET, map_location="cpu", weights_only=True)


def test_pocket_is_a_clip_checkpoint(pocket_state):
    table = pocket_state["token_embedding.weight"]
    assert table.shape[0] == 49408
    assert all(torch.isfinite(value).all() for value in pocket_state.values())
    model = build_model(dict(pocket_state)).float()
    assert model.visual.input_resolution == 48
    used = tokenize([f"a photo of a {name}." for name in CLASSES]).unique()
    assert (table[used].abs().sum(1) > 0).all()
    assert (table.abs().sum(1) == 0).float().mean() > 0.8
