// The daemon's answer to a capture, in a sentence. Pure.
import { say } from "../parts/say.js";

export function answer(told) {
  if (told.recording) return { text: say("capture.started", { seconds: Math.round(told.longest_s ?? 0) }), tone: "good" };
  const parts = [what(told)];
  const short = (told.notices ?? []).length > 0;
  if (short) parts.push(told.notices.join("; "));
  if (told.opened_exam) parts.push(say("capture.opened-exam"));
  else if (told.held) parts.push(say("capture.held"));
  return { text: parts.join(" "), tone: short || told.held || told.opened_exam ? "warn" : "good" };
}

function what(told) {
  const seconds = Number(told.seconds ?? 0).toFixed(1);
  if (told.kind === "clip") return say("capture.stored-clip", { n: told.frames, seconds });
  if (told.kind === "burst") return say("capture.stored-burst", { n: told.frames });
  return say("capture.stored-still");
}
