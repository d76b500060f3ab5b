// Keeps an open page true. The server tells by a stream what changed (live.py); rows come as the page shows them and are
// put in the place of the old ones, other parts are fetched anew with the page. One tab of a browser has the stream
// and tells the others. Whatever this script cannot do the page does without it, by a reload.

const { live: url, after, version } = document.body.dataset;
const SILENT_MS = 20_000, LOST_MS = 3_000, OLD_MS = 9_000, MOST_WAIT_MS = 30_000, POLL_MS = 15_000, KEPT = 200;
const $ = (id) => document.getElementById(id);
const now = () => Date.now();
// On a check's page: its row's id. Found by an id, as a page of 1,000 checks is long to look through for each row.
const check = () => $("head")?.dataset.check;
const self = Math.random().toString(36).slice(2);

// By how much this machine's clock is before the server's. A few seconds are rather how long the page took to come.
const early = now() - Date.parse($("as-of")?.querySelector("time").dateTime), skew = Math.abs(early) < 10_000 ? 0 : early;

// What this page knows, and when the server was heard by whichever tab.
let mark = after, heardAt = now();
// Since when there is no stream.
let lostAt = 0;
// Until when the page is true, in the reader's zone.
let asOf = $("as-of")?.dataset.at;
// Signed out.
let isOver = false;
let source = null, fails = 0, timer = 0;
// The newest events, for a tab that has just been opened.
const kept = [];
const channel = "BroadcastChannel" in window ? new BroadcastChannel("heartfly " + url) : null;

// --- what is told

const DOES = { hello, tick, row, gone, counts, marks, news, resync: fetchAnew, end: over, bye() {} };

function take(event) {
  if (event.to && event.to !== self) return;
  if (event.kind === "lost") { lostAt ||= event.at; return; }
  heardAt = now();
  lostAt = 0;
  if (event.id) mark = event.id;
  DOES[event.kind]?.(event.data);
  showFreshness();
}

function hello(told) {
  if (told !== version) say("live-note", "Heartfly has been updated.", "Reload", () => location.reload());
}

function tick(told) {
  let late;
  // A server that cannot ask its database goes on ticking, but what it knows grows old.
  [tick.age, asOf, late] = told.split("\n");
  const footer = $("as-of");
  if (footer) footer.textContent = "live, as of " + asOf;
  $("late").hidden = !late;
  $("late-at").textContent = late;
}

function row(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.firstElementChild, old = $(fresh.id), its = check();
  if (its) { if (its === fresh.id) fetchAnew(); return; }
  // A row comes with times in one's own zone.
  if (/tz=[cu]/.test(location.search)) { fetchAnew(); return; }
  if (!old) { added(fresh); return; }
  if (+fresh.dataset.v < +old.dataset.v) return;
  const word = (of) => [...of.classList].find((name) => name.startsWith("s-")).slice(2);
  if (word(fresh) !== word(old)) { announce(fresh.querySelector("bdi").textContent + " is " + word(fresh)); moved.add(fresh.id); showMoved(); }
  fresh.classList.add("changed");
  replace(old, fresh);
}

const moved = new Set();

function added(fresh) {
  const list = document.querySelector(".rows"), asked = new URLSearchParams(location.search);
  if (!list && $("checks")) { fetchAnew(); return; }
  const status = asked.get("status");
  if (!list || asked.get("q") || asked.get("tag") || asked.get("after") || (status && !fresh.classList.contains("s-" + status))) return;
  moved.add(fresh.id);
  showMoved();
}

function showMoved() {
  say("live-note", moved.size === 1 ? "1 check has changed its place." : moved.size + " checks have changed their places.", "Show in order", fetchAnew);
}

function gone(id) {
  const its = check();
  if (its) { if (its === id) say("live-note", "This check has been deleted, or is in another project now.", "", null); return; }
  $(id)?.remove();
}

// What is no check's row: an incident, a delivery, a channel. The checks' list and views show nothing of it.
function news() {
  if (!$("checks")) fetchAnew();
}

