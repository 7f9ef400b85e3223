// The keys of the player. They act wherever the page is not being typed in.

const OWN_KEYS = "input:not([type=range]), .volume, select, textarea, [contenteditable], dialog";

export function listen(controls, playback, target) {
  const acts = {
    k: () => controls.toggle(),
    " ": () => controls.toggle(),
    j: () => controls.skip(-10),
    l: () => controls.skip(10),
    ArrowLeft: () => controls.skip(-5),
    ArrowRight: () => controls.skip(5),
    ArrowUp: () => controls.setVolume(playback.video.volume + 0.1),
    ArrowDown: () => controls.setVolume(playback.video.volume - 0.1),
    m: () => controls.mute(),
    f: () => controls.fullScreen(),
    c: () => controls.toggleCaptions(),
    i: () => controls.pictureInPicture(),
    "<": () => controls.speed(-1),
    ">": () => controls.speed(1),
    "?": () => controls.help(),
  };
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const on = event.target instanceof Element ? event.target : document.body;
    if (on.closest(OWN_KEYS)) return;
    if (event.key === " " && on.closest("button, a, summary")) return; // It presses the button itself.
    // Up and down scroll the page, unless the player has the focus.
    if (/^Arrow(Up|Down)$/.test(event.key) && !on.closest(".stage")) return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? digit(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  });

  function digit(key) {
    if (!/^[0-9]$/.test(key) || !Number.isFinite(playback.video.duration)) return undefined;
    return () => playback.seek((playback.video.duration * Number(key)) / 10);
  }
}
