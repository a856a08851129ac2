// The console's calls, as docs/console-api.md has them. What is refused is thrown as a `Refusal` with its words.
import { say } from "./parts/say.js";

const BASE = "/api/v1/";
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
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const remove = (path) => ask("DELETE", path);

export function frameUrl(capture, object, frame, width, levels = null) {
  const window = levels ? `&low=${levels[0]}&high=${levels[1]}` : "";
  return `${captureUrl(capture)}/${encodeURIComponent(object)}/frames/${frame}?width=${width}${window}`;
}

export function captureUrl(capture) {
  return `${BASE}captures/${encodeURIComponent(capture)}`;
}

export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${BASE}${path}`;
}

async function ask(method, path, body) {
  try {
    return await askOnce(method, path, body);
  } catch (error) {
    if (!(error instanceof Refusal) || path === "session") throw error;
    if (error.code === "csrf") {
      remember(await askOnce("GET", "session"));
      return askOnce(method, path, body);
    }
    if (error.status === 401) onLoggedOut();
    throw error;
  }
}

async function askOnce(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", cache: "no-store",
    });
  } catch {
    throw new Refusal(0, "no-connection", say("error.no-connection"));
  }
  const isText = answer.headers.get("Content-Type")?.startsWith("text/plain");
  const told = isText ? await answer.text() : await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  throw new Refusal(answer.status, told.code ?? "", told.error ?? say("error.status", { status: answer.status }), wait);
}
