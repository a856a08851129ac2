// One capture: its pictures, where each object stands and who must act, what can be done, its story.
import { get, poll, post } from "../api.js";
import { button, el, facts, field, fill } from "../parts/dom.js";
import { dayAndTime, dicomDate, megabytes, personName, sex } from "../parts/format.js";
import { regularly } from "../parts/regular.js";
import { say, sayCode } from "../parts/say.js";
import { attempt, confirm, notice } from "../parts/tell.js";
import { may } from "../session.js";
import { openExport } from "./export.js";
import { Player } from "./player.js";
import { canRetry, way } from "./states.js";

const EVERY_MS = 2000;

export function openDetail(host, id) {
  const view = new Detail(host, id);
  void view.load();
  const end = regularly(() => view.load(poll), EVERY_MS);
  return () => { end(); view.end(); };
}

class Detail {
  constructor(host, id) {
    this.id = id;
    this.ended = false;
    this.player = null;
    this.told = "";
    this.place = el("div", { class: "player" });
    this.actions = el("div", { class: "row" });
    this.wayHome = el("section", { class: "card", "aria-label": say("way.title") });
    this.about = el("section", { class: "card" });
    this.story = el("section", { class: "card" });
    this.title = el("h1", {}, "");
    host.append(el("div", { class: "page" },
      el("div", { class: "row spread" }, el("div", { class: "row" }, el("a", { class: "button", href: "#/captures" }, say("captures.all-back")), this.title), this.actions),
      el("div", { class: "detail" }, el("div", {}, this.place, this.about), el("div", {}, this.wayHome, this.story))));
  }

  async load(ask = get) {
    let capture;
    try {
      capture = await ask(`captures/${encodeURIComponent(this.id)}`);
    } catch (error) {
      if (!this.ended && !this.player) fill(this.place, el("p", { class: "empty" }, error.message));
      return;
    }
    const text = JSON.stringify(capture);
    if (this.ended || text === this.told) return;
    this.told = text;
    this.show(capture);
  }

  show(capture) {
    this.title.textContent = dayAndTime(capture.captured);
    const objects = capture.objects.map(({ name }) => name).join();
    if (!this.player || this.player.objects !== objects) {
      this.player?.end();
      this.player = new Player(this.place, capture);
    }
    this.showAbout(capture);
    this.showWay(capture);
    this.showActions(capture);
    this.showStory(capture);
  }

  showAbout(capture) {
    const { patient } = capture;
    fill(this.about, [
      el("h2", { class: "name" }, patient ? personName(patient.name) || say("exam.no-name") : say("captures.unreadable")),
      patient ? null : el("p", { class: "warn-text" }, capture.unreadable),
      facts([
        ...(patient ? [[say("exam.id"), patient.id], [say("exam.birth"), dicomDate(patient.birth_date)], [say("exam.sex"), sex(patient.sex)], [say("exam.accession"), patient.accession]] : []),
        [say("captures.kind"), `${capture.modality} · ${sayCode("kind", capture.kind)}`],
        [say("exam.priority"), say(`priority.${capture.priority}`)],
        ...capture.objects.map((object) => [sayCode("role", object.role), `${say("captures.n-frames", { n: object.frames })}, ${megabytes(object.size)}`]),
        [say("captures.id"), capture.id],
      ].filter(([, value]) => value)),
    ]);
  }

  showWay(capture) {
    const steps = way(capture);
    fill(this.wayHome, [
      el("h2", {}, say("way.title")),
      capture.held ? el("p", { class: "warn-text" }, say("state.held.who")) : null,
      steps.length ? el("ul", { class: "way" }, steps.map((step) => el("li", { class: step.tone, "data-state": step.state, "data-role": step.role },
        el("strong", {}, say("way.to", { role: sayCode("role", step.role), destination: step.destination })),
        el("p", {}, step.what), el("p", { class: "dim" }, step.who)))) : el("p", { class: "dim" }, say("way.nowhere")),
    ]);
  }

  showActions(capture) {
    const all = [];
    if (may("operate")) {
      if (canRetry(capture)) all.push(button(say("captures.retry"), () => this.do("retry", {}, "captures.retried", "retried"), { kind: "first" }));
      if (capture.held) all.push(button(say("captures.release"), () => this.release()));
      all.push(button(say("export.this"), () => openExport([capture.id], capture.held)));
    }
    if (may("administer")) all.push(button(say("captures.discard"), () => this.discard(), { kind: "danger" }));
    fill(this.actions, all);
  }

  async do(what, body, key, count) {
    const told = await attempt(() => post(`captures/${encodeURIComponent(this.id)}/${what}`, body));
    if (told) notice(say(key, { n: told[count] ?? 0 }), told.faults?.length ? "warn" : "good");
    await this.load();
    return told;
  }

  async release() {
    if (await confirm({ title: say("captures.release"), text: say("captures.release-hint"), yes: say("captures.release") })) {
      await this.do("release", {}, "captures.released", "released");
    }
  }

  async discard() {
    const reason = el("input", { name: "reason", autocomplete: "off" });
    const wrong = el("p", { class: "wrong", role: "alert" });
    const read = () => {
      wrong.textContent = reason.value.trim() ? "" : say("captures.discard-why");
      return reason.value.trim() || null;
    };
    const told = await confirm({ title: say("captures.discard"), text: say("captures.discard-hint"), yes: say("captures.discard"), danger: true, extra: [field(say("captures.reason"), reason), wrong], read });
    if (told && await this.do("discard", { reason: told }, "captures.discarded", "discarded")) location.hash = "#/captures";
  }

  showStory({ history }) {
    fill(this.story, [el("h2", {}, say("captures.story")), el("ul", { class: "story" }, history.map((entry) =>
      el("li", {}, el("span", { class: "dim figure" }, `${dayAndTime(entry.when)} · `), say("story.line", { did: sayCode("did", entry.did), who: entry.who }),
        entry.facts?.destination ? ` → ${entry.facts.destination}` : "")))]);
  }

  end() {
    this.ended = true;
    this.player?.end();
  }
}
