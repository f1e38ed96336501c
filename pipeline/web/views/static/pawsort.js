// What every page needs: times in the visitor's zone, and words for screen readers when something changed.
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

  window.pawsort = {
    localise,
    announce(text) {
      announcer.textContent = "";
      requestAnimationFrame(() => { announcer.textContent = text; });
    },
    // Show a checkbox that is of use with scripts only, and keep its state in this browser.
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

  // What went wrong stays in view, until something works again.
  const trouble = document.getElementById("trouble");

  function complain(words) {
    trouble.textContent = words;
    trouble.hidden = false;
  }

  function wordsOf(xhr) {
    try {
      const { error, what_to_do: advice } = JSON.parse(xhr.responseText);
      return `${error} ${advice}`;
    } catch {
      return `The server answered ${xhr.status}. Try again.`;
    }
  }

  document.body.addEventListener("htmx:responseError", (event) => complain(wordsOf(event.detail.xhr)));
  document.body.addEventListener("htmx:sendError", () => {
    complain("The server does not answer. Is `pawsort serve` still running?");
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.shouldSwap) trouble.hidden = true;
  });
})();
