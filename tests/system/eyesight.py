"""Whether a page can be read, reached and touched: measured on what is really there. Not a test itself."""

from __future__ import annotations

from typing import Any

from tests.system.browser import Page

LEAST_TOUCH = 44.0

# WCAG 2.2: contrast 4.5 for text, 3 for large text. Backgrounds are looked for upwards; disabled controls are exempt.
CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const linear = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const over = (top, below, alpha) => top.slice(0, 3).map((c, n) => c * alpha + below[n] * (1 - alpha));
function ground(node) {
  const layers = [];
  for (let one = node; one; one = one.parentElement) {
    const style = getComputedStyle(one);
    if (style.backgroundImage !== "none") return null;
    const colour = parse(style.backgroundColor);
    const alpha = colour[3] ?? 1;
    if (alpha > 0) layers.push([colour, alpha]);
    if (alpha === 1) break;
  }
  return layers.reverse().reduce((below, [colour, alpha]) => over(colour, below, alpha), [0, 0, 0]);
}
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  const box = node.getBoundingClientRect();
  if (!walker.currentNode.textContent.trim() || !box.width || !box.height) continue;
  if (node.closest("script, noscript, [hidden], :disabled, .not-live, option")) continue;
  const style = getComputedStyle(node);
  const behind = ground(node);
  if (!behind || style.visibility !== "visible") continue;
  const [one, other] = [light(parse(style.color)), light(behind)].sort((a, b) => b - a);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < (large ? 3 : 4.5)) bad.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return bad;
"""

SMALL = """
const bad = [];
for (const node of document.querySelectorAll("button, a[href], input, select, textarea, summary, [role=slider]")) {
  const box = node.getBoundingClientRect();
  if (!box.width || !box.height || getComputedStyle(node).visibility !== "visible") continue;
  const touched = node.type === "checkbox" ? node.closest("label").getBoundingClientRect() : box;
  if (touched.height < arguments[0] - 0.5 || touched.width < arguments[0] - 0.5)
    bad.push(`${node.getAttribute("aria-label") ?? node.textContent}: ${touched.width}x${touched.height}`);
}
return bad;
"""

NAMELESS = """
return [...document.querySelectorAll("button, a[href], input, select, textarea, [role=slider], img, canvas")]
  .filter((node) => node.getClientRects().length && !(node.getAttribute("aria-label") || node.textContent.trim()
    || node.closest("label") || node.hasAttribute("alt") || node.getAttribute("title")))
  .map((node) => node.outerHTML.slice(0, 100));
"""

# Nothing wider than the screen, and no two controls on top of each other.
CROWDED = """
const bad = [];
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) bad.push(`the page is ${wide} wide`);
const controls = "#bar a, #bar button, #view button, #view a.button, #view select, #view input";
const nodes = [...document.querySelectorAll(controls)]
  .filter((node) => node.getClientRects().length && !node.closest(".strength .middle, label.check"));
const boxes = nodes.map((node) => [node, node.getBoundingClientRect()]);
boxes.forEach(([one, a], index) => {
  if (a.right > innerWidth + 0.5) bad.push(`${one.textContent} leaves the screen`);
  for (const [other, b] of boxes.slice(index + 1)) {
    if (one.contains(other) || other.contains(one)) continue;
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 1) bad.push(`${one.textContent} lies on ${other.textContent}`);
  }
});
return bad;
"""

SCROLLS = """
return [...document.querySelectorAll("html, body, #view, .live-view, .controls, .stage, #bar")]
  .filter((node) => node.scrollHeight > node.clientHeight + 1 || node.scrollWidth > node.clientWidth + 1)
  .map((node) => `${node.id || node.className || node.tagName}: ${node.scrollHeight} in ${node.clientHeight}`);
"""


# The whole picture is to be seen: nothing of it is cut off by what it lies in.
CUT = """
const inner = document.querySelector(".glass canvas")?.getBoundingClientRect();
const outer = document.querySelector(".glass")?.getBoundingClientRect();
if (!inner) return [];
const within = inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.top >= outer.top - 1
  && inner.bottom <= outer.bottom + 1 && outer.bottom <= innerHeight + 1;
return within ? [] : [`the picture needs ${inner.width}x${inner.height}, there is ${outer.width}x${outer.height}`];
"""


def faults(page: Page) -> dict[str, Any]:
    """By kind: what cannot be read, touched, named, or is in the way of something else. Empty where all is well."""
    found = {
        "contrast": page.run(CONTRAST),
        "touch": page.run(SMALL, LEAST_TOUCH),
        "name": page.run(NAMELESS),
        "crowded": page.run(CROWDED),
        "cut": page.run(CUT),
    }
    return {kind: what for kind, what in found.items() if what}
