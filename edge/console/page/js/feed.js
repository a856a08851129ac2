// The status once a second and the daemon's events, from one WebSocket for the whole page.
import { socketUrl } from "./api.js";
import { Lasting } from "./parts/lasting.js";

const listeners = { status: new Set(), event: new Set() };
let socket = null;

export const feed = { status: null, connected: false };

export function startFeed() {
  if (socket) return;
  socket = new Lasting(() => socketUrl("events"), {
    opened: () => connection(true),
    closed: () => connection(false),
    message: (data) => take(JSON.parse(data)),
  });
}

export function stopFeed() {
  socket?.end();
  socket = null;
  feed.status = null;
}

/** Hears of each status, at once of the last one. Returns what ends it. */
export function onStatus(listener) {
  listeners.status.add(listener);
  if (feed.status) listener(feed.status);
  return () => listeners.status.delete(listener);
}

export function onEvent(listener) {
  listeners.event.add(listener);
  return () => listeners.event.delete(listener);
}

function connection(connected) {
  feed.connected = connected;
  if (feed.status) tell(listeners.status, feed.status);
}

function take(message) {
  if (message.type === "status") {
    feed.status = message;
    tell(listeners.status, message);
  } else if (message.type === "event") {
    tell(listeners.event, message);
  }
}

function tell(all, message) {
  for (const listener of [...all]) listener(message);
}
