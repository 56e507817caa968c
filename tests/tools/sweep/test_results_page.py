"""Tests of the pages whose tables are made by the commands that stand in them."""

import pytest

from tests.tools.tables.trees_of_runs import few_shot, zero_shot
from upt_clip.tools.sweep import results_page

PAGE = """# Results

<!-- made by: {command} -->
old
<!-- end -->

Words that stay.
"""


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "output"
    zero_shot(folder, "emoji", 20.0, cfg="pocket", backbone="pocket")
    few_shot(folder, "emoji", [40.0, 42.0, 44.0], cfg="pocket_c16", backbone="pocket")
    return folder


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["results_page", *map(str, words)])
    results_page.main()


def test_a_script_gives_its_table_and_what_is_around_it_stays(output, tmp_path, monkeypatch):
    command = f"bash scripts/upt/reproduce.sh few_shot --datasets emoji --trainers UPT --shots 16 --output {output}"
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(command=command))
    run(monkeypatch, page, "--no-run")
    text = page.read_text()
    assert "42.0 ± 2.0" in text and "20.0" in text and "old" not in text
    assert text.startswith("# Results\n") and text.endswith("Words that stay.\n")
    run(monkeypatch, page, "--no-run")
    assert page.read_text() == text  # filled twice is filled once


def test_a_tool_gives_what_it_prints(output, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(command=f"upt-clip table few_shot {output}"))
    run(monkeypatch, page)
    assert "42.0 ± 2.0" in page.read_text()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "bash scripts/upt/reproduce.sh few_shot --datasets emoji --trainers UPT --shots 8 --output {output}",
            "not done",
        ),
        ("upt-clip table few_shot {output}/nowhere", "exit status 2"),
        ("rm -rf /", "rm -rf /"),
    ],
)
def test_a_page_stays_as_it_is_if_a_block_cannot_be_made(command, words, output, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(command=command.format(output=output)))
    before = page.read_text()
    with pytest.raises(ValueError, match=words):
        run(monkeypatch, page, "--no-run")
    assert page.read_text() == before
