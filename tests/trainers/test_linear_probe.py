"""The linear probe: what scikit-learn fits is what is tested, saved and loaded."""

import csv
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from upt_clip.trainers.linear_probe import search


def test_fits_saves_and_loads(build, tmp_path):
    trainer = build("LinearProbe", output=tmp_path)
    trainer.train()
    result = json.loads((tmp_path / "result.json").read_text())
    n_classes = trainer.num_classes
    assert result["trainable_parameters"] == n_classes * 32 + n_classes
    images = torch.randn(3, 3, 32, 32)
    other = build("LinearProbe", seed=2)
    other.load_model(str(tmp_path))
    torch.testing.assert_close(other.model_inference(images), trainer.model_inference(images))
    assert not torch.equal(trainer.model_inference(images)[0], torch.zeros(n_classes))


def test_the_head_is_the_fit(build):
    trainer = build("LinearProbe")
    trainer.train()
    train, val = (
        trainer._features(items, "few-shot") for items in (trainer.dm.dataset.train_x, trainer.dm.dataset.val)
    )
    _, fit = search(train, val)
    np.testing.assert_allclose(trainer.model.learner.weight.detach().numpy(), fit.coef_, atol=1e-5)


def test_the_strength_is_chosen_on_val():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    x = rng.normal(size=(200, 8)) + 2 * np.eye(8)[labels]
    c, fit = search((x[:40], labels[:40]), (x[40:], labels[40:]))
    grid = [LogisticRegression(C=10.0**k, max_iter=1000).fit(x[:40], labels[:40]) for k in range(-2, 7)]
    assert fit.score(x[40:], labels[40:]) >= max(one.score(x[40:], labels[40:]) for one in grid)
    assert search((x[:40], labels[:40]), None)[0] == 1.0


def test_new_classes_are_refused(build, tmp_path):
    build("LinearProbe", "DATASET.SUBSAMPLE_CLASSES", "base", output=tmp_path).train()
    with pytest.raises(ValueError, match="does not fit LinearProbe"):
        build("LinearProbe").load_model(str(tmp_path))
    build("LinearProbe", "DATASET.SUBSAMPLE_CLASSES", "base").load_model(str(tmp_path))
    other = build("LinearProbe", "DATASET.SUBSAMPLE_CLASSES", "new")  # as many classes, so the shapes fit
    with pytest.raises(ValueError, match="has weights for its own classes"):
        other.load_model(str(tmp_path))


def test_predictions_are_written_picture_by_picture(build, tmp_path):
    trainer = build("LinearProbe", output=tmp_path)
    trainer.train()
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    result = json.loads((tmp_path / "result.json").read_text())
    assert len(rows) == result["n_test"]
    assert sum(row["label"] == row["predicted"] for row in rows) == round(result["accuracy"] * len(rows) / 100)
    for row, item in zip(rows, trainer.dm.dataset.test, strict=True):
        assert f"{result['image_dir']}/{row['path']}" == item.impath and row["class_name"] == item.classname
        assert 0 < float(row["confidence"]) <= 1
