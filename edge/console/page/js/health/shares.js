// Frames by what became of them, as parts of all that came in. Pure.
import { say, sayCode } from "../parts/say.js";

export function shares(frames) {
  const total = Math.max(1, frames.in ?? 0);
  const rows = [
    ...Object.entries(frames.enhanced ?? {}).map(([engine, n]) => ({ label: say("health.enhanced-by", { engine }), n, tone: "good" })),
    ...Object.entries(frames.original ?? {}).map(([why, n]) => ({ label: say("health.original-why", { why: sayCode("why", code(why)) }), n, tone: "warn" })),
    ...Object.entries(frames.dropped ?? {}).map(([why, n]) => ({ label: say("health.dropped-why", { why: sayCode("dropped", code(why)) }), n, tone: "bad" })),
    ...(frames.lost_on_the_way ? [{ label: say("health.lost"), n: frames.lost_on_the_way, tone: "bad" }] : []),
  ];
  return rows.map((row) => ({ ...row, share: row.n / total }));
}

const code = (why) => why.replace(/[ _]/g, "-");
