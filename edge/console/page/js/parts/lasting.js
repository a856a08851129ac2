// A WebSocket that comes back: after 0.3 s at first, then after ever longer pauses, 3 s at most.
import { get } from "../api.js";

const FIRST_MS = 300;
const LONGEST_MS = 3000;
const LOGGED_OUT = 4401;

export class Lasting {
  constructor(url, { opened = () => {}, closed = () => {}, message = () => {}, binary = false } = {}) {
    this.url = url;
    this.hear = { opened, closed, message };
    this.binary = binary;
    this.pause = FIRST_MS;
    this.ended = false;
    this.timer = 0;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(this.url());
    if (this.binary) socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => this.current(socket) && this.hear.opened();
    socket.onmessage = ({ data }) => {
      this.pause = FIRST_MS;
      if (this.current(socket)) this.hear.message(data);
    };
    socket.onclose = ({ code }) => this.current(socket) && this.lost(code);
  }

  current(socket) {
    return this.socket === socket && !this.ended;
  }

  lost(code) {
    this.hear.closed(code);
    if (code === LOGGED_OUT) void get("status").catch(() => {}); // which leads to the log-in
    this.timer = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(LONGEST_MS, this.pause * 2);
  }

  /** Gives up a connection that says nothing, and tries anew. */
  renew() {
    if (this.ended) return;
    const old = this.socket;
    this.socket = null;
    old.close();
    clearTimeout(this.timer);
    this.hear.closed(0);
    this.timer = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(LONGEST_MS, this.pause * 2);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
