// The house's own rules for a page, one function each: it answers with sentences about what is wrong.
({
  // Each is a sentence about what is wrong. Nothing here looks at colour.
  rules(least) {
    const wrong = [], all = (what) => [...document.querySelectorAll(what)];
    const seen = (one) => one.checkVisibility({visibilityProperty: true}) && one.getClientRects().length > 0;
    const name = (one) => one.outerHTML.replace(/\s+/g, " ").slice(0, 110);
    const count = (what, n) => { if (all(what).length !== n) wrong.push(`${all(what).length} of ${what}, not ${n}`); };
    const isPublic = document.querySelector("main.public"); // for strangers: nothing of ours is named
    for (const what of ["h1", "main", "body > footer", "head > title", ...(isPublic ? [] : ["body > header"])]) count(what, 1);
    if (document.documentElement.lang !== "en") wrong.push("no language");
    if (!isPublic && (!document.title.endsWith(" – Heartfly") || document.title.length < 14)) wrong.push(`title ${document.title}`);
    for (const one of all("nav")) if (!one.ariaLabel && !one.getAttribute("aria-labelledby")) wrong.push("a nav without a name");
    for (const one of all("[style]")) wrong.push(`style= on ${name(one)}`);
    for (const one of all("style, script:not([src])")) wrong.push(`inline ${name(one)}`);
    for (const one of all("*")) for (const of of one.getAttributeNames()) if (of.startsWith("on")) wrong.push(`${of}= on ${name(one)}`);
    const ids = new Set();
    for (const one of all("[id]")) if (ids.size === ids.add(one.id).size) wrong.push(`twice #${one.id}`);
    for (const one of all("[src], link[href], form[action], use[href]")) {
      const to = new URL(one.getAttribute("src") || one.getAttribute("href") || one.getAttribute("action"), location.href);
      if (to.origin !== location.origin) wrong.push(`leads outside: ${name(one)}`);
    }
    for (const one of all(".st")) {
      const sign = one.querySelector("svg[aria-hidden] use")?.getAttribute("href");
      if (!sign || !document.querySelector(sign)) wrong.push(`a status without a shape: ${name(one)}`);
      if (!one.textContent.trim()) wrong.push(`a status without a word: ${name(one)}`);
    }
    for (const one of all(".row[class*=s-]")) if (!one.querySelector(".st")) wrong.push(`told by colour alone: ${name(one)}`);
    const inText = (one) => getComputedStyle(one).display === "inline" &&
      [...one.parentElement.childNodes].some((near) => near !== one && near.nodeType === Node.TEXT_NODE && /\w/.test(near.data));
    for (const one of all("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
      if (!seen(one) || one.closest(".skip, .hide") || inText(one)) continue;
      const boxes = [one, ...(one.labels || [])].map((of) => of.getBoundingClientRect());
      if (!boxes.some((box) => box.width >= least - .5 && box.height >= least - .5))
        wrong.push(`${Math.round(boxes[0].width)} x ${Math.round(boxes[0].height)} is a small target: ${name(one)}`);
    }
    for (const one of all("time")) if (!one.dateTime || !one.textContent.trim()) wrong.push(`a time without its instant: ${name(one)}`);
    for (const one of all("input:not([type=hidden]), select, textarea")) {
      const told = one.getAttribute("aria-describedby");
      if (told && !told.split(" ").every((id) => document.getElementById(id))) wrong.push(`described by nothing: ${name(one)}`);
    }
    return wrong;
  },

  // Two of each sort of text that is not known yet. A sort: all that its colours can come from, up to the page.
  sorts(known) {
    const fresh = new Map(), paths = new Map();
    const short = (text) => {
      let [a, b] = [1, 2];
      for (let i = 0; i < text.length; i++) [a, b] = [Math.imul(a ^ text.charCodeAt(i), 2654435761), Math.imul(b ^ text.charCodeAt(i), 1597334677)];
      return `${a}.${b}`;
    };
    const own = (one) => {
      const is = getComputedStyle(one), states = ["disabled", "checked", "aria-current", "open"].filter((of) => one.hasAttribute(of));
      return [one.tagName, one.className.baseVal ?? one.className, states, is.color, is.backgroundColor, is.backgroundImage, is.opacity].join(" ");
    };
    const path = (one) => {
      if (!paths.has(one)) paths.set(one, one.parentElement ? `${path(one.parentElement)} > ${own(one)}` : own(one));
      return paths.get(one);
    };
    for (const one of document.querySelectorAll("body *")) {
      const typed = one.matches("input, select, textarea");
      if (!typed && ![...one.childNodes].some((of) => of.nodeType === Node.TEXT_NODE && of.data.trim())) continue;
      if (!one.checkVisibility({visibilityProperty: true})) continue;
      const is = getComputedStyle(one), sort = short(`${path(one)} ${is.fontSize} ${is.fontWeight}`);
      if (known.has(sort)) continue;
      if (!fresh.has(sort)) fresh.set(sort, [one]);
      else if (fresh.get(sort).length < 2) fresh.get(sort).push(one);
    }
    return fresh;
  },

  // The largest parts of the page of which the like was judged already, and the names of those that were not. The like:
  // the same elements with the same attributes in the same kind of place, whatever they say, as long as they say something.
  parts(known) {
    const names = new Map(), alike = [], fresh = new Set();
    const told = new Set(["id", "for", "href", "name", "value", "datetime", "title", "d", "x", "y", "width", "height", "points", "action", "src", "content"]);
    const short = (text) => {
      let [a, b] = [3, 4];
      for (let i = 0; i < text.length; i++) [a, b] = [Math.imul(a ^ text.charCodeAt(i), 2654435761), Math.imul(b ^ text.charCodeAt(i), 1597334677)];
      return `${a}.${b}`;
    };
    const own = (one) => {
      const says = [...one.childNodes].some((of) => of.nodeType === Node.TEXT_NODE && of.data.trim());
      const has = one.getAttributeNames().sort().map((of) => {
        const value = one.getAttribute(of), isText = told.has(of) || /^(data-|aria-(label|labelledby|describedby|controls|rowcount)$)/.test(of);
        return `${of}=${isText ? Boolean(value.trim()) : value}`;
      });
      return `${one.tagName} ${has} ${says} ${one.checkVisibility({visibilityProperty: true})}`;
    };
    const name = (one) => {
      const inside = [...one.children].map(name), found = {size: inside.reduce((sum, of) => sum + of.size, 1)};
      found.name = short(`${own(one)} [${inside.map((of) => of.name)}]`);
      names.set(one, found);
      return found;
    };
    name(document.body);
    const walk = (one) => {
      for (const of of one.children) {
        const {name, size} = names.get(of), at = `${one.tagName} ${one.getAttribute("role")} ${name}`;
        if (size < 4) continue;
        if (known.has(at) || fresh.has(at)) alike.push(of);
        else { fresh.add(at); walk(of); }
      }
    };
    walk(document.body);
    return {alike, fresh: [...fresh]};
  },

  wide() {
    const root = document.documentElement;
    if (root.scrollWidth === root.clientWidth) return [];
    const out = [...document.querySelectorAll("main *, header *, footer *")]
      .filter((one) => one.getBoundingClientRect().right > root.clientWidth + 1 && !one.parentElement.closest(".scroll, pre, .output"));
    return [`${root.scrollWidth} wide in ${root.clientWidth}: ${out.slice(-1).map((one) => one.outerHTML.slice(0, 90))}`];
  },

  // Text that is cut off where one cannot scroll to it. What is shortened with an ellipsis on purpose is so at any size.
  cut() {
    const cut = [...document.querySelectorAll("body *")].filter((one) => {
      const is = getComputedStyle(one);
      return one.checkVisibility() && !one.closest(".hide, .skip, svg, input") && is.textOverflow !== "ellipsis" &&
        [is.overflowX, is.overflowY].some((flow) => flow === "hidden" || flow === "clip") &&
        (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1);
    });
    return cut.map((one) => `cut off: ${one.outerHTML.slice(0, 110)}`);
  },

  // What one can do can be reached by the keyboard, shows where one is, and is not under a bar that sticks.
  focus() {
    const wrong = [], all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")];
    for (const one of all) {
      if (!one.checkVisibility({visibilityProperty: true}) || one.disabled || one.closest("fieldset:disabled")) continue;
      one.focus();
      if (document.activeElement !== one || one.tabIndex < 0) { wrong.push(`not reached: ${one.outerHTML.slice(0, 110)}`); continue; }
      const is = getComputedStyle(one);
      if (is.outlineStyle === "none" || parseFloat(is.outlineWidth) < 2) wrong.push(`no focus shown: ${one.outerHTML.slice(0, 110)}`);
      const box = one.getClientRects()[0], x = box.x + Math.min(box.width, innerWidth - box.x) / 2;
      const from = Math.max(box.y, 0), y = from + Math.min(Math.min(box.bottom, innerHeight) - from, 40) / 2;
      const top = document.elementFromPoint(x, y);
      if (!top || !(one.contains(top) || top.contains(one) || top.closest("label")?.control === one))
        wrong.push(`under something else: ${one.outerHTML.slice(0, 110)}: ${top?.outerHTML.slice(0, 60)}`);
    }
    return wrong;
  },

  // On paper there is nothing to press, no dark ground, and nothing that would have to be scrolled to.
  printed() {
    const wrong = [], seen = (one) => one.checkVisibility() && one.getClientRects().length > 0;
    for (const one of document.querySelectorAll("nav, button, form, .button, .skip")) if (seen(one)) wrong.push(`on paper: ${one.outerHTML.slice(0, 90)}`);
    if (getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)") wrong.push("the paper is not white");
    for (const one of document.querySelectorAll("h1")) if (!seen(one)) wrong.push("no heading on paper");
    for (const one of document.querySelectorAll(".scroll, pre")) if (seen(one) && one.scrollWidth > one.clientWidth + 1) wrong.push(`cut off on paper: ${one.outerHTML.slice(0, 90)}`);
    return wrong;
  },

  // In the colours of the system, and without motion.
  forced() {
    const wrong = [];
    for (const one of document.querySelectorAll(".row:not(.first), .why, .box")) {
      if (one.checkVisibility() && parseFloat(getComputedStyle(one).borderInlineStartWidth) < 4) wrong.push(`no edge: ${one.outerHTML.slice(0, 90)}`);
    }
    for (const one of document.querySelectorAll(".chip[aria-current], nav a[aria-current]"))
      if (getComputedStyle(one).outlineStyle === "none") wrong.push(`not told to be chosen: ${one.outerHTML.slice(0, 90)}`);
    for (const one of document.querySelectorAll("*")) {
      const is = getComputedStyle(one);
      if (is.animationName !== "none" || is.transitionDuration.split(", ").some((of) => parseFloat(of) > 0)) wrong.push(`moves: ${one.outerHTML.slice(0, 90)}`);
    }
    return wrong;
  },
})
