// report.html: sorts and filters the table, unfolds proofs, switches between light and dark.
// All text of the report reaches the page through textContent.
"use strict";

(() => {
  const proofs = JSON.parse(document.getElementById("proofs").textContent);
  const GLYPHS = { PROVED: "●", PROBABLE: "◐", CONDITIONAL: "◇", WITNESSED: "△", ESTIMATED: "○", UNKNOWN: "?" };

  function make(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // ---- proofs ----

  function chip(status) {
    const word = status.split("(")[0];
    const shown = make("span", "chip s-" + word.toLowerCase());
    const glyph = make("i", "", GLYPHS[word] || "?");
    glyph.setAttribute("aria-hidden", "true");
    shown.append(glyph, status.toLowerCase().replace("(", " ").replace(/\)$/, ""));
    return shown;
  }

  // One line of a proof: what is claimed, by which rule, from what.
  function line(node, depth, earlier) {
    const text = (i) => proofs.texts[i];
    const item = make("li");
    item.style.setProperty("--depth", Math.min(depth, 16));
    item.setAttribute("aria-level", depth + 1);
    if (!node) {
      item.append(make("p", "claim", "a premise that is not in the report"));
      return item;
    }
    const claim = make("p", "claim");
    const value = make("b", "", node.value);
    value.title = node.exact;
    claim.append(chip(text(node.status)), " ", text(node.claim), " ", value, " ");
    claim.append(make("bdi", "of", text(node.of)), make("bdi", "on", text(node.on)));
    item.append(claim);
    const rule = make("p", "rule");
    rule.append(make("code", "", text(node.rule)));
    if (earlier) {
      const link = make("button", "above", "see above");
      link.type = "button";
      link.addEventListener("click", () => {
        earlier.tabIndex = -1;
        earlier.focus();
        earlier.scrollIntoView({ block: "nearest" });
      });
      rule.append(" ", link);
    } else {
      rule.append(" ", text(node.why));
    }
    item.append(rule);
    if (!earlier) {
      const notes = make("p", "notes");
      for (const i of node.notes) notes.append(make("bdi", "", text(i)), "; ");
      notes.append("exactly " + node.exact + "; node " + node.id);
      item.append(notes);
    }
    return item;
  }

  // The proof of a node as a list, conclusion first, premises indented below it; a shared node is told once.
  function tree(root) {
    const list = make("ol", "proof");
    const told = new Map();
    const todo = [[root, 0]];
    while (todo.length > 0) {
      const [index, depth] = todo.pop();
      const node = proofs.nodes[index];
      const earlier = told.get(index);
      const item = line(node, depth, earlier);
      list.append(item);
      if (node && !earlier) {
        told.set(index, item);
        for (const premise of [...node.from].reverse()) todo.push([premise, depth + 1]);
      }
    }
    return list;
  }

  // ---- the table ----

  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const collator = new Intl.Collator("en", { numeric: true });
  const records = [...body.rows].map((row, place) => ({
    row,
    place,
    kind: row.dataset.kind,
    text: (row.textContent + " block " + row.cells[0].textContent + " " + row.cells[0].title).toLowerCase(),
    open: new Map(), // the unfolded proofs: button -> row
  }));
  const recordOf = new Map(records.map((record) => [record.row, record]));

  function toggle(button) {
    const record = recordOf.get(button.closest("tr"));
    const there = record.open.get(button);
    button.setAttribute("aria-expanded", String(!there));
    if (there) {
      there.remove();
      record.open.delete(button);
      return;
    }
    const row = make("tr", "unfolded");
    const cell = make("td");
    cell.colSpan = record.row.cells.length;
    const end = button.parentElement.cellIndex === 3 ? "Lower end" : "Upper end";
    const cells = record.row.cells;
    const sheet = make("div", "sheet");
    sheet.append(make("p", "which", `${end} of ${cells[1].textContent}, ${cells[2].textContent}, block ${cells[0].textContent}`));
    sheet.append(tree(Number(button.dataset.node)));
    cell.append(sheet);
    row.append(cell);
    record.open.set(button, row);
    const last = [...record.open.values()].at(-2) || record.row;
    last.after(row);
  }

  body.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-node]");
    if (button) toggle(button);
  });

  // What a column sorts by: its cells' numbers, or the rank of their texts.
  function keys(column) {
    const cells = records.map((record) => record.row.cells[column]);
    if ("k" in cells[0].dataset) return cells.map((cell) => Number(cell.dataset.k));
    const texts = cells.map((cell) => cell.textContent);
    const rank = new Map([...new Set(texts)].sort(collator.compare).map((text, i) => [text, i]));
    return texts.map((text) => rank.get(text));
  }

  function sort(column, heading) {
    const falling = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    if (records.length === 0) return;
    const sign = falling ? -1 : 1;
    keys(column).forEach((key, i) => (records[i].key = key));
    records.sort((a, b) => sign * ((a.key > b.key) - (a.key < b.key)) || a.place - b.place);
    const all = document.createDocumentFragment();
    for (const record of records) all.append(record.row, ...record.open.values());
    body.replaceChildren(all);
  }

  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = make("button", "", heading.textContent);
    button.type = "button";
    button.addEventListener("click", () => sort(column, heading));
    heading.replaceChildren(button);
  });

  // ---- filters ----

  const field = document.getElementById("filter");
  const count = document.getElementById("count");
  const kinds = [...document.querySelectorAll(".kinds button")];
  let chosen = "all";

  function filter() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const record of records) {
      const fits = (chosen === "all" || record.kind === chosen) && words.every((w) => record.text.includes(w));
      shown += fits;
      for (const row of [record.row, ...record.open.values()]) row.hidden = !fits;
    }
    const all = records.length.toLocaleString("en");
    count.textContent = shown === records.length ? `${all} numbers` : `${shown.toLocaleString("en")} of ${all} numbers`;
  }

  for (const button of kinds) {
    button.addEventListener("click", () => {
      chosen = button.dataset.kind;
      for (const other of kinds) other.setAttribute("aria-pressed", String(other === button));
      filter();
    });
  }
  field.addEventListener("input", filter);
  document.querySelector(".controls").hidden = false;
  if (field.value) filter(); // what a reload has kept

  // ---- light and dark ----

  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const say = () => {
    theme.textContent = dark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours");
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    say();
  });
  system.addEventListener("change", say);
  theme.hidden = false;
  say();
})();
