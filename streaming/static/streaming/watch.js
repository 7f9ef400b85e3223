// The player page of one video, and the same player in a frame (`data-embed`).

import { Account } from "./player/api.js";
import { Captions } from "./player/captions.js";
import { Controls } from "./player/controls.js";
import { connect } from "./player/frame.js";
import { listen } from "./player/keyboard.js";
import { placeInAddress } from "./player/paywall.js";
import { Playback } from "./player/playback.js";
import { Refusals } from "./player/refusals.js";
import { SeekBar } from "./player/seekbar.js";
import { clock } from "./player/texts.js";

const stage = document.querySelector(".stage");
const video = stage.querySelector("video");
const notice = document.getElementById("notice");
const status = document.getElementById("status");
const toast = document.getElementById("toast");
const next = document.getElementById("next");
const isEmbedded = "embed" in stage.dataset;

/** Tell a screen reader. */
function say(sentence) {
  status.textContent = sentence;
}

const { signIn, refresh, register, siteSession } = notice.dataset;
const account = new Account({ signIn, refresh, register, sessionUrl: siteSession });
const playback = new Playback(video, account, stage.dataset.stream, {
  hasPreview: "preview" in stage.dataset,
});
const captions = new Captions(video, stage, stage.querySelector(".captions"));
const controls = new Controls(stage, playback, captions, say);
const bar = new SeekBar(stage, playback);
const refusals = new Refusals(stage, notice, playback, account);
listen(controls, playback, document);
playback.position = placeInAddress();

playback.addEventListener("started", async () => {
  captions.load(playback.session.captions);
  const chapters = bar.load(playback.session, Number(stage.dataset.seconds));
  if (playback.resumedAt) resumed(playback.resumedAt);
  controls.chapters(await chapters);
});
playback.addEventListener("lost", () => lost("The connection is lost. Playback goes on when it is back."));
playback.addEventListener("back", () => lost(""));
playback.addEventListener("refused", () => (toast.hidden = true));
video.addEventListener("ended", () => next && (next.hidden = false));
video.addEventListener("playing", () => next && (next.hidden = true));

function lost(sentence) {
  toast.querySelector("span").textContent = sentence;
  toast.querySelector("button").hidden = true;
  toast.hidden = !sentence;
  if (!sentence) say("The connection is back.");
}

/** Say that playback goes on where the viewer was, and let them start over. */
function resumed(seconds) {
  toast.querySelector("span").textContent = `You were at ${clock(seconds)}.`;
  toast.querySelector("button").hidden = false;
  toast.hidden = false;
  const hide = () => (toast.hidden = true);
  toast.querySelector("button").onclick = () => {
    playback.seek(0);
    hide();
    playback.start({ play: true });
    controls.find(".play").focus();
  };
  video.addEventListener("playing", () => setTimeout(hide, 8000), { once: true });
}

if (isEmbedded) connect(playback, JSON.parse(stage.dataset.embed));
const wasAtCheckout = await refusals.paywall?.returned();
await playback.start({ play: Boolean(wasAtCheckout) });
