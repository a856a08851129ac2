// Engines: what runs, what was found out about each, what else there is, and the way back.
import { get, poll, post } from "../api.js";
import { onStatus } from "../feed.js";
import { button, el, field, fill } from "../parts/dom.js";
import { say, sayCode } from "../parts/say.js";
import { attempt, confirm, notice, sheet } from "../parts/tell.js";
import { may } from "../session.js";
import { figuresOf } from "./figures.js";

export function open(host) {
  const view = new EnginesView(host);
  void view.load();
  const end = onStatus((status) => view.status(status));
  return () => { end(); view.ended = true; };
}

class EnginesView {
  constructor(host) {
    this.running = null;
    this.body = el("div", { class: "list" });
    host.append(el("div", { class: "page" }, el("h1", {}, say("engines.title")), el("p", { class: "dim" }, say("engines.hint")), this.body));
  }

  /** Cards are drawn again when another engine runs than when they were drawn. */
  status({ streams }) {
    const running = JSON.stringify(Object.values(streams ?? {}).map((stream) => stream.engine?.name ?? ""));
    const changed = this.running !== null && running !== this.running;
    this.running = running;
    if (changed) void this.load(poll);
  }

  async load(ask = get) {
    const told = await attempt(() => ask("engines"));
    if (!told || this.ended) return;
    const engines = [...told.engines].sort((one, other) => Number(other.running) - Number(one.running) || one.name.localeCompare(other.name));
    fill(this.body, [
      told.store ? this.store(told.store) : null,
      el("div", { class: "grid wide" }, engines.map((engine) => this.card(engine, told))),
      told.refused.length ? this.refused(told.refused) : null,
    ]);
  }

  card(engine, told) {
    const { judged } = engine;
    const missed = Object.entries(judged?.missed ?? {});
    return el("article", { class: "card", "data-engine": engine.name },
      el("div", { class: "row spread" }, el("h2", {}, engine.name), el("span", { class: "row" },
        engine.running ? el("span", { class: "tag good" }, say("engines.running")) : null, judgedTag(judged))),
      el("p", {}, engine.task),
      el("p", { class: "dim small" }, say("engines.about", { version: engine.version, precision: engine.precision.toUpperCase(), cost: engine.kmac_per_px })),
      judged ? el("div", { class: "figures" }, figuresOf(judged.figures).map(({ label, value }) => el("div", {}, el("b", {}, value), el("span", {}, label)))) : el("p", { class: "warn-text" }, say("engines.not-judged-hint")),
      el("h3", {}, say("engines.limits")), el("p", {}, engine.limits),
      missed.length ? el("details", {}, el("summary", { class: "button quiet" }, say("engines.missed", { n: missed.length })),
        el("ul", { class: "plain" }, missed.map(([name, why]) => el("li", {}, el("strong", {}, sayCode("target", name)), `: ${why}`)))) : null,
      this.actions(engine, told));
  }

  actions(engine, told) {
    const chosen = Object.values(told.chosen).includes(engine.family);
    const all = engine.card ? [button(say("engines.card"), () => this.showCard(engine.name))] : [];
    if (may("operate") && told.families.includes(engine.family) && !engine.running) {
      all.push(button(say("engines.use", { family: engine.family }), () => this.use(engine.family), { kind: chosen ? "" : "first" }));
    }
    return el("div", { class: "row" }, all);
  }

  async use(family) {
    if (await attempt(() => post("picture", { engine: family }))) notice(say("engines.used", { family }));
  }

  async showCard(name) {
    const told = await attempt(() => get(`engines/${encodeURIComponent(name)}/card`));
    if (told) sheet(name, el("pre", { class: "text" }, told));
  }

  refused(refused) {
    return el("section", { class: "card" }, el("h2", {}, say("engines.refused")), el("p", { class: "dim" }, say("engines.refused-hint")),
      el("ul", { class: "plain" }, refused.map(({ name, reason }) => el("li", {}, el("strong", {}, name), `: ${reason}`))));
  }

  // ------------------------------------------------ the store: versions that were installed, and the way back

  store({ versions, in_force: inForce }) {
    if (!versions.length) return null;
    return el("section", { class: "card" }, el("h2", {}, say("store.title")),
      inForce ? null : el("p", { class: "warn-text" }, say("store.not-in-force")),
      versions.map((version) => el("div", { class: "row spread", "data-version": `${version.name} ${version.version}` },
        el("span", {}, el("strong", {}, version.name), ` ${version.version} `, el("span", { class: `tag ${STORE_TONE[version.state]}` }, say(`store.${version.state}`)),
          version.fault ? el("span", { class: "bad-text" }, ` ${version.fault}`) : null),
        may("administer") ? this.storeAction(version) : null)));
  }

  storeAction(version) {
    if (version.state === "previous") return button(say("store.rollback", version), () => this.rollback(version), { kind: "danger" });
    if (version.way_back) return button(say(`store.rollback-${version.way_back}`), () => this.rollback(version), { kind: "danger" });
    if (version.state === "installed") return button(say("store.activate"), () => this.activate(version));
    return null;
  }

  async activate(version) {
    if (!await confirm({ title: say("store.activate"), text: say("store.activate-hint", version), yes: say("store.activate") })) return;
    notice(say("store.verifying"), "warn");
    if (await attempt(() => post("engines/activate", { name: version.name, version: version.version }))) notice(say("store.activated", version));
    await this.load();
  }

  async rollback(version) {
    const reason = el("input", { name: "reason", autocomplete: "off" });
    const wrong = el("p", { class: "wrong", role: "alert" });
    const read = () => {
      wrong.textContent = reason.value.trim() ? "" : say("captures.discard-why");
      return reason.value.trim() || null;
    };
    const back = version.way_back ? `-${version.way_back}` : "";
    const title = say(`store.rollback${back}`, version);
    const told = await confirm({ title, text: say(`store.rollback${back}-hint`, version), yes: title, danger: true, extra: [field(say("captures.reason"), reason), wrong], read });
    if (!told) return;
    if (await attempt(() => post("engines/rollback", { name: version.name, reason: told }))) notice(say(`store.rolled-back${back}`, version));
    await this.load();
  }
}

const STORE_TONE = { active: "good", previous: "accent", installed: "", refused: "bad" };

function judgedTag(judged) {
  if (!judged) return el("span", { class: "tag warn" }, say("engines.not-judged"));
  const safe = Object.values(judged.gates).every(Boolean);
  if (!safe) return el("span", { class: "tag bad" }, say("engines.unsafe"));
  return el("span", { class: `tag ${judged.full ? "good" : "accent"}` }, say(judged.full ? "engines.judged" : "engines.judged-quickly"));
}
