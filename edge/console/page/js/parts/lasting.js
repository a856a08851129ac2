// A WebSocket that comes back: after 0.3 s at first, then after ever longer pauses, 3 s at most. One that is open and says
// nothing for too long is given up: a line can be dead without either end being told.
import { poll, tryLines } from "../api.js";

const FIRST_MS = 300;
const LONGEST_MS = 3000;
const HANDSHAKE_MS = 10000;
const LOGGED_OUT = 4401;

export class Lasting {
  /** `silentMs`: on an open connection something is heard at least so often. */
  constructor(url, { silentMs, opened = () => {}, closed = () => {}, message = () => {}, binary = false }) {
    this.url = url;
    this.hear = { opened, closed, message };
    this.silentMs = silentMs;
    this.binary = binary;
    this.pause = FIRST_MS;
    this.ended = false;
    this.timer = 0;
    this.watch = 0;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(this.url());
    if (this.binary) socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.expect(HANDSHAKE_MS);
    socket.onopen = () => {
      if (!this.current(socket)) return;
      this.expect(this.silentMs);
      this.hear.opened();
    };
    socket.onmessage = ({ data }) => {
      if (!this.current(socket)) return;
      this.pause = FIRST_MS;
      this.expect(this.silentMs);
      this.hear.message(data);
    };
    socket.onclose = ({ code }) => this.current(socket) && this.lost(code);
  }

  current(socket) {
    return this.socket === socket && !this.ended;
  }

  /** From now on: something within this time, or the connection is given up. */
  expect(withinMs) {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.renew(), withinMs);
  }

  lost(code) {
    clearTimeout(this.watch);
    this.hear.closed(code);
    if (code === LOGGED_OUT) void poll("status").catch(() => {}); // which leads to the log-in
    this.again();
  }

  renew() {
    const old = this.socket;
    this.socket = null;
    old.close();
    tryLines();
    this.hear.closed(0);
    this.again();
  }

  again() {
    this.timer = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(LONGEST_MS, this.pause * 2);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    this.socket?.close();
  }
}
