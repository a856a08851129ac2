// Connections that die without a word, and what the page believes meanwhile.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const made = [];

class Line {
  static OPEN = 1;

  constructor(url) {
    this.url = url;
    this.readyState = 0;
    made.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  hear(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  close() {
    this.readyState = 3;
  }
}

const tried = [];
globalThis.WebSocket = Line;
globalThis.fetch = (path) => {
  tried.push(path);
  return Promise.reject(new TypeError("nobody answers"));
};
globalThis.location = { protocol: "http:", host: "appliance" };
const { feed, onStatus, startFeed, stopFeed } = await import("../../../../edge/console/page/js/feed.js");
const { Lasting } = await import("../../../../edge/console/page/js/parts/lasting.js");
const status = (exam) => ({ type: "status", exam });

beforeEach(() => {
  made.length = tried.length = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

test("a status that is not renewed for three seconds is not of now, and the connection is made anew", () => {
  const told = [];
  startFeed();
  const end = onStatus(({ exam }) => told.push([exam, feed.connected]));
  made[0].open();
  assert.ok(!feed.connected, "nothing was heard yet");
  made[0].hear(status("A"));
  mock.timers.tick(2900);
  made[0].hear(status("A"));
  mock.timers.tick(2900);
  assert.ok(feed.connected);
  mock.timers.tick(200);
  assert.deepEqual(told.at(-1), ["A", false]);
  assert.equal(tried.length, 6, "what else is open to the appliance may be dead, too: a press must not meet it first");
  mock.timers.tick(1000);
  made[1].open();
  assert.ok(!feed.connected, "an open line has said nothing yet");
  made[1].hear(status("B"));
  assert.deepEqual(told.at(-1), ["B", true]);
  made[0].hear(status("A"));
  assert.deepEqual(told.at(-1), ["B", true], "what was given up is not listened to");
  end();
  stopFeed();
});

test("a handshake that never ends is given up, too, and nothing is tried any more once it is over", () => {
  const line = new Lasting(() => "ws://appliance", { silentMs: 1000 });
  mock.timers.tick(10000);
  mock.timers.tick(3000);
  assert.equal(made.length, 2);
  line.end();
  mock.timers.tick(60000);
  assert.equal(made.length, 2);
});
