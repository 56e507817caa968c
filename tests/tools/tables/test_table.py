"""Tests of the tables: the numbers, what is refused, what is marked, and each format."""

import csv
import io
import re
import statistics

import pytest

from tests.tools.tables.trees_of_runs import TARGETS, base2new, evaluated, few_shot, put, zero_shot
from upt_clip.tools.tables import cells, published, results, table


def rows(output, protocol, **options):
    """The lines of the csv as dicts."""
    text = table.render(protocol, results.scan(output), "csv", **options)
    return list(csv.DictReader(io.StringIO(text)))


def one(output, protocol, seeds=(1, 2, 3), compare=False, h="of-means", **wanted):
    found = rows(output, protocol, expected_seeds=list(seeds), compare=compare, h=h)
    (row,) = [r for r in found if all(r[key] == value for key, value in wanted.items())]
    return row


def lines(output, protocol, word, **options):
    text = table.render(protocol, results.scan(output), expected_seeds=[1, 2, 3], **options)
    return [line for line in text.splitlines() if word in line]


def test_mean_and_sample_deviation_unrounded(tmp_path):
    values = [50.123456, 51.234567, 53.345678]
    few_shot(tmp_path, "dtd", values)
    row = one(tmp_path, "few_shot", dataset="dtd")
    assert float(row["mean"]) == statistics.fmean(values) and float(row["std"]) == statistics.stdev(values)
    assert (row["seeds"], row["expected_seeds"], row["complete"]) == ("3", "3", "True")
    assert "51.6 ± 1.6" in lines(tmp_path, "few_shot", "dtd")[0]
    assert "ddof 1" in table.render("few_shot", results.scan(tmp_path))


def test_zero_shot_has_one_value_without_spread(tmp_path):
    zero_shot(tmp_path, "dtd", 44.25)
    few_shot(tmp_path, "dtd", [1.0, 2.0, 3.0])
    row = one(tmp_path, "few_shot", dataset="dtd", method="ZeroshotCLIP")
    assert (row["mean"], row["std"], row["seeds"], row["complete"]) == ("44.25", "", "", "True")
    line = lines(tmp_path, "few_shot", "ZeroshotCLIP")[0]
    assert "44.2" in line and "±" not in line and "[" not in line


def test_missing_seed_is_marked_and_its_average_refused(tmp_path):
    few_shot(tmp_path, "dtd", [50.0, 52.0])
    few_shot(tmp_path, "oxford_pets", [80.0, 81.0, 82.0])
    assert "51.0 ± 1.4 [2 of 3]" in lines(tmp_path, "few_shot", "dtd")[0]
    average = one(tmp_path, "few_shot", dataset="average")
    assert average["mean"] == "" and average["complete"] == "False"
    note = lines(tmp_path, "few_shot", "No average")
    assert note == ["No average of UPT vit_b16_paper at 16 shots, seeds there: dtd 2 of 3."]


def test_missing_data_set_is_a_dash_and_its_average_refused(tmp_path):
    few_shot(tmp_path, "dtd", [50.0, 51.0, 52.0])
    few_shot(tmp_path, "oxford_pets", [80.0, 81.0, 82.0])
    few_shot(tmp_path, "dtd", [40.0, 41.0, 42.0], trainer="CoOp", cfg="vit_b16_c16")
    assert one(tmp_path, "few_shot", dataset="average", method="CoOp")["mean"] == ""
    assert float(one(tmp_path, "few_shot", dataset="average", method="UPT")["mean"]) == 66.0
    (line,) = [line for line in lines(tmp_path, "few_shot", "CoOp") if line.startswith("oxford_pets")]
    assert "—" in line and "0 of 3" in line


def test_spread_of_an_average_is_that_of_the_seeds_averages(tmp_path):
    few_shot(tmp_path, "dtd", [50.0, 60.0, 70.0])
    few_shot(tmp_path, "oxford_pets", [70.0, 60.0, 50.0])
    row = one(tmp_path, "few_shot", dataset="average")
    assert float(row["mean"]) == 60.0 and float(row["std"]) == 0.0


