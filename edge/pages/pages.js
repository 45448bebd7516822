// Taps and forms become one event; the heading takes the focus when the screen is another; nothing typed stays.
(() => {
  let screen = null;
  let shown = 0;
  const say = (act, value, fields) => window.emitEvent && emitEvent("sp_act", { act, value: value || "", fields: fields || {} });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    // What moves goods or money does not answer a finger that was on its way to something else.
    const early = button && button.dataset.guard !== undefined && Date.now() - shown < 700;
    if (button && !button.disabled && !early) say(button.dataset.act, button.dataset.value);

    const step = event.target.closest("button[data-step]");
    const counted = step && document.getElementById(step.dataset.of);
    if (counted) {
      const n = (Number.parseInt(counted.value, 10) || 0) + Number(step.dataset.step);
      counted.value = Math.min(Number(counted.max), Math.max(Number(counted.min), n));
      counted.dispatchEvent(new Event("change", { bubbles: true }));
    }

    const key = event.target.closest("button[data-key]");
    if (key) {
      const field = document.getElementById("pin");
      if (!field) return;
      field.value = key.dataset.key === "delete" ? field.value.slice(0, -1) : (field.value + key.dataset.key).slice(0, field.maxLength);
    }
  });

  // A number in a long form is kept as soon as it is typed: a customer may come in between.
  document.addEventListener("change", (event) => {
    const field = event.target.closest("input[data-change]");
    if (field) say(field.dataset.change, field.name, { n: field.value });
  });

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    form.reset();
    say(form.dataset.act, form.dataset.value, fields);
  });

  // Arrow keys move within a group of choices, as in any list of radio buttons.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const group = step && event.target.closest("[role=radiogroup]");
    if (!group) return;
    const radios = [...group.querySelectorAll("[role=radio]:not([disabled])")];
    const next = radios[(radios.indexOf(event.target) + step + radios.length) % radios.length];
    event.preventDefault();
    next?.focus();
    next?.click();
  });

  let told = 0;
  for (const kind of ["pointerdown", "keydown"])
    document.addEventListener(kind, () => {
      if (Date.now() - told < 5000) return;
      told = Date.now();
      say("touch");
    }, { passive: true });

  new MutationObserver(() => {
    const now = document.querySelector("[data-screen]")?.dataset.screen;
    if (!now || now === screen) return;
    const first = screen === null;
    screen = now;
    shown = Date.now();
    if (first) return;
    const place = document.querySelector("[data-screen] [data-first]") || document.querySelector("h1");
    place?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
