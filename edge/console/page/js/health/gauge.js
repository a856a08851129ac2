// Horizontal bars with their labels and figures.
import { el } from "../parts/dom.js";

export function bars(rows) {
  return el("div", { class: "bars" }, rows.map(({ label, share, text, tone = "" }) => [el("span", {}, label), bar(share, tone), el("span", {}, text)]));
}

function bar(share, tone) {
  const filled = el("i", { class: tone || null });
  filled.style.width = `${Math.min(100, Math.max(0, 100 * (Number.isFinite(share) ? share : 0)))}%`;
  return el("div", { class: "bar", "aria-hidden": "true" }, filled);
}
