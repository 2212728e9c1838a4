"""The page of a report in a browser: its width, its contrast, on paper, and with hostile names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import CHROMIUM, Tab, browser
from tests.report.hostile import HOSTILE, hostile
from toolkit.cli.views.report.page import page
from toolkit.planning.report.findings import Findings

# --- a real browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    assert Path(CHROMIUM).exists(), "scripts/system_packages.sh installs it"
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def file(made: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(made), "utf-8")
    return path


OUTSIDE = """[...document.querySelectorAll('body *')].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width && !each.closest('svg.defs, thead') && (box.right > innerWidth + 1 || box.left < -1);
}).map((each) => each.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_nothing_is_wider_than_the_screen(tab: Tab, file: Path, width: int, dark: bool) -> None:
    tab.said.clear()
    tab.show(file, width=width, dark=dark)
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value(OUTSIDE) == []
    tab.value("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert tab.value("document.documentElement.scrollWidth") == width
    ground = tab.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(17, 21, 27)" if dark else "rgb(246, 247, 249)")
    # The policy refused nothing, and nothing was asked for but the page itself.
    assert [each for each in tab.said if each["method"] == "Log.entryAdded"] == []
    asked = [each for each in tab.said if each["method"] == "Network.requestWillBeSent"]
    assert [each["params"]["request"]["url"] for each in asked] == [file.as_uri()]


CONTRAST = """(() => {
    const shade = (text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
    const light = (text) => shade(text).map((each) => each / 255)
        .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (each) => {
        for (; each; each = each.parentElement) {
            const found = getComputedStyle(each).backgroundColor;
            if (!found.endsWith(', 0)')) return found;
        }
    };
    const pairs = [...document.querySelectorAll('td, th, p, h1, h2, dt, dd, a, .chip, .why, .passed, summary')]
        .map((each) => [light(getComputedStyle(each).color), light(ground(each)), each.className || each.tagName]);
    return pairs.map(([one, two, name]) => [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), name])
        .filter(([ratio]) => ratio < 4.5);
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_contrast(tab: Tab, file: Path, dark: bool) -> None:
    tab.show(file, width=1200, dark=dark)
    assert tab.value(CONTRAST) == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_browser_runs_nothing_and_keeps_its_width(tab: Tab, text: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(page(hostile(text)), "utf-8")
    tab.said.clear()
    for width in (390, 1200):
        tab.show(path, width=width)
        assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value("document.querySelectorAll('script, img').length") == 0
    bad = ("Log.entryAdded", "Page.javascriptDialogOpening")
    assert [each["method"] for each in tab.said if each["method"] in bad] == []


def test_on_paper_it_is_light_and_folded_tables_are_there(tab: Tab, file: Path) -> None:
    tab.show(file, width=1000, dark=True)
    pdf = tab.printed()
    assert pdf.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= pages <= 14
    tab("Emulation.setEmulatedMedia", media="print", features=[])
    assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cells = "[...document.querySelectorAll('details:not([open]) td')]"
    heights = tab.value(f"{cells}.map((each) => each.getBoundingClientRect().height)")
    assert len(heights) > 50
    assert min(heights) > 5
    tab("Emulation.setEmulatedMedia", media="")
