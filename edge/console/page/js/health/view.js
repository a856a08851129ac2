// Health: how long pictures take, how they were treated, and how the machine, the disk and the line are.
import { poll } from "../api.js";
import { el, fill } from "../parts/dom.js";
import { megabytes, milliseconds, number } from "../parts/format.js";
import { regularly } from "../parts/regular.js";
import { say, sayCode } from "../parts/say.js";
import { drawChart } from "./chart.js";
import { device } from "./device.js";
import { bars } from "./gauge.js";
import { days, daysOf } from "./days.js";
import { shares } from "./shares.js";

const EVERY_MS = 2000;
const DAYS_EVERY_MS = 60000;
const PERCENTILES = ["p50", "p90", "p95", "p99", "p99.9", "max"];

export function open(host) {
  const body = el("div", { class: "grid wide" });
  const told = el("p", { class: "wrong", role: "status" });
  host.append(el("div", { class: "page" }, el("h1", {}, say("health.title")), told, body));
  const cards = new Map();
  let ended = false;
  let daily = { at: -Infinity, days: [] };

  /** Days do not change by the second: asked for once a minute. */
  async function quality() {
    if (performance.now() - daily.at > DAYS_EVERY_MS) daily = { at: performance.now(), days: (await poll("quality")).days };
    return daily.days;
  }

  async function load() {
    try {
      const [health, days] = await Promise.all([poll("health"), quality()]);
      health.days = days;
      if (ended) return;
      told.textContent = "";
      show(body, cards, health);
    } catch (error) {
      if (!ended) told.textContent = error.message;
    }
  }
  void load();
  const end = regularly(load, EVERY_MS);
  return () => { ended = true; end(); };
}

/** A card keeps its place: what is looked at does not jump when it is told anew. */
function show(body, cards, health) {
  const wanted = [
    ...Object.entries(health.streams).flatMap(([name, stream]) => [[`latency ${name}`, () => latency(name, stream)], [`frames ${name}`, () => treatment(name, stream)]]),
    ["device", () => device(health.device)], ["machine", () => machine(health.machine)], ["disks", () => disks(health.machine)], ["archives", () => archives(health.forward)],
    ["processes", () => processes(health.processes)], ...days(health.days),
    ["links", () => links(health.links)], ["watching", () => watching(health.console)],
  ];
  const keys = new Set(wanted.map(([key]) => key));
  for (const [key, node] of cards) if (!keys.has(key)) { node.remove(); cards.delete(key); }
  for (const [key, make] of wanted) {
    if (!cards.has(key)) cards.set(key, el("section", { class: "card", "data-card": key.split(" ")[0] }));
    const node = cards.get(key);
    body.append(node);
    fill(node, make());
    const canvas = node.querySelector("canvas");
    if (canvas) drawChart(canvas, key.startsWith("days ") ? daysOf(health.days, key.slice("days ".length)) : health.streams[key.slice("latency ".length)].history);
  }
}

function latency(name, { latency_ms: told, history }) {
  const worst = told.max ?? 0;
  return [el("h2", {}, say("health.latency", { stream: name })), el("p", { class: "dim small" }, say("health.latency-hint")),
    bars(PERCENTILES.filter((key) => key in told).map((key) => ({ label: sayCode("percentile", key), share: worst ? told[key] / worst : 0, text: milliseconds(told[key]) }))),
    history?.length > 1 ? [el("canvas", { class: "chart", role: "img", "aria-label": say("health.chart", { n: history.length }) }),
      el("div", { class: "legend" }, el("span", {}, el("i", {}), say("percentile.p50")), el("span", {}, el("i", { class: "warn" }), say("percentile.p99")))] : null];
}

function treatment(name, { frames, history }) {
  const last = history?.at(-1);
  return [el("h2", {}, say("health.frames", { stream: name })),
    el("p", { class: "dim" }, say("health.in", { n: frames.in }), last ? ` · ${say("health.fps", { fps: number(last.fps) })}` : ""),
    bars(shares(frames).map(({ label, n, share, tone }) => ({ label, share, tone, text: `${n} (${(100 * share).toFixed(share < 0.1 ? 2 : 0)} %)` })))];
}

