// What the page asks by itself again and again: one question at a time, however slow the answers are.

/** `task` does not throw. Returns what ends it. */
export function regularly(task, everyMs) {
  let ended = false;
  let timer = 0;
  const next = async () => {
    await task();
    if (!ended) timer = setTimeout(next, everyMs);
  };
  timer = setTimeout(next, everyMs);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
