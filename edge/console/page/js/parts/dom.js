// Elements, made from data without ever reading data as markup: text goes in as text nodes alone.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7",
  clip: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14",
  stop: "M6 6h12v12H6z",
  back: "M4 12a8 8 0 1 0 3-6.2M4 4v4h4M12 8v4l3 2",
  burst: "M8 4h12v12M4 8h12v12H4z",
  freeze: "M8 5v14M16 5v14",
  live: "M8 5l11 7-11 7z",
  split: "M4 5h16v14H4zM12 3v18",
  map: "M4 5h16v14H4zM4 15l5-5 4 4 3-3 4 4",
  minus: "M5 12h14",
  plus: "M5 12h14M12 5v14",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4 21c0-5 4-7 8-7s8 2 8 7",
  close: "M6 6l12 12M18 6L6 18",
  warning: "M12 4 2.5 20h19zM12 10v4M12 17v.5",
  good: "M5 13l4 4L19 7",
  wait: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l3 2",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
};

/** An element: attributes as given (`on...` are listeners, `true` is an empty attribute), children as text or nodes. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  fill(node, children, true);
  return node;
}

/** Replaces what is in a node. */
export function fill(node, children, more = false) {
  const list = (Array.isArray(children) ? children : [children]).flat(Infinity);
  const nodes = list.filter((child) => child !== undefined && child !== null && child !== false && child !== "");
  if (more) node.append(...nodes);
  else node.replaceChildren(...nodes);
  return node;
}

/** Changes a text only where it differs: a live region must not say the same thing again. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function button(text, onclick, { kind = "", picture = "", ...more } = {}) {
  return el("button", { type: "button", class: kind || null, onclick, ...more }, picture ? icon(picture) : null, el("span", {}, text));
}

/** A field with its label and a place for what is wrong with it. */
export function field(text, input, wrong = null) {
  return el("label", { class: "field" }, el("span", {}, text), input, wrong);
}

export function choice(options, chosen, attributes = {}) {
  const select = el("select", attributes);
  for (const [value, text] of options) select.append(el("option", { value, selected: value === chosen }, text));
  return select;
}

export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
