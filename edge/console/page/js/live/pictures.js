// The WebSocket of one stream: acknowledges what comes, reconnects, and knows whether the picture is current.
import { socketUrl } from "../api.js";
import { Lasting } from "../parts/lasting.js";
import { Liveness } from "./liveness.js";
import { parse } from "./message.js";

const GIVE_UP_AFTER_MS = 2500; // of silence on an open connection: it is made anew

export class Pictures {
  constructor(stream, { picture, state }) {
    this.hear = { picture, state };
    this.asks = {};
    this.liveness = new Liveness();
    this.header = null; // the last one, of a picture or a notice
    this.arrivedMs = 0;
    this.socket = new Lasting(() => socketUrl(`live/${encodeURIComponent(stream)}`), {
      binary: true,
      opened: () => this.opened(),
      closed: () => this.liveness.closed(),
      message: (data) => this.take(data),
    });
    this.timer = setInterval(() => this.tick(), 100);
  }

  /** What this page wants to see; sent again whenever the connection comes back. */
  ask(wishes) {
    const fresh = Object.fromEntries(Object.entries(wishes).filter(([key, value]) => JSON.stringify(this.asks[key]) !== JSON.stringify(value)));
    if (!Object.keys(fresh).length) return;
    Object.assign(this.asks, fresh);
    this.socket.send(fresh);
  }

  opened() {
    this.liveness.opened();
    this.openedMs = performance.now();
    this.socket.send(this.asks);
  }

  take(data) {
    const now = performance.now();
    let message;
    try {
      message = parse(data);
    } catch {
      return; // it counts as silence
    }
    const { header } = message;
    if (header.n) this.socket.send({ got: header.n });
    this.header = header;
    this.arrivedMs = now;
    this.liveness.heard(now, stateOf(header));
    if (header.images.length) {
      this.hear.picture({ ...message, arrivedMs: now, takenMs: now - header.age_ms - (header.drain_ms ?? 0) });
    }
    this.hear.state(this.state);
  }

  get state() {
    return this.liveness.state(performance.now());
  }

  tick() {
    this.hear.state(this.state);
    const heard = this.liveness.heardMs ?? this.openedMs;
    if (this.liveness.open && performance.now() - heard > GIVE_UP_AFTER_MS) this.socket.renew();
  }

  end() {
    clearInterval(this.timer);
    this.socket.end();
  }
}

function stateOf(header) {
  if (header.frozen) return "frozen";
  if (header.live) return "live";
  return header.treatment === "none" ? "connecting" : "stopped";
}
