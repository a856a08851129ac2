// Draws pictures on the canvas: the newest only, both halves of a split from one message, never two frames mixed.
import { Tint } from "./tint.js";

export class Screen {
  /** `drawn` is called after each drawing: what is said about the picture is about what stands there, not what is to come. */
  constructor(canvas, drawn = () => {}) {
    this.canvas = canvas;
    this.whenDrawn = drawn;
    this.context = canvas.getContext("2d", { alpha: false });
    this.looked = "picture"; // | "original" | "split"
    this.withChange = false;
    this.divider = 0.5;
    this.bitmaps = null; // {message, picture, original, change}
    this.stands = null; // {message, looked}: what is on the canvas
    this.waiting = null;
    this.busy = false;
    this.forgotten = 0;
    this.drawn = 0;
  }

  /** Shows a message as soon as its images are decoded; one that is superseded before that is never shown. */
  show(message) {
    if (!this.canBeLookedAt(message)) return;
    this.waiting = message;
    if (!this.busy) void this.work();
  }

  /** Nothing of before is drawn any more, not even what is being decoded: another stream is looked at. */
  forget() {
    if (this.bitmaps) release(this.bitmaps);
    this.waiting = this.bitmaps = this.stands = null;
    this.forgotten += 1;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  look(changes) {
    Object.assign(this, changes);
    const message = this.waiting ?? this.bitmaps?.message;
    if (!message) return;
    if (this.hasAll(message)) this.draw();
    else this.show(message);
  }

  /** An enhanced picture alone is neither the original nor half of a split: what stands grows old, and says so. */
  canBeLookedAt({ header, images }) {
    return this.looked === "picture" || header.treatment !== "enhanced" || "original" in images;
  }

  /** The names of the images of a message that the way of looking needs; a picture that is the original stands for both. */
  needed(message) {
    const has = (name) => name in message.images;
    const names = this.looked === "picture" || !has("original") ? ["picture"] : this.looked === "original" ? ["original"] : ["picture", "original"];
    if (this.withChange && has("change")) names.push("change");
    return names.filter(has);
  }

  async work() {
    this.busy = true;
    while (this.waiting) {
      const { waiting: message, forgotten } = this;
      // One that cannot be decoded is not shown: what stands grows old, and says so.
      const fresh = await decode(message, this.needed(message), this.bitmaps).catch(() => null);
      if (fresh && forgotten === this.forgotten) this.take(fresh);
      else if (fresh) release(fresh);
      if (this.waiting === message && (!fresh || this.hasAll(message))) this.waiting = null;
    }
    this.busy = false;
  }

  /** It may be looked at otherwise by now than when its images were decoded: then those that are missing come next. */
  hasAll(message) {
    return this.bitmaps?.message === message && this.needed(message).every((name) => this.bitmaps[name]);
  }

  take(fresh) {
    if (this.bitmaps && this.bitmaps.message !== fresh.message) release(this.bitmaps);
    this.bitmaps = fresh;
    this.draw();
  }

  draw() {
    const { message, picture, original, change } = this.bitmaps;
    if (!picture && !original) return;
    const looked = this.lookedAs(this.bitmaps);
    this.fit(message);
    const { context, canvas } = this;
    context.drawImage(looked === "original" ? original ?? picture : picture, 0, 0, canvas.width, canvas.height);
    if (looked === "split" && original) this.drawLeft(original);
    if (this.withChange && change) this.drawChange(change);
    this.note(message, looked);
  }

  /** As what the images that are decoded can be shown: never as another than they are, whatever is wished for. */
  lookedAs({ message, picture, original }) {
    const hasOriginal = original || message.header.treatment !== "enhanced";
    if (this.looked === "split" && picture && hasOriginal) return "split";
    if (this.looked === "original" && hasOriginal) return "original";
    return picture ? "picture" : "original";
  }

  fit({ header }) {
    const { width, height } = shape(header);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
  }

  drawLeft(original) {
    const { context, canvas } = this;
    const cut = Math.round(this.divider * canvas.width);
    context.save();
    context.beginPath();
    context.rect(0, 0, cut, canvas.height);
    context.clip();
    context.drawImage(original, 0, 0, canvas.width, canvas.height);
    context.restore();
  }

  drawChange(change) {
    this.tint ??= new Tint();
    this.context.drawImage(this.tint.of(change), 0, 0, this.canvas.width, this.canvas.height);
  }

  /** For whoever looks from outside: which frame stands here, and how it is looked at. */
  note(message, looked) {
    const { header } = message;
    this.drawn += 1;
    const facts = this.canvas.dataset;
    facts.seq = header.seq;
    facts.treatment = header.treatment;
    facts.looked = looked;
    facts.change = String(this.withChange && Boolean(this.bitmaps.change));
    facts.drawn = this.drawn;
    this.stands = { message, looked };
    this.whenDrawn();
  }
}

/** The picture's shape on the screen: its own pixels, made square where the scanner's are not. */
function shape({ source }) {
  const [x, y] = source.spacing_mm ?? [1, 1];
  const stretch = Math.min(4, Math.max(0.25, y / x));
  return stretch >= 1 ? { width: source.width, height: Math.round(source.height * stretch) } : { width: Math.round(source.width / stretch), height: source.height };
}

async function decode(message, names, before) {
  const kept = before?.message === message ? before : { message };
  const fresh = names.filter((name) => !kept[name]);
  const types = Object.fromEntries(message.header.images.map((image) => [image.name, image.type]));
  const made = await Promise.all(fresh.map((name) => createImageBitmap(new Blob([message.images[name]], { type: types[name] }))));
  return { ...kept, ...Object.fromEntries(fresh.map((name, index) => [name, made[index]])) };
}

function release(bitmaps) {
  for (const name of ["picture", "original", "change"]) bitmaps[name]?.close();
}
