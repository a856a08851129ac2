// The log-in.
import { el, field, fill } from "./parts/dom.js";
import { say } from "./parts/say.js";
import { logIn, session } from "./session.js";

export function openLogin(host, done) {
  const user = el("input", { name: "user", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true });
  const password = el("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const token = session.first ? el("input", { name: "token", autocomplete: "one-time-code", spellcheck: "false", required: true }) : null;
  const wrong = el("p", { class: "wrong", role: "alert" });
  const enter = el("button", { type: "submit", class: "first" }, say("login.enter"));
  const form = el("form", { class: "card" },
    el("div", { class: "brand" }, el("img", { src: "/page/icon.svg", alt: "" }), el("h1", {}, say("login.title"))),
    el("p", { class: "dim" }, session.station || ""),
    token && el("p", {}, say("login.first")), token && field(say("login.token"), token),
    field(say("login.user"), user), field(say("login.password"), password), wrong, enter);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    enter.disabled = true;
    wrong.textContent = "";
    try {
      await logIn(user.value, password.value, token ? token.value : "");
      await done();
    } catch (error) {
      wrong.textContent = words(error);
      password.value = "";
      password.focus();
    } finally {
      enter.disabled = false;
    }
  });
  fill(host, el("div", { class: "login" }, form));
  user.focus();
}

function words(error) {
  if (error.status === 401) return session.first ? error.message : say("login.wrong");
  if (error.status === 429) return say("login.wait", { n: error.retryAfterS || 1 });
  return error.message;
}
