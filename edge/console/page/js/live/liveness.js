// Is what stands on the screen the patient now? Decided from when something was last heard, never from hope. Pure.

export const SILENT_AFTER_MS = 750; // the wire protocol's rule for a display that hears nothing at all
const REFUSED = { 1013: "crowded", 4404: "no-such" }; // by the code with which the console closes

/**
 * "connecting": nothing was ever shown. "live": the picture is current. "frozen": somebody holds it.
 * "stopped": the daemon says that no frames come. "daemon": the console says that the daemon is gone.
 * "silent": nothing was heard for too long. "socket": the connection is down.
 * "crowded": too many pages look. "no-such": no stream is called so.
 */
export class Liveness {
  constructor() {
    this.heardMs = null;
    this.told = "connecting";
    this.open = false;
    this.refused = "";
  }

  opened() {
    this.open = true;
    this.heardMs = null;
    this.told = "connecting";
  }

  closed(code = 0) {
    this.open = false;
    this.refused = REFUSED[code] ?? "";
  }

  heard(nowMs, told) {
    this.heardMs = nowMs;
    this.told = told;
    this.refused = "";
  }

  state(nowMs) {
    if (!this.open) return this.refused || "socket";
    if (this.heardMs === null) return this.refused || "connecting";
    if (nowMs - this.heardMs > SILENT_AFTER_MS) return "silent";
    return this.told;
  }
}

/** Only these two may stand without NOT LIVE over them. */
export function mayStand(state) {
  return state === "live" || state === "frozen";
}

/** What a header says of the picture. A frozen one, too, is held by a daemon that is there and hears its scanner, or it is told. */
export function stateOf({ live, frozen, treatment }) {
  if (live) return frozen ? "frozen" : "live";
  return treatment === "none" ? "connecting" : "stopped";
}
