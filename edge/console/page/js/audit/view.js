// The audit log: who did what to which object. All logs as one, the newest first; their chains can be verified.
import { get } from "../api.js";
import { button, el, field, fill } from "../parts/dom.js";
import { dayAndTime } from "../parts/format.js";
import { say, sayCode } from "../parts/say.js";
import { attempt, notice } from "../parts/tell.js";

const A_PAGE = 100;

export function open(host) {
  const view = new AuditView(host);
  void view.load();
}

class AuditView {
  constructor(host) {
    this.entries = [];
    this.filter = el("input", { type: "search", name: "filter", autocomplete: "off", oninput: () => this.show() });
    this.rows = el("tbody");
    this.verdict = el("div", { class: "list", role: "status" });
    this.more = button(say("audit.more"), () => void this.load(true), { hidden: true });
    const head = ["when", "who", "did", "to", "facts"].map((key) => el("th", { scope: "col" }, say(`audit.${key}`)));
    host.append(el("div", { class: "page" },
      el("div", { class: "row spread" }, el("h1", {}, say("audit.title")), button(say("audit.verify"), () => void this.verify(), { kind: "first" })),
      this.verdict, field(say("audit.filter"), this.filter),
      el("div", { class: "scrolls" }, el("table", { class: "audit" }, el("thead", {}, el("tr", {}, head)), this.rows)), this.more));
  }

  async load(more = false) {
    const before = more && this.entries.length ? `&before=${encodeURIComponent(this.entries.at(-1).when)}` : "";
    const told = await attempt(() => get(`audit?limit=${A_PAGE}${before}`));
    if (!told) return;
    const known = new Set(this.entries.map(keyOf));
    const fresh = told.entries.filter((entry) => !known.has(keyOf(entry)));
    this.entries.push(...fresh);
    this.more.hidden = told.entries.length < A_PAGE || !fresh.length;
    this.show();
  }

  show() {
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = this.entries.filter((entry) => !wanted || JSON.stringify(entry).toLowerCase().includes(wanted));
    fill(this.rows, shown.length ? shown.map(row) : el("tr", {}, el("td", { colspan: "5", class: "empty" }, say("audit.none"))));
  }

  async verify() {
    const told = await attempt(() => get("audit?limit=1&verify=1"));
    if (!told) return;
    fill(this.verdict, Object.entries(told.logs).map(([name, log]) => el("div", { class: `verdict ${log.faults.length ? "bad" : "good"}` },
      el("strong", {}, say(log.faults.length ? "audit.broken" : "audit.whole", { log: sayCode("log", name), n: log.entries })),
      log.faults.map((fault) => el("p", { class: "bad-text" }, fault)), el("p", { class: "mono dim" }, log.head))));
    if (Object.values(told.logs).every((log) => !log.faults.length)) notice(say("audit.all-whole"));
  }
}

const keyOf = (entry) => `${entry.log} ${entry.n}`;

function row(entry) {
  const told = Object.entries(entry.facts ?? {}).filter(([, value]) => !(value === "" || value === null || value?.length === 0));
  const facts = told.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return el("tr", {}, el("td", { class: "figure" }, dayAndTime(entry.when)), el("td", {}, entry.who), el("td", {}, sayCode("did", entry.did)),
    el("td", { class: "mono" }, entry.to), el("td", { class: "dim" }, facts.join("; ")));
}
