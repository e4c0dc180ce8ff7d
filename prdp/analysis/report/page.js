// The page is complete without this: it sorts tables, opens the part that a link leads to, and opens all for printing.
"use strict";

// What a cell is sorted by: its first number, or else its words; cells without content come last.
function key(cell) {
  const text = cell.textContent.trim().replace(/\u2212/g, "-").replace(/(\d),(?=\d{3})/g, "$1");
  const number = text.match(/^[^\d]{0,2}?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/);
  return text === "" || text === "-" ? null : number ? Number(number[1]) : text.toLowerCase();
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a.localeCompare(b);
}

function sort(table, column, header) {
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
  rows.sort(([a], [b]) => (down && a !== null && b !== null ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort by this column";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, column, header));
    header.append(button);
  });
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();

const parts = [...document.querySelectorAll("main details")];
const all = document.createElement("button");
all.type = "button";
all.className = "all";
const name = () => { all.textContent = parts.every((part) => part.open) ? "Close all parts" : "Open all parts"; };
all.addEventListener("click", () => {
  const open = !parts.every((part) => part.open);
  for (const part of parts) part.open = open;
  name();
});
for (const part of parts) part.addEventListener("toggle", name);
name();
document.querySelector("nav").append(all);
addEventListener("beforeprint", () => { for (const part of parts) part.open = true; });
