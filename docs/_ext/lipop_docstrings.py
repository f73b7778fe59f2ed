"""Docstrings write mathematics in plain text: ``|Tx - Ty| <= L |x - y|``, ``a * b``, ``(1 - d)_+``.

To reStructuredText these are substitutions, emphasis and references; this extension escapes them outside code.
"""

import re

from sphinx.application import Sphinx

KEEP = re.compile(
    r"``.+?``"  # literal
    r"|(?::[\w:+-]+:)?`[^`]+`_{0,2}"  # role or reference
    r"|\*\*\w[\w ,.-]*\*\*"  # strong
    r"|(?<![\w*\\])\*\w[\w ,.-]*\*(?![\w*])"  # emphasis
    r"|\\."  # escaped already
    r"|^\s*:[^:]+:"  # field name
)
SPECIAL = re.compile(r"[|*]|(?<=[\w)])_(?=\W|$)")
VERBATIM = re.compile(r"\s*\.\. (math|code-block|code)::|(?!\s*\.\. ).*::$")


def escape(line: str) -> str:
    """Escape what reStructuredText would read as markup, and leave the markup that was meant."""
    out, at = "", 0
    for kept in KEEP.finditer(line):
        out += SPECIAL.sub(r"\\\g<0>", line[at : kept.start()]) + kept.group()
        at = kept.end()
    return out + SPECIAL.sub(r"\\\g<0>", line[at:])


def process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape a docstring in place, except doctests and literal blocks."""
    doctest, verbatim = False, -1
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            doctest = False
            continue
        doctest = doctest or line.lstrip().startswith(">>>")
        if verbatim >= 0 and indent <= verbatim:
            verbatim = -1
        if doctest or verbatim >= 0:
            continue
        if VERBATIM.match(line):
            verbatim = indent
        else:
            lines[i] = escape(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect after Napoleon, which writes the fields."""
    app.connect("autodoc-process-docstring", process, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
