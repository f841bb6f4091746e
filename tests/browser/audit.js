// Every visible text against what is painted behind it; every control's size and name.
() => {
  const ink = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => { ink.clearRect(0, 0, 1, 1); ink.fillStyle = color; ink.fillRect(0, 0, 1, 1); return [...ink.getImageData(0, 0, 1, 1).data]; };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] / 255 + below[i] * (1 - top[3] / 255)).concat(255);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (el) => el ? over(rgba(getComputedStyle(el).backgroundColor), behind(el.parentElement)) : [255, 255, 255, 255];
  const root = document.querySelector('dialog[open]') ?? document.body;
  const seen = (el) => el.checkVisibility() && el.getClientRects().length > 0 && !el.closest('.unseen, .skip, .frame, :disabled, option, .tick');
  const faults = [];
  for (const el of root.querySelectorAll('*')) {
    if (!seen(el)) continue;
    const style = getComputedStyle(el);
    const text = [...el.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
    if (text) {
      const [a, b] = [light(over(rgba(style.color), behind(el))), light(behind(el))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 30)}"`);
    }
    if (el.matches('button, .as-button, nav a, input:not(.unseen), select') && Math.min(el.offsetHeight, el.offsetWidth) < 43.5)
      faults.push(`${el.offsetWidth} x ${el.offsetHeight} is too small to touch: ${el.textContent.slice(0, 30) || el.getAttribute('aria-label')}`);
    if (el.matches('button, a, input, select, [role=listbox], [role=option]')) {
      const named = el.textContent.trim() || el.getAttribute('aria-label') || el.labels?.[0]?.textContent.trim();
      if (!named) faults.push(`no name: ${el.outerHTML.slice(0, 80)}`);
    }
  }
  return faults;
}
