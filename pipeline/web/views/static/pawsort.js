// Used by every page: local times, messages for screen readers, remembered checkboxes, copying, errors of requests.
"use strict";

(() => {
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  function localise(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) {
        time.title = time.title || time.textContent;
        time.textContent = clock.format(at);
      }
    }
  }

  const announcer = document.getElementById("announcer");

  // Where a reverse proxy has the pages below a path, such as /pets.
  const prefix = document.documentElement.dataset.prefix;

  window.pawsort = {
    url: (path) => prefix + path,
    localise,
    announce(text) {
      announcer.textContent = "";
      requestAnimationFrame(() => { announcer.textContent = text; });
    },
    signInLink,
    // Show a checkbox that works with scripts only, and keep its state in this browser.
    remember(box, changed) {
      const key = "pawsort." + box.id;
      try { box.checked = (localStorage.getItem(key) || "on") === "on"; } catch { /* storage is switched off */ }
      box.closest(".setting").hidden = false;
      box.addEventListener("change", () => {
        try { localStorage.setItem(key, box.checked ? "on" : "off"); } catch { /* it holds until the page is left */ }
        changed();
      });
      changed();
    },
  };

  localise(document);
  // On a narrow screen the pages stand in a row that scrolls; `scrollIntoView` would take the keyboard along.
  const current = document.querySelector(".nav [aria-current]");
  if (current) {
    const row = current.parentElement;
    row.scrollLeft = current.offsetLeft - row.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
  }
  document.body.addEventListener("htmx:load", (event) => localise(event.detail.elt.parentNode || document));

  // The clipboard of browsers needs https; a selected text can be copied without.
  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      try { return await navigator.clipboard.writeText(text); } catch { /* it is not permitted */ }
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("nothing was copied");
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const words = await copy(decodeURIComponent(button.dataset.copy)).then(() => "Copied", () => "Select it and copy it yourself");
      button.textContent = words;
      button.focus();
      pawsort.announce(words);
    });
  }

  // An error stays visible until a request succeeds.
  const errorBox = document.getElementById("trouble");

  // Where a session has ended, a link leads to the page that signs in, and from there back to this one.
  function showError(message, status) {
    errorBox.textContent = message;
    if (status === 401) errorBox.append(" ", signInLink());
    errorBox.hidden = false;
  }

  function signInLink() {
    const link = document.createElement("a");
    const { pathname } = location;
    const path = `${pathname}/`.startsWith(`${prefix}/`) ? pathname.slice(prefix.length) || "/" : pathname;
    link.href = window.pawsort.url("/login?next=") + encodeURIComponent(path + location.search);
    link.textContent = "Sign in";
    return link;
  }

  function messageOf(xhr) {
    try {
      const { error, what_to_do: advice } = JSON.parse(xhr.responseText);
      return `${error} ${advice}`;
    } catch {
      return `The server answered ${xhr.status}. Try again.`;
    }
  }

  document.body.addEventListener("htmx:responseError", (event) => {
    showError(messageOf(event.detail.xhr), event.detail.xhr.status);
  });
  document.body.addEventListener("htmx:sendError", () => {
    showError("The server does not respond. Is `pawsort serve` still running?");
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.shouldSwap) errorBox.hidden = true;
  });
})();
