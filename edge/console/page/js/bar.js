// The bar on top: where to go, whether anything is wrong, who is here.
import { feed, onStatus } from "./feed.js";
import { el, fill, icon } from "./parts/dom.js";
import { say } from "./parts/say.js";
import { attempt, sheet } from "./parts/tell.js";
import { logOut, session } from "./session.js";

let unsubscribe = () => {};

export function drawBar(bar, views, current, restart) {
  unsubscribe();
  const nav = el("nav", { "aria-label": say("nav.label") }, views.map((view) =>
    el("a", { href: `#/${view}`, "aria-current": view === current ? "page" : null }, say(`nav.${view}`))));
  const trouble = el("a", { class: "button trouble quiet", href: "#/captures", hidden: true });
  const tail = el("div", { class: "tail" }, trouble);
  if (session.notice) tail.append(el("span", { class: "tag warn", title: session.notice }, say("who.open-tag")));
  tail.append(el("button", { type: "button", class: "who quiet", "aria-label": say("who.label", { user: session.user }), onclick: () => openWho(restart) },
    icon("person"), el("span", {}, session.user)));
  fill(bar, [nav, tail]);
  unsubscribe = onStatus((status) => showTrouble(trouble, status));
}

function showTrouble(node, status) {
  const text = feed.connected ? status.outbox?.trouble ?? "" : "";
  node.hidden = !text;
  const label = text && say("outbox.trouble", { trouble: text });
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.setAttribute("aria-label", label);
  node.title = text;
  fill(node, text ? [icon("warning"), el("span", {}, say("outbox.look"))] : []);
}

function openWho(restart) {
  const lines = [
    el("p", {}, session.open ? say("who.open") : say("who.is", { user: session.user, role: say(`role.${session.role}`) })),
    session.notice ? el("p", { class: "tag-line warn-text" }, session.notice) : null,
    el("p", { class: "dim small" }, say("who.device", { station: session.station, version: session.version })),
  ];
  const dialog = sheet(say("who.title"), ...lines);
  if (session.open) return;
  const out = el("button", { type: "button", class: "first", onclick: async () => {
    dialog.close();
    await attempt(logOut);
    location.hash = "#/live";
    await restart();
  } }, say("login.out"));
  dialog.append(el("div", { class: "row" }, out));
}
