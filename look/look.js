// What the frame does in the browser: remember language and theme, follow soft links, keep the keyboard's place.
(() => {
  const root = document.documentElement;
  const cookie = (name) => (document.cookie.match(new RegExp(`(?:^|; )${name}=([a-z]+)`)) || [])[1];
  const remember = (name, word) => (document.cookie = `${name}=${word};path=/;max-age=31536000;samesite=lax`);

  const lang = new URLSearchParams(location.search).get("lang");
  if (lang === "zh" || lang === "en") remember("zg_lang", lang);

  const themes = ["auto", "light", "dark"];
  const wear = (theme) => {
    root.dataset.theme = theme;
    window.Quasar?.Dark.set(theme === "auto" ? "auto" : theme === "dark");
  };
  const stored = cookie("zg_theme");
  root.dataset.theme = themes.includes(stored) ? stored : "auto";

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-zg-theme]")) {
      const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
      remember("zg_theme", next);
      wear(next);
    }
    const speech = event.target.closest("a[data-zg-lang]");
    if (speech) {
      event.preventDefault();
      const query = new URLSearchParams(location.search);
      query.set("lang", speech.dataset.zgLang);
      location.search = query;
    }
    const link = event.target.closest("a[data-zg-soft]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0 && window.emitEvent) {
      event.preventDefault();
      const url = new URL(link.href);
      const lang = new URLSearchParams(location.search).get("lang");
      if (lang) url.searchParams.set("lang", lang);
      history.pushState({}, "", url);
      refill();
      emitEvent("zg_soft", location.search);
    }
  });

  // A form that searches as one types; Enter works too, and without a socket it is a plain GET form.
  let pause;
  const refill = () => {
    const query = new URLSearchParams(location.search);
    for (const field of document.querySelectorAll("form[data-zg-soft] [name]")) field.value = query.get(field.name) || "";
  };
  const search = (form) => {
    const url = new URL(location.href);
    for (const [key, value] of new FormData(form)) value ? url.searchParams.set(key, value) : url.searchParams.delete(key);
    url.searchParams.delete("page");
    history.replaceState({}, "", url);
    emitEvent("zg_soft", url.search);
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-zg-soft]");
    if (!form || !window.emitEvent) return;
    clearTimeout(pause);
    pause = setTimeout(() => search(form), 250);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-zg-soft]");
    if (!form || !window.emitEvent) return;
    event.preventDefault();
    clearTimeout(pause);
    search(form);
  });
  window.addEventListener("popstate", () => {
    refill();
    if (window.emitEvent) emitEvent("zg_soft", location.search);
  });

  // A part that is drawn again must not throw the keyboard back to the top of the page, nor close what was opened.
  const opened = new Set();
  document.addEventListener("toggle", (event) => opened[event.target.open ? "add" : "delete"](event.target.id), true);
  let last = "";
  document.addEventListener("focusin", (event) => (last = event.target.id || ""));
  document.addEventListener("pointerdown", () => (last = ""), true);
  new MutationObserver(() => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (last && document.activeElement === document.body) document.getElementById(last)?.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
})();
