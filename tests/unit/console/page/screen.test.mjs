// What is said about the picture is about what stands on the canvas: never about one that is still to come.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Screen } from "../../../../edge/console/page/js/live/screen.js";

const settled = () => new Promise((done) => setTimeout(done, 5));

function canvas() {
  const drawn = [];
  const context = { drawImage: (image) => drawn.push(image.name), clearRect: () => drawn.push("clear"), save() {}, restore() {}, beginPath() {}, rect() {}, clip() {} };
  return { width: 4, height: 4, dataset: {}, getContext: () => context, drawn };
}

/** Images are decoded when the test says so; one whose bytes are "bad" never is. */
function decoder() {
  const waiting = [];
  globalThis.createImageBitmap = (blob) => new Promise((done, failed) => {
    waiting.push(async () => {
      const name = await blob.text();
      if (name.includes("bad")) failed(new Error("no image"));
      else done({ name, close() {} });
    });
  });
  return async () => {
    await Promise.all(waiting.splice(0).map((one) => one()));
    await settled();
  };
}

function message(seq, text = "") {
  const images = Object.fromEntries(["picture", "original"].map((name) => [name, new TextEncoder().encode(`${name} ${seq}${text}`)]));
  const told = Object.keys(images).map((name) => ({ name, type: "image/jpeg" }));
  return { header: { seq, treatment: "enhanced", source: { width: 4, height: 4 }, images: told }, images };
}

test("until the other picture of the frame is decoded the first one stands, and is what is told", async () => {
  const decoded = decoder();
  const [glass, told] = [canvas(), []];
  const screen = new Screen(glass, () => told.push(screen.stands.looked));
  screen.show(message(1));
  assert.equal(screen.stands, null);
  await decoded();
  screen.look({ looked: "original" });
  assert.equal(screen.stands.looked, "picture");
  await decoded();
  assert.equal(screen.stands.looked, "original");
  assert.deepEqual(told, ["picture", "original"]);
  assert.deepEqual(glass.drawn, ["picture 1", "original 1"]);
});

test("looked at otherwise while it is decoded, it is told as what is drawn, and the other picture of the frame follows", async () => {
  const decoded = decoder();
  const [glass, told] = [canvas(), []];
  const screen = new Screen(glass, () => told.push(screen.stands.looked));
  screen.show(message(1));
  screen.look({ looked: "original" });
  await decoded();
  await decoded();
  assert.deepEqual(glass.drawn, ["picture 1", "original 1"]);
  assert.deepEqual(told, ["picture", "original"]);
});

test("an enhanced picture without its original is neither the original nor half of a split", async () => {
  const decoded = decoder();
  const glass = canvas();
  const screen = new Screen(glass);
  const alone = message(2);
  delete alone.images.original;
  screen.show(alone);
  await decoded();
  assert.equal(screen.stands.looked, "picture");
  for (const looked of ["original", "split"]) {
    screen.look({ looked });
    await decoded();
    assert.equal(screen.stands.looked, "picture");
    screen.show(alone);
    await decoded();
    assert.equal(screen.stands.looked, "picture");
  }
  assert.ok(glass.drawn.every((name) => name === "picture 2"));
});

test("a picture that cannot be decoded changes nothing of what is told", async () => {
  const decoded = decoder();
  const screen = new Screen(canvas());
  screen.show(message(1));
  await decoded();
  screen.show(message(2, " bad"));
  await decoded();
  assert.equal(screen.stands.message.header.seq, 1);
  screen.show(message(3));
  await decoded();
  assert.equal(screen.stands.message.header.seq, 3);
});

test("of another stream nothing is drawn any more, not even what was being decoded", async () => {
  const decoded = decoder();
  const glass = canvas();
  const screen = new Screen(glass);
  screen.show(message(1));
  screen.forget();
  await decoded();
  assert.equal(screen.stands, null);
  assert.deepEqual(glass.drawn, ["clear"]);
  screen.show(message(7));
  await decoded();
  assert.equal(screen.stands.message.header.seq, 7);
});
