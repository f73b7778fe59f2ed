"""Report documents for tests of report.html: many blocks, extreme values, hostile texts.

A page is made from the document alone, so they need not verify.
"""

import copy

HOSTILE = [
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    '"><svg onload="window.pwned = 1">',
    "<!--<script>",
    "layer\u202egnp.\u2066weight",
    "a\x00b\x1b[2J\u2028c\u2029d",
    "]]>&amp;<style>*{display:none}</style>",
]


def stretched(data, count):
    """The document with ``count`` blocks: copies of those that it has, their sizes growing from block to block."""
    out = copy.deepcopy(data)
    blocks, layers = out["blocks"], out["limit"]["diagnosis"]
    out["blocks"] = [_grown(blocks[i % len(blocks)], i, 1.04**i) for i in range(count)]
    out["limit"]["diagnosis"] = [{**layers[i % len(layers)], "layer": i} for i in range(count)]
    out["settings"]["blocks"] = [0, count]
    out["model"]["blocks"] = count
    return out


def _grown(block, index, factor):
    grown = _scaled(copy.deepcopy(block), factor)
    return {**grown, "index": index, "name": f"layer.{index}"}


def _scaled(value, factor):
    if isinstance(value, dict):
        bounds = {k: v * factor for k, v in value.items() if k in ("lower", "upper") and isinstance(v, float)}
        return {k: _scaled(v, factor) for k, v in value.items()} | bounds
    return [_scaled(v, factor) for v in value] if isinstance(value, list) else value


def unbounded(data):
    """The document with infinite, astronomical, negative and zero ends."""
    out = copy.deepcopy(data)
    first, second, *_ = out["blocks"]
    first["ball"][-1] |= {"upper": "inf", "status": "UNKNOWN"}
    first["shell"] |= {"upper": "inf", "R": "inf", "status": "UNKNOWN"}
    second["ball"][-1] |= {"lower": 0.0, "upper": 2.5e300}
    second["jacobian"] |= {"lower": 0.0}
    second["residuals"][0]["dahlquist"] |= {"lower": "-inf", "upper": "inf", "status": "UNKNOWN"}
    first["residuals"][0]["lip_sum"] |= {"upper": 1e250}
    first["residuals"][0]["dahlquist"] |= {"lower": -3.5, "upper": -3.0, "status": "CONDITIONAL(a hypothesis)"}
    return out


def hostile(data):
    """The document with :data:`HOSTILE` wherever a report holds text."""
    out = copy.deepcopy(data)
    texts = iter(HOSTILE * 20)
    out["command"] = ["lipop", *HOSTILE]
    out["versions"] = {next(texts): next(texts), **out["versions"]}
    out["model"] |= {"path": "".join(HOSTILE), "family": next(texts), "dtype": next(texts)}
    out["limit"]["evidence"] = list(HOSTILE)
    for b in out["blocks"]:
        b["name"] = next(texts)
        for part in (*b["weights"], *b["residuals"]):
            part["name"] = next(texts)
        b["jacobian"]["status"] = f"CONDITIONAL({next(texts)})"
    for node in out["proofs"].values():
        node["params"] = {next(texts, "p"): next(texts, "q"), "numbers": [1, "0x1.8p+1"]}
        node["evidence"] = {**node["evidence"], "assumes": list(HOSTILE)}
    return out


def many_radii(data, count=9):
    """The document with many radii, the ends of most beyond every scale."""
    out = copy.deepcopy(data)
    out["settings"]["radii"] = [10.0 ** (i - count) for i in range(count)]
    for b in out["blocks"]:
        ball = b["ball"][0]
        b["ball"] = [
            {**ball, "relative": r, "upper": ball["upper"] * 10.0 ** (2 * i)}
            for i, r in enumerate(out["settings"]["radii"])
        ]
    return out
