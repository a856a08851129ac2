// Exports captures to a stick or a folder of the appliance, and shows how far it is.
import { get, poll, post } from "../api.js";
import { button, choice, el, field, fill } from "../parts/dom.js";
import { megabytes } from "../parts/format.js";
import { say } from "../parts/say.js";
import { attempt, sheet } from "../parts/tell.js";

const EVERY_MS = 500;

export async function openExport(captures, held = false) {
  const told = await attempt(() => get("exports"));
  if (!told) return;
  const body = el("div", { class: "list" });
  sheet(say("export.title"), el("p", { class: "warn-text" }, say("export.plain")), body);
  if (!told.targets.length) return fill(body, el("p", { class: "dim" }, say("export.nowhere")));
  const target = choice(told.targets.map(({ name, free_mb: free }) => [name, say("export.target", { name, free: megabytes(free * 1e6) })]), told.targets[0].name, { name: "target" });
  const withHeld = el("input", { type: "checkbox", name: "held", checked: held });
  const start = button(say("export.start", { n: captures.length }), () => void run(body, { target: target.value, captures, held: withHeld.checked }), { kind: "first" });
  fill(body, [field(say("export.to"), target), el("label", { class: "check" }, withHeld, say("export.held")), el("div", { class: "row" }, start)]);
}

async function run(body, wish) {
  let job = await attempt(() => post("exports", wish));
  if (!job) return;
  const bar = el("progress", { max: "1", value: "0", "aria-label": say("export.title") });
  const told = el("p", { role: "status" });
  fill(body, [bar, told]);
  while (job?.state === "running" && body.isConnected) {
    bar.value = job.done;
    told.textContent = say("export.running", { percent: Math.round(job.done * 100) });
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    const { id } = job;
    job = await attempt(() => poll(`exports/${encodeURIComponent(id)}`));
  }
  if (!job) return;
  bar.value = job.state === "done" ? 1 : job.done;
  told.className = job.state === "failed" ? "wrong" : "good-text";
  told.textContent = job.state === "failed" ? say("export.failed", { error: job.error }) : say("export.done", { n: job.objects, folder: job.folder });
  if (job.left_out?.length) body.append(el("p", { class: "warn-text" }, say("export.left-out", { n: job.left_out.length })));
}
