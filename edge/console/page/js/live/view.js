// The live view: the picture, what it is, how old it is, and the buttons beside it.
import { feed, onStatus } from "../feed.js";
import { el, fill, put } from "../parts/dom.js";
import { milliseconds } from "../parts/format.js";
import { say } from "../parts/say.js";
import { alarm } from "../parts/tell.js";
import { badge } from "./badge.js";
import { Cine } from "./cine.js";
import { Controls } from "./controls.js";
import { Divider } from "./divider.js";
import { Freezing } from "./freezing.js";
import { History } from "./history.js";
import { mayStand } from "./liveness.js";
import { ageMs } from "./message.js";
import { Pictures } from "./pictures.js";
import { Screen } from "./screen.js";
import { Tone } from "./tone.js";

let chosen = ""; // the stream that a person asked for, as long as the page is open: no other takes its place

export function open(host, [asked]) {
  chosen = asked || chosen;
  const view = new LiveView(host);
  return () => view.end();
}

class LiveView {
  constructor(host) {
    this.stream = "";
    this.heard = new Set(); // the streams that were ever told of
    this.pictures = null;
    this.freezing = new Freezing(new History());
    this.looked = "picture";
    this.build(host);
    this.screen = new Screen(this.canvas, () => this.drawn());
    this.tone = new Tone(this.canvas, () => this.showBadge());
    this.divider = new Divider(this.glass, this.canvas, (divider) => this.screen?.look({ divider }));
    this.controls = new Controls(this);
    host.replaceChildren(el("div", { class: "live-view" }, this.stage, this.controls.node));
    this.endStatus = onStatus((status) => this.status(status));
    this.timer = setInterval(() => this.tick(), 100);
    this.keys = (event) => this.controls.key(event);
    addEventListener("keydown", this.keys);
    this.sizes = new ResizeObserver(() => this.ask());
    this.sizes.observe(this.glass);
    this.showState();
  }

  build() {
    this.title = el("strong", { class: "title" });
    this.detail = el("span", { class: "detail" });
    this.name = el("span", { class: "tag stream", hidden: true });
    this.frozen = el("span", { class: "tag frozen", hidden: true });
    this.recording = el("span", { class: "tag recording", hidden: true }, say("live.recording"));
    this.age = el("span", { class: "age figure", "aria-label": say("live.age") });
    this.strip = el("div", { class: "strip", "data-kind": "none" },
      el("div", { class: "badge", role: "status" }, this.title, this.detail), this.name, this.recording, this.frozen, this.age);
    this.canvas = el("canvas", { width: 640, height: 480, role: "img", "aria-label": say("live.picture") });
    this.stopped = el("div", { class: "not-live", role: "alert", hidden: true });
    this.legend = el("p", { hidden: true });
    this.toned = el("p", { hidden: true });
    this.glass = el("div", { class: "glass" }, this.canvas, el("div", { class: "plates" }, this.toned, this.legend), this.stopped);
    this.cine = new Cine((held) => this.scrolled(held));
    this.stage = el("section", { class: "stage", "aria-label": say("nav.live") }, this.strip, this.glass, this.cine.node);
  }

  // ------------------------------------------------ which stream

  status(status) {
    const names = Object.keys(status.streams ?? {});
    for (const name of names) this.heard.add(name);
    this.controls.status(status, names);
    const stream = chosen || (names.includes(this.stream) ? this.stream : names[0] ?? this.stream);
    if (stream !== this.stream) this.watch(stream);
    this.showName();
  }

  choose(stream) {
    chosen = stream;
    this.watch(stream);
    this.showName();
  }

  /** Whose picture this is, where it could be another's. */
  showName() {
    this.name.hidden = new Set([...this.heard, this.stream]).size < 2;
    put(this.name, this.stream);
  }

  watch(stream) {
    this.pictures?.end();
    this.stream = stream;
    this.freezing = new Freezing(new History());
    this.header = this.shown = null;
    this.screen.forget();
    this.tone.reset();
    this.cine.hold(null);
    this.pictures = new Pictures(stream, this.wishes(), { picture: (message) => this.picture(message), state: () => this.showState() });
  }

  wishes() {
    const width = Math.round(this.glass.clientWidth * Math.min(2, devicePixelRatio || 1));
    return { view: "pair", change: this.screen.withChange, width, window: this.controls.more.window };
  }

  ask() {
    this.pictures?.ask(this.wishes());
  }

  // ------------------------------------------------ what comes

  picture(message) {
    if (this.freezing.picture(message)) this.display(message);
    if (this.freezing.isFrozen) this.cine.hold(this.freezing.held);
  }

