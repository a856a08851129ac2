// The console's calls, as docs/console-api.md has them. What is refused is thrown as a `Refusal` with its words.
import { say } from "./parts/say.js";
import { patienceMs, POLL_MS } from "./patience.js";

const BASE = "/api/v1/";
const QUESTIONS = ["session", "worklist", "settings/check"]; // that are asked by POST, and change nothing
const LINES = 6; // that a browser keeps to one host
const LINE_MS = 2000;
let csrf = "";
let onLoggedOut = () => {};

export class Refusal extends Error {
  constructor(status, code, message, retryAfterS = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

export function whenLoggedOut(listener) {
  onLoggedOut = listener;
}

export function remember(session) {
  csrf = session.csrf ?? "";
}

export const get = (path) => ask("GET", path);
/** Asked by the page, not by a person: it does not keep a session alive. */
export const poll = (path, patience = POLL_MS) => ask("GET", path, undefined, { headers: { "X-By-Itself": "1" }, patience });
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const remove = (path) => ask("DELETE", path);

/** One frame of a capture, as a Blob. */
export function getFrame(capture, object, frame, width, levels = null) {
  const window = levels ? `&low=${levels[0]}&high=${levels[1]}` : "";
  return get(`captures/${encodeURIComponent(capture)}/${encodeURIComponent(object)}/frames/${frame}?width=${width}${window}`);
}

export function captureUrl(capture) {
  return `${BASE}captures/${encodeURIComponent(capture)}`;
}

export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${BASE}${path}`;
}

/** One line has died without a word: others that the browser keeps for later may be dead as well, and would each swallow a press. */
export function tryLines() {
  for (let line = 0; line < LINES; line += 1) {
    void fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(LINE_MS) }).catch(() => {}); // given up, it is closed
  }
}

async function ask(method, path, body, more = {}) {
  try {
    return await askOnce(method, path, body, more);
  } catch (error) {
    if (!(error instanceof Refusal) || path === "session") throw error;
    if (error.code === "csrf") {
      remember(await askOnce("GET", "session"));
      return askOnce(method, path, body, more);
    }
    if (error.status === 401) onLoggedOut();
    throw error;
  }
}

async function askOnce(method, path, body, { headers: more = {}, patience = patienceMs(path, body) } = {}) {
  const headers = { Accept: "application/json", ...more };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  let answer;
  let told;
  try {
    answer = await fetch(BASE + path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", cache: "no-store",
      signal: AbortSignal.timeout(patience),
    });
    told = await read(answer);
  } catch {
    throw unanswered(method, path);
  }
  if (answer.ok) return told;
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  throw new Refusal(answer.status, told.code ?? "", told.error ?? say("error.status", { status: answer.status }), wait);
}

/** An answer that was cut off on its way is none: only a refusal may do without its words. */
function read(answer) {
  if (!answer.ok) return answer.json().catch(() => ({}));
  const type = answer.headers.get("Content-Type") ?? "";
  if (type.startsWith("image/")) return answer.blob();
  return type.startsWith("text/plain") ? answer.text() : answer.json();
}

/** Whatever was to be done may have been done: only the answer is missing. */
function unanswered(method, path) {
  const isQuestion = method === "GET" || QUESTIONS.includes(path);
  return new Refusal(0, "no-connection", say(isQuestion ? "error.no-connection" : "error.no-answer"));
}
