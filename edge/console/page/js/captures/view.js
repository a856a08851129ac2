// What was stored: thumbnails with where each stands, or one capture where the address names it.
import { captureUrl, get, poll, post } from "../api.js";
import { onEvent } from "../feed.js";
import { button, choice, el, field, fill } from "../parts/dom.js";
import { dayAndTime } from "../parts/format.js";
import { regularly } from "../parts/regular.js";
import { say, sayCode } from "../parts/say.js";
import { attempt, notice } from "../parts/tell.js";
import { may } from "../session.js";
import { openDetail } from "./detail.js";
import { openExport } from "./export.js";
import { summary } from "./states.js";

const STATES = ["", "waiting", "held", "sent", "asked", "confirmed", "parked", "damaged"];
const EVERY_MS = 4000;
const A_PAGE = 60;

export function open(host, [id, exam]) {
  return id && id !== "of" ? openDetail(host, id) : openList(host, exam ?? "");
}

function openList(host, exam) {
  const view = new List(host, exam);
  void view.load();
  const ends = [onEvent(({ event }) => event === "capture.stored" && void view.load(poll)), regularly(() => view.load(poll), EVERY_MS)];
  return () => { for (const end of ends) end(); view.ended = true; };
}

class List {
  constructor(host, exam) {
    this.exam = exam;
    this.ended = false;
    this.cards = new Map();
    this.chosen = new Set();
    this.older = [];
    this.state = choice(STATES.map((state) => [state, state ? say(`state.${state}.short`) : say("captures.all")]), "", { name: "state", onchange: () => this.restart() });
    this.counts = el("p", { class: "dim", role: "status" });
    this.grid = el("div", { class: "grid" });
    this.more = button(say("captures.more"), () => void this.loadMore(), { hidden: true });
    this.tools = el("div", { class: "row" });
    this.page = el("div", { class: "page" },
      el("div", { class: "row spread" }, el("h1", {}, say(exam ? "captures.of-exam" : "captures.title")), this.tools),
      el("div", { class: "row spread" }, this.counts, field(say("captures.show"), this.state)), this.grid, this.more);
    this.buildTools();
    host.append(this.page);
  }

  buildTools() {
    if (!may("operate")) return;
    this.retry = button(say("captures.retry-all"), () => this.retryAll(), { hidden: true });
    this.export = button(say("export.choose"), () => openExport([...this.chosen]), { disabled: true });
    fill(this.tools, [this.retry, this.export]);
  }

  query(more = {}) {
    const query = new URLSearchParams({ limit: String(A_PAGE), ...more });
    if (this.state.value) query.set("state", this.state.value);
    if (this.exam) query.set("exam", this.exam);
    return `captures?${query}`;
  }

  restart() {
    this.older = [];
    void this.load();
  }

  async load(ask = get) {
    let told;
    try {
      told = await ask(this.query());
    } catch (error) {
      if (!this.ended) this.counts.textContent = error.message;
      return;
    }
    if (this.ended) return;
    this.show([...told.captures, ...this.older.filter((one) => !told.captures.some(({ id }) => id === one.id))], told);
  }

  async loadMore() {
    const last = this.grid.lastElementChild?.dataset.id;
    const told = await attempt(() => get(this.query({ before: last })));
    if (!told) return;
    this.older.push(...told.captures);
    this.more.hidden = !told.more;
    await this.load();
  }

  show(captures, { states, more, broken }) {
    const known = new Set(captures.map(({ id }) => id));
    for (const [id, card] of this.cards) if (!known.has(id)) { card.node.remove(); this.cards.delete(id); this.chosen.delete(id); }
    captures.forEach((capture, index) => this.place(capture, index));
    const counted = Object.entries(states).filter(([, n]) => n).map(([state, n]) => say("captures.count", { n, state: say(`state.${state}.short`) }));
    this.counts.textContent = [counted.length ? say("captures.objects", { counts: counted.join(" · ") }) : "", broken.length ? say("captures.broken", { n: broken.length }) : ""].filter(Boolean).join(" · ");
    if (!captures.length) fill(this.grid, el("p", { class: "empty" }, say("captures.none")));
    else this.grid.querySelector(".empty")?.remove();
    if (!this.older.length) this.more.hidden = !more;
    if (this.retry) this.retry.hidden = !(states.parked || states.damaged);
    this.choose();
  }

  place(capture, index) {
    let card = this.cards.get(capture.id);
    if (!card) this.cards.set(capture.id, card = this.card(capture));
    card.update(capture);
    if (this.grid.children[index] !== card.node) this.grid.insertBefore(card.node, this.grid.children[index] ?? null);
  }

  card(capture) {
    const tag = el("span", { class: "tag" });
    const image = el("img", { class: "thumb", loading: "lazy", alt: "", src: `${captureUrl(capture.id)}/thumbnail` });
    const frames = Math.max(...capture.objects.map((object) => object.frames));
    const kind = frames > 1 ? say("captures.frames", { kind: sayCode("kind", capture.kind), n: frames }) : sayCode("kind", capture.kind);
    const link = el("a", { class: "captured", href: `#/captures/${capture.id}` }, image,
      el("span", { class: "about" }, el("strong", {}, dayAndTime(capture.captured)), el("span", { class: "dim" }, `${capture.modality} · ${kind}`), tag));
    const box = may("operate") ? el("label", { class: "check about" }, el("input", { type: "checkbox", onchange: (event) => this.choose(capture.id, event.target.checked) }), say("captures.choose")) : null;
    const node = el("div", { class: "card captured", "data-id": capture.id }, link, box);
    return { node, update: (fresh) => {
      const { text, tone, worst } = summary(fresh);
      tag.textContent = text;
      tag.className = `tag ${tone}`;
      node.dataset.state = worst;
    } };
  }

  choose(id = "", on = false) {
    if (id && on) this.chosen.add(id);
    else if (id) this.chosen.delete(id);
    if (!this.export) return;
    this.export.disabled = !this.chosen.size;
    this.export.lastElementChild.textContent = this.chosen.size ? say("export.some", { n: this.chosen.size }) : say("export.choose");
  }

  async retryAll() {
    const told = await attempt(() => post("captures/retry"));
    if (told) notice(say("captures.retried", { n: told.retried }));
    await this.load();
  }
}
