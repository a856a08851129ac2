// The day's list: search it, touch a patient, confirm.
import { post } from "../api.js";
import { feed } from "../feed.js";
import { button, el, field, fill } from "../parts/dom.js";
import { dayAndTime, dicomDayTime, patientLine, personName, span } from "../parts/format.js";
import { say } from "../parts/say.js";

let asking = Promise.resolve(); // the appliance asks its worklist one question at a time

/** Waits for a question that is on its way already; one that nobody waits for any more is not asked. */
function ask(question, isWanted) {
  const answer = asking.catch(() => {}).then(() => (isWanted() ? post("worklist", question) : { items: [], stale: null }));
  asking = answer;
  return answer;
}

export class WorklistPicker {
  constructor({ act, chosen, more = null }) {
    this.act = act;
    this.chosen = chosen;
    this.item = null;
    this.accession = el("input", { name: "accession", autocomplete: "off", spellcheck: "false" });
    this.id = el("input", { name: "patient_id", autocomplete: "off", spellcheck: "false" });
    this.told = el("p", { class: "dim", role: "status" });
    this.stale = ""; // in words, where the list is not of now
    this.old = el("p", { class: "notice bad", role: "alert", hidden: true });
    this.rows = el("ul", { class: "list" });
    this.confirm = el("div", { class: "row", hidden: true });
    this.more = more;
    const form = el("form", { class: "form", onsubmit: (event) => { event.preventDefault(); void this.load(); } },
      field(say("exam.accession"), this.accession), field(say("exam.id"), this.id), el("button", { type: "submit" }, say("worklist.ask")));
    this.node = el("div", { class: "list" }, form, this.told, this.old, this.rows, this.confirm);
  }

  async load() {
    if (feed.status && feed.status.console?.worklist === false) return this.say(say("worklist.none"));
    this.say(say("worklist.asking"));
    this.select(null);
    this.showStale(null);
    fill(this.rows, []);
    try {
      const question = { accession: this.accession.value.trim(), patient_id: this.id.value.trim() };
      const { items, stale } = await ask(question, () => this.node.isConnected);
      this.say(say("worklist.found", { n: items.length }));
      this.showStale(stale);
      fill(this.rows, items.map((item) => el("li", {}, this.row(item))));
    } catch (error) {
      this.say(error.message, true);
    }
  }

  say(text, wrong = false) {
    this.told.textContent = text;
    this.told.className = wrong ? "wrong" : "dim";
  }

  /** The worklist did not answer, and this is what it said once: whoever is listed may have gone, who has come is missing. */
  showStale(stale) {
    this.stale = stale ? say("worklist.stale", { age: span(stale.age_minutes), asked: dayAndTime(stale.asked), why: stale.why }) : "";
    this.old.hidden = !this.stale;
    this.old.textContent = this.stale;
  }

  row(item) {
    const { patient, order } = item;
    return el("button", { type: "button", "aria-pressed": "false", "data-key": item.key, onclick: () => this.select(item) },
      el("span", {}, el("strong", { class: "name" }, personName(patient.name) || say("exam.no-name")), el("small", {}, patientLine(patient))),
      el("span", {}, order.procedure || order.step, el("small", {}, order.accession)),
      el("span", { class: "figure" }, dicomDayTime(order.scheduled)));
  }

  select(item) {
    this.item = item;
    for (const row of this.rows.querySelectorAll("button")) row.setAttribute("aria-pressed", String(row.dataset.key === item?.key));
    this.confirm.hidden = !item;
    if (!item) return;
    const name = personName(item.patient.name) || item.patient.id;
    fill(this.confirm, [this.more, this.stale ? el("p", { class: "warn-text whole" }, this.stale) : null, button(`${this.act} ${name}`, () => this.chosen(item), { kind: "first" })]);
    this.confirm.scrollIntoView({ block: "nearest" });
  }
}
