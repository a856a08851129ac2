// What is needed now and then: the stream, what the device's own display shows, the engine, the levels of deep pictures.
import { get, post } from "../api.js";
import { button, choice, el, field } from "../parts/dom.js";
import { say } from "../parts/say.js";
import { attempt, sheet } from "../parts/tell.js";
import { may } from "../session.js";
import { RANGES } from "./tone.js";

export class More {
  constructor(view) {
    this.view = view;
    this.window = "auto";
    this.streams = [];
    this.facts = null;
  }

  status(status, streams) {
    this.streams = streams;
    this.facts = status.streams?.[this.view.stream] ?? null;
  }

  open() {
    const dialog = sheet(say("more.title"), this.streamField(), this.displayField(), this.levels(), this.tone(),
      el("p", { class: "dim small" }, say("more.keys")));
    dialog.classList.add("aside"); // what is turned here has to be seen
    void this.engineField(dialog);
  }

  streamField() {
    const names = [...new Set([...this.streams, this.view.stream])].filter(Boolean);
    if (names.length < 2) return null;
    const select = choice(names.map((name) => [name, name]), this.view.stream, { onchange: () => this.view.choose(select.value) });
    return field(say("more.stream"), select);
  }

  displayField() {
    const options = [["enhanced", say("live.enhanced")], ["original", say("live.original")]];
    const select = choice(options, this.facts?.view ?? "enhanced", { disabled: !may("operate") || !this.facts, name: "display",
      onchange: () => void this.set({ view: select.value }) });
    return field(say("more.display"), select);
  }

  async engineField(dialog) {
    const told = await attempt(() => get("engines"));
    if (!told || !dialog.open) return;
    const running = this.facts?.engine?.name;
    const family = told.engines.find((engine) => engine.name === running)?.family ?? "";
    const options = [...(family ? [] : [["", "–"]]), ...told.families.map((name) => [name, name])];
    const select = choice(options, family, { disabled: !may("operate") || !this.facts, name: "engine",
      onchange: () => select.value && void this.set({ engine: select.value }) });
    dialog.lastElementChild.before(field(say("more.engine"), select));
  }

  async set(wish) {
    await attempt(() => post("picture", { stream: this.view.stream, ...wish }));
  }

  /** Of pictures with 256 levels; deeper ones have levels to choose. */
  tone() {
    const { tone, header } = this.view;
    if (!header || header.source.bits > 8) return null;
    const range = (name) => el("input", { type: "range", name, min: String(RANGES[name][0]), max: String(RANGES[name][1]), step: "10", value: String(tone[name]),
      oninput: (event) => tone.set({ [name]: Number(event.target.value) }) });
    const [brightness, contrast] = [range("brightness"), range("contrast")];
    const reset = button(say("more.reset"), () => {
      tone.reset();
      [brightness.value, contrast.value] = [String(tone.brightness), String(tone.contrast)];
    });
    return [field(say("more.brightness"), brightness), field(say("more.contrast"), contrast), reset];
  }

  levels() {
    const source = this.view.header?.source;
    if (!source || source.bits <= 8) return null;
    const full = 2 ** source.bits - 1;
    const now = this.view.header.window;
    const range = (name, value) => el("input", { type: "range", min: "0", max: String(full), value: String(value), name });
    const low = range("low", now.low);
    const high = range("high", now.high);
    const by = (own) => { low.disabled = high.disabled = !own; };
    const mode = choice([["auto", say("levels.auto")], ["full", say("levels.full")], ["own", say("levels.own")]],
      typeof this.window === "string" ? this.window : "own", { name: "levels" });
    const apply = () => {
      by(mode.value === "own");
      const [from, to] = [Number(low.value), Math.max(Number(low.value) + 1, Number(high.value))];
      this.window = mode.value === "own" ? { low: from, high: to } : mode.value;
      this.view.ask();
    };
    for (const part of [mode, low, high]) part.addEventListener("input", apply);
    by(mode.value === "own");
    return [field(say("levels.title"), mode), field(say("levels.low"), low), field(say("levels.high"), high)];
  }
}
