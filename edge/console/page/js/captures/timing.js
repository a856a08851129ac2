// How long each frame of a clip stands. Pure.

const USUAL_MS = 1000 / 30;
const LONGEST_MS = 5000; // a gap in the clip is seen, but nobody waits a minute for it

/** `told` is one number for all, one for each frame, or nothing. */
export function frameDurations(told, frames) {
  const list = Array.isArray(told) ? told : [];
  return Array.from({ length: frames }, (_, index) => bounded(list[index] ?? (typeof told === "number" ? told : USUAL_MS)));
}

function bounded(value) {
  return Number.isFinite(value) && value > 0 ? Math.min(value, LONGEST_MS) : USUAL_MS;
}