def test_configs_backbones_and_shots_are_not_pooled(tmp_path):
    few_shot(tmp_path, "dtd", [10.0] * 3, trainer="CoOp", cfg="vit_b16_c4_ctxv1")
    few_shot(tmp_path, "dtd", [20.0] * 3, trainer="CoOp", cfg="vit_b16_c16")
    few_shot(tmp_path, "dtd", [30.0] * 3, trainer="CoOp", cfg="vit_b16_c16", shots=8)
    few_shot(tmp_path, "dtd", [40.0], trainer="CoOp", cfg="mixed", backbone="RN50")
    put(tmp_path, "dtd/CoOp/mixed_16shots/seed2", "dtd", 60.0, backbone="RN101")
    found = [r for r in rows(tmp_path, "few_shot", expected_seeds=[1, 2, 3]) if r["dataset"] == "dtd"]
    assert sorted(float(r["mean"]) for r in found) == [10.0, 20.0, 30.0, 40.0, 60.0]
    assert [r["seeds"] for r in found if r["config"] == "mixed"] == ["1", "1"]


def test_changed_keys_go_into_the_ablation_only(tmp_path):
    few_shot(tmp_path, "emoji", [50.0] * 3, cfg="pocket_paper", parameters=2000)
    few_shot(tmp_path, "emoji", [40.0] * 3, cfg="pocket_paper", variant="MIXER-joint", parameters=30)
    few_shot(tmp_path, "dtd", [90.0] * 3, cfg="pocket_paper")
    assert {float(r["mean"]) for r in rows(tmp_path, "few_shot") if r["dataset"] == "emoji"} == {50.0}
    assert "1 x a config with changed keys" in lines(tmp_path, "few_shot", "Not in this table")[0]
    found = rows(tmp_path, "ablation")
    assert {(r["dataset"], r["variant"], float(r["mean"])) for r in found if r["dataset"] != "average"} == {
        ("emoji", "", 50.0),
        ("emoji", "MIXER-joint", 40.0),
    }
    (line,) = lines(tmp_path, "ablation", "MIXER joint")
    assert re.split(r"\s{2,}", line)[4] == "30"


def test_seeds_that_were_not_asked_for_do_not_count(tmp_path):
    few_shot(tmp_path, "dtd", [50.0, 52.0, 99.0])
    assert float(one(tmp_path, "few_shot", seeds=(1, 2), dataset="dtd")["mean"]) == 51.0
    text = table.render("few_shot", results.scan(tmp_path), expected_seeds=[1, 2])
    assert "left out: seeds 3" in text


def test_h_of_means_and_mean_of_h(tmp_path):
    base2new(tmp_path, "dtd", {1: 80.0, 2: 60.0}, {1: 40.0, 2: 60.0})
    base2new(tmp_path, "oxford_pets", {1: 90.0, 2: 90.0}, {1: 30.0, 2: 30.0})
    of = {"seeds": (1, 2), "quantity": "h"}
    row = one(tmp_path, "base2new", dataset="dtd", **of)
    assert float(row["mean"]) == pytest.approx(2 * 70 * 50 / 120)
    assert float(row["std"]) == pytest.approx(statistics.stdev([2 * 80 * 40 / 120, 60.0]))
    of_means, mean_of_h = (
        float(one(tmp_path, "base2new", dataset="average", h=h, **of)["mean"]) for h in ("of-means", "mean-of-h")
    )
    assert of_means == pytest.approx(2 * 80 * 40 / 120)
    assert mean_of_h == pytest.approx((2 * 70 * 50 / 120 + 45.0) / 2)
    for rule, words in (("of-means", "also on average"), ("mean-of-h", "the mean of the data sets' H")):
        assert words in table.render("base2new", results.scan(tmp_path), h=rule)


def test_h_takes_seeds_that_have_both_halves(tmp_path):
    base2new(tmp_path, "dtd", {1: 80.0, 2: 10.0, 3: 80.0}, {1: 40.0, 3: 40.0})
    row = one(tmp_path, "base2new", dataset="dtd", quantity="h")
    assert float(row["mean"]) == pytest.approx(2 * 80 * 40 / 120) and row["complete"] == "False"
    assert one(tmp_path, "base2new", dataset="average", quantity="h")["mean"] == ""
    assert float(one(tmp_path, "base2new", dataset="average", quantity="base")["mean"]) == pytest.approx(170 / 3)
    (line,) = lines(tmp_path, "base2new", "dtd  ")
    assert "[2 of 3]" in line


