// The days of each kind of picture: latency as a chart, the last ones in words.
import { el } from "../parts/dom.js";
import { number } from "../parts/format.js";
import { say } from "../parts/say.js";

const TOLD = 3;

/** The points of one kind, as the chart takes them; days without it are gaps. Pure. */
export function daysOf(days, kind) {
  return days.map((day) => ({ p50: day.kinds[kind]?.latency_ms.p50 ?? null, p99: day.kinds[kind]?.latency_ms.p99 ?? null }));
}

/** A card for each kind: [[key, () => nodes]]. */
export function days(all) {
  const kinds = [...new Set(all.flatMap((day) => Object.keys(day.kinds)))].sort();
  return kinds.map((kind) => [`days ${kind}`, () => card(all, kind)]);
}

function card(all, kind) {
  const with_ = all.filter((day) => day.kinds[kind]);
  return [el("h2", {}, say("health.days", { kind })),
    all.length > 1 ? el("canvas", { class: "chart", role: "img", "aria-label": say("health.days-chart", { n: all.length }) }) : null,
    with_.slice(-TOLD).reverse().map((day) => el("p", { class: "dim small" }, say("health.day", line(day, kind))))];
}

function line({ date, kinds }, kind) {
  const { enhanced_part: part, drift_minutes: drift } = kinds[kind];
  return { date, enhanced: part === null ? "–" : `${number(100 * part, 1)} %`, drift: number(drift, 0) };
}
