"""What every page must hold, looked at in real Chromium: a script of ours for the house's rules, and axe for WCAG 2.2.

A gate is asked of the page that is open, and answers with sentences: none is right. Which pages there are, and in
which sizes and themes they are looked at, is decided in test_gates.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE, NARROWEST, DESKTOP = 390, 320, 1440
PAPER = 718
"""A4 within margins of 10 mm."""
HEIGHT = 900
LEAST_TARGET = 24
LONG_MS = 120_000

_GATES = Path(__file__).with_name("gates.js").read_text(encoding="utf-8")
# Of axe's rules only contrast and links in texts look at colours; what the others judge is the same in light and dark.
_AXE = """async ([tags, known, judged, whole]) => {
  const gates = GATES, rules = {"color-contrast": {enabled: false}}, resultTypes = ["violations"];
  // This takes longest: once for each part of a page in each look, and each time what holds for the page as a whole.
  const {alike, fresh: parts} = gates.parts(new Set(judged.split("|"))), about = {include: [document], exclude: alike};
  const asked = whole ? {runOnly: {type: "tag", values: tags}, rules} : {runOnly: ["link-in-text-block"]};
  const found = await axe.run(about, {...asked, resultTypes, preload: false});
  // Contrast takes three times as long as all other rules: once for each sort of text in each look.
  const fresh = gates.sorts(new Set(known.split("|"))), include = [...fresh.values()].flat();
  const all = [...found.violations];
  if (include.length) all.push(...(await axe.run({include}, {runOnly: ["color-contrast"], resultTypes})).violations);
  return [all.flatMap((one) => one.nodes.slice(0, 3).map((node) =>
    `axe ${one.id}: ${node.target.join(" ")}: ${node.any.concat(node.all, node.none).map((why) => why.message)[0]}`)),
    [...fresh.keys()].join("|"), parts.join("|")];
}""".replace("GATES", f"({_GATES})")


@dataclass
class Gates:
    """Around one open page. `troubles` gathers what the browser itself complained of since the last look."""

    page: Any
    origin: str
    troubles: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Addresses that the page that is open has asked for."""
    seen: dict[tuple[int, str], set[str]] = field(default_factory=dict)
    """By look: the sorts of text whose contrast was judged."""
    judged: dict[tuple[int, str], set[str]] = field(default_factory=dict)
    """By look: the parts of pages that were judged."""
    look: tuple[int, str] = (0, "")
    _width: int = 0
    _emulated: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        page = self.page
        # With the page, which costs less than to send it after each.
        page.add_init_script(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._requested)
        page.on("response", self._answered)

    def go(self, path: str, *, status: int = 200) -> None:
        self._begin()
        answer = self.page.goto(f"{self.origin}{path}")
        if answer.status != status:
            self.troubles.append(f"{answer.status}, not {status}")

    def send(self, path: str, fields: dict[str, str], *, status: int) -> None:
        """As a form of the open page would, with its token: what the browser itself would refuse is sent, too."""
        self._begin()
        with self.page.expect_navigation() as after:
            self.page.evaluate(
                """([path, fields]) => {
                  const form = Object.assign(document.createElement("form"), {method: "post", action: path});
                  const token = document.querySelector("[name=form_token]")?.value;
                  for (const [name, value] of Object.entries(token ? {...fields, form_token: token} : fields))
                    form.append(Object.assign(document.createElement("textarea"), {name, value}));
                  document.body.append(form);
                  form.submit();
                }""",
                [path, fields],
            )
        if after.value.status != status:
            self.troubles.append(f"{after.value.status}, not {status}")
        if "refresh" in after.value.headers:  # what takes long asks for itself anew until it has ended
            self.page.locator("#progress").wait_for(state="detached", timeout=LONG_MS)
            self.page.wait_for_load_state()

    def _begin(self) -> None:
        """What the page before has asked for is told before its answer to this, however busy the machine is."""
        self.page.evaluate("0")
        self.asked.clear()

    def see(self, width: int, scheme: str) -> None:
        self.look = (width, scheme)
        self._widen(width)
        self._emulate(color_scheme=scheme, forced_colors="none", media="screen")

    # Each of them lays out and paints the page anew, also where nothing changes.

    def _widen(self, width: int) -> None:
        if width != self._width:
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            self._width = width

    def _emulate(self, **asked: str) -> None:
        if asked != self._emulated:
            self.page.emulate_media(reduced_motion="reduce", **asked)  # what moves is judged when it rests
            self._emulated = asked

    def open_all(self) -> None:
        """Whatever opens on the page, is open."""
        self.page.evaluate("""() => {
          for (const one of document.querySelectorAll("details")) one.open = true;
          for (const one of document.querySelectorAll("dialog")) if (!one.open) one.showModal();
        }""")

    def axe(self, *, whole: bool = True) -> Iterable[str]:
        """`whole` False: of a page that was judged in this width, what its colours may change in another theme."""
        known, judged = self.seen.setdefault(self.look, set()), self.judged.setdefault(self.look, set())
        # Each as one text: thousands of them, one by one, take longer on their way than all that is done with them.
        found, fresh, parts = self.page.evaluate(_AXE, [AXE_TAGS, "|".join(known), "|".join(judged), whole])
        known.update(filter(None, fresh.split("|")))
        judged.update(filter(None, parts.split("|")))
        return list(found)

    def rules(self) -> Iterable[str]:
        return self._ask(f"rules({LEAST_TARGET})")

    def fits(self, width: int) -> Iterable[str]:
        self._widen(width)
        return self._ask("wide()")

    def large_text(self, width: int) -> Iterable[str]:
        """At twice the size, with lines 1.5 apart."""
        self._widen(width)
        self.page.evaluate("""() => {
          const sheet = new CSSStyleSheet();
          sheet.replaceSync("html { font-size: 200% } body, body * { line-height: 1.5 }");
          document.adoptedStyleSheets = [sheet];
          // Rows that come into sight get their true height a frame later.
          return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        }""")
        found = [*self._ask("cut()"), *self._ask("wide()")]
        self.page.evaluate("document.adoptedStyleSheets = []")
        return [f"large text: {one}" for one in found]

    def focus(self) -> Iterable[str]:
        self.page.keyboard.press("Tab")  # from now on focus is shown
        return self._ask("focus()")

    def forced(self) -> Iterable[str]:
        """Until `see` is called again."""
        self._emulate(color_scheme=self.look[1], forced_colors="active", media="screen")
        return self._ask("forced()")

    def printed(self) -> Iterable[str]:
        """As wide as A4. On the screen again after that, or nothing could be filled in."""
        self._widen(PAPER)
        self._emulate(color_scheme=self.look[1], forced_colors="none", media="print")
        found = [*self._ask("printed()"), *self._ask("wide()")]
        self._emulate(color_scheme=self.look[1], forced_colors="none", media="screen")
        return [f"{one} (print)" for one in found]

    def _ask(self, gate: str) -> list[str]:
        return list(self.page.evaluate(f"({_GATES}).{gate}"))

    def taken(self) -> list[str]:
        """What the browser complained of since it was last asked."""
        found = list(self.troubles)
        self.troubles.clear()
        return found

    def _said(self, message: Any) -> None:
        # That the page itself is a 404 or a form with errors is told by its status.
        is_status = message.text.startswith("Failed to load resource") and message.location["url"] == self.page.url
        if message.type in {"error", "warning"} and not is_status:
            self.troubles.append(f"console: {message.text}")

    def _failed(self, request: Any) -> None:
        # They break off with their page.
        if "/live?" not in request.url and request.resource_type != "fetch" and not request.url.endswith(".svg"):
            self.troubles.append(f"failed: {request.url} {request.failure}")

    def _requested(self, request: Any) -> None:
        if request.is_navigation_request():
            self.asked.clear()  # an icon of the page before may be asked for as late as this
        if "x-heartfly-live" not in request.headers:  # what came since is no part of what the page needs
            self.asked.append(request.url)
        if not request.url.startswith((self.origin, "data:")):
            self.troubles.append(f"asks another host: {urlsplit(request.url).netloc}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            self.troubles.append(f"{response.status}: {response.url}")
