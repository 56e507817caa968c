"""Tests of the pictures: their data are the table's means, refused averages are not drawn, looks differ."""

import math

import pytest

from tests.tools.tables.trees_of_runs import base2new, few_shot, zero_shot
from upt_clip.tools.tables import plot, plot_style, results
from upt_clip.tools.tables.results import Method


def pictures(output, seeds=(1, 2, 3)):
    return plot.figures(results.scan(output), list(seeds))


def axes_of(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def curve(axes, label):
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return list(line.get_xdata()), list(line.get_ydata())


@pytest.fixture
def output(tmp_path):
    for shots, values in {1: [40.0, 41.0, 42.0], 2: [43.0, 44.0, 48.0], 4: [50.0, 50.0, 50.0]}.items():
        few_shot(tmp_path, "dtd", values, shots=shots)
        few_shot(tmp_path, "oxford_pets", [value + 30 for value in values][: 2 if shots == 2 else 3], shots=shots)
    few_shot(tmp_path, "dtd", [30.0] * 3, trainer="CoOp", cfg="vit_b16_c16", shots=4)
    zero_shot(tmp_path, "dtd", 44.0)
    zero_shot(tmp_path, "oxford_pets", 88.0)
    return tmp_path


def test_curves_are_the_means(output):
    axes = axes_of(pictures(output)["few_shot_ViT-B_16"])
    assert set(axes) == {"average of 2 data sets", "dtd", "oxford_pets"}
    assert curve(axes["dtd"], "UPT") == ([1, 2, 4], [41.0, 45.0, 50.0])
    assert curve(axes["dtd"], "zero-shot CLIP") == ([plot.ZERO], [44.0])
    assert curve(axes["oxford_pets"], "UPT")[1] == [71.0, 73.5, 80.0]
    ticks = [text.get_text() for text in axes["dtd"].get_xticklabels()]
    assert ticks == ["0", "1", "2", "4"] and axes["dtd"].get_xscale() == "log"


def test_bands_are_the_sample_deviation(output):
    axes = axes_of(pictures(output)["few_shot_ViT-B_16"])["dtd"]
    corners = axes.collections[-1].get_paths()[0].vertices
    assert sorted({y for x, y in corners if x == 2.0}) == pytest.approx([45.0 - 7**0.5, 45.0 + 7**0.5])


def test_average_breaks_where_seeds_are_missing(output):
    axes = axes_of(pictures(output)["few_shot_ViT-B_16"])
    shots, means = curve(axes["average of 2 data sets"], "UPT")
    assert shots == [1, 2, 4] and means[0] == 56.0 and math.isnan(means[1]) and means[2] == 65.0
    assert not [line for line in axes["average of 2 data sets"].get_lines() if line.get_label() == "CoOp"]
    assert curve(axes["oxford_pets"], "_hollow") == ([2], [73.5])
    assert not [line for line in axes["dtd"].get_lines() if line.get_label() == "_hollow"]


def test_bars_are_the_means_and_a_dash_stands_where_none_is(tmp_path):
    base2new(tmp_path, "dtd", {1: 80.0, 2: 60.0, 3: 70.0}, {1: 50.0, 2: 50.0, 3: 50.0})
    base2new(tmp_path, "dtd", {1: 60.0, 2: 60.0, 3: 60.0}, {}, trainer="CoOp", cfg="vit_b16_c16")
    (axes,) = pictures(tmp_path)["base2new_ViT-B_16"].axes
    heights = [[bar.get_height() for bar in group.patches] for group in axes.containers if hasattr(group, "patches")]
    assert heights == [[60.0, 0, 0], pytest.approx([70.0, 50.0, 2 * 70 * 50 / 120])]
    assert [text.get_text() for text in axes.texts] == ["–", "–"]


def test_accuracy_stands_over_trained_parameters(tmp_path):
    zero_shot(tmp_path, "dtd", 44.0, parameters=0)
    few_shot(tmp_path, "dtd", [50.0, 52.0, 54.0], parameters=2048)
    few_shot(tmp_path, "dtd", [10.0] * 3, parameters=2048, shots=8)
    (axes,) = pictures(tmp_path)["parameters_ViT-B_16"].axes
    (points,) = axes.containers
    assert points[0].get_xdata() == [pytest.approx(2048)] and points[0].get_ydata() == [52.0]
    assert axes.get_xscale() == "log"


def test_methods_look_different_and_name_their_config_if_there_are_two():
    methods = [Method("UPT", cfg, "", "pocket") for cfg in ("a", "b")] + [Method("VPT", "c", "", "pocket")]
    looks = plot_style.styles(methods * 2)
    assert looks[methods[0]] == plot_style.STYLES["UPT"] and looks[methods[2]] == plot_style.STYLES["VPT"]
    assert set(plot_style.labels(methods * 2).values()) == {"UPT (a)", "UPT (b)", "VPT"}
    everything = [*plot_style.STYLES.values(), *plot_style.SPARE]
    for i in range(3):  # colour, marker and line each tell all apart
        assert len({str(look[i]) for look in everything}) == len(everything)


def test_files_are_written(output, capsys):
    plot.main([str(output), "--out", str(output / "p"), "--format", "png", "svg"])
    names = {path.name for path in (output / "p").iterdir()}
    assert {"few_shot_ViT-B_16.png", "few_shot_ViT-B_16.svg", "parameters_ViT-B_16.png"} <= names
    assert (output / "p/few_shot_ViT-B_16.png").read_bytes().startswith(b"\x89PNG")
    assert "oxford_pets" in (output / "p/few_shot_ViT-B_16.svg").read_text()
    assert str(output / "p/few_shot_ViT-B_16.svg") in capsys.readouterr().out


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no finished"):
        plot.main([str(tmp_path)])
