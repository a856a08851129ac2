// Settings: the configuration's text, checked as it is typed; what a change means, key by key; then written.
import { get, post, put } from "../api.js";
import { button, el, fill } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { attempt, confirm, notice } from "../parts/tell.js";
import { keyIn, lineIn, lineOf, shown } from "./keys.js";

const PAUSE_MS = 400;

export function open(host) {
  const view = new SettingsView(host);
  void view.load();
  return () => { clearTimeout(view.timer); view.ended = true; };
}

class SettingsView {
  constructor(host) {
    this.digest = "";
    this.saved = "";
    this.turn = 0;
    this.path = el("p", { class: "dim mono" });
    this.text = el("textarea", { class: "code", spellcheck: "false", autocapitalize: "none", autocomplete: "off", "aria-label": say("settings.text"), "aria-describedby": "verdict", oninput: () => this.typed() });
    this.verdict = el("div", { class: "verdict", id: "verdict", role: "status" });
    this.save = button(say("settings.save"), () => void this.write(), { kind: "first", disabled: true });
    this.undo = button(say("settings.undo"), () => this.restore(), { disabled: true });
    this.restart = el("p", { class: "warn-text", hidden: true }, say("settings.restart-needed"));
    this.tree = el("section", { class: "tree", "aria-label": say("settings.effective") });
    host.append(el("div", { class: "page" }, el("div", { class: "row spread" }, el("h1", {}, say("settings.title")), el("div", { class: "row" }, this.undo, this.save)),
      this.path, this.restart, this.text, this.verdict, el("h2", {}, say("settings.effective")), this.tree));
  }

  async load() {
    const told = await attempt(() => get("settings"));
    if (!told || this.ended) return;
    this.digest = told.digest;
    this.writable = told.writable && told.path !== "";
    this.saved = this.text.value = told.text;
    this.path.textContent = told.path || say("settings.no-file");
    this.text.readOnly = !this.writable;
    this.restart.hidden = !told.restart_needed;
    fill(this.tree, Object.entries(told.effective).map(([section, values]) => table(section, values)));
    this.say(this.writable ? say("settings.unchanged") : say("settings.read-only"));
    this.update(false);
  }

  update(can) {
    this.save.disabled = !can || !this.writable;
    this.undo.disabled = this.text.value === this.saved;
  }

  restore() {
    this.text.value = this.saved;
    this.typed();
  }

  typed() {
    clearTimeout(this.timer);
    this.update(false);
    this.timer = setTimeout(() => void this.check(), PAUSE_MS);
  }

  async check() {
    const mine = ++this.turn;
    let told;
    try {
      told = await post("settings/check", { text: this.text.value });
    } catch (error) {
      told = { ok: false, error: error.message, changes: [] };
    }
    if (mine !== this.turn || this.ended) return;
    this.text.setAttribute("aria-invalid", String(!told.ok));
    if (told.ok) this.sayChanges(told.changes);
    else this.sayWrong(told.error);
    this.update(told.ok && this.text.value !== this.saved);
  }

  say(text, tone = "") {
    this.verdict.className = `verdict ${tone}`;
    fill(this.verdict, el("p", {}, text));
  }

  sayWrong(error) {
    const key = keyIn(error);
    const line = key ? lineOf(this.text.value, key) : lineIn(error);
    this.verdict.className = "verdict bad";
    fill(this.verdict, [key ? el("p", {}, el("strong", { class: "mono" }, key), line ? ` – ${say("settings.line", { line })}` : "") : null, el("p", { class: "bad-text" }, error),
      line ? button(say("settings.go"), () => this.goTo(line)) : null]);
  }

  sayChanges(changes) {
    if (!changes.length) return this.say(say(this.text.value === this.saved ? "settings.unchanged" : "settings.same"), "good");
    this.verdict.className = "verdict good";
    fill(this.verdict, [el("p", {}, say("settings.changes", { n: changes.length })), el("ul", { class: "plain" }, changes.map((change) => el("li", { "data-key": change.key },
      el("strong", { class: "mono" }, change.key), `: ${shown(change.from)} → ${shown(change.to)}`, change.restart?.length ? el("span", { class: "warn-text" }, ` ${say("settings.restart", { processes: change.restart.join(", ") })}`) : "")))]);
  }

  goTo(line) {
    const lines = this.text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    this.text.focus();
    this.text.setSelectionRange(start, start + lines[line - 1].length);
    this.text.scrollTop = Math.max(0, (line - 4) * Number.parseFloat(getComputedStyle(this.text).lineHeight));
  }

  async write() {
    if (!await confirm({ title: say("settings.save"), text: say("settings.save-hint"), yes: say("settings.save"), extra: this.verdict.cloneNode(true) })) return;
    if (!await attempt(() => put("settings", { text: this.text.value, digest: this.digest }))) return;
    notice(say("settings.saved"));
    await this.load();
  }
}

function table(section, values) {
  const rows = values && typeof values === "object" && !Array.isArray(values) ? Object.entries(values) : [["", values]];
  if (!rows.length) return null;
  return el("section", { class: "card" }, el("h3", { class: "mono" }, `[${section}]`), el("table", {}, el("tbody", {}, rows.map(([key, value]) => el("tr", {}, el("td", { class: "dim mono" }, key), el("td", { class: "mono" }, shown(value)))))));
}