function counts(told) {
  if (!$("checks")) { if (!check()) fetchAnew(); return; }
  const by = Object.fromEntries(told.split(" ").filter(Boolean).map((one) => one.split("=")));
  by.all = Object.values(by).reduce((sum, n) => sum + +n, 0);
  for (const one of document.querySelectorAll("[data-n]")) {
    const n = by[one.dataset.n] || 0;
    (one.querySelector("a > span:last-child") || one).textContent = n;
    if (one.tagName === "LI") one.hidden = !n && !one.querySelector("[aria-current]");
  }
  document.title = (by.down ? `(${by.down} down) ` : "") + document.title.replace(/^\(\d+ down\) /, "");
  $("icon").href = $("icon").dataset[by.down ? "down" : "up"];
}

// Of the navigation. A row says whether a channel of its check fails.
function marks(told) {
  for (const one of told.split(" ")) {
    const [name, n] = one.split("="), box = $("n-" + name), was = box.firstChild.data;
    box.firstChild.data = n;
    box.hidden = n === "0";
    if (name === "channels" && n !== was && $("checks")) fetchAnew();
  }
}

// --- the page anew, without what one is at being lost

let fetching = 0, fetchedAt = 0, isWanted = false;

async function fetchAnew() {
  isWanted = document.hidden || fetching > 0;
  if (isWanted) return;
  fetching = now();
  try {
    const answer = await fetch(location.href, { headers: { "x-heartfly-live": "1" } });
    if (answer.redirected && new URL(answer.url).pathname.endsWith("/sign-in")) over();
    else if (answer.ok) { put(new DOMParser().parseFromString(await answer.text(), "text/html")); heardAt = now(); }
  } catch { lostAt ||= now(); }
  showFreshness();
  // Soon after a rest, else once a second; a page that takes long follows more slowly.
  const pause = (fetching - fetchedAt > 3_000 ? 1 : 4) * Math.max(250, now() - fetching);
  fetchedAt = now();
  setTimeout(() => { fetching = 0; if (isWanted) fetchAnew(); }, pause);
}

function put(page) {
  for (const fresh of page.querySelectorAll("[data-part]")) {
    const old = $(fresh.id);
    if (!old || plain(old) === plain(fresh)) continue;
    replace(old, fresh);
  }
  document.title = page.title;
  $("icon").href = page.getElementById("icon").href;
  asOf = page.getElementById("as-of")?.dataset.at || asOf;
  mark = mark || page.body.dataset.after;
  moved.clear();
  $("live-note").hidden = true;
  const said = $("first")?.dataset.said;
  if (said && said !== put.said) announce(said);
  put.said = said;
  relative();
  later();
}

// Who is at a link, types, or has chosen some, goes on with that.
function replace(old, fresh) {
  const at = old.contains(document.activeElement) ? document.activeElement : null, all = [...fresh.querySelectorAll("a, button, input, select, textarea")];
  const name = (one) => [one.tagName, one.id, one.getAttribute("href"), one.name, one.type === "checkbox" ? one.value : ""].join(" ");
  const chosen = new Set([...old.querySelectorAll("input[type=checkbox]:checked")].map(name));
  const typed = new Map([...old.querySelectorAll("textarea, input:not([type=hidden])")].filter((one) => one.value !== one.defaultValue).map((one) => [name(one), one.value]));
  for (const one of all) {
    if (one.type === "checkbox") one.checked ||= chosen.has(name(one));
    else if (typed.has(name(one))) one.value = typed.get(name(one));
  }
  old.replaceWith(fresh);
  const to = at && all.find((one) => name(one) === name(at));
  if (!to) return;
  to.focus({ preventScroll: true });
  if (!at.matches("textarea, input[type=text], input[type=search]")) return;
  to.setSelectionRange(at.selectionStart, at.selectionEnd);
}

function plain(element) {
  return element.outerHTML.replace(/<time[^>]*data-rel[^>]*>[^<]*<\/time>/g, "").replace(/name="form_token" value="[^"]*"/g, "");
}

function later() {
  const seconds = document.querySelector("[data-again]")?.dataset.again;
  clearTimeout(timer);
  if (seconds) timer = setTimeout(fetchAnew, seconds * 1_000);
}

// --- what people are told

function say(id, text, doing, does) {
  const box = $(id), words = document.createElement("span");
  words.textContent = text + " ";
  box.replaceChildren(words);
  if (doing) {
    const button = document.createElement("button");
    button.textContent = doing;
    button.addEventListener("click", () => { $("main").focus({ preventScroll: true }); does(); });
    box.append(button);
  }
  box.hidden = false;
}

let saidAt = 0;

