// The paywall in its place: the prices of a video, and the way to the gateway's page and back.

const LOOK_MILLISECONDS = 2000; // Between two looks whether a payment has arrived.
const LOOKS_MOST = 8;

export class Paywall {
  constructor(refusals, notice) {
    const { account, playback } = refusals;
    Object.assign(this, { refusals, account, playback, data: notice.dataset, box: notice.querySelector("#offers") });
    this.list = this.box.querySelector("ul");
    this.coupon = this.box.querySelector("#coupon");
    this.box.querySelector("#other-account").addEventListener("click", () => {
      notice.querySelector("#sign-in").hidden = false;
      notice.querySelector("#email").focus();
    });
  }

  /** Show what the video costs, with a button for each way to pay for it. */
  async show() {
    let offers = [];
    let plans = [];
    try {
      [offers, plans] = await this.#read();
    } catch (refusal) {
      return this.refusals.tell(refusal.message);
    }
    const ways = [
      ...offers.map((offer) => [wordsOf(offer), () => this.#buy(offer)]),
      ...plans.map((plan) => [planInWords(plan), () => this.#subscribe(plan)]),
    ];
    this.list.replaceChildren(
      ...ways.map(([words, act]) => {
        const [item, button] = ["li", "button"].map((name) => document.createElement(name));
        button.type = "button";
        button.textContent = words;
        button.addEventListener("click", () => this.#pressed(act));
        item.append(button);
        return item;
      }),
    );
    this.coupon.parentElement.hidden = offers.length === 0;
    this.box.hidden = false;
  }

  /** Add the prices to the sentence that asks a stranger to sign in. */
  async prices() {
    const { sentence } = this.refusals;
    const asked = sentence.textContent;
    const [offers, plans] = await this.#read().catch(() => [[], []]);
    const words = [...offers.map(wordsOf), ...plans.map(planInWords)];
    if (words.length && sentence.textContent === asked) sentence.textContent = `${asked} ${words.join(" · ")}.`;
  }

  async #read() {
    const read = async (address) => (await this.account.call(address)).json();
    const [video, plans] = await Promise.all([read(this.data.offers), read(this.data.plans)]);
    return [video.offers, video.is_paid ? plans.results : []];
  }

  async #pressed(act) {
    const buttons = this.box.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      await act();
    } catch (refusal) {
      this.refusals.tell(refusal.message);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  async #buy({ kind, amount, currency }) {
    const coupon = this.coupon.value.trim();
    const body = { kind, currency, coupon, return_url: this.#back() };
    if (!coupon) body.expected_amount = amount;
    const answer = await (await this.#pay(this.data.purchase, body)).json();
    await this.#leave(answer, { order: answer.order.id });
  }

  async #subscribe({ code }) {
    const body = { plan: code, return_url: this.#back() };
    const answer = await (await this.#pay(this.data.subscribe, body)).json();
    await this.#leave(answer, { subscription: answer.subscription.id });
  }

  #pay(address, body) {
    return this.account.post(address, body, { "Idempotency-Key": randomKey() });
  }

  /** Go to the gateway's page, or watch at once when there is nothing to pay. */
  async #leave({ next_action: next }, waitsFor) {
    if (!next) return this.playback.start({ play: true });
    sessionStorage.setItem(this.#name(), JSON.stringify(waitsFor));
    await this.account.remember().catch(() => {}); // Else the viewer signs in again on the way back.
    location.assign(next.url);
    return undefined;
  }

  /** The address of this page at the viewer's place in the video. */
  #back() {
    const back = new URL(location.pathname, location.origin);
    const seconds = Math.floor(this.playback.position ?? 0);
    if (seconds) back.searchParams.set("t", seconds);
    return back.href;
  }

  #name() {
    return `waits:${this.data.purchase}`;
  }

  /** After a checkout: wait until the payment has arrived. Return whether there was one to wait for. */
  async returned() {
    const noted = sessionStorage.getItem(this.#name());
    if (!noted) return false;
    sessionStorage.removeItem(this.#name());
    const { order } = JSON.parse(noted);
    this.refusals.tell("Your payment is being checked.");
    for (let look = 0; look < LOOKS_MOST; look += 1) {
      const isOver = await (order ? this.#isPaid(order) : this.#isOpen()).catch((refusal) => !refusal.passes);
      if (isOver) break;
      await new Promise((wake) => setTimeout(wake, LOOK_MILLISECONDS));
    }
    return true;
  }

  /** Ask the gateway for an order. Every status but those of an open order is an answer. */
  async #isPaid(order) {
    const address = `${this.data.orders}/${order}/sync`;
    const { status } = await (await this.#pay(address, {})).json();
    return status !== "pending" && status !== "processing";
  }

  async #isOpen() {
    await this.account.call(this.playback.streamUrl);
    return true;
  }
}

function wordsOf({ kind, amount, currency, rental_hours: hours }) {
  const price = `${amount} ${currency}`;
  return kind === "rent" ? `Rent for ${hours} hours: ${price}` : `Buy: ${price}`;
}

function planInWords({ name, amount, currency, interval, trial_days: days }) {
  const free = days ? `, the first ${days} days are free` : "";
  return `Subscribe (${name}): ${amount} ${currency} each ${interval}${free}`;
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the place that the address of the page names: `?t=90`, in seconds; null without one. */
export function placeInAddress() {
  const seconds = Number(new URLSearchParams(location.search).get("t"));
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

