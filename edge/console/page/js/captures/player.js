// Shows a capture's frames: original or enhanced, played with the frame times it was taken with, or step by step.
import { getFrame } from "../api.js";
import { button, el, fill, icon, put } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { frameDurations } from "./timing.js";

const AHEAD = 8; // frames that are fetched before they are due
const WIDTH = 960;

export class Player {
  constructor(host, capture) {
    this.capture = capture;
    this.objects = capture.objects.map(({ name }) => name).join();
    this.byRole = Object.fromEntries(capture.objects.map((object) => [object.role, object]));
    this.role = this.byRole.enhanced ? "enhanced" : capture.objects[0]?.role;
    this.frames = Math.max(1, ...capture.objects.map(({ frames }) => frames));
    this.durations = frameDurations(capture.picture?.frame_ms, this.frames);
    this.cache = new Map();
    this.frame = this.frames > 1 ? 0 : Math.floor(this.frames / 2);
    this.timer = 0;
    this.build(host);
    void this.show();
  }

  build(host) {
    this.image = el("img", { alt: say("player.picture") });
    this.roles = Object.keys(this.byRole).map((role) => button(say(`role.${role}`), () => this.look(role), { "data-role": role }));
    this.label = el("span", { class: "tag" });
    this.slider = el("input", { type: "range", min: "0", max: String(this.frames - 1), value: "0", "aria-label": say("player.frame"), oninput: () => this.go(Number(this.slider.value)) });
    this.place = el("output", { class: "figure" });
    this.playing = button("", () => this.toggle(), { kind: "icon-only" });
    const step = (picture, by, text) => button(text, () => { this.pause(); this.go(this.frame + by); }, { picture, kind: "icon-only" });
    this.fault = el("p", { class: "empty", hidden: true }, say("player.fault"));
    fill(host, [this.image, this.fault,
      this.frames > 1 ? el("div", { class: "cine" }, this.playing, step("left", -1, say("live.step-back")), this.slider, step("right", 1, say("live.step-on")), this.place) : null,
      el("div", { class: "cine" }, el("div", { class: "joined", role: "group", "aria-label": say("live.look") }, this.roles), this.label)]);
    this.showButtons();
  }

  look(role) {
    this.role = role;
    this.showButtons();
    void this.show();
  }

  go(frame) {
    this.frame = (frame + this.frames) % this.frames;
    void this.show();
  }

  toggle() {
    if (this.timer) this.pause();
    else this.play();
  }

  play() {
    this.timer = setTimeout(async () => {
      const due = performance.now() + this.durations[(this.frame + 1) % this.frames];
      this.frame = (this.frame + 1) % this.frames;
      await this.show();
      if (this.timer) this.wait(due);
    }, 0);
    this.showButtons();
  }

  /** The next frame when it is due, or as soon as this one has come: never two at once. */
  wait(due) {
    this.timer = setTimeout(() => this.play(), Math.max(0, due - performance.now()));
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.showButtons();
  }

  async show() {
    const { role, frame } = this;
    for (let ahead = 1; ahead <= Math.min(AHEAD, this.frames - 1); ahead += 1) void this.fetched(role, (frame + ahead) % this.frames);
    const picture = await this.fetched(role, frame);
    if (role !== this.role || frame !== this.frame || this.ended) return;
    this.fault.hidden = Boolean(picture);
    this.image.hidden = !picture;
    if (picture && this.image.src !== picture.src) this.image.src = picture.src;
    this.image.dataset.frame = frame;
    this.image.dataset.role = role;
    this.image.dataset.object = this.byRole[role].name;
    this.label.className = `tag ${role === "enhanced" ? "good" : "warn"}`; // with the picture, not before it
    put(this.label, say(`badge.${role}`));
    this.slider.value = String(frame);
    put(this.place, say("player.place", { frame: frame + 1, frames: this.frames }));
  }

  /** A decoded picture, or null where it cannot be shown. */
  fetched(role, frame) {
    const key = `${role} ${frame}`;
    if (!this.cache.has(key)) this.cache.set(key, this.fetch(role, frame));
    return this.cache.get(key);
  }

  /** The browser itself may keep nothing of it: after a log-out there would still be somebody's pictures. */
  async fetch(role, frame) {
    const picture = new Image();
    try {
      picture.src = URL.createObjectURL(await getFrame(this.capture.id, this.byRole[role].name, frame, WIDTH, deep(this.capture.picture)));
      if (this.ended) throw new Error("nobody looks any more");
      await picture.decode();
      return picture;
    } catch {
      URL.revokeObjectURL(picture.src);
      this.cache.delete(`${role} ${frame}`);
      return null;
    }
  }

  showButtons() {
    for (const one of this.roles) one.setAttribute("aria-pressed", String(one.dataset.role === this.role));
    const playing = Boolean(this.timer);
    fill(this.playing, [icon(playing ? "freeze" : "live"), el("span", {}, say(playing ? "player.pause" : "player.play"))]);
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    for (const one of this.cache.values()) void one.then((picture) => picture && URL.revokeObjectURL(picture.src));
    this.cache.clear();
  }
}

/** Levels for pictures of more than 8 bits: those that the capture says. */
function deep(picture) {
  return picture && picture.bits > 8 ? picture.window : null;
}
