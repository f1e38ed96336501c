// Update Today every few seconds in place, so that elements keep focus, selection, scroll position and open details.
"use strict";

(() => {
  const EVERY_MS = 3000;
  const now = document.getElementById("now");
  const stale = document.getElementById("stale");
  const keep = document.getElementById("keep-up");

  const nameOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.row || node.id || "" : "");

  // Copy the attributes of `fresh`, except `open`, which is the visitor's choice.
  function copyAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
    }
  }

  // Change `old` into `fresh`. Children with a name (data-row or id) are matched by it, others by position.
  function change(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      return;
    }
    copyAttributes(old, fresh);
    const wanted = new Set([...fresh.childNodes].map(nameOf));
    const named = new Map([...old.childNodes].map((child) => [nameOf(child), child]));
    for (const [name, child] of named) if (!wanted.has(name)) child.remove();
    let at = old.firstChild;
    for (const part of [...fresh.childNodes]) {
      const name = nameOf(part);
      const match = name ? named.get(name) : at && !nameOf(at) && at.nodeName === part.nodeName ? at : undefined;
      if (!match || match.nodeName !== part.nodeName) {
        old.insertBefore(part, at);
        continue;
      }
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      change(match, part);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  const headline = () => now.querySelector(".headline").textContent;

  function show(fresh) {
    pawsort.localise(fresh);
    const before = headline();
    const focused = now.contains(document.activeElement) ? document.activeElement : null;
    change(now, fresh);
    if (focused && document.activeElement !== focused) {
      (focused.isConnected ? focused : document.getElementById("content")).focus({ preventScroll: true });
    }
    if (headline() !== before) pawsort.announce(headline());
  }

  async function update() {
    try {
      const response = await fetch(pawsort.url("/today/now"), { headers: { Accept: "text/html" } });
      if (response.redirected) {  // the session has ended
        location.reload();
        return;
      }
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("now");
      if (!response.ok || !fresh) throw new Error(response.status);
      show(document.adoptNode(fresh));
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }

  let timer;
  async function tick() {
    clearTimeout(timer);
    if (!keep.checked) return;
    if (!document.hidden) await update();
    clearTimeout(timer);
    timer = setTimeout(tick, EVERY_MS);
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  pawsort.remember(keep, () => {
    clearTimeout(timer);
    if (keep.checked) timer = setTimeout(tick, EVERY_MS);
    else stale.hidden = true;
  });
})();