function machine(machine) {
  const { memory_mb: memory } = machine;
  const temperatures = machine.temperatures.map(({ name, celsius, high }) => ({ label: say("health.temperature", { name }), share: celsius / (high || 100), tone: high && celsius > high - 10 ? "bad" : "", text: `${number(celsius, 0)} °C` }));
  return [el("h2", {}, say("health.machine")), bars([
    { label: say("health.cpu"), share: machine.cpu_percent / 100, text: `${number(machine.cpu_percent, 0)} %` },
    { label: say("health.memory"), share: 1 - memory.free / memory.total, text: say("health.free", { free: megabytes(memory.free * 1e6) }) },
    ...temperatures,
    ...(machine.power ? [{ label: say("health.power"), share: machine.power.percent / 100, tone: machine.power.percent < 20 && !machine.power.plugged ? "bad" : "good", text: `${number(machine.power.percent, 0)} % ${say(machine.power.plugged ? "health.plugged" : "health.battery")}` }] : []),
  ]), temperatures.length ? null : el("p", { class: "dim small" }, say("health.no-temperature")), machine.power ? null : el("p", { class: "dim small" }, say("health.no-battery"))];
}

function disks({ disks: all }) {
  return [el("h2", {}, say("health.disks")), bars(all.map((disk) => ({ label: disk.name, share: disk.percent / 100, tone: disk.refuses_at && disk.percent >= disk.refuses_at - 5 ? "bad" : "", text: say("health.free", { free: megabytes(disk.free_mb * 1e6) }) }))),
    all.filter((disk) => disk.refuses_at).map((disk) => el("p", { class: "dim small" }, say("health.refuses", { name: disk.name, percent: number(disk.refuses_at, 0) })))];
}

function archives(forward) {
  const rows = Object.entries(forward?.destinations ?? {});
  return [el("h2", {}, say("health.archives")), el("p", { class: forward?.runs ? "good-text" : "warn-text" }, say(forward?.runs ? "health.forward-runs" : "health.forward-not")),
    rows.length ? el("div", { class: "scrolls" }, el("table", {}, el("thead", {}, el("tr", {}, ["archive", "waiting", "sent", "confirmed", "parked"].map((key) => el("th", { scope: "col" }, say(`health.column.${key}`))))),
      el("tbody", {}, rows.map(([name, counts]) => el("tr", {}, el("td", {}, name), ["waiting", "sent", "confirmed", "parked"].map((key) => el("td", { class: "number" }, String(counts[key] ?? 0)))))))) : el("p", { class: "dim" }, say("health.no-archives"))];
}

function processes(all) {
  return [el("h2", {}, say("health.processes")), el("div", { class: "scrolls" }, el("table", {}, el("tbody", {}, Object.entries(all ?? {}).map(([name, facts]) => el("tr", {},
    el("td", {}, name), el("td", {}, el("span", { class: `tag ${facts.up ? "good" : "bad"}` }, say(facts.up ? "health.up" : "health.down"))),
    el("td", { class: "number" }, facts.up ? megabytes(facts.rss_bytes) : "–"), el("td", { class: "number" }, say("health.starts", { n: facts.starts })))))))];
}

function links(all) {
  return [el("h2", {}, say("health.links")), el("div", { class: "scrolls" }, el("table", {}, el("tbody", {}, all.map((link) => el("tr", {},
    el("td", {}, link.name), el("td", {}, el("span", { class: `tag ${link.up ? "good" : ""}` }, say(link.up ? "health.up" : "health.down"))),
    el("td", { class: "number" }, link.speed_mbps ? `${link.speed_mbps} Mbit/s` : "–"), el("td", { class: "number" }, say("health.traffic", { sent: number(link.sent_mb, 0), received: number(link.received_mb, 0) })))))))];
}

function watching({ watching: n, clients }) {
  return [el("h2", {}, say("health.watching", { n })), (clients ?? []).map((client) => el("p", { class: "dim" }, say("health.client", { stream: client.stream, fps: number(client.fps, 0), drain: milliseconds(client.drain_ms) })))];
}

