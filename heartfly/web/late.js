// On a page without a stream that says that judging is late: asks until it no longer is, and takes the words away.
const box = document.getElementById("late");
const LOOK_MS = 5_000;

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(box.dataset.url, { headers: { "x-heartfly-live": "1" } });
    if (!answer.ok || answer.redirected) return;
    const until = await answer.text();
    box.hidden = !until;
    if (until) document.getElementById("late-until").textContent = until;
  } catch { /* The server is away; what the page says is not less true for it. */ }
}

setInterval(look, LOOK_MS);
