"""Words near a prompt: prompts put onto words find them, and methods without text prompts say so."""

import json

import pytest
import torch

from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import finished, rows_of  # noqa: F401
from upt_clip import trainers
from upt_clip.tools.use import nearest_words
from upt_clip.trainers.core.clip.loader import encode, token_text


def test_distances_are_euclidean_and_rows_of_zeros_are_no_words():
    table = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    distances, tokens = nearest_words.nearest(torch.tensor([[0.0, 0.0], [3.0, 3.0]]), table, top=9)
    assert tokens.tolist() == [[2, 1], [1, 2]]
    torch.testing.assert_close(distances, torch.tensor([[1.0, 5.0], [1.0, 13**0.5]]))


def test_a_prompt_on_a_word_finds_the_word(finished):  # noqa: F811
    model = trainers.load(finished("CoOp"))
    words = encode("a photograph of cats")
    with torch.no_grad():
        model.network.learner.ctx.copy_(model.network.text_tower.token_embedding.weight[words])
    found = nearest_words.rows(model, top=2)
    assert [row["prompt"] for row in found] == [1, 2, 3, 4] and all(row["class"] is None for row in found)
    assert [row["nearest"][0]["word"] for row in found] == ["a", "photograph", "of", "cats"]
    assert all(row["nearest"][0]["distance"] == 0 < row["nearest"][1]["distance"] for row in found)
    assert "photograph (0.0000)" in nearest_words.render(found)


def test_class_specific_prompts_are_listed_by_class(finished):  # noqa: F811
    model = trainers.load(finished("CoOp class-specific"))
    found = nearest_words.rows(model, top=1)
    assert [(row["class"], row["prompt"]) for row in found] == [(c, p) for c in model.classnames for p in (1, 2, 3)]
    assert model.classnames[0] in nearest_words.render(found)


def test_upts_prompts_are_those_after_the_mixer(finished):  # noqa: F811
    model = trainers.load(finished("UPT"))
    prompts, learner = nearest_words.text_prompts(model), model.network.learner
    assert torch.equal(prompts, learner().text[0]) and not torch.allclose(prompts, learner.text[0])


def test_prompts_that_depend_on_the_image_need_one(finished):  # noqa: F811
    run = finished("CoCoOp")
    model = trainers.load(run)
    with pytest.raises(ValueError, match="--image PATH"):
        nearest_words.rows(model, top=1)
    assert len(nearest_words.rows(model, top=1, image=rows_of(run)[0]["path"])) == 4


@pytest.mark.parametrize("name", ["ZeroshotCLIP", "VPT deep", "LinearProbe"])
def test_methods_without_text_prompts(finished, name):  # noqa: F811
    with pytest.raises(ValueError, match="has no text prompts"):
        nearest_words.main([str(finished(name))])


def test_json(finished, capsys):  # noqa: F811
    assert nearest_words.main([str(finished("UPT")), "--json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 4 and [len(row["nearest"]) for row in found] == [3] * 4


def test_pieces_of_words_are_marked():
    assert [token_text(t) for t in encode("photomicrograph cat")] == ["photom…", "ic…", "ro…", "graph", "cat"]