def test_targets_are_averaged_without_the_source(tmp_path):
    few_shot(tmp_path, "imagenet", [100.0] * 3)
    few_shot(tmp_path, "imagenet", [1.0] * 3, shots=8)  # not evaluated, so not in the table
    zero_shot(tmp_path, "imagenet", 66.0)
    for i, target in enumerate(TARGETS):
        evaluated(tmp_path, target, [10.0 * i] * 3)
        zero_shot(tmp_path, target, 40.0)
    assert float(one(tmp_path, "domain_generalization", dataset="average", method="UPT")["mean"]) == 15.0
    assert float(one(tmp_path, "domain_generalization", dataset="imagenet", method="UPT")["mean"]) == 100.0
    zero = one(tmp_path, "domain_generalization", dataset="average", method="ZeroshotCLIP")
    assert float(zero["mean"]) == 40.0
    assert "without the source" in table.render("domain_generalization", results.scan(tmp_path))


def test_a_target_that_lacks_refuses_the_average(tmp_path):
    few_shot(tmp_path, "imagenet", [100.0] * 3)
    for target in TARGETS[:3]:
        evaluated(tmp_path, target, [50.0] * 3)
    assert one(tmp_path, "domain_generalization", dataset="average")["mean"] == ""
    assert "imagenet_r none" in lines(tmp_path, "domain_generalization", "No average")[0]


def test_compare_gives_difference_source_and_mark(tmp_path):
    few_shot(tmp_path, "imagenet", [70.0, 71.0, 72.0])
    for target in TARGETS:
        evaluated(tmp_path, target, [50.0] * 3)
    row = one(tmp_path, "domain_generalization", compare=True, dataset="imagenet")
    assert float(row["published"]) == 72.63 and float(row["difference"]) == pytest.approx(71.0 - 72.63)
    assert row["mark"] == "RECALLED" and "from memory" in row["published_source"]
    (line,) = [x for x in lines(tmp_path, "domain_generalization", "72.63", compare=True) if x.startswith("imagenet ")]
    assert "RECALLED (not a fact)" in line and "-1.63" in line and "71.00 ± 1.00" in line
    average = one(tmp_path, "domain_generalization", compare=True, dataset="average")
    assert float(average["published"]) == 59.98


def test_compare_knows_verified_zero_shot_numbers(tmp_path):
    zero_shot(tmp_path, "dtd", 45.0)
    few_shot(tmp_path, "dtd", [50.0] * 3, trainer="CoOp", cfg="vit_b16_c16")
    row = one(tmp_path, "few_shot", compare=True, dataset="dtd", method="ZeroshotCLIP")
    assert (row["published"], row["mark"]) == ("44.56", "VERIFIED")
    assert float(row["difference"]) == pytest.approx(0.44)
    found = [r for r in rows(tmp_path, "few_shot", compare=True) if r["method"] == "CoOp" and r["dataset"] == "dtd"]
    assert {(r["published"], r["mark"]) for r in found} == {("69.87", "RECALLED"), ("69.7", "DIGITISED")}


def test_compare_says_in_one_line_where_nothing_is_published(tmp_path):
    few_shot(tmp_path, "emoji", [50.0] * 3, cfg="pocket_paper", backbone="pocket")
    few_shot(tmp_path, "dtd", [50.0] * 3)
    text = table.render("few_shot", results.scan(tmp_path), compare=True)
    assert "No published number for pocket: those at hand are for ViT-B/16." in text
    assert len([line for line in text.splitlines() if line.startswith("No published number")]) == 2


def test_an_average_over_other_data_sets_has_no_published_counterpart(tmp_path):
    base2new(tmp_path, "dtd", {1: 79.0}, {1: 41.0}, trainer="CoOp", cfg="vit_b16_c4_ctxv1")
    base2new(tmp_path, "oxford_pets", {1: 93.0}, {1: 95.0}, trainer="CoOp", cfg="vit_b16_c4_ctxv1")
    found = rows(tmp_path, "base2new", compare=True)
    assert all(r["published"] == "" for r in found if r["dataset"] == "average")
    assert [r["published"] for r in found if r["dataset"] == "dtd"] == ["79.44", "41.18", "54.24"]


def test_changed_keys_other_backbones_and_other_shots_have_no_published_counterpart(tmp_path):
    few_shot(tmp_path, "dtd", [50.0], trainer="CoOp", cfg="vit_b16_c16", variant="N_CTX-8")
    few_shot(tmp_path, "dtd", [50.0], trainer="CoOp", cfg="rn50_c16", backbone="RN50")
    base2new(tmp_path, "dtd", {1: 79.0}, {1: 41.0}, trainer="CoOp", cfg="vit_b16_c4_ctxv1", shots=4)
    for protocol in ("few_shot", "base2new"):
        assert {r["published"] for r in rows(tmp_path, protocol, compare=True)} == {""}


