// Who is at this page, and what they may do.
import { get, post, remember, remove } from "./api.js";

const RANK = { "": 0, view: 1, operate: 2, administer: 3 };

export const session = { user: "", role: "", open: false, notice: "", station: "", version: "" };

export async function loadSession() {
  return take(await get("session"));
}

export async function logIn(user, password, token = "") {
  return take(await post("session", token ? { user, password, token } : { user, password }));
}

export async function logOut() {
  return take(await remove("session"));
}

export function may(role) {
  return RANK[session.role] >= RANK[role];
}

function take(told) {
  Object.assign(session, told);
  remember(told);
  return session;
}
