// The buttons beside the picture, and their keys. What they do to the device needs the role to operate it.
import { post } from "../api.js";
import { feed } from "../feed.js";
import { button, el, fill, icon } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { attempt } from "../parts/tell.js";
import { may } from "../session.js";
import { CaptureButtons } from "./capture.js";
import { More } from "./more.js";
import { ExamChip } from "./patient.js";
import { Strength } from "./strength.js";

export class Controls {
  constructor(view) {
    this.view = view;
    this.operates = may("operate");
    this.more = new More(view);
    this.patient = new ExamChip();
    this.strength = new Strength(view);
    this.capture = new CaptureButtons(view);
    this.build();
  }

  build() {
    const look = (looked) => () => this.view.look(looked);
    this.enhanced = button(say("live.enhanced"), look("picture"), { title: say("key.original") });
    this.original = button(say("live.original"), look("original"), { title: say("key.original") });
    this.split = button(say("live.split"), () => this.toggleSplit(), { picture: "split", title: say("key.split") });
    this.map = button(say("live.change"), () => this.view.change(!this.view.screen.withChange), { picture: "map", title: say("key.change") });
    this.freeze = button("", () => this.toggleFreeze(), { kind: "freeze", title: say("key.freeze") });
    this.others = button(say("live.more"), () => this.more.open());
    this.node = el("section", { class: "controls", "aria-label": say("live.controls") },
      this.patient.node,
      el("div", { class: "joined", role: "group", "aria-label": say("live.look") }, this.enhanced, this.original),
      el("div", { class: "pair" }, this.split, this.map),
      this.strength.node,
      el("div", { class: "pair" }, this.freeze, this.others),
      this.capture.node);
  }

  toggleSplit() {
    this.view.look(this.view.looked === "split" ? "picture" : "split");
  }

  async toggleFreeze() {
    const { view } = this;
    const { freezing, stream } = view;
    const frozen = !freezing.isFrozen;
    if (frozen) view.freeze({ localOnly: !this.operates });
    else view.unfreeze({ asked: this.operates });
    if (!this.operates) return;
    const done = await attempt(() => post("picture", { stream, frozen }));
    if (done || view.freezing !== freezing) return; // another stream is looked at by now
    if (frozen) view.notFrozen();
    else freezing.notReleased();
  }

  status(status, streams) {
    const stream = feed.connected ? status.streams?.[this.view.stream] : undefined;
    void this.patient.status(status);
    this.strength.status(stream);
    this.capture.status(stream);
    this.more.status(status, streams);
  }

  /** After anything has changed: which buttons are down, which can be pressed. */
  update() {
    const { view } = this;
    press(this.enhanced, view.looked === "picture");
    press(this.original, view.looked === "original");
    press(this.split, view.looked === "split");
    press(this.map, view.screen.withChange);
    const { isFrozen } = view.freezing;
    press(this.freeze, isFrozen);
    const text = say(isFrozen ? "live.unfreeze" : "live.freeze");
    if (this.freeze.dataset.text !== text) {
      this.freeze.dataset.text = text;
      fill(this.freeze, [icon(isFrozen ? "live" : "freeze"), el("span", {}, text)]);
    }
    const hasPicture = Boolean(view.shown);
    for (const one of [this.freeze, this.split, this.map]) one.disabled = !hasPicture;
    this.capture.update();
  }

  end() {
    this.patient.end();
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, select, textarea")) return;
    const onButton = event.target.closest?.("button, a");
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    const act = this.keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  keys = {
    " ": () => !this.freeze.disabled && this.toggleFreeze(),
    o: () => this.view.look(this.view.looked === "original" ? "picture" : "original"),
    s: () => !this.split.disabled && this.toggleSplit(),
    m: () => !this.map.disabled && this.map.click(),
    c: () => this.capture.still.click(),
    v: () => this.capture.clip.click(),
    l: () => this.capture.back.click(),
    b: () => this.capture.burst.click(),
    "+": () => this.strength.step(10),
    "-": () => this.strength.step(-10),
    arrowup: () => this.view.tone.brighten(1),
    arrowdown: () => this.view.tone.brighten(-1),
    pageup: () => this.view.tone.sharpen(1),
    pagedown: () => this.view.tone.sharpen(-1),
    0: () => this.view.tone.reset(),
    arrowleft: () => this.view.cine.step(-1),
    arrowright: () => this.view.cine.step(1),
  };
}

function press(node, down) {
  const text = String(Boolean(down));
  if (node.getAttribute("aria-pressed") !== text) node.setAttribute("aria-pressed", text);
}

