// Keys for what the pages do by links and buttons (keyboard.py lists them), two of the pages shown as dialogs, and the
// buttons that copy. What is typed into a field is never a key; who is not signed in has no keys, but copies.

const { root, project, writes, keys } = document.body.dataset;
const $ = (query, of = document) => of.querySelector(query);
const ROWS = ".row:not(.first), .lane-row:not(.first), main tbody tr";
const FIELDS = "input:not([type=checkbox], [type=radio], [type=submit]), select, textarea, [contenteditable]";

// --- the line one is at

const link = (row) => $(".name > a, a", row);
const here = () => document.activeElement?.closest(ROWS);

function move(by) {
  const all = [...document.querySelectorAll(ROWS)].filter(link), from = here();
  if (by < 0 && from) all.reverse();
  // Whether a row is shown is worked out when that is asked: of a thousand, most of them out of sight, for none but the next.
  const to = all.slice(all.indexOf(from) + 1).find((row) => row.offsetParent);
  if (to) link(to).focus();
}

function pause() {
  const one = $('form[action$="/pause"], form[action$="/resume"]'), row = here(), box = row && $("input[name=check]", row);
  if (one) { one.requestSubmit(); return; }
  if (box && !$("input[name=check]:checked")) box.checked = true;
  const ticked = $("input[name=check]:checked");
  if (ticked) $(`#bulk [value=${ticked.closest(".row").matches(".s-paused") ? "resume" : "pause"}]`).click();
}

// --- copying

async function copy(button) {
  const block = button.previousElementSibling, word = button.firstChild;
  try {
    await navigator.clipboard.writeText(block.textContent);
  } catch {
    // Over plain http there is no clipboard to write to, but what is selected can be copied.
    getSelection().selectAllChildren(block);
    if (!document.execCommand("copy")) return;
  }
  word.data = "Copied";
  setTimeout(() => { word.data = "Copy"; }, 2_000);
  const said = $("#live-said");
  if (said) said.textContent = block.ariaLabel + " copied";
}

addEventListener("click", ({ target }) => { const button = target.closest(".copy"); if (button) copy(button); });

// --- pages as dialogs

async function part(url, id) {
  const page = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html");
  return page.getElementById(id);
}

async function dialog(url, id) {
  if ($("dialog[open]")) return null;
  const shown = $("#" + id) ? null : await part(url, id).catch(() => null);
  if (!shown) { if (!$("#" + id)) location = url; return null; }
  const box = document.createElement("dialog"), close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", () => box.close());
  box.setAttribute("aria-labelledby", id + "-h");
  // First, so that a long one begins at its top.
  box.append(close, shown);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

async function palette() {
  const url = project && project + "/go", box = url && await dialog(url, "go"), field = $("#go-q");
  field?.focus();
  if (!box) return;
  let wait = 0, asked = 0;
  field.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(async () => {
      const mine = ++asked, found = await part(url + "?q=" + encodeURIComponent(field.value), "found").catch(() => null);
      if (found && mine === asked) $("#found", box).replaceWith(found);
      wait = 0;
    }, 80);
  });
  $("form", box).addEventListener("submit", (event) => {
    const first = $("#found a", box);
    // Faster than the answer: the page itself looks.
    if (wait || !first) return;
    event.preventDefault();
    location = first.href;
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const all = [field, ...box.querySelectorAll("#found a")];
    all[all.indexOf(document.activeElement) + by]?.focus();
  });
}

// --- keys

const open = (path) => () => { if (project) location = project + path; };
const GOES = { c: open("/checks"), i: open("/incidents"), n: open("/channels"), u: open("/usage"), m: open("/maintenance") };
const DOES = {
  "/": () => { const field = $("#q, #find"); if (field) { field.focus(); field.select(); } else palette(); },
  "?": () => dialog(root + "/account/keyboard", "keys"),
  n: () => { if (writes) open("/checks/new")(); },
  j: () => move(1),
  k: () => move(-1),
  x: () => { const row = here(); if (row) $("input[type=checkbox]", row)?.click(); },
  e: () => { const row = here(), at = row && $(".name > a", row); if (at) location = at.href + "/schedule"; else $('.tabs a[href$="/schedule"]')?.click(); },
  p: pause,
  a: () => { const form = $('form[action$="/acknowledge"]'); if (form) form.requestSubmit(); else $('#why a[href*="/incidents/"]')?.click(); },
};
let goesUntil = 0;

addEventListener("keydown", (event) => {
  if (root === undefined || event.defaultPrevented || event.isComposing || event.altKey) return;
  const key = event.key, isGoing = event.timeStamp < goesUntil;
  if (event.ctrlKey || event.metaKey) {
    if (key !== "k" || event.shiftKey) return;
    event.preventDefault();
    palette();
    return;
  }
  if (keys === "off" || $("dialog[open]") || event.target.closest?.(FIELDS)) return;
  goesUntil = !isGoing && key === "g" ? event.timeStamp + 1_500 : 0;
  // What is only to be clicked says itself by which key.
  const of = isGoing ? GOES : DOES, marked = !isGoing && $(`[data-key="${CSS.escape(key)}"]`);
  const does = Object.hasOwn(of, key) ? of[key] : marked && (() => marked.click());
  if (!does || (event.repeat && !"jk".includes(key))) return;
  event.preventDefault();
  does();
});

// Drawn across a picture of time: from the beginning of one field to the end of another.
let drawn;

addEventListener("pointerdown", ({ target }) => { drawn = target.closest(".fields a"); });
addEventListener("dragstart", (event) => { if (drawn) event.preventDefault(); });
addEventListener("pointerup", ({ target }) => {
  const last = drawn && target.closest(".fields a");
  if (!last || last === drawn || last.parentNode !== drawn.parentNode) return;
  const [a, b] = [drawn, last].map((one) => new URL(one.href.baseVal, location)).sort((x, y) => x.href < y.href ? -1 : 1);
  a.searchParams.set("to", b.searchParams.get("to"));
  location = a;
});
