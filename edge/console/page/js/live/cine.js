// The scroll bar under a frozen picture: back through the last seconds that this page has kept.
import { button, el, put } from "../parts/dom.js";
import { say } from "../parts/say.js";

export class Cine {
  constructor(scrolled) {
    this.scrolled = scrolled;
    this.held = null;
    this.slider = el("input", { type: "range", min: "0", step: "1", "aria-label": say("live.scroll"), oninput: () => this.go(Number(this.slider.value)) });
    this.place = el("output", { class: "figure" });
    const step = (picture, by, text) => button(text, () => this.step(by), { picture, kind: "icon-only" });
    this.node = el("div", { class: "cine", hidden: true },
      step("left", -1, say("live.step-back")), this.slider, step("right", 1, say("live.step-on")), this.place);
  }

  hold(held) {
    this.held = held;
    this.node.hidden = !held;
    if (!held) return;
    this.slider.max = String(Math.max(0, held.length - 1));
    this.slider.disabled = held.length < 2;
    this.show();
  }

  go(place) {
    if (!this.held) return;
    this.held.go(place);
    this.show();
    this.scrolled(this.held);
  }

  step(by) {
    if (this.held) this.go(this.held.place + by);
  }

  show() {
    this.slider.value = String(this.held.place);
    const seconds = this.held.seconds;
    const text = this.held.isLast ? say("live.at-freeze") : say("live.before-freeze", { seconds: (-seconds).toFixed(1) });
    put(this.place, text);
    this.slider.setAttribute("aria-valuetext", text);
  }
}
