// Calls of the API, and the signed-in account of this page.

/** A refusal in the API's own sentence. `status` is 0 when the service could not be reached. */
export class Refusal extends Error {
  constructor(sentence, status = 0, code = "", body = {}) {
    super(sentence);
    Object.assign(this, { status, code, body });
  }

  /** Whether the same call may succeed a moment later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Return the response of a successful call. Throws Refusal for every other answer, and for none. */
export async function call(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  let response;
  try {
    response = await fetch(url, { ...options, headers });
  } catch {
    throw new Refusal("The service cannot be reached. Check your connection, and try again.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const errors = body.errors ?? [];
  const sentence = errors.map((error) => error.detail).join(" ");
  throw new Refusal(
    sentence || `The service answered with the error ${response.status}. Try again later.`,
    response.status,
    errors[0]?.code,
    body,
  );
}

/** Send a body as JSON; return the response. Throws Refusal. */
export function post(url, body, options = {}) {
  const headers = { "Content-Type": "application/json", ...options.headers };
  return call(url, { ...options, method: "POST", headers, body: JSON.stringify(body) });
}

/**
 * The viewer's account on this page. Its tokens are kept in memory only, so that they are gone when the page
 * is closed. A page that may read the site's session (`sessionUrl`) gets a new access token from it.
 */
export class Account {
  #access = "";
  #refresh = "";
  #asked = null;

  constructor({ signIn, refresh, register, sessionUrl = "" }) {
    Object.assign(this, { signInUrl: signIn, refreshUrl: refresh, registerUrl: register, sessionUrl });
  }

  get isSignedIn() {
    return this.#access !== "";
  }

  /** Call the API as the viewer, with a renewed token when the old one has expired. Throws Refusal. */
  async call(url, options = {}) {
    await this.#fromSession();
    const send = () => {
      const bearer = this.#access ? { Authorization: `Bearer ${this.#access}` } : {};
      return call(url, { ...options, headers: { ...options.headers, ...bearer } });
    };
    try {
      return await send();
    } catch (refusal) {
      const isOver = ["token_expired", "token_invalid"].includes(refusal.code) && this.#access;
      if (!isOver || !(await this.#renew())) throw refusal;
      return send();
    }
  }

  post(url, body, headers = {}) {
    const options = { method: "POST", body: JSON.stringify(body) };
    return this.call(url, { ...options, headers: { "Content-Type": "application/json", ...headers } });
  }

  /** Sign in with `{email, password}`, and `totp` for an account with a second factor. Throws Refusal. */
  async signIn(fields) {
    this.#keep(await (await post(this.signInUrl, fields)).json());
  }

  /** Make an account with `{email, password, display_name}`, and sign in. Throws Refusal. */
  async register(fields) {
    await post(this.registerUrl, fields);
    const { email, password } = fields;
    await this.signIn({ email, password });
  }

  /** Let the browser's site session know the viewer, before the page is left for a checkout. */
  async remember() {
    if (!this.sessionUrl || !this.#refresh) return;
    const refresh = this.#refresh;
    this.#refresh = ""; // It is used up.
    await post(this.sessionUrl, { refresh_token: refresh }, { credentials: "same-origin" });
  }

  /** Ask once for the tokens of the site's session, if the browser has one. */
  #fromSession() {
    this.#asked ??= this.sessionUrl ? this.#exchange() : Promise.resolve();
    return this.#asked;
  }

  async #exchange() {
    const answer = await post(this.sessionUrl, {}, { credentials: "same-origin" }).catch(() => null);
    if (answer && answer.status === 200) this.#keep(await answer.json());
  }

  async #renew() {
    const refresh = this.#refresh;
    this.#access = this.#refresh = "";
    if (!refresh) {
      await (this.sessionUrl && this.#exchange());
      return this.isSignedIn;
    }
    const answer = await post(this.refreshUrl, { refresh_token: refresh }).catch(() => null);
    if (answer) this.#keep(await answer.json());
    return answer !== null;
  }

  #keep(pair) {
    this.#access = pair.access_token;
    this.#refresh = pair.refresh_token ?? "";
  }
}
