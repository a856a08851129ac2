// How much the engine may do: minus, a slider, plus. Sends ten changes a second at most, the last one always.
import { post } from "../api.js";
import { button, el, put } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { attempt } from "../parts/tell.js";
import { may } from "../session.js";

const EVERY_MS = 120;
const SETTLES_MS = 1500; // after a change of our own the status may still tell the one before

export class Strength {
  constructor(view) {
    this.view = view;
    this.value = null;
    this.changedMs = -Infinity;
    this.timer = 0;
    this.slider = el("input", { type: "range", min: "0", max: "100", step: "5", "aria-label": say("live.strength"), oninput: () => this.set(Number(this.slider.value)) });
    this.told = el("output", { class: "figure" }, "–");
    this.less = button(say("live.less"), () => this.step(-10), { picture: "minus", kind: "icon-only", title: "-" });
    this.plus = button(say("live.plus"), () => this.step(10), { picture: "plus", kind: "icon-only", title: "+" });
    this.node = el("div", { class: "strength", role: "group", "aria-label": say("live.strength") }, this.less,
      el("div", { class: "middle" }, el("div", { class: "told" }, el("span", { class: "dim" }, say("live.strength")), this.told), this.slider), this.plus);
    this.enable(false);
  }

  enable(can) {
    for (const part of [this.slider, this.less, this.plus]) part.disabled = !can;
  }

  status(stream) {
    this.enable(Boolean(stream) && may("operate"));
    if (!stream) this.forget();
    else if (performance.now() - this.changedMs > SETTLES_MS) this.show(stream.strength_percent);
  }

  /** What was told once is not told as what is. */
  forget() {
    this.value = null;
    this.slider.setAttribute("aria-valuetext", "–");
    put(this.told, "–");
  }

  show(percent) {
    this.value = percent;
    this.slider.value = String(percent);
    this.slider.setAttribute("aria-valuetext", `${Math.round(percent)} %`);
    put(this.told, `${Math.round(percent)} %`);
  }

  step(by) {
    if (!this.slider.disabled && this.value !== null) this.set(this.value + by);
  }

  set(percent) {
    this.changedMs = performance.now();
    this.show(Math.min(100, Math.max(0, percent)));
    this.timer ||= setTimeout(() => this.send(), EVERY_MS);
  }

  async send() {
    this.timer = 0;
    if (this.value === null) return;
    const done = await attempt(() => post("picture", { stream: this.view.stream, strength_percent: this.value }));
    if (!done) this.changedMs = -Infinity; // the status puts back what is so
  }
}
