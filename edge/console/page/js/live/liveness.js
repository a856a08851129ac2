// Is what stands on the screen the patient now? Decided from when something was last heard, never from hope. Pure.

export const SILENT_AFTER_MS = 750; // the wire protocol's rule for a display that hears nothing at all

/**
 * "connecting": nothing was ever shown. "live": the picture is current. "frozen": somebody holds it.
 * "stopped": the daemon says that no frames come. "daemon": the console says that the daemon is gone.
 * "silent": nothing was heard for too long. "socket": the connection is down.
 */
export class Liveness {
  constructor() {
    this.heardMs = null;
    this.told = "connecting";
    this.open = false;
  }

  opened() {
    this.open = true;
    this.heardMs = null;
    this.told = "connecting";
  }

  closed() {
    this.open = false;
  }

  heard(nowMs, told) {
    this.heardMs = nowMs;
    this.told = told;
  }

  state(nowMs) {
    if (!this.open) return "socket";
    if (this.heardMs === null) return "connecting";
    if (nowMs - this.heardMs > SILENT_AFTER_MS) return "silent";
    return this.told;
  }
}

/** Only these two may stand without NOT LIVE over them. */
export function mayStand(state) {
  return state === "live" || state === "frozen";
}
