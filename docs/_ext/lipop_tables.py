"""Two directives that read the package: ``lipop-rules`` (the table RULES) and ``lipop-modules`` (API pages)."""

import importlib.util
import pkgutil

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class RulesTable(SphinxDirective):
    """One row per registered rule: its name, what it is, its reference."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        for package in ("lipop.core", "lipop.operators", "lipop.certify", "lipop.limit"):
            import_tree(package)
        rules = importlib.import_module("lipop.core.rule").RULES
        rows = [(name, summary(rule), rule.reference) for name, rule in sorted(rules.items())]
        return [table(("rule", "formula or certificate", "reference"), rows, widths=(2, 4, 5))]


class Modules(SphinxDirective):
    """The documentation of packages, in the order given, and of their public modules; absent packages are left out."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Expand to one ``automodule`` per module."""
        text: list[str] = []
        for name in [name for package in self.arguments[0].split() for name in import_tree(package)]:
            text += [name, "-" * len(name), "", f".. automodule:: {name}", ""]
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def import_tree(package: str) -> list[str]:
    """Import a package with its public modules; the names that exist (none for a package that does not)."""
    if importlib.util.find_spec(package) is None:
        return []
    root = importlib.import_module(package)
    names = [package]
    for info in pkgutil.walk_packages(getattr(root, "__path__", []), package + "."):
        private = any(part.startswith("_") for part in info.name.split("."))
        if not private and ".cuda" not in info.name:
            importlib.import_module(info.name)
            names.append(info.name)
    return names


def summary(rule) -> str:
    """The first line of a formula's docstring, or what a leaf is worth."""
    if rule.function is None:
        return f"certificate ({rule.strength}, {rule.grid} bits)"
    return (rule.function.__doc__ or "").strip().split("\n")[0].replace("``", "")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], widths: tuple[int, ...]) -> nodes.table:
    """A docutils table; the first column is set as code."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=w) for w in widths]
    header = nodes.thead()
    header += row([nodes.Text(h) for h in head])
    body = nodes.tbody()
    body += [row([nodes.literal(text=r[0]), *[nodes.Text(c) for c in r[1:]]]) for r in rows]
    group += [header, body]
    out = nodes.table()
    out += group
    return out


def row(cells: list[nodes.Node]) -> nodes.row:
    """One row of a table, a paragraph per cell."""
    out = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph("", "", cell)
        out += entry
    return out


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("lipop-rules", RulesTable)
    app.add_directive("lipop-modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