def test_h_by_another_rule_has_no_difference():
    average = {"protocol": "base2new", "trainer": "VPT", "cfg": "vit_b16_shallow_c4", "shots": 16, "quantity": "h"}
    for rule, comparable in (("of-means", False), ("mean-of-h", True)):
        numbers = published.lookup(**average, dataset="average", h=rule)
        (number,) = [n for n in numbers if n.method == "VPT (LoGoPrompt)"]
        assert number.comparable is comparable


def test_published_files_are_whole():
    for name in ("base2new", "few_shot", "domain_generalization", "zero_shot", "figure1"):
        found = published.read(name)
        assert found and all(row["mark"] in published.MARKS for row in found)
        assert name == "figure1" or all(row["source"] for row in found)
    recalled = [r for r in published.read("domain_generalization") if "UPT" in r["method"]]
    assert recalled and {r["mark"] for r in recalled} == {"RECALLED"}


@pytest.mark.parametrize("protocol", ["few_shot", "ablation", "domain_generalization", "base2new"])
def test_latex_is_balanced_and_escaped(tmp_path, protocol):
    few_shot(tmp_path, "imagenet", [70.0, 71.0])
    few_shot(tmp_path, "imagenet", [70.0, 71.0], variant="N_CTX_TEXT-8")
    base2new(tmp_path, "oxford_pets", {1: 93.0}, {1: 95.0})
    for target in TARGETS[:2]:
        evaluated(tmp_path, target, [50.0] * 3)
    text = table.render(protocol, results.scan(tmp_path), "latex", True, [1, 2, 3])
    for command in ("begin{tabular}", "toprule", "midrule", "bottomrule", "end{tabular}"):
        assert text.count(f"\\{command}") == text.count("\\toprule") > 0
    assert not re.search(r"(?<!\\)[_%#&]", re.sub(r" & ", " ", text)) and text.isascii()
    assert text.count("{") == text.count("}") and len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    for block in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end", text, re.S):
        rows = [line for line in block[1].splitlines() if line.endswith("\\\\")]
        assert rows and {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(block[0]) - 1}


def test_markdown_has_one_width(tmp_path):
    few_shot(tmp_path, "dtd", [50.0, 51.0])
    text = table.render("few_shot", results.scan(tmp_path), "md", expected_seeds=[1, 2, 3])
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {6}


def test_trainers_stand_in_the_order_of_every_table(tmp_path):
    for trainer in ("UPT", "VPT", "CoOp", "LinearProbe", "CoCoOp"):
        few_shot(tmp_path, "dtd", [1.0], trainer=trainer, cfg="c")
    zero_shot(tmp_path, "dtd", 44.0)
    found = [r["method"] for r in rows(tmp_path, "few_shot") if r["dataset"] == "dtd"]
    assert found == list(results.TRAINER_ORDER)


def test_changed_keys_are_readable_and_sorted_as_numbers(tmp_path):
    assert results.readable("N_CTX_TEXT-8_MIXER-joint") == "N_CTX_TEXT 8, MIXER joint"
    assert results.readable("NAME-ViT-B-16") == "NAME ViT-B-16"
    assert results.readable("something") == "something"
    for n in (16, 2, 8):
        few_shot(tmp_path, "emoji", [50.0], variant=f"N_CTX-{n}")
    found = [e.method.variant for e in cells.entries("ablation", results.scan(tmp_path)) if e.dataset == "emoji"]
    assert found == ["N_CTX-2", "N_CTX-8", "N_CTX-16"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["few_shots"], "unknown protocol"),
        (["few_shot", "--format", "xml"], "unknown format"),
        (["base2new", "--h", "mean"], "rule of H"),
        (["few_shot", "--seeds", "one"], "whole numbers"),
        (["ablation"], "no finished ablation run"),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, words):
    few_shot(tmp_path, "dtd", [50.0])
    with pytest.raises(ValueError, match=words):
        table.main([arguments[0], str(tmp_path), *arguments[1:]])


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        table.main(["few_shot", str(tmp_path / "none")])
