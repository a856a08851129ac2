// Starts the page: who is here, the bar, and the view that the address names.
import { whenLoggedOut } from "./api.js";
import { drawBar } from "./bar.js";
import { startFeed, stopFeed } from "./feed.js";
import { openLogin } from "./login.js";
import { button, el, fill } from "./parts/dom.js";
import { say } from "./parts/say.js";
import { loadSession, may, session } from "./session.js";

const VIEWS = {
  live: { role: "view", load: () => import("./live/view.js") },
  exam: { role: "view", load: () => import("./exam/view.js") },
  captures: { role: "view", load: () => import("./captures/view.js") },
  engines: { role: "view", load: () => import("./engines/view.js") },
  health: { role: "view", load: () => import("./health/view.js") },
  audit: { role: "administer", load: () => import("./audit/view.js") },
  settings: { role: "administer", load: () => import("./settings/view.js") },
};

const host = document.getElementById("view");
const bar = document.getElementById("bar");
let close = () => {};
let turn = 0;

async function go() {
  const mine = ++turn;
  close();
  close = () => {};
  fill(host, []); // nobody keeps a view current that is closed: a picture left standing would look live
  if (!session.user) return showLogin();
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const view = VIEWS[name] && may(VIEWS[name].role) ? name : "live";
  host.className = view;
  drawBar(bar, Object.keys(VIEWS).filter((one) => may(VIEWS[one].role)), view, restart);
  document.title = `${say(`nav.${view}`)} – Limpid`;
  fill(host, el("p", { class: "empty", role: "status" }, say("view.loading")));
  const module = await VIEWS[view].load().catch(() => null);
  if (mine !== turn) return;
  if (!module) return showFailed();
  fill(host, []);
  close = module.open(host, rest) ?? (() => {});
}

/** A part of the page that did not come is asked for again only with the whole page. */
function showFailed() {
  fill(host, el("div", { class: "page" }, el("p", { class: "wrong", role: "alert" }, say("view.failed")),
    el("div", { class: "row" }, button(say("view.again"), () => location.reload(), { kind: "first" }))));
}

function showLogin() {
  stopFeed();
  fill(bar, []);
  host.className = "";
  document.title = `${say("login.title")} – Limpid`;
  openLogin(host, restart);
}

async function restart() {
  if (session.user) startFeed();
  await go();
}

whenLoggedOut(() => {
  if (!session.user) return;
  session.user = session.role = "";
  void loadSession().catch(() => {}).then(restart);
});
addEventListener("hashchange", () => void go());

loadSession().then(restart, (error) => {
  fill(host, el("div", { class: "login" }, el("p", { role: "alert" }, error.message)));
  setTimeout(() => location.reload(), 3000);
});
