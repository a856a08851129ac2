// The exam: whose pictures they are. Open one, close it, correct it, discard it.
import { get, poll, post } from "../api.js";
import { onEvent } from "../feed.js";
import { button, el, facts, fill } from "../parts/dom.js";
import { dayAndTime, dicomDate, dicomDayTime, personName, sex } from "../parts/format.js";
import { say, sayCode } from "../parts/say.js";
import { attempt, confirm, notice } from "../parts/tell.js";
import { may } from "../session.js";
import { Chooser } from "./chooser.js";

export function open(host) {
  const view = new ExamView(host);
  const end = onEvent(({ event }) => event.startsWith("exam.") && !view.choosing && void view.load({ ask: poll }));
  void view.load();
  return () => { end(); view.ended = true; };
}

class ExamView {
  constructor(host) {
    this.ended = false;
    this.told = "";
    this.choosing = false;
    this.page = el("div", { class: "page" }, el("h1", {}, say("exam.title")), this.body = el("div", { class: "list" }));
    host.append(this.page);
  }

  /** Draws anew only what has changed: an event and an answer may tell the same. */
  async load({ anew = false, ask = get } = {}) {
    const told = await attempt(() => ask("exam"));
    const text = JSON.stringify(told);
    if (!told || this.ended || (text === this.told && !anew)) return;
    this.told = text;
    this.choosing = false;
    fill(this.body, told.exam ? this.openExam(told.exam) : this.noExam());
    const waiting = (told.uncorrected ?? []).filter((uid) => uid !== told.exam?.uid);
    if (waiting.length) this.body.append(this.uncorrected(waiting));
  }

  // ------------------------------------------------ one is open

  openExam(exam) {
    const { patient, order } = exam;
    const card = el("section", { class: `card exam-open ${exam.provisional ? "provisional" : ""}` },
      el("div", { class: "row spread" },
        el("h2", { class: "name" }, exam.provisional ? say("live.emergency") : personName(patient.name) || say("exam.no-name")),
        el("span", { class: `tag ${exam.provisional ? "warn" : "good"}` }, say(exam.provisional ? "exam.provisional" : `origin.${exam.origin}`))),
      exam.provisional ? el("p", { class: "warn-text" }, say("exam.provisional-hint")) : null,
      facts(factsOf(exam, patient, order)),
      el("p", { class: "dim" }, say("exam.captures", { n: exam.captures.length })),
      exam.correcting ? el("p", { class: "warn-text" }, say("exam.correcting")) : null);
    if (may("operate")) card.append(this.actions(exam));
    else card.append(el("p", { class: "dim small" }, say("role.may-not")));
    return card;
  }

  actions(exam) {
    const correct = button(say("exam.correct"), () => this.correct(exam.uid, exam.provisional), { kind: exam.provisional ? "first" : "" });
    const close = button(say("exam.close"), () => this.close(exam), { kind: exam.provisional ? "" : "first" });
    const mayDiscard = may(exam.captures.length ? "administer" : "operate");  // captures are thrown away by administrators alone
    const discard = mayDiscard ? button(say("exam.discard"), () => this.discard(exam), { kind: "danger" }) : null;
    return el("div", { class: "row" }, close, correct, discard);
  }

  async close(exam) {
    if (exam.provisional && !await confirm({ title: say("exam.close"), text: say("exam.close-provisional"), yes: say("exam.close") })) return;
    if (await attempt(() => post("exam/close"))) notice(say("exam.closed"));
    await this.load();
  }

  async discard(exam) {
    const n = exam.captures.length;
    const text = n ? say("exam.discard-captures", { n }) : say("exam.discard-none");
    if (!await confirm({ title: say("exam.discard"), text, yes: n ? say("exam.discard-yes", { n }) : say("exam.discard"), danger: true })) return;
    if (await attempt(() => post("exam/discard", { captures_too: n > 0 }))) notice(say("exam.discarded"), "warn");
    await this.load();
  }

  correct(uid, provisional) {
    this.choosing = true;
    const chooser = new Chooser({
      title: say(provisional ? "exam.correct-emergency" : "exam.correct"),
      hint: say(provisional ? "exam.correct-emergency-hint" : "exam.correct-hint"),
      corrects: true,
      chosen: async (who) => {
        const told = await attempt(() => post("exam/correct", { exam: uid, ...who }));
        if (!told) return;
        notice(told.left?.length ? say("exam.corrected-left", { n: told.left.length }) : say("exam.corrected"), told.left?.length ? "warn" : "good");
        await this.load({ anew: true });
      },
      left: () => void this.load({ anew: true }),
    });
    fill(this.body, chooser.node);
    chooser.start();
  }

  // ------------------------------------------------ none is open

  noExam() {
    if (!may("operate")) return el("p", { class: "empty" }, say("exam.none"));
    this.choosing = true;
    const chooser = new Chooser({
      title: say("exam.open"),
      hint: say("exam.open-hint"),
      chosen: async (who) => {
        const told = await attempt(() => post("exam", who));
        if (!told) return;
        notice(say("exam.opened"));
        await this.load();
      },
    });
    chooser.start();
    return chooser.node;
  }

  uncorrected(uids) {
    return el("section", { class: "card" },
      el("h2", {}, say("exam.uncorrected", { n: uids.length })),
      el("p", { class: "warn-text" }, say("exam.uncorrected-hint")),
      uids.map((uid) => el("div", { class: "row spread" },
        el("a", { class: "button", href: `#/captures/of/${uid}` }, say("exam.see-captures", { uid })),
        may("operate") ? button(say("exam.correct"), () => this.correct(uid, true)) : null)));
  }
}

function factsOf(exam, patient, order) {
  const pairs = [
    ["exam.id", exam.provisional ? "" : patient.id], ["exam.birth", dicomDate(patient.birth_date)], ["exam.sex", sex(patient.sex)],
    ["exam.accession", order.accession], ["exam.procedure", order.procedure || order.step], ["exam.scheduled", dicomDayTime(order.scheduled)],
    ["exam.referring", personName(order.referring)], ["exam.operator", exam.operator], ["exam.body-part", exam.body_part],
    ["exam.laterality", exam.laterality && sayCode("laterality", exam.laterality)], ["exam.implant", exam.implant && say("yes")],
    ["exam.priority", exam.priority === "stat" && say("priority.stat")], ["exam.preset", exam.preset], ["exam.opened-at", dayAndTime(exam.opened)],
  ];
  return pairs.filter(([, value]) => value).map(([key, value]) => [say(key), value]);
}
