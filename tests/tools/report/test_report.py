"""The page of a report: what it says of a small made output folder, that it is safe, and how Chromium shows it."""

import csv
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests import browser
from upt_clip.tools.report import matrix, samples, settings
from upt_clip.tools.report import page as report
from upt_clip.tools.tables import results

EVIL = "<script>alert(1)</script>"
EVIL_IMAGE = '"><img src=x onerror="alert(\'picture\')">'
CLASSES = ["apple", "bear & bee", EVIL, EVIL_IMAGE]
PER_CLASS = 6
SHARE = {"ZeroshotCLIP": 40, "CoOp": 60, "UPT": 80}  # percent of pictures that a method gets right
SECRET = "never in the report"


def pictures(folder: Path) -> list[tuple[str, int]]:
    """Small pictures, (path, label), written into the folder."""
    rows = []
    for label in range(len(CLASSES)):
        for i in range(PER_CLASS):
            name = f"class{label}/{i}.{'png' if label else 'jpg'}"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            mode, colour = ("RGBA", (60 * label, 40 * i, 200, 180)) if label else ("RGB", (220, 40 * i, 60))
            Image.new(mode, (150, 120), colour).save(path)
            rows.append((name, label))
    return rows


def write_run(directory: Path, trainer: str, seed: int, shots: int, rows: list, image_dir: Path, **said) -> None:
    """What a finished run leaves behind."""
    directory.mkdir(parents=True)
    predictions = []
    for path, label in rows:
        draw = int(hashlib.sha256(f"{path} {trainer} {seed}".encode()).hexdigest(), 16) % 100
        predicted = label if draw < SHARE[trainer] else (label + 1) % len(CLASSES)
        predictions.append([path, label, predicted, f"{draw / 100:.4f}", CLASSES[label], CLASSES[predicted]])
    with (directory / "predictions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "predicted", "confidence", "class_name", "predicted_name"])
        table.writerows(predictions)
    accuracy = 100 * sum(row[1] == row[2] for row in predictions) / len(predictions)
    result = {
        "trainer": trainer, "dataset": "Toys", "image_dir": str(image_dir), "shots": shots, "seed": seed,
        "classes": "all", "backbone": "pocket", "precision": "fp32", "accuracy": accuracy,
        "trainable_parameters": {"ZeroshotCLIP": 0, "CoOp": 2048, "UPT": 9000}[trainer],
        "train_seconds": 1.0, "device": "a <b>chip</b>",
        "versions": {"project": "abc123+", "python": "3.11.7", "torch": "2.9.9", "dassl": "toolbox 1"},
    }  # fmt: skip
    (directory / "result.json").write_text(json.dumps(result | said))
    own = {} if trainer == "ZeroshotCLIP" else {trainer.upper(): {"N_CTX": {"CoOp": 4, "UPT": 8}[trainer]}}
    config = {
        "SEED": seed, "OUTPUT_DIR": str(directory), "DATASET": {"NAME": "Toys", "NUM_SHOTS": shots},
        "TRAINER": {"NAME": trainer, "OTHER": {"KEY": "of another trainer"}, **own},
    }  # fmt: skip
    (directory / "config.yaml").write_text(yaml.safe_dump(config))


def make_output(place: Path) -> Path:
    """CoOp and UPT with 1 and 2 shots, zero-shot CLIP; UPT lacks seed 3 with 2 shots, where a run was killed."""
    images = place / "images"
    rows = pictures(images)
    folder = place / "runs"
    write_run(folder / "ZeroshotCLIP/pocket/toys", "ZeroshotCLIP", 1, 0, rows, images)
    for trainer, cfg in (("CoOp", "pocket_c4"), ("UPT", "pocket_paper")):
        for shots in (1, 2):
            for seed in (1, 2) if (trainer, shots) == ("UPT", 2) else (1, 2, 3):
                directory = folder / f"toys/{trainer}/{cfg}_{shots}shots/seed{seed}"
                write_run(directory, trainer, seed, shots, rows, images)
    killed = folder / "toys/UPT/pocket_paper_2shots/seed3"
    killed.mkdir()
    (killed / "config.yaml").write_text("SEED: 3\n")
    return folder


@pytest.fixture
def output(tmp_path) -> Path:
    """An output folder to change."""
    return make_output(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An output folder that stays as it is, with its page.html."""
    folder = make_output(tmp_path_factory.mktemp("whole"))
    report.main([str(folder)])
    return folder


@pytest.fixture
def made(whole) -> "Page":
    return Page((whole / "report.html").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """Tags with their attributes, the text of each table cell, and all text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.cells, self.text, self.inside = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in ("meta", "img", "br"):
            self.inside.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag, "tags do not nest"

    def handle_data(self, data):
        if "style" in self.inside:
            return
        self.text += data
        if {"td", "th"} & set(self.inside):
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(output: Path, samples: int = 12) -> Page:
    return Page(report.build(output, [1, 2, 3], samples))


def test_the_summary_names_what_ran_and_what_is_missing(made):
    text = re.sub(r"\s+", " ", made.text)
    assert "12 finished" in text and "ZeroshotCLIP, CoOp, UPT" in text and "toys" in text
    assert "toys, Few-shot, 2 shots, UPT pocket_paper: 2 of 3 seeds, without 3" in text
    assert "1 cell lacks runs" in text
    assert "toys/UPT/pocket_paper_2shots/seed3" in text


def test_a_method_that_did_not_run_everywhere_is_named(output):
    for seed in (1, 2, 3):
        (output / f"toys/CoOp/pocket_c4_1shots/seed{seed}/result.json").unlink()
    assert "toys, Few-shot, CoOp: not run with 1 shots" in page(output).text


def test_the_tables_hold_the_numbers_of_result_json(whole, made):
    accuracies = [r.result["accuracy"] for r in results.scan(whole) if (r.trainer, r.shots) == ("CoOp", 2)]
    cells = made.cells
    assert results.cell(accuracies) in cells
    assert any("[2 of 3]" in cell for cell in cells)


def test_the_tables_take_any_name_as_one_cell(output):
    (output / "toys/CoOp/pocket_c4_2shots").rename(output / "toys/CoOp/a|b_2shots")
    assert "a|b" in page(output).cells


def test_classes_have_their_mean_accuracy_over_seeds(whole, made):
    hits = n = 0
    for seed in (1, 2, 3):
        with (whole / f"toys/CoOp/pocket_c4_2shots/seed{seed}/predictions.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["class_name"] == "apple"]
        hits, n = hits + sum(row["label"] == row["predicted"] for row in rows), n + len(rows)
    cells = made.cells
    start = cells.index("apple")
    assert cells[start + 1] == str(PER_CLASS)
    assert cells[start + 3] == f"{100 * hits / n:.1f}"


def test_confusion_rows_sum_to_one(whole):
    for view in (report.view(setting, 0) for setting in settings.settings(results.scan(whole))):
        for entry in view["methods"]:
            rows = {}
            for cell in entry["matrix"].cells:
                rows[cell.y] = rows.get(cell.y, 0) + cell.share
            assert list(rows.values()) == pytest.approx([1] * len(CLASSES), abs=0.01)


def test_many_classes_show_pairs_instead_of_a_matrix(output, monkeypatch):
    monkeypatch.setattr(matrix, "LARGEST", 3)
    made = page(output)
    assert not any(attributes.get("class") == "matrix" for attributes in made.all("svg"))
    assert "Most often confused" in made.text


def test_text_from_files_cannot_become_markup(whole, made):
    text = (whole / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<b>chip" not in text and 'onerror="' not in text
    assert not made.all("script") and EVIL in made.text and EVIL_IMAGE in made.text
    assert all(image["src"].startswith("data:image/") for image in made.all("img"))
    assert not any(name.startswith("on") or name == "style" for _, attributes in made.tags for name in attributes)
    policy = next(meta["content"] for meta in made.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy


def test_pictures_are_small_and_have_alternative_texts(output):
    made = page(output, samples=6)
    pictures = [image for image in made.all("img") if not image["src"].startswith("data:image/svg")]
    assert len(pictures) == 6
    assert all(image["alt"].startswith("Test picture of ") for image in pictures)
    assert all(len(image["src"]) < 20_000 for image in pictures)
    assert all(image.get("alt") for image in made.all("img"))


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/x.png", "class0/../../secret.png", "C:\\x.png", "..\\x.png", ""]
)
def test_a_path_that_leads_out_of_the_folder_is_told(path):
    assert not samples.is_inside(path)


def test_rows_that_lead_out_are_left_out_with_a_note(output, tmp_path):
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "secret.png")
    for path in output.rglob("predictions.csv"):
        path.write_text(re.sub(r"class\d/\d\.\w+", "../secret.png", path.read_text()))
    made = page(output)
    assert not [image for image in made.all("img") if not image["src"].startswith("data:image/svg")]
    assert "left out: their paths lead out of the folder of pictures" in made.text


def test_missing_and_broken_pictures_are_skipped_with_a_note(output, tmp_path):
    images = sorted((tmp_path / "images").rglob("*.*"))
    for path in images[::3]:
        path.unlink()
    for path in images[1::3]:
        path.write_text(SECRET)
    made = page(output, samples=100)
    shown = [image for image in made.all("img") if not image["src"].startswith("data:image/svg")]
    assert len(shown) == len(images[2::3])
    assert "8 sample pictures left out: the file is not on this machine" in made.text
    assert "8 sample pictures left out: the file is no picture that can be read" in made.text


def test_runs_without_predictions_and_damaged_ones_are_named(output):
    coop = output / "toys/CoOp/pocket_c4_2shots"
    (coop / "seed1/predictions.csv").unlink()
    (coop / "seed2/predictions.csv").write_text("path,label\nx,y\n")
    text = page(output).text
    assert "CoOp, seed 1 is not in the classes' numbers: it has no predictions.csv" in text
    assert "CoOp, seed 2 is not in the classes' numbers: line 2 of its predictions.csv is damaged" in text


def test_predictions_that_do_not_give_the_accuracy_are_named(output):
    path = output / "toys/CoOp/pocket_c4_2shots/seed1/result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": 99.0}))
    assert "but result.json says 99.00 %" in page(output).text


