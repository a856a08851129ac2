// The WebSocket of one stream: acknowledges what comes, reconnects, and knows whether the picture is current.
import { socketUrl } from "../api.js";
import { Lasting } from "../parts/lasting.js";
import { Liveness, stateOf } from "./liveness.js";
import { isWhole, parse } from "./message.js";

const SILENT_MS = 2500; // something comes four times a second

export class Pictures {
  /** `wishes`: what this page wants to see. They stand in the address: the very first picture is as it was wanted. */
  constructor(stream, wishes, { picture, state }) {
    this.hear = { picture, state };
    this.asks = { ...wishes };
    this.liveness = new Liveness();
    this.header = null; // the last one, of a picture or a notice
    this.arrivedMs = 0;
    this.socket = new Lasting(() => socketUrl(`live/${encodeURIComponent(stream)}?wants=${encodeURIComponent(JSON.stringify(this.asks))}`), {
      binary: true,
      silentMs: SILENT_MS,
      opened: () => this.opened(),
      closed: (code) => this.liveness.closed(code),
      message: (data) => this.take(data),
    });
    this.timer = setInterval(() => this.hear.state(this.state), 100);
  }

  ask(wishes) {
    const fresh = Object.fromEntries(Object.entries(wishes).filter(([key, value]) => JSON.stringify(this.asks[key]) !== JSON.stringify(value)));
    if (!Object.keys(fresh).length) return;
    Object.assign(this.asks, fresh);
    this.socket.send(fresh);
  }

  opened() {
    this.liveness.opened();
    this.socket.send(this.asks); // they may have changed during the handshake
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
    if (!isWhole(message)) return; // likewise
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

  end() {
    clearInterval(this.timer);
    this.socket.end();
  }
}
