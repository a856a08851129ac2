// The status once a second and the daemon's events, from one WebSocket for the whole page.
import { socketUrl } from "./api.js";
import { Lasting } from "./parts/lasting.js";

const SILENT_MS = 3000; // a status comes every second
const listeners = { status: new Set(), event: new Set() };
let socket = null;

/** `connected`: the status is of now. Otherwise it is the last that was heard, and may be of long ago. */
export const feed = { status: null, connected: false };

export function startFeed() {
  if (socket) return;
  socket = new Lasting(() => socketUrl("events"), {
    silentMs: SILENT_MS,
    closed: lost,
    message: (data) => take(JSON.parse(data)),
  });
}

export function stopFeed() {
  socket?.end();
  socket = null;
  feed.status = null;
  feed.connected = false;
}

/** Hears of each status, at once of the last one; and of it once more when it is not of now any more. Returns what ends it. */
export function onStatus(listener) {
  listeners.status.add(listener);
  if (feed.status) listener(feed.status);
  return () => listeners.status.delete(listener);
}

export function onEvent(listener) {
  listeners.event.add(listener);
  return () => listeners.event.delete(listener);
}

function lost() {
  if (!feed.connected) return;
  feed.connected = false;
  tell(listeners.status, feed.status);
}

function take(message) {
  if (message.type === "status") {
    feed.status = message;
    feed.connected = true;
    tell(listeners.status, message);
  } else if (message.type === "event") {
    tell(listeners.event, message);
  }
}

function tell(all, message) {
  for (const listener of [...all]) listener(message);
}
