"""report.html in headless Chromium: no request, no console error; proofs unfold, the table sorts, it prints."""

import copy
import itertools
import re
import shutil

import pytest

from lipop.report import files, html, markup
from tests.report import pages

CHROMIUM = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open a document's page; in the end, nothing may have been requested but the page, and no error reported."""
    opened = []

    def open_page(document, *, width=1200, **options):
        path = tmp_path / f"{len(opened)}.html"
        path.write_text(html.render(document), encoding="utf-8")
        page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        trouble, requests = [], []
        page.on("console", lambda m: trouble.append(m.text))
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("dialog", lambda d: trouble.append(d.message))
        page.on("request", lambda r: requests.append(r.url))
        page.goto(path.as_uri())
        opened.append((page, path.as_uri(), trouble, requests))
        return page

    yield open_page
    for page, address, trouble, requests in opened:
        assert trouble == []
        assert requests == [address]
        page.context.close()


@pytest.fixture(scope="module")
def data(original):
    return files.read_json(original)


VARIANTS = {
    "three blocks": lambda d: d,
    "64 blocks": lambda d: pages.stretched(d, 64),
    "unbounded": pages.unbounded,
    "hostile": pages.hostile,
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("width", [400, 1200])
def test_it_loads_and_fits(show, data, variant, width):
    page = show(VARIANTS[variant](data), width=width)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.locator("svg").first.is_visible()
    assert page.evaluate("window.pwned") is None
    page.locator("#table td > button").first.click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


CROWDED = {f"{n} blocks": lambda d, n=n: pages.stretched(d, n) for n in (3, 6, 16, 64)} | {
    "64 unbounded blocks": lambda d: pages.stretched(pages.unbounded(d), 64),
    "many radii": pages.many_radii,
}


@pytest.mark.parametrize("variant", CROWDED)
def test_labels_do_not_overlap(show, data, variant):
    page = show(CROWDED[variant](data))
    found = page.evaluate(
        """() => [...document.querySelectorAll("svg")].map(svg => [svg.querySelector("title").textContent,
          [...svg.querySelectorAll("text")].map(t => { const b = t.getBoundingClientRect();
            return [t.textContent, b.left, b.top, b.right, b.bottom]; })])"""
    )
    clashes = [
        (title, a[0], b[0])
        for title, texts in found
        for a, b in itertools.combinations(texts, 2)
        if min(a[3], b[3]) - max(a[1], b[1]) > 1 and min(a[4], b[4]) - max(a[2], b[2]) > 3
    ]
    assert clashes == []


@pytest.mark.parametrize("variant", CROWDED)
def test_labels_leave_the_line_free(show, data, variant):
    """No text of a plot of branches stands on its line 1 + a."""
    page = show(CROWDED[variant](data))
    found = page.evaluate(
        """() => [...document.querySelectorAll("#branches svg")].flatMap(svg => {
          const line = svg.querySelector(".at-point");
          if (!line) return [];
          const [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map(k => Number(line.getAttribute(k)));
          return [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBBox()])
            .filter(([_, b]) => [0, 0.25, 0.5, 0.75, 1].some(part => {
              const x = b.x + part * b.width, y = y1 + (x - x1) / (x2 - x1) * (y2 - y1);
              return x1 < x && x < x2 && b.y + 2 < y && y < b.y + b.height - 3;
            })).map(([text, _]) => text);
        })"""
    )
    assert page.locator("#branches .at-point").count() > 0
    assert found == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_narrow_screen_shows_both_ends_and_whole_plots(show, data, variant):
    """What lies beside the window is the ratio and the status, which a swipe brings."""
    page = show(VARIANTS[variant](data), width=420)
    edges = page.evaluate(
        """() => [...document.querySelectorAll("#table td:nth-child(5), #branches svg, .small")]
                   .map(e => e.getBoundingClientRect().right)"""
    )
    assert max(edges) <= 420
    sides = page.evaluate(
        """() => [...document.querySelectorAll("#table tbody tr:not(.unfolded) td > button")].map(b =>
                   b.getBoundingClientRect().right - b.parentElement.getBoundingClientRect().right)"""
    )
    assert max(sides) <= 0


def test_measures_of_the_blocks_keep_to_few_lines(show, data):
    page = show(pages.stretched(data, 64), width=420)
    heights = page.evaluate("[...document.querySelectorAll('.across tr')].map(r => r.getBoundingClientRect().height)")
    assert max(heights) < 60


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("width", [400, 690, 1200])
def test_rows_of_the_table_are_one_or_two_lines(show, data, width, media):
    page = show(data, width=width)
    page.emulate_media(media=media)
    heights = page.evaluate("[...document.querySelectorAll('#table tr')].map(r => r.getBoundingClientRect().height)")
    assert max(heights) < 60 or (width == 400 and media == "print")


def unfold(page, button):
    button.click()
    return page.locator("tr.unfolded")


def test_proofs_unfold_and_fold(show, data):
    page = show(data)
    button = page.locator("#table tbody tr:has-text('Lip(T)') td:nth-child(5) > button").first
    assert button.get_attribute("aria-expanded") == "false"
    proof = unfold(page, button)
    assert button.get_attribute("aria-expanded") == "true"
    node = data["proofs"][data["blocks"][0]["ball"][0]["proof"]]
    assert proof.locator("li").first.inner_text().count(node["rule"]) == 1
    assert proof.locator("li").count() > len(node["premises"])
    assert node["value"] in proof.inner_text()
    assert "block 0" in proof.inner_text()
    button.click()
    assert proof.count() == 0
    button.focus()
    page.keyboard.press("Enter")
    assert proof.count() == 1


def test_a_shared_node_is_told_once(show, data):
    document = copy.deepcopy(data)
    name = document["blocks"][0]["ball"][0]["proof"]
    node = document["proofs"][name]
    node["premises"] = [*node["premises"], node["premises"][0], name]  # shared, and (in a forged report) a cycle
    page = show(document)
    proof = unfold(page, page.locator("#table tbody tr:nth-child(2) td:nth-child(5) > button"))
    again = proof.get_by_role("button", name="see above")
    assert again.count() == 2
    again.last.click()
    assert page.evaluate("document.activeElement === document.querySelector('.proof li')")


def test_a_deep_proof_unfolds(show, data):
    document = copy.deepcopy(data)
    bracket = document["blocks"][0]["jacobian"]
    below, chain = bracket["proof"], {}
    for i in range(3000):
        chain[f"{i:064x}"] = {**document["proofs"][bracket["proof"]], "premises": [below]}
        below = f"{i:064x}"
    document["proofs"] |= chain
    bracket["proof"] = below
    page = show(document)
    proof = unfold(page, page.locator("#table tbody tr:first-child td:nth-child(5) > button"))
    assert proof.locator("li").count() > 3000
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1200


def values(page, column):
    return page.evaluate(
        """c => [...document.querySelectorAll(`#table tbody tr:not(.unfolded) td:nth-child(${c})`)]
                .map(d => Number(d.dataset.k))""",
        column,
    )


def test_the_table_sorts(show, data):
    page = show(data)
    before = values(page, 5)
    proof = unfold(page, page.locator("#table td:nth-child(5) > button").first)
    of = page.locator("tr.unfolded .which").inner_text()
    heading = page.locator("#table th", has_text="upper")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values(page, 5) == sorted(before)
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert values(page, 5) == sorted(before, reverse=True)
    assert proof.count() == 1
    above = page.evaluate("document.querySelector('tr.unfolded').previousSibling.cells[1].textContent")
    assert above in of, "the proof stays below its number"
    page.locator("#table th", has_text="number").get_by_role("button").click()
    assert page.locator("#table th[aria-sort]").count() == 1
    names = page.locator("#table tbody tr:not(.unfolded) td:nth-child(2)").all_inner_texts()
    groups = [name for name, _ in itertools.groupby(names)]
    assert len(groups) == len(set(groups)), "equal names stand together"
    page.locator("#table th", has_text="block").get_by_role("button").click()
    blocks = values(page, 1)
    assert blocks == sorted(blocks)


def visible_rows(page):
    return page.locator("#table tbody tr:not(.unfolded):visible")


def test_the_table_filters(show, data):
    page = show(data)
    total = visible_rows(page).count()
    page.get_by_role("button", name="weights").click()
    assert visible_rows(page).count() == sum(len(b["weights"]) for b in data["blocks"])
    page.locator("#filter").fill("branch1.weight")
    assert visible_rows(page).all_inner_texts()[0].split()[0] == "2"
    assert page.locator("#count").inner_text() == f"1 of {total} numbers"
    page.locator("#filter").fill("")
    page.get_by_role("button", name="all", exact=True).click()
    assert visible_rows(page).count() == total
    assert page.locator("#count").inner_text() == f"{total} numbers"
    page.locator("#filter").fill("block 2 dahlquist")
    assert 0 < visible_rows(page).count() < total


def colours(page):
    """Luminance of the paper, and contrast of text and of every status with it."""
    return page.evaluate(
        """() => {
          const luminance = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const paper = luminance(getComputedStyle(document.body).backgroundColor);
          const contrast = (name) => {
            const e = document.createElement("span");
            e.className = name;
            document.body.append(e);
            const l = luminance(getComputedStyle(e).color);
            e.remove();
            return (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05);
          };
          const statuses = ["proved", "probable", "conditional", "witnessed", "estimated", "unknown"];
          const names = ["", "lede", ...statuses.map(s => "s-" + s)];
          return [paper, Math.min(...names.map(contrast))];
        }"""
    )


def test_light_and_dark(show, data):
    page = show(data, color_scheme="dark")
    paper, contrast = colours(page)
    assert paper < 0.05
    assert contrast >= 4.5
    page.get_by_role("button", name="Switch to light colours").click()
    paper, contrast = colours(page)
    assert paper > 0.9
    assert contrast >= 4.5
    page.get_by_role("button", name="Switch to dark colours").click()
    assert colours(page)[0] < 0.05
    assert colours(show(data, color_scheme="light"))[0] > 0.9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ten_families_of_weights_have_ten_colours(show, data, scheme):
    document = copy.deepcopy(data)
    first = document["blocks"][0]
    first["weights"] = [{**first["weights"][0], "name": f"W_{c}"} for c in "abcdefghij"]
    document["blocks"], document["complete"] = [first], False
    page = show(document, color_scheme=scheme)
    keys = page.evaluate("[...document.querySelectorAll('.key i')].map(e => getComputedStyle(e).color)")
    lines = page.evaluate("[...document.querySelectorAll('.spectrum')].map(e => getComputedStyle(e).stroke)")
    rgb = [[int(c) for c in re.findall(r"\d+", colour)] for colour in keys]
    assert len(rgb) == 10
    assert lines == keys
    assert all(max(abs(a - b) for a, b in zip(p, q, strict=True)) > 30 for p, q in itertools.combinations(rgb, 2))


def test_it_prints(show, data):
    page = show(data, color_scheme="dark")
    page.get_by_role("button", name="Switch to light colours").click()
    page.get_by_role("button", name="Switch to dark colours").click()
    proof = unfold(page, page.locator("#table td:nth-child(5) > button").first)
    page.emulate_media(media="print")
    ink = page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")
    assert max(ink) < 100, "dark letters on white paper"
    assert proof.is_visible()
    for hidden in ("nav", "#theme", ".controls"):
        assert not page.locator(hidden).is_visible()
    page.emulate_media(media="screen")
    sheet = page.pdf(format="A4")
    assert sheet.startswith(b"%PDF")
    assert len(sheet) > 20_000


def test_hostile_texts_are_shown_as_they_are(show, data):
    page = show(pages.hostile(data))
    shown = page.locator("#provenance").inner_text()
    for text in pages.HOSTILE:
        assert markup.visible(text) in shown
    for button in page.locator("#table td:nth-child(5) > button").all()[:5]:
        button.click()
    assert "assumes " + markup.visible(pages.HOSTILE[0]) in page.locator("tr.unfolded").first.inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0


def test_without_scripts(show, data):
    page = show(data, java_script_enabled=False)
    assert page.locator("noscript").inner_text().startswith("Scripts are off")
    assert visible_rows(page).count() > 60
    assert page.locator("svg").first.is_visible()
    assert not page.locator("#theme").is_visible()
    assert not page.locator(".controls").is_visible()
