// How long an answer is waited for: a little longer than the console itself waits for the daemon, so that its own words
// come first. Without a bound, a line that fell silent would leave a press unanswered for ever. Pure.

const USUAL_S = 30;
const CAPTURE_S = 75; // and as long as a burst takes
const OF_ITS_OWN_S = {
  "picture": 8,
  "exam/close": 75, "exam/discard": 75, // what was being recorded is stored first
  "exam/correct": 930, // every stored object of the exam is written anew
  "worklist": 150,
  "engines/activate": 660, "engines/rollback": 660, // tried on the device first
  "audit?limit=1&verify=1": 600, // all logs, from their first line
};

/** Of what the page asks by itself: it asks again soon, and must not take the few lines to the appliance from a press. */
export const POLL_MS = 15000;

export function patienceMs(path, body = {}) {
  if (path.startsWith("capture/")) return 1000 * CAPTURE_S + (body.count ?? 0) * (body.every_ms ?? 0);
  return 1000 * (OF_ITS_OWN_S[path] ?? USUAL_S);
}
