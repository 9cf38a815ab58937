// Keeps an open page fresh: asks for it again and exchanges only the parts that have changed.
// A clip that plays is left alone until it stops. Without this script the page works as it stands.
"use strict";

(() => {
  const SLOWEST_MS = 30000;
  const main = document.querySelector("main[data-refresh-ms]");
  const usual = Number(main && main.dataset.refreshMs);
  if (!usual) return;

  const told = new WeakMap(); // element -> what the server said it looks like
  const markup = (element) => told.get(element) ?? element.outerHTML;
  const plays = (element) => [...element.querySelectorAll("video")].some((v) => !v.paused && !v.ended);

  // Elements as the server sent them, before a browser or a viewer changes an attribute.
  document.querySelectorAll("[data-part], [data-key]").forEach((e) => told.set(e, e.outerHTML));

  function exchange(old, fresh) {
    if (markup(old) === fresh.outerHTML || plays(old)) return old;
    const copy = document.importNode(fresh, true);
    remember(copy);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceWith(copy);
    if (focused) refocus(copy, focused);
    return copy;
  }

  // Whoever stands on a link by keyboard still does when what is around it has changed.
  function refocus(copy, focused) {
    const same = (e) => e.getAttribute("href") === focused.getAttribute("href") && e.textContent === focused.textContent;
    [...copy.querySelectorAll(focused.tagName)].find(same)?.focus({ preventScroll: true });
  }

  function remember(element) {
    [element, ...element.querySelectorAll("[data-part], [data-key]")].forEach((e) => told.set(e, e.outerHTML));
  }

  function syncKeyed(part, fresh) {
    const present = new Map([...part.children].map((child) => [child.dataset.key, child]));
    let before = null;
    for (const child of fresh.children) {
      const old = present.get(child.dataset.key);
      present.delete(child.dataset.key);
      let now;
      if (old) {
        now = exchange(old, child);
      } else {
        now = document.importNode(child, true);
        remember(now);
        part.insertBefore(now, before ? before.nextSibling : part.firstChild);
      }
      before = now;
    }
    present.forEach((gone) => { if (!plays(gone)) gone.remove(); });
  }

  function sync(page) {
    document.querySelectorAll("[data-part]").forEach((part) => {
      const fresh = page.getElementById(part.id);
      if (!fresh) return;
      const keyed = fresh.children.length > 0 && [...fresh.children].every((c) => c.dataset.key);
      if (keyed && [...part.children].every((c) => c.dataset.key)) syncKeyed(part, fresh);
      else exchange(part, fresh);
    });
    main.dataset.refreshMs = page.querySelector("main").dataset.refreshMs;
  }

  let pause = usual;
  async function refresh() {
    if (!document.hidden) {
      const began = performance.now();
      try {
        const answer = await fetch(location.pathname, { signal: AbortSignal.timeout(10000) });
        if (answer.ok) {
          sync(new DOMParser().parseFromString(await answer.text(), "text/html"));
          // A page that is dear to make, of a whole day, is asked for less often.
          pause = Math.max(usual, 5 * (performance.now() - began));
        }
      } catch {
        pause = Math.min(pause * 2, SLOWEST_MS);
      }
    }
    // When nothing is watched any more the page says so and need not ask again, unless a clip
    // that still plays has been passed over.
    if (Number(main.dataset.refreshMs) || plays(main)) setTimeout(refresh, pause);
  }
  setTimeout(refresh, pause);
})();
