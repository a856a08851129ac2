// Three ways to say who the patient is: from the worklist, typed in (or by barcode), or not known yet.
import { button, el, fill } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { details, typedForm } from "./forms.js";
import { WorklistPicker } from "./worklist.js";

export class Chooser {
  constructor({ title, hint, chosen, left = null, corrects = false }) {
    this.chosen = chosen;
    this.corrects = corrects;
    this.details = corrects ? null : details();
    this.tabs = {};
    const ways = corrects ? ["worklist", "typed"] : ["worklist", "typed", "emergency"];
    const list = el("div", { class: "tabs", role: "tablist", "aria-label": title }, ways.map((way) => this.tab(way)));
    this.panel = el("div", { role: "tabpanel", class: "card" });
    this.node = el("section", { class: "list", "aria-label": title },
      el("div", { class: "row spread" }, el("h2", {}, title), left ? button(say("cancel"), left) : null),
      el("p", { class: "dim" }, hint), list, this.panel);
  }

  tab(way) {
    const text = say(`way.${way}`);
    this.tabs[way] = el("button", { type: "button", role: "tab", onclick: () => this.show(way), class: way === "emergency" ? "danger" : null }, text);
    return this.tabs[way];
  }

  start() {
    this.show("worklist");
  }

  show(way) {
    for (const [name, tab] of Object.entries(this.tabs)) tab.setAttribute("aria-selected", String(name === way));
    fill(this.panel, this[way]());
  }

  choose(who) {
    return this.chosen({ ...who, ...(this.details?.read() ?? {}) });
  }

  worklist() {
    const picker = new WorklistPicker({ act: say(this.corrects ? "exam.correct-with" : "exam.open-with"), chosen: (item) => this.choose({ item: item.key }), more: this.details?.node });
    void picker.load();
    return picker.node;
  }

  typed() {
    const form = typedForm({ act: say(this.corrects ? "exam.correct-now" : "exam.open-now"), chosen: (who) => this.choose(who) });
    if (this.details) form.querySelector(".actions").before(this.details.node);
    return form;
  }

  emergency() {
    return el("div", { class: "list" }, el("p", {}, say("exam.emergency-hint")),
      button(say("exam.emergency-now"), () => this.choose({}), { kind: "first" }));
  }
}
