// Whose pictures these are: the chip above the buttons. It leads to the exam.
import { get } from "../api.js";
import { el, fill, icon } from "../parts/dom.js";
import { patientLine, personName } from "../parts/format.js";
import { say } from "../parts/say.js";

export class ExamChip {
  constructor() {
    this.key = null;
    this.node = el("a", { class: "button patient", href: "#/exam" }, el("span", { class: "dim" }, say("live.no-exam")));
  }

  /** The status never names a patient: who it is is asked for when the exam changes. */
  async status({ exam }) {
    const key = exam ? `${exam.uid} ${exam.provisional}` : "";
    if (key === this.key) return;
    this.key = key;
    try {
      const told = exam ? (await get("exam")).exam : null;
      if (key === this.key) this.show(told);
    } catch {
      this.key = null; // asked again with the next status
    }
  }

  show(exam) {
    if (!exam) {
      fill(this.node, [icon("person"), el("span", { class: "dim" }, say("live.no-exam"))]);
    } else if (exam.provisional) {
      fill(this.node, [icon("warning"), el("span", { class: "who" }, el("strong", {}, say("live.emergency")), el("small", {}, say("live.emergency-hint")))]);
    } else {
      fill(this.node, [icon("person"), el("span", { class: "who" }, el("strong", {}, personName(exam.patient.name) || say("exam.no-name")), el("small", {}, patientLine({ ...exam.patient, sex: "" })))]);
    }
    this.node.classList.toggle("provisional", Boolean(exam?.provisional));
  }
}