  display(message) {
    this.screen.show(message);
  }

  /** The picture has changed: from here on everything is said of this one. */
  drawn() {
    this.shown = this.screen.stands.message;
    this.header = this.shown.header;
    this.showBadge();
  }

  scrolled(held) {
    if (held.picture) this.display(held.picture);
    this.showState();
  }

  // ------------------------------------------------ what the buttons do

  look(looked) {
    this.looked = looked;
    this.divider.shown = looked === "split";
    this.screen.look({ looked });
    this.showState();
  }

  change(withChange) {
    this.screen.look({ withChange });
    this.ask();
    this.showState();
  }

  freeze(options) {
    this.freezing.press(performance.now(), options);
    this.cine.hold(this.freezing.held);
    this.showState();
  }

  unfreeze(options) {
    this.freezing.release(performance.now(), options);
    this.cine.hold(null);
    this.showState();
  }

  /** The device answered that it does not freeze, or answered nothing. */
  notFrozen() {
    if (this.freezing.notConfirmed()) alarm(say("live.frozen-alone"));
    this.showState();
  }

  get isScrolledBack() {
    return this.freezing.isFrozen && !this.freezing.held.isLast;
  }

  // ------------------------------------------------ what is said about it

  tick() {
    if (!this.shown || this.freezing.isFrozen) put(this.age, "");
    else put(this.age, milliseconds(this.ageNow(performance.now())));
  }

  /** Of what stands: a notice about it renews its age; one that is newer and cannot be drawn does not. */
  ageNow(now) {
    const { header, arrivedMs } = this.pictures;
    return header?.seq === this.header.seq ? ageMs(header, arrivedMs, now) : now - this.shown.takenMs;
  }

  showState() {
    const state = this.pictures ? this.pictures.state : feed.connected || !feed.status ? "connecting" : "socket";
    this.hearFreezing(state);
    this.showBadge();
    this.showStopped(state);
    this.recording.hidden = !this.pictures?.header?.recording;
    this.controls.update();
  }

  hearFreezing(state) {
    const { freezing } = this;
    const now = performance.now();
    const liveness = this.pictures?.liveness;
    const heard = liveness?.open && liveness.heardMs !== null;
    if (heard && freezing.device(this.pictures.header.frozen, now)) {
      this.cine.hold(freezing.held);
      if (freezing.held?.picture) this.display(freezing.held.picture);
    }
    if (freezing.late(now)) alarm(say("live.frozen-alone"));
    this.frozen.hidden = !freezing.isFrozen && state !== "frozen";
    put(this.frozen, say(freezing.localOnly ? "live.frozen-here" : freezing.isPending ? "live.freezing" : "live.frozen"));
  }

  showBadge() {
    const told = badge(this.header, this.screen.stands?.looked ?? this.looked);
    this.strip.dataset.kind = told.kind;
    this.strip.classList.toggle("caution", told.caution === true);
    put(this.title, told.title);
    put(this.detail, told.detail);
    const { tone } = this;
    this.toned.hidden = tone.isPlain;
    put(this.toned, say("live.tone", { brightness: signed(tone.brightness), contrast: tone.contrast }));
    this.legend.hidden = !this.screen.withChange;
    put(this.legend, say(this.header?.treatment === "enhanced" ? "live.changes" : "live.no-changes"));
  }

  showStopped(state) {
    const stands = mayStand(state);
    this.stopped.hidden = stands;
    this.stage.dataset.state = state;
    this.stage.classList.toggle("held", this.freezing.isFrozen);
    if (stands) return;
    const nothing = state === "connecting" && !this.header;
    const title = nothing ? say("live.waiting") : say("live.not-live");
    const reason = say(nothing && (!this.stream || this.pictures?.header) ? "stopped.no-stream" : `stopped.${this.daemonGone(state) ? "daemon" : state}`);
    if (this.stopped.dataset.text === title + reason) return;
    this.stopped.dataset.text = title + reason;
    this.stopped.classList.toggle("nothing", nothing);
    fill(this.stopped, [el("strong", {}, title), el("span", {}, reason)]);
  }

  daemonGone(state) {
    return state === "stopped" && feed.connected && feed.status?.daemon?.answers === false;
  }

  end() {
    clearInterval(this.timer);
    removeEventListener("keydown", this.keys);
    this.endStatus();
    this.controls.end();
    this.sizes.disconnect();
    this.divider.end();
    this.pictures?.end();
  }
}

const signed = (number) => (number > 0 ? `+${number}` : String(number).replace("-", "\u2212"));
