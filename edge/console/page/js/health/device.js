// The device's own condition, as its daemon reads it: heat and what it holds back, power, clocks, disks' life, the clock.
import { el } from "../parts/dom.js";
import { milliseconds, number } from "../parts/format.js";
import { say, sayCode } from "../parts/say.js";
import { bars } from "./gauge.js";

const TONES = { normal: "good-text", warm: "warn-text", hot: "warn-text", critical: "wrong" };
const NEAR = 12; // degrees

export function device(told) {
  const title = el("h2", {}, say("device.title"));
  if (!told) return [title, el("p", { class: "dim" }, say("device.silent"))];
  return [title, heat(told.heat), told.throttles ? el("p", { class: "warn-text" }, say("device.throttles")) : null,
    bars((told.zones ?? []).map(zone)), facts(told)];
}

function heat({ step, known, celsius, zone: name, margin, trouble }) {
  const words = el("p", { class: TONES[step] ?? "" }, sayCode("heat", step));
  // Not known is not cool: what is still held back is said, and nothing else.
  if (!known) return [el("p", { class: "warn-text" }, say("heat.not-known", { trouble })), step === "normal" ? null : words];
  return [words, el("p", { class: "dim small" }, say("heat.figures", { name, celsius: number(celsius, 0), margin: number(margin, 0) }))];
}

function zone({ name, celsius, throttles_at: limit }) {
  const tone = limit && celsius > limit - NEAR ? "bad" : "";
  return { label: name, share: celsius / (limit || 100), tone, text: limit ? say("device.of", { celsius: number(celsius, 0), limit: number(limit, 0) }) : `${number(celsius, 0)} °C` };
}

function facts(told) {
  const rows = [
    told.power_mode ? [say("device.power"), told.power_mode] : null,
    ...Object.entries(told.clocks_mhz ?? {}).map(([name, mhz]) => [say("device.clock", { name }), `${number(mhz, 0)} MHz`]),
    ...(told.disks ?? []).filter((disk) => disk.used_life_percent != null).map((disk) => [say("device.life", { name: disk.name }), say("device.used", { percent: number(disk.used_life_percent, 0) })]),
    [say("device.wall-clock"), wallClock(told.clock)],
    told.missing?.length ? [say("device.missing"), told.missing.join(", ")] : null,
  ].filter(Boolean);
  return el("div", { class: "scrolls" }, el("table", {}, el("tbody", {}, rows.map(([name, text]) => el("tr", {}, el("td", {}, name), el("td", {}, text))))));
}

function wallClock(clock) {
  if (!clock) return say("device.not-known");
  if (!clock.synchronised) return el("span", { class: "warn-text" }, say("device.undisciplined"));
  return clock.error_ms == null ? say("device.disciplined") : say("device.disciplined-within", { error: milliseconds(clock.error_ms) });
}
