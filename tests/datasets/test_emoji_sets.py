"""The emoji sets that the project ships."""

import pytest


def concepts(items):
    return {item.impath.rpartition("/")[2].rpartition(".")[0] for item in items}


def test_emoji_is_split_by_concept(build):
    dataset = build("Emoji")
    train, val, test = (concepts(items) for items in (dataset.train_x, dataset.val, dataset.test))
    assert not (train & val or train & test or val & test)
    assert len(train) == len(dataset.train_x)
    assert dataset.num_classes >= 20


@pytest.mark.parametrize("name", ["EmojiOpenMoji", "EmojiFluent"])
def test_shifted_emoji_are_the_test_concepts_in_another_hand(name, build):
    emoji, shifted = build("Emoji"), build(name)
    assert shifted.classnames == emoji.classnames
    assert concepts(shifted.test) <= concepts(emoji.test)
    artists = {item.impath.split("/")[-2] for item in emoji.test}
    assert not artists & {item.impath.split("/")[-2] for item in shifted.test}


def test_fine_classes_are_single_concepts(build):
    dataset = build("EmojiFine")
    for label in range(dataset.num_classes):
        assert len(concepts(item for item in dataset.test if item.label == label)) == 1


def test_no_data_root_is_needed(build, tmp_path):
    base = build("Emoji", tmp_path / "nowhere", NUM_SHOTS=16, SUBSAMPLE_CLASSES="base")
    new = build("Emoji", tmp_path / "nowhere", NUM_SHOTS=16, SUBSAMPLE_CLASSES="new")
    assert not set(base.classnames) & set(new.classnames)
    assert 0 <= base.num_classes - new.num_classes <= 1
