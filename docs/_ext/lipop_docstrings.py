"""Docstrings write mathematics in plain text: ``|Tx - Ty| <= L |x - y|``, ``a * b``, ``(1 - d)_+``.

To reStructuredText these are substitutions, emphasis and references; this extension escapes them outside code.
"""

import re

from sphinx.application import Sphinx

KEEP = re.compile(
    r"``.+?``"  # literal, perhaps over several lines
    r"|(?<!\S)\* (?=\*\*\w)"  # bullet of a list of returned values, which Napoleon writes
    r"|(?<=\()\*[^*]+\*(?=\))"  # their types, likewise
    r"|(?::[\w:+-]+:)?`[^`]+`_{0,2}"  # role or reference
    r"|\*\*\w[\w ,.-]*\*\*"  # strong
    r"|(?<![\w*\\])\*\w[\w ,.-]*\*(?![\w*])"  # emphasis
    r"|\\."  # escaped already
    r"|^\s*:[^:]+:",  # field name
    re.DOTALL | re.MULTILINE,
)
SPECIAL = re.compile(r"[|*]|(?<=[\w)])_(?=\W|$)")
VERBATIM = re.compile(r"\s*\.\. (math|code-block|code)::|(?!\s*\.\. ).*::$")


def escape(text: str) -> str:
    """Escape what reStructuredText would read as markup, and leave the markup that was meant."""
    out, at = "", 0
    for kept in KEEP.finditer(text):
        out += SPECIAL.sub(r"\\\g<0>", text[at : kept.start()]) + kept.group()
        at = kept.end()
    return out + SPECIAL.sub(r"\\\g<0>", text[at:])


def process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape a docstring in place, paragraph by paragraph, except doctests and literal blocks."""
    doctest, verbatim, start = False, -1, 0
    for i, line in enumerate([*lines, ""]):
        indent = len(line) - len(line.lstrip())
        if line.strip() and verbatim >= 0 and indent <= verbatim:
            verbatim = -1
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))
        opens = verbatim < 0 and not doctest and bool(VERBATIM.match(line))
        if not line.strip() or doctest or verbatim >= 0 or opens:
            end = i + 1 if opens and not line.lstrip().startswith("..") else i
            lines[start:end] = escape("\n".join(lines[start:end])).split("\n") if start < end else []
            start = i + 1
        if opens:
            verbatim = indent


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect after Napoleon, which writes the fields."""
    app.connect("autodoc-process-docstring", process, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