def test_configs_show_differences_first(made):
    row = made.cells.index("TRAINER.UPT.N_CTX")
    assert made.cells[row : row + 4] == ["TRAINER.UPT.N_CTX", "–", "–", "8"]
    assert "SEED" not in made.cells and "TRAINER.OTHER.KEY" not in made.cells
    assert made.text.index("TRAINER.UPT.N_CTX") < made.text.index("NAME: UPT")
    assert "abc123+" in made.text and "a <b>chip</b>" in made.text


def test_command_line(output, capsys):
    assert report.main([str(output), "--samples", "2"]) == 0
    assert capsys.readouterr().out.strip() == str(output / "report.html")
    assert (output / "report.html").read_text().startswith("<!doctype html>")
    with pytest.raises(FileNotFoundError, match="no folder"):
        report.main([str(output / "nowhere")])
    with pytest.raises(ValueError, match="no finished run"):
        report.main([str(output / "toys")])
    with pytest.raises(FileNotFoundError, match="--out"):
        report.main([str(output), "--out", str(output / "nowhere/page.html")])


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; skipped without one, except in CI, which must have it."""
    path = browser.find()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path, sync_playwright = None, None
    if path is None:
        reason = f"no Chromium or no playwright package: {browser.HINT}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with sync_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to work for root
        running = playwright.chromium.launch(executable_path=path, chromium_sandbox=not root)
        yield running
        running.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_in_the_browser(chromium, whole, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    address = (whole / "report.html").as_uri()
    tab.goto(address)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.wait_for_function("[...document.images].every(i => i.complete)")
    assert said == []
    assert [url for url in asked if url != address and not url.startswith("data:")] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("document.querySelectorAll('script').length") == 0
    assert tab.evaluate("[...document.images].filter(i => !i.naturalWidth).length") == 0
    assert tab.locator("table").count() >= 4 and tab.locator("svg.matrix").count() == 3
    assert tab.locator(".gallery img").count() == 12
    assert tab.get_by_text(EVIL, exact=True).first.is_visible()
    colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 300) == (scheme == "dark")
    context.close()
