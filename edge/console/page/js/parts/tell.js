// What the page tells its user: notices that go by themselves, alarms that stay until they were read, and questions.
import { button, el } from "./dom.js";
import { say } from "./say.js";

const STAYS_MS = 6000;
const MOST = 3;

export function notice(text, tone = "good") {
  const line = show("notices", text, tone);
  setTimeout(() => line.remove(), STAYS_MS);
}

export function alarm(text) {
  show("alarms", text, "bad");
}

/** Does what was asked; what is refused is told in its own words. Gives undefined then. */
export async function attempt(task) {
  try {
    return await task();
  } catch (error) {
    if (error.status !== 401) alarm(error.message || String(error));
    return undefined;
  }
}

function show(place, text, tone) {
  const host = document.getElementById(place);
  const line = el("div", { class: `notice ${tone}` }, el("span", {}, text));
  line.append(button(say("close"), () => line.remove(), { kind: "quiet" }));
  while (host.children.length >= MOST) host.firstChild.remove();
  host.append(line);
  return line;
}

/** Asks before something that cannot be taken back. Resolves to what `read` gives, true, or null where it was left. */
export function confirm({ title, text, yes, danger = false, extra = null, read = () => true }) {
  return new Promise((resolve) => {
    let answer = null;
    const agree = button(yes, () => {
      answer = read();
      if (answer !== null) dialog.close();
    }, { kind: danger ? "danger" : "first" });
    const leave = button(say("cancel"), () => dialog.close(), { autofocus: danger });
    const dialog = el("dialog", { "aria-label": title, onclose: () => { dialog.remove(); resolve(answer); } },
      el("h2", {}, title), el("p", {}, text), extra, el("div", { class: "row" }, leave, agree));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A sheet for what is needed now and then. Returns the dialog, which is shown. */
export function sheet(title, ...content) {
  const dialog = el("dialog", { "aria-label": title, class: "sheet", onclose: () => dialog.remove() },
    el("div", { class: "row spread" }, el("h2", {}, title), button(say("close"), () => dialog.close(), { picture: "close" })), ...content);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
