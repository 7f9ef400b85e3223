// The pages behind mailed links: takes the token out of the address, and gives it to the API when the
// person presses the button.
"use strict";

const form = document.getElementById("act");
const notice = document.getElementById("notice");
const done = document.getElementById("done");
const show = document.getElementById("show");
let token = "";

/** Show what went wrong, in the API's own sentence. */
function tell(sentence) {
  notice.textContent = sentence;
  notice.hidden = false;
}

/** Take the token of the link, and remove it from the address, so that it stays in no history. */
function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (given) history.replaceState(null, "", location.pathname);
  token = given || token;
  form.hidden = !token;
  done.hidden = true;
  notice.hidden = true;
  if (!token) tell("This address is incomplete. Open the whole link of the mail, or ask for a new one.");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  notice.hidden = true;
  try {
    const response = await fetch(form.dataset.call, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ ...Object.fromEntries(new FormData(form)), token }),
      credentials: "omit",
    });
    if (response.ok) {
      token = "";
      form.reset();
      form.hidden = true;
      done.hidden = false;
      return;
    }
    const errors = (await response.json().catch(() => ({}))).errors ?? [];
    tell(
      errors.map((error) => error.detail).join(" ") ||
        `The service answered with the error ${response.status}. Try again later.`,
    );
    if (errors.some((error) => error.attr === "token")) form.hidden = true;
  } catch {
    tell("The service cannot be reached. Check your connection, and try again.");
  } finally {
    button.disabled = false;
  }
});
show?.addEventListener("change", () => {
  document.getElementById("password").type = show.checked ? "text" : "password";
});
addEventListener("hashchange", begin); // another link, opened in the same tab
begin();
