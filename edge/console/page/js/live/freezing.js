// When the picture is held, by this page or by the device, and what is scrolled through meanwhile. Pure.

/**
 * The device freezes a moment after the button: what is shown until it says so still belongs to what is held, so that the
 * last picture here is the one that the device holds, and that a capture stores.
 */
export class Freezing {
  constructor(history) {
    this.history = history;
    this.held = null;
    this.there = false; // the device says that it is frozen
    this.leaving = false; // let go here; the device has not said yet that it runs
    this.localOnly = false; // only this page is held: without the right to operate the device
  }

  get isFrozen() {
    return this.held !== null;
  }

  press({ localOnly = false } = {}) {
    this.localOnly = localOnly;
    this.held ??= this.history.held();
  }

  release() {
    this.leaving = this.there;
    this.there = this.localOnly = false;
    this.held = null;
    this.history.clear(); // time has passed unseen: what was before it would not be "the last seconds"
  }

  /** The device would not be let go: it is still held. */
  notReleased() {
    this.leaving = false;
  }

  /** A picture came. True: it is to be shown now. */
  picture(message) {
    const standing = this.held?.pictures.at(-1);
    if (standing && sameFrame(standing, message)) {
      this.held.pictures[this.held.length - 1] = message; // the same once more, with what was asked for since
      return this.held.isLast;
    }
    if (this.held === null || !this.localOnly) this.history.add(message);
    if (this.held === null) return true;
    return !this.localOnly && this.append(message);
  }

  append(message) {
    const atEnd = this.held.isLast;
    this.held.pictures.push(message);
    if (atEnd) this.held.go(this.held.length - 1);
    return atEnd;
  }

  /** What the device says. True: this page is held, or let go, by somebody else from now on. */
  device(isFrozen) {
    if (this.leaving) {
      this.leaving = isFrozen;
      return false;
    }
    if (isFrozen && !this.there) {
      this.there = true;
      if (this.localOnly || this.held !== null) return false;
      this.held = this.history.held();
      return true;
    }
    if (!isFrozen && this.there) {
      this.there = false;
      if (this.localOnly) return false;
      this.release();
      return true;
    }
    return false;
  }
}

function sameFrame(one, other) {
  return one.header.seq === other.header.seq && one.header.session === other.header.session;
}
