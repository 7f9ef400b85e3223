// What the page shows when the video cannot be played: the API's sentence, and the way on.

import { Paywall } from "./paywall.js";
import { lastSession, rememberSession } from "./texts.js";

const LOOK_MILLISECONDS = 5000; // Between two looks whether a video has been processed.
const LOOKS_MOST = 360; // Half an hour of them.
const NO_USE = ["no_player", "no_key_system"]; // Trying again would change nothing.
const LOST_ACCESS = "Your access to this video has ended: it was refunded, or its time is over.";

export class Refusals {
  #waiting = 0;
  #looks = 0;

  constructor(stage, notice, playback, account) {
    const find = (name) => notice.querySelector(name);
    Object.assign(this, { stage, notice, playback, account, find });
    this.sentence = find("#sentence");
    this.paywall = find("#offers") && new Paywall(this, notice);
    playback.addEventListener("started", () => this.#clear());
    playback.addEventListener("refused", ({ detail }) => this.show(detail));
    find("#again").addEventListener("click", () => this.#again());
    find("#sign-in")?.addEventListener("submit", (event) => this.#signIn(event));
    find("#to-register")?.addEventListener("click", () => this.#register(this.find("#name-row").hidden));
  }

  tell(sentence) {
    this.sentence.textContent = sentence;
    this.notice.hidden = false;
  }

  async show(refusal) {
    clearTimeout(this.#waiting);
    const { code, status } = refusal;
    const wasPlaying = this.playback.wasPlaying;
    const isPreviewOver = code === "preview_ended";
    const asksSignIn = (status === 401 || isPreviewOver) && !this.account.isSignedIn;
    const isUnpaid = code === "purchase_required" || (isPreviewOver && !asksSignIn);
    this.tell(isUnpaid && wasPlaying && !isPreviewOver ? `${LOST_ACCESS} ${refusal.message}` : refusal.message);
    const hadFocus = this.stage.contains(document.activeElement);
    this.stage.classList.add("refused");
    if (hadFocus) this.notice.focus(); // The button that had it is gone.
    this.#part("#sign-in", asksSignIn);
    this.#part("#elsewhere", code === "too_many_streams");
    this.#part("#offers", false);
    this.#part("#leave", (asksSignIn || isUnpaid) && !this.paywall);
    const isFinal = NO_USE.includes(code) || isUnpaid || asksSignIn || status === 404;
    this.find("#again").hidden = isFinal;
    this.find("#again").textContent = code === "session_ended" ? "Watch here" : "Try again";
    if (isUnpaid) await this.paywall?.show();
    if (asksSignIn) await this.paywall?.prices();
    if (code === "too_many_streams") await this.#elsewhere();
    if (code === "not_ready") await this.#processing(refusal);
  }

  #clear() {
    clearTimeout(this.#waiting);
    rememberSession(this.playback.session.session_id);
    this.#looks = 0;
    this.notice.hidden = true;
    this.stage.classList.remove("refused");
  }

  #part(name, isShown) {
    const part = this.find(name);
    if (part) part.hidden = !isShown;
  }

  async #again() {
    this.#looks = 0;
    await this.playback.start({ play: true });
  }

  /** List where the viewer is watching now; each of these can be stopped to watch here instead. */
  async #elsewhere() {
    const { sessions } = this.notice.dataset;
    const list = this.find("#elsewhere ul");
    list.replaceChildren();
    let running = [];
    try {
      running = (await (await this.account.call(sessions)).json()).results;
    } catch (refusal) {
      return this.tell(refusal.message);
    }
    // The page that this tab showed before has left its session behind: nobody watches there any more.
    const own = running.find(({ id }) => id === lastSession());
    if (own) return this.#takeOver(`${sessions}${own.id}`, this.find("#again"), { play: false });
    for (const session of running) {
      const [item, button] = ["li", "button"].map((name) => document.createElement(name));
      const since = new Date(session.created_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      button.type = "button";
      button.textContent = "Stop it and watch here instead";
      button.addEventListener("click", () => this.#takeOver(`${sessions}${session.id}`, button));
      item.append(`${session.video_title}, since ${since}, on ${session.device || deviceOf(session.user_agent)} `, button);
      list.append(item);
    }
  }

  async #takeOver(address, button, { play = true } = {}) {
    button.disabled = true;
    rememberSession("");
    try {
      await this.account.call(address, { method: "DELETE" });
    } catch (refusal) {
      if (refusal.status !== 404) return this.tell(refusal.message); // With 404 it has ended by itself.
    } finally {
      button.disabled = false;
    }
    return this.playback.start({ play });
  }

  /** Say how far the processing is, and look again until the video can be played. */
  async #processing(refusal) {
    const answer = await this.account.call(this.notice.dataset.details).catch(() => null);
    const { processing } = (await answer?.json()) ?? {};
    if (processing?.percent) this.tell(`This video is being processed: ${processing.percent} % are done.`);
    else this.tell(refusal.message);
    this.#looks += 1;
    if (this.#looks < LOOKS_MOST)
      this.#waiting = setTimeout(() => this.playback.start({ play: false }), LOOK_MILLISECONDS);
  }

  #register(isNew) {
    this.find("#name-row").hidden = !isNew;
    this.find("#sign-in button[type=submit]").textContent = isNew ? "Register and watch" : "Sign in and watch";
    this.find("#to-register").textContent = isNew ? "I have an account" : "I am new here: register";
    this.find("#password").autocomplete = isNew ? "new-password" : "current-password";
  }

  async #signIn(event) {
    event.preventDefault();
    const form = this.find("#sign-in");
    const isNew = !this.find("#name-row").hidden;
    const { display_name: name, totp, ...fields } = Object.fromEntries(new FormData(form));
    if (totp) fields.totp = totp;
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    try {
      if (isNew) await this.account.register({ ...fields, display_name: name });
      else await this.account.signIn(fields);
    } catch (refusal) {
      if (refusal.code === "totp_required") {
        this.find("#totp-row").hidden = false;
        this.find("#totp").focus();
      }
      return this.tell(refusal.message);
    } finally {
      button.disabled = false;
    }
    form.reset();
    this.#register(false);
    return this.playback.start({ play: true });
  }
}

/** Return a browser and a system in words, from a user agent. */
function deviceOf(agent) {
  const first = (names) => names.find((name) => new RegExp(name).test(agent)) ?? "";
  const browser = first(["Edg", "Firefox", "Chrome", "Safari"]).replace("Edg", "Edge");
  const system = first(["Android", "iPhone", "iPad", "Windows", "Mac", "Linux"]);
  return [browser, system].filter(Boolean).join(" on ") || "another device";
}
