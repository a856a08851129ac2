// What the pixels on the screen are, in a clinician's words. Pure.
import { say, sayCode } from "../parts/say.js";

/**
 * `looked` is what this page shows of the frame: "picture", "original" or "split".
 * {kind: "enhanced" | "original" | "both" | "none", title, detail, caution?}
 */
export function badge(header, looked) {
  if (!header || header.treatment === "none") return { kind: "none", title: say("badge.none"), detail: "" };
  if (header.treatment !== "enhanced") {
    return { kind: "original", title: say("badge.original"), detail: reason(header) };
  }
  if (looked === "original") return { kind: "original", title: say("badge.original"), detail: say("badge.compare") };
  const told = looked === "split" ? { kind: "both", title: say("badge.both") } : { kind: "enhanced", title: say("badge.enhanced") };
  if (!header.outside) return { ...told, detail: engine(header) };
  return { ...told, detail: `${say("badge.outside")} · ${engine(header)}`, caution: true };
}

function engine(header) {
  const told = say("badge.engine", { engine: header.engine?.name || "?", place: place(header.engine?.backend), strength: Math.round(header.strength_percent) });
  return header.warm ? `${told} · ${say("badge.warm")}` : told;
}

/** What computes it: CPU or GPU; what this page does not know, by its name. */
function place(backend) {
  return backend ? `${sayCode("runs-on", backend.replaceAll("_", "-"))} · ` : "";
}

function reason(header) {
  if (header.stand_in) return say("why.stand-in");
  return sayCode("why", header.why.replace(/[ _]/g, "-"));
}
