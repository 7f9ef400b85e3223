// The player at the moderators' desk, with the browser's own buttons. It starts when its reader wants it to.

import { Account, Refusal } from "./player/api.js";
import { Playback } from "./player/playback.js";

const video = document.querySelector("video");
const notice = document.getElementById("notice");
const again = document.getElementById("again");
const playback = new Playback(video, new Account({}), video.dataset.stream);

playback.addEventListener("started", () => {
  notice.hidden = true;
  for (const old of video.querySelectorAll("track")) old.remove();
  const { captions, chapters_url: url } = playback.session;
  const chapters = url ? [{ kind: "chapters", label: "Chapters", language: "", url }] : [];
  for (const { kind, label, language: srclang, url: src, is_default: isDefault } of [...captions, ...chapters]) {
    const track = document.createElement("track");
    Object.assign(track, { kind, label, srclang, src, default: Boolean(isDefault) });
    video.append(track);
  }
});
playback.addEventListener("refused", ({ detail }) => tell(detail));
again.addEventListener("click", () => playback.start({ play: true }));

function tell(refusal) {
  document.getElementById("sentence").textContent = refusal.message;
  again.hidden = ["no_player", "no_key_system"].includes(refusal.code);
  notice.hidden = false;
}

tell(new Refusal(video.dataset.waits));
