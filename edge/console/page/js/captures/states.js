// Where an object stands on its way to an archive, in plain words, and who must act. Pure.
import { say } from "../parts/say.js";

const TONE = { waiting: "wait", held: "warn", sent: "wait", asked: "wait", confirmed: "good", parked: "bad", damaged: "bad" };
const WORST_FIRST = ["damaged", "parked", "held", "waiting", "sent", "asked", "confirmed"];

export const tone = (state) => TONE[state] ?? "wait";

/** One sentence on what is so, one on who must act. */
export function wordsFor(state, facts = {}) {
  const told = state === "parked" || state === "damaged" ? facts.reason : facts.warning; // elsewhere the reason is how, not why not
  const what = say(`state.${state}.what`);
  return { what: told ? `${what} ${say("state.reason", { reason: told })}` : what, who: say(`state.${state}.who`), tone: tone(state) };
}

/** The states of a capture's objects, all destinations together, the one that needs somebody first. */
export function summary(capture) {
  const states = capture.objects.flatMap((object) => [...Object.values(object.states), ...(object.damaged ? ["damaged"] : [])]);
  if (capture.held && !states.includes("held")) states.push("held");
  const counts = new Map();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  const worst = WORST_FIRST.find((state) => counts.has(state)) ?? "";
  return { worst, counts, text: worst ? say(`state.${worst}.short`) : say("state.none"), tone: worst ? tone(worst) : "wait" };
}

/** Whether a person can do something about it with "retry". */
export function canRetry(capture) {
  return capture.objects.some((object) => object.damaged || Object.values(object.states).some((state) => state === "parked" || state === "damaged"));
}

/** Where each object stands at each destination: what `steps` tell, or the states alone. */
export function way(capture) {
  const told = new Map((capture.steps ?? []).map((step) => [`${step.object}@${step.destination}`, step]));
  return capture.objects.flatMap((object) => Object.entries(object.states).map(([destination, state]) => {
    const step = told.get(`${object.name}@${destination}`);
    return { object: object.name, role: object.role, destination, ...wordsFor(object.damaged ? "damaged" : state, step?.facts ?? {}), state: object.damaged ? "damaged" : state };
  }));
}