function announce(text) {
  if (now() - saidAt < 5_000) return;
  saidAt = now();
  $("live-said").textContent = text;
}

function showFreshness() {
  const box = $("live-lost"), t = now();
  const isLost = Boolean((lostAt && t - lostAt > LOST_MS) || t - heardAt > SILENT_MS || tick.age * 1_000 > OLD_MS);
  if (isOver || isLost === !box.hidden) return;
  if (!isLost) { box.hidden = true; return; }
  say("live-lost", "Live updates are lost; what you see is as of " + (asOf || "when you opened the page") + ".", "Retry", retry);
}

function over() {
  isOver = true;
  source?.close();
  $("live-lost").hidden = true;
  say("live-lost", "You are signed out, or may not see this project any more; what you see is as of " + asOf + ".", "Sign in", () => location.reload());
}

function relative() {
  for (const one of document.querySelectorAll("time[data-rel]")) {
    const seconds = (Date.parse(one.dateTime) - now() + skew) / 1_000, said = rough(Math.abs(seconds));
    const text = said === "0 s" || (seconds > 0 && seconds < 5) ? "now" : seconds > 0 ? "in " + said : said + " ago";
    if (one.textContent !== text) one.textContent = text;
  }
}

function rough(seconds) {
  const whole = Math.floor(seconds);
  const two = (size, name, small, of) => Math.floor(whole / size) + " " + name + (Math.floor(whole % size / small) ? ` ${Math.floor(whole % size / small)} ${of}` : "");
  if (whole < 60) return whole + " s";
  if (whole < 3_600) return Math.floor(whole / 60) + " min";
  if (whole < 36_000) return two(3_600, "h", 60, "min");
  if (whole < 86_400) return Math.floor(whole / 3_600) + " h";
  if (whole < 864_000) return two(86_400, "d", 3_600, "h");
  return Math.floor(whole / 86_400) + " d";
}

// --- the stream

function pass(event) {
  if (event.id) { kept.push(event); if (kept.length > KEPT) kept.shift(); }
  channel?.postMessage(event);
  take(event);
}

function connect() {
  clearTimeout(connect.timer);
  source?.close();
  if (isOver) return;
  source = new EventSource(url + "?after=" + encodeURIComponent(mark));
  for (const kind in DOES) {
    source.addEventListener(kind, (event) => {
      fails = 0;
      pass({ kind, id: event.lastEventId, data: event.data });
    });
  }
  source.addEventListener("error", () => {
    pass({ kind: "lost", at: now() });
    // Else the browser tries again by itself.
    if (source.readyState !== EventSource.CLOSED) return;
    fails += 1;
    // Refused, or a sign-in page: the page's own address says what is the matter.
    if (fails >= 3) fetchAnew();
    const wait = Math.min(MOST_WAIT_MS, fails >= 3 ? POLL_MS : 1_000 * 2 ** fails);
    connect.timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
  });
}

function retry() {
  if (source) connect();
  else channel?.postMessage({ kind: "want", from: self, mark });
  fetchAnew();
}

function lead() {
  channel?.addEventListener("message", ({ data }) => {
    if (data.kind !== "want") return;
    const at = kept.findIndex((event) => event.id === data.mark);
    if (at >= 0) kept.slice(at + 1).forEach((event) => channel.postMessage({ ...event, to: data.from }));
    else if (data.mark !== mark) channel.postMessage({ kind: "resync", id: mark, to: data.from });
  });
  connect();
}

function start() {
  channel?.addEventListener("message", ({ data }) => { if (data.kind !== "want") take(data); });
  if (navigator.locks && channel) {
    // Whoever holds the lock has the stream; it is free when that tab goes.
    navigator.locks.request("heartfly " + url, () => new Promise(lead));
    channel.postMessage({ kind: "want", from: self, mark });
  } else {
    // Over plain http tabs cannot agree: each has its own while it is looked at.
    if (!document.hidden) connect();
    document.addEventListener("visibilitychange", () => { if (document.hidden) source?.close(); else connect(); });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (isWanted) fetchAnew();
    relative();
    showFreshness();
  });
  // A page that was left and comes back from the browser's memory is an old one.
  addEventListener("pageshow", (event) => { if (event.persisted) fetchAnew(); });
  setInterval(showFreshness, 1_000);
  setInterval(relative, 10_000);
  put.said = $("first")?.dataset.said;
  later();
}

start();
