"""Tests of the variances against numbers made by hand, of the gains and of r and p."""

import pytest
import torch

from tests.tools.tables.trees_of_runs import base2new, few_shot, put, zero_shot
from upt_clip.tools.tables import figure1, results, variance
from upt_clip.tools.tables.figure1 import Point


def test_intra_class_variance_by_hand():
    # class 0: (1,0) and (0,1), mean (.5,.5), squared distances .5 and .5; class 1: three equal rows, so 0
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]])
    labels = torch.tensor([0, 1, 0, 1, 1])
    assert variance.intra_class_variance(features, labels) == pytest.approx(0.25)


def test_classes_count_once_whatever_their_order_and_size():
    """A list of distances that is not emptied between classes gives .5 and .25, mean .375, for this order."""
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert variance.intra_class_variance(features, labels) == pytest.approx(0.25)
    assert variance.intra_class_variance(features, 1 - labels) == pytest.approx(0.25)


def test_intra_class_variance_is_one_minus_squared_norm_of_the_mean():
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(40, 8, generator=generator), dim=1)
    labels = torch.arange(40) % 5
    expected = sum(1 - features[labels == c].mean(0).square().sum().item() for c in range(5)) / 5
    assert variance.intra_class_variance(features, labels) == pytest.approx(expected, abs=1e-6)


def test_inter_class_variance_by_hand():
    # mean (0, 1/3): squared distances 1 + 1/9, 1 + 1/9, 4/9
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert variance.inter_class_variance(features) == pytest.approx((10 / 9 + 10 / 9 + 4 / 9) / 3)


def test_pearson_with_n_and_refused_for_two_points():
    assert figure1.pearson([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 7.0]).startswith("r = 0.990, p = 0.010, n = 4")
    assert "no r: n = 2" in figure1.pearson([1.0, 2.0], [1.0, 2.0])
    assert "no r: n = 3" in figure1.pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])


def test_published_points_give_the_known_correlations():
    text = figure1.text(figure1.published_points())
    assert "intra-class visual variance: r = -0.306, p = 0.360, n = 11" in text
    assert "inter-class text variance: r = 0.196, p = 0.564, n = 11" in text


def test_gains_are_over_zero_shot_of_the_same_backbone(tmp_path):
    zero_shot(tmp_path, "emoji", 40.0, cfg="pocket", backbone="pocket")
    zero_shot(tmp_path, "emoji", 70.0)
    options = {"cfg": "pocket_c4_ctxv1", "backbone": "pocket"}
    few_shot(tmp_path, "emoji", [50.0, 51.0, 55.0], "CoOp", **options)
    few_shot(tmp_path, "emoji", [99.0] * 3, "CoOp", shots=8, **options)
    few_shot(tmp_path, "emoji", [99.0] * 2, "VPT", **options)
    few_shot(tmp_path, "emoji", [99.0] * 3, "CoOp", cfg="vit_b16_c16")
    points = [Point("emoji", 0.2, 0.3, 3, 9), Point("dtd", 0.2, 0.3, 3, 9)]
    missing = figure1.add_gains(points, results.scan(tmp_path), "pocket", 16, [1, 2, 3])
    assert points[0].gains == {("CoOp", "pocket_c4_ctxv1"): pytest.approx(12.0)} and points[1].gains == {}
    assert "emoji: VPT pocket_c4_ctxv1 has 2 of 3 seeds, left out" in missing
    assert "dtd: no run of CoOp (16 shots)" in missing


def test_gains_on_base_classes_are_from_base_to_new_runs(tmp_path):
    put(tmp_path, "base2new/test_base/dtd/ZeroshotCLIP/vit_b16", "dtd", 60.0)
    base2new(tmp_path, "dtd", {1: 70.0}, {1: 5.0}, trainer="CoOp", cfg="vit_b16_c16")
    points = [Point("dtd:base", 0.2, 0.3, 3, 9)]
    figure1.add_gains(points, results.scan(tmp_path), "vit_b16", 16, [1])
    assert points[0].gains == {("CoOp", "vit_b16_c16"): 10.0}


def test_plot_shows_the_points(tmp_path):
    figure = figure1.plot(figure1.published_points(), tmp_path / "figure.png", "Figure 1")
    left = figure.axes[0]
    assert list(left.get_lines()[1].get_ydata()) == [p.gains[("CoOp", "published")] for p in figure1.published_points()]
    assert "n = 11" in left.get_title() and (tmp_path / "figure.png").stat().st_size > 1000


def test_command_measures_the_embedded_pictures(capsys):
    assert variance.main(["emoji", "--limit", "2", "--compare"]) == 0
    out = capsys.readouterr().out
    (line,) = [line.split() for line in out.splitlines() if line.startswith("emoji ")]
    classes, n = int(line[1]), int(line[2])
    assert n == 2 * classes and 0 < float(line[3]) < 1 and 0 < float(line[4]) < 1
    assert "DIGITISED" in out and "No gains" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["emoji", "--backbone", "pockett"], "unknown backbone"),
        (["emojy"], "unknown data set"),
        (["emoji:new"], "follow the colon"),
    ],
)
def test_mistakes_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        variance.main(arguments)
