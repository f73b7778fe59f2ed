"""report.html: well formed, without requests, with every block and number, and with every text escaped."""

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop.core.rule import RULES
from lipop.errors import ReportError
from lipop.report import files, html, markup, plots, plots_branches, plots_spectra
from lipop.report.axes import Scale, round_range
from lipop.report.rows import rows
from lipop.report.svg import Mark, number
from tests.report import pages
from tests.report.toy import _displays, write_report


@pytest.fixture(scope="module")
def data(original):
    return files.read_json(original)


class Page(HTMLParser):
    """Every element with its attributes and own text; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.comments = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        assert len(names) == len(set(names)), f"doubled attribute in {tag}"
        element = {"tag": tag, "text": "", "in": [e["tag"] for e in self.open], **dict(attrs)}
        self.elements.append(element)
        if tag not in markup.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def handle_comment(self, data):
        self.comments.append(data)

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in attributes.items())]

    def one(self, tag, **attributes):
        (element,) = self.all(tag, **attributes)
        return element

    def text(self):
        return " ".join(e["text"] for e in self.all("body"))


VARIANTS = {
    "as it is": lambda d: d,
    "64 blocks": lambda d: pages.stretched(d, 64),
    "unbounded": pages.unbounded,
    "hostile": pages.hostile,
    "empty": lambda d: {**d, "blocks": [], "proofs": {}, "limit": {**d["limit"], "diagnosis": []}, "complete": False},
    "old": lambda d: _without(d, "spectrum", "spectrum_index"),
}


def _without(value, *names):
    if isinstance(value, dict):
        return {k: _without(v, *names) for k, v in value.items() if k not in names}
    return [_without(v, *names) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request, data):
    document = VARIANTS[request.param](copy.deepcopy(data))
    return document, html.render(document)


def test_it_is_well_formed(variant):
    _, text = variant
    page = Page(text)
    assert text.startswith('<!doctype html>\n<html lang="en">')
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(ids) == len(set(ids))
    for e in page.elements:
        for name in ("aria-labelledby", "for"):
            assert set(e.get(name, "").split()) <= set(ids)
        if e["tag"] == "a":
            assert e["href"].removeprefix("#") in ids


def test_it_fetches_nothing(variant):
    page = Page(variant[1])
    for e in page.elements:
        assert not {"src", "srcset", "action", "background", "data", "ping", "style"} & e.keys()
        assert not [k for k in e if k.startswith("on")]
        assert "href" not in e or re.fullmatch(r"#[\w-]+|data:,", e["href"])
    assert {e["tag"] for e in page.elements}.isdisjoint(
        {"iframe", "object", "embed", "img", "image", "use", "base", "form"}
    )
    styles = page.one("style")["text"]
    assert not re.search(r"url\(|@import|https?:|//", styles)
    scripts = [e["text"] for e in page.all("script") if "type" not in e]
    assert not re.search(
        r"https?:|fetch|XMLHttpRequest|WebSocket|import\(|innerHTML|insertAdjacent|eval", "".join(scripts)
    )


def test_the_policy_allows_its_own_style_and_script_only(variant):
    page = Page(variant[1])
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"})["content"]
    style, script = page.one("style"), next(e for e in page.all("script") if "type" not in e)

    def allowed(e):
        return f"'sha256-{base64.b64encode(hashlib.sha256(e['text'].encode()).digest()).decode()}'"

    assert policy == (
        f"default-src 'none'; style-src {allowed(style)}; script-src {allowed(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_every_number_is_there_with_its_proof(variant):
    document, text = variant
    page = Page(text)
    shown = [e for e in page.all("button") if "data-node" in e]
    ends = [
        (value, kind == "lower_proof", document["proofs"][entry[kind]])
        for entry in (r.entry for r in rows(document["blocks"]))
        for value, kind in ((entry.get("lower"), "lower_proof"), (entry["upper"], "proof"))
        if kind in entry
    ]
    proofs = json.loads(page.one("script", id="proofs")["text"])
    assert len(proofs["nodes"]) == len(document["proofs"])
    assert len(shown) == len(ends)
    for button, (value, low, node) in zip(shown, ends, strict=True):
        assert button["text"] == number(float(value), down=low)
        record = proofs["nodes"][int(button["data-node"])]
        assert proofs["texts"][record["rule"]] == node["rule"]
        assert record["exact"].endswith(node["value"])
        assert [list(document["proofs"])[i] for i in record["from"]] == node["premises"]


def test_rows_are_all_displayed_numbers(data):
    here = [id(e) for e in (r.entry for r in rows(data["blocks"]))]
    there = [id(e) for e in _displays(data["blocks"])]
    assert sorted(here) == sorted(there)
    assert len(here) > 60


def test_every_block_is_in_every_plot(variant):
    document, text = variant
    page = Page(text)
    names = {e["id"] for e in page.elements if "id" in e}
    for b in document["blocks"]:
        assert f"curve-{b['index']}-t" in names
        assert (f"spectra-{b['index']}-t" in names) == any("spectrum" in w for w in b["weights"])
        assert [e for e in page.all("title") if e["text"].startswith(f"block {b['index']} (")]
    if document["blocks"]:
        assert "branch-0-t" in names
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert float(svg["width"]) > 0
    assert not re.search(r"\b(?:nan|None|inf)\b", " ".join(e.get("d", "") + e.get("cx", "") for e in page.elements))


def test_marks_stay_inside_their_plots(variant):
    """Positions of clipped values too."""
    page = Page(variant[1])
    width = height = 0.0
    for e in page.elements:
        if e["tag"] == "svg":
            width, height = float(e["width"]), float(e["height"])
        for name, most in (
            ("x", width),
            ("x1", width),
            ("x2", width),
            ("cx", width),
            ("y", height),
            ("y1", height),
            ("cy", height),
        ):
            if name in e and "svg" in e["in"]:
                assert -20 <= float(e[name]) <= most + 20


def test_provenance(data):
    text = Page(html.render(data)).text()
    assert data["model"]["sha256"] in text
    assert data["digest"] in text
    assert data["input"]["sha256"] in text
    assert " ".join(data["command"]) in text
    for name, version in data["versions"].items():
        assert f"{name} {version}" in text


def test_an_interrupted_report_says_so(data):
    assert (
        "INCOMPLETE: 3 of 5 blocks"
        in Page(html.render(data | {"complete": False, "settings": data["settings"] | {"blocks": [0, 5]}})).text()
    )
    assert "INCOMPLETE" not in Page(html.render(data)).text()


def test_without_scripts_it_says_what_is_missing(data):
    page = Page(html.render(data))
    assert "Scripts are off" in page.one("noscript")["text"]
    assert [e for e in page.elements if "hidden" in e and e.get("id") == "theme"]
    assert "hidden" in page.one("div", **{"class": "controls"})


def test_hostile_texts_stay_text(data):
    document = pages.hostile(data)
    text = html.render(document)
    page = Page(text)
    plain = Page(html.render(data))
    assert page.comments == []
    assert {e["tag"] for e in page.elements} == {e["tag"] for e in plain.elements}
    for tag in ("script", "style", "tr", "td", "button", "section", "meta"):
        assert len(page.all(tag)) == len(plain.all(tag)), "a text became an element"
    assert "<img" not in text
    assert len(re.findall("<script", text)) == 2
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\x00\x1b]", text)
    shown = page.text()
    for name in pages.HOSTILE:
        assert markup.visible(name) in shown
    assert markup.visible("".join(pages.HOSTILE)) in shown
    proofs = json.loads(page.one("script", id="proofs")["text"])
    assert f"assumes {markup.visible(pages.HOSTILE[0])}" in proofs["texts"]


def test_what_cannot_be_drawn_is_said(data):
    page = Page(html.render(pages.unbounded(data)))
    assert page.all("path", **{"class": "arrow"})
    values = [e["text"] for e in page.all("text", **{"class": "value"})]
    assert "∞" in values
    assert number(2.5e300, digits=3) in values
    assert f"0: {number(-3.0, digits=3)}, {number(1e250, digits=3)}" in values


def test_a_number_that_no_float_holds_is_refused(data):
    document = copy.deepcopy(data)
    next(iter(document["proofs"].values()))["value"] = "0x1.8p+9999"
    with pytest.raises(ReportError, match=r"proofs\.[0-9a-f]{12}: a number is not a float64"):
        html.render(document)


def test_shared_and_missing_premises(data):
    document = copy.deepcopy(data)
    name, node = next((k, n) for k, n in document["proofs"].items() if n["premises"])
    node["premises"] = [name, "0" * 64]  # a cycle, and a node that is not there
    proofs = json.loads(Page(html.render(document)).one("script", id="proofs")["text"])
    index = list(document["proofs"]).index(name)
    assert proofs["nodes"][index]["from"] == [index, -1]


def test_rules_are_given_with_their_reasons(data):
    proofs = json.loads(Page(html.render(data)).one("script", id="proofs")["text"])
    assert RULES["linearize@1"].reference in proofs["texts"]


# ---- writing ----


def test_it_is_written_after_each_block(tmp_path):
    seen = []

    def after(i, entry):
        seen.append(f"INCOMPLETE: {i + 1} of 3" in (tmp_path / "report.html").read_text())

    write_report(tmp_path, after=after)
    assert seen == [True, True, False]
    data = files.read_json(tmp_path / "report.json")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html.render(data)
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []


def test_a_file_that_is_no_report_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(ReportError):
        html.write(tmp_path / "report.json")
    assert not (tmp_path / "report.html").exists()


# ---- the parts ----


@given(st.text(), st.text())
def test_any_text_survives_as_text(a, b):
    page = Page(markup.tag("p", a, title=b))
    assert page.one("p")["text"] == markup.visible(a)
    assert page.one("p")["title"] == markup.visible(b)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_any_json_survives_in_a_script(value):
    page = Page(markup.tag("script", markup.script_json(value), type="application/json"))
    assert json.loads(page.one("script")["text"]) == value
    assert len(page.elements) == 1


@given(st.floats(1e-200, 1e200), st.floats(1.0, 1e60), st.integers(2, 8))
def test_logarithmic_scales(low, factor, most):
    s = round_range(low, low * factor, 100.0, 0.0)
    assert s.low <= low
    assert s.high >= low * factor
    assert 100 >= s(low) >= s(low * factor) >= 0
    ticks = s.ticks(most)
    assert len(ticks) <= most
    assert all(s.beyond(t) == 0 for t in ticks)
    assert ticks == sorted(ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_linear_scales(low, size, most):
    s = Scale(low, low + size, 0.0, 100.0)
    ticks = s.ticks(most)
    assert len(ticks) <= most
    assert all(s.beyond(t) == 0 for t in ticks)


def test_a_clipped_value_is_marked_and_printed():
    marks = [Mark(1.0, 2.0, "PROVED", "PROVED"), Mark(1.0, 1e20, "PROBABLE(1e-09)", "PROVED")]
    page = Page(plots.brackets([plots.Panel("Lip", marks)], [(0, "a"), (1, "b")]))
    assert len(page.all("path", **{"class": "arrow"})) == 1
    assert "1.00e+20" in [e["text"] for e in page.all("text", **{"class": "value"})]
    assert "block 1 (b): Lip: 1 ≤" not in page.text()


def proved(low, high):
    return Mark(low, high, "PROVED", "PROVED")


def test_a_curve_leaves_its_plot_where_its_value_passes_the_edge():
    """From 1 at radius 1e-4 to 1e16 at 1e-2 it is a straight line of slope 8 in decades."""
    curve = plots.Curve(0, "a", proved(1, 1), [(1e-4, proved(1, 1)), (1e-3, proved(1, 1e8)), (1e-2, proved(1, 1e16))])
    (drawn,) = plots.curves([curve, plots.Curve(1, "b", proved(1, 5000.0), [])])
    page = Page(drawn)
    band = page.one("path", **{"class": "band"})["d"]
    points = [tuple(map(float, p.split())) for p in re.findall(r"[ML]([-\d. ]+)", band)]
    y = round_range(1.0, 1.0, 136, 46)
    (x0, _), (crossing, top), (x1, _), *_ = points
    assert top == 46.0
    assert (crossing - x0) / (x1 - x0) == pytest.approx(np.log10(y.high) / 8, abs=0.01)
    assert len(page.all("path", **{"class": "arrow"})) == 2
    assert len(re.findall("[ML]", page.all("path", **{"class": "curve"})[0]["d"])) == 2, (
        "the edge is not drawn as a curve"
    )


def test_curves_fill_their_plots_where_no_value_is_beyond():
    """Rows of figures above the plots are kept free only where some plot prints values there."""

    def top(*ends):
        drawn = plots.curves([plots.Curve(0, "a", proved(1, 1), [(1e-4, proved(1, 1)), *ends])])
        return min(float(e["y1"]) for e in Page(drawn[0]).all("line", **{"class": "grid"}))

    beyond = proved(1, 1e9)
    assert top() == pytest.approx(24, abs=1)
    assert top((1e-3, beyond)) == pytest.approx(35, abs=1)
    assert top((1e-3, beyond), (1e-2, beyond)) == top((1e-3, beyond), (1e-2, beyond), (1e-1, beyond))
    assert top((1e-3, beyond), (1e-2, beyond)) == pytest.approx(46, abs=1)


def test_measures_have_three_digits(data):
    text = html.render(data)
    row = re.findall(r"<td>([^<]*)</td>", text[text.index("effective rank of Tx") :].partition("</tr>")[0])
    assert len(row) == len(data["blocks"])
    assert all(len(re.sub(r"^0\.0*|\D", "", cell)) == 3 for cell in row)


def test_radii_that_no_logarithmic_scale_holds_are_not_drawn():
    balls = [(0.0, proved(1, 1)), (1e-320, proved(1, 2))]
    assert plots.curves([plots.Curve(0, "a", proved(1, 1), balls)]) == []


def test_dahlquist_and_lip_of_the_sum_meet_on_the_line():
    """A branch c I has a = c and Lip(I + F) = 1 + c: its mark lies on the dashed line."""
    found = [
        plots_branches.Branch(i, "mlp", proved(c, c), proved(1 + c, 1 + c), proved(1 + c, 1 + c))
        for i, c in enumerate((0.5, 1.0, 2.0))
    ]
    page = Page(plots_branches.scatters(found)[0])
    line = page.one("line", **{"class": "at-point"})
    x1, y1, x2, y2 = (float(line[k]) for k in ("x1", "y1", "x2", "y2"))
    for e in page.all("circle", **{"class": "point"})[:3]:
        x, y = float(e["cx"]), float(e["cy"])
        assert abs(y - (y1 + (x - x1) * (y2 - y1) / (x2 - x1))) < 0.1


def test_a_spectrum_that_ends_in_zeros_falls_to_the_axis():
    full = plots_spectra.Spectrum("W", [0, 1, 2], [3.0, 2.0, 1.0], 3)
    low_rank = plots_spectra.Spectrum("head 0: W_O W_V", [0, 1, 2], [3.0, 2.0, 0.0], 3)
    page = Page(plots_spectra.spectra([(0, [full, low_rank])])[0])
    assert len(page.all("line", **{"class": "drop"})) == 1
    assert plots_spectra.families([[full, low_rank]]) == ["W", "head *: W_O W_V"]
