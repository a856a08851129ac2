// Whose pictures these are: the chip above the buttons. It leads to the exam.
import { poll } from "../api.js";
import { feed, onEvent } from "../feed.js";
import { el, fill, icon } from "../parts/dom.js";
import { patientLine, personName } from "../parts/format.js";
import { say } from "../parts/say.js";

const ANSWERED_MS = 4000; // or it is asked again

export class ExamChip {
  constructor() {
    this.key = null;
    this.node = el("a", { class: "button patient", href: "#/exam" });
    this.showUnknown();
    // Corrected, it is the same exam with another patient.
    this.end = onEvent(({ event }) => { if (event.startsWith("exam.")) this.key = null; });
  }

  /** The status never names a patient: who it is is asked for when the exam changes. Until it is known, nobody is named. */
  async status({ exam, daemon }) {
    if (!feed.connected || daemon?.answers === false) {
      this.key = null;
      return this.showUnknown();
    }
    const key = exam ? `${exam.uid} ${exam.provisional}` : "";
    if (key === this.key) return;
    this.key = key;
    if (!exam) return this.show(null);
    this.showUnknown();
    try {
      const told = (await poll("exam", ANSWERED_MS)).exam;
      if (key === this.key) this.show(told);
    } catch {
      if (key === this.key) this.key = null; // asked again with the next status
    }
  }

  showUnknown() {
    fill(this.node, [icon("wait"), el("span", { class: "dim" }, say("live.exam-unknown"))]);
    this.node.classList.remove("provisional");
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
