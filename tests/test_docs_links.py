"""Every link in what people read leads somewhere."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGES = sorted(
    [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("examples/**/*.md"), *TOP.glob("deploy/**/*.md")]
)
CODE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*([^)\s]+)")
NAMED = re.compile(r"`((?:docs|deploy|examples|benchmarks|tests|migrations)/[\w./-]+\.\w+)`")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As they are made of headings where the pages are shown."""
    titles = HEADING.findall(prose(page))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_and_named_files_are_there(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{target}: there is no such heading"
    for name in NAMED.findall(prose(page)):
        assert (TOP / name).exists(), f"{name} is not there"


def test_what_would_be_found() -> None:
    assert "who-may" in anchors(TOP / "docs" / "api.md")
    assert LINK.findall("see [a](docs/b.md#c) and [![d](e.png)](f.md)") == ["docs/b.md#c", "e.png", "f.md"]
