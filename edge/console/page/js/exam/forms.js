// What can be typed about a patient and an order, and what may be told of the exam itself.
import { choice, el, field } from "../parts/dom.js";
import { toDicomDate } from "../parts/format.js";
import { say } from "../parts/say.js";
import { patientOf } from "./typed.js";

function text(name, more = {}) {
  return el("input", { name, autocomplete: "off", spellcheck: "false", ...more });
}

/** A form that gives {patient, order} or {barcode}. */
export function typedForm({ act, chosen }) {
  const barcode = text("barcode");
  const inputs = {
    family: text("family"), given: text("given"), id: text("id"), accession: text("accession"),
    birth: text("birth", { type: "date" }), procedure: text("procedure"),
  };
  const gender = choice([["", "–"], ["F", say("sex.F")], ["M", say("sex.M")], ["O", say("sex.O")]], "", { name: "sex" });
  const wrong = el("p", { class: "wrong whole", role: "alert" });
  const form = el("form", { class: "form" },
    el("div", { class: "whole" }, field(say("typed.barcode"), barcode)),
    field(say("typed.family"), inputs.family), field(say("typed.given"), inputs.given), field(say("exam.id"), inputs.id),
    field(say("exam.birth"), inputs.birth), field(say("exam.sex"), gender), field(say("exam.accession"), inputs.accession),
    field(say("exam.procedure"), inputs.procedure), wrong,
    el("div", { class: "row whole actions" }, el("button", { type: "submit", class: "first" }, act)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]));
    const who = patientOf({ ...values, birth: toDicomDate(values.birth), sex: gender.value, barcode: barcode.value.trim() });
    wrong.textContent = who ? "" : say("typed.nothing");
    if (who) void chosen(who);
  });
  return form;
}

/** What may be told of the exam whoever the patient is. */
export function details() {
  const operator = text("operator");
  const part = text("body_part", { maxlength: "16" });
  const side = choice([["", "–"], ["L", say("laterality.L")], ["R", say("laterality.R")], ["B", say("laterality.B")]], "", { name: "laterality" });
  const stat = el("input", { type: "checkbox", name: "stat" });
  const implant = el("input", { type: "checkbox", name: "implant" });
  const node = el("div", { class: "form whole details" },
    field(say("exam.operator"), operator), field(say("exam.body-part"), part), field(say("exam.laterality"), side),
    el("label", { class: "check" }, stat, say("priority.stat")), el("label", { class: "check" }, implant, say("exam.implant")));
  const read = () => ({
    operator: operator.value.trim(), body_part: part.value.trim().toUpperCase().replaceAll(" ", "_"), laterality: side.value,
    implant: implant.checked, priority: stat.checked ? "stat" : "routine",
  });
  return { node, read };
}
